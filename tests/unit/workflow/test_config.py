"""config/config.yaml: what it may say, and where results and data lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnflow.base.errors import UserError
from nnflow.workflow.config import (
    Config,
    checked_config,
    checkpoint_interval,
    data_folder,
    read_config,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNFLOW_DATA", raising=False)
    monkeypatch.delenv("NNFLOW_CHECKPOINT", raising=False)
    return tmp_path


def test_what_is_not_said_has_a_default(folder):
    expected = Config(("b", "a"), "quick", Path("results"), folder / "data")
    assert checked_config({"studies": ["b", "a", "b"], "data": str(folder / "data")}) == expected
    said = {"studies": "b,a", "scale": "paper", "results": "out", "data": "x"}
    assert checked_config(said) == Config(("b", "a"), "paper", Path("out"), Path("x"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"studys": ["one"]}, ["studys", "did you mean 'studies'"]),
        ({"studies": ["one"], "scale": "quik"}, ["scale", "'quik'"]),
        ({"studies": []}, ["studies", "expected a list"]),
        ({}, ["studies", "expected a list"]),
        ({"studies": {"one": 1}}, ["studies", "expected a list"]),
        ({"studies": ["one"], "results": ""}, ["results", "expected a folder"]),
        ({"studies": ["one"], "results": 3}, ["results", "expected a folder (got 3)"]),
        ({"studies": ["one"], "results": "a{b"}, ["results", "braces"]),
        ({"studies": ["one"], "results": "a\tb"}, ["results", "control characters"]),
        ({"studies": ["one"], "results": "."}, ["results", "the project's own folder"]),
        ({"studies": ["one"], "checkpoint": 0}, ["checkpoint", "more than 0 (got 0)"]),
        ({"studies": ["one"], "checkpoint": "inf"}, ["checkpoint", "(got 'inf')"]),
        ({"studies": ["one"], "checkpoint": []}, ["checkpoint", "(got [])"]),
    ],
)
def test_mistakes_are_told_by_key(config, words):
    with pytest.raises(UserError) as error:
        checked_config(config)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_results_that_are_a_file(folder):
    (folder / "results").write_text("mine")
    with pytest.raises(UserError, match="results is a file"):
        checked_config({"studies": ["one"]})
    assert (folder / "results").read_text() == "mine"


def test_no_configuration_and_broken_ones(folder):
    assert read_config() == {}
    (folder / "config").mkdir()
    file = folder / "config" / "config.yaml"
    for text, found in (("", {}), ("scale: paper", {"scale": "paper"})):
        file.write_text(text, encoding="utf-8")
        assert read_config() == found
    for text, reason in (("a: [", "not valid YAML"), ("[a]", "expected keys and values")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=rf"config/config\.yaml: {reason}"):
            read_config()


def test_the_home_folder_is_spelled_with_a_tilde(monkeypatch, folder):
    """Never a folder of that name, which invites to remove ~."""
    monkeypatch.setenv("HOME", str(folder))
    config = checked_config({"studies": ["one"], "results": "~/out", "data": "~/data"})
    assert (config.results, config.data) == (folder / "out", folder / "data")


def test_where_data_lie(monkeypatch, folder):
    """The option goes before the variable, and that before the key."""
    config = {"data": "key"}
    assert data_folder(None, config) == Path("key")
    monkeypatch.setenv("NNFLOW_DATA", "variable")
    assert data_folder(None, config) == Path("variable")
    assert data_folder(Path("option"), config) == Path("option")


def test_where_there_is_no_home_folder(monkeypatch):
    """As in a container that runs under a bare number: only what needs the cache is refused."""

    def homeless(name):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("pooch.os_cache", homeless)
    assert data_folder(None, {}) is None
    assert checked_config({"studies": ["one"]}).data is None


def test_seconds_between_checkpoints(monkeypatch):
    assert checkpoint_interval({}) == 300.0
    assert checkpoint_interval({"checkpoint": 20}) == 20.0
    monkeypatch.setenv("NNFLOW_CHECKPOINT", "5")
    assert checkpoint_interval({"checkpoint": 20}) == 5.0
    monkeypatch.setenv("NNFLOW_CHECKPOINT", "soon")
    with pytest.raises(UserError, match=r"expected seconds, more than 0 \(got 'soon'\)"):
        checkpoint_interval({})
