"""Tian 2017: the normal equation, the separation function and the proof of its conjecture."""

import dataclasses
import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from students import objective, random_weights
from studies import complete, verdicts

from nnflow.registry import registry
from nnflow.study import load_study


def module(name):
    registry()
    return importlib.import_module(f"nnflow_plugins.analyses.{name}")


def networks(seed, count, inputs, batch=3):
    drawn = np.random.default_rng(seed).normal(size=(2, batch, count, inputs))
    return drawn[0], drawn[1]


shapes = {"seed": st.integers(0, 10_000), "count": st.integers(1, 6), "inputs": st.integers(2, 7)}


# The population gradient, for any teacher


def test_gradient_and_hessian_are_those_of_the_model():
    population, reference = module("_population"), objective(5, 4, runs=3)
    w = random_weights(5, 4, 3)
    found = w.numpy().reshape(3, 4, 5)
    gradient = population.gradient(found, np.eye(5)).reshape(3, -1)
    np.testing.assert_allclose(gradient, reference.gradient(w), atol=1e-14)
    hessian = population.hessian(found, np.eye(5))
    np.testing.assert_allclose(hessian, reference.hessian(w), atol=1e-13)


@given(**shapes)
def test_hessian_is_the_slope_of_the_gradient(seed, count, inputs):
    population = module("_population")
    w, teachers = networks(seed, count, inputs, batch=1)
    hessian, step = population.hessian(w, teachers)[0], 1e-6
    shifts = step * np.eye(count * inputs).reshape(-1, count, inputs)
    apart = population.gradient(w + shifts, teachers) - population.gradient(w - shifts, teachers)
    scale = np.abs(hessian).max()
    np.testing.assert_allclose(
        apart.reshape(len(shifts), -1) / (2 * step), hessian, atol=1e-5 * scale**2
    )


@given(**shapes)
def test_rotations_turn_the_gradient(seed, count, inputs):
    population = module("_population")
    w, teachers = networks(seed, count, inputs)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(inputs, inputs)))[0]
    turned = population.gradient(w @ turn.T, teachers @ turn.T)
    np.testing.assert_allclose(turned, population.gradient(w, teachers) @ turn.T, atol=2e-14)


def test_angles_are_exact_where_arccos_is_not():
    population = module("_population")
    small = 1e-9
    a = np.array([[1.0, 0.0]])
    b = np.array([[np.cos(small), np.sin(small)], [-np.cos(small), np.sin(small)]])
    np.testing.assert_allclose(population.angles(a, b), [[small, np.pi - small]], rtol=1e-7)


# The normal equation


@given(**shapes)
def test_normal_equation_is_the_gradient_column_by_column(seed, count, inputs):
    normal, population = module("_normal_equation"), module("_population")
    w, teachers = networks(seed, count, inputs)
    y, b = normal.normal_equation(w, teachers)
    transpose = [np.swapaxes(x, -1, -2) for x in (y, b)]
    found = transpose[0] @ population.units(w) - transpose[1] @ teachers
    expected = 2 * np.pi * population.gradient(w, teachers)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(**shapes)
def test_projections_of_the_normal_equation(seed, count, inputs):
    normal, population = module("_normal_equation"), module("_population")
    w, teachers = networks(seed, count, inputs)
    m, m_star = normal.projections(w, teachers)
    size, size_of_teachers = (np.linalg.norm(x, axis=-1) for x in (w, teachers))
    found = np.einsum("rjik,rk->rji", m, size) - np.einsum("rjik,rk->rji", m_star, size_of_teachers)
    gradient = 2 * np.pi * population.gradient(w, teachers)
    expected = gradient @ np.swapaxes(population.units(w), -1, -2)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    radial, radial_star = normal.radial(w, teachers)
    own = np.arange(count)
    np.testing.assert_allclose(radial, m[:, own, own], atol=1e-12)
    np.testing.assert_allclose(radial_star, m_star[:, own, own], atol=1e-12)
    np.testing.assert_allclose(radial, np.swapaxes(radial, -1, -2), atol=1e-12)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 5))
