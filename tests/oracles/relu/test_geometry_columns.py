"""Every column of the analyses of critical points and gradients, on hand-made data."""

import itertools
import math

import numpy as np
import pytest
import torch
from handmade import Between, Handmade, analysis, assert_columns
from students import out_of_plane_point
from studies import module

from nnflow import mean

ROUNDING = Between(0, 1e-12)


# separation_grid


def judged(rows, columns, factor=1):
    """Margin, edge and undecided values by the closed form, point by point."""
    two = module("_two_neurons")
    grid = two.Grid(rows, columns)
    margins, edge = [], math.nan
    for row, theta in enumerate(grid.theta):
        for phi in grid.phi_units * grid.unit:
            pair = [two.separation(theta, np.array(at)) for at in (phi, theta - phi)]
            if abs(phi - theta) < 1e-9:
                edge = np.fmax(edge, np.abs(pair).max())
                continue
            sign = 1 if phi < theta else -1
            margins += [sign * float(value) / grid.tolerance(row) for value in pair]
    return min(margins), edge


def test_columns_of_separation_grid():
    sizes = {"coarse": (4, 4), "fine": (6, 12)}
    expected = {}
    for name, (rows, columns) in sizes.items():
        margin, edge = judged(rows, columns)
        expected |= {
            f"{name}_points": [rows * columns],
            f"{name}_counterexamples": [0],
            f"{name}_undecided": [0],
            f"{name}_margin": [pytest.approx(margin, rel=1e-6)],
            f"{name}_edge": [math.nan if math.isnan(edge) else Between(0, 1e-14)],
        }
    plugin = analysis("separation_grid", grids=sizes, shown=(0.5,), map_size=3)
    dataset = assert_columns(plugin, Handmade(), expected)
    assert math.isnan(expected["coarse_edge"][0]) != math.isnan(judged(*sizes["fine"])[1])
    assert dataset["fine_undecided_at"].values.tolist() == [0] * 7
    assert dataset["map"].shape == (3, 6) and dataset["curve"].shape == (1, 2, 721)


def test_wrong_signs_and_rounding_are_columns(monkeypatch):
    two = module("_two_neurons")
    honest = two.Grid.row

    def lying(self, row, out, spare):
        honest(self, row, out, spare)
        if row == 4:
            out[0, 0], out[1, -1], out[0, -1] = -0.1, 0.2, -2 * self.tolerance(row)
        if row == 5:
            out[1, 0] = 0.5 * self.tolerance(row)
        return out

    monkeypatch.setattr(two.Grid, "row", lying)
    dataset = analysis("separation_grid", grids={"a": (8, 8)}).compute(Handmade())
    assert dataset["a_counterexamples"].item() == 2
    assert dataset["a_undecided"].item() == 1
    assert dataset["a_undecided_at"].values[:2].tolist() == [1, 2]
    assert dataset["a_margin"].item() < -1000
    assert dataset["a_points"].item() == 64


FACTORS = [1, 4, 16, 64, 256, 1024, 4096]


def test_undecided_values_by_their_tolerance(monkeypatch):
    """In each row one value at a tolerance and one beyond it, in the last one at 2 as well; −1
    tolerance is no wrong sign, −1.5 is one."""
    two = module("_two_neurons")

    def made(self, row, out, spare):
        last = self.inside(row)[1]
        out[:, :last], out[:, last:] = 1.0, -1.0
        factor = FACTORS[row]
        out[0, -1] = -factor * self.tolerance(row)
        out[1, -1] = -1.01 * factor * self.tolerance(row)
        if row == 0:
            out[0, -2], out[1, -2] = self.tolerance(row), 1.5 * self.tolerance(row)
        if row == 6:
            out[0, -2] = -2 * self.tolerance(row)
        return out

    monkeypatch.setattr(two.Grid, "row", made)
    grid = two.Grid(7, 7)
    counts, undecided = module("separation_grid").scan(grid)
    assert undecided.tolist() == [2, 6, 8, 10, 12, 14, 16]
    assert counts["counterexamples"] == 1 and counts["undecided"] == 2
    assert counts["margin"] == pytest.approx(-1.5)


def test_points_on_the_edge_of_the_cone_are_judged_apart(monkeypatch):
    """With cells half as wide in φ, e* = e₂ at one point of a row: the largest |L| there counts."""
    two = module("_two_neurons")
    left = []

    def made(self, row, out, spare):
        last, on = self.inside(row)[1], self.edge(row)
        out[:, :last], out[:, last:] = 2.0, -3.0
        if on is not None:
            out[:, on] = [[1e-3, -5e-3], [2e-3, 1e-3]][len(left) % 2]
            left.append(row)
        return out

    monkeypatch.setattr(two.Grid, "row", made)
    grid, seen = two.Grid(6, 12), []
    counts, _ = module("separation_grid").scan(grid, seen.append)
    assert counts["edge"] == 5e-3 and counts["points"] == 72 and len(left) > 1
    assert counts["margin"] == pytest.approx(2 / max(grid.tolerance(row) for row in range(6)))
    assert counts["counterexamples"] == counts["undecided"] == 0
    assert seen == [0, 6]


def test_rows_of_all_grids_are_progress():
    results, seen = Handmade(), []
    results.progress = lambda done, total, detail: seen.append((done, total))
    sizes = {"a": (4, 4), "b": (202, 4)}
    analysis("separation_grid", grids=sizes, map_size=2).compute(results)
    assert seen == [(done, 206) for done in (0, 4, 4, 104, 204, 206)]


