"""Gradient descent near critical points: multipliers, and how many steps leave a saddle."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, mean, share_of

CURVATURES = np.array([1.0, 0.3, -0.2, 0.0])
"""Of ln cosh along four directions, for the multipliers."""
RATE = 0.9
"""α there; a positive curvature of 1 has the multiplier 1 − αλ = .1."""
NEAR = 1e-5
"""Distance from the critical point at which multipliers are measured; ln cosh differs from its
parabola by the square of it."""
RADIUS = 1.0
"""r, beyond which a run has left."""
ENDS = np.log(0.01), np.log(10.0)
"""ln|y| between which the counter-example's slope over y goes from −.01 to 1/α."""


class SaddleSteps(Analysis):
    """W⁺ − W* = (1 − αH)(W − W*) + …, held against descent.

    - Multipliers of single steps near the critical point 0 of Σ λᵢ ln cosh wᵢ against 1 − αλᵢ.
    - What λ = 0 and λ = 2/α decide: descent on ±x⁴, and on x² ± x⁴ with α = 1 = 2/λ.
    - Steps from the distance δ from the stable manifold of a quadratic saddle to |x| ≥ r against
      ⌈ln(r/δ)/ln(1 + α|λ|)⌉, for random λ, α, δ; and the heavy ball's growth against the larger
      root of z² − (1 + β + α|λ|)z + β. A start on the manifold converges to the saddle.
    - Beyond α = 1/M the starts that reach a saddle need not be few: φ'(y) = −.01y for |y| ≤ .01 and
      y/α for |y| ≥ 10, with a smooth blend in ln|y| between, has αM = 1.054, and one step leads
      from every |y| ≥ 10 to the saddle exactly. Lee et al. (arXiv:1602.04915) need α < 1/M.
    - Perturbed descent (Jin et al., arXiv:1703.00887) from the stable manifold of
      ½x² − ½y² + ¼y⁴, where plain descent ends at the saddle.
    """

    columns = {
        "multiplier_error": "largest error of a measured multiplier",
        "zero_converges": "share of cases with λ = 0 that converge",
        "border_converges": "share of cases with λ = 2/α that converge",
        "escape_misses": "share of escapes that take another number of steps",
        "heavy_ball_error": "largest relative error of the heavy ball's growth at a saddle",
        "stays": "share of starts on the stable manifold that converge to the saddle",
        "counterexample_rate": "αM of the counter-example",
        "lands_beyond": "share of starts that reach the saddle exactly with αM = 1.054",
        "lands_expected": "the share of them with |y| ≥ 10",
        "lands_below": "share of starts that reach it, or stay near it, with αM = .95",
        "descent_escapes": "share of runs of plain descent that leave the saddle from its manifold",
        "perturbed_escapes": "share of runs of perturbed descent that do",
        "perturbed_steps": "mean steps that this takes",
    }

    draws: PositiveInt = 2000
    """Random saddles and starts."""
    runs: PositiveInt = 100
    """Runs of perturbed descent."""

    def compute(self, results):
        seed = results.study.settings.seed
        uniform = Streams(seed, "saddle", np.arange(self.draws), "saddle_steps").uniform(4)
        table = Table(results, self.columns)
        table.everywhere(
            multiplier_error=multiplier_error(),
            zero_converges=share_of(converges(np.array([1.0, -1.0]), 0.0)),
            border_converges=share_of(converges(np.array([1.0, -1.0]), 2.0)),
            heavy_ball_error=heavy_ball_error(uniform),
            **_escapes(uniform),
            **_counterexample(uniform[:, 3]),
            **_perturbed(seed, self.runs),
        )
        offset = np.geomspace(1e-12, 0.5, 40)
        parts = [(curve, steps_away(offset, curve)) for curve in (0.02, 0.1, 0.5)]
        y = np.array([30.0, 12.0, 3.0, 0.5])
        paths = np.array([_path(y, rate, 40) for rate in (1.0, 0.9)])
        return table.dataset().assign(
            offset=("offset", offset),
            growth=("growth", [curve for curve, _ in parts]),
            away=(("growth", "offset"), np.array([steps for _, steps in parts])),
            path=(("rate", "start", "step"), paths),
            rate=("rate", [1.0, 0.9]),
        )


def multiplier_error() -> float:
    """Ten steps on Σ λᵢ ln cosh wᵢ from the distance NEAR."""
    w, error = np.full(len(CURVATURES), NEAR), 0.0
    for _ in range(10):
        after = w - RATE * CURVATURES * np.tanh(w)
        error = max(error, np.abs(after / w - (1 - RATE * CURVATURES)).max())
        w = after
    return float(error)


def converges(quartic: np.ndarray, curvature: float) -> np.ndarray:
    """Does descent with α = 1 on ½λx² + ¼cx⁴ come nearer to 0 from x = .1? (case,)"""
    x = np.full_like(quartic, 0.1)
    for _ in range(40):
        x = x - (curvature * x + quartic * x**3)
    return np.abs(x) < 0.1


