"""Time and memory that each job asks a scheduler for, from the size of its study.

A limit, not a forecast: a job that is cut off costs its time again, one that asked for too much
only waits longer in the queue. Each retry asks for GROWTH times as much. All batches of a study
ask for what the largest needs, so that they can be one array job. The constants are upper ends
of what results/*/*/benchmarks/*.tsv of the studies here measured on one core of 2.5 GHz.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nnflow.interfaces.model import size
from nnflow.study.types import Configuration, ConfigurationSettings, Study

MARGIN = 2.0
"""Asked for beyond the estimate: slower cores, shared memory buses."""
GROWTH = 2.0
"""What each retry asks for beyond the one before."""
SHORTEST = 10
"""Minutes that the smallest job asks for: schedulers start jobs of 10 minutes as soon as
shorter ones, and the start of Python from a slow shared disk can take one of them."""
LONGEST = 24 * 60
"""Most minutes: what nearly every cluster allows, and training goes on from a checkpoint."""

IMPORTS_MB = 250
"""Memory of Python with xarray and netCDF; measured 85 to 180 MB, with matplotlib 250."""
TORCH_MB = 600
"""The same with torch; measured 310 to 330 MB, 530 with data and Hessians of 1000 weights."""
COPIES = 6
"""Copies of a batch's weights: initial, current, moved, gradient, dataset, file."""
READ_COPIES = 3
"""Copies of a dataset while it is read, worked on and written; measured in collect."""
TRACED = 40
"""Numbers per recorded step and run: loss, gradient norm, and observables, of which models usually
have a few, and linear networks of several layers (the invariants of linear_flow) 35."""
HESSIANS = 8
"""Matrices of weight × weight at once: Hessian, eigenvectors, work space, temporaries."""
HESSIAN_MB = 32
"""Small Hessians are worked on in groups; measured 16 (classify) to 64 (train, fewer copies)."""

STEP = 1e-7
"""Seconds for one step of one weight of one run; measured 1.8e-8 to 6e-8."""
LOOP = 3e-4
"""Seconds for one step besides, however few runs it moves; measured 1e-4 to 2.5e-4."""
EARLY = 0.1
"""Part of the step limit that the mean run of a study with a stop rule goes, at most; measured
0.001 to 0.05. The slowest run goes all of it."""
SAMPLES = 30
"""A step on data costs so many times a step on a population loss (digits, minibatches of 32). How
many samples a dataset has is known only once it is there; full batches need `set-resources`."""
CUBIC = 2e-8
"""Seconds × weights³ to polish and diagonalize one run densely; measured 5e-9."""
PRODUCTS = 400
"""Hessian-vector products, each of about two steps, for both ends of one spectrum."""

PROOF = 4e-7
"""Seconds × weights³ of a certificate: products of matrices of balls; measured 2.3e-7."""
BALLS = 64
"""Numbers per weight² of a certificate; measured 60: 3 GB at 2500 weights."""


@dataclass(frozen=True)
class Request:
    """What one job needs: seconds and megabytes, both upper ends."""

    seconds: float
    megabytes: float

    def runtime(self, attempt: int = 1) -> int:
        """Minutes to ask for at the given attempt (1, 2, …)."""
        minutes = math.ceil(MARGIN * self.seconds / 60)
        return min(LONGEST, max(SHORTEST, minutes) * round(GROWTH ** (attempt - 1)))

    def memory(self, attempt: int = 1) -> int:
        """Megabytes to ask for at the given attempt (1, 2, …)."""
        return math.ceil(self.megabytes) * round(GROWTH ** (attempt - 1))


def resources_for(study: Study, stage: str) -> Request:
    """What a job of the stage needs in the study; one that is not told of here gets an hour
    and room for all datasets."""
    return REQUESTS.get(stage, _analyze)(study)


def _initialize(study: Study) -> Request:
    runs = sum(configuration.runs for configuration in study.configurations)
    return Request(60 + 1e-4 * runs, IMPORTS_MB + _weights_mb(study) * READ_COPIES)


def _train(study: Study) -> Request:
    def seconds(configuration: Configuration, runs: int) -> float:
        stop = configuration.settings.stop
        ends = stop.gradient_norm is not None or stop.basin or stop.loss is not None
        mean = EARLY if ends else 1.0
        return stop.steps * (LOOP + mean * runs * _step(configuration.settings))

    def megabytes(configuration: Configuration, runs: int) -> float:
        numbers = COPIES * _size(configuration) + READ_COPIES * _traced(configuration)
        return _mb(runs * numbers)

    return Request(60 + _largest(study, seconds), TORCH_MB + _largest(study, megabytes))


def _classify(study: Study) -> Request:
    def megabytes(configuration: Configuration, runs: int) -> float:
        return _mb(runs * (COPIES * _size(configuration) + _traced(configuration)))

    seconds = _largest(study, lambda configuration, runs: runs * _ends(configuration.settings))
    hessians = max(_hessians_mb(configuration) for configuration in study.configurations)
    return Request(60 + seconds, TORCH_MB + hessians + _largest(study, megabytes))


