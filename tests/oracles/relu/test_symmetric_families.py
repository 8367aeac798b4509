"""The studies of symmetric families: analyses held against whole networks, known sequences and
constructed points."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from students import objective
from studies import AGREE, complete, module, verdicts

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.report.members import members
from nnflow.study.loading import load_study, study_file


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


# Isotropy


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 99))
def test_isotropy_of_block_matrices_in_any_order(sizes, seed):
    random = np.random.default_rng(seed)
    ends = np.cumsum([0, *sizes])
    w = np.empty((ends[-1], ends[-1]))
    for a in range(len(sizes)):
        for b in range(len(sizes)):
            w[ends[a] : ends[a + 1], ends[b] : ends[b + 1]] = random.normal()
        block = np.arange(ends[a], ends[a + 1])
        w[block, block] = random.normal()
    shuffled = w[random.permutation(len(w))][:, random.permutation(len(w))]
    shuffled = shuffled + random.uniform(-1e-9, 1e-9, w.shape)
    isotropy = module("_symmetry_group")
    assert isotropy.isotropy(shuffled, 1e-6) == tuple(sorted(sizes, reverse=True))
    low, high = isotropy.same_range(shuffled, np.logspace(-10, -6, 5), 1e-6)
    assert low <= 1e-8
    assert high == 1e-6


def test_isotropy_needs_more_than_equal_entries():
    """Each row holds 1, 2, 3 and 4, but no two rows can change places."""
    w = np.array([[1, 2, 3, 4], [2, 3, 4, 1], [3, 1, 2, 4], [4, 2, 1, 3]], dtype=float)
    assert module("_symmetry_group").isotropy(w, 1e-6) == (1, 1, 1, 1)


def test_isotropy_of_a_split_neuron():
    """Its halves change places without any input."""
    w = np.array([[0.5, 0, 0], [0.5, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert module("_symmetry_group").isotropy(w, 1e-6) == (2, 2)


# Limits


def test_limit_of_a_polynomial_in_the_root_is_exact():
    k = np.array([400, 100, 1600, 900, 2500])
    values = 3 - 2 / np.sqrt(k) + 5 / k - 7 / k**1.5
    middle, low, high = module("_limits").limit(k, values)
    assert middle == pytest.approx(3, abs=1e-10)
    assert low <= middle <= high
    assert high - low < 1e-8


def test_limit_of_another_sequence_lies_in_its_interval():
    k = np.array([100, 300, 1000, 10_000, 100_000])
    middle, low, high = module("_limits").limit(k, np.exp(-1 / np.sqrt(k)))
    assert low < 1 < high
    assert high - low < 1e-4
    assert middle == pytest.approx(1, abs=1e-6)


def test_three_values_have_no_limit():
    assert np.isnan(module("_limits").limit(np.array([1, 2, 3]), np.ones(3))).all()


# The study

LABELS = ["k=5,turned=1", "k=6,turned=1", "k=10,turned=3", "k=6,turned=5", "k=6,turned=6"]
FURTHER = [f"k={k},turned={t}" for k, t in (
    (7, 1), (10, 1), (20, 1), (10, 2), (10, 4), (20, 4), (10, 9), (10, 10),
    *((k, t) for k in (100, 300, 1000, 10_000, 100_000) for t in (1, k)),
)]  # fmt: skip


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale, some of its points, after all its stages."""
    study = load_study(study_file("symmetric_families", root / "config/studies"))
    configurations = tuple(
        configuration
        for configuration in study.configurations
        if configuration.label in {*LABELS, *FURTHER}
    )
    assert len(configurations) == len({*LABELS, *FURTHER})
    return complete(
        dataclasses.replace(study, configurations=configurations),
        tmp_path_factory.mktemp("families"),
    )


def test_every_claim_at_this_scale_is_reproduced(done):
    found = verdicts(done)
    measured = [verdict for verdict in found.values() if verdict != "not_measured"]
    assert set(measured) <= AGREE
    names = {name.split("[")[0] for name, verdict in found.items() if verdict in AGREE}
    assert names == {claim.claim for claim in done.study.settings.claims}


def test_all_runs_reach_one_point_per_family(done):
    found = done.read["symmetric_families"]
    assert float(found["runs_apart"].max()) < 1e-8
    assert float(found["root_error"].max()) < 1e-10
    assert (
        found["eigenvalues"] == [p.settings.model.k**2 for p in done.study.configurations]
    ).all()


