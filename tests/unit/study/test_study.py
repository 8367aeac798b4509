"""Study files: what they mean, and the one line that says what is wrong with them."""

import json
from copy import deepcopy

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.errors import UserError
from nnflow.study.loading import load_study
from nnflow.study.sweep import SCALES, label
from nnflow.study.types import Configuration, ConfigurationSettings, RunSlice, Study, StudySettings

PLUGINS = '''
from pydantic import PositiveFloat, PositiveInt
import nnflow
from nnflow import Activation, Analysis, Figure, Initializer, Model, Optimizer

class Bowl(Model):
    """Half the squared norm."""
    k: PositiveInt = 2
    """Dimension."""
    activation: Activation = "tanh"
    """A plugin among the settings."""

class Tanh(Activation):
    """tanh."""

class Normal(Initializer):
    """Normal."""
    variance: PositiveFloat = 1.0
    """Variance."""

class Descent(Optimizer):
    """Steps."""
    rate: PositiveFloat
    """Rate."""
    is_gradient_descent = True

class Jumps(Optimizer):
    """Leaves basins."""
    rate: PositiveFloat = 1.0
    """Rate."""

class Shares(Analysis):
    """Of critical points."""
    needs = ("critical_points",)

class Summed(Analysis):
    """Of another analysis."""
    needs = ("shares",)

class Map(Analysis):
    """Of nothing."""
    size: PositiveInt = 3
    """Size."""

class Curve(Figure):
    """Of the analysis and the summary."""
    needs = ("shares", "summary")
    color: str = "blue"
    """Color."""

class Traces(Figure):
    """Of the training."""
    needs = ("training",)

ALL = {
    "models": {"bowl": Bowl},
    "activations": {"tanh": Tanh},
    "initializers": {"normal": Normal},
    "optimizers": {"descent": Descent, "jumps": Jumps},
    "figures": {"curve": Curve, "traces": Traces},
    "analyses": {"shares": Shares, "summed": Summed, "map": Map},
}
'''
HOOK = """
@nnflow.hookimpl
def nnflow_register_{kind}(register):
    for name, cls in ALL["{kind}"].items():
        register(name, cls)
"""
KINDS = ("models", "activations", "initializers", "optimizers", "figures", "analyses")

STUDY = {
    "title": "A study",
    "seed": 3,
    "model": {"name": "bowl", "k": 2},
    "initializer": "normal",
    "optimizer": {"name": "descent", "rate": 0.1},
    "runs": 10,
    "analyses": ["shares"],
    "figures": {"curve": {"color": "red"}, "traces": None},
}

CLAIM = {"claim": "c", "statement": "s", "source": "t", "value": "v", "published": 1.5}
NAMELESS = {key: value for key, value in CLAIM.items() if key != "claim"}


@pytest.fixture(autouse=True)
def _plugins(plugins):
    plugins.write("mixed/all.py", PLUGINS + "".join(HOOK.format(kind=kind) for kind in KINDS))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a_study.yaml"


def changed(**changes):
    """STUDY with other values, at dotted keys too; None removes a key."""
    study = deepcopy(STUDY)
    for key, value in changes.items():
        at = study
        *parents, last = key.split("__")
        for part in parents:
            at = at.setdefault(part, {})
        if value is None:
            del at[last]
        else:
            at[last] = value
    return study


def load(file, study, scale="quick"):
    file.write_text(study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False))
    return load_study(file, scale)


def complaint(file, study, scale="quick"):
    with pytest.raises(UserError) as caught:
        load(file, study, scale)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def test_a_study_without_a_sweep_has_one_point(file):
    study = load(file, STUDY)
    (configuration,) = study.configurations
    assert (study.name, study.scale, configuration.label, configuration.parameters) == (
        "a_study", "quick", "all", {},
    )  # fmt: skip
    experiment = configuration.settings
    assert type(experiment.model).__name__ == "Bowl"
    assert (experiment.model.k, experiment.optimizer.rate, experiment.runs) == (2, 0.1, 10)
    assert experiment.initializer.variance == 1.0
    assert study.settings.figures["curve"].color == "red"
    assert list(study.settings.figures) == ["curve", "traces"]
    assert study.trains


