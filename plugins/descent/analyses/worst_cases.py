"""The slowest functions for gradient descent, and the rates that are best for them."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Table, share

STEPS = (1, 2, 4, 10, 100)
RATES = (0.25, 0.5, 0.75, 1.0)
"""Numbers of steps and αM at which the worst functions are run."""
POWERS = (2.0, 1.0, 0.5, 0.1)
"""p of the functions x⁻ᵖ."""
CURVE = np.linspace(0.4, 1.98, 159)
"""αM of the figure's curves, N = 10 steps."""
CONDITION = 10.0
"""κ of the quadratic functions."""


class WorstCases(Analysis):
    """Gradient descent on the functions that are slowest for it, with M = 1 and h = αM.

    Convex, N steps: the Huber function with slope t = √(2Δ/(2Nh + 1)) far from 0, on which the last
    gradient is t (Rotaru et al., arXiv:2406.17506: |∇L_N|² ≤ 2MΔ max{1/(2Nh + 1), (1 − h)^2N}).
    Not convex, N steps, h ≤ 1: slopes that fall by half a step between the iterates and rise
    again, then a parabola; each gradient has the square 4Δ/(N(4h − h²) + 2) (Abbaszadehpeivasti,
    de Klerk & Zamani 2022: 4MΔ/(N min{4h − h², 4h − h³} + 2) for h ≤ √3). The lecture's bound
    with N points, α = 1/M, is 2MΔ/N. Where not Δ but the distance R to a minimum is given, Huber
    functions with other slopes leave the loss MR²/(4Nh + 2) and the gradient MR/(Nh + 1), h ≤ 1
    (Drori & Teboulle 2014; Kim, arXiv:2412.04427); of R the lecture's bound says nothing.

    Which rate is best depends on what it is to be best for: `best_bound` minimizes the lecture's
    bound, `best_nonconvex` the exact formula, `best_convex_N` the loss that descent itself leaves
    of the worse one of Huber function and parabola after N steps, and `best_quadratic` the
    measured contraction of curvatures [1/κ, 1], κ = 10.

    min|∇L| falls as N^(−1/2) for no fixed function, but for the worst functions, which change
    with N (`envelope_slope`); on x⁻ᵖ it does so as N^(−(p+1)/(p+2)). And at the stationary point 0
    of ½x², ln cosh x, ½x²/(1 + x²) and cos x a step lowers no loss (`still_falls`).
    """

    columns = {
        "convex_error": "largest relative error of the convex worst case, descent against formula",
        "nonconvex_error": "the same for the one that is not convex",
        "distance_error": "the same for convex ones of which the distance to a minimum is given",
        "convex_looseness": "the lecture's bound over the convex worst case, squares, at most N",
        "nonconvex_looseness": "the lecture's bound over the other worst case, squares, at most N",
        "best_bound": "αM that minimizes the lecture's bound",
        "best_nonconvex": "αM that minimizes the exact bound without convexity",
        "best_convex_1": "αM that leaves least loss of the convex worst case after 1 step",
        "best_convex_10": "the same after 10 steps",
        "best_convex_100": "the same after 100 steps",
        "best_quadratic": "αM of fastest descent on quadratics with κ = 10",
        "quadratic_rate": "its contraction per step",
        "envelope_slope": "slope of the worst gradient against the number of points, log–log",
        "slope_2": "slope of the least gradient on x⁻²",
        "slope_1": "slope of the least gradient on x⁻¹",
        "slope_half": "slope of the least gradient on x^(−1/2)",
        "slope_tenth": "slope of the least gradient on x^(−1/10)",
        "still_falls": "share of stationary points from which a step lowers the loss",
    }

    steps: PositiveInt = 20000
    """Steps on x⁻ᵖ; slopes are those of the last factor of ten."""

    def compute(self, results):
        import xarray as xr

        table = Table(results, self.columns)
        powers = power_gradients(np.array(POWERS), self.steps)
        names = ("slope_2", "slope_1", "slope_half", "slope_tenth")
        table.everywhere(**_errors(), **_best(), still_falls=still_falls())
        table.everywhere(**dict(zip(names, last_slopes(powers), strict=True)))
        count = np.unique(np.geomspace(1, 1000, 40).astype(int))
        envelope = np.array([worst_convex(n, 1.0)[0] for n in count - 1])
        table.everywhere(envelope_slope=last_slopes(envelope[:, None], count)[0])
        thinned = np.unique(np.geomspace(1, self.steps, 60).astype(int))
        return table.dataset().assign(
            power_gradient=xr.DataArray(
                powers[thinned - 1] / powers[0],
                {"count": thinned, "power": list(POWERS)},
                ("count", "power"),
                attrs={"long_name": "least gradient on x⁻ᵖ up to a point, over the first"},
            ),
            envelope=(("worst_count",), envelope, {"long_name": "worst |∇L_N|/√(2MΔ), α = 1/M"}),
            worst_count=("worst_count", count),
            **_curves(),
        )


