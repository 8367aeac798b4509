"""All critical points of a model of few weights, proved complete."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt, TypeAdapter

import nnflow
from nnflow import Analysis, Model, Table

KINDS = {
    "minimum": "minima",
    "spurious_minimum": "spurious minima",
    "saddle": "saddles",
    "maximum": "maxima",
    "unproved": "critical points of unproved kind",
}
"""What a critical point may be proved to be."""
BOUNDS = {
    "radius": "half-width of the box that holds this critical point alone",
    "distance": "proved: no entry of the critical point is farther from the center",
    "min_eigenvalue_low": "proved: the lowest Hessian eigenvalue is at least this",
    "min_eigenvalue_high": "proved: the lowest Hessian eigenvalue is at most this",
    "loss_low": "proved: the loss is at least this",
    "loss_high": "proved: the loss is at most this",
}


class CompleteList(Analysis):
    """All critical points with entries of modulus at most `half_width`, by branch and prune: each
    of the boxes that the domain is cut into is proved to hold none, or to lie where one is proved
    to be the only one; boxes where neither is proved are undecided. Where the model's enclosure
    proves that there is none beyond, the list is one of all critical points.

    Each point is a certificate: `nnflow certificate check` goes through the whole search again.
    Raises UserError for a model that gives no enclosure.
    """

    columns = {
        "listed": "critical points in the box, each proved to be there",
        **{f"listed_{kind}": f"of them {plural}" for kind, plural in KINDS.items()},
        "undecided_boxes": "boxes in which neither a critical point nor its absence is proved",
        "excluded_boxes": "boxes proved to hold no critical point",
        "complete": "1 where the list is proved to be one of all critical points, else 0",
    }
    half_width: PositiveFloat = Field(default=6.0)
    """Half of the domain's side; its center is 0."""
    narrowest: PositiveFloat = 1e-4
    """Boxes narrower than this are not cut any more, and count as undecided."""
    most_boxes: PositiveInt = 100_000
    """Maximum number of boxes that are examined; the rest are undecided."""

    def compute(self, results):
        table, found = Table(results, self.columns), {}
        for configuration in results.configurations:
            model = configuration.settings.model
            described = json.dumps(model.model_dump(mode="json"), sort_keys=True)
            if described not in found:
                found[described] = self._list(model)
                results.progress(len(found), len(results.configurations))
            table.row(configuration, **_counts(model, *found[described]))
        return self._sealed(table.dataset(), found)

    def _list(self, model):
        """(list, is there none beyond the domain?)"""
        import flint

        enclosure = model.enclosure()
        if enclosure is None:
            raise nnflow.UserError(f"the model {model.name!r} gives no enclosure")
        size = sum(int(np.prod(shape)) for shape in model.shapes().values())
        ends = np.full(size, self.half_width)
        with flint.ctx.workprec(64):
            beyond = enclosure.none_beyond(self.half_width)
        found = nnflow.complete_list(
            enclosure, (-ends, ends), narrowest=self.narrowest, most_boxes=self.most_boxes
        )
        return found, beyond

    def _sealed(self, columns: xr.Dataset, found: dict) -> xr.Dataset:
        """The columns, and the points with what is proved of each."""
        axis = "certificate"
        rows = [
            (described, point, proof, kind)
            for described, (listed, _) in found.items()
            for point, proof, kind in zip(
                listed.points, listed.proofs, listed.kinds(_infimum(described)), strict=True
            )
        ]
        size = max((len(point) for _, point, _, _ in rows), default=0)
        variables = {
            name: (axis, np.array([getattr(proof, name) for _, _, proof, _ in rows]),
                   {"long_name": text, "units": "1"})
            for name, text in BOUNDS.items()
        }  # fmt: skip
        centers = np.array([point for _, point, _, _ in rows]).reshape(len(rows), size)
        text = "the model that this is a critical point of"
        variables |= {
            "center": ((axis, "weight"), centers, {"long_name": "center of the box"}),
            "proved_kind": (axis, np.array([row[3] for row in rows], dtype=str),
                            {"long_name": "what it is proved to be"}),
            "of_model": (axis, np.array([row[0] for row in rows], dtype=str), {"long_name": text}),
        }  # fmt: skip
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return nnflow.sealed(columns.assign(variables).assign_attrs(analysis=described))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Search again, and hold the list against what is found: as many points, each at a center
        of the file, with bounds that are no weaker."""
        models = dataset["of_model"].values.astype(str)
        for described in dict.fromkeys(models.tolist()):
            model = TypeAdapter(Model).validate_python(json.loads(described))
            rows = np.flatnonzero(models == described)
            listed, beyond = self._list(model)
            kinds = listed.kinds(model.infimum())
            for number in rows:
                yield _held(dataset.isel(certificate=number), f"point {number}", listed, kinds)
            whole = not listed.undecided and len(listed.points) == len(rows)
            where = "" if beyond else f" with entries of modulus at most {self.half_width}"
            text = f"{model.name}: {len(rows)} critical points{where}, and no other"
            told = "" if whole else f"; {len(listed.points)} are found again"
            yield f"list of {model.name}", whole, text + told


def _held(row: xr.Dataset, name: str, listed, kinds: list[str]) -> tuple[str, bool, str]:
    """A point of the file against those that are found again."""
    center, distance = row["center"].values, row["distance"].item()
    for point, proof, kind in zip(listed.points, listed.proofs, kinds, strict=True):
        if np.abs(point - center).max() > distance + proof.distance:
            continue
        low = all(getattr(proof, key) >= row[key].item() - _slack(proof) for key in BOUNDS
                  if key.endswith("_low"))  # fmt: skip
        high = all(getattr(proof, key) <= row[key].item() + _slack(proof) for key in BOUNDS
                   if key.endswith("_high"))  # fmt: skip
        if kind == row["proved_kind"].item() and low and high:
            return name, True, f"{kind.replace('_', ' ')} at {point.tolist()}"
    return name, False, "no such critical point is found again"


def _slack(proof) -> float:
    """What the bounds may differ by where another machine's guesses proved them."""
    return 2.0**-30 * (1 + abs(proof.min_eigenvalue_low) + abs(proof.loss_low))


def _infimum(described: str) -> float | None:
    return TypeAdapter(Model).validate_python(json.loads(described)).infimum()


def _counts(model, listed, beyond: bool) -> dict[str, int]:
    """The columns of one configuration."""
    kinds = listed.kinds(model.infimum())
    return {
        "listed": len(listed.points),
        **{f"listed_{kind}": kinds.count(kind) for kind in KINDS},
        "undecided_boxes": len(listed.undecided),
        "excluded_boxes": listed.excluded,
        "complete": int(beyond and not listed.undecided),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("complete_list", CompleteList)