def test_a_mapping_of_lists_is_a_grid(file):
    study = load(file, changed(sweep={"model.k": [2, 3], "optimizer.rate": [0.1, 0.2]}))
    assert [configuration.label for configuration in study.configurations] == [
        "k=2,rate=0.1", "k=2,rate=0.2", "k=3,rate=0.1", "k=3,rate=0.2",
    ]  # fmt: skip
    last = study.configurations[-1]
    assert last.parameters == {"k": 3, "rate": 0.2}
    assert (last.settings.model.k, last.settings.optimizer.rate) == (3, 0.2)


def test_a_list_of_mappings_lists_the_points(file):
    study = load(file, changed(sweep=[{"model.k": 2, "runs": 5}, {"model.k": 4, "runs": 7}]))
    assert [configuration.label for configuration in study.configurations] == [
        "k=2,runs=5",
        "k=4,runs=7",
    ]
    assert [configuration.settings.runs for configuration in study.configurations] == [5, 7]


def test_a_swept_mapping_is_called_by_what_it_says():
    assert label({"model.settings": {"width": 8, "bias": False}}) == "settings=width-8-bias-False"


def test_a_swept_plugin_keeps_its_whole_key_in_the_label(file):
    study = load(file, changed(optimizer=None, sweep=[{"optimizer.name": "jumps"}]))
    assert study.configurations[0].label == "optimizer.name=jumps"


def test_an_ambiguous_parameter_keeps_its_whole_key(file):
    sweep = [{"classify.most": 1, "spectrum.most": 2}]
    assert "most" in complaint(file, changed(sweep=sweep))  # classify has no such key
    sweep = [{"optimizer.rate": 0.5, "model.k": 3, "stop.steps": 8}]
    assert load(file, changed(sweep=sweep)).configurations[0].label == "rate=0.5,k=3,steps=8"


@given(
    value=st.one_of(
        st.integers(1, 10**6),
        st.floats(1e-300, 1e300),
        st.text(min_size=1, max_size=20),
        st.lists(st.integers(1, 99), min_size=1, max_size=4),
    )
)
def test_labels_are_safe_in_paths_and_netcdf(value):
    name = label({"model.k": value})
    assert name.startswith("k=")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+=,-")


def test_a_scale_overrides_key_by_key_and_its_sweep_as_a_whole(file):
    study = changed(
        sweep={"model.k": [2, 3]},
        scales={"paper": {"runs": 1000, "optimizer": {"rate": 0.5}, "sweep": {"model.k": [9]}}},
    )
    quick, paper = load(file, study, "quick"), load(file, study, "paper")
    assert [p.label for p in quick.configurations] == ["k=2", "k=3"]
    assert [p.label for p in paper.configurations] == ["k=9"]
    assert quick.configurations[0].settings.runs == 10
    experiment = paper.configurations[0].settings
    assert (experiment.runs, experiment.optimizer.rate, experiment.optimizer.name) == (
        1000, 0.5, "descent",
    )  # fmt: skip
    assert paper.settings == quick.settings


def test_a_study_may_begin_at_analyze(file):
    study = load(file, {"title": "Map", "analyses": {"map": {"size": 4}}})
    assert not study.trains
    assert study.settings.analyses["map"].size == 4


def test_one_plugin_may_be_used_under_two_names(file):
    study = load(file, changed(analyses={"shares": None, "again": {"name": "shares"}}))
    assert [plugin.name for plugin in study.settings.analyses.values()] == ["shares", "shares"]


def test_plugins_and_those_among_their_settings(file):
    study = load(file, STUDY)
    assert [plugin.name for plugin in study.plugins("model", "dataset")] == ["bowl", "tanh"]
    assert [plugin.name for plugin in study.plugins("figures")] == ["curve", "traces"]


def test_settings_are_canonical_json_of_the_parts(file):
    study = load(file, STUDY)
    settings = json.loads(study.settings_json("seed", "model"))
    assert settings == {
        "seed": 3,
        "configurations": [
            {"label": "all", "model": {"name": "bowl", "k": 2, "activation": {"name": "tanh"}}}
        ],
    }
    reordered = dict(reversed(STUDY.items()))
    assert load(file, reordered).settings_json("model", "optimizer") == study.settings_json(
        "model", "optimizer"
    )


