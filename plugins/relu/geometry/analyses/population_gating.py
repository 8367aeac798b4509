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
from ._input_laws import ISOTROPIC, LAWS, draw, gating, mass_and_asymmetry, plane_moment

BLOCK = 200_000
"""Numbers drawn at once."""


class PopulationGating(Analysis):
    """F̂ = Σ 1(e·x > 0) σ(w·x) x over N samples against E F(e, w) of Theorem 1 (Eq. 5).

    In each *trial* new samples are drawn, and pairs of directions e, w with uniform angles θ. The
    relative error is |E F − F̂|/|F̂|, over the empirical F as in the paper. N, d and the numbers of
    trials are ours: the paper gives none. All laws are scaled to E xxᵀ = I.

    `angle_error` (trial, pair) with `angle`, θ ∈ [0, π], Gaussian. `samples_error` (law, trial,
    samples), the root mean square over pairs with θ ∈ [0, π/2]. For inputs uniform on the cube
    `cube_error` (inputs, trial), the same for N = `cube_samples`, with E F multiplied by the
    constant that fits best, `cube_scale` (inputs, trial); and `cube_limit` (inputs,) with its
    interval, what is left for N → ∞: the root of the mean product of the deviations of two
    independent halves, in which the sampling error averages out.

    Columns: `mass_coefficient` and `asymmetry_coefficient`, what the two terms of Eq. 5 must be
    multiplied by to fit the Gaussian samples best; for each isotropic law LAW `LAW_coefficient`,
    the same for their sum, and `LAW_slope`, the slope of log error in log N, means over trials with
    intervals; `angle_growth`, the share of 9 steps between tenths of [0, π] in which the median
    error grows; `law_difference`, the largest of |A − (π−θ)/2π|, |B − sin θ/2π| over θ and the
    isotropic laws, A and B by quadrature; `mass_at_0`, `mass_at_pi`, `asymmetry_at_0`,
    `asymmetry_at_pi`, those values for the Student law; `equation_6`, the largest difference of
    Eqs. 6 and 8 for one neuron; `cube_scale_unscaled`, the constant for the cube [−½, ½]^d at the
    largest d; `cube_limit_first` and `cube_limit_last`, the limits at the least and the largest d.
    """

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
        import xarray as xr

        seed = results.study.settings.seed
        work = len(ISOTROPIC) + len(self.cube_inputs) + 1
        angle, angle_error, columns = self._by_angle(seed)
        by_samples = []
        for number, law in enumerate(ISOTROPIC):
            results.progress(1 + number, work, "parts")
            errors, coefficients = self._by_samples(seed, law)
            by_samples.append(errors)
            columns |= _interval(f"{law}_coefficient", coefficients)
            log = np.log(np.array(self.samples))
            slopes = np.polyfit(log, np.log(errors).T, 1)[0]
            columns |= _interval(f"{law}_slope", slopes)
        cube = []
        for number, inputs in enumerate(self.cube_inputs):
            results.progress(1 + len(ISOTROPIC) + number, work, "parts")
            cube.append(self._cube(seed, inputs))
        cube_error, cube_scale, products = (np.stack(part) for part in zip(*cube, strict=True))
        limits = np.sqrt(np.maximum([mean(row) for row in products], 0))
        columns |= _quadrature() | {"equation_6": _equation_6(seed)}
        columns |= _interval("cube_scale_unscaled", cube_scale[-1] / 12)
        for name, row in (("cube_limit_first", limits[0]), ("cube_limit_last", limits[-1])):
            columns |= dict(zip((name, f"{name}_low", f"{name}_high"), row, strict=True))
        variables = {
            "angle": (("trial", "pair"), angle, {"long_name": "angle θ", "units": "rad"}),
            "angle_error": (("trial", "pair"), angle_error, {"long_name": "relative error"}),
            "samples_error": (
                ("law", "trial", "samples"),
                np.stack(by_samples),
                {"long_name": "relative root mean square error"},
            ),
            "cube_error": (("inputs", "trial"), cube_error, {"long_name": "relative error"}),
            "cube_scale": (("inputs", "trial"), cube_scale, {"long_name": "fitted constant"}),
        }
        for place, end in enumerate(("", "_low", "_high")):
            text = "relative error for N → ∞" + (f", {end[1:]} end" if end else "")
            variables[f"cube_limit{end}"] = ("inputs", limits[:, place], {"long_name": text})
        for name, value in columns.items():
            text = name.replace("_", " ")
            variables[name] = (
                "configuration",
                np.full(len(results.configurations), value),
                {"long_name": text},
            )
        return xr.Dataset(
            variables,
            {
                "configuration": [configuration.label for configuration in results.configurations],
                "law": list(ISOTROPIC),
                "samples": self.samples,
                "inputs": self.cube_inputs,
            },
        )

    def _trials(self, seed: int, law: str, inputs: int, most: float, purpose: str):
        """For each trial its random numbers, angles, and directions e and w of its pairs."""
        for trial in range(self.trials):
            label = f"{law},d={inputs},trial={trial}"
            generator = _generator(Streams(seed, label, np.arange(1), purpose))
            angle = most * generator.random(self.pairs)
            drawn = generator.standard_normal((2, self.pairs, inputs))
            e = drawn[0] / np.linalg.norm(drawn[0], axis=1, keepdims=True)
            side = drawn[1] - (drawn[1] * e).sum(axis=1, keepdims=True) * e
            side /= np.linalg.norm(side, axis=1, keepdims=True)
            w = np.cos(angle)[:, None] * e + np.sin(angle)[:, None] * side
            yield generator, angle, e, w

    def _by_angle(self, seed: int):
        angles, errors, factors = [], [], []
        for generator, angle, e, w in self._trials(seed, "gaussian", self.inputs, np.pi, "angle"):
            found = _sampled("gaussian", generator, [self.angle_samples], e, w)[0]
            terms = mass(angle)[:, None] * w, asymmetry(angle)[:, None] * e
            angles.append(angle)
            errors.append(_relative(terms[0] + terms[1], found))
            design = np.stack([term.ravel() for term in terms], axis=1)
            factors.append(np.linalg.lstsq(design, found.ravel(), rcond=None)[0])
        angles, errors, factors = map(np.array, (angles, errors, factors))
        columns = _interval("mass_coefficient", factors[:, 0])
        columns |= _interval("asymmetry_coefficient", factors[:, 1])
        part = np.minimum((angles / np.pi * 10).astype(int), 9)
        medians = [np.median(errors[part == number]) for number in range(10)]
        return angles, errors, columns | {"angle_growth": (np.diff(medians) > 0).mean()}

    def _by_samples(self, seed: int, law: str):
        """Errors (trial, samples), and coefficients (trial,) at the largest N."""
        errors, coefficients = [], []
        for generator, _, e, w in self._trials(seed, law, self.inputs, np.pi / 2, "samples"):
            expected = expected_gating(e, w)
            found = _sampled(law, generator, self.samples, e, w)
            errors.append([np.sqrt((_relative(expected, f) ** 2).mean()) for f in found])
            coefficients.append((found[-1] * expected).sum() / (expected**2).sum())
        return np.array(errors), np.array(coefficients)

    def _cube(self, seed: int, inputs: int):
        """Errors, fitted constants, and products of the halves' deviations, each (trial,)."""
        rows = []
        half = self.cube_samples // 2
        for generator, _, e, w in self._trials(seed, LAWS[-1], inputs, np.pi / 2, "cube"):
            expected = expected_gating(e, w)
            first, both = _sampled("uniform", generator, [half, 2 * half], e, w)
            second = 2 * both - first
            scale = (both * expected).sum() / (expected**2).sum()
            apart = [scale * expected - one for one in (first, second)]
            size = (first * second).sum(axis=1)
            error = np.sqrt((_relative(scale * expected, both) ** 2).mean())
            rows.append((error, scale, ((apart[0] * apart[1]).sum(axis=1) / size).mean()))
        return tuple(np.array(rows).T)