def worst_convex(steps: int, h: float) -> tuple[float, float]:
    """|∇L| at the end and loss at the end of `steps` steps of rate h on the Huber function that is
    slowest for them; gap Δ = ½ and so √(2MΔ) = 1."""
    slope = 1 / np.sqrt(2 * steps * h + 1)
    x = 1 / (2 * slope) + slope / 2
    for _ in range(steps):
        x -= h * np.clip(x, -slope, slope)
    loss = slope * x - slope**2 / 2 if x > slope else x**2 / 2
    return float(np.clip(x, -slope, slope)), float(loss)


def worst_nonconvex(steps: int, h: float) -> float:
    """The least |∇L|/√(2MΔ) over `steps` steps of rate h ≤ 1 on the slowest function: slope 1 at
    the iterates −nh, n = 0 … `steps`, less the distance to the nearest of them, then a parabola."""
    iterates = -h * np.arange(steps + 1)

    def slope(x):
        return 1 - np.abs(x - iterates).min() if x > iterates[-1] else 1 + (x - iterates[-1])

    x, least = 0.0, np.inf
    for _ in range(steps + 1):
        least = min(least, abs(slope(x)))
        x -= h * slope(x)
    kinks = np.union1d(iterates, iterates[:-1] - h / 2)  # Δ is the integral of a polygon
    gap = np.trapezoid([slope(k) for k in kinks], kinks) + 0.5
    return float(least / np.sqrt(2 * gap))


def power_gradients(powers: np.ndarray, steps: int) -> np.ndarray:
    """|∇L| of L = x⁻ᵖ along descent from x = 1 with α = 1/M, M = p(p + 1), (point, power). It
    falls at each step."""
    x, found = np.ones_like(powers), np.empty((steps, len(powers)))
    for place in range(steps):
        found[place] = powers * x ** (-powers - 1)
        x = x + found[place] / (powers * (powers + 1))
    return found


def still_falls() -> tuple[float, float, float]:
    """From how many stationary points does a step with αM = 1 lower the loss?"""
    losses = {
        "square": (lambda x: x**2 / 2, lambda x: x),
        "log_cosh": (lambda x: np.log(np.cosh(x)), np.tanh),
        "dips": (lambda x: x**2 / (1 + x**2) / 2, lambda x: x / (1 + x**2) ** 2),
        "cosine": (np.cos, lambda x: -np.sin(x)),
    }
    fell = [value(0.0 - slope(0.0)) < value(0.0) for value, slope in losses.values()]
    return share(int(sum(fell)), len(fell))


def last_slopes(values: np.ndarray, count: np.ndarray | None = None) -> np.ndarray:
    """Log–log slopes of the columns of values (point, column) over the last factor of ten."""
    count = np.arange(1, len(values) + 1) if count is None else count
    first = np.searchsorted(count, count[-1] / 10)
    return np.log(values[-1] / values[first]) / np.log(count[-1] / count[first])


def nonconvex_formula(steps: int, h: np.ndarray) -> np.ndarray:
    """The worst min|∇L|²/(2MΔ) of `steps` steps, h ≤ √3."""
    return 2 / (steps * np.minimum(4 * h - h**2, 4 * h - h**3) + 2)


