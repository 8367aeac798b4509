"""Critical points of networks on digits that are too large for their Hessians, against what is
known of those that are not."""

import numpy as np
import pytest
import torch
from studies import complete

from nnflow.study.loading import load_study

STUDY = """
title: Critical points of networks on digits
model:
  name: mlp
  widths: [64, WIDTH, 10]
  activation: tanh
  loss_function: cross_entropy
  weight_decay: DECAY
dataset: {name: digits, scaling: standard, samples: SAMPLES, test_share: 0}
initializer: {name: normal, variance: 1, per: fan_in}
optimizer: {name: trust_region}
stop: {gradient_norm: 1.0e-10, steps: 500, check_every: 1}
classify:
  eigenvalues: {lowest: 2, highest: 1}
  lanczos_steps: LANCZOS
  factorize_up_to: FACTORIZED
spectrum: {compare_dense_up_to: 10}
runs: 1
"""


def ends(folder, width, samples, lanczos=0, decay=0.01, factorized=0):
    text = STUDY.replace("WIDTH", str(width)).replace("SAMPLES", str(samples))
    text = text.replace("DECAY", str(decay))
    file = folder / "at_scale.yaml"
    text = text.replace("LANCZOS", str(lanczos)).replace("FACTORIZED", str(factorized))
    file.write_text(text)
    job = complete(load_study(file), folder)
    found = job.read.at("critical_points", "all").isel(run=0)
    kinds = found["kind"].attrs["flag_meanings"].split()
    return job, found, kinds[int(found["kind"])]


def test_a_minimum_of_1360_weights_is_that_of_the_whole_hessian(tmp_path):
    job, found, kind = ends(tmp_path, 18, 100, lanczos=400, decay=0.1)
    assert float(found["gradient_norm"]) < 1e-12 and kind == "minimum"
    objective = job.read.objective(job.study.configurations[0])
    weights = {name: found[name].values[None] for name in ("w1", "b1", "w2", "b2")}
    exact = np.linalg.eigvalsh(objective.hessian(weights)[0])
    np.testing.assert_allclose(found["eigenvalue"], exact[[0, 1, -1]], atol=1e-9)
    assert int(found["index"]) == (exact < 0).sum() == 0
    # certain, but with a probability of 10⁻⁶
    assert int(found["index_least"]) == int(found["index_most"]) == 0


def test_what_few_steps_leave_open_a_factorization_closes(tmp_path):
    _, found, _ = ends(tmp_path, 14, 100)
    assert int(found["index_least"]) == 0
    assert int(found["index_most"]) == 1060 - 3
    # and a factorization closes it
    _, found, kind = ends(tmp_path, 14, 100, factorized=1060)
    assert int(found["index_least"]) == int(found["index_most"]) == 0 and kind == "minimum"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "weights"), [(67, 5035), (665, 49_885)])
def test_gradients_below_1e_9_at_5000_to_50_000_weights(tmp_path, width, weights):
    torch.set_num_threads(1)
    _, found, kind = ends(tmp_path, width, 300, factorized=5035)
    assert sum(found[name].size for name in ("w1", "b1", "w2", "b2")) == weights
    assert float(found["gradient_norm"]) < 1e-9
    assert kind == "minimum" and int(found["index"]) == int(found["index_least"]) == 0
    assert float(found["eigenvalue"][0]) > float(found["residual"][0])
    assert (int(found["index_most"]) == 0) == (weights == 5035)