def _generator(streams: Streams) -> np.random.Generator:
    """NumPy's generator on the streams' key: Philox too, and thirty times as fast for samples by
    the million, of which no run is ever left out."""
    return np.random.Generator(np.random.Philox(key=np.array(streams.key, dtype=np.uint64)))


def _sampled(law: str, generator, samples: list[int], e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """F̂/N (samples, pair, input) over the first N samples, for each N; N rising."""
    inputs = e.shape[1]
    total, before, found = np.zeros_like(e), 0, []
    for count in samples:
        while before < count:
            block = min(count - before, max(1, BLOCK // inputs))
            total = total + gating(draw(law, generator, block, inputs), e, w)
            before += block
        found.append(total / count)
    return np.array(found)


def _relative(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """|E F − F̂|/|F̂| of each pair; infinite where no sample passes both gates."""
    size = np.linalg.norm(found, axis=1)
    error = np.linalg.norm(expected - found, axis=1)
    return np.divide(error, size, out=np.full(len(size), np.inf), where=size > 0)


def _interval(name: str, values: np.ndarray) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), mean(values), strict=True))


def _quadrature() -> dict[str, float]:
    """A and B by quadrature for each isotropic law, against the Gaussian's closed form."""
    angle = np.linspace(1e-3, np.pi - 1e-3, 400)
    worst = 0.0
    for law in ISOTROPIC:
        found = mass_and_asymmetry(angle, plane_moment(law, 10))
        for value, closed in zip(found, (mass(angle), asymmetry(angle)), strict=True):
            worst = max(worst, np.abs(value - closed).max())
    ends = mass_and_asymmetry(np.array([1e-6, np.pi - 1e-6]), plane_moment("student", 10))
    names = "mass_at_0", "mass_at_pi", "asymmetry_at_0", "asymmetry_at_pi"
    return {"law_difference": worst, **dict(zip(names, np.ravel(ends), strict=True))}


def _equation_6(seed: int) -> float:
    """Largest entry of Eq. 6, ½(w − w*) + (θw* − |w*|/|w| sin θ w)/2π, less Eq. 8 for K = 1."""
    drawn = Streams(seed, "equation_6", np.arange(1000), "directions").normal(10)
    w, teacher = drawn.reshape(-1, 2, 5).swapaxes(0, 1)
    size, size_of_teacher = (np.linalg.norm(x, axis=1) for x in (w, teacher))
    angle = np.arccos((w * teacher).sum(axis=1) / (size * size_of_teacher))
    turned = angle[:, None] * teacher - (size_of_teacher / size * np.sin(angle))[:, None] * w
    printed = (w - teacher) / 2 + turned / (2 * np.pi)
    whole = expected_gradient(w[:, None], teacher[:, None])[:, 0]
    return float(np.abs(printed - whole).max())


@nnflow.hookimpl
def nnflow_register(register):
    register("population_gating", PopulationGating)
