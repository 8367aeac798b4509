"""Certificates: proofs as data, sealed, and checked again from their file alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import TypeAdapter, ValidationError

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.settings import explain
from nnflow.interfaces.analysis import Analysis
from nnflow.interfaces.enclosure import Enclosure
from nnflow.interfaces.model import Model, weight_dimensions
from nnflow.proofs.proof import LOWER, UPPER, VERDICTS, Proof, prove, reason, verdict, weakened

BOUNDS = {
    "distance": "proved: no entry of the critical point differs more from the center's",
    "contraction": "proved: the factor by which a Newton-like map contracts the box",
    "min_eigenvalue_low": "proved: the lowest Hessian eigenvalue in the box is at least this",
    "min_eigenvalue_high": "proved: the lowest Hessian eigenvalue in the box is at most this",
    "max_eigenvalue_low": "proved: the highest Hessian eigenvalue in the box is at least this",
    "max_eigenvalue_high": "proved: the highest Hessian eigenvalue in the box is at most this",
    "loss_low": "proved: the loss in the box is at least this",
    "loss_high": "proved: the loss in the box is at most this",
}
RADIUS = "half-width of the box, in which there is exactly one critical point"
MOST_BITS = 4096
"""Highest precision that a check goes along with; beyond, it would hang."""


@dataclass(frozen=True)
class CheckResult:
    """What a check of one certificate found. proved: None: it claims nothing."""

    name: str
    proved: bool | None
    text: str


def proofs_dataset(
    model: Model, centers: xr.Dataset, proofs: list[Proof], precision: int
) -> xr.Dataset:
    """Certificates as data, sealed.

    centers: the weights at the boxes' centers, and whatever else is to be kept, over the axis
    `certificate`. proofs: as found; they are stated a little weaker.
    """
    claims = [weakened(proof) for proof in proofs]
    verdicts = [verdict(claim, model.infimum()) for claim in claims]
    reasons = [
        reason(claim) if found == "unproved" else ""
        for claim, found in zip(claims, verdicts, strict=True)
    ]
    axis = "certificate"
    variables = {
        name: (axis, np.array([getattr(c, name) for c in claims]), {"long_name": text})
        for name, text in {"radius": RADIUS, **BOUNDS}.items()
    }
    codes = np.array([VERDICTS.index(found) for found in verdicts], dtype=np.int8)
    meanings = store.flags(codes, VERDICTS, long_name="what is proved of the critical point").attrs
    variables["verdict"] = (axis, codes, meanings)
    variables["reason"] = (axis, np.array(reasons, dtype=str), {"long_name": "why unproved"})
    bits = np.full(len(claims), precision, dtype=np.int64)
    variables["precision"] = (axis, bits, {"long_name": "precision of the proof", "units": "bit"})
    described = json.dumps(model.model_dump(mode="json"), sort_keys=True)
    dataset = centers.assign(variables).assign_attrs(model=described)
    for name in model.shapes():
        text = f"weight {name} at the center of the box; float64 numbers, taken as exact"
        dataset[name].attrs["long_name"] = text
    return sealed(dataset)


def sealed(dataset: xr.Dataset) -> xr.Dataset:
    """With the checksum of each certificate: SHA-256 over the model and all of its numbers."""
    sums = [_checksum(dataset, i) for i in range(dataset.sizes["certificate"])]
    text = "SHA-256 of the certificate's model and numbers"
    return dataset.assign(checksum=("certificate", np.array(sums, dtype=str), {"long_name": text}))


def _checksum(dataset: xr.Dataset, number: int) -> str:
    row = dataset.isel(certificate=number)
    content = {
        name: [_written(value) for value in row[name].values.ravel()]
        for name in row.variables
        if name != "checksum" and "certificate" in dataset[name].dims
    }
    made_by = {"model": dataset.attrs.get("model")}
    if "analysis" in dataset.attrs:
        made_by["analysis"] = dataset.attrs["analysis"]
    text = json.dumps({**made_by, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _written(value: np.generic) -> str:
    """A number in full."""
    return float(value).hex() if isinstance(value, np.floating) else str(value)


def check_file(path: Path) -> Iterator[CheckResult]:
    """Prove each certificate of a file again, from what the file says alone.

    A certificate is refused where its content does not fit its checksum, where any bound that
    it states is not proved again, or where its verdict does not follow from its bounds. A bound
    that was weakened, and sealed again, is still a true statement, and is accepted.
    Raises UserError for a file that is missing, damaged, or holds no certificates.
    """
    for label, dataset in store.read(path).items():
        if "analysis" in dataset.attrs:
            yield from _check_analysis(path, dataset)
            continue
        missing = {"checksum", "verdict", "precision", "radius", *BOUNDS} - set(dataset.variables)
        if missing or "model" not in dataset.attrs:
            lacking = sorted(missing)[0] if missing else "model"
            raise UserError(f"{path}: not a file of certificates ({lacking!r} is missing)")
        model = _model(path, dataset)
        for number in range(dataset.sizes["certificate"]):
            name = f"{label} certificate {number}".strip()
            yield _check(name, model, dataset, number)


def _check_analysis(path: Path, dataset: xr.Dataset) -> Iterator[CheckResult]:
    """What an analysis that proves says of a dataset of its own."""
    try:
        analysis = TypeAdapter(Analysis).validate_python(json.loads(dataset.attrs["analysis"]))
        sums = dataset["checksum"].values
    except ValidationError as error:
        raise UserError(f"{path}: analysis: {explain(error, Analysis)}") from None
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: analysis: {' '.join(str(error).split())}") from None
    altered = [i for i, said in enumerate(sums) if str(said) != _checksum(dataset, i)]
    for number in altered:
        text = "altered: its content does not fit its checksum"
        yield CheckResult(f"certificate {number}", False, text)
    if not altered:
        try:
            yield from (CheckResult(*found) for found in analysis.check(dataset))
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{path}: not as {analysis.name!r} writes it: {text}") from None


def _model(path: Path, dataset: xr.Dataset) -> Model:
    try:
        model = TypeAdapter(Model).validate_python(json.loads(dataset.attrs["model"]))
        shapes = {name: dataset[name].shape[1:] for name in model.shapes()}
    except ValidationError as error:
        raise UserError(f"{path}: model: {explain(error, Model)}") from None
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: model: {' '.join(str(error).split())}") from None
    if shapes != model.shapes():
        raise UserError(f"{path}: the weights have shapes {shapes}, the model {model.shapes()}")
    return model


def enclosure_of(model: Model) -> Enclosure:
    """The model's enclosure; UserError where it gives none."""
    enclosure = model.enclosure()
    if enclosure is None:
        raise UserError(f"the model {model.name!r} gives no enclosure, so nothing can be proved")
    return enclosure


