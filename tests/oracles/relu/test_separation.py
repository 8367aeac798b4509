"""Tian 2017, Eq. 14 for two neurons: its closed form, its grid, and the proof of its signs."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import module

from nnflow.interfaces.registry import registry

# Two neurons


def two_neurons(theta):
    return np.array([[1.0, 0.0], [np.cos(theta), np.sin(theta)]])


def test_published_code_agrees():
    # values of the authors' fig_verify.py, at θ₁₂ = 3π/8 and φ = π/4 … 7π/4
    known = [0.30419, -0.32971, -0.67543, -0.35263, -0.46758, -1.06853, -0.94851]
    phi = np.arange(1, 8) * np.pi / 4
    found = module("_two_neurons").separation(np.array(3 * np.pi / 8), phi)
    np.testing.assert_allclose(found, known, atol=5e-6)


@given(theta=st.floats(0.01, 3.13), phi=st.floats(-10, 10))
def test_determinant_is_equation_14(theta, phi):
    e = np.array([np.cos(phi), np.sin(phi)])
    general = module("_normal_equation").separation(two_neurons(theta), e)
    closed = module("_two_neurons").separation
    angle, direction = np.array(theta), np.array(phi)
    tolerance = 1e-13 / theta**2
    assert closed(angle, direction) == pytest.approx(general[0, 1], abs=tolerance)
    assert closed(angle, angle - direction) == pytest.approx(general[1, 0], abs=tolerance)


@given(theta=st.floats(1e-6, np.pi - 1e-6))
def test_separation_vanishes_on_the_edges_of_the_cone(theta):
    closed, angle = module("_two_neurons").separation, np.array(theta)
    assert abs(closed(angle, np.array(0.0))) < 1e-14
    assert abs(closed(angle, angle)) < 1e-14


@pytest.mark.parametrize("columns", [40, 60, 120, 240])
def test_lattice_is_the_closed_form(columns):
    two = module("_two_neurons")
    grid = two.Grid(120, columns)
    out, spare = np.empty((2, columns)), np.empty(columns)
    phi = grid.phi_units * grid.unit
    np.testing.assert_allclose(phi, (np.arange(columns) + 0.5) * 2 * np.pi / columns)
    for row, theta in enumerate(grid.theta):
        grid.row(row, out, spare)
        expected = two.separation(theta, phi), two.separation(theta, theta - phi)
        np.testing.assert_allclose(out, expected, atol=1e-13)
        first, last = grid.inside(row)
        strictly = np.flatnonzero(phi < theta - 1e-9)
        assert (first, last) == (0, len(strictly))
        edge = grid.edge(row)
        assert (edge is not None) == (np.abs(phi - theta).min() < 1e-9)
        if edge is not None:
            assert abs(phi[edge] - theta) < 1e-9


def exact_separation(theta_units, phi_units, rows):
    """L₁₂ to 60 digits, as a float, at θ and φ in units of half a cell."""
    from flint import arb, ctx

    conjecture = module("_conjecture")
    with ctx.workdps(60):
        unit = arb.pi() / (2 * rows)
        theta, phi = theta_units * unit, phi_units * unit
        delta = conjecture._natural(lambda x, t: (x, t), "value")(theta, phi)
        size = conjecture.kernel(theta, 1)
        return float(theta.sin() * delta / (arb.pi() ** 2 - size * size))


def test_tolerance_covers_rounding():
    """At the corners of the paper's grid, and at random points, against 60 digits."""
    two, rows = module("_two_neurons"), 10_000
    grid = two.Grid(rows, rows)
    out, spare = np.empty((2, rows)), np.empty(rows)
    random = np.random.default_rng(3)
    worst = 0.0
    for row in (0, 1, 2, 30, 999, 5000, 9997, 9999, *random.integers(0, rows, 20)):
        grid.row(row, out, spare)
        inside = grid.inside(row)[1]
        columns = {
            0,
            inside,
            inside + 1,
            rows // 2 - 1,
            rows // 2,
            rows - 1,
            *random.integers(0, rows, 9),
        }
        for column in columns:
            exact = exact_separation(2 * int(row) + 1, int(grid.phi_units[column]), rows)
            worst = max(worst, abs(out[0, column] - exact) / grid.tolerance(row))
    assert 1e-3 < worst < 0.5


