"""The population gating F(e, w) in closed form against samples: Tian's Theorem 1 and Fig. 7."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, mean

from ..._population import asymmetry, mass
from ..._population import gating as expected_gating
from ..._population import gradient as expected_gradient
from ._input_distributions import (
    ISOTROPIC,
    draw,
    gating,
    mass_and_asymmetry,
    plane_moment,
    square_gating,
)

BLOCK = 200_000
"""Numbers drawn at once."""
CHAINS, LINKS, NEIGHBOURS = 500, 200, 0.9
"""Chains of dependent samples, their length, and the correlation of neighbours."""


class PopulationGating(Analysis):
    """F̂ = Σ 1(e·x > 0) σ(w·x) x over N samples against E F(e, w) of Theorem 1 (Eq. 5).

    In each *trial* new samples are drawn, and pairs of directions e, w with uniform angles θ. The
    relative error is |E F − F̂|/|F̂|, over the empirical F as in the paper. N, d and the numbers of
    trials are ours: the paper gives none. All distributions are scaled to E xxᵀ = I. A coefficient
    is what a term must be multiplied by to fit samples best, a mean over trials with its interval.

    `angle_error` (trial, pair) with `angle`, θ ∈ [0, π], Gaussian. `samples_error` (law, trial,
    samples), the root mean square over pairs with θ ∈ [0, π/2], by distribution of the inputs. For
    inputs uniform on the cube `cube_error` (inputs, trial), the same for N = `cube_samples`, with
    E F multiplied by the constant that fits best, `cube_scale` (inputs, trial); and `cube_limit`
    (inputs,) with its interval, what is left for N → ∞: the root of the mean product of the
    deviations of two independent halves, in which the sampling error averages out.
    """

    columns = {
        "mass_coefficient": "coefficient of the mass term of Eq. 5, Gaussian inputs",
        "asymmetry_coefficient": "coefficient of the asymmetric term of Eq. 5, Gaussian inputs",
        "angle_growth": "share of 9 steps between tenths of [0, π] in which the median error grows",
        **{
            f"{one}_{name}": f"{meaning}, inputs: {one}"
            for one in ISOTROPIC
            for name, meaning in (
                ("coefficient", "coefficient of E F at the largest N"),
                ("slope", "slope of log error in log N"),
            )
        },
        "dependent_coefficient": "coefficient of E F for Gaussian samples in chains, each near"
        " to the one before",
        "linearity_error": "largest relative |F(e, 3w) − 3F(e, w)|, samples of a skewed law",
        "law_difference": "largest |A − (π−θ)/2π|, |B − sin θ/2π| over θ and the isotropic"
        " distributions, A and B by quadrature",
        "mass_at_0": "A(0) of the Student distribution",
        "mass_at_pi": "A(π) of the Student distribution",
        "asymmetry_at_0": "B(0) of the Student distribution",
        "asymmetry_at_pi": "B(π) of the Student distribution",
        "equation_6": "largest difference of Eqs. 6 and 8 for one neuron",
        "cube_scale_unscaled": "coefficient for the cube [−½, ½]^d at the largest d",
        "cube_limit_first": "relative error for N → ∞ on the cube at the least d",
        "cube_limit_last": "relative error for N → ∞ on the cube at the largest d",
        "square_limit": "relative error for N → ∞ on the square, d = 2, by quadrature",
    }

    inputs: Annotated[int, Field(ge=2)] = 10
    """d, but for the cube."""
    trials: Annotated[int, Field(ge=2)] = 30
    """Sets of samples."""
    pairs: PositiveInt = 10
    """Pairs of directions in each."""
    angle_samples: PositiveInt = 1000
    """N where the error is shown against the angle."""
    samples: Annotated[list[PositiveInt], Field(min_length=2)] = [
        1000, 3000, 10_000, 30_000, 100_000,
    ]  # fmt: skip
    """N where the error is shown against N."""
    cube_inputs: list[PositiveInt] = [2, 4, 8, 16, 32, 64]
    """d for inputs uniform on a cube."""
    cube_samples: PositiveInt = 50_000
    """N for these."""

    def compute(self, results):
        seed = results.study.settings.seed
        table = nnflow.Table(results, self.columns)
        by_angle = self._by_angle(seed)
        by_samples, coefficients = self._by_samples(seed, results)
        cube = self._by_dimension(seed, results)
        table.everywhere(
            equation_6=_equation_6(seed),
            square_limit=_square_limit(),
            dependent_coefficient=self._dependent(seed),
            linearity_error=_linearity(seed),
            **_of_angle(by_angle),
            **_of_samples(by_samples, coefficients),
            **_of_cube(cube),
            **_quadrature(),
        )
        return (
            table.dataset().merge(by_angle[["angle", "angle_error"]]).merge(by_samples).merge(cube)
        )

    def _trials(self, seed: int, distribution: str, inputs: int, most: float, purpose: str):
        """For each trial its random numbers, angles, and directions e and w of its pairs."""
        for trial in range(self.trials):
            label = f"{distribution},d={inputs},trial={trial}"
            generator = _generator(Streams(seed, label, np.arange(1), purpose))
            angle = most * generator.random(self.pairs)
            drawn = generator.standard_normal((2, self.pairs, inputs))
            e = drawn[0] / np.linalg.norm(drawn[0], axis=1, keepdims=True)
            side = drawn[1] - (drawn[1] * e).sum(axis=1, keepdims=True) * e
            side /= np.linalg.norm(side, axis=1, keepdims=True)
            w = np.cos(angle)[:, None] * e + np.sin(angle)[:, None] * side
            yield generator, angle, e, w

    def _by_angle(self, seed: int):
        """Gaussian errors of each pair, and the coefficients of both terms in each trial."""
        import xarray as xr

        angles, errors, coefficients = [], [], []
        for generator, angle, e, w in self._trials(seed, "gaussian", self.inputs, np.pi, "angle"):
            sampled = _sampled("gaussian", generator, [self.angle_samples], e, w)[0]
            terms = mass(angle)[:, None] * w, asymmetry(angle)[:, None] * e
            angles.append(angle)
            errors.append(_relative(terms[0] + terms[1], sampled))
            design = np.stack([term.ravel() for term in terms], axis=1)
            coefficients.append(np.linalg.lstsq(design, sampled.ravel(), rcond=None)[0])
        axes = ("trial", "pair")
        return xr.Dataset(
            {
                "angle": (axes, angles, {"long_name": "angle θ", "units": "rad"}),
                "angle_error": (axes, errors, {"long_name": "relative error"}),
                "coefficient": (("trial", "term"), coefficients),
            }
        )

    def _by_samples(self, seed: int, results):
        """Errors by N of each isotropic distribution; {distribution: coefficients (trial,)}."""
        import xarray as xr

        errors, coefficients = [], {}
        for number, distribution in enumerate(ISOTROPIC):
            results.progress(1 + number, self._parts, "parts")
            error, coefficients[distribution] = self._of_distribution(seed, distribution)
            errors.append(error)
        text = {"long_name": "relative root mean square error"}
        return xr.Dataset(
            {"samples_error": (("law", "trial", "samples"), np.stack(errors), text)},
            {"law": list(ISOTROPIC), "samples": self.samples},
        ), coefficients

    def _of_distribution(self, seed: int, distribution: str):
        """Errors (trial, samples), and coefficients (trial,) at the largest N."""
        errors, coefficients = [], []
        trials = self._trials(seed, distribution, self.inputs, np.pi / 2, "samples")
        for generator, _, e, w in trials:
            expected = expected_gating(e, w)
            sampled = _sampled(distribution, generator, self.samples, e, w)
            errors.append([np.sqrt((_relative(expected, one) ** 2).mean()) for one in sampled])
            coefficients.append((sampled[-1] * expected).sum() / (expected**2).sum())
        return np.array(errors), np.array(coefficients)

    def _dependent(self, seed: int) -> tuple[float, float, float]:
        """The coefficient for samples that are not independent: chains x⁺ = ρx + √(1 − ρ²)z."""
        coefficients = []
        for generator, _, e, w in self._trials(seed, "chain", self.inputs, np.pi / 2, "chain"):
            x = generator.standard_normal((CHAINS, self.inputs))
            total = np.zeros_like(e)
            for _ in range(LINKS):
                total = total + gating(x, e, w)
                fresh = generator.standard_normal(x.shape)
                x = NEIGHBOURS * x + np.sqrt(1 - NEIGHBOURS**2) * fresh
            expected = expected_gating(e, w)
            sampled = total / (CHAINS * LINKS)
            coefficients.append((sampled * expected).sum() / (expected**2).sum())
        return mean(np.array(coefficients))

    def _by_dimension(self, seed: int, results):
        """On cubes of each dimension."""
        import xarray as xr

        cubes = []
        for number, inputs in enumerate(self.cube_inputs):
            results.progress(1 + len(ISOTROPIC) + number, self._parts, "parts")
            cubes.append(self._cube(seed, inputs))
        error, scale, products = np.moveaxis(np.array(cubes), 1, 0)
        limits = np.sqrt(np.maximum([mean(row) for row in products], 0)).T
        text = "relative error for N → ∞"
        return xr.Dataset(
            {
                "cube_error": (("inputs", "trial"), error, {"long_name": "relative error"}),
                "cube_scale": (("inputs", "trial"), scale, {"long_name": "fitted constant"}),
                "cube_limit": ("inputs", limits[0], {"long_name": text}),
                "cube_limit_low": ("inputs", limits[1], {"long_name": f"{text}, low end"}),
                "cube_limit_high": ("inputs", limits[2], {"long_name": f"{text}, high end"}),
            },
            {"inputs": self.cube_inputs},
        )

    @property
    def _parts(self) -> int:
        return 1 + len(ISOTROPIC) + len(self.cube_inputs)

    def _cube(self, seed: int, inputs: int) -> np.ndarray:
        """Errors, fitted constants, and products of the halves' deviations, (3, trial)."""
        rows = []
        half = self.cube_samples // 2
        for generator, _, e, w in self._trials(seed, "uniform", inputs, np.pi / 2, "cube"):
            expected = expected_gating(e, w)
            first, both = _sampled("uniform", generator, [half, 2 * half], e, w)
            second = 2 * both - first
            scale = (both * expected).sum() / (expected**2).sum()
            apart = [scale * expected - one for one in (first, second)]
            size = (first * second).sum(axis=1)
            error = np.sqrt((_relative(scale * expected, both) ** 2).mean())
            rows.append((error, scale, ((apart[0] * apart[1]).sum(axis=1) / size).mean()))
        return np.array(rows).T


