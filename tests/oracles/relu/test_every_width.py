"""The proof for all widths at once, against certificates and Hessians at single ones."""

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import flint
import numpy as np
import pytest
import scipy.linalg
from flint import arb, arb_mat
from handmade import Between, Handmade, analysis, assert_columns
from studies import complete, module, verdicts

from nnflow.base import store
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import check_file, sealed
from nnflow.study.loading import load_study, study_file

DUALS, TYPE_TWO, BLOCKS, BOXES = (
    module(name) for name in ("_duals", "_type_two", "_type_two_blocks", "_type_two_boxes")
)


@pytest.fixture(autouse=True)
def precision():
    with flint.ctx.workprec(64):
        yield


def curve(k):
    """The family at one width, in floats: unknowns, and the weights (a, b, c, d, e)."""
    s, y = k**-0.5, np.array(TYPE_TWO.AT_ZERO)
    for at in np.linspace(0, s, 20):
        y = BOXES.newton(y, float(at))
    al, be, ga, de, ep = y[:5]
    return y, np.array([1 + al / k**2, be / k**2, (2 + ga / k) / k, de / k, -1 + ep / k])


def family(k):
    """The model of the family, and its weights at the point that `curve` gives."""
    import torch

    model = registry().get("models", "relu_symmetric_family")(k=k)
    start = np.array([float(x) for x in model._start()])
    shift = (curve(k)[1] - start) * model._orbits.roots
    return model, {"shift": torch.as_tensor(shift)[None]}


@pytest.mark.parametrize("k", [6, 10, 37, 1000])
def test_the_scaled_equations_are_those_of_the_loss(k):
    model, weights = family(k)
    assert model.gradient(weights, {})["shift"].abs().max() < 1e-12
    y, _ = curve(k)
    point = TYPE_TWO.Point(list(map(arb, y.tolist())), arb(k**-0.5))
    loss = float(model.loss(weights, {})[0])
    assert float(TYPE_TWO.scaled_loss(point)) == pytest.approx(k * loss, rel=1e-10)


def test_the_limit_is_that_of_arjevani_and_field():
    y = BOXES.newton(np.array(TYPE_TWO.AT_ZERO), 0.0)
    np.testing.assert_allclose(y[[0, 1, 3]], [8 / np.pi, -4 / np.pi, 4 / np.pi], rtol=1e-13)
    point = TYPE_TWO.Point(list(map(arb, y.tolist())), arb(0))
    assert float(TYPE_TWO.scaled_loss(point)) == pytest.approx(1 / 2 - 2 / np.pi**2, rel=1e-13)
    single = [float(BLOCKS.blocks(point)[name].hessian[0, 0]) for name in BLOCKS.NAMES[2:]]
    assert single == pytest.approx([1 / 4 + 1 / (2 * np.pi), 1 / 4 - 1 / (2 * np.pi)], rel=1e-13)
    assert float(BLOCKS.split(point)) == pytest.approx(-2 / np.pi**2, rel=1e-13)


@pytest.mark.parametrize("k", [6, 8, 20, 100])
def test_blocks_have_the_eigenvalues_of_the_whole_hessian(k):
    model, weights = family(k)
    whole = {name.split()[0]: matrix[0].numpy() for name, _, matrix in model.blocks(weights)}
    y, _ = curve(k)
    point = TYPE_TWO.Point(list(map(arb, y.tolist())), arb(k**-0.5))
    for name, (hessian, length) in BLOCKS.blocks(point).items():
        found = scipy.linalg.eigvalsh(BOXES._floats(hessian), BOXES._floats(length))
        np.testing.assert_allclose(found, np.linalg.eigvalsh(whole[name]), rtol=1e-8, err_msg=name)
    own = model.own_blocks(weights)[1][1][0].numpy()
    lowest = np.linalg.eigvalsh(own)
    split = 0.5 + float(BLOCKS.split(point)) / np.sqrt(k)
    assert np.abs(lowest - split).min() < 1e-10