def test_curves_and_map_of_separation_grid():
    """L₂₁ is L₁₂ with the neurons' names exchanged: e* at θ − φ."""
    found = analysis("separation_grid", grids={"a": (2, 2)}, shown=(0.25, 0.5), map_size=3).compute(
        Handmade()
    )
    separation = module("_two_neurons").separation
    np.testing.assert_allclose(found["theta_shown"], [math.pi / 4, math.pi / 2])
    np.testing.assert_allclose(found["phi"][[0, 180, 720]], [0, math.pi / 2, 2 * math.pi])
    curve = found["curve"].sel(function="L12").isel(theta_shown=0)
    np.testing.assert_allclose(curve[100], separation(math.pi / 4, found["phi"].values[100]))
    curve = found["curve"].sel(function="L21").isel(theta_shown=1)
    np.testing.assert_allclose(
        curve[100], separation(math.pi / 2, math.pi / 2 - found["phi"].values[100])
    )
    np.testing.assert_allclose(found["theta"], np.pi * np.array([1, 3, 5]) / 6)
    np.testing.assert_allclose(found["map_phi"], np.pi * np.arange(1, 12, 2) / 6)
    np.testing.assert_allclose(
        found["map"][1], separation(math.pi / 2, found["map_phi"].values), atol=1e-15
    )
    assert found["factor"].values.tolist() == FACTORS
    assert found.attrs["tolerance"] == module("_two_neurons").ROUNDING


# separation_proof


def sheet(name, theta, t, sign=1, half=False):
    """φ = t over these θ; the expression is t − 1."""
    conjecture = module("_conjecture")
    return conjecture.Sheet(
        name, "value", sign, theta, t, lambda x, t: t - 1, lambda x, t: (x, t), half
    )


def test_columns_of_separation_proof(monkeypatch):
    conjecture = module("_conjecture")
    pi = conjecture.ABOVE_PI
    # proved: 2 ≤ φ ≤ 2π; wrong sign: φ ≤ 1/2; nothing in between
    made = [
        sheet("right", (0, pi), (2.0, 2 * pi)),
        sheet("wrong", (0, pi), (0.0, 0.5)),
        sheet("negative", (0, 1.5), (0.5, 0.75), sign=-1),
    ]
    monkeypatch.setattr(conjecture, "sheets", lambda: iter(made))
    expected = {
        "boxes": [1 + 8 + 1],
        "undecided_boxes": [8],
        "uncovered": [0],
        "uncovered_domain": [pytest.approx((2 - 0.25 * 1.5 / math.pi) / (2 * math.pi))],
    }
    dataset = assert_columns(analysis("separation_proof", most_splits=3), Handmade(), expected)
    assert dataset["sheet_boxes"].values.tolist() == [1, 0, 1]
    assert dataset["sheet_undecided"].values.tolist() == [0, 8, 0]
    assert dataset["sign"].values.tolist() == [1, 1, -1]


def test_boxes_are_halved_along_their_longer_side():
    """Relative to the sheet, x first: of 2 × 1, where t > 1.3 decides, the upper halves of both
    halves are, and with twice as many halvings of the lower ones three quarters."""
    import flint

    conjecture, seen = module("_conjecture"), set()

    def enclosure(x, t):
        seen.add((flint.ctx.prec, flint.ctx.cap))
        return t - 1.3

    wide = conjecture.Sheet("a", "value", 1, (3.0, 5.0), (1.0, 2.0), enclosure, lambda x, t: (x, t))
    before = flint.ctx.prec, flint.ctx.cap
    found = conjecture.prove(wide, 100, 2)
    assert sorted(found.decided) == [(3, 4, 1.5, 2), (4, 5, 1.5, 2)]
    assert sorted(found.undecided) == [(3, 4, 1, 1.5), (4, 5, 1, 1.5)]
    assert seen == {(100, conjecture.LONGEST)} and before == (flint.ctx.prec, flint.ctx.cap)
    found = conjecture.prove(wide, 100, 4)
    quarters = [(3, 3.5), (3.5, 4), (4, 4.5), (4.5, 5)]
    assert sorted(found.undecided) == [(*x, *t) for x in quarters for t in ((1, 1.25), (1.25, 1.5))]
    ball = conjecture.ball(0.5, 2)
    assert all(ball.contains(x) for x in (0.5, 2.0)) and not ball.contains(2.01)


def test_a_sheet_with_a_hole_is_uncovered(monkeypatch):
    conjecture = module("_conjecture")
    monkeypatch.setattr(conjecture, "sheets", lambda: iter([sheet("a", (0, 2.0), (1.5, 3.5))]))

    def with_a_hole(sheet, precision, most_splits):
        return conjecture.Partition([(0, 1, 1.5, 3.5), (1, 2, 1.5, 2.5)])

    monkeypatch.setattr(conjecture, "prove", with_a_hole)
    dataset = analysis("separation_proof").compute(Handmade())
    assert dataset["uncovered"].item() == 0.25
    assert dataset["undecided_boxes"].item() == 0
    assert dataset["uncovered_domain"].item() == pytest.approx(1 - 3 / (2 * math.pi**2))


def test_the_area_of_a_sheet_is_that_between_its_ends(monkeypatch):
    """Half of a sheet with 1 ≤ x ≤ 3 is left out."""
    conjecture = module("_conjecture")
    monkeypatch.setattr(conjecture, "sheets", lambda: iter([sheet("a", (1.0, 3.0), (1.5, 3.5))]))
    half = conjecture.Partition([(1, 2, 1.5, 3.5)])
    monkeypatch.setattr(conjecture, "prove", lambda *_: half)
    assert analysis("separation_proof").compute(Handmade())["uncovered"].item() == 0.5


@pytest.fixture(scope="module")
def proof():
    """The boxes of the conjecture's proof."""
    dataset = analysis("separation_proof").compute(Handmade())
    half = np.array([one.half for one in module("_conjecture").sheets()])
    return dataset, half[dataset["sheet"].values]


