"""Complete lists of two ReLU neurons, against searches that know nothing of them."""

from itertools import product

import flint
import numpy as np
import pytest
import scipy.optimize
from flint import arb, arb_mat
from handmade import Between, Handmade, analysis, assert_columns
from studies import complete, module, verdicts

from nnflow.base import store
from nnflow.proofs.certificates import check_file, sealed
from nnflow.study.loading import load_study, study_file

SPHERES, PLANE, LISTS = (module(name) for name in ("_sphere_points", "_plane_points", "_lists"))
POPULATION = module("_population")


@pytest.fixture(autouse=True)
def precision():
    with flint.ctx.workprec(64):
        yield


@pytest.fixture(scope="module")
def spheres():
    return assert_columns(analysis("sphere_list"), Handmade(), {
        "in_plane": [6], "minima": [2], "spurious": [0], "in_plane_saddles": [3],
        "in_plane_maxima": [1], "beside": [1], "beside_saddles": [1], "euler": [4],
        "sphere_boxes": [Between(500, 2000)], "sphere_undecided": [0],
    })  # fmt: skip


@pytest.fixture(scope="module")
def plane():
    return assert_columns(analysis("plane_list"), Handmade(), {
        "isolated": [2], "plane_minima": [1], "plane_spurious": [0], "isolated_saddles": [1],
        "lines": [2], "saddle_lines": [2],
        "plane_boxes": [Between(1000, 6000)], "plane_undecided": [0],
    })  # fmt: skip


def on_spheres(w):
    """Gradient along the spheres (2, d), Hessian in orthonormal tangents, of one w (2, d)."""
    teachers = np.eye(*w.shape)
    slope = POPULATION.gradient(w[None], teachers)[0]
    radial = (slope * w).sum(axis=1)
    bases = [np.linalg.svd(one[None])[2][1:] for one in w]
    tangents = scipy.linalg.block_diag(*bases)
    free = POPULATION.hessian(w[None], teachers)[0]
    curved = free - np.kron(np.diag(radial), np.eye(w.shape[1]))
    return slope - radial[:, None] * w, tangents @ curved @ tangents.T


def in_space(one, d):
    """The network (2, d) of a point of the list."""
    w = np.zeros((2, d))
    if len(one) == 2:
        w[:, :2] = np.stack([np.cos(one), np.sin(one)], axis=1)
        return w
    w[:, :2] = -np.cos(one[:2])
    height = np.sqrt(1 - (w[0] ** 2).sum())
    w[:, 2] = height, -height
    return w


def points(dataset):
    rows = (dataset.isel(certificate=i) for i in range(dataset.sizes["certificate"]))
    return [(row, row["center"].values[~np.isnan(row["center"].values)]) for row in rows]


@pytest.mark.parametrize("d", [3, 4, 7])
def test_listed_points_are_critical_with_the_proved_eigenvalues(spheres, d):
    for row, one in points(spheres):
        w = in_space(one, d)
        slope, curved = on_spheres(w)
        assert np.abs(slope).max() < 1e-12
        values = np.linalg.eigvalsh(curved)
        for end, value in (("min", values[0]), ("max", values[-1])):
            low, high = (row[f"{end}_eigenvalue_{side}"].item() for side in ("low", "high"))
            # beyond three dimensions a mirrored pair is curved across both, too, by 2g
            known = d == 3 or end == "min" or len(one) == 2
            assert (low - 1e-7 < value < high + 1e-7) if known else value > low
        loss = POPULATION.loss(w[None], np.eye(2, d))[0]
        assert row["loss_low"].item() - 1e-12 < loss < row["loss_high"].item() + 1e-12
        if len(one) == 3 and d > 3:
            flat = np.abs(values) < 1e-9
            assert flat.sum() == d - 3  # the sphere of its images