def _collect(study: Study) -> Request:
    return Request(60 + 0.1 * _study_mb(study), IMPORTS_MB + READ_COPIES * _study_mb(study))


def _spectrum(study: Study) -> Request:
    """At most `most` spectra of each configuration, or so many at each kept step, and one dense one
    beside matrix-free ones."""

    def spectra(configuration: Configuration) -> float:
        settings = configuration.settings.spectrum
        return settings.most * (_kept(configuration) if settings.at == "trace" else 1)

    def hessians(configuration: Configuration) -> float:
        settings = configuration.settings
        compared = _dense(configuration, settings.spectrum.compare_dense_up_to) * _mb(
            _size(configuration) ** 2
        )
        dense = _dense(configuration, settings.classify.dense_up_to) * _mb(
            _size(configuration) ** 2
        )
        return max(compared, dense * settings.spectrum.most / 2)

    seconds = sum(spectra(p) * _ends(p.settings) for p in study.configurations)
    megabytes = READ_COPIES * _study_mb(study) + max(map(hessians, study.configurations))
    return Request(60 + seconds, TORCH_MB + megabytes)


def _certify(study: Study) -> Request:
    """All certificates of all configurations, one after another."""
    seconds = 0.0
    for configuration in study.configurations:
        settings = configuration.settings.certify
        families = 0 if settings is None else settings.most * len(settings.kinds)
        proofs = min(configuration.runs, families)
        seconds += PROOF * proofs * _size(configuration) ** 3
    balls = BALLS * max(_mb(_size(configuration) ** 2) for configuration in study.configurations)
    return Request(60 + seconds, TORCH_MB + balls + READ_COPIES * _study_mb(study))


def _analyze(study: Study) -> Request:
    """An analysis may do anything: an hour after MARGIN."""
    return Request(1800, 2000 + READ_COPIES * _study_mb(study))


def _table(study: Study) -> Request:
    return Request(60, 500 + READ_COPIES * _study_mb(study))


REQUESTS: dict[str, Callable[[Study], Request]] = {
    "initialize": _initialize,
    "train": _train,
    "classify": _classify,
    "collect": _collect,
    "certify": _certify,
    "spectrum": _spectrum,
    "analyze": _analyze,
    "summarize": _table,
    "draw": _table,
}


def _largest(study: Study, cost: Callable[[Configuration, int], float]) -> float:
    """The cost of the most costly batch; that of a batch is the sum over its slices."""
    if not study.trains:
        return 0.0
    return max(
        sum(cost(p.configuration, p.stop - p.start) for p in batch) for batch in study.batches
    )


def _size(configuration: Configuration) -> int:
    """Weights of one run; 0 where the study does not train."""
    model = configuration.settings.model
    return 0 if model is None else size(model)


def _step(settings: ConfigurationSettings) -> float:
    """Seconds for one step of one run."""
    return STEP * size(settings.model) * (1 if settings.dataset is None else SAMPLES)


def _ends(settings: ConfigurationSettings) -> float:
    """Seconds to find out about the Hessian at the end of one run."""
    if settings.model is None:
        return 0.0
    weights = size(settings.model)
    if weights <= settings.classify.dense_up_to:
        return CUBIC * weights**3 + weights * _step(settings)
    return 2 * PRODUCTS * _step(settings)


def _dense(configuration: Configuration, limit: int) -> int:
    """How many Hessians are held whole at once."""
    return HESSIANS if _size(configuration) <= limit else 0


def _hessians_mb(configuration: Configuration) -> float:
    dense = _dense(configuration, configuration.settings.classify.dense_up_to)
    return dense * max(HESSIAN_MB, _mb(_size(configuration) ** 2))


def _traced(configuration: Configuration) -> float:
    """Numbers in the trace of one run, and in the weights that are kept along it."""
    trace = configuration.settings.trace
    decades = math.log10(max(10, configuration.settings.stop.steps))
    return TRACED * (2 + decades * trace.points_per_decade) + _size(configuration) * _kept(
        configuration
    )


def _kept(configuration: Configuration) -> float:
    """Steps at which the weights of a run are kept."""
    per_decade = configuration.settings.trace.weights
    decades = math.log10(max(10, configuration.settings.stop.steps))
    return 0 if per_decade is None else 2 + decades * per_decade


def _mb(numbers: float) -> float:
    return 8 * numbers / 2**20


def _weights_mb(study: Study) -> float:
    """The weights of all runs."""
    return sum(
        _mb(configuration.runs * _size(configuration)) for configuration in study.configurations
    )


def _study_mb(study: Study) -> float:
    """All that training wrote, of all runs."""
    if not study.trains:
        return 0.0
    traces = sum(
        _mb(configuration.runs * _traced(configuration)) for configuration in study.configurations
    )
    return _weights_mb(study) + traces
