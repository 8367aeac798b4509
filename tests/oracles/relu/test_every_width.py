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
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import check_file, sealed
from nnflow.proofs.proof import prove
from nnflow.report.interactive import interactives
from nnflow.study.loading import load_study, study_file

DUALS, FAMILIES, POINT, BLOCKS, BOXES, SCALED = (
    module(name)
    for name in (
        "_duals", "_families", "_family_point", "_family_blocks", "_family_boxes", "_scaled"
    )
)  # fmt: skip
NAMES = tuple(FAMILIES.FAMILIES)


@pytest.fixture(autouse=True)
def precision():
    with flint.ctx.workprec(64):
        yield


def point(name, k, guess=None):
    """A family at one width, or at infinity, in floats; guess: of a width nearby."""
    s = k**-0.5
    y = (
        BOXES.followed(name, s)
        if guess is None
        else BOXES.newton(FAMILIES.FAMILIES[name], guess, s)
    )
    return y, POINT.Point(FAMILIES.FAMILIES[name], list(map(arb, y.tolist())), arb(s))


def family(name, k, guess=None):
    """The model of the family, and its weights at the point that `point` gives."""
    import torch

    turned = FAMILIES.FAMILIES[name].turned(k)
    model = registry().get("models", "relu_symmetric_family")(k=k, turned=turned)
    weights = point(name, k, guess)[1].weights
    values = []
    for letter in model.letters:
        if len(weights.sizes) == 1:
            value = weights.own[0] if letter == "e" else weights.off[0]
        elif letter in "cd":
            value = weights.cross[(0, 1) if letter == "c" else (1, 0)]
        else:
            a = int(letter in "ef")
            value = weights.own[a] if letter in "ae" else weights.off[a]
        values.append(float(value.number()))
    start = np.array([float(x) for x in model._start()])
    shift = (np.array(values) - start) * model._orbits.roots
    return model, {"shift": torch.as_tensor(shift)[None]}


def scaled(name, k, model, weights):
    """kF, or F of families whose loss does not fall with k."""
    return k ** FAMILIES.FAMILIES[name].power * float(model.loss(weights, {})[0])


def lowest(model, weights):
    return min(np.linalg.eigvalsh(m[0].numpy())[0] for _, _, m in model.blocks(weights))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [0, 37, 1000])
def test_the_scaled_equations_are_those_of_the_loss(name, k):
    k = k or FAMILIES.FAMILIES[name].from_k
    model, weights = family(name, k)
    assert model.gradient(weights, {})["shift"].abs().max() < 1e-11
    _, here = point(name, k)
    found = float(POINT.scaled_loss(here))
    assert found == pytest.approx(scaled(name, k, model, weights), rel=1e-10)


def test_the_limits_are_those_of_arjevani_and_field():
    """Of the spectrum, of the loss with t turned neurons apart from one another, and of type A."""
    losses = {"one_turned": 1 / 2 - 2 / np.pi**2, "type_a": 1 / 2 - 1 / np.pi}
    losses["type_one"] = losses["type_a"]
    splits = {name: -2 / np.pi**2 for name in NAMES} | dict.fromkeys(
        ("type_one", "type_a"), -1 / np.pi
    )
    for name in NAMES:
        y, here = point(name, np.inf)
        if name in losses:
            assert float(POINT.scaled_loss(here)) == pytest.approx(losses[name], rel=1e-13)
        assert float(POINT.split(here)) == pytest.approx(splits[name], rel=1e-12)
        found = {
            part: float(form.bounded[0, 0]) / (4 * np.pi)
            for part, form in BLOCKS.blocks(here).items()
            if "symmetric" in part
        }
        for part, value in found.items():
            sign = -1 if "anti" in part else 1
            assert value == pytest.approx(1 / 4 + sign / (2 * np.pi), rel=1e-12), (name, part)
    y, _ = point("one_turned", np.inf)
    np.testing.assert_allclose(y[[0, 1, 3]], [8 / np.pi, -4 / np.pi, 4 / np.pi], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [0, 12, 100])
