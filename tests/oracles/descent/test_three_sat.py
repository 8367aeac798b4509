"""Formulas as concave programs: against brute force, and files of formulas that are none."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import Streams, share
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry

EIGHT = [[a, 2 * b, 3 * c] for a, b, c in itertools.product((1, -1), repeat=3)]


def made(kind, name, **settings):
    return registry().get(kind, name)(**settings)


def brute(clauses, variables):
    """All satisfying assignments."""
    cube = np.array(list(itertools.product((0, 1), repeat=variables)))
    for clause in clauses:
        cube = cube[sum(cube[:, k - 1] if k > 0 else 1 - cube[:, -k - 1] for k in clause) > 0]
    return cube


def drawn(variables, clauses, count, seed=1):
    streams = Streams(seed, "x", np.arange(count), "formulas")
    return module("_formula").random_clauses(streams, variables, clauses)


# formulas


def test_random_clauses_have_three_variables_each_as_likely_as_any():
    formulas = drawn(5, 400, 50)
    variables = np.sort(np.abs(formulas), axis=2)
    assert (np.diff(variables, axis=2) > 0).all() and variables.min() == 1 and variables.max() == 5
    _, counts = np.unique(variables.reshape(-1, 3), axis=0, return_counts=True)
    # 20,000 clauses over ten triples; a standard deviation is 42
    assert len(counts) == 10 and np.abs(counts - 2000).max() < 5 * 42
    assert abs((formulas > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(formulas.size)
    np.testing.assert_array_equal(drawn(5, 7, 3), formulas[:3, :7])


def test_the_polytope_holds_exactly_the_satisfying_corners():
    formula = module("_formula")
    for clauses in drawn(6, 20, 8).tolist():
        rows, offsets = formula.polytope(clauses, 6)
        cube = np.array(list(itertools.product((0, 1), repeat=6)))
        inside = (cube @ rows.T <= offsets + 1e-12).all(axis=1)
        np.testing.assert_array_equal(cube[inside], brute(clauses, 6))
        np.testing.assert_array_equal(formula.satisfied(cube, clauses), inside)


def test_clauses_of_any_length_and_what_is_always_true():
    formula = module("_formula")
    assert formula.simplified([[1, 1, -2], [2, -2, 3], [-3]]) == [[1, -2], [-3]]
    rows, offsets = formula.polytope([[1, -2], [-3], [-1, -2, 3, 4]], 4)
    np.testing.assert_array_equal(rows[8:], [[-1, 1, 0, 0], [0, 0, 1, 0], [1, 1, -1, -1]])
    np.testing.assert_array_equal(offsets[8:], [0, 0, 1])


GOOD = """c a comment
p cnf 4 3
1 -2
 3 0 -1 4 0
