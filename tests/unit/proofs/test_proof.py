"""Proofs: what holds is proved, what does not hold is not, whatever the guesses are."""

import math

import flint
import numpy as np
import pytest
import scipy.linalg
from flint import arb, arb_mat
from hypothesis import given
from hypothesis import strategies as st

from nnflow.interfaces import Block, Enclosure
from nnflow.proofs import proof
from nnflow.proofs.proof import (
    LOWER,
    UPPER,
    VERDICTS,
    Proof,
    lowest_pair,
    prove,
    reason,
    verdict,
    weakened,
)


class Quartic(Enclosure):
    """L = Σ sᵢ(wᵢ² − 1)²/4 + offset: critical where each wᵢ is −1, 0 or 1, with curvatures 2sᵢ
    at ±1 and −sᵢ at 0."""

    def __init__(self, *scales, offset=0.0, kink=False):
        self.scales, self.offset, self.kink = scales, offset, kink

    def _pairs(self, box):
        return list(zip(self.scales, box.entries(), strict=True))

    def smooth(self, box):
        return not self.kink

    def loss(self, box):
        parts = ((s, w * w - 1) for s, w in self._pairs(box))
        return sum((s * u * u / 4 for s, u in parts), arb(self.offset))

    def gradient(self, box):
        return arb_mat([[s * w * (w * w - 1)] for s, w in self._pairs(box)])

    def hessian(self, box):
        matrix = arb_mat(len(self.scales), len(self.scales))
        for i, (s, w) in enumerate(self._pairs(box)):
            matrix[i, i] = s * (3 * w * w - 1)
        return matrix


def found(enclosure, center, infimum=0.0, **settings):
    claim = weakened(prove(enclosure, np.array(center, dtype=float), **settings))
    return verdict(claim, infimum), claim


CASES = {
    "minimum": ([1, -1], 0.0),
    "spurious_minimum": ([1, 1], 0.5),
    "saddle": ([0, 1], 0.0),
    "maximum": ([0, 0], 0.0),
}


@pytest.mark.parametrize(("kind", "case"), CASES.items())
def test_kinds(kind, case):
    point, offset = case
    said, claim = found(Quartic(1.0, 3.0, offset=offset), np.array(point) + 1e-15)
    assert said == kind
    curvatures = sorted(s * (3 * w * w - 1) for s, w in zip((1.0, 3.0), point, strict=True))
    assert claim.min_eigenvalue_low < curvatures[0] < claim.min_eigenvalue_high
    assert claim.max_eigenvalue_low < curvatures[1] < claim.max_eigenvalue_high
    assert claim.min_eigenvalue_high - claim.min_eigenvalue_low < 1e-7
    loss = sum(s * (w * w - 1) ** 2 / 4 for s, w in zip((1.0, 3.0), point, strict=True)) + offset
    assert claim.loss_low < loss < claim.loss_high
    assert 0 < claim.distance <= claim.radius


def test_a_minimum_is_spurious_only_beside_a_known_infimum():
    enclosure = Quartic(1.0, offset=0.5)
    assert found(enclosure, [1], infimum=None)[0] == "minimum"
    assert found(enclosure, [1], infimum=0.5)[0] == "minimum"
    assert found(enclosure, [1], infimum=0.4)[0] == "spurious_minimum"
    claim = Proof(1.0, distance=0.0, min_eigenvalue_low=1.0, loss_low=0.5)
    assert verdict(claim, 0.5) == "minimum"  # a bound at the infimum leaves no room


@pytest.mark.parametrize("center", [[0.7, 1.0], [1 + 1e-3, 1.0], [0.5, 0.2], [2.0, 5.0]])
def test_where_there_is_no_critical_point_nothing_is_proved(center):
    said, claim = found(Quartic(1.0, 3.0), center, radius=2.0**-20)
    assert said == "unproved"
    assert reason(claim)
    assert claim == Proof(claim.radius, claim.obstacle)


def test_a_kink_a_singular_hessian_and_a_center_that_is_not_finite():
    assert "smooth" in found(Quartic(1.0, kink=True), [1])[1].obstacle
    assert "singular" in found(Quartic(1.0, 0.0), [1, 1])[1].obstacle
    assert "finite" in found(Quartic(1.0), [math.nan])[1].obstacle
    for radius in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="radius"):
            found(Quartic(1.0), [1], radius=radius)


def test_a_box_that_is_too_small_or_too_large():
    center = [1 + 1e-9, 1.0]
    assert "too small" in found(Quartic(1.0, 3.0), center, radius=1e-10)[1].obstacle
    assert "contraction" in found(Quartic(1.0, 3.0), center, radius=0.9)[1].obstacle
    said, claim = found(Quartic(1.0, 3.0), center)
    assert said == "minimum", "a box is chosen that is wide enough"
    assert 4e-9 <= claim.radius < 1.7e-8


def test_eigenvalues_of_both_signs_that_are_nearly_zero_are_not_decided():
    said, claim = found(Quartic(1e-12, 1.0), [1, 1])
    assert said == "unproved"
    assert "lowest eigenvalue" in reason(claim)


class Split(Quartic):
    """The same with blocks of its own."""

    def blocks(self, box):
        return [Block("a", 5, arb_mat([[arb(3)]])), Block("b", 1, arb_mat([[2, 1], [1, 0]]))]


def test_eigenvalues_are_those_of_all_blocks():
    said, claim = found(Split(1.0), [1])
    assert said == "saddle"
    assert claim.min_eigenvalue_low < 1 - math.sqrt(2) < claim.min_eigenvalue_high
    assert claim.max_eigenvalue_low < 3 < claim.max_eigenvalue_low + 1e-6


