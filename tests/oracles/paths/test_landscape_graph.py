"""The graph of Himmelblau's function, which is known, and of points that a symmetry repeats."""

import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr
from handmade import Handmade, analysis, assert_columns
from studies import module

import nnflow
from nnflow.base import store
from nnflow.base.store import flags
from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import check_file

graph, refined = module("_graph"), module("_refined")
KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
MINIMA = [[3.0, 2.0], [3.584428, -1.848127], [-3.779310, -3.283186], [-2.805118, 3.131313]]

SPURIOUS = np.full((6, 6), -0.050413) + np.diag([1.037117] * 5 + [-0.551102])
SPURIOUS[:5, 5], SPURIOUS[5, :5] = 0.308011, 0.224516
"""The spurious minimum of six ReLU neurons, L = 0.0250806."""


def surface(name, **settings):
    model = registry().get("models", name)(**settings)
    return model, Landscape(Objective(model, {}, Streams(0, "all", np.arange(1), "x")))


def around(name, weights, rate, **settings):
    model, loss = surface(name, **settings)
    parts = {
        "model": model,
        "optimizer": registry().get("optimizers", "gradient_descent")(rate=rate),
    }
    points = refined.polished(loss, weights.reshape(len(weights), -1)).reshape(weights.shape)
    axes = ("run", *(f"w{i}" for i in range(points.ndim - 1)))
    ends = xr.Dataset({"w": (axes, points), "kind": flags([0] * len(points), KINDS)})
    results = Handmade({"all": parts}, {"critical_points": {"all": ends}})
    results.objective = lambda configuration: loss
    return results


def test_the_graph_of_himmelblau():
    """Four minima in a ring of four saddles; from two of the minima the others are found, too."""
    results = around("himmelblau", np.array(MINIMA[:2]), 0.004)
    plugin = analysis("landscape_graph", starts=40, within=1e-9)
    found = plugin.compute(results)
    levels = np.sort(found["saddle_loss"].values[0])
    np.testing.assert_allclose(levels[0], 13.311926, atol=1e-6)
    assert set(np.round(levels, 4)) <= {13.3119, 67.7192, 104.0152, 178.3372}
    assert found["copies"] == 0
    assert found["lowest_edge"] == pytest.approx(13.311926, abs=1e-6)
    assert found["gradient_norm"] < 1e-9
    assert found["proved_edges"] == found["saddles"]
    assert found["unproved_edges"] == found["left_out"] == 0
    assert (found["way_proved"] == 1).all()
    edges = found["edge"].values[0]
    assert (edges[:, 0] != edges[:, 1]).all()
    document = ElementTree.fromstring(str(found["graphml"].values[0, 0]))
    space = "{http://graphml.graphdrawing.org/xmlns}"
    assert len(list(document.iter(f"{space}node"))) == int(found["minima"][0])
    assert len(list(document.iter(f"{space}edge"))) == int(found["saddles"][0]) == len(levels)


@pytest.fixture(scope="module")
def proved():
    """The graph around the global minimum of six ReLU neurons, with its certificates."""
    start = np.eye(6)[None] + 1e-3
    results = around("relu_teacher_student", start, 0.5, k=6, n=6)
    return analysis("landscape_graph", starts=12).compute(results)


def test_minima_and_saddles_are_proved(proved):
    """From the global minimum a saddle leads back to it; its loss is known to five digits."""
    assert proved["proved_minima"] == proved["minima"] >= 1
    assert proved["proved_saddles"] == proved["saddles"] >= 1
    assert proved["unproved"] == 0
    low, found, high = (proved[f"saddle_loss{end}"].values[0] for end in ("_low", "", "_high"))
    assert ((low < found) & (found < high) & (high < low + 1e-8)).all()
    assert np.abs(low - 0.0237577).min() < 1e-7
    assert float(proved["minimum_loss_low"][0, 0]) < 0 < float(proved["minimum_loss_high"][0, 0])


def test_edges_are_proved(proved):
    """Both ways from each saddle, whichever image of the minimum they end at."""
    assert proved["proved_edges"] == proved["saddles"] >= 1
    assert proved["unproved_edges"] == 0
    assert (proved["way_proved"] == 1).all()
    ways = proved.isel(certificate=proved["stands_for"].values == "way")
    assert ways.sizes["certificate"] == 2 * int(proved["saddles"].item())
    assert sorted(set(ways["from_side"].values)) == [0, 1]
    points = proved.isel(certificate=proved["stands_for"].values != "way")
    assert np.isnan(points["corners"]).all()
    assert 'key="edge_proved">true' in str(proved["graphml"].values[0, 0])


