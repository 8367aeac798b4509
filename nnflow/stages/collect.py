"""collect: the batches of training and of classification joined into the study's datasets."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.flags import flag_mask
from nnflow.engine.critical import KINDS, SENSITIVE, one_kind, sensitive
from nnflow.engine.families import NO_FAMILY, beside, families
from nnflow.stages.job import Job
from nnflow.study.types import Configuration

TITLES = {"training": "ends of training", "critical_points": "critical points"}
"""The datasets that are made batch by batch, with their titles."""
REASONS = {
    "gradient": "with a gradient that is not below classify.critical_below",
    "curvature": "with a gradient too large for their curvature",
    "not_finite": "not finite",
}
"""What keeps runs from being critical, in words."""
SHOWN = 5
"""At most so many families are named."""


def collect(job: Job, dataset: str) -> None:
    """Join the batches of `training` or `critical_points`; writes DATASET.nc."""
    parts: dict[str, list[xr.Dataset]] = defaultdict(list)
    for number, slices in enumerate(job.study.batches):
        found = job.read_slices(job.batch_path(dataset, number), slices)
        for run_slice, part in zip(slices, found, strict=True):
            parts[run_slice.configuration.label].append(part)
    joined = {
        configuration.label: xr.concat(
            parts[configuration.label], "run", data_vars="minimal", coords="minimal"
        )
        for configuration in job.study.configurations
    }
    if dataset == "critical_points":
        joined = {p.label: _with_families(p, joined[p.label]) for p in job.study.configurations}
        for label, critical in joined.items():
            for line in _sentences(label, critical):
                job.reporter.line(line)
    job.write(job.folder / f"{dataset}.nc", joined, TITLES[dataset])


def _with_families(configuration: Configuration, critical: xr.Dataset) -> xr.Dataset:
    """The dataset with `family` and `sensitive`, without what gave them; a family has one kind."""
    kind, settings = critical["kind"], configuration.settings.classify
    reached = ~flag_mask(kind, "not_critical")
    loss = np.where(reached, critical["loss"].values, np.nan)
    invariant, within = critical["invariant"].values, settings.family_within
    isolated = np.isin(kind.values, [KINDS.index(k) for k in ("minimum", "saddle", "maximum")])
    degenerate = flag_mask(kind, "degenerate")
    isolated &= ~beside(loss, invariant, isolated, degenerate, within)
    apart = isolated | (critical["straight"].values == 1)
    number = families(loss, invariant, apart, within)
    counts = [critical[name].values for name in ("index", "nullity")]
    one, (index, nullity), split = one_kind(number, kind.values, counts)
    doubt = sensitive(critical["zero_range"].values, settings.zero_below)
    doubt[split] = SENSITIVE.index("yes")
    for family in np.unique(number[(doubt == SENSITIVE.index("yes")) & (number != NO_FAMILY)]):
        doubt[number == family] = SENSITIVE.index("yes")
    attributes = {"long_name": "family, by rising loss (-1: none)"}
    question = (
        "would a zero threshold ten times as large or small judge a run of the family otherwise?"
    )
    return critical.drop_vars(["invariant", "straight"]).assign(
        kind=("run", one, kind.attrs),
        index=("run", index, critical["index"].attrs),
        nullity=("run", nullity, critical["nullity"].attrs),
        family=("run", number, attributes),
        sensitive=store.flags(doubt, SENSITIVE, long_name=question),
    )


def _sentences(label: str, critical: xr.Dataset) -> list[str]:
    """What a user should know of the runs of one configuration: how many are not critical, and why,
    and which families hang on a threshold."""
    lines = []
    lost = flag_mask(critical["kind"], "not_critical")
    if lost.any():
        reasons = [
            f"{count} {REASONS[name]}"
            for name in REASONS
            if (count := int((flag_mask(critical["obstacle"], name) & lost).sum()))
        ]
        lines.append(
            f"{label}: {lost.sum()} of {len(lost)} runs are not critical: {', '.join(reasons)}"
        )
    hanging = np.unique(critical["family"].values[flag_mask(critical["sensitive"], "yes")])
    hanging = hanging[hanging != NO_FAMILY]
    if len(hanging):
        shown = ", ".join(map(str, hanging[:SHOWN])) + (" …" if len(hanging) > SHOWN else "")
        lines.append(f"{label}: families that hang on classify.zero_below: {shown}")
    return lines
