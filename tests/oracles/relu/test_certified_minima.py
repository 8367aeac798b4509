"""The study certified_minima, on two of its points, and the plugins it is made of."""

from dataclasses import replace

import numpy as np
import pytest
from studies import AGREE, complete, verdicts

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import check_file
from nnflow.study.loading import load_study, study_file

POINTS = (
    "k=6,n=6",
    "k=8,n=9",
    "k=12,n=14,turned=2,noise=0.01",
    "k=15,n=16,turned=3,surplus=0.1-0.6",
)


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The job of a study of four points."""
    whole = load_study(study_file("certified_minima", root / "config/studies"), "quick")
    configurations = tuple(
        configuration for configuration in whole.configurations if configuration.label in POINTS
    )
    assert len(configurations) == len(POINTS)
    return complete(
        replace(whole, configurations=configurations), tmp_path_factory.mktemp("certified")
    )


def test_claims(done):
    found = verdicts(done)
    measured = {claim for claim, verdict in found.items() if verdict != "not_measured"}
    assert {found[claim] for claim in measured} <= AGREE
    assert found["theorem[k=6,n=6]"] == "proved"
    assert {"theorem[k=6,n=6]", "theorem[k=8,n=9]", "over_loss[k=8,n=9]"} <= measured
    assert f"saddle_eigenvalue[{POINTS[3]}]" in measured


def test_the_file_is_proved_again_on_its_own(done):
    outcomes = list(check_file(done.folder / "certificates.nc"))
    assert len(outcomes) == 4
    assert all(outcome.proved for outcome in outcomes)


def test_columns(done):
    summary = done.read["summary"]
    assert summary["proved_spurious"].values.tolist() == [1, 1, 1, 0]
    assert summary["proved_saddle"].values.tolist() == [0, 0, 0, 1]
    assert summary["unproved"].values.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(summary["spurious_exists"].values, [1, 1, 1, np.nan])
    assert summary["certified_of_spurious"].values[:3].tolist() == [1, 1, 1]
    for name in ("proved_loss", "proved_eigenvalue"):
        low, value, high = (summary[f"{name}{end}"].values for end in ("_low", "", "_high"))
        assert (low[:3] < value[:3]).all()
        assert (value[:3] < high[:3]).all()
        assert np.isnan([low[3], value[3], high[3]]).all()
    assert summary["saddle_eigenvalue_high"].values[3] < 0


def test_the_figure_shows_each_proved_minimum_and_the_published_ones(done):
    import matplotlib.pyplot as plt

    figure = registry().get("figures", "certificates")().draw(done.read)
    (axis,) = figure.axes
    drawn = {bars.get_label(): list(bars[0].get_xdata()) for bars in axis.containers}
    assert drawn == {"n = k, proved": [6], "n = k + 1, proved": [8], "n = k + 2, proved": [12]}
    (published,) = (line for line in axis.lines if line.get_label() == "published")
    assert {6, 8, 10} <= set(published.get_xdata())
    assert figure.get_suptitle().endswith("spurious minima proved")
    plt.close(figure)


def starts(shape, runs=4, **settings):
    law = registry().get("initializers", "turned_neurons")(**settings)
    return law.draw({"w": shape}, Streams(0, "", np.arange(runs), "initialize"))["w"]


def test_starts_are_symmetric_and_run_through_the_lists():
    drawn = starts((7, 5), turned=[1, 2], surplus=[[0.3, -0.4], [0.5, 0.6]])
    assert drawn.shape == (4, 7, 5)
    assert [(run < 0).any(axis=1)[:5].sum() for run in drawn] == [1, 2, 1, 2]
    np.testing.assert_array_equal(drawn[:, 5, 0], [0.3, 0.3, 0.5, 0.5])
    np.testing.assert_array_equal(drawn[:, 6, 4], [-0.4, -0.4, 0.6, 0.6])
    swap = [1, 0, 2, 3, 4]
    np.testing.assert_array_equal(drawn[0][[*swap, 5, 6]][:, swap], drawn[0])
    swap = [0, 1, 2, 4, 3]
    np.testing.assert_array_equal(drawn[1][[*swap, 5, 6]][:, swap], drawn[1])
    noisy = starts((5, 5), noise=0.1)
    assert 0.01 < (noisy - starts((5, 5))).std() < 0.2


def test_starts_that_can_not_be():
    with pytest.raises(UserError, match="at least as many rows"):
        starts((3, 4))
    with pytest.raises(UserError, match="6 of 4 neurons"):
        starts((5, 4), turned=[1, 6])