def test_settings_differ_where_a_part_differs_and_only_there(file):
    first = load(file, STUDY)
    second = load(file, changed(figures__curve__color="green", optimizer__rate=0.2))
    assert first.settings_json("model", "runs") == second.settings_json("model", "runs")
    assert first.settings_json("optimizer") != second.settings_json("optimizer")
    assert first.settings_json("figures") != second.settings_json("figures")


def study_of(runs, batch):
    configurations = tuple(
        Configuration(f"k={i}", {"k": i}, ConfigurationSettings(runs=count))
        for i, count in enumerate(runs)
    )
    return Study("s", "s.yaml", "quick", StudySettings(title="s", batch=batch), configurations)


@given(runs=st.lists(st.integers(1, 50), min_size=1, max_size=6), batch=st.integers(1, 60))
def test_batches_hold_each_run_once_in_order_and_are_full(runs, batch):
    batches = study_of(runs, batch).batches
    sizes = [sum(run_slice.stop - run_slice.start for run_slice in slices) for slices in batches]
    assert all(size == batch for size in sizes[:-1])
    assert 0 < sizes[-1] <= batch
    held = [
        (run_slice.configuration.label, run)
        for slices in batches
        for run_slice in slices
        for run in range(run_slice.start, run_slice.stop)
    ]
    assert held == [(f"k={i}", run) for i, count in enumerate(runs) for run in range(count)]


