"""The landscape at one point of weight space, for notebooks: `nnflow.Landscape`.

It is a study of one run that is neither trained nor polished: the objective, the eigenvalue solvers
and the stages are those of the workflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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
from nnflow.engine import landscape as points_landscape
from nnflow.engine.eigenvalues import TOLERANCE, dense_eigenvalues, extreme_eigenvalues
from nnflow.engine.gauss_newton import MATRICES
from nnflow.engine.lanczos import stochastic_density
from nnflow.engine.objective import Objective, make_objective, numpy_product
from nnflow.engine.trace import trace
from nnflow.engine.weights import to_flat, with_buffers
from nnflow.interfaces import Dataset, Initializer
from nnflow.interfaces.registry import registry
from nnflow.stages import notebook_figures  # noqa: F401 - datasets get `.nnflow.plot()`
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.stages.notebook_datasets import density_dataset, spectrum_dataset, trace_dataset
from nnflow.stages.opening import open_results
from nnflow.stages.train import train
from nnflow.study.types import Configuration, ConfigurationSettings, RunSlice, Study, StudySettings
from nnflow.workflow.config import data_folder, read_config

PRECISIONS = ("float64", "float32", "bfloat16")


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

    def __init__(
        self,
        module: Any,
        loss: Any,
        data: Any,
        mode: str | None = None,
        precision: str = "float64",
    ) -> None:
        """module: in its mode, or in `mode`: eval or train. loss: a plugin of nnflow by its name, a
        function of outputs and targets, or None where forward gives the loss. data: a pair of
        inputs and targets, a mapping of arrays, a torch.utils.data.Dataset, or None. precision: of
        the loss and of its derivatives, float64, float32 or bfloat16; what is made of them is
        computed in float64, and `classify` is in float64 throughout. Raises UserError where these
        give no loss."""
        if precision not in PRECISIONS:
            raise UserError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        self._precision = getattr(torch, precision)
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
        self._precision = torch.float64
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
        self._products: dict[str, Any] = {}
        self._data = data if data is not None else Path()

    @cached_property
    def objective(self) -> Objective:
        """The loss as a function of flat weights, as the stages use it."""
        study = self._study()
        run_slice = RunSlice(study.configurations[0], 0, 1)
        kind = self._precision
        objective = make_objective(study, run_slice, "analyze", self._data, "cpu", kind)
        return with_buffers(objective, self._dataset, "cpu", kind)

    @cached_property
    def weights(self) -> torch.Tensor:
        """The point, (1, weight)."""
        return to_flat(self._settings.model, self._dataset, "cpu").to(self._precision)

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.weights.shape[1]

    def spectrum(
        self,
        top: int = 10,
        bottom: int = 10,
        curvature: str = "hessian",
        tolerance: float | None = None,
    ) -> xr.Dataset:
        """The `bottom` lowest and `top` highest eigenvalues: `eigenvalue(mode)`, ascending,
        `residual(mode)`, ‖Hv − λv‖, and `converged(mode)`.

        curvature: of the `hessian`, the `gauss_newton` or the `fisher` matrix. From the whole
        matrix where it has at most `classify.dense_up_to` rows (1000), by Lanczos above. tolerance:
        residual, as a fraction of the largest eigenvalue, at which Lanczos ends, after 2560
        products at the latest; None: 1e-8, and more after 512 products.
        Raises UserError for more eigenvalues than there are, and where the loss has no such matrix.
        """
        self._check_counts(top, bottom)
        if tolerance is not None and not tolerance > 0:
            raise UserError(f"spectrum: tolerance must be positive, got {tolerance}")
        matrix = self._matrix(curvature)
        if self._dense:
            whole = self._curved(curvature).hessian(self.weights).double()
            values, residuals = dense_eigenvalues(whole)
            values, residuals = values[0].numpy(), residuals[0].numpy()
            norm, products = np.abs(values).max(), 0
            keep = np.r_[: min(bottom, len(values)), max(bottom, len(values) - top) : len(values)]
            values, residuals = values[keep], residuals[keep]
        else:
            product = self._product(curvature)
            ends = extreme_eigenvalues(product, self.size, bottom, top, tolerance=tolerance)
            values = np.concatenate([ends.lowest, ends.highest])
            residuals = np.concatenate([ends.lowest_residual, ends.highest_residual])
            keep = np.r_[:bottom, self.size - top : self.size]
            norm, products = ends.norm, ends.products
        return spectrum_dataset(
            keep, values, residuals, (norm, tolerance or TOLERANCE), products, matrix
        )

    def density(
        self, steps: int = 80, probes: int = 10, seed: int = 0, curvature: str = "hessian"
    ) -> xr.Dataset:
        """The density of the eigenvalues by stochastic Lanczos quadrature: the raw nodes and
        weights of each probe, `density_node(probe, node)` and `density_weight(probe, node)`; drawn
        on `grid`, `density(grid)` with its band over the probes, `density_low` and `density_high`
        (99 %, Student). curvature: as for `spectrum`."""
        if steps < 1 or probes < 1:
            raise UserError(f"density: steps and probes must be positive, got {steps}, {probes}")
        matrix = self._matrix(curvature)
        with Reporter("density", None).running() as reporter:
            nodes, weights = stochastic_density(
                self._product(curvature),
                self.size,
                steps,
                probes,
                seed,
                lambda done, total: reporter.update(done, total, "probes"),
            )
        return density_dataset(nodes, weights, matrix)

    def trace(
        self, error: float = 0.01, most: int = 3000, seed: int = 0, curvature: str = "hessian"
    ) -> xr.Dataset:
        """The trace by Hutch++: `trace`, its interval `trace_low` to `trace_high` (99.9 %), the
        `products` used, and `converged`: is half the interval at most `error` times the trace?
        most: products at most. curvature: as for `spectrum`."""
        if not error > 0 or most < 3:
            raise UserError(f"trace: error must be positive and most at least 3 ({error}, {most})")
        matrix = self._matrix(curvature)
        with Reporter("trace", None).running() as reporter:
            found = trace(
                self._product(curvature),
                self.size,
                error,
                most,
                seed,
                lambda done, total: reporter.update(done, total, "products"),
            )
        return trace_dataset(found, error, matrix)

    def plane(
        self,
        along: str | tuple[Any, Any] = "eigenvectors",
        size: int = 25,
        reach: float = 1.0,
        seed: int = 0,
    ) -> xr.Dataset:
        """The loss on a plane through the point, as the analysis `loss_planes` computes it:
        `loss(y_place, x_place)` at the distances `x` and `y`, and the `measured_curvature` along
        both directions beside that of the Hessian, `curvature`.

        along: `eigenvectors` (the two highest; also `bottom_eigenvectors`), `random`,
        `filter_normalized`, or two other points, modules, state_dicts or flat weights, that the
        plane goes through. size: grid points along each side. reach: how far the plane goes, in
        norms of the weights, where no points decide. seed: of drawn directions.
        Raises UserError where the directions are one.
        """
        if self._precision != torch.float64:
            raise UserError("plane: planes are computed in float64")
        center = self.weights.numpy()
        if isinstance(along, str):
            names = ("eigenvectors", "bottom_eigenvectors", "random", "filter_normalized")
            if along not in names:
                raise UserError(f"plane: along must be one of {', '.join(names)}, or two points")
            name = "top_eigenvectors" if along == "eigenvectors" else along
            points = center
        elif len(along) == 2:
            name, points = "runs", np.concatenate([center, *map(self._flat, along)])
        else:
            raise UserError(f"plane: a plane goes through two other points, not {len(along)}")
        try:
            planes = registry().get("analyses", "loss_planes")(
                planes=[name], size=size, reach=reach
            )
        except ValidationError as error:
            raise UserError(f"plane: {explain(error)}") from None
        landscape = points_landscape.Landscape(self.objective)
        found = planes.through(landscape, self._settings.model, name, points, (seed, "here"))
        return found.assign_attrs(what="plane", along=name)

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

    def _matrix(self, curvature: str) -> str:
        """What a curvature is called. Raises UserError where there is none of that name."""
        if curvature not in MATRICES:
            raise UserError(f"curvature must be one of {', '.join(MATRICES)}, got {curvature!r}")
        return MATRICES[curvature]

    def _curved(self, curvature: str) -> Objective:
        return replace(self.objective, curvature=curvature)

    def _product(self, curvature: str):
        """v ↦ Hv, whose graph is built once."""
        if curvature not in self._products:
            self._products[curvature] = numpy_product(self._curved(curvature), self.weights)
        return self._products[curvature]

    def _flat(self, point: Any) -> np.ndarray:
        """A module, a state_dict or flat weights as (1, weight)."""
        shapes = self._settings.model.shapes()
        if isinstance(point, torch.nn.Module):
            point = point.state_dict()
        if isinstance(point, Mapping):
            parts = {name: np.asarray(point[name]) for name in shapes if name in point}
            wrong = [
                name for name in shapes if name not in parts or parts[name].shape != shapes[name]
            ]
            if wrong:
                raise UserError(f"plane: a point does not fit the network: {', '.join(wrong)}")
            point = np.concatenate([parts[name].ravel() for name in shapes])
        flat = np.atleast_2d(np.asarray(point, dtype=np.float64))
        if flat.shape != (1, self.size):
            raise UserError(f"plane: a point has {flat.size} weights, and the network {self.size}")
        return flat

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
