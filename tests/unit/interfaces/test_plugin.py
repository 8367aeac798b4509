"""What a plugin is made of."""

from pathlib import Path

from nnflow.base.settings import Settings
from nnflow.interfaces import Activation, Analysis
from nnflow.interfaces.plugin import files_of


class Part(Settings):
    activation: Activation


class Whole(Analysis):
    alone: Activation
    listed: list[Part] = []
    named: dict[str, Part] = {}


def test_plugins_among_settings_are_found_at_any_depth():
    """Their files are part of what a result depends on."""
    whole = Whole(
        alone="tanh", listed=[{"activation": "relu"}], named={"one": {"activation": "gelu"}}
    )
    assert [part.name for part in whole.plugins()][1:] == ["tanh", "relu", "gelu"]


class Inner(Settings):
    table: str = "table.csv"


class Told(Analysis):
    text: str = "relu"
    inner: Inner = Inner()
    listed: list[str] = ["other.csv", "missing.csv", "x" * 5000, "a\0b", "", ".", "folder"]
    named: dict[str, Path] = {"folder": Path("folder"), "here": Path()}
    curve: Activation = "tanh"

    def files(self, folder):
        return (folder / "own.csv",)


def test_files_are_those_that_settings_name_too(tmp_path, monkeypatch):
    """Texts name files alone, paths also folders; what is no path is none."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    for folder in (data, tmp_path / "folder"):
        folder.mkdir()
    for file in (data / "table.csv", data / "own.csv", Path("other.csv"), Path("tanh")):
        file.write_text("1")
    found = files_of(Told(), data)
    assert found == (data / "own.csv", data / "table.csv", Path("other.csv"), Path("folder"))
    assert files_of(Told(), None) == (Path("other.csv"), Path("folder"))
