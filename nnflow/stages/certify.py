"""certify: proofs about the critical points, in ball arithmetic."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow.engine.critical import IS_GLOBAL, KINDS
from nnflow.engine.families import NO_FAMILY
from nnflow.proofs.certificates import center_of, enclosure_of, proofs_dataset, weight_axes
from nnflow.proofs.proof import prove
from nnflow.stages.job import Job
from nnflow.study.stage_settings import Certify
from nnflow.study.types import Configuration


def certify(job: Job) -> None:
    """Certify one point of each of the most frequent families; writes certificates.nc."""
    datasets = {}
    with job.reporter.running() as reporter:
        for number, (configuration, critical) in enumerate(job.read.each("critical_points")):
            datasets[configuration.label] = _certificates(configuration, critical)
            reporter.update(
                number + 1, len(job.study.configurations), f"configurations · {configuration.label}"
            )
    job.write(job.folder / "certificates.nc", datasets, "certificates")


def _certificates(configuration: Configuration, critical: xr.Dataset) -> xr.Dataset:
    settings, model = configuration.settings.certify, configuration.settings.model
    rows, counts = representatives(critical, settings)
    chosen = critical.isel(run=rows)
    weights = {
        name: (axes, chosen[name].values.astype(np.float64))
        for name, axes in weight_axes(model).items()
    }
    kept = {
        "run": (chosen["run"].values, "run that the center is the end of"),
        "family": (chosen["family"].values, "family of that run"),
        "count": (counts, "runs in that family"),
    }
    kept = {name: ("certificate", v, {"long_name": text}) for name, (v, text) in kept.items()}
    numbers = {"certificate": np.arange(len(rows))}
    centers = xr.Dataset({**weights, **kept}, numbers)
    enclosure = enclosure_of(model)
    proofs = [
        prove(enclosure, center_of(model, centers, i), settings.radius, settings.precision)
        for i in range(len(rows))
    ]
    return proofs_dataset(model, centers, proofs, settings.precision)


def representatives(critical: xr.Dataset, settings: Certify) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the runs to be certified, one per family, and the sizes of the families: of each
    kind the most frequent ones, and of each of them the run of smallest gradient."""
    family = critical["family"].values
    eligible = family != NO_FAMILY
    if not settings.global_minima:
        eligible &= critical["is_global"].values != IS_GLOBAL.index("yes")
    chosen: list[tuple[int, int]] = []
    for kind in settings.kinds:
        rows = np.flatnonzero(eligible & (critical["kind"].values == KINDS.index(kind)))
        labels, counts = np.unique(family[rows], return_counts=True)
        for place in np.argsort(-counts, kind="stable")[: settings.most]:
            members = rows[family[rows] == labels[place]]
            best = members[np.argmin(critical["gradient_norm"].values[members])]
            chosen.append((int(best), int(counts[place])))
    rows, sizes = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    return rows, sizes