def test_counterexamples_would_be_counted(monkeypatch):
    two, grid_module = (
        module("_two_neurons"),
        module("separation_grid"),
    )
    fair, _ = grid_module.scan(two.Grid(200, 400))
    assert fair["counterexamples"] == fair["undecided"] == 0
    assert fair["points"] == 80_000 and 0 <= fair["edge"] < 1e-14
    honest = two.Grid.row

    def lying(self, row, out, spare):
        honest(self, row, out, spare)
        if row == 50:
            out[0, 3], out[1, 300], out[0, 200] = -0.1, 0.2, 1e-18
        return out

    monkeypatch.setattr(two.Grid, "row", lying)
    found, _ = grid_module.scan(two.Grid(200, 400))
    assert (found["counterexamples"], found["undecided"]) == (2, 1)


def test_cells_must_lie_on_one_lattice():
    plugin = registry().get("analyses", "separation_grid")
    with pytest.raises(ValueError, match="2·100 cells in θ over 300 in φ is no whole number"):
        plugin(grids={"odd": (100, 300)})


# The proof


@given(x=st.floats(-6.28, 6.28))
def test_ball_functions_are_those_of_the_grid(x):
    from flint import arb

    conjecture, two = (
        module("_conjecture"),
        module("_two_neurons"),
    )
    for function, known in ((conjecture.kernel, two.kernel), (conjecture.slope, two.slope)):
        found = float(conjecture._anywhere(function, arb(x)))
        assert found == pytest.approx(float(known(np.array(x))), abs=1e-13)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_enclosures_hold_what_they_enclose(seed):
    """Each sheet's enclosure over a small box, against L₁₂ in floats inside of it."""
    from flint import ctx

    conjecture, two = (
        module("_conjecture"),
        module("_two_neurons"),
    )
    random = np.random.default_rng(seed)
    for sheet in conjecture.sheets():
        if sheet.shows == "slope" or sheet.name.startswith("from -e1"):
            continue  # the slopes' turn is next; that sheet encloses a factor only
        low, high = np.sort(random.uniform(*sheet.x, 2)), np.sort(random.uniform(*sheet.t, 2))
        low = np.maximum(low, 1e-2)
        with ctx.workprec(64):
            found = sheet.enclosure(conjecture.ball(*low), conjecture.ball(*high))
            x, t = random.uniform(*low), random.uniform(*high)
            theta, phi = (
                np.array(float(one)) for one in sheet.angles(conjecture.arb(x), conjecture.arb(t))
            )
        size = two.kernel_gap(theta) / np.sin(theta) * two.separation(theta, phi)
        order = {"θ near 0": 3, "to -e1, θ near π": 2}.get(sheet.name.split(", ", 1)[-1], 0)
        order = 2 if sheet.name == "to -e1, θ near π" else order
        order += sheet.name in ("inside, θ near 0", "between -e1 and -e2, θ near 0")
        expected = float(size) / x**order
        assert float(found.lower()) - 1e-6 <= expected <= float(found.upper()) + 1e-6, sheet.name


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_slopes_are_slopes(seed):
    """Sheets of ∂Δ/∂φ, at points, against differences of Δ."""
    from flint import arb, ctx

    conjecture = module("_conjecture")
    random = np.random.default_rng(seed)
    value = conjecture._natural(lambda x, t: (x, t), "value")
    for sheet in conjecture.sheets():
        if sheet.shows == "value" or sheet.name == "to e2, θ near π":
            continue  # the latter encloses a bound
        x, t = random.uniform(max(sheet.x[0], 0.05), sheet.x[1]), random.uniform(*sheet.t)
        with ctx.workdps(50):
            theta, phi = sheet.angles(arb(x), arb(t))
            step = arb(10) ** -15
            found = sheet.enclosure(arb(x), arb(t))
            slope = (value(theta, phi + step) - value(theta, phi - step)) / (2 * step)
        order = 3 if sheet.name.endswith("θ near 0") else int(sheet.name.startswith("from e2, θ"))
        if sheet.half and t < x:
            continue  # beyond its domain, where the branch is continued
        expected = float(slope) / x**order
        slack = 1e-9 * (1 + abs(expected))
        assert found.lower() - slack <= expected <= found.upper() + slack, sheet.name
        assert found.rad() < 0.3 * (1 + abs(expected)), sheet.name