def test_teachers_separate(seed, count):
    """Eq. 13 solved and put into Eq. 10 leaves −Σ_k |w*_k| L_jj'(e*_k)."""
    normal, population = module("_normal_equation"), module("_population")
    w, teachers = (x[0] for x in networks(seed, count, count + 1))
    radial, radial_star = normal.radial(w, teachers)
    size = np.linalg.norm(teachers, axis=-1)
    norms = np.linalg.solve(radial, radial_star @ size)
    m, m_star = normal.projections(w, teachers)
    left = m @ norms - m_star @ size
    parts = [normal.separation(w, e) for e in population.units(teachers)]
    right = -sum(s * part for s, part in zip(size, parts, strict=True))
    np.testing.assert_allclose(left, right, atol=1e-11 * np.linalg.cond(radial))


@given(seed=st.integers(0, 10_000), count=st.integers(2, 5))
def test_separation_vanishes_at_the_neurons_and_on_the_diagonal(seed, count):
    normal, population = module("_normal_equation"), module("_population")
    w, others = (x[0] for x in networks(seed, count, count + 1))
    tolerance = 1e-13 * np.linalg.cond(normal.radial(w, w)[0])
    for e in population.units(w):
        np.testing.assert_allclose(normal.separation(w, e), 0, atol=tolerance)
    for e in population.units(others):
        assert np.abs(np.diagonal(normal.separation(w, e))).max() <= tolerance


@given(seed=st.integers(0, 10_000))
def test_no_norms_are_better_than_the_best(seed):
    normal, population = module("_normal_equation"), module("_population")
    w, teachers = networks(seed, 2, 3, batch=1)
    e = population.units(w)
    norms, left = normal.best_norms(w, teachers[0])
    assert (norms >= 0).all()

    def rest(norms):
        # a neuron of no length has a direction all the same
        at = np.maximum(norms, 1e-100)[..., None] * e
        return np.linalg.norm(population.gradient(at, teachers[0]), axis=(-1, -2))

    assert rest(norms)[0] == pytest.approx(left[0], abs=1e-12)
    others = (
        norms + np.random.default_rng(seed).normal(size=(200, 2)) * np.logspace(-4, 1, 200)[:, None]
    )
    assert rest(np.abs(others)).min() >= left[0] - 1e-12


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
    angle, way = np.array(theta), np.array(phi)
    tolerance = 1e-13 / theta**2
    assert closed(angle, way) == pytest.approx(general[0, 1], abs=tolerance)
    assert closed(angle, angle - way) == pytest.approx(general[1, 0], abs=tolerance)


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
    two, grid_module = module("_two_neurons"), module("separation_grid")
    fair = grid_module.scan(two.Grid(200, 400))
    assert fair["counterexamples"] == fair["undecided"] == 0
    assert fair["points"] == 80_000 and 0 <= fair["edge"] < 1e-14
    honest = two.Grid.row

    def lying(self, row, out, spare):
        honest(self, row, out, spare)
        if row == 50:
            out[0, 3], out[1, 300], out[0, 200] = -0.1, 0.2, 1e-18
        return out

    monkeypatch.setattr(two.Grid, "row", lying)
    found = grid_module.scan(two.Grid(200, 400))
    assert (found["counterexamples"], found["undecided"]) == (2, 1)


def test_cells_must_lie_on_one_lattice():
    plugin = registry().get("analyses", "separation_grid")
    with pytest.raises(ValueError, match="2·100 cells in θ over 300 in φ is no whole number"):
        plugin(grids={"odd": (100, 300)})


# The proof


@given(x=st.floats(-6.28, 6.28))
def test_ball_functions_are_those_of_the_grid(x):
    from flint import arb

    conjecture, two = module("_conjecture"), module("_two_neurons")
    for function, known in ((conjecture.kernel, two.kernel), (conjecture.slope, two.slope)):
        found = float(conjecture._anywhere(function, arb(x)))
        assert found == pytest.approx(float(known(np.array(x))), abs=1e-13)