def test_a_batch_may_cross_points():
    study = study_of([3, 4], batch=5)
    first, second = study.configurations
    assert study.batches == (
        (RunSlice(first, 0, 3), RunSlice(second, 0, 2)),
        (RunSlice(second, 2, 4),),
    )


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (changed(model__name="bowel"), ["model: unknown model 'bowel' (did you mean 'bowl'?)"]),
        (changed(model="himmel"), ["model: unknown model 'himmel' (there are: bowl)"]),
        (changed(model__name=None), ["model: expected a plugin's name"]),
        (changed(model__activation="relu"), ["model: bowl: activation: unknown activation 'relu'"]),
        (changed(tittle="x"), ["tittle: unknown key (did you mean 'title'?)"]),
        (changed(title=None), ["title: this key is missing"]),
        (changed(claims=[{**NAMELESS, "clam": 1}]), ["claims.0.clam: ", "(did you mean 'claim'?)"]),
        (changed(stop={"step": 5}), ["stop.step: unknown key (did you mean 'steps'?)"]),
        (changed(classify={"zero": 5}), ["classify.zero: unknown key"]),
        (changed(model__kk=5), ["model: bowl: kk: unknown key (did you mean 'k'?)"]),
        (changed(optimizer__rate=-0.1), ["optimizer: descent: rate: ", "greater than 0", "-0.1"]),
        (changed(optimizer__rate=float("inf")), ["optimizer: descent: rate: ", "finite"]),
        (changed(optimizer__rate="fast"), ["optimizer: descent: rate: ", "number", "'fast'"]),
        (changed(optimizer__rate=None), ["optimizer: descent: rate: this key is missing"]),
        (changed(runs=0), ["runs: ", "greater than 0", "got 0"]),
        (changed(runs=2.5), ["runs: ", "integer", "2.5"]),
        (changed(seed=-1), ["seed: ", "greater than or equal to 0", "-1"]),
        (changed(stop={"norm": "max"}), ["stop.norm: ", "'frobenius' or 'neuron'", "'max'"]),
        (changed(optimizer=None), ["optimizer: this key is missing"]),
        (changed(initializer=None), ["initializer: this key is missing"]),
        (changed(model=None), ["model: this key is missing"]),
        (changed(optimizer={"name": "jumps"}, stop={"basin": True}), ["stop.basin: ", "'jumps'"]),
        (changed(optimizer={"name": "jumps"}, stop={"loss": 1e-3}), ["stop.loss: ", "'jumps'"]),
        (changed(stop={"basin": True}), ["stop.basin: the model 'bowl' has no third-derivative"]),
        (changed(analyses=["shared"]), ["analyses.shared: unknown analysis 'shared'", "'shares'"]),
        (changed(analyses=["Map"]), ["analyses: ", "'Map' is not a valid name"]),
        (changed(figures={"curve": 3}), ["figures.curve: expected a plugin's name"]),
        (changed(figures={"curve": {"colour": "red"}}), ["figures.curve: curve: colour: unknown"]),
        (changed(analyses=["map"]), ["figures.curve: needs 'shares'", "does not produce", "map"]),
        (changed(analyses=["summed"], figures=[]), ["analyses.summed: needs 'shares'"]),
        ({"title": "t", "figures": ["traces"]}, ["figures.traces: needs 'training'"]),
        ({"title": "t", "analyses": ["shares"]}, ["analyses.shares: needs 'critical_points'"]),
        (changed(sweep=3), ["sweep: expected a mapping of lists, or a list of mappings"]),
        (changed(sweep=[]), ["sweep: expected"]),
        (changed(sweep={"model.k": 3}), ["sweep.model.k: expected a list of values"]),
        (changed(sweep={"model.k": []}), ["sweep.model.k: expected a list of values"]),
        (changed(sweep={"model.k": [2, 2]}), ["sweep: the configuration 'k=2' occurs twice"]),
        (changed(sweep={"initializer.variance": [2]}), ["sweep.initializer.variance: "]),
        (changed(sweep={"model.q": [2]}), ["model: bowl: q: unknown key"]),
        (changed(scales={"big": {}}), ["scales.big: unknown scale"]),
        (changed(scales=["paper"]), ["scales: "]),
        (changed(scales={"quick": 7}), ["scales.quick: "]),
        ("title: [", ["not valid YAML: "]),
        ("just text", ["expected keys and values"]),
        ("", ["expected keys and values"]),
        (changed(sweep={3: [1]}), ["sweep"]),
        (changed(sweep={"title": ["x"]}), ["sweep.title: "]),
        ({**STUDY, 3: 4}, ["3: unknown key"]),
        (changed(claims=[{"claim": "c"}]), ["claims.0.statement: this key is missing"]),
        (changed(claims=[{**CLAIM, "from": 1}]), ["claims.0.from: unknown key"]),
        (changed(claims=[{**CLAIM, "publish": 1}]), ["claims.0.publish: ", "mean 'published'?"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_key_and_reason(file, study, words):
    message = complaint(file, study)
    assert message.startswith(words[0])
    for word in words:
        assert word in message


def test_all_mistakes_are_counted(file):
    assert complaint(file, changed(runs=0, stop={"steps": 0})).endswith("(and 1 more)")


def test_an_unknown_scale(file):
    assert complaint(file, STUDY, "papers") == "scale: unknown scale (did you mean 'paper'?)"


def test_a_missing_study_names_its_neighbours(file):
    load(file, STUDY)
    other = file.with_name("a_studie.yaml")
    with pytest.raises(UserError) as caught:
        load_study(other)
    assert str(caught.value) == f"{other}: no such study (did you mean 'a_study'?)"


def test_a_study_named_in_a_way_that_paths_do_not_bear(file):
    with pytest.raises(UserError, match="'A-Study' is not a valid name"):
        load_study(file.with_name("A-Study.yaml"))


def test_a_study_that_is_no_text(file):
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="can't be read: "):
        load_study(file)


def test_a_broken_plugin_is_named_with_its_reason(file, plugins):
    from nnflow.interfaces.registry import registry

    broken = plugins.write("models/valley.py", "def (:\n")
    registry.cache_clear()
    message = complaint(file, changed(model="valley"))
    assert message == (
        f"model: model 'valley' can't be used: {broken}: syntax error in line 1: invalid syntax"
    )
    assert load(file, STUDY).trains, "the other plugins still work"


def test_the_scales_are_those_that_the_manual_names():
    assert SCALES == ("quick", "paper")


def test_values_that_yaml_reads_as_text_are_numbers(file):
    """YAML 1.1 reads 1e-8 as text; a study means the number."""
    study = load(file, changed(stop={"gradient_norm": "1e-8"}))
    assert study.configurations[0].settings.stop.gradient_norm == np.float64(1e-8)
