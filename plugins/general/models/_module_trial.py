"""The first evaluation of a module: is its loss a function of weights and data, and how can it be
computed?"""

from __future__ import annotations

from dataclasses import dataclass

from nnflow import UserError, torch

from .._import_path import in_words
from ._module_parts import random_layers

SAME = 1e-10
"""Relative difference up to which runs evaluated together agree with one evaluated alone."""

MODERATE = 1e3
"""Weights up to this size have no excuse for NaN; training ends a run at 1e4 by default."""


@dataclass(frozen=True)
class Trial:
    """What was found. together: can several runs be evaluated at once? records: does the forward
    take derivatives itself, so that it needs them switched on? held: bytes that one run keeps for
    its derivative."""

    together: bool
    records: bool
    held: int


def trial(network, named, data) -> Trial:
    """Evaluate one run, whose weights and buffers `named` have no run axis, on its data. Raises
    UserError, saying what to do, where that gives no loss, or not the same one twice."""
    records = _records(network, named, data)
    with torch.set_grad_enabled(records):
        _check_number(network, named, data)
        _check_twice(network, named, data)
    return Trial(_together(network, named, data), records, _held(network, named, data))


def _records(network, named, data) -> bool:
    """Does the forward need derivatives switched on? Raises UserError where it fails with them."""
    for records in (False, True):
        try:
            with torch.set_grad_enabled(records):
                network.check_classes(named, data)
                network.run_loss(named, data)
            return records
        except UserError:
            raise
        except Exception as error:
            failure = error
    given = ", ".join(f"{n} {tuple(a.shape)} {_word(a)}" for n, a in data.items()) or "nothing"
    raise UserError(
        f"{network.path}: forward fails: {in_words(failure)} (given: {given}); see `arguments`,"
        " and the shapes and types of the dataset"
    ) from failure


def _check_number(network, named, data) -> None:
    """Raise UserError where moderate weights give NaN. Diverged ones may."""
    largest = max(float(named[name].abs().max()) for name in network.trained)
    if torch.isnan(network.run_loss(named, data)) and largest < MODERATE:
        raise UserError(
            f"{network.path}: the loss is NaN at finite weights (the largest is {largest:.3g});"
            " look for log, sqrt or a division in forward and in the loss, and for NaN among the"
            " buffers"
        )


def _check_twice(network, named, data) -> None:
    """Raise UserError unless two evaluations are bit-identical, and leave the data as they are."""
    copy = {name: values.clone() for name, values in named.items()}
    given = {name: array.clone() for name, array in data.items()}
    first = network.run_loss(copy, given, careful=False).detach()
    changed = [n for n, values in copy.items() if not _equal(values, named[n])]
    if spoiled := [name for name, array in given.items() if not _equal(array, data[name])]:
        raise UserError(
            f"{network.path}: forward changes {', '.join(map(repr, spoiled))} in place; use"
            " operations that give new tensors (x = x * 2, not x *= 2)"
        )
    second = network.run_loss(copy, given, careful=False).detach()
    if _equal(first, second):
        return
    if changed:
        raise UserError(
            f"{network.path}: forward changes the buffer {changed[0]!r} in place, and gives another"
            f" loss the second time ({float(first):.6g}, {float(second):.6g}); use `mode: eval`, or"
            " let the loss not depend on how often it was computed"
        )
    layers = random_layers(network.module) if network.module.training else []
    cause = f"dropout in {layers[0]}: use `mode: eval`" if layers else "it draws random numbers"
    raise UserError(
        f"{network.path}: forward gives another loss the second time ({float(first):.6g},"
        f" {float(second):.6g}); {cause}, or keeps a state of its own: make it a function of"
        " weights and data"
    )


def _together(network, named, data) -> bool:
    """Do two runs evaluated at once give what one gives alone, with a gradient?"""
    at = {name: torch.stack([values, values]) for name, values in named.items()}
    at = {n: v.requires_grad_(n in network.trained) for n, v in at.items()}
    try:
        with torch.enable_grad():
            both = network.losses_together(at, data)
            weights = [at[name] for name in network.trained]
            torch.autograd.grad(both.sum(), weights, allow_unused=True)
            alone = network.run_loss(named, data)
    except UserError:
        raise
    except Exception:
        return False
    difference = (both - alone).abs().max()
    return bool(difference <= SAME * (1 + alone.abs())) or not bool(alone.isfinite())


def _held(network, named, data) -> int:
    """Bytes that the graph of one run's loss keeps."""
    seen: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    at = {n: v.clone().requires_grad_(n in network.trained) for n, v in named.items()}
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        loss = network.run_loss(at, data)
    if not loss.requires_grad:
        raise UserError(
            f"{network.path}: the loss does not depend on the weights by differentiable operations;"
            " look for .detach(), .item(), torch.no_grad or argmax in forward"
        )
    return sum(seen.values())


def _equal(a, b) -> bool:
    return torch.equal(a, b) or (
        bool(torch.isnan(a).any()) and torch.equal(a.nan_to_num(), b.nan_to_num())
    )


def _word(array) -> str:
    return str(array.dtype).removeprefix("torch.")