def test_no_other_point_is_met_on_the_spheres(spheres):
    """Roots of the gradient in ℝ³ from random starts: each is listed, each listed one is met."""
    listed = [in_space(one, 3) for _, one in points(spheres)]
    listed.append(listed[-1] * [1, 1, -1])

    def equations(flat):
        w = flat.reshape(2, 3)
        unit = w / np.linalg.norm(w, axis=1, keepdims=True)
        return np.concatenate([
            on_spheres(unit)[0] + unit * (np.linalg.norm(w, axis=1, keepdims=True) - 1)
        ]).ravel()  # fmt: skip

    random, met = np.random.default_rng(4), set()
    for _ in range(120):
        start = random.normal(size=(2, 3))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        end, _, done, _ = scipy.optimize.fsolve(equations, start.ravel(), full_output=True)
        if done != 1 or np.abs(equations(end)).max() > 1e-10:
            continue
        w = end.reshape(2, 3)
        w = w / np.linalg.norm(w, axis=1, keepdims=True)
        near = [number for number, one in enumerate(listed) if np.abs(one - w).max() < 1e-6]
        assert len(near) == 1, w
        met.update(near)
    assert met == set(range(len(listed)))


def test_the_equations_beside_the_plane_are_those_of_the_network():
    """The gradient along the spheres of any pair with angles Aⱼ and rAⱼ on either side."""
    random, seen = np.random.default_rng(5), 0
    while seen < 50:
        angles, ratio = random.uniform(0, np.pi, 2), random.uniform(0.3, 1)
        heights = [1 - (np.cos(one * angles) ** 2).sum() for one in (1, ratio)]
        if min(heights) < 1e-3:
            continue
        seen += 1
        y = np.sqrt(heights)
        w = np.array([[*-np.cos(angles), y[0]], [*-np.cos(ratio * angles), -y[1]]])
        mutual = np.pi - np.arccos(w[0] @ w[1])
        shared = ratio * angles
        expected = mutual * (ratio * np.cos(shared) + np.cos(angles)) + shared
        slope = POPULATION.gradient(w[None], np.eye(2, 3))[0] * 2 * np.pi
        # ∇ᵢ of f(w₁·w₂) − Σ f(wᵢ·vⱼ): without what is along the neurons themselves
        radial = (slope * w).sum(axis=1)
        tangential = slope - radial[:, None] * w
        multiplier = np.array([-mutual / ratio, -mutual * ratio])
        raw = [mutual * w[1 - i] for i in range(2)]
        raw[0][:2] -= angles
        raw[1][:2] -= shared
        residual = np.array(raw) - multiplier[:, None] * w
        np.testing.assert_allclose(residual[0][:2], -expected / ratio, atol=1e-12)
        np.testing.assert_allclose(residual[1][:2], -expected, atol=1e-12)
        np.testing.assert_allclose(
            residual[:, 2], [mutual * (y[0] / ratio - y[1]), mutual * (y[0] - ratio * y[1])]
        )
        for i in range(2):
            along = residual[i] - (residual[i] @ w[i]) * w[i]
            np.testing.assert_allclose(along, tangential[i], atol=1e-12)
        # what boxes are held against contains the numbers at their points
        balls = [arb(one) for one in angles.tolist()]
        height, rise = SPHERES._height(balls, arb(ratio))
        assert float(height) == pytest.approx(heights[1], abs=1e-13)
        step = 1e-6
        shifted = [1 - (np.cos((ratio + h) * angles) ** 2).sum() for h in (step, -step)]
        assert float(rise) == pytest.approx((shifted[0] - shifted[1]) / (2 * step), abs=1e-6)
        divided = (ratio**2 * heights[1] - heights[0]) / (ratio - 1)
        assert SPHERES._mean_slope(balls, ratio).contains(arb(divided, 1e-12))


