"""Panels of figures without data: they say so, and are no error."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from nnflow.stages.draw import _save, mark_empty_panels

matplotlib.use("Agg")


@pytest.fixture
def panels():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, sharey=True)
    yield figure, axes
    plt.close(figure)


def words(axis):
    return [text.get_text() for text in axis.texts]


def test_panels_without_finite_data_say_so_and_can_be_saved(panels, tmp_path):
    figure, (first, second, third) = panels
    first.plot([1, 2], [3, 4])
    second.plot([1, 2], [np.nan, np.nan])
    second.axhline(0)
    third.plot([], [], label="a legend's line")
    assert mark_empty_panels(figure) == 2
    assert [words(axis) for axis in (first, second, third)] == [[], *[["nothing to show"]] * 2]
    _save(figure, tmp_path / "figure", ("png", "svg"))
    assert (tmp_path / "figure.svg").read_text().count("nothing to show") >= 2


def test_a_logarithmic_axis_without_positive_numbers_becomes_linear(panels, tmp_path):
    figure, axes = panels
    for axis in axes:
        axis.set(xscale="log", yscale="log")
    axes[0].plot([1, 2], [-1, -2])
    mark_empty_panels(figure)
    assert axes[0].get_yscale() == "linear" and axes[0].get_xscale() == "log"
    assert axes[1].get_xscale() == "linear"
    _save(figure, tmp_path / "figure", ("png",))


def test_a_shared_logarithmic_axis_stays_where_one_panel_has_data(panels):
    figure, axes = panels
    axes[0].set_yscale("log")
    axes[0].plot([1, 2], [3, 4])
    assert mark_empty_panels(figure) == 2
    assert [axis.get_yscale() for axis in axes] == ["log"] * 3


def test_panels_that_are_switched_off_or_hold_words_are_left_alone(panels):
    figure, axes = panels
    axes[0].set_axis_off()
    axes[1].text(0, 0, "a table")
    axes[2].scatter([1], [1])
    assert mark_empty_panels(figure) == 0
