"""The exponential rate at which linear networks learn, beside its bound."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import nnflow
from nnflow import Analysis

from ..._matrices import matrices, product

FALL = 1e-6
"""The mean rate is that until the loss has fallen by this factor."""


class LinearRate(Analysis):
    """L(t) ≤ L(0) exp(−2α₁⋯α_H t), with α_j the d_{j+1}-th largest eigenvalue of
    W_{j+1}ᵀW_{j+1} − W_jW_jᵀ at the start, for d₁ ≥ … ≥ d_H and positive α_j.

    Chitour, Liao & Couillet (arXiv:1811.03568). The flow keeps C_j = W_{j+1}ᵀW_{j+1} − W_jW_jᵀ, and
    W_{j+1}ᵀW_{j+1} ⪰ C_j, so that λ_min(W_{j+1}W_{j+1}ᵀ) ≥ α_j at all times. Their slides print a
    single α, which is read as min α_j, the least that it can be, and as α_j "the
    d_{j+1}-smallest eigenvalue", which is tried as the d_{j+1}-th smallest. Measured along the
    optimizer `gradient_flow`. The exponent compares configurations of the same widths
    and common starts, run by run: all weights multiplied by c, Y by c^K. Per run that fulfils the
    condition: `run_alpha` = Πα_j and `run_rate`, with the configuration's label in `where`.

    The second bound, of Arora, Cohen, Golowich & Hu (arXiv:1810.02281, Theorem 1): with W =
    W_K⋯W₁, a start with ‖W − Y‖_F ≤ σ_min(Y) − c and ‖W_{j+1}ᵀW_{j+1} − W_jW_jᵀ‖_F ≤
    c²/(256 K³‖Y‖_F^{2−2/K}) has L(t) ≤ L(0) exp(−c^{2−2/K}t). The theorem is on gradient
    descent with tiny rates; here it is read for the flow, which is their limit.
    """

    needs = ("initialization", "training")
    models = ("linear_network",)
    columns = {
        "rate_runs": "runs whose start fulfils the condition of the bound",
        "rate_violations": "of these, runs whose loss exceeds L(0)exp(−2Πα_j t) at a recorded time",
        "rate_margin": "smallest mean rate over its bound 2Πα_j",
        "slower_than_one": "of these, runs with a mean rate below 2 min α_j",
        "single_violations": "of these, runs whose loss exceeds L(0)exp(−2 min α_j t) at some time",
        "printed_alpha": "of these, the largest of the runs' least d_{j+1}-th smallest eigenvalues",
        "rate_exponent": "exponent of the rate as a power of α between two scales of the weights",
        "margin_runs": "runs whose start has a deficiency margin c and is balanced enough for it",
        "margin_violations": "of these, runs with a recorded loss above L(0)exp(−c^{2−2/K}t)",
        "rate_over_margin": "smallest mean rate of these over its bound c^{2−2/K}",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        measured = {}
        for configuration, trained in results.each("training"):
            if configuration.settings.optimizer.name != "gradient_flow":
                continue
            model = configuration.settings.model
            first = matrices(model, results.at("initialization", configuration.label))
            table.row(configuration, **_margin_row(configuration, first, trained))
            alphas = _alphas(model.widths, first)
            chosen = np.flatnonzero((alphas > 0).all(axis=1))
            if len(chosen) and _shrinking(model.widths):
                bound = 2 * np.prod(alphas[chosen], axis=1)
                interval = configuration.settings.optimizer.interval
                part, single = trained.isel(run=chosen), 2 * alphas[chosen].min(axis=1)
                rate, above = _rates(part, interval, bound)
                table.row(
                    configuration,
                    **_row(rate, above, alphas[chosen]),
                    single_violations=_rates(part, interval, single)[1].sum(),
                    printed_alpha=_printed_alphas(model.widths, first)[chosen].min(axis=1).max(),
                )
                measured[configuration.label] = Measured(chosen, alphas[chosen], rate)
        for configuration, other in _scaled(results.configurations, measured):
            exponents = _exponents(measured[configuration.label], measured[other.label])
            table.row(configuration, rate_exponent=nnflow.mean(exponents))
        return table.dataset().assign(_by_run(measured))


class Measured(NamedTuple):
    """The runs that fulfil the condition (run,), their α_j (run, j) and rates (run,)."""

    runs: np.ndarray
    alphas: np.ndarray
    rate: np.ndarray


def _shrinking(widths: list[int]) -> bool:
    """d₁ ≥ … ≥ d_H, with hidden layers at all."""
    inner = widths[1:-1]
    return bool(inner) and inner == sorted(inner, reverse=True)


def _exponents(one: Measured, other: Measured) -> np.ndarray:
    """log of the rates' ratio over log of the ratio of α₁, for each run that is in both."""
    _, mine, its = np.intersect1d(one.runs, other.runs, return_indices=True)
    rates = np.log(one.rate[mine] / other.rate[its])
    return rates / np.log(one.alphas[mine, 0] / other.alphas[its, 0])


