"""draw: figures of whatever a study found, also where that is nothing."""

import json
import re

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.draw import draw, set_style
from nnflow.stages.initialize import initialize
from nnflow.stages.opening import open_job
from nnflow.stages.spectrum import spectrum
from nnflow.stages.train import train

FIGURES = (
    "spectrum_ends", "convergence", "hessian_spectra", "loss_trajectories", "training_curves",
)  # fmt: skip


def grid(rates):
    """A study of so many configurations."""
    return f"runs: 1\nsweep: {{optimizer.rate: {[i / 1e4 for i in range(1, rates + 1)]}}}"


STUDIES = {
    "families": "",
    "ends of runs": "spectrum: {at: runs}",
    "nothing is critical": "stop: {steps: 1}\nclassify: {polish: none}",
    "all diverge": "optimizer: {name: gradient_descent, rate: 5}",
    "a grid": grid(32),
}
STUDY = {
    "title": "Himmelblau",
    "model": "{name: himmelblau}",
    "initializer": "{name: uniform_ball, radius: 5}",
    "optimizer": "{name: gradient_descent, rate: 0.005}",
    "runs": "3",
    "stop": "{steps: 300}",
    "figures": json.dumps(FIGURES),
}
SIDE = 3200
"""Most pixels of a side at 200 to the inch: a page of 16 inches."""


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Runs a study up to its figures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)

    def run(changes, only=None):
        own = dict(line.split(": ", 1) for line in changes.splitlines())
        text = "\n".join(f"{key}: {value}" for key, value in {**STUDY, **own}.items())
        (tmp_path / "config/studies/mine.yaml").write_text(text)
        initialize(open_job("initialize", "mine"))
        for stage in (train, classify):
            stage(open_job(stage.__name__, "mine"), 0)
        for dataset in ("training", "critical_points"):
            collect(open_job("collect", "mine"), dataset)
        spectrum(open_job("spectrum", "mine"))
        draw(open_job("draw", "mine"), only)
        return tmp_path / "results/quick/mine/figures"

    return run


@pytest.mark.parametrize("study", STUDIES)
def test_every_general_figure_draws_what_there_is(drawn, study):
    folder = drawn(STUDIES[study])
    for name in FIGURES:
        sides = imread(folder / f"{name}.png").shape[:2]
        assert max(sides) <= SIDE, (name, sides)
        inline = folder.parent / "inline" / f"{name}.txt"
        assert inline.read_text().startswith("data:image/"), "the report holds it"


def test_spectra_along_trajectories_are_refused_in_one_line(drawn):
    study = "spectrum: {at: trace}\ntrace: {weights: 2}\nfigures: [hessian_spectra]"
    with pytest.raises(UserError, match=r"mine.yaml: spectrum.at: trace: this figure shows"):
        drawn(study)


def test_a_grid_is_selected_and_says_so(drawn):
    folder = drawn(grid(12))
    for name, most in (("convergence", 8), ("spectrum_ends", 5)):
        text = (folder / f"{name}.svg").read_text()
        shown = int(re.search(r"(\d+) of 12 configurations", text)[1])
        assert 1 <= shown <= most, name


def test_a_chosen_configuration_is_drawn_and_another_refused(drawn, monkeypatch):
    said, text = [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda axis, *args, **more: said.append(args[2]) or text(axis, *args, **more)
    )
    sweep = grid(12) + "\nfigures: {convergence: {configurations: [%s]}}"
    drawn(sweep % "rate=0.0005")
    assert [word for word in said if word.startswith("rate")] == ["rate = 0.0005"] * 2
    with pytest.raises(UserError, match=r"figures: no configuration 'rate=7'"):
        drawn(sweep % "rate=7")


BROKEN = '''
import nnflow
from nnflow import Figure


class Broken(Figure):
    """Nothing to draw on a logarithmic axis."""

    needs = ("training",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots()
        axes.set_xticks([0.5])
        axes.xaxis.set_major_formatter(lambda value, place: 1 / 0)
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("broken", Broken)
'''


def test_a_figure_that_fails_is_named_and_the_others_are_drawn(drawn, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/broken.py").write_text(BROKEN)
    registry.cache_clear()
    try:
        with pytest.raises(UserError, match=r"figure 'broken'.*ZeroDivisionError") as caught:
            drawn("figures: [broken, convergence]")
        assert "\n" not in str(caught.value)
        assert (tmp_path / "results/quick/mine/figures/convergence.png").exists()
    finally:
        registry.cache_clear()


def test_numbers_along_an_axis_are_text_and_their_power_of_ten_a_formula():
    set_style()
    figure, axis = plt.subplots()
    axis.plot([0, 2e-7], [-1, 1])
    figure.canvas.draw()
    assert [label.get_text() for label in axis.get_yticklabels()][1] == "−1.00"
    assert not any("$" in label.get_text() for label in axis.get_xticklabels())
    assert axis.xaxis.get_offset_text().get_text() == r"$\times\mathdefault{10^{−7}}\mathdefault{}$"
    plt.close(figure)
