"""The families of symmetric critical points, followed to any width."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, flag_mask, torch

from ....general._padding import padded
from ._limits import limit

NO_INTERVAL = (np.nan, np.nan, np.nan)
SAME = 1e-12
"""Eigenvalues count as one where they differ by less than this times the largest. Rounding is
near 1e-15 of it; the column eigenvalue_gap is the smallest difference of two."""


class SymmetricFamilies(Analysis):
    """Weights, loss and whole Hessian spectrum of the critical points of `relu_symmetric_family`.

    The spectrum comes from the blocks into which S_{k−t} × S_t splits the Hessian, so that
    index, nullity and eigenvalues are those of the full network at any k. The bounds that the
    certificate proves of the whole network are the intervals of the loss and of the lowest
    eigenvalue. Arrays over (configuration, mode): `eigenvalue`, ascending, with its
    `multiplicity` and `part`, the representation that it belongs to.

    Limits: F of the families of which all but at most one neuron are turned, k·F of the
    others, and the lowest eigenvalue, each a power series in 1/√k. At a family's largest k:
    extrapolated by a polynomial in 1/√k through its configurations from `limit_from` on; the
    interval is what leaving out the least or the greatest k changes.
    """

    needs = ("critical_points", "certificates")
    models = ("relu_symmetric_family",)
    columns = {
        "family": "family",
        "runs_apart": "largest distance between the critical points of two runs",
        "gradient_norm": "Frobenius norm of the whole gradient",
        "root_error": "length of another Newton step, an estimate of the distance of the true"
        " critical point",
        "loss": "loss F, with the proved bounds",
        "scaled_loss": "k·F",
        "whole_kind": "kind of critical point among all networks",
        "proved": "what the certificate proves",
        "proved_spurious": "1 where it proves a spurious minimum, else 0",
        "proved_saddle": "1 where it proves a saddle, else 0",
        "proved_distance": "proved bound on the distance of the true critical point",
        "index": "negative eigenvalues of the whole Hessian",
        "nullity": "zero eigenvalues of the whole Hessian",
        "not_positive": "negative and zero eigenvalues of the whole Hessian",
        "lowest_eigenvalue": "lowest eigenvalue of the whole Hessian, with the proved bounds",
        "highest_eigenvalue": "highest eigenvalue of the whole Hessian",
        "eigenvalue_residual": "largest norm of Bv - lambda v in a block B of the Hessian",
        "distinct_eigenvalues": "distinct eigenvalues of the whole Hessian",
        "eigenvalue_gap": "smallest difference of two distinct eigenvalues",
        "eigenvalues": "eigenvalues of the whole Hessian with multiplicities",
        "above_one": "eigenvalues of the whole Hessian above 1, divided by k",
        "norm_surplus": "sum of the neurons' norms, minus k",
        "loss_limit": "limit of F as k grows, for t of the order of k",
        "scaled_loss_limit": "limit of k·F as k grows, for fixed t",
        "eigenvalue_limit": "limit of the lowest eigenvalue as k grows",
        "a": "w_ii of a neuron along its teacher",
        "b": "w_ij between two such neurons",
        "c": "w_ij of such a neuron at a turned one's input",
        "d": "w_ij of a turned neuron at such a one's input",
        "e": "w_ii of a turned neuron",
        "f": "w_ij between two turned neurons",
    }

    limit_from: PositiveInt = 100
    """Least k that limits are extrapolated from."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        table.everywhere(
            loss_limit=NO_INTERVAL, scaled_loss_limit=NO_INTERVAL, eigenvalue_limit=NO_INTERVAL
        )
        members, spectra = [], []
        for configuration, critical in results.each("critical_points"):
            certificates = results.at("certificates", configuration.label)
            model = configuration.settings.model
            weights = {"shift": torch.as_tensor(critical["shift"].values[:1])}
            spectrum = _spectrum(model, weights)
            loss = float(critical["loss"].values[0])
            lowest, family = spectrum.eigenvalue[0], _family(model)
            table.row(
                configuration,
                family=family,
                **_proved(certificates, loss, lowest),
                **_place(model, weights, critical),
                **_kind(configuration, critical, spectrum),
                **_counts(model, spectrum),
            )
            members.append(Member(configuration, family, model.k, loss, lowest))
            spectra.append(spectrum)
        for configuration, limits in self._limits(members):
            table.row(configuration, **limits)
        columns = table.dataset().assign(_arrays(spectra))
        # the report lets a reader follow a family from width to width
        return _with_blocks(columns, members).assign_attrs(interactive="families")

    def _limits(self, members: list[Member]) -> Iterator[tuple]:
        """(configuration, columns) of the limits, at the largest k of each family."""
        members = sorted(members, key=lambda one: (one.family, one.k))
        for _, group in groupby(members, key=lambda one: one.family):
            some = [one for one in group if one.k >= self.limit_from]
            if not some:
                continue
            k, loss, lowest = (np.array([one[i] for one in some]) for i in (2, 3, 4))
            columns = {"eigenvalue_limit": limit(k, lowest)}
            if some[-1].configuration.settings.model.turned >= some[-1].k - 1:
                columns["loss_limit"] = limit(k, loss)
            else:
                columns["scaled_loss_limit"] = limit(k, k * loss)
            yield some[-1].configuration, columns


