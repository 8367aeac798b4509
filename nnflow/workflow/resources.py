"""Time and memory that each job asks a scheduler for.

Every job asks for an hour: no job of the studies here takes a quarter of one, and one that takes
longer is cut off, asks for twice as much, and resumes from its checkpoint. Memory is what a job can
really lack: it is what the libraries take, and a few copies of the numbers that the job holds.
Each retry asks for GROWTH times as much of both. All batches of a study ask for what the largest
needs, so that they can be one array job.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nnflow.study.types import Configuration, ConfigurationSettings, Study

MINUTES = 60
LONGEST = 24 * 60
"""Most minutes: what nearly every cluster allows."""
GROWTH = 2
"""What each retry asks for, as a multiple of the attempt before."""

LIBRARIES_MB = {"initialize": 600, "collect": 800, "analyze": 2000, "summarize": 600, "draw": 700}
"""Megabytes without any data, of which an analysis may have plenty of its own; measured up to 390
in initialize, 240 in collect, 410 in summarize, 470 in draw."""
TORCH_MB = 900
"""The same for all other stages; measured 310 to 330, 410 to 470 with compiled code, and up to 670
with basin tests and data."""
COPIES = 6
"""Copies of a run's weights: initial, current, moved, gradient, dataset, file."""
READ_COPIES = 3
"""Copies of what is recorded of a run while it is read, worked on and written."""
PIECE_COPIES = 4
"""Copies of what a batch has of one configuration while collect reads and writes it: its weights,
or the weights kept along their way."""
HELD = 16
"""Numbers of each run that collect holds while it finds families; measured 4 to 11."""
TRACED = 40
"""Numbers per recorded step and run: loss, gradient norm, and observables, of which models usually
have a few, and linear networks of several layers (the invariants of linear_flow) 35."""
HESSIANS = 8
"""Matrices of weight × weight at once: Hessian, eigenvectors, work space, temporaries."""
TRIANGLE = 0.6
"""Where a Hessian is factorized in blocks: one triangle, and blocks of columns beside it."""
BALLS = 64
"""The same in a certificate, whose numbers are balls; measured 60: 3 GB at 2500 weights."""
SMALL_MB = 256
"""Small Hessians are worked on in groups of this many megabytes."""


@dataclass(frozen=True)
class Request:
    """What one job needs: megabytes, an upper end."""

    megabytes: float

    def runtime(self, attempt: int = 1) -> int:
        """Minutes to ask for at the given attempt (1, 2, …)."""
        return min(LONGEST, MINUTES * GROWTH ** (attempt - 1))

    def memory(self, attempt: int = 1) -> int:
        """Megabytes to ask for at the given attempt (1, 2, …)."""
        return math.ceil(self.megabytes) * GROWTH ** (attempt - 1)


def resources_for(study: Study, stage: str) -> Request:
    """What a job of the stage needs in the study: libraries, copies of its numbers, Hessians."""
    by_part = {"train": _of_batches, "classify": _of_batches, "collect": _of_slices}
    runs = by_part.get(stage, _of_study)(study)
    numbers = max(sum(count * _numbers(one, stage) for one, count in part) for part in runs)
    if stage == "collect":
        numbers += HELD * max((count for part in _of_study(study) for _, count in part), default=0)
    hessians = _hessians_mb(study, stage)
    groups = SMALL_MB if stage == "classify" else 0
    return Request(LIBRARIES_MB.get(stage, TORCH_MB) + _mb(numbers) + max(hessians, groups))


def planned_size(settings: ConfigurationSettings) -> int:
    """Number of weights; of a model whose size is not known before it is built, the largest whose
    Hessians are formed, as those are what takes memory."""
    known = settings.model.size_if_known()
    return settings.classify.dense_up_to if known is None else known


Runs = Iterable[tuple[Configuration, int]]


def _of_batches(study: Study) -> list[Runs]:
    """(configuration, runs) of the slices of each batch."""
    if not study.trains:
        return [[]]
    return [[(one.configuration, one.stop - one.start) for one in b] for b in study.batches]


def _of_study(study: Study) -> list[Runs]:
    return [[(one, one.runs) for one in study.configurations if study.trains]]


def _of_slices(study: Study) -> list[Runs]:
    return [[one] for batch in _of_batches(study) for one in batch] or [[]]


def _numbers(configuration: Configuration, stage: str) -> float:
    """All copies of a run's weights, and of its trace and the weights kept along it."""
    weights = planned_size(configuration.settings)
    if stage == "initialize":
        return COPIES * weights
    trace, steps = configuration.settings.trace, configuration.settings.stop.steps
    decades = math.log10(max(10, steps))
    recorded = min(1 + steps, 2 + decades * (trace.points_per_decade or 0))
    kept = 0 if trace.weights is None else min(1 + steps, 2 + decades * trace.weights)
    if stage == "collect":
        return PIECE_COPIES * max(1, kept) * weights
    return COPIES * weights + READ_COPIES * (TRACED * recorded + kept * weights)


def _hessians_mb(study: Study, stage: str) -> float:
    """The matrices of the configuration with the largest ones, where the stage forms any."""
    if not study.trains or stage not in ("classify", "spectrum", "certify"):
        return 0.0
    return max(
        _matrices(one.settings, stage) * _mb(planned_size(one.settings) ** 2)
        for one in study.configurations
    )


def _matrices(settings: ConfigurationSettings, stage: str) -> float:
    """Numbers per weight². Without dense Hessians, spectra are compared with one."""
    weights = planned_size(settings)
    if stage == "certify":
        return BALLS if settings.certify else 0
    if weights <= settings.classify.dense_up_to:
        return HESSIANS * (settings.spectrum.most / 2 if stage == "spectrum" else 1)
    if stage == "classify":
        return TRIANGLE if weights <= settings.classify.factorize_up_to else 0
    return HESSIANS if weights <= settings.spectrum.compare_dense_up_to else 0


def _mb(numbers: float) -> float:
    return 8 * numbers / 2**20
