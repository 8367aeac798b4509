"""config/README.md and docs/reference/ agree with the code that they describe."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, PositiveInt

import nnflow
from nnflow.base.settings import Settings
from nnflow.checks import manual
from nnflow.engine.critical import KINDS
from nnflow.interfaces import Activation
from nnflow.interfaces.registry import registry
from nnflow.study.claims import VERDICTS
from nnflow.study.loading import load_study
from nnflow.study.sweep import combinations, label
from nnflow.workflow.config import KEYS


@pytest.fixture
def text(root, monkeypatch):
    """All pages of the manual, one after the other, with the plugins of the repository."""
    monkeypatch.chdir(root)
    monkeypatch.delenv("NNFLOW_PLUGINS", raising=False)
    registry.cache_clear()
    yield "\n".join(page.read_text(encoding="utf-8") for page in manual.pages())
    registry.cache_clear()


def blocks(text: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_tables_are_those_of_the_code(text):
    old = [page for page in manual.pages()
           if manual.refreshed(shown := page.read_text(encoding="utf-8")) != shown]  # fmt: skip
    assert old == [], "`python -m nnflow.checks.manual` brings these pages up to date"


def test_every_table_and_every_plugin_is_there(text):
    assert set(re.findall(r"<!-- table (\w+) -->", text)) == {*manual.TABLES, *manual.LISTS}
    for kind, named in registry().plugins.items():
        for name in named:
            assert re.search(rf"\[`{name}`\]\(\.\./\.\./plugins/\S*/{kind}/", text)


def test_every_export_every_hook_and_every_command_is_there(text):
    entries = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    assert entries >= {*nnflow.__all__, "nnflow_register"}
    assert {"nnflow run", "nnflow new model", "nnflow certificate check"} <= entries
    assert all(f"**`{method}(" in text for method in ("loss", "step", "compute", "draw"))


@pytest.mark.parametrize("words", [KEYS, VERDICTS, KINDS], ids=["config", "verdicts", "kinds"])
def test_every_word_is_explained(text, words):
    assert [word for word in words if f"`{word}`" not in text] == []


def test_its_study_is_valid(text, tmp_path):
    file = tmp_path / "example.yaml"
    file.write_text(blocks(text)[0], encoding="utf-8")
    assert load_study(file).configurations[0].label == "all"


def test_its_sweeps_give_the_labels_it_says(text):
    swept = [block for block in blocks(text) if block.startswith("sweep:")]
    assert len(swept) == 3
    for block in swept:
        labels = [label(parameters) for parameters in combinations(yaml.safe_load(block)["sweep"])]
        promised = re.findall(r"\w+=[\w.,=]*\w", block.splitlines()[0])
        assert promised == labels[: len(promised)] and len(promised) > 1


def test_its_other_examples_are_valid(text, tmp_path, monkeypatch):
    """Each part, put into the study of the first example; the claims are of several studies, whose
    analyses it has not."""
    monkeypatch.setattr("nnflow.study.study_checks._check_claims", lambda study: None)
    study = yaml.safe_load(blocks(text)[0])
    for number, block in enumerate(blocks(text)[1:]):
        file = tmp_path / f"part{number}.yaml"
        part = yaml.safe_load(block)
        if "model.k" in str(part):
            part["model"] = {"name": "relu_teacher_student", "k": 2, "n": 2}
        if "optimizer" in study and "sweep" in part:
            part["optimizer"] = {"name": "gradient_descent", "rate": 0.1}
        file.write_text(yaml.safe_dump({**study, **part}), encoding="utf-8")
        for scale in ("quick", "paper"):
            load_study(file, scale)


class Example(Settings):
    """Keys of many types."""

    count: PositiveInt
    """a | b"""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Uses `<x>` and <y>."""
    rule: Literal["one", "two"] | None = None
    sigma: Activation | None = None
    names: list[str] = ["p"]


def test_what_a_table_says():
    assert manual.keys(Example).splitlines()[2:] == [
        "| `count` | whole number > 0 | required | a \\| b |",
        "| `share` | number ≥ 0, \\< 1 | `0.5` | Uses `<x>` and \\<y>. |",
        "| `rule` | `one` or `two` or null | `null` |  |",
        "| `sigma` | plugin (activations) or null | `null` |  |",
        "| `names` | list of: text | `[p]` |  |",
    ]
    assert manual.keys(Example, base=Example) == ""


def test_only_tables_are_touched():
    text = "before\n<!-- table correction -->\nold\n<!-- end -->\nafter\n"
    new = manual.refreshed(text)
    assert new.startswith("before\n<!-- table correction -->\n") and "old" not in new
    assert new.endswith("<!-- end -->\nafter\n")
    with pytest.raises(KeyError):
        manual.refreshed(text.replace("correction", "nothing"))
