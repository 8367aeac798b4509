"""σ and σ' of an activation plugin on NumPy arrays, and where their kinks are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnflow import Activation, UserError, torch

Function = Callable[[np.ndarray], np.ndarray]
BESIDE, APART = 1e-12, 1e-6
"""σ jumps at a kink where it differs by more than APART between both sides of it, BESIDE away."""


@dataclass(frozen=True)
class Nonlinearity:
    """σ with its derivative, which at a kink is that of one of the sides.

    kinks: the z at which σ is not smooth, rising.
    """

    name: str
    value: Function
    slope: Function
    kinks: tuple[float, ...] = ()

    def slopes_at_zero(self) -> tuple[float, float]:
        """σ'(0−) and σ'(0+)."""
        beside = 1e-9 if 0.0 in self.kinks else 0.0
        low, high = self.slope(np.array([-beside, beside]))
        return float(low), float(high)


def nonlinearity(activation: Activation) -> Nonlinearity:
    """σ of a plugin: with NumPy alone where the plugin is known here, else by automatic
    differentiation.

    Raises UserError for an activation with kinks that doesn't say where they are: `kinks`, a tuple
    of numbers, or `jump` where the only one is at 0; and for one that is not continuous there.
    """
    known = _KNOWN.get(activation.name)
    if known is not None:
        return known(activation)
    value, slope = _by_torch(activation)
    kinks = kinks_of(activation)
    for kink in kinks:
        below, above = value(kink + BESIDE * np.array([-1.0, 1.0]))
        if abs(above - below) > APART:
            raise UserError(
                f"activation {activation.name!r}: is not continuous at {kink:g}, so that χ₁ is"
                " infinite; the maps are those of continuous activations"
            )
    return Nonlinearity(activation.name, value, slope, kinks)


def kinks_of(activation: Activation) -> tuple[float, ...]:
    """Where σ is not smooth."""
    if activation.smooth:
        return ()
    kinks = activation.kinks
    if kinks is None and activation.jump is not None:
        kinks = (0.0,)
    if kinks is None:
        raise UserError(
            f"activation {activation.name!r}: is not smooth, and says neither `jump` nor `kinks`;"
            " an integral across a kink can't be trusted"
        )
    return tuple(sorted(map(float, kinks)))


def _by_torch(activation: Activation) -> tuple[Function, Function]:
    def value(z):
        return activation(torch.as_tensor(np.ascontiguousarray(z, dtype=float))).numpy()

    def slope(z):
        at = torch.as_tensor(np.array(z, dtype=float)).requires_grad_(True)
        return torch.autograd.grad(activation(at).sum(), at)[0].numpy()

    return value, slope


def _tanh(_) -> Nonlinearity:
    def slope(z):
        t = np.tanh(z)
        return (1 - t) * (1 + t)

    return Nonlinearity("tanh", np.tanh, slope)


def _sigmoid(_) -> Nonlinearity:
    # scipy.special, imported where it is needed, costs a quarter of a second of a job
    from scipy.special import expit

    return Nonlinearity("sigmoid", expit, lambda z: expit(z) * expit(-z))


def _gelu(_) -> Nonlinearity:
    from scipy.special import ndtr

    return Nonlinearity("gelu", lambda z: z * ndtr(z), lambda z: ndtr(z) + z * _density(z))


def _erf(_) -> Nonlinearity:
    from scipy.special import erf

    return Nonlinearity("erf", erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2)))


def _leaky(negative: float) -> Nonlinearity:
    return Nonlinearity(
        "leaky_relu",
        lambda z: np.where(z > 0, z, negative * z),
        lambda z: np.where(z > 0, 1.0, negative),
        (0.0,),
    )


def _density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


_KNOWN: dict[str, Callable[[Activation], Nonlinearity]] = {
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "erf": _erf,
    "identity": lambda _: Nonlinearity("identity", np.array, np.ones_like),
    "sine": lambda _: Nonlinearity("sine", np.sin, np.cos),
    "cosine": lambda _: Nonlinearity("cosine", np.cos, lambda z: -np.sin(z)),
    "relu": lambda _: Nonlinearity(
        "relu", lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(float), (0.0,)
    ),
    "leaky_relu": lambda activation: _leaky(activation.slope),
    "hard_tanh": lambda _: Nonlinearity(
        "hard_tanh",
        lambda z: np.clip(z, -1, 1),
        lambda z: (np.abs(z) < 1).astype(float),
        (-1.0, 1.0),
    ),
}
