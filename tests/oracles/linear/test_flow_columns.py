"""Every column of the analyses of gradient flows of linear networks, on hand-made results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import Streams, share, torch
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
NAN = math.nan
FLOW = SimpleNamespace(name="gradient_flow", interval=0.5)
NORMAL = SimpleNamespace(name="normal")


def network(widths, values):
    return registry().get("models", "linear_network")(widths=widths, singular_values=values)


def descent(rate):
    return SimpleNamespace(name="gradient_descent", rate=rate)


def handmade(**configurations):
    """{label: (model, optimizer, initializer, {dataset: its content})}"""
    settings, datasets = {}, {}
    for label, (model, optimizer, initializer, content) in configurations.items():
        parts = {"model": model, "optimizer": optimizer, "initializer": initializer, "runs": 2}
        settings[label] = parts
        for name, dataset in content.items():
            datasets.setdefault(name, {})[label] = dataset
    return Handmade(settings, datasets)


def traces(steps, **arrays):
    axes = {"squared_norm": "layer", "imbalance": "number", "strength": "mode"}
    return xr.Dataset(
        {
            f"trace_{name}": (
                ("run", "trace_step", *([axes[name]] if name in axes else [])),
                np.array(values, dtype=float),
            )
            for name, values in arrays.items()
        },
        {"trace_step": steps},
    )


def test_columns_of_linear_invariants():
    def drifting(size):
        imbalance = size * np.array([[[0.0], [1]], [[0], [3]]])
        norms = [[[1, 1], [2 + size, 2]], [[1, 1], [3, 3]]]
        return {"training": traces([0, 1], imbalance=imbalance, squared_norm=norms)}

    results = handmade(
        slow=("m", descent(0.01), "i", drifting(0.01)),
        fast=("m", descent(0.02), "i", drifting(0.04)),
        # rounding has no slope
        balanced=("b", descent(0.01), "i", drifting(0.9e-12)),
        also_balanced=("b", descent(0.02), "i", drifting(4e-12)),
        small=("s", descent(0.01), "i", drifting(1.1e-12)),
        also_small=("s", descent(0.02), "i", drifting(4.4e-12)),
        none=("m", FLOW, "i", {"training": xr.Dataset()}),
    )
    sizes, none = [0.01, 0.04, 0.9e-12, 4e-12, 1.1e-12, 4.4e-12], (NAN, NAN, NAN)
    norm = [(2 + size) - 2 for size in sizes]
    expected = {
        "drift": [3 * size for size in sizes] + [NAN],
        "norm_drift": [*norm, NAN],
        "median_drift": [2 * size for size in sizes] + [NAN],
        "drift_slope": [(2, 2, 2), (2, 2, 2), none, none, (2, 2, 2), (2, 2, 2), none],
    }
    dataset = assert_columns(analysis("linear_invariants"), results, expected)
    assert dataset["where"].values.tolist()[:3] == ["slow", "slow", "fast"]


def test_columns_of_linear_convergence():
    """One 1 × 1 matrix after another, Y = 2: C₀ = 2, C₁ = 4, and 4s − 2s² exceeds −2g² + 4(1 + g)
    for s = 1, g = 3. −2g² + 4(1 + g) is 0 at 1 + √3."""
    model = network([1, 1, 1], [2.0])
    critical = xr.Dataset(
        {
            "loss": ("run", [0.0, 2.0, 0.7]),
            "kind": flags(["minimum", "saddle", "not_critical"], KINDS),
            "is_global": flags(["yes", "no", "no"], "no yes unknown"),
        }
    )
    trained = traces(
        [0, 1, 2],
        squared_norm=[[[1, 1], [3, 3], [NAN, NAN]]],
        imbalance=[[[0], [0], [NAN]]],
        strength=[[[1], [1], [NAN]]],
        loss=[[0.5, 0.5, NAN]],
    )
    start = SimpleNamespace(name="balanced_layers", strengths=[0])
    results = handmade(
        descent=(model, descent(0.1), start, {"training": xr.Dataset()}),
        flow=(model, FLOW, NORMAL, {"training": trained}),
    )
    results._datasets["critical_points"] = {"descent": critical, "flow": critical}
    expected = {
        "runs": [3, 3],
        "not_critical": [1, 1],
        "off_values": [1, 1],
        "not_global": [2, 2],
        "global_share": [share(1, 3)] * 2,
        "largest_norm": [NAN, math.sqrt(6)],
        "bound_violations": [NAN, 1],
        "norm_over_barrier": [NAN, 3 / (1 + math.sqrt(3))],
        "manifold_error": [2, NAN],
    }
    assert_columns(analysis("linear_convergence"), results, expected)


def test_growth_on_either_side_of_its_bound_is_told_apart():
    """The slope 4 − 2 lies between −2g² + 4(1 + g) at g = 2.41 and at g = 2.42."""
    trained = traces(
        [0, 1, 2],
        squared_norm=[[[1, 1], [2.41, 2.41], [2.42, 2.42]]],
        imbalance=[[[0]] * 3],
        strength=[[[1]] * 3],
        loss=[[0.5] * 3],
    )
    found = module("linear_convergence")._bounded(network([1, 1, 1], [2.0]), trained)
    assert found["bound_violations"] == 1


def test_drift_is_of_every_layer_against_the_last():
    """Of three layers: ‖W₁‖² − ‖W₃‖² and ‖W₂‖² − ‖W₃‖² drift by 1, the first two by 2. A run within
    rounding leaves no slope."""
    norms = [[[1, 1, 1], [1, 3, 2]]]
    other = xr.Dataset()
    drifting = [
        traces([0, 1], imbalance=[[[0.0], [a]], [[0], [b]]], squared_norm=norms * 2)
        for a, b in ((1.0, 0.9e-12), (2.0, 2.0))
    ]
    results = handmade(
        none=("m", FLOW, "i", {"training": other}),
        slow=("m", descent(0.01), "i", {"training": drifting[0]}),
        fast=("m", descent(0.02), "i", {"training": drifting[1]}),
    )
    expected = {
        "drift": [NAN, 1, 2],
        "norm_drift": [NAN, 1, 1],
        "median_drift": [NAN, (1 + 0.9e-12) / 2, 2],
        "drift_slope": [NAN, NAN, NAN],
    }
    assert_columns(analysis("linear_invariants"), results, expected)


@pytest.mark.parametrize(("ends", "least"), [([2, 3], 2), ([3, 2], 2), ([4, 3], 3)])
def test_constants_of_five_layers(ends, least):
    """γ = 1 + ½, the excess of ‖W_1‖² over ‖W_5‖² is 3 or 0, ‖Y‖ = 3 and r = min(d_K, d_{K−1})."""
    widths, size = [1, 1, 1, 1, *ends], ends[0] ** 2
    entries = np.zeros((2, 3 + size))
    entries[:, :3] = 1, -7, 0.5
    entries[:, 3] = -2
    norms = np.array([[5.0, 1, 1, 1, 2], [2, 2, 2, 2, 2]])
    first, second = module("_boundedness").constants(widths, 3.0, entries, norms)
    assert first == 2 / least**5
    # (g + c)^{5/2} ≤ max(1, 2³)(1 + …): 1 + 2³·3⁴, and 2³ where it is larger
    parts = [2 * 3 * (1 + 8 * 81), 2 * 3 * 8]
    assert second == pytest.approx([10 * 1.5 / least**4 + part for part in parts])


def test_the_loss_of_modes_begun_at_zero():
    """Of (3, 2, 1) only the first is begun."""
    model, critical = network([3, 3, 3], [3.0, 2.0, 1.0]), {"loss": np.array([2.5, 2.75, 2.4])}
    critical = xr.Dataset({"loss": ("run", critical["loss"])})
    assert module("linear_convergence")._manifold_error(model, [0.5], critical) == 0.25


def of_growth(g, slope, later=0.0):
    """One run of three 1 × 1 matrices, Y = 3 and strength u = 2, of which g = ‖W₃‖² grows with
    this slope, 12 − 2‖Π‖²; after the start it is `later` off balance."""
    squared = (12 - slope) / 2
    return traces(
        [0, 1],
        squared_norm=[[[2, 2, 2], [2 + 9 * later, 2 - later, g]]],
        imbalance=[[[0, 0], [later, later]]],
        strength=[[[2], [2]]],
        loss=[[0.5, (9 - 12 + squared) / 2]],
    )


@pytest.mark.parametrize(
    ("part", "violations"), [(0.5e-12, 0), (1.5e-12, 1), (-0.5e-12, 0), (1e-3, 1)]
)
def test_growth_above_its_bound_by_more_than_rounding_is_a_violation(part, violations):
    """C₀ = 2 and C₁ = 12 of the start: −2g³ + 12(1 + g²)."""
    g = 6.1
    bound = -2 * g**3 + 12 * (1 + g**2)
    model = network([1, 1, 1, 1], [3.0])
    trained = of_growth(g, bound * (1 + part), later=1.0)
    found = module("linear_convergence")._bounded(model, trained)
    assert found["bound_violations"] == violations
    barrier = max(np.roots([-2, 12, 0, 12]).real)
    assert found["norm_over_barrier"] == pytest.approx(g / barrier, rel=1e-9)


def test_columns_of_linear_rate():
    """One 1 × 1 matrix after another: α = w₂² − w₁²; losses that fall as exp(−ρt). Of the balanced
    ones the third has the margin 1, and the fifth is 2.4·10⁻⁴ off balance, within 1/(256·2³·2) of
    its square; the fourth and the sixth, 2.5·10⁻⁴ off, are not balanced."""

    def falling(first, second, rates):
        loss = np.exp(-np.outer(rates, 0.5 * np.arange(9)))
        content = {
            name: (("run", f"{name}_out", f"{name}_in"), np.reshape(w, (-1, 1, 1)))
            for name, w in (("w1", first), ("w2", second))
        }
        return {
            "initialization": xr.Dataset(content),
            "training": traces(np.arange(9), loss=loss),
        }

    def start(variance):
        return SimpleNamespace(name="common_starts", law=SimpleNamespace(variance=variance))

    model = network([1, 1, 1], [2.0])
    root = math.sqrt(2)
    second = [root, root, 1, 1, math.sqrt(1 - 2.4e-4), math.sqrt(1 - 2.5e-4)]
    near = falling([root, root, 1, 3, 1, 1], second, [3, 1, 3, 5, 3, 0])
    results = handmade(
        small=(model, FLOW, start(1.0), falling([1, 1], [2, 3], [7, 7])),
        large=(model, FLOW, start(4.0), falling([2, 2], [4, 6], [28, 28])),
        balanced=(
            model,
            FLOW,
            NORMAL,
            near,
        ),
        other=(model, descent(0.1), NORMAL, falling([1], [2], [7])),
    )
    none = (NAN, NAN, NAN)
    expected = {
        "rate_runs": [2, 2, NAN, NAN],
        "rate_violations": [1, 1, NAN, NAN],
        "rate_margin": [7 / 16, 28 / 64, NAN, NAN],
        "slower_than_one": [1, 1, NAN, NAN],
        "single_violations": [1, 1, NAN, NAN],
        "printed_alpha": [8, 32, NAN, NAN],
        "rate_exponent": [(1, 1, 1), none, none, none],
        "margin_runs": [NAN, NAN, 4, NAN],
        "margin_violations": [NAN, NAN, 1, NAN],
        "rate_over_margin": [NAN, NAN, 1 / 2, NAN],
    }
    dataset = assert_columns(analysis("linear_rate"), results, expected)
    assert dataset["run_alpha"].values.tolist() == [3, 8, 12, 32]


def test_the_product_of_the_alphas_bounds_the_rate_and_their_least_one_does_not():
    """w = (1, √1.5, √2): α = ½ twice; the loss falls as exp(−0.6 t), between 2·½·½ and 2·½."""
    first = {
        name: (("run", f"{name}_out", f"{name}_in"), np.full((1, 1, 1), value))
        for name, value in (("w1", 1.0), ("w2", math.sqrt(1.5)), ("w3", math.sqrt(2)))
    }
    loss = np.exp(-0.6 * 0.5 * np.arange(9))[None]
    content = {
        "initialization": xr.Dataset(first),
        "training": traces(np.arange(9), loss=loss),
    }
    found = analysis("linear_rate").compute(
        handmade(one=(network([1, 1, 1, 1], [2.0]), FLOW, NORMAL, content))
    )
    columns = ("rate_runs", "rate_violations", "single_violations", "slower_than_one")
    assert [found[name].item() for name in columns] == [1, 0, 1, 1]
    assert found["printed_alpha"].item() == pytest.approx(0.5)


def test_alpha_counts_from_the_largest_eigenvalue_and_as_printed_from_the_smallest():
    """C = diag(9, 0) − diag(1, 4), and d₂ = 1."""
    rate = module("linear_rate")
    layers = [np.diag([1.0, 2.0])[None], np.array([[[3.0, 0.0]]])]
    assert rate._alphas([2, 2, 1], layers).tolist() == [[8]]
    assert rate._printed_alphas([2, 2, 1], layers).tolist() == [[-4]]


def test_the_rate_bounds_hold_for_runs_whose_every_alpha_is_positive():
    """w = (1, √1.5, √3): α = ½ and 3/2, so that 2Πα = 3/2 and 2 min α = 1 lie below the rate 2, and
    2 max α = 3 above. w = (1, √1.5, 1) has α = ½ and −½. Descent has no row."""
    first = {
        name: (("run", f"{name}_out", f"{name}_in"), np.reshape(values, (2, 1, 1)))
        for name, values in (("w1", [1, 1]), ("w2", [1.5**0.5] * 2), ("w3", [3**0.5, 1]))
    }
    falls = {
        "initialization": xr.Dataset(first),
        "training": traces(np.arange(9), loss=np.exp(-2 * 0.5 * np.arange(9)) * np.ones((2, 1))),
    }
    model = network([1, 1, 1, 1], [2.0])
    results = handmade(
        steps=(model, descent(0.1), NORMAL, falls), flow=(model, FLOW, NORMAL, falls)
    )
    expected = {name: [NAN, NAN] for name in analysis("linear_rate").columns}
    expected |= {
        "rate_runs": [NAN, 1],
        "rate_violations": [NAN, 0],
        "rate_margin": [NAN, 4 / 3],
        "slower_than_one": [NAN, 0],
        "single_violations": [NAN, 0],
        "printed_alpha": [NAN, 0.5],
    }
    assert_columns(analysis("linear_rate"), results, expected)


def test_a_rate_at_twice_the_least_alpha_is_not_slower():
    rate, alphas = np.array([1.0, 2.0, 0.9]), np.array([[0.5, 1.0], [0.5, 3.0], [0.5, 1.0]])
    found = module("linear_rate")._row(rate, np.array([True, False, True]), alphas)
    expected = {"rate_runs": 3, "rate_violations": 2, "rate_margin": 2 / 3, "slower_than_one": 1}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("product", "imbalance", "counts"),
    [
        (0.512, 0.999, True),
        (0.512, 1.001, False),
        (3.5, 0.999, True),  # beyond Y, the margin is that of 0.5
        (3.5, 1.001, False),
        (4.1, 0.0, False),
    ],
)
def test_a_margin_counts_where_the_start_is_balanced_enough(product, imbalance, counts):
    """Y = 2 and w = (c, c, √(c² + d)), which are d off balance: c³ = 2 − margin or 2 + margin, and
    d ≤ margin²/(256·3³·2^{4/3}). The loss falls as exp(−t)."""
    margin = 2 - abs(product - 2)
    allowed = margin**2 / (256 * 27 * 2 ** (4 / 3))
    c = product ** (1 / 3)
    layers = [np.reshape(w, (1, 1, 1)) for w in (c, c, math.sqrt(c**2 + imbalance * allowed))]
    configuration = SimpleNamespace(
        settings=SimpleNamespace(model=network([1, 1, 1, 1], [2.0]), optimizer=FLOW)
    )
    trained = traces(np.arange(9), loss=np.exp(-0.5 * np.arange(9))[None])
    found = module("linear_rate")._margin_row(configuration, layers, trained)
    if not counts:
        assert found == {}
    else:
        assert (found["margin_runs"], found["margin_violations"]) == (1, margin ** (4 / 3) > 1)
        assert found["rate_over_margin"] == pytest.approx(margin ** (-4 / 3), rel=1e-4)


@pytest.mark.parametrize(("imbalance", "counts"), [(0.5e-14, True), (1.5e-14, False)])
def test_rounding_is_no_imbalance(imbalance, counts):
    """w₁w₂ = 1e-9 = margin, whose bound on the imbalance is below 1e-21. No margin: w = 0."""
    configuration = SimpleNamespace(
        settings=SimpleNamespace(model=network([1, 1, 1], [2.0]), optimizer=FLOW)
    )
    first = 10**-4.5
    pair = [first, 0], [math.sqrt(first**2 + imbalance), 0]
    layers = [np.reshape(values, (2, 1, 1)) for values in pair]
    trained = traces([0, 1], loss=[[1, 0.5]] * 2)
    found = module("linear_rate")._margin_row(configuration, layers, trained)
    assert found.get("margin_runs", 0) == counts


@pytest.mark.parametrize(
    ("widths", "shrinking"),
    [([2, 3, 2, 1], True), ([1, 2, 2, 3], True), ([2, 2, 3, 1], False), ([2, 1], False)],
)
def test_only_hidden_layers_have_to_shrink(widths, shrinking):
    assert module("linear_rate")._shrinking(widths) is shrinking


def test_alpha_is_zero_where_the_next_layer_is_wider():
    layers = [np.array([[[2.0]]]), np.array([[[3.0], [4.0]]])]
    assert module("linear_rate")._alphas([1, 1, 2], layers).tolist() == [[0]]


def test_rates_are_means_until_the_loss_is_a_millionth():
    """On a line through the logarithms; a loss of 0 and what comes after the end are no part."""
    loss = [[1, 1e-3, 1e-9], [1, 1e-3, 0], [1, 1e-3, NAN]]
    rates, _ = module("linear_rate")._rates(traces([0, 2, 4], loss=loss), 0.5, np.ones(3))
    assert rates == pytest.approx([math.log(1e6) / 1.5, math.log(1e3), math.log(1e3)])


@pytest.mark.parametrize(
    ("least", "loss", "above"),
    [
        (1, math.exp(-1) * (1 + 0.5e-9), False),
        (1, math.exp(-1) * (1 + 1.5e-9), True),
        (1, math.exp(-1) * 1.5, True),
        (50, 0.9e-20, False),  # exp(−50) = 1.9e-22
        (50, 1.1e-20, True),
    ],
)
def test_a_loss_above_its_bound_by_more_than_rounding_is_counted(least, loss, above):
    part = module("linear_rate")
    _, found = part._rates(traces([0, 2], loss=[[1, loss]]), 0.5, np.array([least]))
    assert found.tolist() == [above]


def test_columns_of_saxe_modes():
    """u = s e^{2st}/(e^{2st} − 1 + s/u₀) for two layers; the last strength is off by `error`."""
    model = network([1, 1, 1], [2.0])
    time = np.arange(17) * 0.5
    u = 2 / (1 + np.exp(-4 * time))

    def solved(step, error):
        strength = u.copy()
        strength[-1] += error
        steps = (time / step).round().astype(int)
        critical = xr.Dataset({"max_eigenvalue": ("run", [4.0, 8.0])})
        trained = traces(steps, strength=np.tile(strength[:, None], (2, 1, 1)))
        return {"training": trained, "critical_points": critical}

    start = SimpleNamespace(name="balanced_layers", strengths=[1.0])
    still = SimpleNamespace(name="balanced_layers", strengths=[0.0])
    results = handmade(
        still=(model, FLOW, still, solved(0.5, 0)),
        flow=(model, FLOW, start, solved(0.5, 0)),
        slow=(model, descent(0.01), start, solved(0.01, 0.001)),
        fast=(model, descent(0.02), start, solved(0.02, 0.003)),
        normal=(model, FLOW, NORMAL, solved(0.5, 0)),
    )
    slope = math.log(3) / math.log(2)
    near = 2 - u[-1]
    expected = {
        "saxe_error": [NAN, Between(0, 1e-9), 0.001 - near, 0.003 - near, NAN],
        "saxe_error_slope": [NAN, NAN, slope, slope, NAN],
        "top_eigenvalue_ratio": [NAN, 1.5, 1.5, 1.5, NAN],
    }
    dataset = assert_columns(analysis("saxe_modes"), results, expected)
    assert dataset["solved"].values.tolist() == ["flow"]


def test_a_mode_that_is_late_is_off_by_its_speed():
    """Of three layers: du/dt = 3u^{4/3}(2 − u). All points a hundredth late."""
    part, u = module("saxe_modes"), np.array([0.1, 0.5, 1.0, 1.5, 2.0])
    late = part.times(u[1:4], 0.1, 2.0, 3) + 0.01
    time = np.array([0, *late, 99])
    expected = 0.01 * (3 * u[1:4] ** (4 / 3) * (2 - u[1:4])).max()
    early = np.where((time > 0) & (time < 99), time - 0.02, time)
    for at in (time, early):
        assert part._error(at, u[None], 0.1, 2.0, 3) == pytest.approx(expected)
    # the worst of the runs, and what a run has not recorded
    runs = np.array([[0.1, np.nan, np.nan, np.nan, 2.0], u, [0.1, *u[1:4], np.nan]])
    assert part._error(time, runs[:2], 0.1, 2.0, 3) == pytest.approx(expected)
    assert part._error(time, runs, 0.1, 2.0, 3) == 0.5


def test_a_mode_begun_at_zero_has_no_solution():
    model = network([2, 2, 2], [2.0, 1.0])
    for strengths, modes in (
        ([0.5, 0.25], [(0.5, 2), (0.25, 1)]),
        ([0.5, 0.0], []),
        ([0.5], []),
    ):
        start = SimpleNamespace(strengths=strengths)
        settings = SimpleNamespace(initializer=start, model=model)
        assert module("saxe_modes")._modes(settings) == modes


def test_the_error_of_modes_is_that_of_the_worst_and_the_top_eigenvalue_that_of_the_first():
    """Of three layers, with the strengths (3, 2): 3·3^{4/3}. The second mode ends 1/4 away."""
    part, model = module("saxe_modes"), network([2, 2, 2, 2], [3.0, 2.0])
    settings = SimpleNamespace(model=model, optimizer=FLOW)
    trained = traces([0, 99], strength=[[[1.0, 1.0], [3.0, 2.25]]])
    assert part._largest_error(settings, [(1.0, 3.0), (1.0, 2.0)], trained) == 0.25
    critical = xr.Dataset({"max_eigenvalue": ("run", [1.0, 3.0])})
    assert part._top_ratio(model, critical) == pytest.approx(2 / 3 ** (7 / 3))


@pytest.mark.parametrize(
    ("share", "compared"),
    [(0.9e-3, False), (1.1e-3, True), (1 - 1.1e-6, True), (1 - 0.9e-6, False), (0.9, True)],
)
@pytest.mark.parametrize("layers", [2, 3])
def test_time_is_compared_where_a_mode_moves(share, compared, layers):
    """A mode that begins at ½ and goes to 2, ten late at one point: 10·K u^{2−2/K}(2 − u)."""
    part, u = module("saxe_modes"), 0.5 + 1.5 * share
    late = part.times(np.array([u]), 0.5, 2.0, layers)[0] + 10
    found = part._error(np.array([0, late, 1e3]), np.array([[0.5, u, 2.0]]), 0.5, 2.0, layers)
    expected = 10 * layers * u ** (2 - 2 / layers) * (2 - u)
    assert found == (pytest.approx(expected, rel=1e-6) if compared else 0)


def test_a_mode_that_begins_below_its_start_is_off_by_the_difference():
    found = module("saxe_modes")._error(np.array([0, 9]), np.array([[0.25, 2.0]]), 0.5, 2.0, 2)
    assert found == 0.25


def test_the_exact_curve_goes_nearly_from_end_to_end():
    """Of one layer: t = log((s − u₀)/(s − u))."""
    time, u = module("saxe_modes")._curve(0.5, 2.0, 1)
    shares = [1 / (1 + math.exp(12)), 1 / (1 + math.exp(-14))]
    assert u[[0, -1]] == pytest.approx(0.5 + 1.5 * np.array(shares), rel=1e-12)
    assert len(u) == 120
    np.testing.assert_allclose(2 - 1.5 * np.exp(-time), u, rtol=1e-9)


def test_columns_of_linear_reduction():
    model = network([3, 4, 2], [2.0, 1.0])
    results = handmade(one=(model, FLOW, NORMAL, {}), again=(model, FLOW, NORMAL, {}))
    expected = {
        "reduction_loss_error": [Between(0, 1e-13), NAN],
        "regression_error": [Between(0, 1e-13), NAN],
        "reduction_back_error": [Between(1e-17, 1e-11), NAN],
        "reduced_flow": [0, NAN],
        "reduced_flow_whitened": [1, NAN],
    }
    assert_columns(analysis("linear_reduction", draws=3), results, expected)


def test_the_loss_is_least_where_the_product_is_that_of_linear_regression():
    part, drawn = module("linear_reduction"), np.random.default_rng(1)
    x, y, w = (drawn.standard_normal(size) for size in ((3, 9), (2, 9), (2, 3)))
    best = np.linalg.lstsq(x.T, y.T, rcond=None)[0].T
    for product in (best, w):
        expected = ((y - product @ x) ** 2).sum() / 2
        found = part._as_regression(x, y, {"w1": torch.as_tensor(product[None])})
        assert found == pytest.approx(expected, rel=1e-13)


def test_errors_of_linear_reduction_are_the_worst_of_the_draws(monkeypatch):
    """An error of 1e-9 is an error already."""
    draws = iter([(1e-3, 7e-3, 2e-3, 1e-9, 1e-9), (4e-3, 5e-3, 3e-3, 1.5e-9, 0.0)])
    monkeypatch.setattr(module("linear_reduction").LinearReduction, "_try", lambda *_: next(draws))
    expected = {
        "reduction_loss_error": [4e-3],
        "regression_error": [7e-3],
        "reduction_back_error": [3e-3],
        "reduced_flow": [0],
        "reduced_flow_whitened": [0.5],
    }
    results = handmade(one=(network([3, 4, 2], [2.0, 1.0]), FLOW, NORMAL, {}))
    assert_columns(analysis("linear_reduction", draws=2), results, expected)


def test_wrong_reductions_are_seen(monkeypatch):
    """A constant too small by 1/2, an inverse off by 1/4 in one entry of the first layer, and a
    regression without loss."""
    part, model = module("linear_reduction"), network([3, 4, 2], [2.0, 1.0])
    honest = type(model).reduction

    class Wrong:
        def __init__(self, right):
            self.right, self.constant = right, right.constant - 0.5
            self.forth, self.singular_values = right.forth, right.singular_values

        def back(self, weights):
            found = self.right.back(weights)
            found["w1"] = found["w1"] + torch.as_tensor(np.eye(4, 3) * [0.25, 0, 0])
            return found

    monkeypatch.setattr(type(model), "reduction", lambda self: Wrong(honest(self)))
    monkeypatch.setattr(part, "_as_regression", lambda x, y, weights: 0.0)
    losses = []
    loss = type(model).loss
    monkeypatch.setattr(
        type(model), "loss", lambda self, w, d: losses.append(loss(self, w, d)) or losses[-1]
    )
    streams = Streams(1, "one", np.arange(1), "reduction")
    errors = analysis("linear_reduction")._try(model, streams)
    assert errors[0] == pytest.approx(0.5 / float(losses[0]), rel=1e-9)
    assert errors[1] == 1
    assert errors[2] == pytest.approx(0.25, rel=1e-9)


def test_the_error_of_a_reduced_gradient_is_the_largest_of_its_layers():
    """Differences of 1 beside 4, and of 2 beside 4."""

    def tensors(first, second):
        return {"w1": torch.tensor(first), "w2": torch.tensor(second)}

    there = tensors([1.0, 4.0], [4.0, -2.0])
    reduced = SimpleNamespace(gradient=lambda weights, data: there)
    reduction = SimpleNamespace(forth=lambda weights: {n: 2 * w for n, w in weights.items()})
    model = SimpleNamespace(
        reduction=lambda: reduction,
        reduced=lambda: reduced,
        gradient=lambda weights, data: tensors([0.5, 2.5], [1.0, -1.0]),
    )
    assert module("linear_reduction")._gradient_error(model, there) == 0.5
