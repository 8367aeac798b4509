"""What plugins are tried at."""

import numpy as np

from nnflow import (
    Activation,
    Arithmetic,
    Compiled,
    LaneActivation,
    LaneGradient,
    LaneLoss,
    Loss,
    by_output,
    load_row,
    store_row,
)
from nnflow.checks.contract_tests import (
    RUNS,
    check_activation,
    check_loss,
    check_model,
    model_weights,
)
from nnflow.interfaces import Model


class Layers(Model):
    """A bias and a matrix, each of many weights."""

    def shapes(self):
        return {"bias": (900,), "matrix": (30, 400)}


def test_weights_of_a_matrix_shrink_with_its_inputs():
    """Variance 1 for a vector, 1/400 for a matrix with 400 inputs; other numbers for each part."""
    weights = model_weights(Layers()).numpy()
    assert weights.shape == (RUNS, 900 + 30 * 400)
    bias, matrix = weights[:, :900], weights[:, 900:]
    np.testing.assert_allclose(bias.var(), 1, rtol=0.15)
    np.testing.assert_allclose(matrix.var(), 1 / 400, rtol=0.05)
    assert abs(np.corrcoef(bias.ravel(), matrix[:, :900].ravel())[0, 1]) < 0.1


def _identity(w, found, moved):
    for row in range(len(w)):
        store_row(found, row, load_row(w, row))
        if moved > 0.0:
            store_row(w, row, 0.0)


identity = Compiled(_identity)


class HalfSquare(Model):
    """½‖w‖², whose compiled gradient may be spoilt."""

    moved: float = 0.0
    """1: its block writes into the weights that it is given."""
    off: float = 0.0
    """By which its form in NumPy is off."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return (weights["w"] ** 2).sum(1) / 2

    def lane_gradient(self, data):
        return LaneGradient(identity, lambda w, numbers, moved: w + self.off, (self.moved,))


def failures(**spoilt):
    findings = list(check_model(HalfSquare(**spoilt), {}))
    return [finding.check for finding in findings if not finding.passed]


def test_a_compiled_gradient_is_checked():
    assert failures() == []
    assert failures(off=1e-15) == ["gradient: the form in NumPy has the bits of the compiled one"]
    failed = failures(moved=1.0)
    assert len(failed) == 3 and all(check.startswith("many steps at once") for check in failed)


def _cube(t, factor):
    return factor * (t * t * t)


def _cube_slope(t, activated, factor):
    return (3.0 * factor) * (t * t)


CUBE, CUBE_SLOPE = Arithmetic(_cube), Arithmetic(_cube_slope)
OFF = Arithmetic(lambda t, activated, factor: 3.000000003 * (t * t))


class Cube(Activation):
    """t³, whose form for compiled code may be another."""

    factor: float = 1.0
    slope_factor: float = 1.0

    def __call__(self, values):
        return values**3

    @property
    def lanes(self):
        return LaneActivation(CUBE, CUBE_SLOPE if self.slope_factor == 1 else OFF, self.factor)


def test_the_compiled_form_of_an_activation_is_checked():
    def failed(**spoilt):
        return [f.check for f in check_activation(Cube(**spoilt)) if not f.passed]

    assert failed() == []
    assert failed(factor=1 + 1e-9) == ["lanes: value against σ", "lanes: slope against σ'"]
    assert failed(slope_factor=1 + 1e-9) == ["lanes: slope against σ'"]


def _over_tiles(outputs, targets, tiles, off):
    """As if there were one tile."""
    total = load_row(outputs, 0) - load_row(targets, 0)
    for row in range(1, len(outputs)):
        total = total + (load_row(outputs, row) - load_row(targets, row))
    for row in range(len(outputs)):
        store_row(outputs, row, total)


def _over_outputs(outputs, targets, tiles, off):
    outputs[:] = (outputs - targets).sum(axis=1, keepdims=True)


class SquareOfSum(Loss):
    """½(Σⱼ(oⱼ − tⱼ))², whose compiled slope adds up samples, too."""

    targets = "real"
    lanes = LaneLoss(Compiled(_over_tiles, _over_outputs))

    def __call__(self, outputs, targets):
        return (outputs - targets).sum(-1).square() / 2


def test_a_compiled_loss_is_checked_on_more_than_a_vector_of_samples():
    failed = [f.check for f in check_loss(SquareOfSum()) if not f.passed]
    assert failed[0] == "real targets: lanes: slope against that of ℓ"


class OtherCube(Cube):
    def __call__(self, values):
        return 2 * values**3


def test_another_function_does_not_inherit_a_compiled_form():
    assert Cube().lanes is not None and OtherCube().lanes is None


def _slope(output, target, off):
    return output - target + off


SLOPE = by_output(Arithmetic(_slope))
OTHERWISE = Compiled(SLOPE.function, lambda outputs, *rest: outputs.fill(0.0), SLOPE.parts)


class HalfSquares(Loss):
    """½‖o − t‖², likewise."""

    targets = "real"
    off: float = 0.0
    otherwise: bool = False

    def __call__(self, outputs, targets):
        return (outputs - targets).square().sum(-1) / 2

    @property
    def lanes(self):
        return LaneLoss(OTHERWISE if self.otherwise else SLOPE, parameter=self.off)


def test_the_compiled_form_of_a_loss_is_checked():
    def failed(**spoilt):
        return [f.check for f in check_loss(HalfSquares(**spoilt)) if not f.passed]

    numpy = "real targets: lanes: the form in NumPy has the bits of the compiled one"
    assert failed() == []
    assert failed(off=1e-9) == ["real targets: lanes: slope against that of ℓ"]
    assert failed(otherwise=True) == [numpy]
