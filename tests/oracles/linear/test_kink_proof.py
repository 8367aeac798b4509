"""The spurious minimum of Laurent & von Brecht as a certificate."""

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import module

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import check_file, sealed

PROOF = module("kink_proof")
POINT = ([[0, 0], [0, 1]], [[1, 0], [0, 0]])
TILTED = ([[0, 0], [-0.25, 2]], [[0.5, 0], [0.125, 0]])
"""A = 0 there too, with e/u = ¼ and z/v = −⅛ at the center."""
AWAY = ([[0, 0], [1, 1]], [[1, 1], [0.2, 0.3]])


def model(loss):
    return registry().get("models", "laurent_von_brecht")(loss_function=loss)


def critical(*points):
    first, second = np.moveaxis(np.array(points, dtype=float), 1, 0)
    return xr.Dataset({"w1": (("run", "a", "b"), first), "w2": (("run", "c", "a"), second)})


@pytest.fixture(scope="module")
def found():
    models = {
        "kink": (model("absolute"), critical(POINT, POINT, TILTED)),
        "smooth": (model({"name": "huber", "delta": 0.5}), critical(POINT)),
        "away": (model("absolute"), critical(AWAY)),
    }
    results = Handmade(
        {label: {"model": one} for label, (one, _) in models.items()},
        {"critical_points": {label: ends for label, (_, ends) in models.items()}},
    )
    nan = float("nan")
    return assert_columns(analysis("kink_proof", radius=0.125), results, {
        "kink_points": [2, nan, 1],
        "kink_unproved": [0, nan, 1],
        "kink_coefficient": [Between(0.66, 0.67), nan, Between(1.2, 1.3)],
    })  # fmt: skip


def test_coefficients_hold_what_is_met_in_the_box():
    """(⅛ + ⅛)/(½ − ⅛) = ⅔ of the tilted point; a half-width of ½ lets the coefficient be 1."""
    flat = np.array(TILTED).ravel()
    delta = PROOF._coefficient(flat, 0.125)
    assert delta == pytest.approx(2 / 3, rel=1e-7) and delta > 2 / 3
    corner = flat + 0.125 * np.array([0, 0, -1, -1, -1, 0, 1, 0])
    _, _, z, v, u, _, e, _ = corner
    assert max(abs(e / u), abs(z / v), abs(e * z / (u * v))) <= delta
    flat = np.array(POINT).ravel()
    assert PROOF._coefficient(flat, 0.49) == pytest.approx(0.49 / 0.51, rel=1e-7)
    assert PROOF._coefficient(flat, 0.5) > 1 and PROOF._coefficient(flat, 1.0) == np.inf


def test_no_network_in_the_box_has_a_lower_loss():
    random = np.random.default_rng(0)
    for point, radius in ((POINT, 0.49), (TILTED, 0.125)):
        moved = np.array(point) + random.uniform(-radius, radius, (20_000, 2, 2, 2))
        moved[::2] = np.array(point) + (moved[::2] - np.array(point)) * 1e-3
        product = moved[:, 1] @ moved[:, 0]
        loss = np.abs(product - [[0, 0], [1, 0]]).sum(axis=(1, 2))
        assert loss.min() > 1 - 1e-15
    assert PROOF._loss(np.array(TILTED).ravel()) == 1


def test_the_file_is_proved_again_and_a_lie_is_refused(found, tmp_path):
    path = tmp_path / "kink_proof.nc"

    def refused(variable=None, change=None, seal=True):
        lie = found.copy(deep=True)
        if variable:
            lie[variable].values[0] = change(lie[variable].values[0])
        store.write(path, {"": sealed(lie.drop_vars("checksum")) if seal else lie}, {})
        try:
            return [one.text for one in check_file(path) if one.proved is False]
        except UserError as error:
            return [str(error)]

    assert refused() == []
    assert "altered" in refused("radius", lambda x: 2 * x, seal=False)[0]
    for variable, change in (
        ("radius", lambda x: 2.0 * x), ("radius", lambda x: np.nan), ("radius", lambda x: -x),
        ("coefficient", lambda x: x * (1 - 1e-6)), ("coefficient", lambda x: np.nan),
        ("coefficient", lambda x: 1.5), ("loss", lambda x: 0.5),
        ("w1", lambda x: x + 1e-12), ("w1", lambda x: 0 * x), ("w2", lambda x: x + np.inf),
    ):  # fmt: skip
        told = refused(variable, change)
        assert told and "\n" not in told[0], variable
    store.write(path, {"": sealed(found.drop_vars("checksum").isel(certificate=[]))}, {})
    assert [one.proved for one in check_file(path)] == [False, True, True]


def test_the_formula_holds_of_any_matrices():
    first, second = np.random.default_rng(1).integers(-9, 9, (2, 50, 2, 2))
    a = second @ first
    u, e, z, v = second[:, 0, 0], second[:, 1, 0], first[:, 1, 0], first[:, 1, 1]
    others = e * v * a[:, 0, 0] + u * z * a[:, 1, 1] - e * z * a[:, 0, 1]
    np.testing.assert_array_equal(u * v * a[:, 1, 0], others)
    assert PROOF._identity()


def test_coefficients_are_quotients_stated_a_billionth_larger():
    """W_1 = (0, 0, z, v) and W_2 = (u, 0, e, 0) in a small box."""
    for z, v, u, e in ((0, 1, 0.5, 0.25), (0.25, 0.5, 1, 0)):
        found = PROOF._coefficient(np.array([0, 0, z, v, u, 0, e, 0]), 1e-15)
        assert found / 0.5 - 1 == pytest.approx(1e-9, rel=1e-4)


def test_the_product_of_both_quotients_is_a_coefficient():
    """0.6/0.2 = 3 and 0.4/0.2 = 2: 6."""
    found = PROOF._coefficient(np.array([0, 0, 0.4, 0.2, 0.2, 0, 0.6, 0]), 1e-15)
    assert found == pytest.approx(6, rel=2e-9)


def test_no_coefficient_without_a_box():
    flat = np.array(POINT, dtype=float).ravel()
    assert PROOF._coefficient(flat, 0.0) == np.inf
    flat[5] = np.inf  # an entry that no coefficient has
    assert PROOF._coefficient(flat, 0.1) == np.inf


def test_a_coefficient_of_1_is_enough():
    flat = np.array(POINT, dtype=float).ravel()
    assert PROOF._minimum(flat, 1.0) and not PROOF._minimum(flat, 1 + 1e-15)


def test_one_point_is_a_file_and_is_told_with_its_box(found):
    told = list(analysis("kink_proof", radius=0.125).check(found.isel(certificate=[0])))
    assert all(proved for _, proved, _ in told) and len(told) == 4
    assert "spurious minimum" in told[-1][2] and "0.125" in told[-1][2]