def test_unequal_boxes_are_not_all_excluded_where_an_equation_is_left_out(monkeypatch):
    """r = 1 solves r²Y(r) = Y(1): without the slope the mirrored pair is no contradiction."""
    assert SPHERES.unequal(10_000)[1] == []
    monkeypatch.setattr(SPHERES, "_mean_slope", lambda angles, low: arb(0, 1))
    _, undecided = SPHERES.unequal(2000)
    assert undecided
    (box,) = [box for box in undecided if box[2][1] == 1 and all(
        low <= 2.1833046 <= high for low, high in box[:2])]  # fmt: skip
    monkeypatch.undo()
    assert SPHERES.no_unequal(box)


def network(dataset_row, one):
    """(2, 2) of a point of the list in the plane; of a line its middle."""
    enclosure = PLANE.Apart() if len(one) == 2 else PLANE.Parallel()
    flat = enclosure.weights(arb_mat(len(one), 1, one.tolist()))
    return np.array([float(x) for x in flat.entries()]).reshape(2, 2)


def test_points_in_the_plane_are_critical_with_the_proved_eigenvalues(plane):
    for row, one in points(plane):
        w = network(row, one)
        assert np.abs(POPULATION.gradient(w[None], np.eye(2))).max() < 1e-13
        values = np.linalg.eigvalsh(POPULATION.hessian(w[None], np.eye(2))[0])
        for end, value in (("min", values[0]), ("max", values[-1])):
            low, high = (row[f"{end}_eigenvalue_{side}"].item() for side in ("low", "high"))
            assert low < value < high
        loss = POPULATION.loss(w[None], np.eye(2))[0]
        assert row["loss_low"].item() < loss < row["loss_high"].item()


def test_no_other_point_is_met_in_the_plane(plane):
    """Critical points of the network from random starts are isolated ones of the list, or parallel
    and on a line of it; every isolated one and every line is met."""
    listed = {index: network(*pair) for index, pair in enumerate(points(plane))}
    starts = np.random.default_rng(6).normal(size=(600, 2, 2)) / np.sqrt(2)
    starts[::3] *= -0.3  # against the teachers, where few descents end
    starts[::3, 1] = starts[::3, 0] * 0.7 + 0.02
    found, met = module("_critical_points").find(starts, np.eye(2)), set()
    assert len(found) > 200
    for w in found:
        near = set()
        for index, one in listed.items():
            sums = np.abs(w.sum(axis=0) - one.sum(axis=0)).max() < 1e-7
            isolated = min(np.abs(w - one).max(), np.abs(w[::-1] - one).max()) < 1e-7
            line = sums and abs(w[0, 0] * w[1, 1] - w[0, 1] * w[1, 0]) < 1e-8
            parallel = index >= 3
            if (parallel and line and w[0] @ w[1] > 0) or (not parallel and isolated):
                near.add(index)
        assert near, w
        met |= near
    assert {0, 1, 2, 3} <= met


@pytest.mark.parametrize("kind", ["Apart", "Parallel", "InPlane", "Mirrored"])
def test_jacobians_are_those_of_the_equations(kind):
    """Differences of the equations, and Jacobians on balls that hold those at points."""
    enclosure = getattr(PLANE if hasattr(PLANE, kind) else SPHERES, kind)()
    size = {"Parallel": 1, "Mirrored": 3}.get(kind, 2)
    random = np.random.default_rng(7)
    for _ in range(20):
        center = random.uniform(0.4, 2.9, size)
        exact = enclosure.hessian(arb_mat(size, 1, center.tolist()))
        ball = enclosure.hessian(arb_mat(size, 1, [arb(x, 1e-3) for x in center.tolist()]))
        for i, j in product(range(size), repeat=2):
            step = np.eye(size)[j] * 1e-6
            ends = [
                float(enclosure.gradient(arb_mat(size, 1, (center + sign * step).tolist()))[i, 0])
                for sign in (1, -1)
            ]
            assert float(exact[i, j]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)
            assert ball[i, j].contains(exact[i, j])