@given(seed=st.integers(0, 10_000))
def test_enclosures_hold_what_they_enclose(seed):
    """Each sheet's enclosure over a small box, against L₁₂ in floats inside of it."""
    from flint import ctx

    conjecture, two = module("_conjecture"), module("_two_neurons")
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
                np.array(float(one)) for one in sheet.place(conjecture.arb(x), conjecture.arb(t))
            )
        size = two.kernel_gap(theta) / np.sin(theta) * two.separation(theta, phi)
        order = {"θ near 0": 3, "to -e1, θ near π": 2}.get(sheet.name.split(", ", 1)[-1], 0)
        order = 2 if sheet.name == "to -e1, θ near π" else order
        order += sheet.name in ("inside, θ near 0", "between -e1 and -e2, θ near 0")
        expected = float(size) / x**order
        assert float(found.lower()) - 1e-6 <= expected <= float(found.upper()) + 1e-6, sheet.name


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
            theta, phi = sheet.place(arb(x), arb(t))
            step = arb(10) ** -15
            found = sheet.enclosure(arb(x), arb(t))
            slope = (value(theta, phi + step) - value(theta, phi - step)) / (2 * step)
        order = 3 if sheet.name.endswith("θ near 0") else int(sheet.name.startswith("from e2, θ"))
        if sheet.name in ("from e2, θ near 0", "from -e2, θ near 0") and t < x:
            continue  # beyond its domain, where the branch is continued
        expected = float(slope) / x**order
        slack = 1e-9 * (1 + abs(expected))
        assert found.lower() - slack <= expected <= found.upper() + slack, sheet.name
        assert found.rad() < 0.1 * (1 + abs(expected)), sheet.name


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
            exact = value(*sheet.place(x, arb(middle))) / x**order
            expanded = sheet.enclosure(x, arb(middle))
            assert float(exact) == pytest.approx(float(expanded), rel=1e-9), sheet.name


def test_sheets_cover_the_domain():
    conjecture = module("_conjecture")
    boxes = [s for s in conjecture.sheets()]
    random = np.random.default_rng(0)
    corners = []
    for sheet in boxes:
        grid = np.stack(np.meshgrid(np.linspace(*sheet.x, 60), np.linspace(*sheet.t, 60)), -1)
        flat = grid.reshape(-1, 2)
        places = [
            tuple(map(float, sheet.place(conjecture.arb(x), conjecture.arb(t)))) for x, t in flat
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
    verdict = conjecture.prove(dataclasses.replace(sheet, sign=-1), 64, most_splits=8)
    assert not verdict.decided and len(verdict.undecided) == 2**8
    # nor where Δ vanishes inside: across the line e* = e2
    wide = next(s for s in conjecture.sheets() if s.name == "inside")
    across = dataclasses.replace(wide, t=(0.0, 1.2))
    assert conjecture.prove(across, 64, most_splits=10).undecided


@pytest.mark.parametrize("precision", [30, 53, 200])
def test_the_conjecture_is_proved_at_any_precision(precision):
    conjecture = module("_conjecture")
    verdicts = [conjecture.prove(sheet, precision) for sheet in conjecture.sheets()]
    assert not any(verdict.undecided for verdict in verdicts)
    for sheet, verdict in zip(conjecture.sheets(), verdicts, strict=True):
        box = np.array(verdict.decided)
        area = ((box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])).sum()
        assert area == pytest.approx((sheet.x[1] - sheet.x[0]) * (sheet.t[1] - sheet.t[0]))


# Critical points


