"""train: every run from its first weights to its end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr

from nnflow.base import store
from nnflow.base.progress import Reporter
from nnflow.engine.objective import make_objective
from nnflow.engine.outcome import STATUS, STOPPED_BY, Groups, Outcome, Position
from nnflow.engine.training import Progress
from nnflow.engine.training import train as train_ensemble
from nnflow.engine.weights import from_flat, kept_from_flat, to_flat, with_buffers
from nnflow.interfaces.optimizer import Standing
from nnflow.stages.faults import blaming
from nnflow.stages.job import Job, pick_device, run_coordinates
from nnflow.stages.reading import naming_files
from nnflow.stages.runtime_contract import check_training
from nnflow.study.types import ConfigurationSettings, RunSlice

UNTRAINED = 1e-3
"""A start is no critical point to rounding if its gradient is at least this fraction of the
threshold."""


def train(job: Job, batch: int) -> None:
    """Train the runs of one batch; writes batches/training-BATCH.nc.

    Progress is checkpointed: an interrupted job resumes, with bit-identical results.
    """
    torch.set_num_threads(1)
    slices = job.study.batches[batch]
    total = sum(run_slice.stop - run_slice.start for run_slice in slices)
    finished = 0
    done: list[Groups] = []
    datasets = []
    checkpoint = job.checkpoint("train", batch, job.folder / "initialization.nc")
    saved = checkpoint.load()
    with job.reporter.running() as reporter, checkpoint.at_the_end():
        for number, run_slice in enumerate(slices):
            progress = _progress(reporter, run_slice.configuration.label, finished, total)

            def save(position: Position) -> None:
                checkpoint.save(lambda: _numbered([*done, position.groups()]))

            outcome = _train_slice(job, run_slice, progress, save, _of_slice(saved, number))
            ends = _dataset(run_slice.configuration.settings, run_slice, outcome)
            datasets.append(ends.assign(_buffers(job, run_slice)))
            done.append(outcome.groups())
            checkpoint.save(lambda: _numbered(done))
            finished += run_slice.stop - run_slice.start
            if (text := _at_once(run_slice, outcome)) is not None:
                reporter.note(text)
    job.write_slices(job.batch_path("training", batch), slices, datasets, "ends of training")
    checkpoint.remove()


def _at_once(run_slice: RunSlice, outcome: Outcome) -> str | None:
    """A word on runs that ended before their first step with a gradient below the threshold, though
    it is not rounding: the unit of the loss is small, and such runs were not trained."""
    threshold, count = run_slice.configuration.settings.stop.gradient_norm, len(outcome.steps)
    at_once = (outcome.steps == 0) & (outcome.stopped_by == STOPPED_BY.index("gradient_norm"))
    at_once &= outcome.gradient_norm > UNTRAINED * (threshold or 0)
    if not at_once.any():
        return None
    return (
        f"{run_slice.configuration.label}: {at_once.sum()} of {count} runs had a gradient below"
        f" stop.gradient_norm ({threshold:g}) at their start and were not trained; where the loss"
        " is of a small unit, lower it"
    )


def _numbered(slices: list[Groups]) -> Groups:
    """The groups of all slices, with the number of the run_slice before each name."""
    return {
        f"{number} {name}": arrays
        for number, groups in enumerate(slices)
        for name, arrays in groups.items()
    }


def _of_slice(saved: Groups, number: int) -> Groups:
    """The groups of one run_slice; {} where nothing of it was saved."""
    parts = ((label.split(), arrays) for label, arrays in saved.items())
    return {name: arrays for (place, name), arrays in parts if int(place) == number}


def _progress(reporter: Reporter, label: str, before: int, total: int) -> Progress:
    def progress(done: int, step: int, lowest: float, highest: float) -> None:
        detail = f"runs finished · {label} · step {step}"
        if np.isfinite(highest):
            detail += f" · loss {lowest:.3g} to {highest:.3g}"
        reporter.update(before + done, total, detail)

    return progress


def _train_slice(
    job: Job,
    run_slice: RunSlice,
    progress: Progress,
    save: Callable[[Position], None],
    saved: Groups,
) -> Outcome:
    settings = run_slice.configuration.settings
    model, optimizer, stop = settings.model, settings.optimizer, settings.stop
    if optimizer is None:  # the weights are those of the initializer
        optimizer, stop = Standing(), stop.model_copy(update={"steps": 0})
    device = torch.device(pick_device(job.gpus))
    if saved and "running" not in saved:
        return Outcome.from_groups(saved, device)
    here, precision = _first(job, run_slice), getattr(torch, settings.precision)
    initial = to_flat(model, here, device).to(precision)
    with blaming(job, (model, settings.dataset, optimizer), run_slice.configuration.label):
        with naming_files(job, (model, settings.dataset)):
            objective = make_objective(job.study, run_slice, "train", job.data, device, precision)
        objective = with_buffers(objective, here, device, precision)
        varied = _varied(run_slice, device, precision)
        check_training(objective, optimizer, initial, varied)
        return train_ensemble(
            objective,
            optimizer,
            initial,
            stop,
            settings.trace,
            progress,
            save,
            Position.from_groups(saved, device) if saved else None,
            varied,
        )


def _first(job: Job, run_slice: RunSlice) -> xr.Dataset:
    """The first weights of the slice's runs."""
    whole = job.read.at("initialization", run_slice.configuration.label)
    return whole.isel(run=slice(run_slice.start, run_slice.stop))


