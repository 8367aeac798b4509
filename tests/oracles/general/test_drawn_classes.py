"""Mixtures and spirals against their laws."""

import numpy as np
import pytest

from nnflow.interfaces.registry import registry


def load(kind, **settings):
    return registry().get("datasets", kind)(**settings).load(None)


def test_a_mixture_has_the_means_and_covariances_of_its_law():
    arrays = load("gaussian_mixture", samples=60_000, dimension=3, classes=3, spread=0.5)
    centres = []
    for each in range(3):
        cloud = arrays["inputs"][arrays["targets"] == each]
        assert len(cloud) == 20_000
        centres.append(cloud.mean(axis=0))
        assert np.linalg.norm(centres[-1]) == pytest.approx(1, abs=0.02)
        np.testing.assert_allclose(np.cov(cloud.T), 0.25 * np.eye(3), atol=0.012)
    assert np.linalg.norm(centres[0] - centres[1]) > 0.1
    exact = load("gaussian_mixture", samples=6, dimension=3, classes=3, spread=0)
    np.testing.assert_allclose(exact["inputs"][:3], centres, atol=0.02)
    np.testing.assert_array_equal(exact["inputs"][:3], exact["inputs"][3:])


def test_arms_lie_where_the_formula_says():
    arrays = load("spirals", samples=300, arms=3, turns=2)
    x, y = arrays["inputs"].T
    radius = np.hypot(x, y)
    assert 0 < radius.min() < 0.02 and 0.98 < radius.max() < 1
    turned = np.arctan2(y, x) / (2 * np.pi) - 2 * radius - arrays["targets"] / 3
    np.testing.assert_allclose(turned, np.round(turned), atol=1e-9)
    assert np.bincount(arrays["targets"]).tolist() == [100, 100, 100]


def test_noise_has_its_size():
    calm = load("spirals", samples=20_000)["inputs"]
    noise = load("spirals", samples=20_000, noise=0.1)["inputs"] - calm
    np.testing.assert_allclose(noise.std(axis=0), 0.1, rtol=0.03)


@pytest.mark.parametrize(
    ("kind", "settings"), [("gaussian_mixture", {"dimension": 2}), ("spirals", {"noise": 0.1})]
)
def test_held_out_samples_are_others_and_the_first_ones_stay(kind, settings):
    few = load(kind, samples=10, test_samples=6, **settings)
    more = load(kind, samples=20, **settings)
    assert set(more) == {"inputs", "targets"}
    np.testing.assert_array_equal(more["inputs"][:10], few["inputs"])
    assert few["test_inputs"].shape == (6, 2) and few["test_targets"].tolist() == [0, 1] * 3
    assert (few["test_inputs"] != few["inputs"][:6]).all()
    other = load(kind, samples=10, seed=1, **settings)
    assert (other["inputs"] != few["inputs"]).all()
