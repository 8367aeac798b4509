"""The landscape at one point of weight space, for notebooks: `nnflow.Landscape`.

It is a study of one run that is neither trained nor polished: the objective, the eigenvalue solvers
and the stages are those of the workflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from pydantic import PrivateAttr, ValidationError

from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.base.settings import explain
from nnflow.engine import density as densities
from nnflow.engine.eigenvalues import TOLERANCE, dense_eigenvalues, extreme_eigenvalues
from nnflow.engine.lanczos import stochastic_density
from nnflow.engine.objective import Objective, make_objective, numpy_product
from nnflow.engine.trace import CONFIDENCE, trace
from nnflow.engine.weights import to_flat, with_buffers
from nnflow.interfaces import Dataset, Initializer
from nnflow.interfaces.registry import registry
from nnflow.stages import notebook_figures  # noqa: F401 - datasets get `.nnflow.plot()`
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.stages.opening import open_results
from nnflow.stages.train import train
from nnflow.study.types import Configuration, ConfigurationSettings, RunSlice, Study, StudySettings
from nnflow.workflow.config import data_folder, read_config

GRID = 401
"""Points at which a density is drawn."""
WIDTH = 0.01
"""Standard deviation by which a density's nodes are spread, as a fraction of their range."""
EIGENVALUE = {"long_name": "eigenvalue of the Hessian", "units": "loss per squared weight"}


class _Given(Initializer):
    """Weights and buffers that are there already."""

    _numbers: dict[str, np.ndarray] = PrivateAttr(default_factory=dict)

    def start(self, start):
        return self._numbers


class _Arrays(Dataset):
    """Arrays that are there already."""

    _arrays: dict[str, np.ndarray] = PrivateAttr(default_factory=dict)
    __hash__ = object.__hash__

    def load(self, folder):
        return self._arrays


_Given.name, _Arrays.name = "given", "data"