def _buffers(job: Job, run_slice: RunSlice) -> dict[str, xr.Variable]:
    """The buffers of the slice's runs, which training leaves as they are."""
    names = run_slice.configuration.settings.model.buffers()
    return {name: _first(job, run_slice)[name].variable for name in names}


def _varied(
    run_slice: RunSlice, device: torch.device, precision: torch.dtype
) -> dict[str, torch.Tensor]:
    """The settings of the optimizer that differ from run to run, (run, 1) each."""
    runs = np.arange(run_slice.start, run_slice.stop)
    found = run_slice.configuration.grid.values("optimizer", runs)
    return {n: torch.as_tensor(v).to(device, precision)[:, None] for n, v in found.items()}


def _dataset(settings: ConfigurationSettings, run_slice: RunSlice, outcome: Outcome) -> xr.Dataset:
    norm = {"frobenius": "Frobenius norm", "neuron": "largest norm of a neuron's part"}
    variables = from_flat(settings.model, outcome.weights)
    variables |= {
        "loss": (("run",), outcome.loss, {"long_name": "loss at the end"}),
        "gradient_norm": (
            ("run",),
            outcome.gradient_norm,
            {"long_name": f"{norm[settings.stop.norm]} of the gradient at the end"},
        ),
        "steps": (
            ("run",),
            outcome.steps,
            {
                "long_name": "steps to the end",
                "units": "1",
                "comment": f"the rules are checked every {settings.stop.check_every} steps",
            },
        ),
        "restarts": (
            ("run",),
            outcome.restarts,
            {"long_name": "restarts with half the step", "units": "1"},
        ),
        "status": store.flags(outcome.status, STATUS, long_name="how the run ended"),
        "stopped_by": store.flags(
            outcome.stopped_by, STOPPED_BY, long_name="the rule that ended the run"
        ),
    }
    for name, values in outcome.trace.items():
        axes = ("run", "trace_step", *(f"{name}_{i}" for i in range(values.ndim - 2)))
        variables[f"trace_{name}"] = (axes, values, {"long_name": f"{name} along the trajectory"})
    coordinates = run_coordinates(run_slice.configuration, run_slice.start, run_slice.stop)
    coordinates["trace_step"] = (
        "trace_step",
        outcome.trace_step,
        {"long_name": "recorded steps", "units": "1"},
    )
    if settings.trace.weights is not None:
        variables |= kept_from_flat(settings.model, outcome.kept)
        text = {"long_name": "steps at which weights are kept", "units": "1"}
        coordinates["kept_step"] = ("kept_step", outcome.kept_step, text)
        if outcome.preconditioner.size:
            axes = ("run", "kept_step", "flat_weight")
            text = {"long_name": "preconditioner of the optimizer, weight by weight"}
            variables["preconditioner"] = (axes, outcome.preconditioner, text)
    return xr.Dataset(variables, coordinates)