def test_blocks_have_the_eigenvalues_of_the_whole_hessian(name, k):
    k = k or FAMILIES.FAMILIES[name].from_k
    model, weights = family(name, k)
    whole = {part: matrix[0].numpy() for part, _, matrix in model.blocks(weights)}
    _, here = point(name, k)
    forms = BLOCKS.blocks(here)
    assert set(forms) == set(whole)
    for part, form in forms.items():
        found = np.linalg.eigvalsh(BOXES._floats(BOXES._whole(form, arb(k))))
        np.testing.assert_allclose(found, np.linalg.eigvalsh(whole[part]), rtol=1e-8, err_msg=part)
        # the same in other coordinates, with k itself in place of a smaller number
        other = BOXES.reduced(form, k)
        again = scipy.linalg.eigvalsh(BOXES._floats(other.hessian), BOXES._floats(other.length))
        np.testing.assert_allclose(again, found, rtol=1e-8, err_msg=part)
    turned = model.own_blocks(weights)[-1][1][0].numpy()
    split = 0.5 + float(POINT.split(here)) / np.sqrt(k)
    assert np.abs(np.linalg.eigvalsh(turned) - split).min() < 1e-10


def test_powers_of_s_are_exact():
    """At s = 0: s⁻²·3 + s²·4 over s⁻² is 3, (s⁴·9)^½ over s² is 3, and s over s² is not there."""
    s = SCALED.Powers(arb(0))
    x, y = SCALED.Scaled(s, arb(3), -2), SCALED.Scaled(s, arb(4), 2)
    assert float((x + y).over(-2)) == float((y + x).over(-2)) == 3
    assert float((x * y).number()) == 12 and float((x / y).over(-4)) == 0.75
    assert float(SCALED.Scaled(s, arb(9), 4).sqrt().over(2)) == 3
    assert float((1 - y).number()) == 1 and (x * 0) == 0 and (x + 0) is x
    with pytest.raises(ValueError, match="not divided by 2"):
        SCALED.Scaled(s, arb(1), 1).over(2)


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


def boxes_between(name, low, high):
    return list(BOXES.cover(name, low, high, 0.5, 1e-6))


@pytest.mark.parametrize("name", NAMES)
def test_at_the_ends_of_boxes_both_say_what_a_single_width_does(name):
    found = boxes_between(name, 0.01, 0.03)
    for (left, first), (right, second) in pairwise(found):
        assert left.high == right.low and BOXES.connected(left, right)
        here = BOXES.state(BOXES.make_box(name, left.high, left.high, np.array(left.center)))
        for said in (first, second):
            assert said.eigenvalue_low <= here.eigenvalue_high
            assert here.eigenvalue_low <= said.eigenvalue_high
            assert said.loss_low <= here.loss_high and here.loss_low <= said.loss_high


@pytest.mark.parametrize("name", NAMES)
def test_tubes_follow_the_family(name):
    """The slope of a box is that of the family, by central differences."""
    family, guess = FAMILIES.FAMILIES[name], BOXES.followed(name, 0.02)
    box = BOXES.make_box(name, 0.019, 0.021, guess)
    ends = [BOXES.newton(family, guess, 0.02 + step) for step in (1e-5, -1e-5)]
    np.testing.assert_allclose(box.slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-6)


def box_around(name, s, width, offset, guess):
    """A box of random place that holds s, as wide as is proved from `width` downwards."""
    end = FAMILIES.FAMILIES[name].from_k ** -0.5
    while True:
        low = max(0.0, s - offset * width)
        box = BOXES.make_box(name, low, min(end, low + width), guess)
        said = BOXES.state(box)
        if BOXES.proved(said):
            return box, said
        width /= 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [3, pytest.param(80, marks=pytest.mark.slow)])
