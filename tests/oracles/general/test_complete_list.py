"""The analysis complete_list: all critical points of textbook surfaces and of the circle."""

from types import SimpleNamespace

import flint
import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import module

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import check_file


def plugin(kind, name, **settings):
    return registry().get(kind, name)(**settings)


class Models(Handmade):
    """What the analysis reads of results: models by label."""

    def __init__(self, **models):
        super().__init__({label: {"model": model} for label, model in models.items()})


def listed(half_width=6.0, **models):
    return plugin("analyses", "complete_list", half_width=half_width).compute(Models(**models))


SURFACES = {
    "himmelblau": plugin("models", "himmelblau"),
    "valley": plugin("models", "toy_valley", epsilon=0.1),
    "flat": plugin("models", "toy_valley", epsilon=0),
    "circle": plugin("models", "relu_circle"),
}


@pytest.fixture(scope="module")
def found():
    """The surfaces but the flat one, in one list."""
    models = {name: SURFACES[name] for name in ("himmelblau", "valley", "circle")}
    return listed(half_width=3.1415927, **models)


def column(dataset, name):
    return dict(zip(dataset["configuration"].values.tolist(), dataset[name].values, strict=True))


def test_every_column_on_surfaces_that_are_known():
    """Of the nine points two minima have an entry above 3.5: (3.584, −1.848), (−3.779, −3.283)."""
    plugin = analysis("complete_list", half_width=3.5)
    models = Models(himmelblau=SURFACES["himmelblau"], valley=SURFACES["valley"])
    assert_columns(plugin, models, {
        "listed": [7, 1],
        "listed_minimum": [2, 1],
        "listed_saddle": [4, 0],
        "listed_maximum": [1, 0],
        "listed_spurious_minimum": [0, 0],
        "listed_unproved": [0, 0],
        "undecided_boxes": [0, 0],
        "excluded_boxes": [Between(10, 1000)] * 2,
        "complete": [0, 1],  # beyond 3.5 there are more
    })  # fmt: skip


def test_beyond_the_box_nothing_is_claimed_that_is_not_so():
    with flint.ctx.workprec(64):
        enclosure = SURFACES["himmelblau"].enclosure()
        assert enclosure.none_beyond(6.0) and not enclosure.none_beyond(3.7)
        assert not SURFACES["flat"].enclosure().none_beyond(6.0)


def test_a_valley_of_minima_is_undecided():
    analysis = plugin("analyses", "complete_list", half_width=0.4, narrowest=0.05)
    found = analysis.compute(Models(flat=SURFACES["flat"]))
    assert found["undecided_boxes"].item() > 5 and found["complete"].item() == 0


@pytest.mark.parametrize("name", SURFACES)
def test_enclosures_hold_what_torch_computes(name):
    """Gradient and Hessian by automatic differentiation of the loss, inside the balls."""
    model, random = SURFACES[name], np.random.default_rng(3)
    (key,) = model.shapes()

    def loss(flat):
        return model.loss({key: flat[None]}, {})[0]

    with flint.ctx.workprec(64):
        for _ in range(50):
            center, radius = random.uniform(-3, 3, 2), 10.0 ** random.uniform(-6, -1)
            inside = torch.tensor(center + radius * random.uniform(-1, 1, 2))
            ball = flint.arb_mat(2, 1, [flint.arb(x, radius) for x in center.tolist()])
            enclosure = model.enclosure()
            gradient = torch.autograd.functional.jacobian(loss, inside)
            hessian = torch.autograd.functional.hessian(loss, inside)
            values = [
                (enclosure.loss(ball), loss(inside)),
                *zip(enclosure.gradient(ball).entries(), gradient, strict=True),
                *zip(
                    enclosure.hessian(ball).entries(),
                    hessian.ravel(),
                    strict=True,
                ),
            ]
            for enclosed, value in values:
                assert enclosed.overlaps(flint.arb(value.item(), 1e-9))


def test_the_circle_is_the_network():
    """The loss of two students at two angles, by the expectation over Gaussian inputs."""
    model = SURFACES["circle"]
    network = plugin("models", "relu_teacher_student", k=2, n=2, inputs=2)
    angles = torch.tensor(np.random.default_rng(1).uniform(-7, 7, (40, 2)))
    students = torch.stack([torch.cos(angles), torch.sin(angles)], dim=2)
    (key,) = network.shapes()
    expected = network.loss({key: students}, {})
    torch.testing.assert_close(model.loss({"angle": angles}, {}), expected, rtol=0, atol=1e-12)
    closed = model.gradient({"angle": angles}, {})["angle"]
    automatic = torch.func.vmap(torch.func.grad(lambda a: model.loss({"angle": a[None]}, {})[0]))
    torch.testing.assert_close(closed, automatic(angles), rtol=0, atol=1e-12)


