"""A spurious minimum at a kink, proved on a box."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis

from .kink_minimum import MODEL

LOSS = "absolute"
VALUE = 1
"""‖A − E_21‖₁ at the minimum."""
SLACK = 1e-9
"""δ is stated larger by this part, so that it is proved again on another machine."""
PRECISION = 64


class KinkProof(Analysis):
    """That ends of runs of `laurent_von_brecht` under the absolute error are spurious minima, in
    exact and in ball arithmetic. With A = W_2W_1, e = (W_2)_21, z = (W_1)_21, u = (W_2)_11 and v =
    (W_1)_22, the polynomial identity uvA_21 = evA_11 + uzA_22 − ezA_12 gives

        ‖A − E_21‖₁ ≥ 1 + (1 − δ)(|A_11| + |A_12| + |A_22|)

    wherever |e/u|, |z/v| and |ez/uv| are at most δ: here in the box of half-width `radius` around
    the point, by balls, with δ ≤ 1. At the point itself the loss is 1 in exact arithmetic, and it
    is 0 elsewhere. Each point is a certificate: `nnflow certificate check` proves it again.
    """

    needs = ("critical_points",)
    columns = {
        "kink_points": "points under the absolute error",
        "kink_unproved": "of these, points not proved to be spurious minima",
        "kink_coefficient": "proved: δ is at most this in the boxes; the loss is at least 1",
    }
    radius: PositiveFloat = 0.49
    """Half-width of the box in every weight; the point W_2 = diag(1, 0), W_1 = diag(0, 1) allows
    any below ½."""

    def compute(self, results):
        table, rows = nnflow.Table(results, self.columns), []
        for configuration in results.configurations:
            model = configuration.settings.model
            if model.name != MODEL or model.loss_function.name != LOSS:
                continue
            critical = results.at("critical_points", configuration.label)
            points = {
                tuple(np.concatenate([critical[name].values[run].ravel() for name in ("w1", "w2")]))
                for run in range(critical.sizes["run"])
            }
            found = [(point, _coefficient(np.array(point), self.radius)) for point in points]
            proved = [one for one in found if _minimum(np.array(one[0]), one[1])]
            table.row(
                configuration,
                kink_points=len(found),
                kink_unproved=len(found) - len(proved),
                kink_coefficient=max((delta for _, delta in found), default=np.nan),
            )
            rows += proved
        return self._sealed(table.dataset(), sorted(set(rows)))

    def _sealed(self, columns: xr.Dataset, rows: list) -> xr.Dataset:
        """The columns, and the points with the coefficient of each."""
        weights = np.array([point for point, _ in rows]).reshape(-1, 2, 2, 2)
        axes = ("certificate", "output", "input")
        variables = {
            "w1": (axes, weights[:, 0], {"long_name": "W_1 at the center, taken as exact"}),
            "w2": (axes, weights[:, 1], {"long_name": "W_2 at the center, taken as exact"}),
        }
        numbers = {
            "radius": ([self.radius] * len(rows), "half-width of the box in every weight"),
            "coefficient": ([delta for _, delta in rows], "proved: δ is at most this in the box"),
            "loss": ([float(VALUE)] * len(rows), "exact: the loss at the center, least in the box"),
        }
        for name, (values, text) in numbers.items():
            variables[name] = (axes[:1], np.array(values, dtype=float), {"long_name": text})
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return nnflow.sealed(columns.assign(variables).assign_attrs(analysis=described))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Prove each point again from its weights, radius and coefficient."""
        count = dataset.sizes["certificate"]
        yield "points", count > 0, f"{count} points at kinks"
        yield "formula", _identity(), "u v A_21 = e v A_11 + u z A_22 − e z A_12 for all matrices"
        yield "infimum", _loss(_ZERO) == 0, "the loss is 0 at W_2 = E_21, W_1 = E_11"
        for number in range(count):
            row = dataset.isel(certificate=number)
            point = np.concatenate([row[name].values.ravel() for name in ("w1", "w2")])
            radius, said = float(row["radius"]), float(row["coefficient"])
            again = _coefficient(point, radius)
            if not again <= said * (1 + SLACK):
                told = f"a coefficient of {said:.17g} is not proved again"
            elif not _minimum(point, said) or float(row["loss"]) != VALUE:
                told = "it is not proved to be a spurious minimum"
            else:
                told = ""
            text = (
                f"spurious minimum, loss 1, least wherever no weight differs by more than {radius}"
            )
            yield f"point {number}", not told, told or text


_ZERO = np.array([1.0, 0, 0, 0, 0, 0, 1, 0])
"""W_1 = E_11 and W_2 = E_21."""


def _loss(point: np.ndarray):
    """‖W_2W_1 − E_21‖₁ of (w1, w2), flat, as a fraction."""
    from fractions import Fraction

    first, second = np.array([Fraction(x) for x in point.tolist()]).reshape(2, 2, 2)
    return np.abs(second @ first - np.array([[0, 0], [1, 0]])).sum()


def _identity() -> bool:
    """The formula for A_21, as an identity of polynomials in the eight weights."""
    from flint import Ordering, fmpz_mpoly_ctx

    names = ("a", "c", "z", "v", "u", "b", "e", "d")
    a, c, z, v, u, b, e, d = fmpz_mpoly_ctx.get(names, Ordering.lex).gens()
    whole = {(1, 1): u * a + b * z, (1, 2): u * c + b * v, (2, 1): e * a + d * z,
             (2, 2): e * c + d * v}  # fmt: skip
    left = u * v * whole[2, 1]
    return bool(left == e * v * whole[1, 1] + u * z * whole[2, 2] - e * z * whole[1, 2])


def _coefficient(point: np.ndarray, radius: float) -> float:
    """An upper bound of |e/u|, |z/v| and |ez/uv| in the box; infinite where there is none."""
    import flint
    from flint import arb

    if not (np.isfinite(point).all() and 0 < radius < np.inf):
        return np.inf
    with flint.ctx.workprec(PRECISION):
        _, _, z, v, u, _, e, _ = (arb(x, radius) for x in point.tolist())
        if 0 in u or 0 in v:
            return np.inf
        ratios = [e / u, z / v, e / u * (z / v)]
        largest = max(float(ratio.abs_upper()) for ratio in ratios)
    return largest * (1 + SLACK)


def _minimum(point: np.ndarray, coefficient: float) -> bool:
    """Is it a spurious minimum, if the coefficients in a box are at most this?"""
    return bool(coefficient <= 1 and _loss(point) == VALUE and _identity() and _loss(_ZERO) == 0)


@nnflow.hookimpl
def nnflow_register(register):
    register("kink_proof", KinkProof)