def test_certificates_of_random_widths_lie_in_boxes_around_them(name, count):
    """Integers k from the family's first to 120,000, the same share of them in each decade: what is
    proved on an interval around 1/√k contains the certificate of this width alone, which comes from
    the other code's formulas, in other coordinates."""
    random = np.random.default_rng(len(name))
    least = np.log(FAMILIES.FAMILIES[name].from_k)
    drawn = np.exp(random.uniform(least, np.log(1.2e5), count)).astype(int)
    width, guess = 0.02, np.array(FAMILIES.FAMILIES[name].at_zero)
    for k in sorted(drawn.tolist(), reverse=True):
        box, said = box_around(name, k**-0.5, width, random.uniform(0.1, 0.9), guess)
        width = 2 * (box.high - box.low)
        y, _ = point(name, k, guess)
        guess = y
        inside = box.across(k**-0.5, said.distance + 1e-9)
        assert all(ball.contains(arb(v)) for ball, v in zip(inside, y.tolist(), strict=True)), k
        model, weights = family(name, k, y)
        proof = prove(model.enclosure(), weights["shift"][0].numpy())
        assert not proof.obstacle, k
        assert proof.min_eigenvalue_high - proof.min_eigenvalue_low < 1e-3
        assert said.eigenvalue_low <= proof.min_eigenvalue_high, k
        assert proof.min_eigenvalue_low <= said.eigenvalue_high, k
        size = k ** FAMILIES.FAMILIES[name].power
        assert said.loss_low <= size * proof.loss_high and size * proof.loss_low <= said.loss_high


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_curve_or_a_bound_too_strong_is_refused(name):
    (box, said), *_ = boxes_between(name, 0.2, 0.2001)
    assert BOXES.holds(box, said) == ""
    moved = replace(box, center=(box.center[0] + 0.3, *box.center[1:]))
    assert "distance" in BOXES.holds(moved, said)
    for field, value in (
        ("distance", said.distance / 3), ("eigenvalue_high", said.eigenvalue_low),
        ("loss_low", said.loss_high), ("split_high", said.split_high - 0.05),
    ):  # fmt: skip
        assert BOXES.holds(box, replace(said, **{field: value})), field
    stronger = replace(said, by_block=tuple(1.5 * b + 0.1 for b in said.by_block))
    assert "block" in BOXES.holds(box, stronger)
    assert "blocks" in BOXES.holds(box, replace(said, eigenvalue_low=2 * said.eigenvalue_high))


def test_blocks_without_coordinates_are_refused(monkeypatch):
    def singular(form, width):
        raise ZeroDivisionError("matrix is singular")

    (box, said), *_ = boxes_between("type_a", 0.2, 0.2001)
    monkeypatch.setattr(BOXES, "reduced", singular)
    assert "not proved independent" in BOXES.holds(box, said)


def test_a_file_with_numbers_that_are_none_is_refused_in_one_line(tmp_path, monkeypatch):
    """Sealed again, with a number replaced by one that arithmetic stumbles over."""
    monkeypatch.setattr(module("every_width"), "WIDTHS", (10**6,))
    found = analysis("every_width", families={"one_turned": 10**6}).compute(Handmade())
    path = tmp_path / "every_width.nc"
    for name, value in (
        ("high", np.inf), ("high", np.nan), ("center", np.nan), ("slope", 1e300),
        ("crossing", 0.0), ("crossing", 1e300), ("crossing", np.inf),
    ):  # fmt: skip
        lie = found.drop_vars("checksum").copy(deep=True)
        lie[name].values[:] = value
        store.write(path, {"": sealed(lie)}, {})
        try:
            refused = [one.text for one in check_file(path) if one.proved is False]
        except UserError as error:
            refused = [str(error)]
        assert refused, (name, value)
        assert all("\n" not in text for text in refused)


@pytest.mark.parametrize("name", NAMES)
def test_below_its_first_width_a_family_is_no_minimum(name):
    k = FAMILIES.FAMILIES[name].from_k
    found = [
        BOXES.state(BOXES.make_box(name, s, s, BOXES.followed(name, s)))
        for s in (k**-0.5, (k - 1) ** -0.5)
    ]
    assert found[0].eigenvalue_low > 0 > found[1].eigenvalue_high


