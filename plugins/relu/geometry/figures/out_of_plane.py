"""Critical points outside of the teachers' plane."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class OutOfPlane(Figure):
    """Left: the orbit of an out-of-plane critical point under rotations that fix the teachers'
    plane, in the two inputs outside of it; dots: where it was found. Middle: the gradient norm on
    this orbit, and under rotations in a plane that meets the teachers'. Right: zero modes of all
    out-of-plane critical points found, against the dimension of the orbit and the neurons that are
    parallel to another one; numbers are counts."""

    needs = ("out_of_plane",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["out_of_plane"]
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 3.1))
        if "orbit" in found:
            _orbit(left, found)
            _gradient(middle, found)
        _modes(right, found)
        return figure


def _orbit(axis, found) -> None:
    outside = found["orbit"].values[..., -2:]
    for neuron in range(outside.shape[1]):
        color = f"C{neuron}"
        way = outside[:, neuron]
        label = f"w$_{neuron + 1}$"
        axis.plot(*way.T, color=color, lw=3 - 1.5 * neuron, label=label)
        axis.plot(*way[0], "o", ms=6, color=color, mec="k")
    inputs = found.sizes["input"]
    axis.set(
        xlabel=f"weight of input {inputs - 1}", ylabel=f"weight of input {inputs}", aspect="equal"
    )
    axis.set_title(f"(a) orbit, K = {outside.shape[1]}, d = {inputs}")
    axis.legend(loc="center")


def _gradient(axis, found) -> None:
    turn = found["turn"].values / np.pi
    for name, label in (
        ("tilted_gradient", "out of the plane"),
        ("orbit_gradient", "outside of it"),
    ):
        values = np.maximum(found[name].values, 1e-18)
        axis.plot(turn, values, label=f"rotated {label}")
    axis.set(
        yscale="log", xlabel="angle of the rotation / π", ylabel="gradient norm", ylim=(1e-18, 10)
    )
    axis.set_title("(b) ∇ along rotations")
    axis.legend(loc="center")


def _modes(axis, found) -> None:
    outside = found["rank"].values > 0
    dimension = (found["orbit_dimension"] + found["parallel"]).values[outside]
    nullity = found["nullity"].values[outside]
    room = (found["inputs"] - found["neurons"]).values[outside]
    most = int(max(dimension.max(initial=0), nullity.max(initial=0)))
    axis.plot([-0.5, most + 0.5], [-0.5, most + 0.5], color="0.6", lw=0.8, zorder=0)
    for number, extra in enumerate(np.unique(room)):
        rows = room == extra
        pairs, counts = np.unique(
            np.stack([dimension[rows], nullity[rows]], axis=1), axis=0, return_counts=True
        )
        shift = 0.22 * (number - (len(np.unique(room)) - 1) / 2)
        color = f"C{number}"
        places = pairs[:, 0] + shift
        axis.scatter(places, pairs[:, 1], s=30, color=color, label=f"d = K + {extra}")
        for place, height, count in zip(places, pairs[:, 1], counts, strict=True):
            # by turns above and below, so that neighbours do not meet
            apart = 6 if number % 2 else -13
            axis.annotate(
                str(count),
                (place, height),
                (0, apart),
                textcoords="offset points",
                ha="center",
                color=color,
                fontsize="small",
            )
    axis.set(
        xlabel="orbit dimension + parallel neurons",
        ylabel="zero Hessian modes",
        xlim=(-0.8, most + 0.8),
        ylim=(-0.8, most + 0.8),
    )
    axis.set_xticks(range(most + 1))
    axis.set_yticks(range(most + 1))
    axis.set_title("(c) out-of-plane critical points")
    axis.legend(loc="lower right")


@nnflow.hookimpl
def nnflow_register(register):
    register("out_of_plane", OutOfPlane)
