"""A circle of inputs as it passes a random network."""

from __future__ import annotations

import nnflow
from nnflow import Figure


class SignalCircle(Figure):
    """A circle of inputs after some layers of one random tanh network, on the plane of its two
    first principal axes: in the ordered phase it shrinks to a point, in the chaotic phase it is
    crumpled. All panels have the same scale. After Poole et al. 2016, Fig. 3."""

    needs = ("signal_maps",)

    networks: list[str] = ["tanh 1 0.09", "tanh 6.25 0.09"]
    """Rows: an ordered and a chaotic network."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["signal_maps"].sel(network=self.networks)
        layers = found["layer"].values
        shape = (len(self.networks), len(layers))
        figure, axes = plt.subplots(*shape, figsize=(5.0, 3.6), squeeze=False)
        reach = 1.1 * float(abs(found["circle"]).max())
        words = ("ordered", "chaotic")
        for row, name in enumerate(self.networks):
            for column, layer in enumerate(layers):
                axis = axes[row, column]
                x, y = found["circle"].sel(network=name, layer=layer).values.T
                axis.plot([*x, x[0]], [*y, y[0]], color="C0", lw=0.8)
                axis.plot(x[0], y[0], "o", color="black", ms=3)
                axis.set_aspect("equal")
                axis.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach))
                letter = "abcdef"[row * shape[1] + column]
                axis.set_title(f"({letter}) layer {layer}", loc="left", fontsize=8)
            weight = name.split()[1]
            axes[row, 0].set_ylabel(rf"{words[row]}, $\alpha_w^2 = {weight}$", fontsize=8)
        figure.suptitle("A circle of inputs shrinks in the ordered phase, crumples in the chaotic",
                        fontsize=9)  # fmt: skip
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_circle", SignalCircle)