def test_where_the_family_becomes_a_minimum():
    found, boxes = BOXES.crossing("one_turned", 6**-0.5, 5**-0.5, 1e-6)
    assert 5.5854 < found.high**-2 < found.low**-2 < 5.5856
    assert not BOXES.crosses(boxes[:3])


def test_columns_of_every_width(monkeypatch):
    """From k = 2000 on, s ≤ 0.0224, all is monotone, and the ends are those of k = 2000 and ∞."""
    monkeypatch.setattr(module("every_width"), "WIDTHS", (7, 2000))
    names, expected, ends = ("one_turned", "type_a"), {}, {}
    for name in names:
        suffix = "" if name == "one_turned" else f"_{name}"
        points = [family(name, k) for k in (2000, 10**6)]
        eigenvalues = [lowest(*one) for one in points]
        losses = [scaled(name, k, *one) for k, one in zip((2000, 10**6), points, strict=True)]
        splits = [float(POINT.split(point(name, k)[1])) for k in (2000, 10**6)]
        ends[name] = eigenvalues[0], losses[0]
        expected |= {
            f"boxes{suffix}": [Between(1, 12)],
            f"undecided{suffix}": [0],
            f"gaps{suffix}": [0],
            f"lowest_eigenvalue{suffix}": [Between(min(eigenvalues) / 2, min(eigenvalues))],
            f"scaled_loss{suffix}": [Between(0.8 * min(losses), min(losses))],
            f"splitting{suffix}": [Between(max(splits), max(splits) + 0.1)],
            f"first_minimum{suffix}": [np.nan],  # the boxes end above it
        }
    settings = {"families": dict.fromkeys(names, 2000)}
    others = {n for n in analysis("every_width").columns if n.endswith(("_turned", "_one"))}
    found = assert_columns(
        analysis("every_width", **settings),
        Handmade(),
        expected | {one: [np.nan] for one in others},
    )
    for name in names:
        some = found.isel(certificate=found["of_family"].values == name)
        assert some["low"].values[0] == 0
        assert some["high"].values[-1] == pytest.approx(2000**-0.5)
        at = found.sel(family=name)
        # the lower bound is proved at 99 % of the upper one
        assert 0.99 * ends[name][0] < at["eigenvalue_at"].values[1] < ends[name][0]
        assert at["loss_at"].values[1] == pytest.approx(ends[name][1], rel=1e-6)


def test_the_crossing_is_that_of_the_family_of_the_boxes(monkeypatch, tmp_path):
    """Type A from its first width on: the curve of its boxes is carried on to the crossing."""
    monkeypatch.setattr(module("every_width"), "WIDTHS", (6,))
    made = analysis("every_width", families={"type_a": 6}, tightness=0, crossing_width=1e-6)
    found = made.compute(Handmade())
    low, value, high = (found[f"first_minimum_type_a{end}"].item() for end in ("_low", "", "_high"))
    assert 5.7637 < low < value < high < 5.7639
    path = tmp_path / "every_width.nc"
    store.write(path, {"": found}, {})
    assert [one.proved for one in check_file(path)] == [True] * 3
    last = boxes_between("type_a", 0.1, 0.1001)[-1][0]
    parts = BOXES.parts_of("type_a", *found["crossing"][0].values.tolist())
    assert BOXES.linked(last, parts[0])
    elsewhere = replace(parts[0], center=tuple(x + 0.1 for x in parts[0].center))
    assert not BOXES.linked(last, elsewhere)
    assert BOXES.within(parts[0], parts[0].low) and not BOXES.within(elsewhere, parts[0].low)
    monkeypatch.setattr(POINT.Point, "valid", lambda self: False)
    assert not BOXES.crosses(parts)


