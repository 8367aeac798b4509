"""train: every run from its first weights to its end."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from nnflow import store
from nnflow.job import Job, pick_device, run_coordinate
from nnflow.objective import make_objective
from nnflow.progress import Reporter
from nnflow.study import Experiment, Piece
from nnflow.training import STATUS, STOPPED_BY, Outcome, Report
from nnflow.training import train as train_ensemble
from nnflow.weights import from_flat, to_flat


def train(job: Job, batch: int) -> None:
    """Train the runs of one batch; writes batches/training-BATCH.nc."""
    torch.set_num_threads(1)
    pieces = job.study.batches[batch]
    total = sum(piece.stop - piece.start for piece in pieces)
    finished = 0
    datasets = []
    with job.reporter.running() as reporter:
        for piece in pieces:
            report = _progress(reporter, piece.point.label, finished, total)
            datasets.append(_train_piece(job, piece, report))
            finished += piece.stop - piece.start
    job.write_pieces(job.batch_path("training", batch), pieces, datasets, "ends of training")


def _progress(reporter: Reporter, label: str, before: int, total: int) -> Report:
    def report(done: int, step: int, lowest: float, highest: float) -> None:
        detail = f"runs finished · {label} · step {step}"
        if np.isfinite(highest):
            detail += f" · loss {lowest:.3g} to {highest:.3g}"
        reporter.update(before + done, total, detail)

    return report


def _train_piece(job: Job, piece: Piece, report: Report) -> xr.Dataset:
    experiment = piece.point.experiment
    device = pick_device(job.gpus)
    initial = job.read.at("initialization", piece.point.label).isel(
        run=slice(piece.start, piece.stop)
    )
    outcome = train_ensemble(
        make_objective(job.study, piece, "train", job.data, device),
        experiment.optimizer,
        to_flat(experiment.model, initial, device),
        experiment.stop,
        experiment.trace,
        report,
    )
    return _dataset(experiment, piece, outcome)


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
