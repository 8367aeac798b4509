"""Tangent kernels of finite networks against the limit, and how far training moves them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

import nnflow
from nnflow import Activation, Analysis, Streams, mean

from .._fully_connected import Layers, random_layers
from .._moments import Moments, moments
from .._slopes import NORMAL, log_slope
from .._tangent_kernel import limit_kernels

PAIR = np.array([[1.0, 0.0, -1.0, 2.0], [0.5, 1.0, 1.0, -1.0]])
"""x and x' at which kernels are compared."""
ENDS = ("", "_low", "_high")
BLOCK = 4_000_000
"""Weights of a layer that are drawn at once."""
HIDDEN = (1, 2, 3)
"""Hidden layers."""
TRAINED = {
    "change_slope": "slope of ln ‖ΔΘ̂‖/‖Θ̂‖ of training in ln n",
    "weight_slope": "slope of ln ‖ΔW‖/‖W‖ in ln n",
    "final_loss": "largest loss after training over the first loss",
    "lazy_error": "largest |loss − lazy| over the first loss, largest n",
}
"""Columns on training, of each activation."""


class TangentKernel(Analysis):
    """Empirical tangent kernels in the NTK parametrization, by width n.

    `kernel_mean` and `kernel_spread` (activation, hidden, width) of Θ̂(x, x') at two fixed inputs,
    with `_low`, `_high` (99 %), beside `kernel_limit` (activation, hidden). Training: gradient
    descent on ½Σ(f − y)² at `samples` random inputs on a sphere, one hidden layer, rate 1/λ_max of
    the first kernel; `kernel_change` (activation, trained_width, run) is ‖ΔΘ̂‖/‖Θ̂‖,
    `weight_change` the same of the hidden weights, `loss` (activation, trained_width, step) the
    mean loss over runs, and `lazy_loss` that of (I − ηΘ̂)^k with the first kernel and the first
    outputs kept.
    """

    @property
    def columns(self):
        columns = {
            "standard_ratio": "Θ̂(x, x) of ordinary layers, one hidden, over n E σ² + 1 +"
            " α_w² E σ'²(|x|² + 1), largest n",
        }
        for one in self.activations:
            for hidden in HIDDEN:
                where = f"largest n, {hidden} hidden, {one.name}"
                columns |= {
                    f"{one.name}_mean_{hidden}": f"mean of Θ̂ over Θ, {where}",
                    f"{one.name}_spread_{hidden}": f"√n × deviation of Θ̂, {where}",
                    f"{one.name}_spread_slope_{hidden}": f"slope of ln deviation in ln n, {where}",
                }
            columns |= {
                f"{one.name}_{key}": f"{meaning}, {one.name}" for key, meaning in TRAINED.items()
            }
        return columns

    activations: Annotated[list[Activation], Field(min_length=1)]
    """σ."""
    weight_variance: PositiveFloat = 1.5
    """α_w²."""
    bias_variance: NonNegativeFloat = 0.1
    """α_h²."""
    widths: Annotated[list[PositiveInt], Field(min_length=2)] = [32, 64, 128, 256]
    """n where kernels are compared with the limit."""
    runs: Annotated[int, Field(ge=10)] = 300
    """Networks of each width."""
    trained_widths: Annotated[list[PositiveInt], Field(min_length=2)] = [256, 512, 1024, 2048, 4096]
    """n of the networks that are trained."""
    trained_runs: Annotated[int, Field(ge=2)] = 8
    """Of each."""
    samples: PositiveInt = 10
    """Inputs that are learnt, in as many dimensions."""
    steps: PositiveInt = 400
    """Of gradient descent."""

    def compute(self, results):
        import xarray as xr

        seed = results.study.settings.seed
        table, parts = nnflow.Table(results, self.columns), []
        for place, activation in enumerate(self.activations):
            results.progress(place, len(self.activations), "activations")
            one = moments(activation)
            part = self._compared(seed, one).merge(self._trained(seed, one))
            table.everywhere(**self._columns(one.sigma.name, part))
            parts.append(part)
        table.everywhere(standard_ratio=self._standard(seed, moments(self.activations[0])))
        dataset = xr.concat(parts, "activation").assign_coords(
            activation=[one.name for one in self.activations], hidden=list(HIDDEN),
            width=self.widths, trained_width=self.trained_widths,
        )  # fmt: skip
        return table.dataset().merge(dataset)

    def _drawn(self, seed: int, one: Moments, widths, runs: int, purpose: str, first: int = 0):
        label = f"{one.sigma.name} {widths} {first}"
        key = np.array(Streams(seed, label, np.arange(1), purpose).key, dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        return random_layers(generator, one.sigma, widths, runs, self.weight_variance,
                             self.bias_variance, standard=purpose == "standard")  # fmt: skip

    def _compared(self, seed: int, one: Moments):
        import xarray as xr

        found = {f"kernel_{key}{end}": np.empty((len(HIDDEN), len(self.widths)))
                 for key in ("mean", "spread") for end in ENDS}  # fmt: skip
        limits = []
        for i, hidden in enumerate(HIDDEN):
            theta = limit_kernels(one, self.weight_variance, self.bias_variance, PAIR, hidden)[1]
            limits.append(theta[0, 1])
            for j, width in enumerate(self.widths):
                k = self._kernels(seed, one, hidden, width)
                measured = {"mean": mean(k), "spread": _deviation(k)}
                for key, values in measured.items():
                    for end, value in zip(ENDS, values, strict=True):
                        found[f"kernel_{key}{end}"][i, j] = value
        axes = ("hidden", "width")
        return xr.Dataset({**{name: (axes, values) for name, values in found.items()},
                           "kernel_limit": ("hidden", limits)})  # fmt: skip

    def _kernels(self, seed: int, one: Moments, hidden: int, width: int) -> np.ndarray:
        """Θ̂(x, x') of each network, drawn some at a time."""
        widths, parts = [PAIR.shape[1], *[width] * hidden, 1], self.runs * width**2 // BLOCK
        kernels = []
        for rows in np.array_split(np.arange(self.runs), max(1, parts)):
            layers = self._drawn(seed, one, widths, len(rows), "kernel", int(rows[0]))
            kernels.append(layers.kernel(PAIR)[:, 0, 1])
        return np.concatenate(kernels)

    def _trained(self, seed: int, one: Moments):
        import xarray as xr

        x, y = self._task(seed)
        rows = []
        for width in self.trained_widths:
            layers = self._drawn(seed, one, [self.samples, width, 1], self.trained_runs, "train")
            rows.append(self._descent(layers, x, y))
        names = {
            "kernel_change": "run",
            "weight_change": "run",
            "loss": "step",
            "lazy_loss": "step",
        }
        return xr.Dataset({
            name: (("trained_width", axis), np.array([row[i] for row in rows]))
            for i, (name, axis) in enumerate(names.items())
        })  # fmt: skip

    def _task(self, seed: int):
        drawn = Streams(seed, "task", np.arange(1), "inputs").normal(
            self.samples * (self.samples + 1)
        )
        drawn = drawn.reshape(self.samples, self.samples + 1)
        x = drawn[:, 1:]
        return np.sqrt(self.samples) * x / np.linalg.norm(x, axis=1, keepdims=True), drawn[:, 0]

    def _descent(self, layers: Layers, x: np.ndarray, y: np.ndarray):
        first, kernel = layers, layers.kernel(x)
        rate = 1 / np.linalg.eigvalsh(kernel)[:, -1]
        residual = layers.outputs(x)[..., 0] - y
        lazy, losses, lazy_losses = residual, [], []
        for _ in range(self.steps):
            losses.append((residual**2).sum(axis=1).mean() / 2)
            lazy_losses.append((lazy**2).sum(axis=1).mean() / 2)
            lazy = lazy - rate[:, None] * (kernel @ lazy[..., None])[..., 0]
            layers = layers.moved(layers.gradient(x, lambda f: f - y[:, None]), rate)
            residual = layers.outputs(x)[..., 0] - y
        moved = np.linalg.norm(layers.kernel(x) - kernel, axis=(1, 2)) / np.linalg.norm(
            kernel, axis=(1, 2)
        )
        hidden = np.linalg.norm(layers.weights[0] - first.weights[0], axis=(1, 2))
        return moved, hidden / np.linalg.norm(first.weights[0], axis=(1, 2)), losses, lazy_losses

    def _standard(self, seed: int, one: Moments):
        """Θ̂(x, x) of ordinary layers over what it is on average: it grows as n."""
        x, width = PAIR[:1], self.widths[-1]
        layers = self._drawn(seed, one, [x.shape[1], width, 1], self.runs, "standard")
        square = float(x[0] @ x[0])
        q = self.weight_variance * square / x.shape[1] + self.bias_variance
        second, slope, _ = one.single(q)[0]
        expected = width * second + 1 + self.weight_variance * slope * (square + 1)
        return mean(layers.kernel(x)[:, 0, 0] / expected)

    def _columns(self, name: str, part) -> dict:
        n, columns = np.array(self.widths), {}
        for i, hidden in enumerate(HIDDEN):
            one = part.isel(hidden=i)
            limit = float(one["kernel_limit"])
            ratio = [float(one[f"kernel_mean{end}"][-1]) / limit for end in ENDS]
            spread, low, high = (one[f"kernel_spread{end}"].values for end in ENDS)
            columns |= {
                f"{name}_mean_{hidden}": (ratio[0], min(ratio[1:]), max(ratio[1:])),
                f"{name}_spread_{hidden}": tuple(
                    np.sqrt(n[-1]) * x[-1] for x in (spread, low, high)
                ),
                f"{name}_spread_slope_{hidden}": log_slope(n, spread, (high - low) / (2 * spread)),
            }
        wide = np.array(self.trained_widths)
        for key, word in (("kernel_change", "change_slope"), ("weight_change", "weight_slope")):
            logs = np.log(part[key].values)
            half = NORMAL * logs.std(axis=1, ddof=1) / np.sqrt(self.trained_runs)
            columns[f"{name}_{word}"] = log_slope(wide, np.exp(logs.mean(axis=1)), half)
        loss, lazy = part["loss"].values, part["lazy_loss"].values
        columns[f"{name}_final_loss"] = float((loss[:, -1] / loss[:, 0]).max())
        columns[f"{name}_lazy_error"] = float(np.abs(loss[-1] - lazy[-1]).max() / loss[-1, 0])
        return columns


def _deviation(k: np.ndarray) -> tuple[float, float, float]:
    """Standard deviation, with the interval that the fourth moment gives."""
    spread = k.std(ddof=1)
    kurtosis = ((k - k.mean()) ** 4).mean() / k.var() ** 2
    half = NORMAL * spread / 2 * np.sqrt((kurtosis - 1) / len(k))
    return spread, max(spread - half, 1e-300), spread + half


@nnflow.hookimpl
def nnflow_register(register):
    register("tangent_kernel", TangentKernel)