def test_a_tube_is_no_wider_than_it_says():
    """Half-widths that differ by less than balls round by are told apart."""
    (box, said), *_ = boxes_between("type_a", 0.2, 0.2001)
    small, distance = BOXES.within(box, box.low)
    step = box.low - box.middle
    away = max(
        abs(x - (c + d * step)) for x, c, d in zip(small.center, box.center, box.slope, strict=True)
    )
    for radius, lies in ((away + 2 * distance, True), (away + distance / 2, False)):
        assert BOXES.lies_in(small, distance, replace(box, radius=radius)) is lies
    found = BOXES.existence(box)
    assert said.distance > found
    assert box.width() < box.high**-2 or box.width() == BOXES.MOST


def test_families_that_are_not_there_are_refused():
    for families, text in (({"five_turned": 12}, "no family"), ({"two_turned": 7}, "below k = 8")):
        with pytest.raises(ValueError, match=text):
            analysis("every_width", families=families)


def test_boxes_that_prove_nothing_or_do_not_meet_are_counted(monkeypatch):
    monkeypatch.setattr(module("every_width"), "WIDTHS", (6,))
    boxes = module("_family_boxes")  # as the analysis imports it now
    monkeypatch.setattr(boxes, "connected", lambda a, b: False)
    monkeypatch.setattr(boxes, "crossing", lambda *_: (None, []))
    good = boxes_between("one_turned", 0.0, 0.01)
    bad = [(box, replace(said, split_high=0.1)) for box, said in good]
    for made, undecided in ((good, 0), (bad, len(bad))):
        monkeypatch.setattr(boxes, "cover", lambda *_, made=made: iter(made))
        found = analysis("every_width", families={"one_turned": 10**4}).compute(Handmade())
        assert found["boxes"].item() == len(made) - undecided
        assert found["undecided"].item() == undecided
        assert found["gaps"].item() == len(made) - 1
        assert "first_minimum" not in found or np.isnan(found["first_minimum"].item())
    bounds = [found[name].item() for name in ("lowest_eigenvalue", "scaled_loss", "splitting")]
    assert bounds == [-np.inf, -np.inf, np.inf]


@pytest.mark.slow
def test_the_study_proves_and_its_file_is_checked(tmp_path, monkeypatch):
    study = load_study(study_file("every_width"), "quick")
    job = complete(study, tmp_path)
    assert set(verdicts(job).values()) == {"proved"}
    path = job.folder / "analyses" / "every_width.nc"
    results = list(check_file(path))
    # the crossing is that of the one family that starts at its first width
    assert [one.proved for one in results] == [True] * (2 * len(NAMES) + 1)
    (dataset,) = store.read(path).values()
    first = dataset.isel(certificate=dataset["of_family"].values == "one_turned")
    assert first["low"][0] == 0 and Fraction(float(first["high"][-1])) ** 2 * 6 >= 1

    # what a reader of the report looks into
    (shown,) = interactives(study, job.folder)
    told = json.loads(shown.data)
    assert shown.kind == "boxes" and (told["symbol"], told["also"], told["power"]) == ("s", "k", -2)
    assert [band["name"] for band in told["bands"]] == ["eigenvalue", "loss"]
    assert told["families"][0]["count"] == first.sizes["certificate"]

    def altered(change, seal=True):
        changed = change(dataset.copy(deep=True))
        store.write(path, {"": sealed(changed) if seal else changed}, {})
        return next(one for one in check_file(path) if one.proved is False)

    def stronger(found):
        found["loss_low"][5] = 0.9
        return found

    assert "altered" in altered(stronger, seal=False).text
    assert "box 5" in altered(stronger).name
    assert altered(lambda found: found.isel(certificate=slice(1, None))).name == "no gap"
    kept = np.delete(np.arange(dataset.sizes["certificate"]), 7)
    assert altered(lambda found: found.isel(certificate=kept)).name == "no gap"

    def elsewhere(found):
        found["crossing"][0] = [0.41, 0.4101]
        return found

    assert altered(elsewhere).name == "crossing"
    described = json.loads(dataset.attrs["analysis"])
    assert described["families"]["one_turned"] == 6

    def other_family(found):
        last = found["of_family"].values.copy()
        last[-1] = "one_turned"
        return found.assign(of_family=("certificate", last))

    assert altered(other_family)
