"""train: every run from its first weights to its end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr

from nnflow import store
from nnflow.faults import blaming
from nnflow.job import Job, pick_device, run_coordinate
from nnflow.objective import make_objective
from nnflow.outcome import STATUS, STOPPED_BY, Groups, Outcome, Position
from nnflow.progress import Reporter
from nnflow.promises import check_training
from nnflow.study import Experiment, Piece
from nnflow.training import Report
from nnflow.training import train as train_ensemble
from nnflow.weights import from_flat, to_flat


def train(job: Job, batch: int) -> None:
    """Train the runs of one batch; writes batches/training-BATCH.nc.

    What is done is kept at intervals, and a job that was stopped goes on from there, to the
    same bits.
    """
    torch.set_num_threads(1)
    pieces = job.study.batches[batch]
    total = sum(piece.stop - piece.start for piece in pieces)
    finished = 0
    done: list[Groups] = []
    datasets = []
    checkpoint = job.checkpoint("train", batch, job.folder / "initialization.nc")
    saved = checkpoint.load()
    with job.reporter.running() as reporter, checkpoint.at_the_end():
        for number, piece in enumerate(pieces):
            report = _progress(reporter, piece.point.label, finished, total)

            def keep(position: Position) -> None:
                checkpoint.keep(lambda: _numbered([*done, position.groups()]))

            outcome = _train_piece(job, piece, report, keep, _of_piece(saved, number))
            datasets.append(_dataset(piece.point.experiment, piece, outcome))
            done.append(outcome.groups())
            checkpoint.keep(lambda: _numbered(done))
            finished += piece.stop - piece.start
    job.write_pieces(job.batch_path("training", batch), pieces, datasets, "ends of training")
    checkpoint.remove()


def _numbered(pieces: list[Groups]) -> Groups:
    """The groups of all pieces, with the number of the piece before each name."""
    return {
        f"{number} {name}": arrays
        for number, groups in enumerate(pieces)
        for name, arrays in groups.items()
    }


def _of_piece(saved: Groups, number: int) -> Groups:
    """The groups of one piece; {} where nothing of it was saved."""
    parts = ((label.split(), arrays) for label, arrays in saved.items())
    return {name: arrays for (place, name), arrays in parts if int(place) == number}


def _progress(reporter: Reporter, label: str, before: int, total: int) -> Report:
    def report(done: int, step: int, lowest: float, highest: float) -> None:
        detail = f"runs finished · {label} · step {step}"
        if np.isfinite(highest):
            detail += f" · loss {lowest:.3g} to {highest:.3g}"
        reporter.update(before + done, total, detail)

    return report


def _train_piece(
    job: Job, piece: Piece, report: Report, keep: Callable[[Position], None], saved: Groups
) -> Outcome:
    experiment = piece.point.experiment
    model, optimizer = experiment.model, experiment.optimizer
    device = torch.device(pick_device(job.gpus))
    if saved and "running" not in saved:
        return Outcome.from_groups(saved, device)
    first = job.read.at("initialization", piece.point.label)
    precision = getattr(torch, experiment.precision)
    initial = to_flat(model, first.isel(run=slice(piece.start, piece.stop)), device).to(precision)
    with blaming(job, (model, experiment.dataset, optimizer), piece.point.label):
        objective = make_objective(job.study, piece, "train", job.data, device, precision)
        check_training(objective, optimizer, initial)
        return train_ensemble(
            objective,
            optimizer,
            initial,
            experiment.stop,
            experiment.trace,
            report,
            keep,
            Position.from_groups(saved, device) if saved else None,
        )


def _dataset(experiment: Experiment, piece: Piece, outcome: Outcome) -> xr.Dataset:
    norm = {"frobenius": "Frobenius norm", "neuron": "largest norm of a neuron's part"}
    variables = from_flat(experiment.model, outcome.weights)
    variables |= {
        "loss": (("run",), outcome.loss, {"long_name": "loss at the end"}),
        "gradient_norm": (
            ("run",),
            outcome.gradient_norm,
            {"long_name": f"{norm[experiment.stop.norm]} of the gradient at the end"},
        ),
        "steps": (
            ("run",),
            outcome.steps,
            {
                "long_name": "steps to the end",
                "units": "1",
                "comment": f"the rules are looked at every {experiment.stop.check_every} steps",
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
    coordinates = run_coordinate(piece.start, piece.stop)
    coordinates["trace_step"] = (
        "trace_step",
        outcome.trace_step,
        {"long_name": "recorded steps", "units": "1"},
    )
    return xr.Dataset(variables, coordinates)