def steps_away(offset: np.ndarray, growth: float | np.ndarray, most: int = 20000) -> np.ndarray:
    """Steps of descent on −½|λ|x² from x = δ to |x| ≥ RADIUS; growth: α|λ|."""
    x, steps = np.array(offset, dtype=float), np.zeros(len(offset), dtype=int)
    for _ in range(most):
        inside = np.abs(x) < RADIUS
        if not inside.any():
            break
        steps += inside
        x = np.where(inside, x + growth * x, x)
    return steps


def _escapes(uniform: np.ndarray) -> dict:
    """Random quadratic saddles in two dimensions."""
    growth, offset = 0.02 + uniform[:, 0], 10 ** (-12 * uniform[:, 1])
    ratio = np.log(RADIUS / offset) / np.log1p(growth)
    found = steps_away(offset, growth)
    # within rounding of a whole number either count is right
    near = np.abs(ratio - np.round(ratio)) < 1e-9
    missed = (found != np.ceil(ratio)) & ~(near & (np.abs(found - ratio) < 1.5))
    # on the manifold, x = 0, the other coordinate contracts for 0 < αλ < 2
    contracted, across, on_it = 0.05 + 1.9 * uniform[:, 2], np.ones_like(growth), 0 * growth
    for _ in range(1000):
        across, on_it = across - contracted * across, on_it + growth * on_it
    stays = np.hypot(across, on_it) < NEAR
    return {"escape_misses": share_of(missed), "stays": share_of(stays)}


def heavy_ball_error(uniform: np.ndarray) -> float:
    """The growth of x over 200 steps, between the 100th and the last."""
    growth, beta = 0.02 + uniform[:, 0], 0.9 * uniform[:, 2]
    x, v, logs = np.ones_like(growth), np.zeros_like(growth), []
    for _ in range(200):
        v = beta * v - growth * x
        x = x - v
        logs.append(np.log(np.abs(x)))
    measured = (logs[-1] - logs[99]) / 100
    trace = 1 + beta + growth
    exact = np.log((trace + np.sqrt(trace**2 - 4 * beta)) / 2)
    return float(np.abs(measured / exact - 1).max())


def slope(y: np.ndarray) -> np.ndarray:
    """φ' of the counter-example with α = 1."""
    size = np.maximum(np.abs(y), 1e-300)
    u = np.clip((np.log(size) - ENDS[0]) / (ENDS[1] - ENDS[0]), 0, 1)
    return y * (-0.01 + 1.01 * (6 * u**5 - 15 * u**4 + 10 * u**3))


def _path(y: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """(start, step) of descent on the counter-example."""
    path = [y]
    for _ in range(steps):
        path.append(path[-1] - rate * slope(path[-1]))
    return np.stack(path, axis=1)


def _counterexample(uniform: np.ndarray) -> dict:
    """Starts uniform on [−20, 20]."""
    y = np.linspace(0.005, 12, 200001)
    smoothness = np.abs(np.diff(slope(y)) / np.diff(y)).max()
    start = 40 * uniform - 20
    below = start
    for _ in range(1000):
        below = below - 0.95 / smoothness * slope(below)
    return {
        "counterexample_rate": float(smoothness),
        "lands_beyond": share_of(_path(start, 1.0, 1)[:, -1] == 0),
        "lands_expected": float((np.abs(start) >= np.exp(ENDS[1])).mean()),
        "lands_below": share_of(np.abs(below) < 1e-3),
    }


def _well_gradient(points: np.ndarray) -> np.ndarray:
    """Of ½x² − ½y² + ¼y⁴: a saddle between two minima."""
    x, y = points.T
    return np.stack([x, y**3 - y], axis=1)


def perturbed(gradient, start, rate, threshold, radius, steps, streams):
    """Perturbed descent without its end: noise, uniform in a ball, where the gradient is below the
    threshold and the last noise is more than a step old. Points (step, run, coordinate)."""
    points, last, path = start, np.full(len(start), -2), [start]
    size = start.shape[1]
    for step in range(steps):
        slopes = gradient(points)
        quiet = (np.linalg.norm(slopes, axis=1) <= threshold) & (step - last > 1)
        if quiet.any():
            normal = streams.normal(size + 1, draw=step)
            direction = normal[:, :size] / np.linalg.norm(normal[:, :size], axis=1, keepdims=True)
            distance = radius * streams.uniform(1, draw=steps + step) ** (1 / size)
            points = points + quiet[:, None] * direction * distance
            slopes, last = gradient(points), np.where(quiet, step, last)
        points = points - rate * slopes
        path.append(points)
    return np.array(path)


def _perturbed(seed: int, runs: int) -> dict:
    """Plain and perturbed descent from (1, 0), and from where it has got to."""
    start = np.tile([1.0, 0.0], (runs, 1))
    streams = Streams(seed, "well", np.arange(runs), "saddle_steps")
    plain = perturbed(_well_gradient, start, 0.1, -1.0, 0.0, 500, streams)
    noisy = perturbed(_well_gradient, start, 0.1, 1e-3, 1e-2, 500, streams)
    left = np.abs(noisy[:, :, 1]) > 0.5
    return {
        "descent_escapes": share_of((np.abs(plain[:, :, 1]) > 0.5).any(axis=0)),
        "perturbed_escapes": share_of(left.any(axis=0)),
        "perturbed_steps": mean(left.argmax(axis=0)[left.any(axis=0)]),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("saddle_steps", SaddleSteps)