class Landscape:
    """A loss around given weights: eigenvalues, density and trace of its Hessian, and what kind of
    point it is.

    `Landscape(module, loss, data)` is that of a torch.nn.Module with its weights and buffers as
    they are, `Landscape.of("study", run=3)` that of a run. Nothing is trained or moved. Results are
    xarray datasets, drawn by `dataset.nnflow.plot()`.
    """

    def __init__(self, module: Any, loss: Any, data: Any, mode: str | None = None) -> None:
        """module: in its mode, or in `mode`: eval or train. loss: a plugin of nnflow by its name, a
        function of outputs and targets, or None where forward gives the loss. data: a pair of
        inputs and targets, a mapping of arrays, a torch.utils.data.Dataset, or None. Raises
        UserError where these give no loss."""
        try:
            model = registry().get("models", "torch_module").of(module, loss, mode)
        except ValidationError as error:
            raise UserError(f"Landscape: {explain(error)}") from None
        arrays = _arrays(data)
        dataset = None if arrays is None else _Arrays()
        if dataset is not None:
            dataset._arrays = arrays
        settings = ConfigurationSettings(model=model, dataset=dataset)
        self._begin(settings, model.present(), 0, None)
        self.objective.loss(self.weights)  # what can't be evaluated is told here

    @classmethod
    def of(
        cls,
        study: str,
        run: int = 0,
        configuration: str | None = None,
        at: str = "critical_points",
        scale: str = "quick",
        results: Path | str = "results",
    ) -> Landscape:
        """The landscape at a run of a study of the project in the working folder.

        configuration: its label; None where the study has only one. at: training, critical_points
        or initialization. Raises UserError where there is no such run.
        """
        read = open_results(study, scale, results)
        if configuration is None:
            if len(read.configurations) > 1:
                labels = ", ".join(one.label for one in read.configurations)
                raise UserError(f"{study}: has several configurations; name one of: {labels}")
            configuration = read.configurations[0].label
        chosen, dataset = read.configuration(configuration), read.at(at, configuration)
        if run not in dataset["run"].values:
            raise UserError(f"{study}: no run {run} (there are 0 to {dataset.sizes['run'] - 1})")
        numbers, model = dataset.sel(run=[run]), chosen.settings.model
        if model is None:
            raise UserError(f"{study}: the study names no model, so there is no loss")
        varied = chosen.grid.values("model", np.array([run]))
        model = model.with_values({name: float(value[0]) for name, value in varied.items()})
        given = {name: numbers[name].values for name in (*model.shapes(), *model.buffers())}
        self = cls.__new__(cls)
        settings = chosen.settings.model_copy(update={"model": model})
        self._begin(settings, given, read.study.settings.seed, data_folder(None, read_config()))
        return self

    def _begin(
        self, settings: ConfigurationSettings, numbers: Mapping, seed: int, data: Path | None
    ) -> None:
        start = _Given()
        start._numbers = {name: np.asarray(value) for name, value in numbers.items()}
        alone = {"initializer": start, "optimizer": None, "runs": 1, "vary": {}, "certify": None}
        self._settings = settings.model_copy(update=alone)
        self._numbers, self._seed = start._numbers, seed
        self._data = data if data is not None else Path()

    @cached_property
    def objective(self) -> Objective:
        """The loss as a function of flat weights, as the stages use it."""
        study = self._study()
        run_slice = RunSlice(study.configurations[0], 0, 1)
        objective = make_objective(study, run_slice, "analyze", self._data, "cpu")
        return with_buffers(objective, self._dataset, "cpu")

    @cached_property
    def weights(self) -> torch.Tensor:
        """The point, (1, weight)."""
        return to_flat(self._settings.model, self._dataset, "cpu")

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.weights.shape[1]

    def spectrum(self, top: int = 10, bottom: int = 10) -> xr.Dataset:
        """The `bottom` lowest and `top` highest eigenvalues of the Hessian: `eigenvalue(mode)`,
        ascending, `residual(mode)`, ‖Hv − λv‖, and `converged(mode)`.

        From the whole Hessian where it has at most `classify.dense_up_to` rows (1000), by Lanczos
        above. Raises UserError for more eigenvalues than there are.
        """
        self._check_counts(top, bottom)
        if self._dense:
            values, residuals = dense_eigenvalues(self.objective.hessian(self.weights))
            values, residuals = values[0].numpy(), residuals[0].numpy()
            norm, products = np.abs(values).max(), 0
            keep = np.r_[: min(bottom, len(values)), max(bottom, len(values) - top) : len(values)]
            values, residuals = values[keep], residuals[keep]
        else:
            ends = extreme_eigenvalues(self._product, self.size, max(top, bottom))
            low, high = slice(0, bottom), slice(max(top, bottom) - top, None)
            values = np.concatenate([ends.lowest[low], ends.highest[high]])
            residuals = np.concatenate([ends.lowest_residual[low], ends.highest_residual[high]])
            norm = max(np.abs(ends.lowest).max(), np.abs(ends.highest).max())
            keep, products = np.r_[:bottom, self.size - top : self.size], ends.products
        converged = residuals <= TOLERANCE * norm
        return xr.Dataset(
            {
                "eigenvalue": ("mode", values, EIGENVALUE),
                "residual": (
                    "mode",
                    residuals,
                    {**EIGENVALUE, "long_name": "norm of Hv - lambda v: its error is at most this"},
                ),
                "converged": (
                    "mode",
                    converged,
                    {"long_name": f"residual at most {TOLERANCE:g} of the largest magnitude"},
                ),
            },
            {"mode": ("mode", keep, {"long_name": "number of the eigenvalue, from below"})},
            {"what": "spectrum", "products": products},
        )

    def density(self, steps: int = 80, probes: int = 10, seed: int = 0) -> xr.Dataset:
        """The density of the Hessian's eigenvalues by stochastic Lanczos quadrature: the raw nodes
        and weights of each probe, `density_node(probe, node)` and `density_weight(probe, node)`;
        drawn on `grid`, `density(grid)` with its band over the probes, `density_low` and
        `density_high` (99 %, Student)."""
        if steps < 1 or probes < 1:
            raise UserError(f"density: steps and probes must be positive, got {steps}, {probes}")
        with Reporter("density", None).running() as reporter:
            nodes, weights = stochastic_density(
                self._product,
                self.size,
                steps,
                probes,
                seed,
                lambda done, total: reporter.update(done, total, "probes"),
            )
        return _density_dataset(nodes, weights)

    def trace(self, error: float = 0.01, most: int = 3000, seed: int = 0) -> xr.Dataset:
        """The trace of the Hessian by Hutch++: `trace`, its interval `trace_low` to `trace_high`
        (99.9 %), the `products` used, and `converged`: is half the interval at most `error` times
        the trace? most: products at most."""
        if not error > 0 or most < 3:
            raise UserError(f"trace: error must be positive and most at least 3 ({error}, {most})")
        with Reporter("trace", None).running() as reporter:
            found = trace(
                self._product,
                self.size,
                error,
                most,
                seed,
                lambda done, total: reporter.update(done, total, "products"),
            )
        units = EIGENVALUE["units"]
        level = f"{100 * CONFIDENCE:g} %"
        return xr.Dataset(
            {
                "trace": (
                    (),
                    found.estimate,
                    {"long_name": "trace of the Hessian", "units": units},
                ),
                "trace_low": (
                    (),
                    found.low,
                    {"long_name": f"its lower end, {level}", "units": units},
                ),
                "trace_high": (
                    (),
                    found.high,
                    {"long_name": f"its upper end, {level}", "units": units},
                ),
                "products": ((), found.products, {"long_name": "products used", "units": "1"}),
                "converged": (
                    (),
                    found.converged,
                    {"long_name": f"half the interval is at most {error:g} of the trace"},
                ),
            },
            attrs={"what": "trace"},
        )

    def classify(self, polish: bool = False) -> xr.Dataset:
        """What the stage classify says of the point: `loss`, `gradient_norm`, `kind`, `index`, … as
        in critical_points.nc, without the dimension `run`. polish: move it onto the critical point
        beside it first."""
        settings = self._settings.classify.model_copy(
            update={"polish": "newton" if polish else "none"}
        )
        with _temporary() as folder:
            reporter = Reporter("classify", None)
            job = Job(self._study(settings), folder, self._data, 0, {}, reporter)
            initialize(job)
            train(job, 0)
            classify(job, 0)
            collect(job, "critical_points")
            found = job.read.at("critical_points", "all").isel(run=0, drop=True).load()
        return found.assign_attrs(what="classification")

    def loss(self) -> float:
        """L."""
        return float(self.objective.loss(self.weights)[0])

    @property
    def _dense(self) -> bool:
        return self.size <= self._settings.classify.dense_up_to

    @cached_property
    def _product(self):
        """v ↦ Hv."""
        return numpy_product(self.objective, self.weights)

    @cached_property
    def _dataset(self) -> xr.Dataset:
        """Weights and buffers of the one run."""
        return xr.Dataset(
            {
                name: (("run", *(f"{name}_{axis}" for axis in range(values.ndim - 1))), values)
                for name, values in self._numbers.items()
            }
        )

    def _study(self, classified: Any = None) -> Study:
        settings = self._settings
        if classified is not None:
            settings = settings.model_copy(update={"classify": classified})
        once = StudySettings(title="A landscape", seed=self._seed)
        return Study("landscape", "Landscape", "quick", once, (Configuration("all", {}, settings),))

    def _check_counts(self, top: int, bottom: int) -> None:
        if min(top, bottom) < 0 or not 0 < max(top, bottom) <= self.size:
            raise UserError(
                f"spectrum: top and bottom must lie between 0 and {self.size}, the number of"
                f" weights, got {top} and {bottom}"
            )


