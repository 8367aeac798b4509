"""The study of spurious minima against counts, symmetric solutions and a known saddle."""

import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from studies import module

from nnflow import UserError
from nnflow.base.progress import Reporter
from nnflow.engine.critical import IS_GLOBAL, KINDS
from nnflow.engine.training import STATUS, STOPPED_BY
from nnflow.interfaces.registry import registry
from nnflow.stages import analyze, classify, collect, initialize, spectrum, summarize, train
from nnflow.stages.job import Job
from nnflow.study.loading import load_study

STUDY = """
title: Spurious minima
seed: 2018
model: {name: relu_teacher_student}
optimizer: {name: gradient_descent, rate: 0.1}
stop:
  {gradient_norm: 1.5915494309189535e-10, norm: neuron, basin: true, loss: 1.0e-3, steps: 50000}
classify: {global_within: 1.0e-3}
analyses: {spurious_minima: , families: }
"""
NORMAL = "initializer: {name: normal, variance: 1, per: fan_in}\n"


def job_of(text, folder):
    """A job of the study with the given text."""
    file = folder / "study.yaml"
    file.write_text(text, encoding="utf-8")
    study = load_study(file)
    return Job(study, folder / "results", folder / "data", 0, {}, Reporter("test", None))


def run_stages(job):
    """The whole study, from first weights to its summary, by the workflow's own stages."""
    initialize.initialize(job)
    for stage, dataset in ((train.train, "training"), (classify.classify, "critical_points")):
        for batch in range(len(job.study.batches)):
            stage(job, batch)
        collect.collect(job, dataset)
    spectrum.spectrum(job)
    analyze.analyze(job, dict.fromkeys(job.study.analyses_in_order, ""))
    summarize.summarize(job)
    return job.read


# An implementation of the loss of its own, for single weight matrices


def kernel(w, v):
    """E σ(w·x)σ(v·x) over pairs of rows."""
    lengths = np.linalg.norm(w, axis=1)[:, None] * np.linalg.norm(v, axis=1)
    cosine = np.clip(w @ v.T / lengths, -1, 1)
    angle = np.arccos(cosine)
    return lengths * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)


def loss(w):
    v = np.eye(w.shape[1])
    return kernel(w, w).sum() / 2 - kernel(w, v).sum() + kernel(v, v).sum() / 2


def gradient(w):
    """∇F by central differences of Richardson's fourth order."""
    slope = np.zeros_like(w)
    for place in np.ndindex(*w.shape):
        step = np.zeros_like(w)
        step[place] = 1e-3
        near, far = (loss(w + m * step) - loss(w - m * step) for m in (1, 2))
        slope[place] = (8 * near - far) / (12 * 1e-3)
    return slope


def symmetric(parameters, k):
    """W with isotropy S_{k−1} × S_1 from its five distinct entries."""
    a, b, c, d, e = parameters
    w = np.full((k, k), b)
    np.fill_diagonal(w, a)
    w[:-1, -1], w[-1, :-1], w[-1, -1] = c, d, e
    return w


def turned_point(k):
    """The critical point with one student turned, from its five equations.

    On the symmetric subspace the loss is a function of five numbers, and its critical points
    there are critical points of the whole loss (Palais' principle of symmetric criticality).
    """
    entries = [(0, 0), (0, 1), (0, k - 1), (k - 1, 0), (k - 1, k - 1)]

    def equations(parameters):
        slope = gradient(symmetric(parameters, k))
        return [slope[entry] for entry in entries]

    found = scipy.optimize.root(equations, [1.0, -0.04, 0.28, 0.2, -0.62], tol=1e-11)
    assert found.success
    return symmetric(found.x, k)


def hessian_index(w):
    """Negative eigenvalues of the Hessian, by differences of differences."""
    count, step = w.size, 1e-4
    rows = []
    for place in range(count):
        shift = np.zeros(count)
        shift[place] = step
        shift = shift.reshape(w.shape)
        rows.append((gradient(w + shift) - gradient(w - shift)).ravel() / (2 * step))
    eigenvalues = np.linalg.eigvalsh((np.array(rows) + np.transpose(rows)) / 2)
    assert np.abs(eigenvalues).min() > 1e-3
    return int((eigenvalues < 0).sum()), eigenvalues[0]