def center_of(model: Model, dataset: xr.Dataset, number: int) -> np.ndarray:
    """The weights of one certificate, flat."""
    parts = [dataset[name].values[number].ravel() for name in model.shapes()]
    return np.concatenate(parts).astype(np.float64)


def weight_axes(model: Model) -> dict[str, tuple[str, ...]]:
    """The axes of each weight over certificates."""
    return {name: ("certificate", *axes) for name, axes in weight_dimensions(model).items()}


def _check(name: str, model: Model, dataset: xr.Dataset, number: int) -> CheckResult:
    row = dataset.isel(certificate=number)
    if str(row["checksum"].item()) != _checksum(dataset, number):
        return CheckResult(name, False, "altered: its content does not fit its checksum")
    precision, radius = int(row["precision"]), float(row["radius"])
    claim = Proof(radius, **{bound: float(row[bound]) for bound in BOUNDS})
    code = int(row["verdict"])
    said = VERDICTS[code] if 0 <= code < len(VERDICTS) else str(code)
    if not 2 <= precision <= MOST_BITS:
        return CheckResult(name, False, f"a precision of {precision} bits is out of range")
    if said != verdict(claim, model.infimum()):
        return CheckResult(name, False, f"its bounds do not make it a {said}")
    if claim == Proof(radius):
        return CheckResult(name, None, f"unproved, nothing is claimed: {row['reason'].item()}")
    try:
        proof = prove(enclosure_of(model), center_of(model, dataset, number), radius, precision)
    except ValueError as error:
        return CheckResult(name, False, str(error))
    for bound in BOUNDS:
        if not _implied(bound, getattr(proof, bound), getattr(claim, bound)):
            why = f" ({proof.obstacle})" if proof.obstacle else ""
            text = f"{bound} = {getattr(claim, bound):.17g} is not proved again{why}"
            return CheckResult(name, False, text)
    return CheckResult(name, True, described(said, claim, model.name))


def _implied(bound: str, proved: float, claimed: float) -> bool:
    assert bound in UPPER or bound in LOWER
    return proved <= claimed if bound in UPPER else proved >= claimed


def described(said: str, claim: Proof, model: str) -> str:
    """A certificate in one line. Boxes are of the model's own weights: where these are those of
    symmetric networks, it says nothing of other networks nearby."""
    return (
        f"{said.replace('_', ' ')}: one critical point within {claim.distance:.1e} of the center"
        f" and no other within {claim.radius:.1e} in the weights of {model}, lowest eigenvalue in"
        f" [{claim.min_eigenvalue_low:.9f}, {claim.min_eigenvalue_high:.9f}], loss in"
        f" [{claim.loss_low:.9f}, {claim.loss_high:.9f}]"
    )
