"""No way from a file or a name to code, but for plugins, which are code."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
import yaml

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import Registry, plugin_folders, registry
from nnflow.study.loading import load_study
from nnflow.study.sweep import read_yaml
from nnflow.workflow.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [
    file for folder in ("nnflow", "plugins", "benchmarks") for file in (ROOT / folder).rglob("*.py")
]
RULES = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
REFUSED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
REFUSED_CALLS = {
    "eval", "exec", "compile", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all",
    "torch.load", "os.system", "os.popen", "pd.read_pickle", "pandas.read_pickle",
}  # fmt: skip
REFUSED_KEYWORDS = {"shell", "allow_pickle"}


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def only_weights(name: str, call: ast.Call) -> bool:
    """Is it torch.load(…, weights_only=True), which reads tensors and nothing else?"""
    words = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
    return name == "torch.load" and words.get("weights_only") is True


def dangers(text: str) -> list[str]:
    """What a Python file does that could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [name for name in names if name.split(".")[0] in REFUSED_MODULES]
        elif isinstance(node, ast.Call):
            found += [
                name
                for name in [dotted(node.func)]
                if name in REFUSED_CALLS and not only_weights(name, node)
            ]
            found += [
                f"{word.arg}=True"
                for word in node.keywords
                if word.arg in REFUSED_KEYWORDS and getattr(word.value, "value", True)
            ]
    return found


def test_no_file_runs_what_it_reads():
    assert len(PYTHON) > 50
    found = {str(file): dangers(file.read_text(encoding="utf-8")) for file in PYTHON}
    assert {file: what for file, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "yaml.load(x)", "eval(x)", "torch.load(f)",
     "torch.load(f, weights_only=False)",
     "subprocess.run(x, shell=True)", "np.load(f, allow_pickle=True)"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text):
    assert len(dangers(text)) == 1


def test_rules_put_no_free_text_into_a_shell():
    """What stands in a shell command: names that are checked, numbers, and quoted paths."""
    allowed = {
        "wildcards.study", "wildcards.scale", "wildcards.batch", "resources.gpu",
        "wildcards.analysis", "wildcards.part",
        "params.study", "params.studies", "log:q",
    }  # fmt: skip
    import re

    found = set()
    for file in RULES:
        found |= set(re.findall(r"\{\{([\w.:]+)\}\}", file.read_text(encoding="utf-8")))
    assert found - {"scale", "study", "batch", "analysis", "part"} <= allowed


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [touch pwned]", "a: !x b"])
def test_yaml_makes_no_objects(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="not valid YAML"):
        read_yaml(file)
    assert not (tmp_path / "pwned").exists()
    assert yaml.safe_load("a: 1") == {"a": 1}


HOSTILE = ["x;touch pwned", "../x", "$(touch pwned)", "a b", "/etc/passwd", "x\ny", "{input}", "-x"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_study_has_a_plain_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not a valid name"):
        Plan.from_config({"studies": name})
    with pytest.raises(UserError, match="not a valid name"):
        Plan((name,)).loaded  # noqa: B018
    with pytest.raises(UserError, match="not a valid name"):
        load_study(Path("config/studies") / f"{os.path.basename(name)};.yaml")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("results", ["{study}", "a\nb", "", 7])
def test_results_that_snakemake_would_misread(tmp_path, monkeypatch, results):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"config.yaml: results: "):
        Plan.from_config({"studies": "x", "results": results})


@pytest.fixture
def other_plugins():
    """Plugins of other folders may be loaded; the project's are loaded anew afterwards."""
    registry.cache_clear()
    yield
    registry.cache_clear()


def test_plugins_come_from_named_folders_only(tmp_path, monkeypatch, other_plugins):
    """Neither a study nor a file beside plugins/ brings code in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNFLOW_PLUGINS", raising=False)
    for place in ("models", "elsewhere/models", "plugins/_shared", "results/plugins/models"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "evil.py").write_text(
            "import pathlib\n\npathlib.Path('pwned').touch()\n"
        )
    assert plugin_folders() == [ROOT / "plugins", tmp_path / "plugins"]
    Registry(plugin_folders())
    assert not (tmp_path / "pwned").exists()
    monkeypatch.setenv("NNFLOW_PLUGINS", str(tmp_path / "elsewhere"))
    own = [tmp_path / "plugins", tmp_path / "elsewhere"]
    assert plugin_folders() == [ROOT / "plugins", *own]
    Registry(plugin_folders())
    assert (tmp_path / "pwned").exists()
