"""Derived studies: the setting is changed at both scales, claims go, other files stay."""

import pytest
import yaml

from nnflow.base.errors import UserError
from nnflow.study.loading import load_study
from nnflow.workflow.derive import derive, parsed


@pytest.fixture
def studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    return tmp_path / "config/studies"


def test_values_are_yaml():
    assert parsed(["optimizer.rate=0.05", "runs=7", "model.name=mlp"]) == {
        "optimizer.rate": 0.05,
        "runs": 7,
        "model.name": "mlp",
    }


def test_values_are_read_as_in_study_files():
    """YAML 1.1 reads these as text and as a boolean."""
    assert parsed(["optimizer.rate=1e-4", "title=yes"]) == {"optimizer.rate": 1e-4, "title": "yes"}


@pytest.mark.parametrize("text", ["rate", "=3", "rate=", "rate={", "runs=010", "runs=1:30"])
def test_what_is_no_assignment(text):
    with pytest.raises(UserError, match="--set"):
        parsed([text])


def test_both_scales_get_the_setting_and_no_claims(studies):
    file = derive("toy_valley", {"optimizer.rate": 0.05, "runs": 7}, "fast")
    for scale in ("quick", "paper"):
        study = load_study(file, scale)
        assert study.settings.claims == []
        for configuration in study.configurations:
            assert configuration.settings.optimizer.rate == 0.05
            assert configuration.settings.runs == 7
    assert load_study(file).settings.title == load_study(studies / "fast.yaml").settings.title
    assert file.read_text().startswith("# Derived from ")


def test_keys_stay_in_their_order(studies):
    (studies / "plain.yaml").write_text(
        "title: t\nmodel: {name: toy_valley, epsilon: 0.5}\ninitializer: normal\n"
        "optimizer: {name: gradient_descent, rate: 0.1}\nbatch: 7\n"
    )
    found = yaml.safe_load(derive("plain", {"batch": 9}, "other").read_text())
    assert list(found) == ["title", "model", "initializer", "optimizer", "batch"]
    assert list(found["model"]) == ["name", "epsilon"]


def test_a_setting_that_the_study_does_not_name(studies):
    """It is added, with the key above it."""
    (studies / "plain.yaml").write_text(
        "title: t\nmodel: {name: toy_valley, epsilon: 0.5}\ninitializer: normal\n"
        "optimizer: {name: gradient_descent, rate: 0.1}\nscales: {paper: {runs: 7}}\n"
    )
    file = derive("plain", {"trace.weights": 5, "stop.steps": 9}, "other")
    for scale in ("quick", "paper"):
        (configuration,) = load_study(file, scale).configurations
        assert configuration.settings.trace.weights == 5 and configuration.settings.stop.steps == 9


def test_a_setting_of_a_plugin_written_by_its_name_alone(studies):
    (studies / "plain.yaml").write_text(
        "title: t\nmodel: toy_valley\ninitializer: normal\n"
        "optimizer: {name: gradient_descent, rate: 0.1}\n"
    )
    derive("plain", {"model.epsilon": 0.5}, "other")
    assert yaml.safe_load((studies / "other.yaml").read_text())["model"] == {
        "name": "toy_valley",
        "epsilon": 0.5,
    }


def test_a_derived_study_may_be_derived_anew_and_nothing_else_is_replaced(studies):
    derive("toy_valley", {"runs": 7}, "fast")
    derive("toy_valley", {"runs": 8}, "fast")
    assert load_study(studies / "fast.yaml").configurations[0].settings.runs == 8
    (studies / "mine.yaml").write_text("title: mine\n")
    with pytest.raises(UserError, match="no derived study"):
        derive("toy_valley", {"runs": 8}, "mine")
    assert (studies / "mine.yaml").read_text() == "title: mine\n"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer.rate": -1}, "rate: Input should be greater than 0"),
        ({"optimizer.rat": 1}, "rat"),
        ({"rins": 1}, "rins"),
        ({"runs.more": 1}, "'runs' has no keys of its own"),
    ],
)
def test_a_mistake_leaves_the_folder_as_it_was(studies, settings, words):
    with pytest.raises(UserError, match=words):
        derive("toy_valley", settings, "fast")
    assert list(studies.iterdir()) == []


def test_a_swept_setting_is_refused(studies):
    with pytest.raises(UserError, match="the study sweeps it"):
        derive("spurious_minima", {"model.k": 6}, "fast")
