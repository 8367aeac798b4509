"""The minima of one sigmoid neuron."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, flag_mask, torch


class SigmoidMinima(Figure):
    """(a) The squared error in one dimension against ln w, with its minima: one for each sample.
    (b) In two dimensions: level lines of the loss, and the minima that runs ended at."""

    needs = ("critical_points",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 3.0))
        _line(left, *_widest(results, inputs=1))
        _plane(right, *_widest(results, inputs=2))
        return figure


def _widest(results, inputs: int):
    """Model and minima (point, d) of the configuration with most samples in this dimension."""
    chosen = [
        one
        for one in results.configurations
        if one.settings.model.inputs == inputs and one.settings.model.loss_function == "squared"
    ]
    configuration = max(chosen, key=lambda one: one.settings.model.scales)
    critical = results.at("critical_points", configuration.label)
    at_minimum = flag_mask(critical["kind"], "minimum")
    _, first = np.unique(critical["family"].values[at_minimum], return_index=True)
    return configuration.settings.model, critical["w"].values[at_minimum][first]


def _losses(model, points: np.ndarray) -> np.ndarray:
    return model.loss({"w": torch.as_tensor(points)}, {}).numpy()


def _range(model) -> np.ndarray:
    return np.geomspace(0.1 * model.ratio ** (1 - model.scales), 10, 300)


def _line(axis, model, minima) -> None:
    values = _range(model)
    axis.plot(values, _losses(model, values[:, None]), color="C0", lw=1.2)
    axis.plot(minima[:, 0], _losses(model, minima), "o", ms=5, color="C1")
    axis.set_xscale("log")
    axis.set_xlabel("$w$")
    axis.set_ylabel("loss")
    axis.set_title(f"(a) {model.scales} samples, {len(minima)} minima", fontsize=9, loc="left")


def _plane(axis, model, minima) -> None:
    values = _range(model)
    first, second = np.meshgrid(values, values)
    loss = _losses(model, np.stack([first.ravel(), second.ravel()], axis=1)).reshape(first.shape)
    axis.contour(values, values, loss, levels=14, colors="0.6", linewidths=0.6)
    axis.plot(*minima.T, "o", ms=5, color="C1")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("$w_1$")
    axis.set_ylabel("$w_2$")
    title = f"(b) {2 * model.scales} samples, {len(minima)} minima in the plane"
    axis.set_title(title, fontsize=9, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("sigmoid_minima", SigmoidMinima)