def _of_angle(by_angle) -> dict:
    """Columns of the errors by angle."""
    angle, error = (by_angle[name].values for name in ("angle", "angle_error"))
    mass_coefficient, asymmetry_coefficient = by_angle["coefficient"].values.T
    tenth = np.minimum((angle / np.pi * 10).astype(int), 9)
    medians = [np.median(error[tenth == number]) for number in range(10)]
    return {
        "mass_coefficient": mean(mass_coefficient),
        "asymmetry_coefficient": mean(asymmetry_coefficient),
        "angle_growth": (np.diff(medians) > 0).mean(),
    }


def _of_samples(by_samples, coefficients: dict[str, np.ndarray]) -> dict:
    """Columns of the errors by N."""
    log, columns = np.log(by_samples["samples"].values), {}
    for distribution, values in coefficients.items():
        error = by_samples["samples_error"].sel(law=distribution).values
        columns[f"{distribution}_coefficient"] = mean(values)
        columns[f"{distribution}_slope"] = mean(np.polyfit(log, np.log(error).T, 1)[0])
    return columns


def _of_cube(cube) -> dict:
    """Columns of the cubes."""
    limits = np.stack([cube[f"cube_limit{end}"].values for end in ("", "_low", "_high")], axis=1)
    return {
        "cube_scale_unscaled": mean(cube["cube_scale"].values[-1] / 12),
        "cube_limit_first": tuple(limits[0]),
        "cube_limit_last": tuple(limits[-1]),
    }


