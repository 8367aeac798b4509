"""The families of symmetric critical points, followed to any width."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, UserError, flag_mask, torch

from ....general._padding import padded
from ._limits import limit

MODEL = "relu_symmetric_family"
COLUMNS = {
    "runs_apart": "largest distance between the critical points of two runs",
    "gradient_norm": "Frobenius norm of the whole gradient",
    "root_error": "length of another Newton step: how far the true critical point is",
    "loss": "loss F",
    "loss_low": "loss F: proved lower bound",
    "loss_high": "loss F: proved upper bound",
    "scaled_loss": "k·F",
    "whole_kind": "kind of critical point among all networks",
    "proved": "what the certificate proves",
    "proved_spurious": "1 where it proves a spurious minimum, else 0",
    "proved_saddle": "1 where it proves a saddle, else 0",
    "proved_distance": "how far from these weights the true critical point is at most",
    "index": "negative eigenvalues of the whole Hessian",
    "nullity": "zero eigenvalues of the whole Hessian",
    "not_positive": "negative and zero eigenvalues of the whole Hessian",
    "lowest_eigenvalue": "lowest eigenvalue of the whole Hessian",
    "lowest_eigenvalue_low": "lowest eigenvalue of the whole Hessian: proved lower bound",
    "lowest_eigenvalue_high": "lowest eigenvalue of the whole Hessian: proved upper bound",
    "highest_eigenvalue": "highest eigenvalue of the whole Hessian",
    "eigenvalue_residual": "largest norm of Bv - lambda v in a block B of the Hessian",
    "distinct_eigenvalues": "distinct eigenvalues of the whole Hessian",
    "eigenvalue_gap": "smallest difference of two distinct eigenvalues",
    "eigenvalues": "eigenvalues of the whole Hessian with multiplicities",
    "above_one": "eigenvalues of the whole Hessian above 1, divided by k",
    "norm_surplus": "sum of the neurons' norms, minus k",
    "loss_limit": "limit of F as k grows, for t of the order of k",
    "loss_limit_low": "limit of F: lower end",
    "loss_limit_high": "limit of F: upper end",
    "scaled_loss_limit": "limit of k·F as k grows, for fixed t",
    "scaled_loss_limit_low": "limit of k·F: lower end",
    "scaled_loss_limit_high": "limit of k·F: upper end",
    "eigenvalue_limit": "limit of the lowest eigenvalue as k grows",
    "eigenvalue_limit_low": "limit of the lowest eigenvalue: lower end",
    "eigenvalue_limit_high": "limit of the lowest eigenvalue: upper end",
}
ENTRIES = {
    "a": "w_ii of a neuron along its teacher",
    "b": "w_ij between two such neurons",
    "c": "w_ij of such a neuron at a turned one's input",
    "d": "w_ij of a turned neuron at such a one's input",
    "e": "w_ii of a turned neuron",
    "f": "w_ij between two turned neurons",
}
SAME = 1e-12
"""Eigenvalues count as one where they differ by less than this times the largest. Rounding is
near 1e-15 of it; the column eigenvalue_gap is the smallest difference of two."""


class SymmetricFamilies(Analysis):
    """Weights, loss and whole Hessian spectrum of the critical points of `relu_symmetric_family`.

    The spectrum comes from the blocks into which S_{k−t} × S_t splits the Hessian, so that
    index, nullity and eigenvalues are those of the full network at any k. What the certificate
    proves of the whole network is beside it, and its bounds are the intervals of the loss and of
    the lowest eigenvalue. Arrays over
    (point, mode): `eigenvalue`, ascending, with its `multiplicity` and `part`, the
    representation that it belongs to.

    Limits: F of the families of which all but at most one neuron are turned, k·F of the
    others, and the lowest eigenvalue, each a power series in 1/√k. At a family's largest k:
    extrapolated by a polynomial in 1/√k through its points from `limit_from` on; the interval is
    what leaving out the least or the greatest k changes.
    """

    needs = ("critical_points", "certificates")

    limit_from: PositiveInt = 100
    """Least k that limits are extrapolated from."""

    def compute(self, results):
        import xarray as xr

        rows = [
            _row(results, configuration, ends)
            for configuration, ends in results.each("critical_points")
        ]
        models = [configuration.settings.model for configuration in results.configurations]
        for model, (columns, _) in zip(models, rows, strict=True):
            columns["family"] = _family(model)
        self._add_limits(models, [columns for columns, _ in rows])
        variables = {
            name: (
                "configuration",
                _column([columns for columns, _ in rows], name),
                {"long_name": text},
            )
            for name, text in ({"family": "family"} | COLUMNS | ENTRIES).items()
        }
        for name, text in (
            ("eigenvalue", "eigenvalue of the whole Hessian"),
            ("multiplicity", "its multiplicity"),
            ("part", "representation of S_(k-t) x S_t that it belongs to"),
        ):
            some = padded([np.array(spectrum[name]) for _, spectrum in rows])
            variables[name] = (("configuration", "mode"), some, {"long_name": text})
        return xr.Dataset(
            variables,
            {"configuration": [configuration.label for configuration in results.configurations]},
        )

    def _add_limits(self, models, rows) -> None:
        order = sorted(range(len(rows)), key=lambda i: (rows[i]["family"], models[i].k))
        for _, places in groupby(order, key=lambda i: rows[i]["family"]):
            some = [place for place in places if models[place].k >= self.limit_from]
            if not some:
                continue
            last, k = rows[some[-1]], np.array([models[place].k for place in some])
            many = models[some[-1]].turned >= models[some[-1]].k - 1
            name = "loss" if many else "scaled_loss"
            for source, column in ((name, name), ("lowest_eigenvalue", "eigenvalue")):
                found = limit(k, np.array([rows[place][source] for place in some]))
                for end, value in zip(("", "_low", "_high"), found, strict=True):
                    last[f"{column}_limit{end}"] = value


def _family(model) -> str:
    """The isotropy of a family, with its type in the literature where it has one."""
    along, turned = model.k - model.turned, model.turned
    if along == 0:
        return "type A: S_k"
    if along == 1:
        return "type I: S_1 × S_(k−1)"
    return f"{'type II: ' if turned == 1 else ''}S_(k−{turned}) × S_{turned}"


def _column(rows, name: str) -> np.ndarray:
    text = name in ("family", "whole_kind", "proved")
    values = [row.get(name, "" if text else np.nan) for row in rows]
    whole = not text and all(isinstance(value, (int, np.integer)) for value in values)
    return np.array(values, dtype=str if text else np.int64 if whole else float)


def _row(results, configuration, ends) -> tuple[dict, dict[str, list]]:
    """Columns and spectrum of one point."""
    model = configuration.settings.model
    if model.name != MODEL:
        raise UserError(
            f"{results.study.file}: analyses: symmetric_families needs the model {MODEL}"
            f" ({configuration.label} has {model.name})"
        )
    shifts = ends["shift"].values
    weights = {"shift": torch.as_tensor(shifts[:1])}
    spectrum, residual = _spectrum(model, weights)
    values, counts = np.array(spectrum["eigenvalue"]), np.array(spectrum["multiplicity"])
    zero = configuration.settings.classify.zero_below * np.abs(values).max()
    gaps = np.diff(values)
    apart = gaps > SAME * np.abs(values).max()
    index = int(counts[values < -zero].sum())
    nullity = int(counts[np.abs(values) <= zero].sum())
    critical = not flag_mask(ends["kind"], "not_critical")[0]
    entries = model.entries(weights)[0].numpy()
    norms = (np.array(model.sizes) * (model.norms(weights)[0].numpy() - 1)).sum()
    columns = {
        "runs_apart": np.linalg.norm(shifts - shifts[:1], axis=1).max(),
        "gradient_norm": float(ends["gradient_norm"].values[0]),
        "root_error": _newton_step(model, weights),
        "loss": float(ends["loss"].values[0]),
        "scaled_loss": model.k * float(ends["loss"].values[0]),
        "whole_kind": _kind(critical, index, nullity),
        "index": index,
        "nullity": nullity,
        "not_positive": index + nullity,
        "lowest_eigenvalue": values[0],
        "highest_eigenvalue": values[-1],
        "eigenvalue_residual": residual,
        "distinct_eigenvalues": int(apart.sum()) + 1,
        "eigenvalue_gap": gaps[apart].min(),
        "eigenvalues": int(counts.sum()),
        "above_one": counts[values > 1].sum() / model.k,
        "norm_surplus": norms,
    }
    columns |= _proved(results.at("certificates", configuration.label))
    return columns | dict(zip(model.letters, entries.tolist(), strict=True)), spectrum


def _proved(certificates) -> dict:
    """What the first certificate of a point proves; nothing where it has none."""
    if certificates.sizes["certificate"] == 0:
        return {"proved": "no certificate", "proved_spurious": 0, "proved_saddle": 0}
    first = certificates.isel(certificate=0)
    columns = {"proved_distance": float(first["distance"])}
    for name, meaning in (("proved_spurious", "spurious_minimum"), ("proved_saddle", "saddle")):
        columns[name] = int(flag_mask(first["verdict"], meaning))
    meanings = first["verdict"].attrs["flag_meanings"].split()
    columns["proved"] = meanings[int(first["verdict"])].replace("_", " ")
    for name, source in (("loss", "loss"), ("lowest_eigenvalue", "min_eigenvalue")):
        for end in ("low", "high"):
            columns[f"{name}_{end}"] = float(first[f"{source}_{end}"])
    return columns


def _spectrum(model, weights) -> tuple[dict[str, list], float]:
    """Distinct eigenvalues in ascending order with multiplicities and parts; the largest
    residual."""
    found, residual = [], 0.0
    for name, multiplicity, matrix in model.blocks(weights):
        values, vectors = torch.linalg.eigh(matrix[0])
        errors = torch.linalg.vector_norm(matrix[0] @ vectors - values * vectors, dim=0)
        residual = max(residual, float(errors.max()))
        found += [(value, multiplicity, name) for value in values.tolist()]
    found.sort()
    names = ("eigenvalue", "multiplicity", "part")
    return {name: [row[i] for row in found] for i, name in enumerate(names)}, residual


def _newton_step(model, weights) -> float:
    """‖H⁻¹g‖ in the fixed subspace, in the metric of the whole weights."""
    gradient = model.gradient(weights, {})["shift"]
    return float(torch.linalg.vector_norm(torch.linalg.solve(model.hessian(weights, {}), gradient)))


def _kind(critical: bool, index: int, nullity: int) -> str:
    if not critical:
        return "not critical"
    return "saddle" if index else "degenerate" if nullity else "minimum"


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_families", SymmetricFamilies)