def test_the_proof_leaves_nothing_open(proof):
    dataset, _ = proof
    columns = {name: dataset[name].item() for name in analysis("separation_proof").columns}
    assert columns.pop("boxes") > 10_000 and columns.pop("undecided_boxes") == 0
    assert max(columns.values()) < 1e-14


@pytest.mark.parametrize("number", range(20))
def test_no_sheet_can_be_left_out(proof, number):
    dataset, half = proof
    kept = dataset["sheet"].values != number
    arrays = (dataset[name].values[kept] for name in ("box", "theta", "phi"))
    left_open = module("_coverage").uncovered_domain(*arrays, half[kept])
    assert left_open > 1e-4, dataset["sheets"].values[number]


def test_areas_that_are_left_open_or_covered_twice():
    """1/4 too little and 1/4 too much; arcs on both sides of a full turn leave 3 to 6 of it."""
    coverage = module("_coverage")
    boxes = np.array([[0.0, 1.0, 0.0, 0.5], [2.0, 2.5, 1.0, 1.5]])
    assert coverage.uncovered_share(1.0, boxes) == pytest.approx(0.25)
    assert coverage.uncovered_share(0.6, boxes) == pytest.approx(0.25)
    turn = 2 * math.pi
    low, high = np.array([6.0 - turn, 1.0, 2.0 + turn]), np.array([1.0, 2.0, 3.0 + turn])
    assert coverage._open_length(low, high) == pytest.approx(3)


def test_half_of_a_sheet_covers_half():
    corners = np.array([[0, math.pi, math.pi, 0.0]]), np.array([[0, 0, math.pi, math.pi]])
    box = np.array([[0, math.pi, 0, math.pi]])
    share = module("_coverage").uncovered_domain
    assert share(box, *corners, np.array([False])) == pytest.approx(1 / 2)
    assert share(box, *corners, np.array([True])) == pytest.approx(3 / 4)


def test_half_of_a_sheet_that_begins_above_zero():
    """φ = t from max(θ, 1) to 4 for 0 < θ < π: 3 + ∫(4 − θ) from 1 to π; φ = 1.5t: half more."""
    box, half = np.array([[0, math.pi, 1.0, 4.0]]), np.array([True])
    theta = np.array([[0, math.pi, math.pi, 0.0]])
    covered = 3 + 4 * (math.pi - 1) - (math.pi**2 - 1) / 2
    share = module("_coverage").uncovered_domain
    phi = np.array([[1.0, 1, 4, 4]])
    found = [share(box, theta, slope * phi, half) for slope in (1, 1.5)]
    expected = [1 - slope * covered / (2 * math.pi**2) for slope in (1, 1.5)]
    # the corner at θ = 1 lies inside of the one strip, which is measured at its middle
    middle = 4 - math.pi / 2
    assert found == pytest.approx([1 - slope * middle / (2 * math.pi) for slope in (1, 1.5)])
    edges = [0, 1, math.pi]
    boxes = np.array([[a, b, 1.0, 4.0] for a, b in itertools.pairwise(edges)])
    theta = boxes[:, [0, 1, 1, 0]]
    found = [share(boxes, theta, np.repeat(slope * phi, 2, axis=0), half.repeat(2))
             for slope in (1, 1.5)]  # fmt: skip
    assert found == pytest.approx(expected)
    # φ = 5 − t falls
    falling = share(boxes, theta, np.repeat(5 - phi, 2, axis=0), half.repeat(2))
    assert falling == pytest.approx(expected[0])


# in_plane


def directions(*degrees):
    """Unit neurons, (neuron, 2)."""
    turn = np.radians(degrees)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


FOUND = {
    "teachers": directions(0, 90),
    "opposite, on the bisector": directions(45, 225),
    "both in the cone": directions(30, 80),
    "none in the cone": directions(100, 200),
    "one teacher between": directions(-30, 30),
    "parallel, in the cone": directions(45, 45),
    "parallel, on the other side": directions(225, 225),
}


def test_columns_of_in_plane(monkeypatch):
    monkeypatch.setattr(module("in_plane"), "find", lambda start, t: np.array([*FOUND.values()]))
    saddle = math.sqrt(2) * 2 * ((3 * math.pi / 4) * math.sqrt(0.5) + math.sqrt(0.5)) / math.pi
    saddle /= math.sqrt(2)
    expected = {
        "critical_points": [5],
        "theorem_4_exceptions": [2],
        "edge_points": [1],
        "one_teacher_inside": [1],
        "opposite_points": [1],
        "collinear_points": [2],
        "collinear_in_region": [2],
        "sign_exceptions": [0],
        "theorem_3_points": [5],
        "theorem_3_exceptions": [2],
        "normal_equation_error": [ROUNDING],
        "projection_error": [ROUNDING],
        "separable_error": [ROUNDING],
        "separation_at_neurons": [ROUNDING],
        "separation_diagonal": [ROUNDING],
        "saddle_norm": [saddle],
        "line_gradient_norm": [ROUNDING],
        "line_index": [1],
        "line_nullity": [1],
        "line_not_saddles": [0],
        "unequal_gradient": [3 / 8],
        "unequal_mended": [ROUNDING],
    }
    plugin = analysis("in_plane", size=12, most_neurons=2)
    dataset = assert_columns(plugin, Handmade(), expected)
    assert dataset["critical_collinear"].values.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert dataset.attrs["cone_angle"] == pytest.approx(3 * math.pi / 8)
    # (π + 2·2)/4π·… of Theorem 7: 2√2 (1 + 3π/4)/(2π)
    assert saddle == pytest.approx(2 * math.sqrt(2) * (1 + 3 * math.pi / 4) / (2 * math.pi))


