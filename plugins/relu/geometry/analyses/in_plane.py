"""Critical points in the teachers' plane: where there can be none, and the line of saddles."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams

from ..._population import gradient, hessian, kernel, loss, units
from ._critical_points import find, modes
from ._normal_equation import best_norms, normal_equation, projections, radial, separation
from ._two_neurons import separation as separation_of_two
from ._two_neurons import slope

ONE_SIGN = 1e-6
"""Sums of L at critical points are 1e-15; beyond this all L_jj'(e*_k) of one sign are an exception
to Theorem 3."""
CONE, CONE_CELLS = 3 * np.pi / 8, 720
"""Angle θ₁₂ at which L₁₂ is shown by the direction of e*, and cells of that direction."""
ON_AN_EDGE = 1e-6
"""Within this angle a neuron points along a teacher, which is no interior of a cone."""


class InPlane(Analysis):
    """Tian's Theorems 3 and 4 for K neurons and K teachers in K dimensions.

    Two neurons in the plane: for their directions (α₁, α₂) the norms that make |E∇J| least are
    known (it is linear in them). `residual` (alpha, alpha_2) is that least, zero at directions of
    critical points; `excluded` says where Theorem 4 allows none: no neuron or both in the cone of
    the teachers, which are unit vectors at the angles 0 and `teacher_angle`. `same_sign` holds
    where L₁₂ has one sign for both teachers, as Theorem 3 asks. Critical points reached from random
    starts are (critical_point, …): `critical` directions, `critical_index`, `critical_collinear`,
    where the neurons are parallel.

    The line of collinear saddles: w₁ = sρb, w₂ = (1 − s)ρb on the bisector b, with ρ =
    h(θ*₁₂/2)(|w*₁| + |w*₂|)/π. `line_gradient`, `line_loss`, `line_eigenvalue` (share, mode).

    Theorem 3 is held against critical points of K = 2 … `most_neurons` neurons, no two of them
    parallel; the equations against random neurons. For the figure, `cone_value` (cone_phi,) is
    L₁₂ at `cone_angle`.
    """

    columns = {
        "critical_points": "critical points reached in the plane, not collinear",
        "theorem_4_exceptions": "of these, those inside of Theorem 4's region",
        "edge_points": "of these, those with a neuron along a teacher, on the edge of the cone",
        "collinear_points": "collinear critical points reached in the plane",
        "collinear_in_region": "of these, those with both neurons in the cone, or both out of it",
        "one_teacher_inside": "critical points, neither collinear nor opposite, with exactly one"
        " teacher inside of the neurons' cone",
        "opposite_points": "critical points with opposite neurons",
        "sign_exceptions": "directions where the cones and the signs of L₁₂ disagree",
        "theorem_3_points": "critical points of K = 2 and more neurons",
        "theorem_3_exceptions": "of these, those where some L_jj' has one sign at all teachers",
        "normal_equation_error": "largest entry of EY − W*B* − 2π E∇J (Eq. 9)",
        "projection_error": "largest entry of Mw̄ − M*w̄* − 2π E∇J·e (Eq. 10)",
        "separable_error": "largest error of Σ_k |w*_k| L_jj'(e*_k) as what Eq. 13 leaves of"
        " Eq. 10, over the condition number of M_r",
        "separation_at_neurons": "largest |L_jj'(e_l)| over the condition number (Prop. 1)",
        "separation_diagonal": "largest |L_jj| over the condition number (Prop. 1)",
        "saddle_norm": "ρ = |w₁| + |w₂| on the line of collinear saddles",
        "line_gradient_norm": "largest gradient norm on that line",
        "line_index": "least number of negative eigenvalues on it",
        "line_nullity": "least number of zero eigenvalues on it",
        "line_not_saddles": "points on it without a negative eigenvalue",
        "unequal_gradient": "gradient norm at the bisector of teachers with norms 1 and 2",
        "unequal_mended": "gradient norm along the direction of largest Σ|w*|h(θ*)",
    }

    teacher_angle: Annotated[float, Field(gt=0, lt=math.pi)] = math.pi / 2
    """Angle between the two teachers."""
    size: PositiveInt = 240
    """Cells of the map in each direction."""
    starts: PositiveInt = 300
    """Random starts for critical points, for each number of neurons."""
    most_neurons: PositiveInt = 4
    """Largest K for Theorem 3."""

    def compute(self, results):
        seed = results.study.settings.seed
        teachers = np.array([[1, 0], [np.cos(self.teacher_angle), np.sin(self.teacher_angle)]])
        table, map_ = nnflow.Table(results, self.columns), self._map(teachers, results)
        critical = self._critical(seed, teachers)
        line, on_the_line = _line(teachers)
        table.everywhere(
            sign_exceptions=int((map_["excluded"] != map_["same_sign"]).sum()),
            **self.theorem_4(critical),
            **self._theorem_3(seed),
            **identities(seed),
            **on_the_line,
            **_unequal(),
        )
        return (
            table.dataset()
            .merge(map_)
            .merge(critical)
            .merge(line)
            .merge(_cone())
            .assign_attrs(cone_angle=CONE)
        )

    def _starts(self, seed: int, neurons: int) -> np.ndarray:
        streams = Streams(seed, f"K={neurons}", np.arange(self.starts), "in_plane")
        return streams.normal(neurons**2).reshape(-1, neurons, neurons) / np.sqrt(neurons)

    def _map(self, teachers: np.ndarray, results):
        """Residuals and regions by the directions of both neurons."""
        import xarray as xr

        alpha = (np.arange(self.size) + 0.5) * 2 * np.pi / self.size
        excluded, same = self._regions(alpha[:, None], alpha)
        axes = ("alpha", "alpha_2")
        return xr.Dataset(
            {
                "residual": (
                    axes,
                    _residual(alpha, teachers, results),
                    {"long_name": "least gradient norm"},
                ),
                "excluded": (axes, excluded.astype(np.int8), {"long_name": "1: Theorem 4 applies"}),
                "same_sign": (axes, same.astype(np.int8), {"long_name": "1: L₁₂ has one sign"}),
            },
            {"alpha": alpha, "alpha_2": alpha},
        )

    def _regions(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where Theorem 4 excludes the directions (α₁, α₂); where L₁₂ has one sign."""
        in_cone = [(angle % (2 * np.pi)) < self.teacher_angle for angle in (first, second)]
        # θ₁₂ in (0, π): turn and, if need be, reflect e₁ to 0 and e₂ to θ₁₂
        apart = (second - first + np.pi) % (2 * np.pi) - np.pi
        sign = np.where(apart < 0, -1, 1)
        # neither parallel nor opposite neurons have a cone with an inside and an outside
        cone = np.minimum(np.abs(apart), np.pi - np.abs(apart)) > ON_AN_EDGE
        theta = np.where(cone, np.abs(apart), 1)
        signs = [
            separation_of_two(theta, sign * (teacher - first)) > 0
            for teacher in (0, self.teacher_angle)
        ]
        return cone & (in_cone[0] == in_cone[1]), cone & (signs[0] == signs[1])

    def _off_edges(self, directions: np.ndarray) -> np.ndarray:
        teachers = np.array([0, self.teacher_angle])
        apart = np.abs((directions[..., None] - teachers + np.pi) % (2 * np.pi) - np.pi)
        return apart.min(axis=(1, 2)) > ON_AN_EDGE

    def _critical(self, seed: int, teachers: np.ndarray):
        """Critical points of two neurons, reached from random starts."""
        import xarray as xr

        w = find(self._starts(seed, 2), teachers)
        e = units(w)
        collinear = ((e[:, 0] * e[:, 1]).sum(axis=1) > 1 - ON_AN_EDGE).astype(np.int8)
        angles, index = np.arctan2(w[..., 1], w[..., 0]), modes(w, teachers)["index"]
        directions = angles % (2 * np.pi)
        return xr.Dataset(
            {
                "critical": (("critical_point", "neuron"), directions, {"units": "rad"}),
                "critical_index": ("critical_point", index, {"long_name": "index"}),
                "critical_collinear": ("critical_point", collinear, {"long_name": "1: w₁ ∥ w₂"}),
            }
        )

    def theorem_4(self, critical) -> dict[str, int]:
        """Critical points inside of the region that Theorem 4 excludes. Collinear ones and those on
        an edge of the cone are counted apart."""
        directions = critical["critical"].values
        collinear = critical["critical_collinear"].values == 1
        in_cone = directions % (2 * np.pi) < self.teacher_angle
        excluded, _ = self._regions(*directions.T)
        off_edges = self._off_edges(directions)
        apart = np.abs(_turn(directions[:, 0], directions[:, 1]))
        opposite = np.pi - apart < ON_AN_EDGE
        inside = sum(_between(teacher, *directions.T) for teacher in (0, self.teacher_angle))
        return {
            "critical_points": (~collinear).sum(),
            "theorem_4_exceptions": (excluded & off_edges & ~collinear).sum(),
            "edge_points": (~off_edges & ~collinear).sum(),
            "one_teacher_inside": ((inside == 1) & off_edges & ~collinear & ~opposite).sum(),
            "opposite_points": opposite.sum(),
            "collinear_points": collinear.sum(),
            "collinear_in_region": (collinear & (in_cone[:, 0] == in_cone[:, 1])).sum(),
        }

    def _theorem_3(self, seed: int) -> dict[str, int]:
        """Critical points for which some L_jj' has one strict sign at all teachers."""
        points = exceptions = 0
        for neurons in range(2, self.most_neurons + 1):
            teachers = np.eye(neurons)
            w = find(self._starts(seed, neurons), teachers)
            cosine = units(w) @ units(w).swapaxes(1, 2) - 2 * np.eye(neurons)
            # M_r is singular where two are parallel
            w = w[cosine.max(axis=(1, 2)) < 1 - ON_AN_EDGE]
            parts = np.stack([separation(w, np.broadcast_to(e, w[:, 0].shape)) for e in teachers])
            one_sign = (parts > ONE_SIGN).all(axis=0) | (parts < -ONE_SIGN).all(axis=0)
            points += len(w)
            exceptions += int(one_sign.any(axis=(1, 2)).sum())
        return {"theorem_3_points": points, "theorem_3_exceptions": exceptions}