def _generator(streams: Streams) -> np.random.Generator:
    """NumPy's generator on the streams' key: Philox too, and thirty times as fast for samples by
    the million, of which no run is ever left out."""
    return np.random.Generator(np.random.Philox(key=np.array(streams.key, dtype=np.uint64)))


def _sampled(
    distribution: str, generator, samples: list[int], e: np.ndarray, w: np.ndarray
) -> np.ndarray:
    """F̂/N (samples, pair, input) over the first N samples, for each N; N rising."""
    inputs = e.shape[1]
    total, before, means = np.zeros_like(e), 0, []
    for count in samples:
        while before < count:
            block = min(count - before, max(1, BLOCK // inputs))
            total = total + gating(draw(distribution, generator, block, inputs), e, w)
            before += block
        means.append(total / count)
    return np.array(means)


def _relative(expected: np.ndarray, sampled: np.ndarray) -> np.ndarray:
    """|E F − F̂|/|F̂| of each pair; infinite where no sample passes both gates."""
    size = np.linalg.norm(sampled, axis=1)
    error = np.linalg.norm(expected - sampled, axis=1)
    return np.divide(error, size, out=np.full(len(size), np.inf), where=size > 0)


def _quadrature() -> dict[str, float]:
    """A and B by quadrature for each isotropic distribution, against the Gaussian's closed form."""
    angle = np.linspace(1e-3, np.pi - 1e-3, 400)
    worst = 0.0
    for distribution in ISOTROPIC:
        values = mass_and_asymmetry(angle, plane_moment(distribution, 10))
        for value, closed in zip(values, (mass(angle), asymmetry(angle)), strict=True):
            worst = max(worst, np.abs(value - closed).max())
    ends = mass_and_asymmetry(np.array([1e-6, np.pi - 1e-6]), plane_moment("student", 10))
    names = "mass_at_0", "mass_at_pi", "asymmetry_at_0", "asymmetry_at_pi"
    return {"law_difference": worst, **dict(zip(names, np.ravel(ends), strict=True))}


def _square_limit() -> float:
    """The root mean square of |cE F − F|/|F| over all orientations and θ ∈ [0, π/2], F of the
    square, c the constant that fits best."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    angle, weights = np.pi / 4 * (nodes + 1), weights / 2
    turn = np.broadcast_to(2 * np.pi * np.arange(400)[:, None] / 400, (400, len(angle)))
    square = square_gating(turn, turn + angle)
    e, w = (np.stack([np.cos(at), np.sin(at)], axis=-1) for at in (turn, turn + angle))
    expected = expected_gating(e, w)
    product, own = (((expected * one).sum(axis=-1) @ weights).mean() for one in (square, expected))
    error = np.linalg.norm(product / own * expected - square, axis=-1)
    relative = error / np.linalg.norm(square, axis=-1)
    return float(np.sqrt((relative**2 @ weights).mean()))


def _linearity(seed: int) -> float:
    """F̂(e, 3w) against 3F̂(e, w) on samples of Exp(1) − ½, neither centred nor isotropic."""
    generator = _generator(Streams(seed, "skewed", np.arange(1), "linearity"))
    x = generator.standard_exponential((1000, 5)) - 0.5
    e, w = generator.standard_normal((2, 20, 5))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    once, thrice = (gating(x, e, factor * w) for factor in (1, 3))
    return float(np.abs(thrice - 3 * once).max() / np.abs(thrice).max())


def _equation_6(seed: int) -> float:
    """Largest entry of Eq. 6, ½(w − w*) + (θw* − |w*|/|w| sin θ w)/2π, less Eq. 8 for K = 1."""
    drawn = Streams(seed, "equation_6", np.arange(1000), "directions").normal(10)
    w, teacher = drawn.reshape(-1, 2, 5).swapaxes(0, 1)
    size, size_of_teacher = (np.linalg.norm(x, axis=1) for x in (w, teacher))
    angle = np.arccos((w * teacher).sum(axis=1) / (size * size_of_teacher))
    turned = angle[:, None] * teacher - (size_of_teacher / size * np.sin(angle))[:, None] * w
    printed = (w - teacher) / 2 + turned / (2 * np.pi)
    equation_8 = expected_gradient(w[:, None], teacher[:, None])[:, 0]
    return float(np.abs(printed - equation_8).max())


@nnflow.hookimpl
def nnflow_register(register):
    register("population_gating", PopulationGating)