2 2 -3 0
%
0
"""


def test_dimacs(tmp_path):
    file = tmp_path / "some.cnf"
    file.write_text(GOOD)
    assert module("_formula").read_dimacs(file) == [[1, -2, 3], [-1, 4], [2, -3]]
    model = made("models", "three_sat", formula=str(file))
    assert model.formula == [[1, -2, 3], [-1, 4], [2, -3]] and model.shapes() == {"x": (4,)}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("1 2 0\n", 1, "expected 'p cnf VARIABLES CLAUSES' before clauses"),
        ("c nothing\n", 1, "no line 'p cnf VARIABLES CLAUSES'"),
        ("c\np cnf 3\n", 2, "expected 'p cnf VARIABLES CLAUSES', not 'p cnf 3'"),
        ("p dnf 3 1\n1 0\n", 1, "expected 'p cnf VARIABLES CLAUSES', not 'p dnf 3 1'"),
        ("p cnf 3 1\np cnf 3 1\n1 0\n", 2, "a second line 'p cnf'"),
        ("p cnf 3 1\n1 x 0\n", 2, "'x' is no whole number"),
        ("p cnf 3 1\n\n1 -4 0\n", 3, "-4 is no literal of 3 variables"),
        ("p cnf 3 2\n1 0\n0\n", 3, "an empty clause, which nothing satisfies"),
        ("p cnf 3 1\n1 2\n", 2, "the last clause does not end with 0"),
        ("p cnf 3 2\n1 2 0\n", 2, "1 clauses, not 2 as line 'p' says"),
    ],
)
def test_files_that_are_no_formula_get_file_line_and_reason(tmp_path, text, line, reason):
    file = tmp_path / "bad.cnf"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        module("_formula").read_dimacs(file)
    assert str(error.value) == f"{file}:{line}: {reason}"
    with pytest.raises(ValueError, match=reason.replace("'p", ".p")):
        made("models", "three_sat", formula=str(file))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none.cnf: No such file"):
        module("_formula").read_dimacs(tmp_path / "none.cnf")
    (tmp_path / "binary.cnf").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.cnf: no text in UTF-8"):
        module("_formula").read_dimacs(tmp_path / "binary.cnf")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"formula": []}, "no clauses"),
        ({"formula": [[1], []]}, "needs literals"),
        ({"formula": [[0, 1]]}, "needs literals"),
        ({"formula": [[1, 5]], "variables": 4}, "must be 5 or more"),
        ({"formula": {"variables": 2, "clauses": 3}}, "a clause needs 3"),
    ],
)
def test_formulas_that_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        made("models", "three_sat", **settings)


# the solver


def test_the_solver_agrees_with_brute_force():
    solver = module("_solver")
    answers = set()
    for clauses in drawn(6, 40, 12, seed=3).tolist():
        most = solver.longest_satisfiable(clauses)
        assert len(brute(clauses[:most], 6)) > 0
        assert most == 40 or len(brute(clauses[: most + 1], 6)) == 0
        for count in (most, 40):
            truth = len(brute(clauses[:count], 6)) > 0
            assert solver.satisfiable(clauses[:count]) == truth
            assert module("sat_phases").binary_point(clauses[:count], 6) == truth
            answers.add(truth)
    assert answers == {True, False}


def test_without_a_solver_there_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pysat.solvers", None)
    with pytest.raises(UserError, match="python-sat is not installed"):
        module("_solver").satisfiable([[1]])


# the search


@pytest.mark.parametrize(
    "method", [("frank_wolfe", {"step_size": 1}), ("projected_gradient_descent", {"rate": 1})]
)
def test_search_ends_where_no_vertex_nearby_is_lower(method):
    """At a fixed point: the linearization has its least value there."""
    optimizer, search = made("optimizers", method[0], **method[1]), module("_sat_search")
    formula = module("_formula")
    starts = Streams(2, "x", np.arange(6), "starts").uniform(8)
    for clauses in drawn(8, 24, 4, seed=5).tolist():
        ends = search.search(clauses, optimizer, starts)
        assert (ends.steps > 0).all() and ends.rise < 1e-12 and ends.outside < 1e-12
        held = formula.halfspaces(clauses, 8)
        slopes = torch.as_tensor(1 - 2 * ends.points)
        least = (held.extreme(slopes) * slopes).sum(1).numpy()
        np.testing.assert_allclose(((1 - 2 * ends.points) * ends.points).sum(1), least, atol=1e-9)
        np.testing.assert_allclose(ends.loss, (ends.points * (1 - ends.points)).sum(1), atol=1e-14)
        best = len(brute(clauses, 8)) > 0
        assert best or (ends.loss > 0.1).all()


def test_the_first_weights_are_uniform_in_a_box():
    start = made("initializers", "uniform_box", lower=-1.0, upper=3.0)
    x = start.draw({"x": (2, 3)}, Streams(1, "x", np.arange(4000), "initialize"))["x"]
    assert x.shape == (4000, 2, 3) and x.min() > -1 and x.max() < 3
    assert abs(x.mean() - 1) < 0.05 and abs(x.var() - 16 / 12) < 0.05
    assert np.abs(np.corrcoef(x.reshape(4000, 6).T) - np.eye(6)).max() < 0.08
    with pytest.raises(ValueError, match="upper: must be above lower"):
        made("initializers", "uniform_box", lower=1, upper=1)


# sat_ends


def ends(clauses, points, kinds, residual):
    points = np.array(points, dtype=float)
    parts = {"model": made("models", "three_sat", formula=clauses)}
    return parts, xr.Dataset(
        {
            "x": (("run", "variable"), points),
            "loss": ("run", (points * (1 - points)).sum(1)),
            "kkt_residual": ("run", residual),
            "kind": flags(kinds, "minimum saddle maximum degenerate nonsmooth not_critical"),
        }
    )


def test_a_vertex_has_constraints_that_depend_on_one_another_by_no_more_than_rounding():
    """Singular values (4, 1, 4·1.5·10⁻⁹) and (4, 1, 4·0.5·10⁻⁹); and a constraint that is off."""
    values = 4 * np.array([[1, 0.25, 1.5e-9], [1, 0.25, 0.5e-9], [1, 0.25, 1]])
    active = torch.ones(3, 3)
    active[2, 1] = 0
    held_by = SimpleNamespace(
        normals=lambda points: torch.diag_embed(torch.as_tensor(values)),
        active=lambda points: active,
    )
    found = module("sat_ends").is_vertex(np.zeros((3, 3)), held_by)
    assert found.tolist() == [True, False, False]


def test_columns_of_sat_ends():
    half = 0.5
    made_ends = {
        "none": ends(
            EIGHT,
            # a vertex, one inside an edge, the maximum, and a lie
            [[half, half, 0], [half, half, half], [half, half, half], [0, 0, 0]],
            ["minimum", "minimum", "maximum", "degenerate"],
            [1e-12, 2e-12, 0.0, 0.5],
        ),
        "some": ends(
            [[1, 2, 3], [-1, -2]],
            [[1, 0, 0], [0, half, half], [half, half, 0]],
            ["minimum", "saddle", "not_critical"],
            [0.0, 0.0, 0.1],
        ),
    }
    settings = {label: parts for label, (parts, _) in made_ends.items()}
    critical = {label: dataset for label, (_, dataset) in made_ends.items()}
    expected = {
        "clauses": [8, 2],
        "satisfiable": [0, 1],
        "solved_share": [share(0, 4), share(1, 3)],
        "best_loss": [0, 0],
        "kkt_most": [0.5, 0.1],
        "minimum_share": [share(2, 4), share(1, 3)],
        "degenerate_share": [share(1, 4), share(0, 3)],
        "saddle_share": [share(0, 4), share(1, 3)],
        "maximum_share": [share(1, 4), share(0, 3)],
        "not_critical_share": [share(0, 4), share(1, 3)],
        "off_vertex": [1, 0],
        "fractional": [1, 0],
        "contradictions": [1, 0],
    }
    results = Handmade(settings, {"critical_points": critical})
    assert_columns(analysis("sat_ends"), results, expected)


# sat_phases


def test_the_median_has_the_interval_of_order_statistics():
    median = module("sat_phases").median
    value, low, high = median(np.arange(100.0)[::-1])
    # P(at most 36 heads of 100) = .0033, P(at most 37) = .0060
    assert (value, low, high) == (49.5, 36, 63)
    assert median(np.array([3.0, 1.0])) == (2.0, -np.inf, np.inf)
    rng = np.random.default_rng(0)
    spans = np.array([median(one)[1:] for one in rng.uniform(size=(2000, 30))])
    missed = ((spans[:, 0] > 0.5) | (spans[:, 1] < 0.5)).mean()
    assert missed <= 0.015


def test_where_a_falling_share_is_a_half():
    crossing, ratios = module("sat_phases").crossing, np.array([1.0, 2, 3, 4, 5])
    middle = np.array([1, 0.8, 0.4, 0.2, np.nan])
    assert crossing(ratios, middle, middle - 0.15, middle + 0.15) == (2.75, 2, 4)
    assert crossing(2 * ratios, middle, middle - 0.15, middle + 0.15) == (5.5, 4, 8)
    assert crossing(ratios, middle, middle - 0.6, middle + 0.6) == (2.75, -np.inf, np.inf)
    high = np.full(5, 0.9)
    value, low, most = crossing(ratios, high, high - 0.1, high + 0.1)
    assert np.isnan(value) and (low, most) == (5, np.inf)


def test_columns_of_sat_phases():
    methods = [
        made("optimizers", "frank_wolfe", step_size=1),
        made("optimizers", "projected_gradient_descent", rate=1),
    ]
    plugin = analysis(
        "sat_phases", sizes=[4, 6], ratios=[1, 4, 6.5], methods=methods, formulas=12, tried=8,
        starts=2, compared=10,
    )  # fmt: skip
    found = [module("_formula").random_clauses(
        Streams(1, str(n), np.arange(12), "formulas"), n, 8 * n) for n in (4, 6)]  # fmt: skip
    most = [
        max((m for m in range(8 * n + 1) if len(brute(one[:m].tolist(), n))), default=0)
        for n, formulas in zip((4, 6), found, strict=True)
        for one in formulas
    ]
    thresholds = np.array(most).reshape(2, 12) / [[4], [6]]
    middle = float(np.median(thresholds[1]))
    ordered = np.sort(thresholds[1])
    expected = {
        # with 12 values one may be left out at each end: (1 + 12)/4096 = .0032
        "sat_half": [(middle, ordered[1], ordered[10])],
        "formulas": [12],
        "reduction_errors": [share(0, 10)],
        "reduction_formulas": [10],
        "unsound": [(0, 0, Between(0, 1))],
        "false_zeros": [0],
        "loss_rise": [Between(-1, 1e-12)],
        "outside": [Between(-1, 1e-12)],
        "not_at_rest": [(0, 0, Between(0, 0.2))],
    }
    dataset = plugin.compute(Handmade())
    np.testing.assert_array_equal(dataset["threshold"], thresholds)
    for method in ("frank_wolfe", "projected_gradient_descent"):
        low, high = dataset[f"{method}_half_low"].item(), dataset[f"{method}_half_high"].item()
        part = dataset.sel(optimizer=method).isel(size=1)
        at = module("sat_phases").crossing(
            np.array([1, 4, 6.5]),
            *(part[k].values for k in ("solved", "solved_low", "solved_high")),
        )
        expected |= {
            f"{method}_half": [at],
            f"{method}_lag": [(middle - at[0], ordered[1] - high, ordered[10] - low)],
            f"{method}_rises": [0],
        }
    assert_columns(plugin, Handmade(), expected)
    # at one clause for each variable nearly every start wins
    assert dataset["solved"].sel(ratio=1).min() > 0.7
    assert dataset["starts_solved"].sel(ratio=1).min() > 0.5
    counts = (thresholds >= 4).sum(axis=1)
    for size, count in enumerate(np.minimum(counts, 8)):
        won = dataset["solved"].sel(ratio=4).isel(size=size, optimizer=0).item() * count
        assert won == pytest.approx(round(won))


def test_wrong_answers_are_counted(monkeypatch):
    tally = module("sat_phases").Tally()
    wrong = SimpleNamespace(
        points=np.array([[0.0, 0.0], [1.0, 0.0]]), loss=np.array([0.0, 0.3]),
        steps=np.array([3, -1]), rise=0.1, outside=0.2,
    )  # fmt: skip
    assert tally.add(wrong, [[1, 2]], can=False).tolist() == [True, False]
    assert tally.columns() == {
        "unsound": share(1, 2), "false_zeros": 1, "loss_rise": 0.1, "outside": 0.2,
        "not_at_rest": share(1, 2),
    }  # fmt: skip
    part = module("sat_phases")
    monkeypatch.setattr(part, "satisfiable", lambda clauses: True)
    dataset = analysis(
        "sat_phases", sizes=[12], ratios=[1, 2], formulas=4, tried=1, starts=1, compared=8,
        methods=[made("optimizers", "frank_wolfe", step_size=1)],
    ).compute(Handmade())  # fmt: skip
    assert dataset["reduction_errors"].item() == 0.5  # one clause beyond the threshold
    rising = np.array([[[0.1, 0, 0.3], [0.9, 0.6, 1]]])
    assert part._fall("x", np.array([1.0, 2]), rising, (1, 1, 1))["x_rises"] == 1