@given(st.integers(1, 7), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-9, 1e-3]))
def test_eigenvalue_bounds_hold_for_each_matrix_of_an_enclosure(size, seed, radius):
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal((size, size)) * 10.0 ** rng.integers(-3, 3)
    middle += middle.T
    balls = arb_mat(size, size, [arb(x, radius) for x in middle.ravel().tolist()])
    bounds = proof._eigenvalue_bounds(balls)
    for _ in range(5):
        noise = rng.uniform(-radius, radius, (size, size))
        values = np.linalg.eigvalsh(middle + (noise + noise.T) / 2)
        rounding = 1e-13 * np.abs(values).max()
        assert bounds[0] <= values[0] + rounding
        assert values[0] <= bounds[1] + rounding + size * radius
        assert bounds[2] - size * radius <= values[-1] + rounding
        assert values[-1] <= bounds[3] + rounding


@pytest.mark.parametrize("repeated", [[2.0, 2.0, 2.0, 5.0], [1.0] * 6, [0.25, 0.25, 1e3, 1e3]])
def test_repeated_eigenvalues_are_no_obstacle(repeated):
    orthogonal = np.linalg.qr(np.random.default_rng(3).standard_normal((len(repeated),) * 2))[0]
    matrix = orthogonal * repeated @ orthogonal.T
    low, high, *_ = proof._eigenvalue_bounds(proof.exact((matrix + matrix.T) / 2))
    assert low <= repeated[0] + 1e-12
    assert high >= repeated[0] - 1e-12
    assert high - low < 1e-8 * max(repeated)


@pytest.mark.parametrize("seed", range(5))
def test_false_guesses_never_prove_a_false_statement(monkeypatch, seed):
    """The library routines that guess are replaced by ones that err or lie."""
    rng = np.random.default_rng(seed)
    for module, name in ((np.linalg, "inv"), (scipy.linalg, "cholesky")):
        monkeypatch.setattr(
            module, name, lambda m, **_: rng.standard_normal(np.shape(m)) * 10.0**seed
        )
    monkeypatch.setattr(
        scipy.linalg,
        "eigh",
        lambda m, **_: (np.full(1, 7.0), rng.standard_normal((len(m), 1))),
    )
    for point in ([0, 1], [0, 0], [1, 1], [0.5, 0.5]):
        said, claim = found(Quartic(1.0, 3.0), point)
        assert said == "unproved"
        curvatures = [s * (3 * w * w - 1) for s, w in zip((1.0, 3.0), point, strict=True)]
        assert claim.min_eigenvalue_low <= min(curvatures) <= claim.min_eigenvalue_high
        assert claim.max_eigenvalue_low <= max(curvatures) <= claim.max_eigenvalue_high


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e300))
def test_rounding_outwards(middle, radius):
    ball = arb(middle, radius)
    assert arb(proof._down(ball)) <= ball if math.isfinite(proof._down(ball)) else True
    assert arb(proof._up(ball)) >= ball if math.isfinite(proof._up(ball)) else True
    third = arb(middle) / 3
    assert proof._down(third) <= middle / 3 <= proof._up(third)
    assert proof._down(arb.nan()) == -math.inf
    assert proof._up(arb.pos_inf()) == math.inf


def test_a_stated_bound_is_weaker_and_precision_is_put_back():
    before = flint.ctx.prec
    raw = prove(Quartic(1.0, 3.0), np.array([1 + 1e-15, 1]), precision=200)
    assert flint.ctx.prec == before
    weaker = weakened(raw)
    for name in (*UPPER, *LOWER):
        bounds = getattr(weaker, name), getattr(raw, name)
        assert max(bounds) == bounds[name in LOWER]
    assert verdict(weaker, None) in VERDICTS


class Rotated(Quartic):
    """The same in axes that are turned, so that Hessians are not diagonal."""

    def __init__(self, *scales):
        super().__init__(*scales)
        drawn = np.random.default_rng(0).standard_normal((len(scales), len(scales)))
        self.turn = np.linalg.qr(drawn)[0]

    def hessian(self, box):
        turn = proof.exact(self.turn)
        return turn * super().hessian(turn.transpose() * box) * turn.transpose()


@pytest.mark.parametrize(
    ("point", "pair"),
    [([1, -1, 1], (2, 4)), ([0, 1, 1], (-1, 4)), ([0, 0, 1], (-2, -1)), ([1, 1, 0], (-3, 2))],
)
def test_the_two_lowest_eigenvalues(point, pair):
    """Curvatures of Σ sᵢ(wᵢ² − 1)²/4 are 2sᵢ at ±1 and −sᵢ at 0; those of one negative curvature
    are proved to have index 1, and no others."""
    enclosure = Rotated(1.0, 2.0, 3.0)
    first, second = lowest_pair(enclosure, enclosure.turn @ np.array(point, dtype=float), 1e-9)
    assert pair[0] <= first < pair[0] + 1e-6
    assert pair[1] - 1e-6 < second <= pair[1]
    assert (first < 0 < second) == (point.count(0) == 1)


def test_the_lowest_eigenvalues_of_a_wide_box_are_proved_of_all_its_points():
    """Around (0, 1) curvatures are s(3w² − 1): −1 to −0.97, and 1.43 to 2.63 at most."""
    first, second = lowest_pair(Quartic(1.0, 1.0), np.array([0.0, 1.0]), 0.1)
    assert -0.97 - 1e-12 <= first < -0.9
    assert 1.0 < second <= 3 * 0.9**2 - 1


def test_one_weight_has_no_second_eigenvalue():
    assert lowest_pair(Quartic(1.0), np.array([0.0]), 1e-9)[1] == math.inf