def test_certificates_enclose_the_floats(done):
    found = done.read["symmetric_families"]
    assert set(found["proved"].values.tolist()) == {"spurious minimum", "saddle"}
    agree = found["whole_kind"] == [text.removeprefix("spurious ") for text in
                                    found["proved"].values.tolist()]  # fmt: skip
    assert agree.all()
    for name in ("loss", "lowest_eigenvalue"):
        assert (found[f"{name}_low"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_high"]).all()
    # a power of ten in k costs about one digit of the eigenvalue, none of the verdict
    width = (found["lowest_eigenvalue_high"] - found["lowest_eigenvalue_low"]).values
    assert (width < 1e-7 * np.array([p.settings.model.k for p in done.study.configurations])).all()
    assert (found["loss_low"] > 0).all()


def whole(done, label):
    """The point's weight matrix (1, k²) and the whole network's objective."""
    configuration = next(
        configuration for configuration in done.study.configurations if configuration.label == label
    )
    model = configuration.settings.model
    shift = torch.as_tensor(done.read.at("critical_points", label)["shift"].values[:1])
    return objective(model.k, model.k), model.matrix({"shift": shift}).flatten(1)


@pytest.mark.parametrize("label", LABELS)
def test_spectra_and_kinds_are_those_of_the_whole_network(done, label):
    problem, w = whole(done, label)
    assert problem.gradient(w).norm() < 1e-12
    dense = torch.linalg.eigvalsh(problem.hessian(w))[0].numpy()
    at = done.read["symmetric_families"].sel(configuration=label)
    there = at["multiplicity"].values > 0
    repeated = np.repeat(at["eigenvalue"].values[there], at["multiplicity"].values[there])
    np.testing.assert_allclose(repeated, dense, rtol=0, atol=1e-11)
    assert int(at["index"]) == (dense < 0).sum()
    assert str(at["whole_kind"].values) == ("saddle" if dense[0] < 0 else "minimum")
    assert float(at["loss"]) == pytest.approx(float(problem.loss(w)), abs=1e-13)
    k = problem.model.k
    norms = w.reshape(k, k).norm(dim=1).sum()
    assert float(at["norm_surplus"]) == pytest.approx(float(norms) - k, abs=1e-12)


@pytest.mark.parametrize("label", LABELS)
def test_blocks_put_together_are_the_weight_matrix(done, label):
    """Those that a reader of the report follows from width to width."""
    at = done.read["symmetric_families"].sel(configuration=label)
    sizes = at["block_size"].values
    assert at["block"].values.tolist() == ["aligned", "turned"]
    assert int(at["width"]) == sizes.sum() and str(at["kind"].values) == str(
        at["whole_kind"].values
    )
    of = np.repeat([0, 1], sizes)
    built = at["between"].values[of[:, None], of]
    np.fill_diagonal(built, at["own"].values[of])
    _, w = whole(done, label)
    np.testing.assert_array_equal(built, w.reshape(len(of), len(of)).numpy())


def test_the_report_lets_a_reader_follow_the_families(done):
    told = members(done.study, done.read["symmetric_families"])
    names = done.read["symmetric_families"]["family"].values.tolist()
    assert {one["name"] for one in told["families"]} == set(names)
    assert sum(len(one["members"]) for one in told["families"]) == len(names)
    second = next(one for one in told["families"] if one["name"].startswith("type II"))
    kinds = {one["width"]: one["kind"] for one in second["members"]}
    assert (kinds[5], kinds[6]) == ("saddle", "minimum")


@pytest.mark.parametrize("label", LABELS)
def test_split_curvatures_are_those_of_the_whole_network(done, label):
    problem, w = whole(done, label)
    k = problem.model.k
    hessian = problem.hessian(w).reshape(k, k, k, k)
    lowest = [float(torch.linalg.eigvalsh(hessian[i, :, i])[0]) - 0.5 for i in range(k)]
    at = done.read["split_minima"].sel(configuration=label)
    assert float(at["split_curvature"]) == pytest.approx(max(lowest), abs=1e-12)
    assert float(at["split_turned"]) == pytest.approx(lowest[-1], abs=1e-12)


def test_split_networks_are_saddles_with_one_flat_direction_a_neuron(done):
    found = done.read["split_minima"]
    assert set(np.unique(found["students"] - [int(w[2:].split(",")[0]) for w in
                         found["where"].values.tolist()])) == {1, 2}  # fmt: skip
    assert float(found["lowest"].max()) < -0.05
    assert (found["lowest"] <= found["second_variation"] + 1e-13).all()
    assert float(found["split_loss_error"].max()) < 1e-13
    assert float(found["split_gradient_norm"].max()) < 1e-11
    assert float(np.abs(found["split_nullity_excess"]).max()) == 0


def test_two_neurons_to_split_are_different_and_of_the_kinds_asked_for():
    neurons = module("split_minima")._neurons
    assert neurons(("along", "turned"), 6) == [0, 5]
    assert neurons(("turned", "turned"), 6) == [5, 4]
    assert neurons(("along", "along"), 6) == [0, 1]


KNOWN = {6: (-0.11815, -0.09039), 7: (-0.10833, -0.08641), 10: (-0.08662, -0.07688),
         20: (-0.05362, -0.06053)}  # fmt: skip


@pytest.mark.parametrize("k", KNOWN)
def test_known_split_curvatures(done, k):
    at = done.read["split_minima"].sel(configuration=f"k={k},turned=1")
    found = [float(at["split_along"]), float(at["split_turned"])]
    assert found == pytest.approx(KNOWN[k], abs=5.1e-6)


def test_known_sums_of_norms(done):
    found = done.read["symmetric_families"]["norm_surplus"]
    for k, total in ((6, 5.976323), (7, 6.981729), (10, 9.990563), (20, 19.997721)):
        assert k + float(found.sel(configuration=f"k={k},turned=1")) == pytest.approx(
            total, abs=5.1e-7
        )


def test_figures_show_every_family(done):
    figure = registry().get("figures", "family_losses")().draw(done.read)
    (legend,) = figure.legends
    families = set(done.read["symmetric_families"]["family"].values.tolist())
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[-2:] == ["spurious minimum", "saddle"]
    assert len(texts[:-2]) == len(families) == 6


@pytest.mark.parametrize("name", ["symmetric_families", "split_minima"])
def test_another_model_is_refused_before_any_job(name, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "title: t\nruns: 1\nmodel: {name: relu_teacher_student, k: 3, n: 3}\n"
        "initializer: {name: normal, variance: 1, per: one}\noptimizer: newton\n"
        "stop: {gradient_norm: 1.0e-9, steps: 10}\ncertify: {}\n"
        f"analyses: {{{name}: {{{NETWORK if name == 'split_minima' else ''}}}}}\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match=f"analyses.{name}: is about the model 'relu_symmetric"):
        load_study(file)


NETWORK = "network: {name: relu_teacher_student, k: 2, n: 2}"


# The census

CENSUS = """
title: Census
model: {name: relu_teacher_student, k: 7, n: 7}
initializer: {name: given, values: {w: VALUES}}
optimizer: newton
runs: 8
stop: {gradient_norm: 1.0e-12, check_every: 1, steps: 60}
spectrum: {most: 100}
analyses:
  census: {family: {name: relu_symmetric_family, k: 3}}
figures: [census]
"""


def blocks(k, t, a, b, c, d, e, f):
    w = np.full((k, k), float(b))
    w[:, k - t :], w[k - t :, : k - t], w[k - t :, k - t :] = c, d, f
    np.fill_diagonal(w, [a] * (k - t) + [e] * t)
    return w


@pytest.fixture(scope="module")
def census(tmp_path_factory):
    """Starts near the global minimum, types II and A and the family of two turned neurons, each
    in two orders of neurons and inputs."""
    random = np.random.default_rng(1)
    starts = [
        np.eye(7) + 0.001,
        blocks(7, 1, 0.997, -0.035, 0.262, 0.186, -0.633, 0),
        blocks(7, 2, 0.95, -0.1, 0.2815, 0.2146, -0.676, 0.2245),
        blocks(7, 7, 0, 0, 0, 0, -0.7126, 0.2835),
    ]
    starts += [w[random.permutation(7)][:, random.permutation(7)] for w in starts]
    folder = tmp_path_factory.mktemp("census")
    file = folder / "census.yaml"
    values = json.dumps([w.tolist() for w in starts])
    file.write_text(CENSUS.replace("VALUES", values), encoding="utf-8")
    return complete(load_study(file), folder)


def test_census_names_isotropy_and_counts(census):
    found = census.read["census"]
    assert found["isotropy"].values.tolist() == ["S7", "S6 × S1", "S5 × S2", "S7"]
    assert found["turned"].values.tolist() == [0, 1, 2, 7]
    assert found["count"].values.tolist() == [2, 2, 2, 2]
    assert np.diff(found["loss"].values).min() > 0.01
    counts = [sorted(row[row > 0].tolist()) for row in found["multiplicity"].values]
    # the dimensions of the irreducible representations, each as often as it occurs
    assert counts[0] == [1, 1, 6, 6, 14, 21]
    assert counts[1] == sorted([1] * 5 + [5] * 5 + [9, 10])
    assert counts[2] == sorted([1] * 6 + [4] * 5 + [5, 6] + [1] * 4 + [4] * 2)
    assert counts[3] == [1, 1, 6, 6, 6, 14, 15]


def test_census_is_held_against_the_direct_families(census):
    found = census.read["census"]
    turned = found["direct_turned"].values
    assert turned.tolist() == [1, 2, 3, 3, 4, 5, 6, 7]
    assert found["direct_leaning"].values.tolist() == [True] * 3 + [False] * 5
    places = found["direct"].values
    assert places[0] == -1
    assert turned[places[1:]].tolist() == [1, 2, 7]
    assert float(found["direct_loss_error"].item()) < 1e-13
    assert float(found["direct_eigenvalue_error"].item()) < 1e-11
    assert float(found["isotropy_low"].item()) <= 1e-9
    assert float(found["isotropy_high"].item()) >= 1e-3
    # two saddles aside, all spurious runs are in families that were solved
    assert float(found["direct_share"].item()) == 1


def test_census_in_words(census):
    (text,) = census.read["census"]["census"].values.tolist()
    assert "S6 × S1: 2 × F 0.023203" in text
    assert "S5 × S2 (saddle): 2 × F 0.042086" in text
