"""The exponential rate at which linear networks learn, beside its bound."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis

from ..._matrices import matrices, product, table

COLUMNS = {
    "rate_runs": "runs whose start fulfils the condition of the bound",
    "rate_violations": "of these, runs whose loss exceeds L(0)exp(−2Πα_j t) at a recorded time",
    "rate_margin": "smallest mean rate over its bound 2Πα_j",
    "slower_than_one": "of these, runs with a mean rate below 2 min α_j",
    "rate_exponent": "exponent of the rate as a power of α between two scales of the weights",
    "margin_runs": "runs whose start has a deficiency margin c and is balanced enough for it",
    "margin_violations": "of these, runs with a recorded loss above L(0)exp(−c^{2−2/K}t)",
    "rate_over_margin": "smallest mean rate of these over its bound c^{2−2/K}",
}
FALL = 1e-6
"""The mean rate is that until the loss has fallen by this factor."""


class LinearRate(Analysis):
    """L(t) ≤ L(0) exp(−2α₁⋯α_H t), with α_j the d_{j+1}-th largest eigenvalue of
    W_{j+1}ᵀW_{j+1} − W_jW_jᵀ at the start, for d₁ ≥ … ≥ d_H and positive α_j.

    Chitour, Liao & Couillet (arXiv:1811.03568); their slides print a single α. Measured at
    the points of the optimizer `gradient_flow`. The exponent compares points of the same
    widths and common starts, run by run: all weights multiplied by c, Y by c^K. Per run that
    fulfils the condition: `run_alpha` = Πα_j and `run_rate`, with the point's label in `where`.

    The second bound, of Arora, Cohen, Golowich & Hu (arXiv:1810.02281, Theorem 1): with W =
    W_K⋯W₁, a start with ‖W − Y‖_F ≤ σ_min(Y) − c and ‖W_{j+1}ᵀW_{j+1} − W_jW_jᵀ‖_F ≤
    c²/(256 K³‖Y‖_F^{2−2/K}) has L(t) ≤ L(0) exp(−c^{2−2/K}t). The theorem is on gradient
    descent with tiny rates; here it is read for the flow, which is their limit.
    """

    needs = ("initialization", "training")

    def compute(self, results):
        rows, found, runs = {}, {}, {}
        for configuration, trained in results.each("training"):
            rows[configuration.label] = {}
            if configuration.settings.optimizer.name != "gradient_flow":
                continue
            first = matrices(
                configuration.settings.model, results.at("initialization", configuration.label)
            )
            rows[configuration.label] = _margin_row(configuration, first, trained)
            alphas = _alphas(configuration.settings.model.widths, first)
            chosen = np.flatnonzero((alphas > 0).all(axis=1))
            widths = configuration.settings.model.widths[1:-1]
            if not len(chosen) or not widths or widths != sorted(widths, reverse=True):
                continue
            interval = configuration.settings.optimizer.interval
            bound = 2 * np.prod(alphas[chosen], axis=1)
            rate, above = _rates(trained.isel(run=chosen), interval, bound)
            rows[configuration.label] |= _row(rate, above, alphas[chosen])
            runs[configuration.label] = np.prod(alphas[chosen], axis=1), rate
            found[configuration.label] = {
                run: (rate[i], alphas[run, 0]) for i, run in enumerate(chosen)
            }
        for label, other in _scaled(results.configurations, found):
            exponents = [
                np.log(found[label][run][0] / found[other][run][0])
                / np.log(found[label][run][1] / found[other][run][1])
                for run in found[label]
                if run in found[other]
            ]
            value, low, high = nnflow.mean(np.array(exponents))
            exponent = {"rate_exponent": value, "rate_exponent_low": low}
            rows[label] |= {**exponent, "rate_exponent_high": high}
        dataset = table(rows, COLUMNS)
        dataset["where"] = "run", np.array([p for p, part in runs.items() for _ in part[0]], str)
        for place, name in enumerate(("run_alpha", "run_rate")):
            dataset[name] = "run", np.concatenate([[], *(part[place] for part in runs.values())])
        return dataset


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
    """The bound by the deficiency margin, where any run of the point has one."""
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


def _scaled(configurations, found) -> list[tuple[str, str]]:
    """Pairs of points with common starts of the same widths and another variance."""
    laws = {
        p.label: (p.settings.model.widths, p.settings.initializer.law.variance)
        for p in configurations
        if p.label in found and hasattr(getattr(p.settings.initializer, "law", None), "variance")
    }
    return [
        (label, other)
        for label, (widths, variance) in laws.items()
        for other, (others, larger) in laws.items()
        if widths == others and variance < larger
    ]


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_rate", LinearRate)