class Member(NamedTuple):
    """One width of a family."""

    configuration: object
    family: str
    k: int
    loss: float
    lowest: float


class Spectrum(NamedTuple):
    """Eigenvalues of the whole Hessian in ascending order, each with its multiplicity and the part
    it belongs to, and the largest residual of them all."""

    eigenvalue: np.ndarray
    multiplicity: np.ndarray
    part: np.ndarray
    residual: float


def _family(model) -> str:
    """The isotropy of a family, with its type in the literature where it has one."""
    along, turned = model.k - model.turned, model.turned
    if along == 0:
        return "type A: S_k"
    if along == 1:
        return "type I: S_1 × S_(k−1)"
    return f"{'type II: ' if turned == 1 else ''}S_(k−{turned}) × S_{turned}"


def _proved(certificates, loss: float, lowest: float) -> dict:
    """What the first certificate proves, loss and lowest eigenvalue with their proved bounds."""
    if certificates.sizes["certificate"] == 0:
        return {
            "proved": "no certificate",
            "proved_spurious": 0,
            "proved_saddle": 0,
            "loss": (loss, np.nan, np.nan),
            "lowest_eigenvalue": (lowest, np.nan, np.nan),
        }
    first = certificates.isel(certificate=0)
    meanings = first["verdict"].attrs["flag_meanings"].split()
    bounds = {
        name: [float(first[f"{name}_{end}"]) for end in ("low", "high")]
        for name in ("loss", "min_eigenvalue")
    }
    return {
        "proved": meanings[int(first["verdict"])].replace("_", " "),
        "proved_spurious": int(flag_mask(first["verdict"], "spurious_minimum")),
        "proved_saddle": int(flag_mask(first["verdict"], "saddle")),
        "proved_distance": float(first["distance"]),
        "loss": (loss, *bounds["loss"]),
        "lowest_eigenvalue": (lowest, *bounds["min_eigenvalue"]),
    }


def _place(model, weights, critical) -> dict:
    """The weights, their norms, how exactly they are critical, and the loss times k."""
    shifts = critical["shift"].values
    entries = model.entries(weights)[0].tolist()
    surplus = (np.array(model.sizes) * (model.norms(weights)[0].numpy() - 1)).sum()
    return {
        "runs_apart": np.linalg.norm(shifts - shifts[:1], axis=1).max(),
        "gradient_norm": float(critical["gradient_norm"].values[0]),
        "root_error": _newton_step(model, weights),
        "scaled_loss": model.k * float(critical["loss"].values[0]),
        "norm_surplus": surplus,
        **dict(zip(model.letters, entries, strict=True)),
    }