def _density_dataset(nodes: np.ndarray, weights: np.ndarray) -> xr.Dataset:
    """Nodes and weights (probe, node), and the density on a grid with its band."""
    from scipy.special import stdtrit

    from nnflow.base.statistics import CONFIDENCE as BAND

    low, high = np.nanmin(nodes), np.nanmax(nodes)
    width = WIDTH * (high - low or max(abs(high), 1.0))
    grid = np.linspace(low - 4 * width, high + 4 * width, GRID)
    each = densities.density(nodes[:, None], weights[:, None], grid, width)
    probes = len(each)
    half = np.full(GRID, np.inf)
    if probes > 1:
        half = stdtrit(probes - 1, (1 + BAND) / 2) * each.std(axis=0, ddof=1) / np.sqrt(probes)
    middle = each.mean(axis=0)
    per = {"units": "1 / (loss per squared weight)"}
    ends = {"density_low": np.maximum(middle - half, 0), "density_high": middle + half}
    variables = densities.variables((), nodes, weights)
    words = {"density_low": "lower", "density_high": "upper"}
    variables["density"] = ("grid", middle, {"long_name": "density of the eigenvalues", **per})
    for name, values in ends.items():
        text = f"its {words[name]} end over the probes, {100 * BAND:g} %"
        variables[name] = ("grid", values, {"long_name": text, **per})
    variables["grid"] = ("grid", grid, EIGENVALUE)
    return xr.Dataset(variables, attrs={"what": "density", "width": width})


def _arrays(data: Any) -> dict[str, Any] | None:
    """Data by name. Raises UserError for what can't be read twice."""
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {name: np.asarray(array) for name, array in data.items()}
    if isinstance(data, tuple) and all(hasattr(part, "shape") for part in data):
        if len(data) != 2:
            raise UserError(f"data: expected (inputs, targets), got {len(data)} arrays")
        return {"inputs": np.asarray(data[0]), "targets": np.asarray(data[1])}
    if hasattr(data, "shape"):
        return {"inputs": np.asarray(data)}
    return registry().get("datasets", "torch_dataset").arrays_of(data)


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