def test_an_edge_that_can_not_be_proved_says_so(monkeypatch):
    """Where the second way of each saddle is not found, no edge is proved, and no barrier."""
    tried = []

    def find_way(enclosure, line, start, end):
        tried.append(line)
        return SimpleNamespace(corners=line, obstacle="hidden" if len(tried) % 2 == 0 else "")

    monkeypatch.setattr(nnflow, "find_way", find_way)
    found = analysis("landscape_graph", starts=12, within=1e-9).compute(
        around("himmelblau", np.array(MINIMA), 0.004)
    )
    saddles = int(found["saddles"].item())
    assert len(tried) == 2 * saddles
    assert found["proved_edges"] == 0
    assert found["unproved_edges"] == saddles
    assert found["way_proved"].values[0].tolist() == [[1, 0]] * saddles
    assert found["proved_saddles"] == saddles
    assert np.isnan(found["barrier"])
    assert 'key="edge_proved">false' in str(found["graphml"].values[0, 0])


def test_which_points_are_images():
    """Where all students and all teachers are put into another order; and only where the image lies
    in the box."""
    model, _ = surface("relu_teacher_student", k=4, n=4)
    is_image = module("_ways").is_image
    node = np.diag([1.0, 0.9, 0.8, 0.7])
    node[0, 1] = 0.05
    order = np.random.default_rng(0).permutation(4)
    end = node[order][:, order[::-1]]

    def image(end, bounds, said):
        """(distance, radius) of the end and of the node."""
        bounds, said = ({"distance": d, "radius": r} for d, r in (bounds, said))
        return is_image(model, end.ravel(), bounds, node.ravel(), said)

    small, wide = (1e-14, 1e-12), (2e-12, 8e-12)
    assert image(end, small, small)
    assert image(end, wide, small)
    assert image(end, small, wide)
    assert not image(end, (2e-12, 1e-15), small)
    off = end.copy()
    off[0, 0] += 1.5e-12
    assert not image(off, small, small)
    assert image(off, wide, small)
    assert image(off, small, wide)
    assert not image(end.T + 0.1 * end, wide, wide)


def test_certificates_are_proved_again_from_the_file(proved, tmp_path):
    path = tmp_path / "landscape_graph.nc"
    store.write(path, {"": proved}, {})
    outcomes = list(check_file(path))
    assert len(outcomes) == proved.sizes["certificate"] >= 2
    assert all(outcome.proved for outcome in outcomes)
    changed = proved.copy(deep=True)
    changed["loss_high"].values[-1] -= 1.0
    store.write(path, {"": changed}, {})
    assert any(outcome.proved is False for outcome in check_file(path))


def checked(dataset, tmp_path):
    """What a check says of the dataset when it is sealed again."""
    path = tmp_path / "landscape_graph.nc"
    store.write(path, {"": nnflow.sealed(dataset.drop_vars("checksum"))}, {})
    return list(check_file(path))