@pytest.mark.parametrize("square", [0.0, 1e-9, 0.2, 0.499, 0.501, 0.8])
def test_functions_that_are_analytic_at_zero(square):
    """Both formulas, and their derivatives against differences."""
    exact = {
        DUALS.asin_ratio: lambda q: (q.sqrt().asin() / q.sqrt()) if q > 0 else arb(1),
        DUALS.atan_rest: lambda q: (
            (q.sqrt() - q.sqrt().atan()) / (q * q.sqrt()) if q > 0 else arb(1) / 3
        ),
    }
    for function, closed in exact.items():
        dual = function(DUALS.Dual(arb(square), arb_mat([[1]])))
        with flint.ctx.workprec(200):
            assert float(abs(dual.value - closed(arb(square))).lower()) < 1e-15
            step = arb(2) ** -30
            ahead, here = (function(arb(square) + h) for h in (step, arb(0)))
            assert float((ahead - here) / step) == pytest.approx(float(dual.slope[0, 0]), rel=1e-6)


def test_a_dual_number_differentiates():
    x, y = (DUALS.Dual(arb(v), arb_mat([row])) for v, row in ((2, [1, 0]), (3, [0, 1])))
    found = (x * y - 1 / x + (y / x).sqrt() * 2 - (5 - y)) / 7
    expected = [
        (3 + 1 / 4 - 2 * 0.5 * (3 / 2) ** -0.5 * 3 / 4) / 7,
        (2 + 2 * 0.5 * (3 / 2) ** -0.5 / 2 + 1) / 7,
    ]
    assert [float(v) for v in found.slope.entries()] == pytest.approx(expected)


def boxes_between(low, high):
    return list(BOXES.cover(low, high, 0.5, 1e-6))


def test_single_widths_lie_in_the_boxes():
    """Unknowns, eigenvalue and loss of single widths, some at the ends of boxes."""
    found = boxes_between(0.09, 0.11)
    chosen = np.random.default_rng(0).choice(np.arange(83, 123), 12, replace=False)
    for k in (*chosen.tolist(), 100):
        s = k**-0.5
        box, said = next((b, one) for b, one in found if b.low <= s <= b.high)
        y, _ = curve(k)
        inside = box.across(s, said.distance + 1e-9)
        assert all(ball.contains(arb(v)) for ball, v in zip(inside, y.tolist(), strict=True))
        model, weights = family(k)
        lowest = min(np.linalg.eigvalsh(m[0].numpy())[0] for _, _, m in model.blocks(weights))
        assert said.eigenvalue_low <= lowest <= said.eigenvalue_high
        assert said.loss_low <= k * float(model.loss(weights, {})[0]) <= said.loss_high
    ends = [b.high for b, _ in found[:-1]]
    assert ends == [b.low for b, _ in found[1:]]
    assert all(BOXES.connected(a, b) for (a, _), (b, _) in pairwise(found))


def test_a_wrong_curve_or_a_bound_too_strong_is_refused():
    (box, said), *_ = boxes_between(0.2, 0.2005)
    assert BOXES.holds(box, said) == ""
    moved = replace(box, center=(box.center[0] + 0.3, *box.center[1:]))
    assert "distance" in BOXES.holds(moved, said)
    for name, value in (
        ("distance", said.distance / 3), ("eigenvalue_high", said.eigenvalue_low),
        ("loss_low", said.loss_high), ("split_high", said.split_high - 0.05),
    ):  # fmt: skip
        assert BOXES.holds(box, replace(said, **{name: value})), name
    stronger = replace(said, by_block=tuple(1.5 * b + 0.1 for b in said.by_block))
    assert "block" in BOXES.holds(box, stronger)
    assert "blocks" in BOXES.holds(box, replace(said, eigenvalue_low=2 * said.eigenvalue_high))


def test_below_six_the_family_is_no_minimum_and_where_it_becomes_one():
    assert BOXES.at_width(6).eigenvalue_low > 0
    for k in (4, 5):
        assert BOXES.at_width(k).eigenvalue_high < 0
    found, boxes = BOXES.crossing(6**-0.5, 5**-0.5, 1e-6)
    assert 5.5854 < found.high**-2 < found.low**-2 < 5.5856
    assert not BOXES.crosses(boxes[:3])


def lowest_and_loss(k):
    """The lowest Hessian eigenvalue and k times the loss of a network of this width, in floats."""
    model, weights = family(k)
    lowest = min(np.linalg.eigvalsh(m[0].numpy())[0] for _, _, m in model.blocks(weights))
    return lowest, k * float(model.loss(weights, {})[0])


