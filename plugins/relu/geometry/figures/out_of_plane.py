"""Critical points outside of the teachers' plane."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class OutOfPlane(Figure):
    """Left: the orbit of an out-of-plane critical point under rotations that fix the teachers'
    plane, in the two inputs outside of it; dots: the point itself. Middle: the gradient norm on
    this orbit, and under rotations in a plane that meets the teachers'. Right: zero modes of all
    out-of-plane critical points, against the dimension of the orbit and the neurons that are
    parallel to another one; numbers are counts."""

    needs = ("out_of_plane",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["out_of_plane"]
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 3.1))
        if "orbit" in analysis:
            _orbit(left, analysis)
            _gradient(middle, analysis)
        _modes(right, analysis)
        return figure


def _orbit(axis, analysis) -> None:
    outside = analysis["orbit"].values[..., -2:]
    for neuron in range(outside.shape[1]):
        color = f"C{neuron}"
        label = f"w$_{neuron + 1}$"
        axis.plot(*outside[:, neuron].T, color=color, lw=3 - 1.5 * neuron, label=label)
        axis.plot(*outside[0, neuron], "o", ms=6, color=color, mec="k")
    inputs = analysis.sizes["input"]
    axis.set(
        xlabel=f"weight of input {inputs - 1}", ylabel=f"weight of input {inputs}", aspect="equal"
    )
    axis.set_title(f"(a) orbit, K = {outside.shape[1]}, d = {inputs}")
    axis.legend(loc="center")


def _gradient(axis, analysis) -> None:
    turn = analysis["turn"].values / np.pi
    for name, label in (
        ("tilted_gradient", "out of the plane"),
        ("orbit_gradient", "outside of it"),
    ):
        values = np.maximum(analysis[name].values, 1e-18)
        axis.plot(turn, values, label=f"rotated {label}")
    axis.set(
        yscale="log", xlabel="angle of the rotation / π", ylabel="gradient norm", ylim=(1e-18, 10)
    )
    axis.set_title("(b) ∇ along rotations")
    axis.legend(loc="center")


def _modes(axis, analysis) -> None:
    outside = analysis["rank"].values > 0
    dimension = (analysis["orbit_dimension"] + analysis["parallel"]).values[outside]
    nullity = analysis["nullity"].values[outside]
    room = (analysis["inputs"] - analysis["neurons"]).values[outside]
    most = int(max(dimension.max(initial=0), nullity.max(initial=0)))
    axis.plot([-0.5, most + 0.5], [-0.5, most + 0.5], color="0.6", lw=0.8, zorder=0)
    for number, extra in enumerate(np.unique(room)):
        rows = room == extra
        pairs, counts = np.unique(
            np.stack([dimension[rows], nullity[rows]], axis=1), axis=0, return_counts=True
        )
        shift = 0.22 * (number - (len(np.unique(room)) - 1) / 2)
        color = f"C{number}"
        across = pairs[:, 0] + shift
        axis.scatter(across, pairs[:, 1], s=30, color=color, label=f"d = K + {extra}")
        for x, y, count in zip(across, pairs[:, 1], counts, strict=True):
            # by turns above and below, so that neighbours do not meet
            apart = 6 if number % 2 else -13
            axis.annotate(
                str(count),
                (x, y),
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