@pytest.mark.parametrize(
    "function, wrong, turned",
    [
        ("normal_equation", lambda y, b: (y, 1.001 * b), {"normal_equation_error"}),
        ("projections", lambda m, n: (m, 1.001 * n), {"projection_error", "separable_error"}),
        ("radial", lambda m, n: (m, 1.001 * n), {"separable_error"}),
        (
            "separation",
            lambda *parts: np.array(parts) + 1e-3,
            {"separable_error", "separation_at_neurons", "separation_diagonal"},
        ),
    ],
)
def test_wrong_equations_are_seen(monkeypatch, function, wrong, turned):
    part = module("in_plane")
    right = getattr(part, function)
    monkeypatch.setattr(part, function, lambda *given: wrong(*right(*given)))
    errors = part.identities(1)
    assert {name for name, error in errors.items() if error > 1e-8} == turned


def test_errors_of_the_separation_are_relative_to_the_condition(monkeypatch):
    """L of 1 everywhere, over a condition number of 4."""
    part = module("in_plane")
    right = part.separation
    monkeypatch.setattr(part, "separation", lambda w, e: np.ones_like(right(w, e)))
    monkeypatch.setattr(part.np.linalg, "cond", lambda matrix: np.full(len(matrix), 4.0))
    found = part.identities(1)
    assert found["separation_at_neurons"] == found["separation_diagonal"] == 0.25


def test_neurons_along_either_teacher_are_on_an_edge():
    """Within 10⁻⁶ of 0, from both sides, or of the teachers' angle."""
    pairs = np.array([[0, 1.0], [2.0, 2 * math.pi - 5e-7], [1.2, 0.5], [1.0, 0.5], [3e-6, 2.0]])
    off = analysis("in_plane", teacher_angle=1.2)._off_edges(pairs)
    assert off.tolist() == [False, False, False, True, True]


def test_errors_of_equations_are_the_largest_of_any_number_of_neurons(monkeypatch):
    part = module("in_plane")
    monkeypatch.setattr(part, "_errors", lambda seed, neurons: {"a": neurons, "b": -neurons})
    assert part.identities(1) == {"a": 8, "b": -2}


def test_regions_and_signs_that_disagree_are_counted(monkeypatch):
    part = module("in_plane")
    monkeypatch.setattr(
        part, "separation_of_two", lambda theta, phi: np.ones(np.shape(theta + phi))
    )
    monkeypatch.setattr(part, "find", lambda start, t: np.array([*FOUND.values()]))
    dataset = analysis("in_plane", size=8, most_neurons=2).compute(Handmade())
    # L₁₂ > 0 everywhere: all directions with one neuron in the cone of 2 of 8 cells disagree, but
    # for the opposite ones
    assert dataset["sign_exceptions"].item() == 2 * 2 * 6 - 2 * 2


def test_the_line_of_saddles_is_judged_by_its_worst_point(monkeypatch):
    part = module("in_plane")
    index, nullity = np.full(97, 2), np.full(97, 3)
    index[[5, 9]], nullity[7] = 0, 1

    def slopes(w, teachers):
        return np.linspace(1, 2, len(w))[:, None, None] * np.array([[3.0, 0], [0, 4]])

    monkeypatch.setattr(part, "modes", lambda w, t: {"index": index, "nullity": nullity})
    monkeypatch.setattr(part, "gradient", slopes)
    line, columns = part._line(np.eye(2))
    assert columns["line_gradient_norm"] == pytest.approx(10)
    assert [columns[f"line_{name}"] for name in ("index", "nullity", "not_saddles")] == [0, 1, 2]
    np.testing.assert_allclose(line["line_gradient"], 5 * np.linspace(1, 2, 97))


def test_arrays_on_the_line_of_saddles():
    """The function is the same all along the line, and so is its loss; eigenvalues rise."""
    line, _ = module("in_plane")._line(np.eye(2))
    np.testing.assert_allclose(line["share"], np.arange(2, 99) / 100)
    np.testing.assert_allclose(line["line_loss"], line["line_loss"][48], rtol=1e-12)
    assert line["line_loss"].values[48] == pytest.approx(0.088512, abs=1e-6)
    assert (line["line_eigenvalue"][:, 0] < -1e-3).all()
    assert (np.diff(line["line_eigenvalue"]) >= 0).all()


def test_the_map_has_the_least_gradient_at_any_norms():
    """0 at both teachers in either order; at others a norm that a bit more or less worsens."""
    part, results = module("in_plane"), Handmade()
    results.progress = lambda *_: None
    alpha = np.array([0, math.pi / 2, 1.0])
    found = part._residual(alpha, np.eye(2), results)
    assert found[0, 1] < 1e-15 and found[1, 0] < 1e-15
    e = np.stack([np.cos(alpha), np.sin(alpha)], axis=1)
    size = np.linspace(0.001, 2, 400)
    w = np.stack(np.broadcast_arrays(size[:, None, None] * e[0], size[:, None] * e[2]), axis=2)
    least = np.linalg.norm(part.gradient(w.reshape(-1, 2, 2), np.eye(2)), axis=(1, 2)).min()
    assert found[0, 2] == pytest.approx(found[2, 0]) == pytest.approx(least, rel=1e-3)
    assert found[0, 2] > 0.01


