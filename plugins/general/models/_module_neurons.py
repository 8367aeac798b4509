"""Which axes of a module's weights and buffers are one set of interchangeable neurons."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from nnflow import UserError

AxisName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""A name for an axis: a small letter, then small letters, digits or _."""


def named_axes(path: str, neurons: dict[str, dict[str, int]], shapes: dict) -> dict:
    """{name: names of its axes} of the weights and buffers that have such axes.

    path: the module's, for messages. neurons: {axis: {weight or buffer: which of its axes}}.
    shapes: those of all weights and buffers of one run. Raises UserError where one is not there,
    or the lengths differ.
    """
    axes = {}
    for neuron, places in neurons.items():
        lengths = {name: _length(path, neuron, name, at, shapes) for name, at in places.items()}
        for name, length in lengths.items():
            first = next(iter(lengths))
            if length != lengths[first]:
                raise UserError(
                    f"{path}: neurons: {neuron}: axis {places[name]} of {name!r} has {length}"
                    f" entries, and axis {places[first]} of {first!r} {lengths[first]}"
                )
            own = axes.setdefault(name, [f"{name}_{i}" for i in range(len(shapes[name]))])
            own[places[name]] = neuron
    return {name: tuple(own) for name, own in axes.items()}


def _length(path, neuron, name, axis, shapes) -> int:
    if name not in shapes:
        known = ", ".join(list(shapes)[:8]) + (", …" if len(shapes) > 8 else "")
        raise UserError(
            f"{path}: neurons: {neuron}: there is no weight or buffer {name!r} (it has: {known})"
        )
    if axis >= len(shapes[name]):
        raise UserError(
            f"{path}: neurons: {neuron}: {name!r} has {len(shapes[name])} axes, counted from 0, and"
            f" no axis {axis}"
        )
    return shapes[name][axis]