# A small ensemble


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    text = STUDY + NORMAL + "runs: 60\nsweep: {model.k: [7], model.n: [7, 8]}\n"
    text += "scales: {paper: {sweep: {model.k: [7, 9], model.n: [7, 8, 9]}}}\n"
    text += (
        "claims:\n"
        "- {claim: share, statement: s, source: t, value: spurious_share, trials: 1000,"
        " published: {'k=7,n=7': 0.055, 'k=9,n=9': 0.218}}\n"
    )
    return run_stages(job_of(text, tmp_path_factory.mktemp("ensemble")))


def test_an_ensemble_finds_the_symmetric_minimum(ensemble):
    at = ensemble["summary"].sel(configuration="k=7,n=7")
    assert at["p1_count"] >= 1
    assert float(at["p1_loss"]) == pytest.approx(loss(turned_point(7)), abs=1e-9)
    assert float(at["p1_loss"]) == pytest.approx(0.023203, abs=1e-6)
    assert float(at["p1_min_eigenvalue"]) == pytest.approx(0.01406, abs=1e-5)
    assert at["spurious_share"] == at["stopped_above_share"] == at["p1_count"] / 60
    assert at["saddle_share"] == at["undecided_share"] == at["unfinished"] == 0


def test_thresholds_leave_orders_of_magnitude(ensemble):
    at = ensemble["summary"].sel(configuration="k=7,n=7")
    assert at["zero_range_low"] < 1e-10 and at["zero_range_high"] > 1e-3
    assert at["global_gap_low"] < 1e-10 and at["global_gap_high"] > 0.02
    assert at["family_spread"] < 1e-10
    assert at["largest_gradient_norm"] < 1e-12 and at["largest_spurious_distance"] < 1e-2


def test_families_are_described(ensemble):
    families = ensemble["families"].sel(configuration="k=7,n=7")
    assert families["blocks"].values.tolist() == ["7", "6+1"]
    assert families["turned"].values.tolist() == [0, 1]
    assert families["count"].values.sum() == 60
    assert families["share"].values.sum() == pytest.approx(1)
    # ¼ − 1/2π, the lowest eigenvalue at the teacher itself
    assert families["min_eigenvalue"][0] == pytest.approx(1 / 4 - 1 / (2 * math.pi), abs=1e-9)
    assert families["residual"].max() < 1e-12
    assert (families["kind"] == KINDS.index("minimum")).all()


def test_points_with_fewer_families_are_padded(ensemble):
    """With one more student than teachers, none of so few runs is spurious."""
    families = ensemble["families"].sel(configuration="k=7,n=8")
    assert families["number"].values.tolist() == [0, -1]
    assert np.isnan(families["loss"][1]) and families["blocks"].values[1] == ""
    at = ensemble["summary"].sel(configuration="k=7,n=8")
    assert at["spurious_share"] == 0 and at["spurious_share_high"] > 0
    assert np.isnan(at["mean_loss"]) and np.isnan(at["p1_loss"])


# A strict saddle


@pytest.fixture(scope="module")
def saddle(tmp_path_factory):
    """k = 5, where the turned point is a strict saddle: runs from the point itself, from
    beside it within the symmetric subspace, which gradient descent never leaves, and from
    outside."""
    point = turned_point(5)
    beside = symmetric(point[[0, 0, 0, 4, 4], [0, 1, 4, 0, 4]] + 0.03, 5)
    outside = point + 0.03 * np.cos(np.arange(25)).reshape(5, 5)
    starts = [w.tolist() for w in (point, beside, outside)]
    text = STUDY + f"initializer: {{name: given, values: {{w: {starts}}}}}\nruns: 3\n"
    text += "sweep: {model.k: [5], model.n: [5]}\n"
    return point, run_stages(job_of(text, tmp_path_factory.mktemp("saddle")))


def test_gradient_descent_stops_at_a_strict_saddle(saddle):
    _, results = saddle
    trained = results.at("training", "k=5,n=5")
    stopped = STOPPED_BY.index("gradient_norm")
    assert (trained["stopped_by"][:2] == stopped).all()
    assert (trained["status"][:2] == STATUS.index("converged")).all()
    assert trained["steps"][1] > 1000