def test_critical_points_out_of_plane_lie_on_orbits():
    points, population = module("_critical_points"), module("_population")
    for neurons, inputs in ((2, 3), (2, 4), (3, 5)):
        teachers = np.eye(neurons, inputs)
        w = points.find(np.random.default_rng(0).normal(size=(60, neurons, inputs)) / 2, teachers)
        assert np.abs(population.gradient(w, teachers)).max() < 1e-12
        rest = w[..., neurons:]
        rank = np.linalg.matrix_rank(rest, tol=1e-4)
        assert (rank > 0).any() and (rank == 0).any()
        found = points.modes(w, teachers)
        expected = rank * (inputs - neurons) - rank * (rank + 1) // 2
        outside = rank > 0
        assert (found["nullity"][outside] == expected[outside]).all()
        assert (found["index"][outside] > 0).all()


def test_out_of_plane_point_of_two_neurons_in_closed_form():
    """w = r(cos β b ± sin β z), b the bisector and z out of plane: with θ = 2β and θ* the angle to
    either teacher, r(θ + sin θ) = 2 sin θ* and 2r cos β(π − θ) = √2(π − θ*)."""
    from scipy.optimize import brentq

    def norm(beta):
        star = np.arccos(np.cos(beta) / np.sqrt(2))
        return 2 * np.sin(star) / (2 * beta + np.sin(2 * beta))

    def left(beta):
        star = np.arccos(np.cos(beta) / np.sqrt(2))
        return 2 * norm(beta) * np.cos(beta) * (np.pi - 2 * beta) - np.sqrt(2) * (np.pi - star)

    beta = brentq(left, 0.1, 1.5, xtol=1e-15)
    size = norm(beta)
    along, out = size * np.cos(beta) / np.sqrt(2), size * np.sin(beta)
    w = np.array([[[along, along, out, 0], [along, along, -out, 0]]])
    teachers = np.eye(2, 4)
    assert np.abs(module("_population").gradient(w, teachers)).max() < 1e-14
    assert module("_critical_points").modes(w, teachers)["nullity"][0] == 1
    assert np.hypot(out, out) == pytest.approx(0.5786, abs=1e-4)  # as found from random starts


def test_loss_is_that_of_the_model():
    reference = objective(5, 4, runs=3)
    w = random_weights(5, 4, 3)
    found = module("_population").loss(w.numpy().reshape(3, 4, 5), np.eye(5))
    np.testing.assert_allclose(found, reference.loss(w), atol=1e-13)


# The study


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with a smaller grid and map."""
    study = load_study(root / "config" / "studies" / "critical_geometry.yaml")
    analyses = dict(study.outline.analyses)
    sizes = {
        "separation_grid": {"grids": {"paper": (1000, 1000), "script": (1000, 2000)}},
        "in_plane": {"size": 60, "starts": 60, "most_neurons": 3},
        "out_of_plane": {"starts": 30},
    }
    for name, settings in sizes.items():
        analyses[name] = analyses[name].model_copy(update=settings)
    outline = study.outline.model_copy(update={"analyses": analyses})
    return complete(
        dataclasses.replace(study, outline=outline), tmp_path_factory.mktemp("geometry")
    )


def test_every_claim_is_reproduced_or_corrected(done):
    found = verdicts(done)
    assert found.pop("collinear_saddles_of_any_norms") == "corrected"
    assert found.pop("grid_points") == "differs"  # the grid was made smaller
    assert set(found.values()) == {"reproduced"}, found


def test_figures_are_drawn(done):
    for name in done.study.outline.figures:
        assert (done.folder / "figures" / f"{name}.png").stat().st_size > 10_000


def test_map_is_zero_at_critical_points_alone(done):
    found = done.read["in_plane"]
    residual, excluded = found["residual"], found["excluded"].astype(bool)
    diagonal = np.eye(found.sizes["alpha"], dtype=bool)
    # the map's least values are beside minima, at the corners of the excluded region
    assert float(residual.min()) < 0.02
    center = excluded & ~diagonal
    assert float(residual.values[center].min()) > 0
    assert float(found["saddle_norm"].item()) == pytest.approx(2 * np.sqrt(2) * 0.534155, abs=3e-6)