def _errors() -> dict[str, float]:
    """Descent on the worst functions against the formulas, and against the lecture's bound."""
    convex, other, distance = 0.0, 0.0, 0.0
    for steps in STEPS:
        for h in RATES:
            exact = 1 / (2 * steps * h + 1)
            convex = max(convex, abs(worst_convex(steps, h)[0] ** 2 / exact - 1))
            exact = nonconvex_formula(steps, h)
            other = max(other, abs(worst_nonconvex(steps, h) ** 2 / exact - 1))
            ends = convex_losses(steps, h)[0], farthest_gradient(steps, h)
            exact = 1 / (2 * steps * h + 1), 1 / (steps * h + 1)
            distance = max(distance, np.abs(np.divide(ends, exact) - 1).max())
    lecture = 1 / (STEPS[-1] + 1)  # 2MΔ/N for N points, over 2MΔ
    return {
        "convex_error": convex,
        "nonconvex_error": other,
        "distance_error": float(distance),
        "convex_looseness": lecture / worst_convex(STEPS[-1], 1.0)[0] ** 2,
        "nonconvex_looseness": lecture / worst_nonconvex(STEPS[-1], 1.0) ** 2,
    }


def convex_losses(steps: int, h: float) -> tuple[float, float]:
    """What descent leaves of the loss after `steps` steps, over R²/2, on the Huber function that is
    slowest from x = R, and on the parabola."""
    slope, x, y = 1 / (2 * steps * h + 1), 1.0, 1.0
    for _ in range(steps):
        x, y = x - h * np.clip(x, -slope, slope), y - h * y
    return 2 * slope * x - slope**2, y**2


def farthest_gradient(steps: int, h: float) -> float:
    """|∇L| over MR after `steps` steps of rate h from x = R on the Huber function that leaves the
    largest one."""
    slope, x = 1 / (steps * h + 1), 1.0
    for _ in range(steps):
        x -= h * np.clip(x, -slope, slope)
    return float(np.clip(x, -slope, slope))


def contraction(h: float, steps: int = 200) -> float:
    """Mean contraction per step of the largest of two errors with curvatures 1/κ and 1."""
    error, curvature = np.ones(2), np.array([1 / CONDITION, 1.0])
    for _ in range(steps):
        error = error * (1 - h * curvature)
    return float(np.abs(error).max() ** (1 / steps))


def _best() -> dict[str, float]:
    from scipy.optimize import brentq, minimize_scalar

    def least(function, high):
        return minimize_scalar(
            function, bounds=(0.1, high), method="bounded", options={"xatol": 1e-9}
        ).x

    def crossing(steps):
        # left of it the Huber function is worse, right of it the parabola
        return brentq(lambda h: np.subtract(*convex_losses(steps, h)), 1.0, 1.9999, xtol=1e-12)

    quadratic = least(contraction, 1.99)
    return {
        "best_bound": least(lambda h: 1 / (h * (1 - h / 2)), 1.99),
        "best_nonconvex": least(lambda h: nonconvex_formula(10, h), np.sqrt(3)),
        **{f"best_convex_{steps}": crossing(steps) for steps in (1, 10, 100)},
        "best_quadratic": quadratic,
        "quadratic_rate": contraction(quadratic),
    }


def _curves() -> dict:
    """What each answer minimizes, against αM; 10 steps, 11 points. Each over its least value."""
    curves = np.array(
        [
            [1 / (h * (1 - h / 2)) for h in CURVE],
            [nonconvex_formula(10, h) if h <= np.sqrt(3) else np.nan for h in CURVE],
            [max(convex_losses(10, h)) for h in CURVE],
            [contraction(h) ** 20 for h in CURVE],
        ]
    )
    best = np.nanmin(curves, axis=1, keepdims=True)
    text = "worst squared gradient, or loss, after 10 steps, over its least value"
    return {
        "worst": (("answer", "relative_rate"), curves / best, {"long_name": text}),
        "answer": ("answer", ["bound", "nonconvex", "convex", "quadratic"]),
        "relative_rate": ("relative_rate", CURVE, {"long_name": "αM"}),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("worst_cases", WorstCases)