def _by_run(measured: dict[str, Measured]) -> dict[str, tuple]:
    """What is measured of each run, and the labels beside it."""
    products = [np.prod(part.alphas, axis=1) for part in measured.values()]
    where = [label for label, part in measured.items() for _ in part.runs]
    return {
        "where": ("run", np.array(where, dtype=str)),
        "run_alpha": ("run", np.concatenate([[], *products])),
        "run_rate": ("run", np.concatenate([[], *(part.rate for part in measured.values())])),
    }


def _printed_alphas(widths: list[int], layers: list[np.ndarray]) -> np.ndarray:
    """The d_{j+1}-th smallest eigenvalues, (run, j), for d_j ≥ d_{j+1}."""
    places = [(j, widths[j + 2] - 1) for j in range(len(layers) - 1)]
    found = [np.linalg.eigvalsh(_imbalance(layers, j))[:, place] for j, place in places]
    return np.stack(found, axis=1)


def _alphas(widths: list[int], layers: list[np.ndarray]) -> np.ndarray:
    """α_j, (run, j)."""
    found = []
    for j in range(len(layers) - 1):
        order = np.linalg.eigvalsh(_imbalance(layers, j))[:, ::-1]
        least = widths[j + 2] - 1
        found.append(order[:, least] if least < order.shape[1] else np.zeros(len(order)))
    return np.array(found).T.reshape(len(layers[0]), -1)


def _imbalance(layers: list[np.ndarray], j: int) -> np.ndarray:
    """W_{j+1}ᵀW_{j+1} − W_jW_jᵀ, counted from 0, (run, d_j, d_j)."""
    upper, lower = layers[j + 1], layers[j]
    return np.swapaxes(upper, 1, 2) @ upper - lower @ np.swapaxes(lower, 1, 2)


def _margin_row(configuration, layers: list[np.ndarray], trained) -> dict[str, float]:
    """The bound by the deficiency margin, where any run has one."""
    model, count = configuration.settings.model, len(layers)
    target = np.linalg.norm(model.y)
    missing = np.linalg.norm(
        product(layers, model.widths[0], len(layers[0])) - model.y, axis=(1, 2)
    )
    margin = np.linalg.svd(model.y, compute_uv=False)[-1] - missing
    allowed = np.maximum(margin, 0) ** 2 / (256 * count**3 * target ** (2 - 2 / count))
    unbalanced = [np.linalg.norm(_imbalance(layers, j), axis=(1, 2)) for j in range(count - 1)]
    # a balanced start is so up to rounding
    chosen = np.flatnonzero((margin > 0) & (np.max(unbalanced, axis=0) <= allowed + 1e-14))
    if not len(chosen):
        return {}
    bound = margin[chosen] ** (2 - 2 / count)
    interval = configuration.settings.optimizer.interval
    rate, above = _rates(trained.isel(run=chosen), interval, bound)
    return {
        "margin_runs": len(chosen),
        "margin_violations": above.sum(),
        "rate_over_margin": (rate / bound).min(),
    }


def _rates(trained, interval: float, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean rate until the loss has fallen by `FALL`; is the loss ever above L(0)exp(−least·t)?"""
    time, loss = trained["trace_step"].values * interval, trained["trace_loss"].values
    bound = loss[:, :1] * np.exp(-least[:, None] * time)
    # below 1e-20 the loss is rounding; NaN after the end compares as false
    above = ((loss > bound * (1 + 1e-9)) & (loss > 1e-20)).any(axis=1)
    rates = []
    for row in loss:
        height = np.log(row[np.isfinite(row) & (row > 0)] / row[0])
        passed = np.interp(-np.log(FALL), -height, time[: len(height)])
        rates.append(min(-height[-1], -np.log(FALL)) / passed)
    return np.array(rates), above


def _row(rate: np.ndarray, above: np.ndarray, alphas: np.ndarray) -> dict[str, float]:
    return {
        "rate_runs": len(rate),
        "rate_violations": above.sum(),
        "rate_margin": (rate / (2 * np.prod(alphas, axis=1))).min(),
        "slower_than_one": (rate < 2 * alphas.min(axis=1)).sum(),
    }


def _scaled(configurations, measured) -> list[tuple]:
    """Pairs of measured configurations with common starts of the same widths, the one of a
    smaller and the other of a larger variance."""
    variances = [
        (one, one.settings.model.widths, one.settings.initializer.law.variance)
        for one in configurations
        if one.label in measured
        and hasattr(getattr(one.settings.initializer, "law", None), "variance")
    ]
    return [
        (one, other)
        for one, widths, variance in variances
        for other, others, larger in variances
        if widths == others and variance < larger
    ]


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_rate", LinearRate)