@pytest.mark.parametrize("how", ["a saddle as a minimum", "a good bound", "another place"])
def test_a_sealed_lie_is_found(proved, tmp_path, how):
    lie = proved.isel(certificate=proved["stands_for"].values != "way").copy(deep=True)
    last = {"certificate": -1}
    if how == "a saddle as a minimum":
        lie["stands_for"][last] = "minimum"
    elif how == "a good bound":
        lie["second_low"][last] = lie["second_low"][last] + 0.01
    else:
        lie["center"].values[-1] += 1e-6
    outcomes = checked(lie, tmp_path)
    assert outcomes[-1].proved is False
    assert all(outcome.proved for outcome in outcomes[:-1])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("a moved corner", "not proved to stay below"),
        ("a lower saddle", "not proved"),
        ("another start", "does not begin"),
        ("another end", "does not end"),
        ("an end elsewhere", "is not proved again"),
        ("another minimum", "has no certificate"),
        ("a far minimum", "an image"),
        ("no saddle", "has no certificate"),
    ],
)
def test_a_sealed_lie_about_a_way_is_found(proved, tmp_path, how, reason):
    """Only of the certificate that lies, or of those that rest on it."""
    lie = proved.copy(deep=True)
    row = int(np.flatnonzero(lie["stands_for"].values == "way")[0])
    saddle = int(np.flatnonzero(lie["stands_for"].values == "saddle")[0])
    corners = lie["corners"].values
    count = int(np.isfinite(corners[row, :, 0]).sum())
    rests = {row}
    if how == "a moved corner":
        corners[row, count // 2, 7] += 0.8
    elif how == "a lower saddle":
        lie["loss_high"].values[saddle] -= 1e-4
        number = lie["number"].values[saddle]
        same = (lie["stands_for"].values == "way") & (lie["number"].values == number)
        rests = {saddle, *np.flatnonzero(same)}
    elif how == "another start":
        corners[row, 0, 0] += 1e-13
    elif how == "another end":
        corners[row, count - 1, 0] += 1e-15
    elif how == "an end elsewhere":
        lie["center"].values[row, 0] += 1e-3
    elif how == "another minimum":
        lie["reaches"].values[row] = 9
    elif how == "a far minimum":
        # a second certificate, in all truth, of a minimum that is no image of the way's end
        other = lie.isel(certificate=[row]).copy(deep=True)
        other["stands_for"][:] = "minimum"
        other["number"][:] = 7
        model = registry().get("models", "relu_teacher_student")(k=6, n=6)
        _, loss = surface("relu_teacher_student", k=6, n=6)
        spurious = refined.polished(loss, SPURIOUS.reshape(1, 36))[0]
        for name, value in module("_certified").stated(model.enclosure(), spurious).items():
            other[name][:] = value
        other["center"].values[0] = spurious
        lie["reaches"].values[row] = 7
        lie = xr.concat([lie, other], "certificate", data_vars="minimal")
    else:
        lie = lie.isel(certificate=[i for i in range(lie.sizes["certificate"]) if i != saddle])
        row -= 1
        same = (lie["stands_for"].values == "way") & (lie["number"].values == 0)
        rests = set(np.flatnonzero(same))
    outcomes = checked(lie, tmp_path)
    assert {i for i, outcome in enumerate(outcomes) if not outcome.proved} == rests
    assert reason in outcomes[row].text


def test_a_maximum_or_a_saddle_of_index_two_is_neither():
    role, certificates = (getattr(module("_certified"), name) for name in ("role", "certificates"))
    model, loss = surface("himmelblau")
    points = np.array([[3.0, 2.0], [0.086678, 2.884255], [-0.270845, -0.923039]])
    found = certificates(model, refined.polished(loss, points))
    rows = [{name: values[i] for name, values in found.items()} for i in range(3)]
    assert [role(row) for row in rows] == ["minimum", "saddle", "unproved"]
    assert all(row["distance"] < 1e-9 for row in rows)


def test_a_model_without_an_enclosure_gets_no_certificates():
    results = around("rippled_bowl", np.array([[0.6]]), 0.05)
    found = analysis("landscape_graph", starts=4).compute(results)
    assert found["minima"] >= 1
    assert found["saddles"] >= 1
    assert np.isnan(found["proved_minima"])
    assert np.isnan(found["way_proved"]).all()
    assert np.isfinite(found["barrier"])
    assert "certificate" not in found.dims


def test_which_saddle_the_families_drain_over():
    """0 is the lowest; 1 drains over saddle 2, 2 over 1 on its way, 3 is not joined."""
    heights = np.array([0.0, 0.1, 0.2, 0.3])
    edges, levels = np.array([[0, 0], [2, 1], [1, 0]]), np.array([0.9, 0.6, 0.5])
    assert graph.drains(heights, edges, levels).tolist() == [-1, 2, 1, -1]


def test_the_graph_is_read_by_networkx():
    networkx = pytest.importorskip("networkx")
    proofs = {
        "minimum": {"loss_low": [-1e-9, 0.1], "loss_high": [1e-9, np.inf]},
        "saddle": {"loss_low": [0.49, 0.69], "loss_high": [0.51, 0.71]},
    }
    edges, levels = np.array([[0, 1], [1, 1]]), np.array([0.5, 0.7])
    text = graph.graphml(np.array([0.0, 0.2]), edges, levels, proofs)
    found = networkx.parse_graphml(text, force_multigraph=True)
    assert dict(found.nodes(data=True)) == {
        "m0": {"loss": 0.0, "loss_low": -1e-9, "loss_high": 1e-9},
        "m1": {"loss": 0.2, "loss_low": 0.1},
    }
    assert found.get_edge_data("m0", "m1") == {
        "s0": {"loss": 0.5, "loss_low": 0.49, "loss_high": 0.51}
    }
    assert found.get_edge_data("m1", "m1")["s1"]["loss"] == 0.7


def test_heights_on_labels_are_rounded_up():
    figure = registry().get("figures", "disconnectivity")
    at_most = sys.modules[figure.__module__]._at_most
    for level in np.random.default_rng(0).uniform(1e-5, 1, 1000):
        assert level <= float(at_most(level)) <= level * 1.001
    assert at_most(0.5) == "0.5"


def test_descents_by_quadratic_steps_end_at_the_same_minima():
    """Those that have no time end at the saddle, and their saddles are left out."""
    _, loss = surface("mueller_brown")
    saddles = refined.polished(loss, np.array([[-0.822, 0.624], [0.212, 0.293]]))
    slow = graph.descents(loss, saddles, 2e-4, 20_000)
    fast = graph.steepest(loss, saddles, 400)
    for one, other in zip(slow, fast, strict=True):
        for line, other_line in zip(one, other, strict=True):
            np.testing.assert_allclose(line[-1], other_line[-1], atol=1e-9)
            assert (other_line[0] == line[0]).all()
            steps = np.linalg.norm(np.diff(other_line[1:-1], axis=0), axis=1)
            assert steps.max() < refined.FLOW * (1 + 1e-9)
            assert (np.diff(loss.loss(other_line)) <= 1e-9).all()
    for saddle, pair in zip(saddles, graph.steepest(loss, saddles, 1), strict=True):
        assert all((line[-1] == saddle).all() for line in pair)
    results = around("himmelblau", np.array(MINIMA), 0.004)
    settings = {"starts": 12, "descents": "quadratic_steps"}
    found = analysis("landscape_graph", **settings).compute(results)
    assert found["left_out"] == 0
    assert found["proved_edges"] == found["saddles"] >= 2
    none = analysis("landscape_graph", **settings, descent_steps=1).compute(results)
    assert none["saddles"] == 0
    assert none["left_out"] == found["saddles"]


def test_images_of_the_global_minimum_are_one_node():
    """72 permuted copies of the teacher would be 72 minima; modulo the symmetry they are one."""
    rng = np.random.default_rng(0)
    copies = np.stack([np.eye(4)[rng.permutation(4)] for _ in range(20)])
    model, loss = surface("relu_teacher_student", k=4, n=4)
    kept = graph.representatives(model, loss, copies.reshape(20, 16), 1e-6)
    assert len(kept) == 1


def test_copies_are_seen_without_the_invariants_by_which_points_are_merged():
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((2, 3, 3))
    image = drawn[0][rng.permutation(3)]  # the students in another order
    _, loss = surface("relu_teacher_student", k=3, n=3)
    points = np.stack([drawn[0], drawn[1], image, drawn[0]]).reshape(4, 9)
    assert module("landscape_graph")._copies(loss, points, 1e-9) == 2
    assert module("landscape_graph")._copies(loss, points[:2], 1e-9) == 0


def test_columns_of_a_graph_without_saddles():
    """A bowl has one minimum and nothing else."""
    results = around("toy_valley", np.zeros((3, 2)), 0.05, epsilon=1.0)
    nan = np.nan
    assert_columns(
        analysis("landscape_graph", starts=3, steps=20),
        results,
        {
            "minima": [1],
            "saddles": [0],
            "copies": [0],
            "joined": [1],
            "lowest_edge": [nan],
            "highest_merge": [nan],
            "barrier": [(nan, nan, nan)],
            "gradient_norm": [0.0],
            "proved_minima": [1],
            "proved_saddles": [0],
            "unproved": [0],
            "proved_edges": [0],
            "unproved_edges": [0],
            "left_out": [0],
            "height_width": [pytest.approx(0, abs=1e-8)],
        },
    )


def test_columns_count_from_the_lowest_minimum():
    """It is the second of three, and joined to none; the others are, over a barrier of 0.2."""
    found = module("landscape_graph")._row(
        {
            "minimum_loss": np.array([0.3, 0.0, 0.2]),
            "edge": np.array([[0, 2], [1, 1]]),
            "saddle_loss": np.array([0.5, 0.1]),
            "copies": 4,
            "left_out": 2,
            "gradient_norm": 1e-9,
        }
    )
    assert found.pop("barrier") == pytest.approx(0.2)
    assert np.isnan(found.pop("highest_merge"))
    assert found == {
        "minima": 3, "saddles": 2, "copies": 4, "left_out": 2, "joined": 1, "lowest_edge": 0.5,
        "gradient_norm": 1e-9,
    }  # fmt: skip


def test_merges_are_at_the_lowest_saddles_that_join_groups():
    heights = np.array([0.0, 0.1, 0.2])
    edges, levels = np.array([[0, 1], [1, 0], [2, 1], [2, 0]]), np.array([0.5, 0.4, 0.9, 0.7])
    found = graph.merges(heights, edges, levels)
    assert [level for level, _, _ in found] == [0.4, 0.7]
    assert found[-1][1] | found[-1][2] == {0, 1, 2}


def test_following_the_lowest_mode_leads_up_to_the_saddle():
    _, loss = surface("mueller_brown")
    found = refined.followed(loss, np.array([[-0.05, 0.55], [0.1, 0.35]]), 300)
    index, nullity = refined.inertia(loss, found)
    assert index.tolist() == [1, 1]
    assert nullity.tolist() == [0, 0]
    known = np.array([-72.248940, -40.664843])
    assert (np.abs(loss.loss(found)[:, None] - known).min(axis=1) < 1e-6).all()
    lines = graph.descents(loss, found, 2e-4, 20_000)
    assert [len(pair) for pair in lines] == [2, 2]
    for saddle, pair in zip(found, lines, strict=True):
        for line in pair:
            assert (line[0] == saddle).all()
            assert (np.diff(loss.loss(line)) <= 1e-9).all()
            assert np.linalg.norm(np.diff(line, axis=0), axis=1)[1:-1].min() > graph.SPACING
    ends = np.array([[line[-1] for line in pair] for pair in lines]).reshape(-1, 2)
    assert refined.inertia(loss, ends)[0].tolist() == [0] * 4


# Numbers by hand


def test_the_barrier_is_the_least_rise_out_of_a_minimum_that_is_not_the_lowest():
    """2 out of the second and 3 out of the third; a saddle within a family leads out of none."""
    rise = module("landscape_graph")._barrier
    edges, levels = np.array([[0, 1], [1, 2], [1, 1]]), np.array([3.0, 5, 1.1])
    assert rise(np.array([0.0, 1, 2]), edges, levels) == 2
    assert rise(np.array([0.0, 1, 4.5]), edges, levels) == 0.5
    assert np.isnan(rise(np.array([0.0, 1, 2]), edges[2:], levels[2:]))


def test_families_join_the_lowest_one_after_another():
    """The second is the lowest; edges at 3, 4 and 5 lead on to a fourth, and to no fifth."""
    graph = {
        "minimum_loss": np.array([1.0, 0, 2, 3, 9]),
        "edge": np.array([[1, 0], [0, 2], [2, 3], [4, 4]]),
        "saddle_loss": np.array([3.0, 4, 5, 0.5]),
        "copies": 7, "left_out": 8, "gradient_norm": 1e-9,
    }  # fmt: skip
    assert module("landscape_graph")._row(graph) == {
        "minima": 5, "saddles": 4, "copies": 7, "left_out": 8, "joined": 4, "lowest_edge": 3,
        "highest_merge": 5, "barrier": 2, "gradient_norm": 1e-9,
    }  # fmt: skip
    graph |= {"edge": graph["edge"][3:], "saddle_loss": graph["saddle_loss"][3:]}
    row = module("landscape_graph")._row(graph)
    assert row["joined"] == 1
    assert np.isnan([row[n] for n in ("lowest_edge", "highest_merge", "barrier")]).all()


def by_coordinates():
    """The first coordinate is the loss, the others are eigenvalues of the Hessian."""
    return SimpleNamespace(
        loss=lambda points: points[:, 0],
        hessian=lambda points: points[:, 1:, None] * np.eye(points.shape[1] - 1),
    )


def test_copies_have_the_loss_and_the_whole_spectrum_of_an_earlier_point():
    copies = module("landscape_graph")._copies
    points = np.array([[0.0, 1, 2], [0, 1, 5], [0, 1, 2 + 0.9e-6], [0.9e-6, 1, 5], [0, 1.1e-6, 5]])
    assert copies(by_coordinates(), points, 1e-6) == 2
    assert copies(by_coordinates(), points[:0], 1e-6) == 0


def test_the_nearest_node_has_the_loss_and_all_the_invariants(monkeypatch):
    part = module("landscape_graph")
    monkeypatch.setattr(part, "invariants", lambda model, points: points[:, 1:])
    nodes = np.array([[0.0, 0, 0], [0, 5, 0], [3, 0, 0]])
    for end, node in (([2.9, 0.05, 0], 2), ([0, 4.9, 0], 1), ([0.1, 0, 0.1], 0)):
        assert part._nearest(None, by_coordinates(), nodes, np.array(end)) == node


def test_searches_begin_at_a_distance_along_the_lowest_modes():
    loss = SimpleNamespace(
        hessian=lambda points: np.tile(np.diag([3.0, 1, 2]), (len(points), 1, 1))
    )
    minima = np.array([[0.0, 0, 0], [5, 6, 7]])
    plugin = analysis("landscape_graph", starts=4, modes=2, distance=0.25)
    begun = plugin._begun(loss, minima, Streams(0, "all", np.arange(2), "saddles"))
    shifts = begun.reshape(2, 4, 3) - minima[:, None]
    np.testing.assert_allclose(np.linalg.norm(shifts, axis=2), 0.25)
    np.testing.assert_allclose(shifts[..., 0], 0, atol=1e-15)
    assert np.abs(shifts[..., 1:]).min() > 0


def test_proved_numbers_are_those_of_the_worst_ends(monkeypatch):
    """Heights 0, 1 and 2 and levels 3 and 5, with their bounds: rises of 1.8 to 2.2."""
    part = module("landscape_graph")
    roles = {"minimum": [True, False, True], "saddle": [True, False]}
    monkeypatch.setattr(part, "_roles", lambda proofs, name: np.array(roles[name]))
    proofs = {
        "minimum": {
            "radius": [1, np.nan, 1], "loss_low": [-0.1, 0.9, 1.8], "loss_high": [0.1, 1.1, 2.3],
        },
        "saddle": {"radius": [1, 1], "loss_low": [2.9, 4.8], "loss_high": [3.1, 5.4]},
    }  # fmt: skip
    proofs = {
        name: {key: np.array(values, dtype=float) for key, values in found.items()}
        for name, found in proofs.items()
    }
    graph = {
        "edge": np.array([[0, 1], [1, 2]]), "saddle_loss": np.array([3.0, 5]),
        "minimum_loss": np.array([0.0, 1, 2]),
    }  # fmt: skip
    found = part._proved(graph, proofs, np.ones((2, 2)))
    assert found.pop("barrier") == pytest.approx((2, 1.8, 2.2))
    assert found == {
        "proved_minima": 2, "proved_saddles": 1, "proved_edges": 2, "unproved_edges": 0,
        "unproved": 2, "height_width": pytest.approx(0.6),
    }  # fmt: skip
    half = part._proved(graph, proofs, np.array([[1.0, 1], [1, 0]]))
    assert (half["proved_edges"], half["unproved_edges"]) == (1, 1)
    proofs["minimum"]["radius"][:] = np.nan
    assert part._proved(graph, proofs, np.ones((2, 2))) == {}


def test_which_saddle_a_family_leaves_by_and_whether_directly(monkeypatch):
    """The second is the lowest; the first has an edge to it, the third one to the first, and the
    fourth none."""
    part = module("landscape_graph")
    monkeypatch.setattr(part, "graphml", lambda *_: "")
    graph = {
        "minimum_loss": np.array([1.0, 0, 2, 9]), "saddle_loss": np.array([3.0, 4, 10]),
        "edge": np.array([[1, 0], [0, 2], [3, 3]]),
        "minimum_weights": np.zeros((4, 2)), "saddle_weights": np.zeros((3, 2)),
    }  # fmt: skip
    proofs = {
        name: {f"loss_{end}": np.zeros(count) for end in ("low", "high")}
        for name, count in (("minimum", 4), ("saddle", 3))
    }
    found = part._dataset(graph, proofs, np.ones((3, 2)))
    np.testing.assert_array_equal(found["pass_saddle"], [0, np.nan, 1, np.nan])
    np.testing.assert_array_equal(found["drains_directly"], [1, np.nan, 0, np.nan])