def test_columns_of_every_width(monkeypatch):
    """From k = 2000 on, s ≤ 0.0224, all is monotone, and the ends are those of k = 2000 and ∞."""
    ends = [lowest_and_loss(k) for k in (2000, 10**6)]
    split = [BOXES.at_width(k).split_high for k in (2000, 10**6)]
    lowest, loss = (min(parts) for parts in zip(*ends, strict=True))
    expected = {
        "boxes": [4],
        "undecided": [0],
        "gaps": [0],
        "lowest_eigenvalue": [Between(lowest / 2, lowest)],
        "loss_times_k": [Between(0.8 * loss, loss)],
        "splitting": [Between(max(split), max(split) + 0.1)],
        "first_minimum": [
            (Between(5.5854, 5.5856), Between(5.585, 5.5855), Between(5.5855, 5.586))
        ],
    }
    settings = {"from_k": 2000, "crossing_width": 1e-5}
    monkeypatch.setattr(module("every_width"), "WIDTHS", (6, 2000))
    found = assert_columns(analysis("every_width", **settings), Handmade(), expected)
    assert found["low"].values[0] == 0 and found["high"].values[-1] == pytest.approx(2000**-0.5)
    # the lower bound is proved at 99 % of the upper one
    assert 0.99 * ends[0][0] < found["eigenvalue_at"].values[1] < ends[0][0]
    assert found["loss_at"].values[1] == pytest.approx(ends[0][1], rel=1e-6)


def test_boxes_that_prove_nothing_or_do_not_meet_are_counted(monkeypatch):
    monkeypatch.setattr(module("every_width"), "WIDTHS", (6,))
    boxes = module("_type_two_boxes")  # as the analysis imports it now
    monkeypatch.setattr(boxes, "connected", lambda a, b: False)
    monkeypatch.setattr(boxes, "crossing", lambda low, high, width: (None, []))
    parts = [(box, replace(said, split_high=0.1)) for box, said in boxes_between(0.0, 0.01)]
    good, bad = boxes_between(0.0, 0.01), parts
    for made, undecided in ((good, 0), (bad, len(bad))):
        monkeypatch.setattr(boxes, "cover", lambda *_, made=made: iter(made))
        found = analysis("every_width", from_k=10**4).compute(Handmade())
        assert found["boxes"].item() == len(made) - undecided
        assert found["undecided"].item() == undecided
        assert found["gaps"].item() == len(made) - 1
        assert "first_minimum" not in found or np.isnan(found["first_minimum"].item())
    bounds = [found[name].item() for name in ("lowest_eigenvalue", "loss_times_k", "splitting")]
    assert bounds == [-np.inf, -np.inf, np.inf]


@pytest.mark.slow
def test_the_study_proves_and_its_file_is_checked(tmp_path, monkeypatch):
    study = load_study(study_file("every_width"), "quick")
    job = complete(study, tmp_path)
    assert set(verdicts(job).values()) == {"proved"}
    path = job.folder / "analyses" / "every_width.nc"
    results = list(check_file(path))
    assert [one.proved for one in results] == [True] * 3
    (dataset,) = store.read(path).values()
    assert dataset["low"][0] == 0 and Fraction(float(dataset["high"][-1])) ** 2 * 6 >= 1

    def altered(change, seal=True):
        changed = change(dataset.copy(deep=True))
        store.write(path, {"": sealed(changed) if seal else changed}, {})
        return [one for one in check_file(path) if one.proved is False]

    def stronger(found):
        found["loss_low"][5] = 0.9
        return found

    assert "altered" in altered(stronger, seal=False)[0].text
    assert "box 5" in altered(stronger)[0].name
    assert altered(lambda found: found.isel(certificate=slice(1, None)))[0].name == "no gap"
    kept = np.delete(np.arange(dataset.sizes["certificate"]), 7)
    assert altered(lambda found: found.isel(certificate=kept))[0].name == "no gap"

    def elsewhere(found):
        found["crossing"][:] = [0.41, 0.4101]
        return found

    assert altered(elsewhere)[0].name == "crossing"
    described = json.loads(dataset.attrs["analysis"])
    assert described["from_k"] == 6