def _turn(start: np.ndarray | float, end: np.ndarray | float) -> np.ndarray:
    """The angle from start to end, in [−π, π)."""
    return (end - start + np.pi) % (2 * np.pi) - np.pi


def _between(angle: float, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Is the direction of this angle inside of the cone of both? 1 or 0."""
    cone, part = _turn(first, second), _turn(first, angle)
    return ((part * cone > 0) & (np.abs(part) < np.abs(cone))).astype(int)


def _residual(alpha: np.ndarray, teachers: np.ndarray, results) -> np.ndarray:
    """(alpha, alpha_2), row by row."""
    directions = np.stack([np.cos(alpha), np.sin(alpha)], axis=1)
    rows = []
    for number, one in enumerate(directions):
        results.progress(number, len(alpha), "rows of the map")
        pairs = np.stack([np.broadcast_to(one, directions.shape), directions], axis=1)
        rows.append(best_norms(pairs, teachers)[1])
    return np.stack(rows)


def _cone():
    """L₁₂ by the direction of e*, for the figure."""
    import xarray as xr

    phi = (np.arange(CONE_CELLS) + 0.5) * 2 * np.pi / CONE_CELLS
    value = separation_of_two(CONE, phi)
    return xr.Dataset(
        {"cone_value": ("cone_phi", value, {"long_name": "L₁₂ at θ₁₂ = 3π/8"})},
        {"cone_phi": phi},
    )


def _line(teachers: np.ndarray):
    """Arrays along the line of collinear saddles, and columns."""
    import xarray as xr

    share = np.linspace(0.02, 0.98, 97)
    bisector = units(teachers.sum(axis=0))
    norm = 2 * kernel(np.arccos(bisector @ teachers[0])) / np.pi
    w = norm * np.stack([share, 1 - share], axis=1)[..., None] * bisector
    kinds = modes(w, teachers)
    size = np.linalg.norm(gradient(w, teachers), axis=(1, 2))
    values = np.linalg.eigvalsh(hessian(w, teachers))
    return xr.Dataset(
        {
            "share": ("share", share, {"long_name": "|w₁|/(|w₁| + |w₂|)"}),
            "line_gradient": ("share", size, {"long_name": "gradient norm"}),
            "line_loss": ("share", loss(w, teachers), {"long_name": "loss of one sample"}),
            "line_eigenvalue": (("share", "mode"), values, {"long_name": "Hessian eigenvalue"}),
        },
    ), {
        "saddle_norm": norm,
        "line_gradient_norm": size.max(),
        "line_index": kinds["index"].min(),
        "line_nullity": kinds["nullity"].min(),
        "line_not_saddles": (kinds["index"] == 0).sum(),
    }


def _unequal() -> dict[str, float]:
    """Gradient norm at the paper's point for orthogonal teachers of norms 1 and 2, which is not
    critical, and in the direction of largest Σ_k |w*_k|h(θ*_k), where the sum's slope vanishes."""
    from scipy.optimize import brentq

    sizes, at = np.array([1.0, 2.0]), np.array([0, np.pi / 2])
    teachers = sizes[:, None] * np.stack([np.cos(at), np.sin(at)], axis=1)
    balanced = brentq(lambda b: (sizes * slope(b - at)).sum(), 0, np.pi / 2, xtol=1e-15)
    norms = []
    for direction in (np.pi / 4, balanced):
        e = np.array([np.cos(direction), np.sin(direction)])
        norm = (sizes * kernel(np.abs(direction - at))).sum() / np.pi
        w = norm / 2 * np.stack([e, e])
        norms.append(np.linalg.norm(gradient(w, teachers)))
    return {"unequal_gradient": norms[0], "unequal_mended": norms[1]}


def identities(seed: int) -> dict[str, float]:
    """Largest errors of Eqs. 9, 10 and 14 and of Proposition 1, for random neurons and teachers."""
    errors = [_errors(seed, neurons) for neurons in (2, 3, 5, 8)]
    return {name: max(one[name] for one in errors) for name in errors[0]}


def _errors(seed: int, neurons: int) -> dict[str, float]:
    """Errors for one K; those of L over the condition number of M_r, which it inverts."""
    streams = Streams(seed, f"K={neurons}", np.arange(200), "identities")
    drawn = streams.normal(2 * neurons**2).reshape(-1, 2, neurons, neurons)
    w, teachers = drawn.swapaxes(0, 1)
    e = units(w)
    expected = 2 * np.pi * gradient(w, teachers)
    y, b = normal_equation(w, teachers)
    columns = y.swapaxes(1, 2) @ e - b.swapaxes(1, 2) @ teachers
    m, m_star = projections(w, teachers)
    size, size_of_teachers = (np.linalg.norm(x, axis=2)[:, None, :, None] for x in (w, teachers))
    projected = (m @ size - m_star @ size_of_teachers)[..., 0]
    # Eq. 13 solved for the norms, and put into Eq. 10
    square, right = radial(w, teachers)
    norms = np.linalg.solve(square, right @ size_of_teachers[:, 0])[:, None]
    left = (m @ norms - m_star @ size_of_teachers)[..., 0]
    parts = [separation(w, units(teachers)[:, k]) for k in range(neurons)]
    sums = np.einsum("krij,rk->rij", np.array(parts), size_of_teachers[:, 0, :, 0])
    condition = np.linalg.cond(square)[:, None, None]
    diagonal = np.arange(neurons)
    at_neurons = [separation(w, w[:, k]) / condition for k in range(neurons)]
    on_diagonal = [(part / condition)[:, diagonal, diagonal] for part in parts]
    errors = {
        "normal_equation_error": columns - expected,
        "projection_error": projected - expected @ e.swapaxes(1, 2),
        "separable_error": (left + sums) / condition,
        "separation_at_neurons": at_neurons,
        "separation_diagonal": on_diagonal,
    }
    return {name: float(np.abs(values).max()) for name, values in errors.items()}


@nnflow.hookimpl
def nnflow_register(register):
    register("in_plane", InPlane)