def test_a_norm_that_may_vanish_is_no_network():
    negative = PLANE._weights([arb(0), arb(1)], [arb(1), arb(-1)])
    assert negative[0, 0].is_finite() and not negative[2, 0].is_finite()


def test_nearly_parallel_neurons_are_excluded_by_the_equations():
    """E/δ at random angles lies in the balls; without the curvature's part nothing is proved."""
    random = np.random.default_rng(8)
    for _ in range(30):
        first, apart = random.uniform(-1, 5.28), random.uniform(0.01, PLANE.NEAR)
        a, t = arb(first), arb(apart)
        value = PLANE.over_teachers(PLANE.slope, a + t) / 2
        value -= PLANE.kappa(t) * PLANE.over_teachers(PLANE.slope, a)
        value -= PLANE.slope(t) * PLANE.over_teachers(PLANE.kappa, a)
        assert value / t > 0.05  # (K + K″)/2 = Σ|sin|/2π ≥ 1/2π where δ is small
    assert PLANE.nearly_parallel(1000)[1] == []
    assert PLANE.nearly_parallel(3)[1]


@pytest.mark.parametrize("name", ["sphere_list", "plane_list"])
def test_the_file_is_proved_again_and_a_lie_is_refused(name, request, tmp_path, monkeypatch):
    found = request.getfixturevalue("spheres" if name == "sphere_list" else "plane")
    path = tmp_path / f"{name}.nc"
    store.write(path, {"": found}, {})
    outcomes = list(check_file(path))
    assert all(one.proved for one in outcomes)
    assert len(outcomes) == found.sizes["certificate"] + 4
    monkeypatch.setattr(analysis(name).__class__, "_search", _once(analysis(name)))

    def refused(change, seal=True):
        lie = found.copy(deep=True)
        lie = lie.drop_vars("checksum") if seal else lie
        lie = change(lie) or lie
        store.write(path, {"": sealed(lie) if seal else lie}, {})
        return [one for one in check_file(path) if one.proved is False]

    def better(variable, by):
        def change(lie):
            lie[variable].values[0] += by

        return change

    assert "altered" in refused(better("loss_high", -1e-6), seal=False)[0].text
    for variable, by in (
        ("loss_high", -1e-6), ("loss_low", 1e-6), ("min_eigenvalue_low", 1e-4),
        ("min_eigenvalue_high", -1e-4), ("max_eigenvalue_low", 1e-4), ("center", 1e-8),
        ("radius", 10.0), ("radius", np.nan), ("radius", -1.0), ("distance", -1e-15),
        ("center", np.inf),
    ):  # fmt: skip
        assert refused(better(variable, by)), variable
    parts = found["part"].values
    (_, other) = dict.fromkeys(parts.tolist())
    assert refused(lambda lie: lie.isel(certificate=slice(1, None)))[0].name == parts[0]
    doubled = [0, *range(found.sizes["certificate"])]
    assert refused(lambda lie: lie.isel(certificate=doubled))[0].name == parts[0]
    for variable, value in (("kind", "minimum"), ("part", other), ("part", "elsewhere")):

        def change(lie, variable=variable, value=value):
            values = lie[variable].values.astype(object)
            values[1] = value
            lie[variable] = ("certificate", values.astype(str))

        assert refused(change), variable


def _once(one):
    """The search of an analysis, done once: what is proved again of a file is not that."""
    found = one._search()
    return lambda self: found


def test_boxes_that_are_left_are_told():
    """With few boxes nothing is complete, and the file says so."""
    for name in ("sphere_list", "plane_list"):
        found = analysis(name, most_boxes=20).compute(Handmade())
        assert found[name.replace("list", "undecided")].item() > 0
        told = {name: proved for name, proved, _ in analysis(name, most_boxes=20).check(found)}
        assert told["boxes"] is False


def test_the_study_proves_all_it_claims(tmp_path):
    job = complete(load_study(study_file("two_relu_lists"), "quick"), tmp_path)
    assert set(verdicts(job).values()) == {"proved"}