def test_cells_of_the_map_and_of_the_cone():
    dataset = analysis("in_plane", size=8)._map(np.eye(2), Handmade())
    for axis in ("alpha", "alpha_2"):
        np.testing.assert_allclose(dataset[axis], np.pi * np.arange(1, 16, 2) / 8)
    # cells 0 and 1 of eight are in the cone of the teachers; nothing is said on the diagonals
    excluded, same = dataset["excluded"].values, dataset["same_sign"].values
    assert (excluded == same).all() and excluded[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert excluded[2].tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    cone = module("in_plane")._cone()
    np.testing.assert_allclose(cone["cone_phi"], np.pi * np.arange(1, 1440, 2) / 720)
    assert ((cone["cone_value"] > 0) == (cone["cone_phi"] < 3 * math.pi / 8)).all()


def test_random_starts_in_the_plane_have_norms_around_1():
    starts = analysis("in_plane", starts=3000)._starts(1, 3)
    assert starts.shape == (3000, 3, 3)
    assert (starts**2).sum(axis=2).mean() == pytest.approx(1, rel=0.03)


# _critical_points


def test_kinds_of_eigenvalues(monkeypatch):
    """Relative to the largest: −1, ±1e-8, 2e-7, 1; none that vanish; all negative."""
    part = module("_critical_points")
    values = [[-4, 4e-8, 8e-7, 2], [4, 4, 2, 1], [-1, -2, -4, -3e-7]]
    monkeypatch.setattr(part, "hessian", lambda w, t: np.array([np.diag(row) for row in values]))
    found = part.modes(None, None)
    assert found["index"].tolist() == [1, 0, 3]
    assert found["nullity"].tolist() == [1, 0, 1]
    np.testing.assert_allclose(found["largest_zero"], [1e-8, 0, 7.5e-8])
    np.testing.assert_allclose(found["smallest_other"], [2e-7, 0.25, 0.25])


def test_runs_that_lose_a_neuron_or_do_not_converge_are_dropped(monkeypatch):
    """Ends: the teachers; a neuron of norm 10⁻³ or less beside one that is a teacher; no critical
    point."""
    part, eye = module("_critical_points"), np.eye(2)
    ends = np.array([eye, [[1, 0], [0, 1e-3]], [[1, 0], [0, 5e-4]], 1.1 * eye])
    ends = torch.tensor(ends.reshape(4, -1))
    asked = []

    def reached(problem, flat, steps, most, converged, first):
        asked.append((flat.shape, most))
        assert (problem.gradient(ends)[[0, 1, 2]].abs() < 1e-14).all()
        assert problem.gradient(ends)[3].abs().max() > 0.01
        return ends

    monkeypatch.setattr(part.nnflow, "find_critical", reached)
    found = part.find(np.ones((7, 2, 2)), eye, steps=17)
    np.testing.assert_array_equal(found, [eye])
    assert asked == [((7, 4), 17)]


# out_of_plane


def out_of_plane_points():
    """Hand-made arrays of five points: in plane; and out of it with d = K + 2 and d = K + 1."""
    return {
        "neurons": np.array([2, 2, 2, 3, 2]),
        "inputs": np.array([4, 4, 4, 5, 3]),
        "outside": np.array([1e-9, 0.5, 0.7, 0.2, 0.4]),
        "rank": np.array([0, 1, 1, 1, 1]),
        "orbit_dimension": np.array([0, 1, 1, 1, 0]),
        "parallel": np.array([0, 0, 1, 0, 1]),
        "index": np.array([0, 1, 2, 0, 0]),
        "nullity": np.array([0, 1, 2, 0, 3]),
        "largest_zero": np.array([1e-3, 1e-16, 3e-16, 0, 1e-2]),
        "smallest_other": np.array([1e-9, 1e-2, 1e-3, 0.5, 1e-8]),
    }


COUNTS = {
    "out_of_plane_points": 3,
    "isolated_points": 1,
    "other_nullities": 1,
    "parallel_points": 1,
    "nullity_below": 2,
    "largest_inside": 1e-9,
    "smallest_outside": 0.2,
    "minima_outside": 2,
    "largest_zero": 3e-16,
    "smallest_other": 1e-3,
}


def test_counts_of_out_of_plane():
    assert analysis("out_of_plane").counts(out_of_plane_points()) == COUNTS


def test_columns_of_out_of_plane(monkeypatch):
    found = {
        3: np.array([out_of_plane_point(3), np.eye(2, 3)]),
        4: np.array([np.eye(2, 4), out_of_plane_point(4, 0.3)]),
        5: np.array([out_of_plane_point(5)]),
    }
    part = module("out_of_plane")
    monkeypatch.setattr(part, "find", lambda start, teachers: found[teachers.shape[1]])
    outside = float(np.hypot(*out_of_plane_point(3)[:, 2]))
    expected = {
        "out_of_plane_points": [2],
        "isolated_points": [0],
        "other_nullities": [0],
        "parallel_points": [0],
        "nullity_below": [0],
        "largest_inside": [0],
        "smallest_outside": [outside],
        "minima_outside": [0],
        "largest_zero": [Between(0, 1e-13)],
        "smallest_other": [Between(1e-3, 1)],
        "largest_orbit_gradient": [Between(0, 1e-14)],
        "equivariance_error": [Between(1e-17, 1e-14)],
    }
    plugin = analysis("out_of_plane", cases=[(2, 3), (2, 4), (2, 5)], starts=5)
    dataset = assert_columns(plugin, Handmade(), expected)
    assert dataset["nullity"].values.tolist() == [0, 0, 0, 1, 2]
    assert dataset["orbit_dimension"].values.tolist() == [0, 0, 0, 1, 2]
    np.testing.assert_allclose(dataset["orbit"].values[0], out_of_plane_point(4, 0.3), atol=1e-15)
    assert dataset["tilted_gradient"].values.max() > 0.1
    # in-plane points have no orbit
    monkeypatch.setattr(part, "find", lambda start, teachers: np.eye(2, teachers.shape[1])[None])
    dataset = plugin.compute(Handmade())
    assert np.isnan(dataset["largest_orbit_gradient"].item()) and "orbit" not in dataset
    assert dataset["smallest_outside"].item() == math.inf


def test_ranks_and_orbits_of_out_of_plane(monkeypatch):
    inside = np.eye(3, 6)
    w = np.array([inside + 0.1 * np.roll(inside, 3, axis=1), inside, inside])
    w[1, 2, 3] = w[1, 1, 4] = 0.3  # two of three neurons leave the plane
    w[2, 1] = 2 * w[2, 0]
    monkeypatch.setattr(module("out_of_plane"), "find", lambda start, teachers: w)
    dataset = analysis("out_of_plane", cases=[(3, 6)], starts=2).compute(Handmade())
    assert dataset["rank"].values.tolist() == [3, 2, 0]
    assert dataset["orbit_dimension"].values.tolist() == [9 - 6, 6 - 3, 0]
    assert dataset["parallel"].values.tolist() == [0, 0, 1]
    np.testing.assert_allclose(dataset["outside"], [np.sqrt(0.03), np.sqrt(0.18), 0])
    population = module("_population")
    np.testing.assert_array_equal(dataset["loss"], population.loss(w, inside))
    slope = np.linalg.norm(population.gradient(w, inside), axis=(1, 2))
    np.testing.assert_array_equal(dataset["gradient_norm"], slope)
    assert dataset["neurons"].values.tolist() == [3] * 3
    assert dataset["inputs"].values.tolist() == [6] * 3


def test_neurons_are_parallel_below_an_angle(monkeypatch):
    """1.5e-5 apart they are not; 0.5e-5 apart, and opposite ones are not."""
    inside = np.eye(3, 6)
    w = np.repeat(inside[None], 3, axis=0)
    for row, turn in enumerate((1.5e-5, 0.5e-5, np.pi)):
        w[row, 1] = 0
        w[row, 1, [0, 1]] = np.cos(turn), np.sin(turn)
    monkeypatch.setattr(module("out_of_plane"), "find", lambda start, teachers: w)
    found = analysis("out_of_plane", cases=[(3, 6)], starts=2).compute(Handmade())
    assert found["parallel"].values.tolist() == [0, 1, 0]


def test_turns_of_an_orbit():
    """By a quarter the last input but one becomes the last; tilted, the first does."""
    w, teachers = np.arange(1.0, 16).reshape(3, 5), np.eye(3, 5)
    first, second, third, fourth, last = w.T
    found = module("out_of_plane")._orbit_of(w, teachers)
    turn, orbit = found["turn"][1], found["orbit"][1]
    assert (len(turn), turn[0], turn[90], turn[-1]) == (181, 0, math.pi, 2 * math.pi)
    np.testing.assert_allclose(orbit[45].T, [first, second, third, -last, fourth], atol=1e-14)
    np.testing.assert_allclose(orbit[90].T, [first, second, third, -fourth, -last], atol=1e-14)
    gradient = module("_population").gradient
    tilted = gradient(np.stack([-last, second, third, fourth, first], axis=1)[None], teachers)
    assert found["tilted_gradient"][1][45] == pytest.approx(np.linalg.norm(tilted))
    assert found["orbit_gradient"][1][0] == pytest.approx(
        np.linalg.norm(gradient(w[None], teachers))
    )


def test_the_orbit_is_judged_by_its_largest_gradient(monkeypatch):
    part = module("out_of_plane")
    monkeypatch.setattr(part, "find", lambda start, teachers: out_of_plane_point(4)[None])
    orbit = {"orbit_gradient": ("turn", np.array([1.0, 3.0, 2.0]))}
    monkeypatch.setattr(part, "_orbit_of", lambda *_: orbit)
    found = analysis("out_of_plane", cases=[(2, 4)], starts=2).compute(Handmade())
    assert found["largest_orbit_gradient"].item() == 3


def test_random_starts_out_of_plane_have_norms_around_1():
    starts = analysis("out_of_plane", starts=4000)._starts(1, 2, 8)
    assert starts.shape == (4000, 2, 8)
    assert (starts**2).sum(axis=2).mean() == pytest.approx(1, rel=0.02)


def test_cases_of_out_of_plane_are_progress(monkeypatch):
    monkeypatch.setattr(
        module("out_of_plane"), "find", lambda start, teachers: np.eye(*teachers.shape)[None]
    )
    results, seen = Handmade(), []
    results.progress = lambda done, total, detail: seen.append((done, total))
    analysis("out_of_plane", cases=[(2, 3), (2, 4)], starts=2).compute(results)
    assert seen == [(0, 2), (1, 2)]


def test_the_largest_nullity_where_orbits_are_finite():
    """Nullities 3 and 1, one of the 3 from a parallel neuron."""
    points = {name: values[[4, 4]] for name, values in out_of_plane_points().items()}
    points |= {"nullity": np.array([3, 1]), "parallel": np.array([1, 0])}
    assert analysis("out_of_plane").counts(points)["nullity_below"] == 2


def test_counts_of_out_of_plane_without_any():
    points = {name: values[:1] for name, values in out_of_plane_points().items()}
    found = analysis("out_of_plane").counts(points)
    assert math.isnan(found["nullity_below"]) and math.isnan(found["largest_zero"])
    assert math.isnan(found["smallest_other"]) and found["smallest_outside"] == math.inf
    assert found["out_of_plane_points"] == found["minima_outside"] == 0


def test_a_gradient_without_symmetry_is_seen(monkeypatch):
    part = module("out_of_plane")
    right, tilt = part.gradient, np.array([0, 0, 0, 0.1])
    monkeypatch.setattr(part, "gradient", lambda w, teachers: right(w, teachers) + tilt)
    plugin = analysis("out_of_plane", cases=[(2, 4)], starts=20)
    assert plugin.compute(Handmade())["equivariance_error"].item() > 0.01


# population_gating


def sampled(distribution, generator, samples, e, w):
    """Hand-made F̂ with known errors. By angle: twice the mass term and three times the other. By
    samples: an error of a power of N. On the cube: a factor, and for d = 2 a deviation across E F
    that does not depend on N."""
    population = module("_population")
    expected = population.gating(e, w)
    if len(samples) == 1:
        angle = population.angles(e[:, None], w[:, None])[:, 0]
        return 2 * population.mass(angle) * w[None] + 3 * population.asymmetry(angle) * e[None]
    if distribution == "uniform":
        across = np.zeros_like(expected)
        if e.shape[1] == 2:
            across[:, 0], across[:, 1] = -expected[:, 1] / 4, expected[:, 0] / 4
        return np.array([1.5 * expected + across] * len(samples))
    power = {"gaussian": 0.5, "sphere": 1.0, "student": 0.25}[distribution]
    return np.array([expected / (1 - float(n) ** -power) for n in samples])


def test_columns_of_population_gating(monkeypatch):
    part = module("population_gating")
    monkeypatch.setattr(part, "_sampled", sampled)
    plugin = analysis(
        "population_gating",
        inputs=4,
        trials=3,
        pairs=40,
        samples=[16, 256, 4096],
        cube_inputs=[2, 3],
    )
    dataset_of = plugin.compute(Handmade())
    angle = dataset_of["angle"].values
    # |E F − F̂|/|F̂| with F̂ = 2A w + 3B e in each tenth of [0, π]
    a, b, c = (np.pi - angle) / (2 * np.pi), np.sin(angle) / (2 * np.pi), np.cos(angle)
    error = np.sqrt((a * a + 4 * b * b + 4 * a * b * c) / (4 * a * a + 9 * b * b + 12 * a * b * c))
    tenth = np.minimum((angle / np.pi * 10).astype(int), 9)
    medians = [np.median(error[tenth == number]) for number in range(10)]
    grows = sum(later > before for before, later in itertools.pairwise(medians)) / 9
    # F̂ = 1.5 E F + n with n ⊥ E F and |n| = |E F|/4
    left = 0.25 / math.sqrt(1.5**2 + 0.25**2)
    expected = {
        "mass_coefficient": [exactly(2)],
        "asymmetry_coefficient": [exactly(3)],
        "angle_growth": [grows],
        "gaussian_coefficient": [exactly(1 / (1 - 1 / 64))],
        "gaussian_slope": [exactly(-0.5)],
        "sphere_coefficient": [exactly(1 / (1 - 1 / 4096))],
        "sphere_slope": [exactly(-1)],
        "student_coefficient": [exactly(1 / (1 - 1 / 8))],
        "student_slope": [exactly(-0.25)],
        "dependent_coefficient": [(Between(0.97, 1.03), Between(0.8, 1), Between(1, 1.2))],
        "linearity_error": [Between(0, 1e-14)],
        "law_difference": [Between(1e-17, 1e-12)],
        "mass_at_0": [Between(0.5 - 1e-6, 0.5)],
        "mass_at_pi": [Between(0, 1e-6)],
        "asymmetry_at_0": [Between(0, 1e-6)],
        "asymmetry_at_pi": [Between(0, 1e-6)],
        "equation_6": [Between(1e-17, 1e-13)],
        "cube_scale_unscaled": [exactly(1.5 / 12)],
        "cube_limit_first": [exactly(left)],
        "cube_limit_last": [(Between(0, 1e-7),) * 3],
        "square_limit": [pytest.approx(0.08675, abs=5e-6)],
    }
    dataset = assert_columns(plugin, Handmade(), expected)
    np.testing.assert_allclose(dataset["angle_error"].values, error, rtol=1e-12)
    np.testing.assert_allclose(dataset["cube_error"].values[0], left, rtol=1e-12)


def test_a_gate_that_is_not_linear_in_the_norm_is_seen(monkeypatch):
    part = module("population_gating")
    right = part.gating
    monkeypatch.setattr(part, "gating", lambda x, e, w: right(x, e, w) + 1e-6 * (w**2).sum())
    assert part._linearity(1) > 1e-8


@pytest.mark.parametrize(
    "first, second, teachers",
    [
        (-30, 30, [0]),
        (30, -30, [0]),
        (350, 100, [0, 90]),
        (100, 200, []),
        (200, -10, []),
    ],
)
def test_which_teachers_are_between_two_neurons(first, second, teachers):
    between, turn = module("in_plane")._between, np.radians([first, second])
    assert [t for t in (0, 90) if between(math.radians(t), *turn)] == teachers


def exactly(value):
    """An interval without width."""
    return (value, value, value)


def test_intervals_are_those_of_means_over_trials(monkeypatch):
    part = module("population_gating")
    trials = itertools.cycle([1.0, 2.0, 4.0])

    def drifting(distribution, generator, samples, e, w):
        return next(trials) * sampled(distribution, generator, samples, e, w)

    monkeypatch.setattr(part, "_sampled", drifting)
    plugin = analysis("population_gating", trials=3, pairs=40, cube_inputs=[2], samples=[16, 256])
    dataset = plugin.compute(Handmade())
    for name, value in (("mass_coefficient", 2), ("cube_scale_unscaled", 1.5 / 12)):
        found = [dataset[name + end].item() for end in ("", "_low", "_high")]
        assert found == pytest.approx(mean(value * np.array([1.0, 2.0, 4.0])), rel=1e-9)


def test_the_bar_goes_through_laws_and_dimensions(monkeypatch):
    """Seven parts: the angles, which come first, three laws and three dimensions."""
    results, told = Handmade(), []
    results.progress = lambda done, total, detail: told.append((done, total, detail))
    monkeypatch.setattr(module("population_gating"), "_sampled", sampled)
    plugin = analysis(
        "population_gating", trials=2, pairs=40, samples=[4, 8], cube_inputs=[2, 3, 4]
    )
    plugin.compute(results)
    assert told == [(done, 7, "parts") for done in range(1, 7)]


def test_a_gate_that_is_not_linear_is_told_by_its_largest_entry(monkeypatch):
    """F(e, 3w) less 3F(e, w): −1 of 6 at one entry, ½ at another."""
    part = module("population_gating")
    values = iter([np.array([[1.0, 2.0], [0.5, 1.0]]), np.array([[3.0, 5.0], [2.0, 3.0]])])
    monkeypatch.setattr(part, "gating", lambda x, e, w: next(values))
    assert part._linearity(1) == pytest.approx(1 / 5)


def test_samples_are_drawn_in_blocks_and_summed(monkeypatch):
    """In blocks of three samples of two inputs: the means of the first 2, 3 and 7. A block has one
    sample where not even that fits."""
    part, made = module("population_gating"), np.random.default_rng(0)
    x, e, w = (made.normal(size=(count, 2)) for count in (7, 4, 4))
    for block, expected in ((7, [2, 1, 3, 1]), (1, [1] * 7)):
        sizes = []

        def draw(distribution, generator, samples, inputs, sizes=sizes):
            assert (distribution, inputs) == ("sphere", 2)
            sizes.append(samples)
            return x[sum(sizes[:-1]) : sum(sizes)]

        monkeypatch.setattr(part, "BLOCK", block)
        monkeypatch.setattr(part, "draw", draw)
        found = part._sampled("sphere", None, [2, 3, 7], e, w)
        for count, one in zip((2, 3, 7), found, strict=True):
            gates = (x[:count] @ e.T > 0) * np.maximum(x[:count] @ w.T, 0)
            np.testing.assert_allclose(one, gates.T @ x[:count] / count, atol=1e-14)
        assert sizes == expected


def test_errors_are_relative_to_the_samples():
    found = module("population_gating")._relative(
        np.array([[1.0, 2.0], [1.0, 1.0]]), np.array([[4.0, -2.0], [0.0, 0.0]])
    )
    assert found.tolist() == [pytest.approx(5 / math.sqrt(20)), math.inf]


def test_samples_and_angles_are_those_of_the_settings(monkeypatch):
    """Angles up to π where errors are shown by angle, else up to π/2; halves of 51 are 25."""
    part, asked = module("population_gating"), []

    def recorded(distribution, generator, samples, e, w):
        np.testing.assert_allclose(np.linalg.norm([e, w], axis=2), 1)
        angle = np.arccos((e * w).sum(axis=1))
        asked.append((distribution, list(samples), e.shape, angle))
        return sampled(distribution, generator, samples, e, w)

    monkeypatch.setattr(part, "LINKS", 2)  # of chains, which are not looked at
    monkeypatch.setattr(part, "_sampled", recorded)
    plugin = analysis(
        "population_gating",
        inputs=4,
        trials=2,
        pairs=1000,
        angle_samples=70,
        samples=[16, 256],
        cube_inputs=[3],
        cube_samples=51,
    )
    plugin.compute(Handmade())
    expected = [("gaussian", [70], (1000, 4))] * 2
    for law in ("gaussian", "sphere", "student"):
        expected += [(law, [16, 256], (1000, 4))] * 2
    expected += [("uniform", [25, 50], (1000, 3))] * 2
    assert [row[:3] for row in asked] == expected
    for number, (*_, angle) in enumerate(asked):
        most = math.pi if number < 2 else math.pi / 2
        assert 0.97 * most < angle.max() <= most
        assert angle.mean() == pytest.approx(most / 2, rel=0.1)


def test_what_is_left_on_a_cube_is_of_independent_halves(monkeypatch):
    """F̂ of the halves is E F turned by ±φ: after the fit, by cos φ, the halves deviate by ∓sin φ
    across, whose product is negative; the error is that of their mean, which has none."""
    part, sine = module("population_gating"), 0.6
    expected_of = module("_population").gating

    def halves(distribution, generator, samples, e, w):
        expected = expected_of(e, w)
        across = np.stack([-expected[:, 1], expected[:, 0]], axis=1)
        return np.array([0.8 * expected + sine * across, 0.8 * expected])

    monkeypatch.setattr(part, "_sampled", halves)
    plugin = analysis("population_gating", trials=2, pairs=5, cube_samples=10)
    error, scale, product = plugin._cube(1, 2)
    np.testing.assert_allclose(error, 0, atol=1e-15)
    np.testing.assert_allclose(scale, 0.8)
    np.testing.assert_allclose(product, -0.36 / (0.64 - 0.36))


def test_wrong_quadrature_is_seen(monkeypatch):
    part = module("population_gating")
    monkeypatch.setattr(part, "plane_moment", lambda distribution, inputs: 2.02)
    assert part._quadrature()["law_difference"] == pytest.approx(0.01 * 0.5, rel=2e-3)


# multilayer_gradient


def test_columns_of_multilayer_gradient(monkeypatch):
    plugin = analysis("multilayer_gradient", depths=(1, 2), widths=(3,), networks=4, samples=6)
    expected = {
        "identity_error": [Between(0, 1e-13)],
        "residual_error_most": [Between(0, 1e-13)],
        "networks": [8],
    }
    assert_columns(plugin, Handmade(), expected)
    part = module("multilayer_gradient")
    right = part.layered_gradient

    def wrong(student, teacher, data):
        gradients, sums, difference = right(student, teacher, data)
        if len(student) == 2:
            gradients[0] = 1.25 * gradients[0]
            sums[1] = sums[1] + 0.5 * difference.abs().amax(1, keepdim=True)
        return gradients, sums, difference

    monkeypatch.setattr(part, "layered_gradient", wrong)
    expected |= {"identity_error": [0.25], "residual_error_most": [0.5]}
    dataset = assert_columns(plugin, Handmade(), expected)
    assert torch.as_tensor(dataset["error"].sel(depth=1).values).max() < 1e-13