def test_a_strict_saddle_is_called_a_saddle(saddle):
    point, results = saddle
    ends = results.at("critical_points", "k=5,n=5")
    index, lowest = hessian_index(point)
    assert index == 3
    assert (ends["kind"][:2] == KINDS.index("saddle")).all()
    assert (ends["index"][:2] == index).all()
    np.testing.assert_allclose(ends["min_eigenvalue"][:2], lowest, atol=1e-6)
    np.testing.assert_allclose(ends["min_eigenvalue"][:2], -0.00770, atol=5e-6)
    np.testing.assert_allclose(ends["loss"][:2], 0.026970, atol=5e-7)
    assert ends["kind"][2] == KINDS.index("minimum")
    assert ends["is_global"][2] == IS_GLOBAL.index("yes")


def test_a_strict_saddle_is_not_counted_as_spurious(saddle):
    _, results = saddle
    at = results["summary"].sel(configuration="k=5,n=5")
    assert at["stopped_above_share"] == pytest.approx(2 / 3)
    assert at["saddle_share"] == pytest.approx(2 / 3)
    assert at["spurious_share"] == at["p1_count"] == 0


# Blocks of rows


@pytest.fixture(scope="module")
def blocks():
    return module("_blocks")


@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_blocks_do_not_depend_on_the_order(blocks, upright, upside_down, random):
    """p students turned among k: two blocks, whatever the order of students and inputs."""
    k = upright + upside_down
    w = np.full((k, k), -0.03)
    w[:upright, upright:], w[upright:, :upright] = 0.2, 0.1
    np.fill_diagonal(w, [1.0] * upright + [-0.7] * upside_down)
    rows, columns = random.sample(range(k), k), random.sample(range(k), k)
    shuffled = w[rows][:, columns]
    assert blocks.block_sizes(shuffled, 1e-6) == tuple(sorted((upright, upside_down), reverse=True))
    assert blocks.turned(shuffled) == upside_down


@given(hnp.arrays(float, (4, 3), elements=st.floats(-1, 1)))
def test_block_sizes_count_every_row(blocks, matrix):
    assert sum(blocks.block_sizes(matrix, 1e-6)) == 4


# Figures


def draw(results, name, **settings):
    import matplotlib

    matplotlib.use("Agg")
    return registry().get("figures", name)(**settings).draw(results)


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_share_figure_takes_published_numbers_from_the_claims(ensemble):
    share, loss, eigenvalue = draw(ensemble, "spurious_share").axes
    heights = [container[0].get_ydata().tolist() for container in share.containers]
    measured = float(ensemble["summary"]["spurious_share"].sel(configuration="k=7,n=7"))
    assert [0.055, 0.218] in heights and [measured] in heights
    titles = [axis.get_title(loc="left") for axis in (share, loss, eigenvalue)]
    assert titles[0] == "(a) share of spurious runs" and titles[1] == "(b) their mean loss"


def test_trajectories_are_coloured_by_their_end(ensemble):
    (axis,) = draw(ensemble, "loss_trajectories", most=30).axes
    spurious = int(ensemble["summary"]["p1_count"].sel(configuration="k=7,n=7"))
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == [f"global ({60 - spurious} runs)", f"spurious minimum ({spurious} runs)"]
    curves = [line for line in axis.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 30
    assert axis.figure.get_suptitle().startswith(f"k = 7, n = 7: {spurious} of 60 runs end above")
    assert "30 of 60 runs" in axis.figure.texts[-1].get_text()


def test_spectra_have_one_line_per_family(ensemble):
    (axis,) = draw(ensemble, "hessian_spectra").axes
    values = ensemble.at("spectra", "k=7,n=7")["eigenvalue"].values
    drawn = [patch.get_data().values for patch in axis.patches]
    np.testing.assert_array_equal(drawn, values)


def test_weights_share_one_colour_scale_around_zero(ensemble):
    figure = draw(ensemble, "family_weights")
    images = [image for axis in figure.axes for image in axis.images]
    assert len(images) == 2
    reach = np.abs(ensemble.at("spectra", "k=7,n=7")["w"].values).max()
    assert {image.get_clim() for image in images} == {(-reach, reach)}


@pytest.mark.parametrize("name", ["hessian_spectra", "family_weights"])
def test_a_figure_of_an_unknown_point_is_refused(ensemble, name):
    with pytest.raises(UserError, match="no configuration 'k=8,n=8'"):
        draw(ensemble, name, configurations=["k=8,n=8"])