def _newton_step(model, weights) -> float:
    """‖H⁻¹g‖ in the fixed subspace, in the metric of the whole weights."""
    gradient = model.gradient(weights, {})["shift"]
    return float(torch.linalg.vector_norm(torch.linalg.solve(model.hessian(weights, {}), gradient)))


def _kind(configuration, critical, spectrum: Spectrum) -> dict:
    """Index, nullity and kind among all networks."""
    values, counts = spectrum.eigenvalue, spectrum.multiplicity
    zero = configuration.settings.classify.zero_below * np.abs(values).max()
    index = int(counts[values < -zero].sum())
    nullity = int(counts[np.abs(values) <= zero].sum())
    kind = "saddle" if index else "degenerate" if nullity else "minimum"
    if flag_mask(critical["kind"], "not_critical")[0]:
        kind = "not critical"
    return {
        "whole_kind": kind,
        "index": index,
        "nullity": nullity,
        "not_positive": index + nullity,
    }


def _counts(model, spectrum: Spectrum) -> dict:
    """How many eigenvalues there are, and how well they are known apart."""
    values, counts = spectrum.eigenvalue, spectrum.multiplicity
    gaps = np.diff(values)
    apart = gaps > SAME * np.abs(values).max()
    return {
        "highest_eigenvalue": values[-1],
        "eigenvalue_residual": spectrum.residual,
        "distinct_eigenvalues": int(apart.sum()) + 1,
        "eigenvalue_gap": gaps[apart].min(),
        "eigenvalues": int(counts.sum()),
        "above_one": counts[values > 1].sum() / model.k,
    }


def _spectrum(model, weights) -> Spectrum:
    """The eigenvalues of all blocks of the Hessian."""
    rows, residual = [], 0.0
    for name, multiplicity, matrix in model.blocks(weights):
        values, vectors = torch.linalg.eigh(matrix[0])
        errors = torch.linalg.vector_norm(matrix[0] @ vectors - values * vectors, dim=0)
        residual = max(residual, float(errors.max()))
        rows += [(value, multiplicity, name) for value in values.tolist()]
    return Spectrum(*map(np.array, zip(*sorted(rows), strict=True)), residual)


def _arrays(spectra: list[Spectrum]) -> dict:
    """Variables over (configuration, mode)."""
    texts = {
        "eigenvalue": "eigenvalue of the whole Hessian",
        "multiplicity": "its multiplicity",
        "part": "representation of S_(k-t) x S_t that it belongs to",
    }
    return {
        name: (
            ("configuration", "mode"),
            padded([getattr(spectrum, name) for spectrum in spectra]),
            {"long_name": text},
        )
        for name, text in texts.items()
    }


def _with_blocks(columns, members: list[Member]):
    """The columns with the weight matrices block by block, and what a reader of them asks for."""
    entry = {letter: columns[letter].values for letter in "abcdef"}
    width = np.array([one.k for one in members])
    turned = np.array([one.configuration.settings.model.turned for one in members])
    blocks, pairs = ("configuration", "block"), ("configuration", "block", "input_block")
    own = np.stack([entry["a"], entry["e"]], axis=-1)
    between = np.stack([entry[letter] for letter in "bcdf"], axis=-1).reshape(-1, 2, 2)
    sizes = np.stack([width - turned, turned], axis=-1)
    text = "weight of a neuron of the block at another input, of input_block"
    return columns.assign(
        block_size=(blocks, sizes, {"long_name": "neurons of the block"}),
        own=(blocks, own, {"long_name": "weight of a neuron at its own input"}),
        between=(pairs, between, {"long_name": text}),
    ).assign_coords(
        width=("configuration", width, {"long_name": "neurons k"}),
        kind=("configuration", columns["whole_kind"].values, {"long_name": "kind, as whole_kind"}),
        block=("block", ["aligned", "turned"], {"long_name": "how neurons lie to their teachers"}),
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_families", SymmetricFamilies)
