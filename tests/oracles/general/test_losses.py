"""Losses of real outputs: closed forms, convexity, slopes and curvatures."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnflow.interfaces import Loss
from nnflow.interfaces.registry import registry

SETTINGS = {
    "squared": {},
    "logistic": {},
    "huber": {"delta": 0.7},
    "log_cosh": {},
    "absolute": {},
    "cauchy": {"scale": 0.5},
}
NUMBERS = arrays(float, (4, 3), elements=st.floats(-30, 30))


def make(name):
    return registry().get("losses", name)(**SETTINGS[name])


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


FORMS = {
    "squared": lambda o, t: (o - t) ** 2 / 2,
    "logistic": lambda o, t: math.log(1 + math.exp(-t * o)),
    "huber": lambda o, t: (o - t) ** 2 / 2 if abs(o - t) <= 0.7 else 0.7 * abs(o - t) - 0.7**2 / 2,
    "log_cosh": lambda o, t: math.log(math.cosh(o - t)),
    "absolute": lambda o, t: abs(o - t),
    "cauchy": lambda o, t: math.log(1 + 4 * (o - t) ** 2) / 8,
}


@pytest.mark.parametrize("name", FORMS)
@given(outputs=NUMBERS, targets=arrays(float, (4, 3), elements=st.floats(-2, 2)))
def test_losses_are_their_formulas_summed_over_the_outputs(name, outputs, targets):
    found = make(name)(torch.as_tensor(outputs), torch.as_tensor(targets))
    form = FORMS[name]
    expected = [
        sum(form(o, t) for o, t in zip(*rows, strict=True))
        for rows in zip(outputs.tolist(), targets.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, tensor(*expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"cauchy"}))
@given(first=NUMBERS, second=NUMBERS, weight=st.floats(0, 1))
def test_losses_are_convex(name, first, second, weight):
    loss, targets = make(name), torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    first, second = torch.as_tensor(first), torch.as_tensor(second)
    between = loss(weight * first + (1 - weight) * second, targets)
    chord = weight * loss(first, targets) + (1 - weight) * loss(second, targets)
    assert (between <= chord + 1e-10).all()
    assert loss.convex


def test_the_cauchy_loss_is_not_convex():
    """ℓ'' = (1 − r²/s²)/(1 + r²/s²)²: 1 at 0, none at s, negative beyond."""
    loss, zero = make("cauchy"), tensor([0.0])
    assert not loss.convex
    for error, curvature in ((0.0, 1.0), (0.5, 0.0), (1.0, (1 - 4) / 25)):
        hessian = torch.autograd.functional.hessian(
            lambda o: loss(o[None], zero).sum(), tensor(error)
        )
        assert hessian.item() == pytest.approx(curvature, abs=1e-15)


# Automatic differentiation goes wrong at a minimum that is written with |r|: its curvature
# would be the square of a slope that is 0 there.


@pytest.mark.parametrize(
    ("name", "curvature"), [("squared", 1), ("huber", 1), ("log_cosh", 1), ("cauchy", 1)]
)
def test_curvature_at_the_target(name, curvature):
    loss, zero = make(name), tensor([0.0, 0.0])
    hessian = torch.autograd.functional.hessian(lambda o: loss(o[None], zero).sum(), tensor(0, 0.0))
    torch.testing.assert_close(hessian, curvature * torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["log_cosh", "logistic"])
def test_no_overflow_and_no_lost_digits(name):
    loss = make(name)
    value = loss(tensor([-700.0], [-5000.0], [30.0]), tensor([1.0], [1.0], [1.0]))
    tail = {"log_cosh": [701 - math.log(2), 5001 - math.log(2), 29 - math.log(2)]}.get(
        name, [700.0, 5000.0, math.exp(-30)]
    )
    torch.testing.assert_close(value, tensor(*tail), rtol=1e-12, atol=1e-20)


def test_slopes_are_bounded():
    for name, bound in (("huber", 0.7), ("log_cosh", 1), ("absolute", 1), ("logistic", 1)):
        outputs = torch.linspace(-50, 50, 1001, dtype=torch.float64)[:, None].requires_grad_(True)
        (slope,) = torch.autograd.grad(make(name)(outputs, torch.ones(1001, 1)).sum(), outputs)
        assert slope.abs().max() <= bound + 1e-12
        assert slope.abs().max() > 0.99 * bound


DERIVATIVES = [*sorted(SETTINGS), "hinge", "cross_entropy"]


@pytest.mark.parametrize("name", DERIVATIVES)
@given(outputs=NUMBERS, classes=arrays(int, 4, elements=st.integers(0, 2)))
def test_closed_derivatives_are_the_automatic_ones(name, outputs, classes):
    """In each row of a batch; at a kink with the same subgradient."""
    loss = registry().get("losses", name)(**SETTINGS.get(name, {}))
    at = torch.as_tensor(outputs).expand(2, 4, 3) / torch.tensor([1.0, 3.0])[:, None, None]
    targets = torch.as_tensor(classes)
    slope, curvature = loss.slope(at, targets), loss.curvature(at, targets)
    torch.testing.assert_close(slope, Loss.slope(loss, at, targets), rtol=1e-13, atol=1e-13)
    expected = Loss.curvature(loss, at, targets)
    torch.testing.assert_close(curvature, expected, rtol=1e-11, atol=1e-12)
    for row, sample in ((0, 1), (1, 2)):
        hessian = torch.autograd.functional.hessian(
            lambda o, sample=sample: loss(o[None], targets[sample, None]).sum(), at[row, sample]
        )
        torch.testing.assert_close(expected[row, sample], hessian, rtol=1e-12, atol=1e-13)


def test_derivatives_keep_their_digits_far_out():
    """σ(−40) = e⁻⁴⁰ and 1 − tanh²(20) = 4e⁻⁴⁰ to rounding, where 1 − σ or 1 − tanh would be 0."""
    one, zero, tail = tensor([1.0]), tensor([0.0]), math.exp(-40)
    logistic, log_cosh = make("logistic"), make("log_cosh")
    torch.testing.assert_close(logistic.slope(40 * one, one), tensor([-tail]), rtol=1e-13, atol=0)
    found = logistic.curvature(40 * one, one)
    torch.testing.assert_close(found, tensor([[tail]]), rtol=1e-13, atol=0)
    found = log_cosh.curvature(20 * one, zero)
    torch.testing.assert_close(found, tensor([[4 * tail]]), rtol=1e-13, atol=0)


def test_huber_is_differentiable_where_its_pieces_meet():
    huber = make("huber")
    outputs = tensor([0.7 - 1e-9], [0.7 + 1e-9], [-0.7 - 1e-9]).requires_grad_(True)
    value = huber(outputs, torch.zeros(3, 1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(value.sum(), outputs)
    torch.testing.assert_close(slope[:, 0], tensor(0.7, 0.7, -0.7), rtol=0, atol=1e-8)
    torch.testing.assert_close(value.detach(), torch.full((3,), 0.245).double(), rtol=0, atol=1e-8)


def test_kinks_are_admitted():
    outputs, targets = tensor([0.0, 1.0], [0.2, 1.0], [0.7, 2.0]), tensor([0.0, 0.0])
    targets = targets.expand(3, 2)
    assert make("absolute").smooth(outputs, targets).tolist() == [False, True, True]
    assert make("huber").smooth(outputs, targets).tolist() == [True, True, False]
    for name in ("squared", "log_cosh", "logistic", "cross_entropy"):
        plugin = registry().get("losses", name)()
        assert plugin.smooth(outputs, targets) is None


def test_classes_stand_for_unit_vectors_and_for_signs():
    outputs, classes = tensor([0.5, -1.0, 2.0], [0.0, 1.0, 0.0]), torch.tensor([2, 0])
    vectors = tensor([0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    for name in ("squared", "huber", "log_cosh", "absolute", "cauchy"):
        torch.testing.assert_close(make(name)(outputs, classes), make(name)(outputs, vectors))
    logistic = make("logistic")
    torch.testing.assert_close(logistic(outputs, classes), logistic(outputs, 2 * vectors - 1))


@pytest.mark.parametrize("name", FORMS)
def test_targets_of_a_single_output_need_no_axis(name):
    outputs, targets = tensor([0.5], [2.0], [-3.0]), tensor(1.0, -1.0, 0.3)
    assert torch.equal(make(name)(outputs, targets), make(name)(outputs, targets[:, None]))