def test_bounds_at_pi_are_bounds():
    """The two sheets that enclose no Δ: ∂Δ/∂φ ≤ t·enclosure, and Δ ≤ u(θ)·enclosure."""
    from flint import arb, ctx

    conjecture = module("_conjecture")
    sheets = {sheet.name: sheet for sheet in conjecture.sheets()}
    value, slope = (conjecture._natural(lambda x, t: (x, t), shows) for shows in ("value", "slope"))
    random = np.random.default_rng(7)
    with ctx.workdps(40):
        for x, t in random.uniform(1e-3, 0.5, size=(200, 2)):
            sheet = sheets["from -e1, θ near π"]
            theta, phi = sheet.angles(arb(x), arb(t))
            bound = conjecture.slope(theta, 1) * sheet.enclosure(arb(x), arb(t))
            assert value(theta, phi) < bound < 0
            sheet = sheets["to e2, θ near π"]
            theta, phi = sheet.angles(arb(x), arb(x + t))
            assert slope(theta, phi) < (x + t) * sheet.enclosure(arb(x), arb(x + t)) < 0


def test_lower_orders_vanish():
    """What the expansions leave out is zero: Δ over x^order stays bounded as x falls to 1e-12."""
    from flint import arb, ctx

    conjecture = module("_conjecture")
    value = conjecture._natural(lambda x, t: (x, t), "value")
    for sheet in conjecture.sheets():
        order = 4 if sheet.name == "inside, θ near 0" or "between" in sheet.name else 3
        if sheet.shows == "slope" or not sheet.name.endswith("θ near 0"):
            if sheet.name != "to -e1, θ near π":
                continue
            order = 2
        middle = (sheet.t[0] + sheet.t[1]) / 2
        with ctx.workdps(120):
            x = arb(10) ** -12
            exact = value(*sheet.angles(x, arb(middle))) / x**order
            expanded = sheet.enclosure(x, arb(middle))
            assert float(exact) == pytest.approx(float(expanded), rel=1e-9), sheet.name


def test_sheets_cover_the_domain():
    conjecture = module("_conjecture")
    random = np.random.default_rng(0)
    corners = []
    for sheet in conjecture.sheets():
        grid = np.stack(np.meshgrid(np.linspace(*sheet.x, 60), np.linspace(*sheet.t, 60)), -1)
        flat = grid.reshape(-1, 2)
        if sheet.half:  # their branch holds for t ≥ x only, and is continued below
            flat = flat[flat[:, 1] >= flat[:, 0]]
        places = [
            tuple(map(float, sheet.angles(conjecture.arb(x), conjecture.arb(t)))) for x, t in flat
        ]
        corners.append(np.array(places))
    everything = np.concatenate(corners)
    everything = np.concatenate([everything, everything + np.array([0, 2 * np.pi])])
    from scipy.spatial import cKDTree

    wanted = random.uniform([0, 0], [np.pi, 2 * np.pi], size=(20_000, 2))
    assert cKDTree(everything).query(wanted)[0].max() < 0.06


def test_a_wrong_sign_is_not_proved():
    """The proof's own machine fails where the statement is wrong."""
    conjecture = module("_conjecture")
    sheet = next(s for s in conjecture.sheets() if s.name == "inside, θ near π")
    partition = conjecture.prove(dataclasses.replace(sheet, sign=-1), 64, most_splits=8)
    assert not partition.decided and len(partition.undecided) == 2**8
    # nor where Δ vanishes inside: across the line e* = e2
    wide = next(s for s in conjecture.sheets() if s.name == "inside")
    across = dataclasses.replace(wide, t=(0.0, 1.2))
    assert conjecture.prove(across, 64, most_splits=10).undecided


@pytest.mark.parametrize("precision", [30, 200])
def test_the_conjecture_is_proved_at_any_precision(precision):
    conjecture = module("_conjecture")
    partitions = [
        conjecture.prove(sheet, precision, most_splits=40) for sheet in conjecture.sheets()
    ]
    assert not any(partition.undecided for partition in partitions)
    for sheet, partition in zip(conjecture.sheets(), partitions, strict=True):
        box = np.array(partition.decided)
        area = ((box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])).sum()
        assert area == pytest.approx((sheet.x[1] - sheet.x[0]) * (sheet.t[1] - sheet.t[0]))