def test_the_circle_has_six_critical_points_and_no_spurious_minimum():
    found = listed(half_width=3.1415927, circle=SURFACES["circle"])
    kinds = found["proved_kind"].values.tolist()
    centers = found["center"].values / (np.pi / 4)
    assert column(found, "listed") == {"circle": 6} and kinds.count("minimum") == 2
    assert kinds.count("saddle") == 3 and kinds.count("maximum") == 1
    nearest = np.round(centers)
    assert np.abs(centers - nearest).max() < 1e-8
    assert {tuple(row) for row in nearest.astype(int).tolist()} == {
        (0, 2), (2, 0), (1, 1), (-3, 1), (1, -3), (-3, -3),
    }  # fmt: skip


def test_the_file_is_proved_again_and_a_changed_one_is_refused(found, tmp_path):
    path = tmp_path / "complete_list.nc"
    store.write(path, {"": found}, {})
    outcomes = list(check_file(path))
    assert len(outcomes) == found.sizes["certificate"] + 3
    assert all(outcome.proved for outcome in outcomes)
    changed = found.copy(deep=True)
    changed["loss_high"].values[0] -= 1.0
    store.write(path, {"": changed}, {})
    assert any(outcome.proved is False for outcome in check_file(path))


@pytest.mark.parametrize("how", ["a point less", "another kind", "a bound that is too good"])
def test_a_sealed_lie_is_found(found, tmp_path, how):
    import nnflow

    lie = found.drop_vars("checksum").copy(deep=True)
    if how == "a point less":
        lie = lie.isel(certificate=slice(1, None))
    elif how == "another kind":
        lie["proved_kind"].values[0] = "minimum" if lie["proved_kind"][0] != "minimum" else "saddle"
    else:
        lie["min_eigenvalue_low"].values[0] += 0.1
    path = tmp_path / "complete_list.nc"
    store.write(path, {"": nnflow.sealed(lie)}, {})
    assert any(outcome.proved is False for outcome in check_file(path))


def test_a_model_without_an_enclosure_is_refused():
    with pytest.raises(UserError, match="gives no enclosure"):
        listed(kinks=plugin("models", "absolute_values", factors=[1.0], rows=[[1.0]]))


def test_the_slack_of_bounds_is_of_their_size():
    """Whatever their signs."""
    proof = SimpleNamespace(min_eigenvalue_low=-3.0, loss_low=-2.0)
    assert module("complete_list")._slack(proof) == 6 * 2.0**-30


SLACK = 6 * 2.0**-30
"""Of the proof below."""
HELD = {
    "as it is": ({}, True),
    "near": ({"center": [3.0015, 1.0]}, True),
    "far": ({"center": [3.0, 1.0025]}, False),
    "another kind": ({"proved_kind": "minimum"}, False),
    "a lower end that is a little better": ({"loss_low": -2 + 0.5 * SLACK}, True),
    "a lower end that is better": ({"loss_low": -2 + 1.5 * SLACK}, False),
    "an upper end that is a little better": ({"loss_high": -1 - 0.5 * SLACK}, True),
    "an upper end that is better": ({"loss_high": -1 - 1.5 * SLACK}, False),
    "bounds that are worse": ({"loss_low": -9, "loss_high": 9}, True),
}


@pytest.mark.parametrize("case", HELD)
def test_a_point_is_found_again_where_it_was_and_with_bounds_as_good(case):
    changed, held = HELD[case]
    proof = SimpleNamespace(
        distance=1e-3, min_eigenvalue_low=-3.0, min_eigenvalue_high=-2.5, loss_low=-2.0,
        loss_high=-1.0,
    )  # fmt: skip
    told = {"center": [3.0, 1.0], "proved_kind": "saddle", **vars(proof), **changed}
    axes = {"center": ("weight", np.array(told.pop("center")))}
    row = xr.Dataset({**axes, **{name: ((), value) for name, value in told.items()}})
    listed = SimpleNamespace(
        points=[np.array([0.0, 1.0]), np.array([3.0, 1.0])], proofs=[proof, proof]
    )
    found = module("complete_list")._held(row, "point 4", listed, ["saddle", "saddle"])
    text = "saddle at [3.0, 1.0]" if held else "no such critical point is found again"
    assert found == ("point 4", held, text)


def test_a_list_is_whole_where_as_many_points_are_found_again(found, monkeypatch):
    """Six of each model, where the file has six of two and one of a valley, of which alone it is
    proved that there are none beyond."""
    again = SimpleNamespace(points=[0] * 6, proofs=[], undecided=[], kinds=lambda infimum: [])
    part = module("complete_list")
    monkeypatch.setattr(part, "_held", lambda row, name, *_: (name, True, ""))
    monkeypatch.setattr(
        part.CompleteList, "_list", lambda self, model: (again, model.name == "toy_valley")
    )
    told = list(plugin("analyses", "complete_list", half_width=3.5).check(found))
    assert [name for name, _, _ in told] == [
        *(f"point {number}" for number in range(6)), "list of himmelblau",
        "point 6", "list of toy_valley",
        *(f"point {number}" for number in range(7, 13)), "list of relu_circle",
    ]  # fmt: skip
    text = "himmelblau: 6 critical points with entries of modulus at most 3.5, and no other"
    assert told[6][1:] == (True, text)
    text = "toy_valley: 1 critical points, and no other; 6 are found again"
    assert told[8] == ("list of toy_valley", False, text)
