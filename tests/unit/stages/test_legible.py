"""legible: what a reader of a printed page objects to, on figures that are made to have it."""

import matplotlib
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nnflow.stages.draw import set_style
from nnflow.stages.legible import complaints, contrast, smallest_type


@pytest.fixture(autouse=True)
def house():
    set_style()
    yield
    plt.close("all")


def figure(width=3.3):
    made, axis = plt.subplots(figsize=(width, 2.5))
    axis.plot([1, 2], [1, 2])
    axis.set(xlabel="step", ylabel="loss")
    return made, axis


def said(made):
    FigureCanvasAgg(made).draw()
    return complaints(made)


@pytest.mark.parametrize("width", [3.3, 5.0, 6.75])
def test_nothing_is_said_of_a_figure_that_keeps_the_rules(width):
    made, axis = figure(width)
    axis.set(xscale="log", yscale="log", title="a result")
    axis.plot([], [], label="$w_1^2$")
    axis.legend()
    assert said(made) == []


@pytest.mark.parametrize("width", [3.2, 7.2])
def test_other_widths(width):
    assert said(figure(width)[0]) == [f"{width:.2f} inches wide, not 3.3, 5.0, 6.75"]


def test_small_type_and_small_exponents():
    made, axis = figure()
    axis.text(1.2, 1.8, "small", fontsize=5.5)
    axis.text(1.2, 1.2, "$x^2$", fontsize=6.5)
    axis.text(1.5, 1.5, r"$\sqrt{2}$", fontsize=7)
    assert said(made) == ["'small' has type of 5.5 pt", "'$x^2$' has type of 5.6 pt"]


@pytest.mark.parametrize(
    ("color", "said_of_it"),
    [("0.46", []), ("0.47", ["'word' has a contrast of 4.4, less than 4.5"]), ("white", []),
     ("C0", []), ("C1", ["'word' has a contrast of 2.1, less than 4.5"])],
)  # fmt: skip
def test_pale_type(color, said_of_it):
    """0.46 is grey 117, whose contrast to white is 4.61, 0.47 is 120 with 4.42. White type is for
    dark cells."""
    made, axis = figure()
    axis.text(1.2, 1.8, "word", color=color)
    assert said(made) == said_of_it


def test_contrast_is_that_of_the_guidelines():
    assert contrast("black", "white") == contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.005)  # WebAIM's example


def test_the_size_of_exponents_is_measured():
    text = figure()[1].text(1, 1, "one\n$x^{y^z}$", fontsize=10)
    assert smallest_type(text) == pytest.approx(10 * 0.86**2)
    assert smallest_type(figure()[1].text(1, 1, r"costs 5\$", fontsize=10)) == 10


def test_texts_over_one_another():
    made, axis = figure()
    axis.text(1.5, 1.5, "first")
    second = axis.text(1.52, 1.5, "second")
    assert said(made) == ["'first' lies over 'second'"]
    second.set_position((1.5, 1.2))
    assert said(made) == []


def test_texts_beyond_the_edge():
    made, _ = figure()
    made.text(0.95, 0.5, "too long for its place")
    assert "'too long for its place' lies beyond the edge" in said(made)


def test_what_is_not_seen_is_no_matter():
    made, axis = figure()
    axis.text(1.5, 1.5, "first")
    axis.text(1.5, 1.5, "hidden").set_visible(False)
    axis.text(1.5, 1.5, " ")
    inset = axis.inset_axes((0.1, 0.6, 0.2, 0.2))
    inset.set_axis_off()
    inset.set_xlabel("first")
    # ticks beyond the view keep their labels, and are not drawn
    axis.set_xticks([1, 1.001, 1.5, 40], ["one", "", "half", "far away"])
    axis.set_xlim(1, 2)
    assert said(made) == []


def test_ticks_beside_zero_on_a_logarithmic_axis_are_not_taken_for_seen():
    made, axis = figure()
    axis.plot([1, 2], [1e-15, 1e3])
    axis.set_yscale("log")
    assert said(made) == []
