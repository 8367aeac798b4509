"""Plugins: found, or refused with the file and the reason."""

import importlib.metadata
import sys
import types

import pytest
from pydantic import ValidationError

import nnflow
from nnflow import Model, UserError
from nnflow.interfaces import KINDS
from nnflow.interfaces.registry import FOLDERS_VARIABLE, Registry, plugin_folders, registry

PLUGIN = '''
import nnflow
from nnflow import {base}

class Plugin({base}):
    """A plugin."""
    size: int = 1
    """Its size."""

@nnflow.hookimpl
def {hook}(register):
    register("{name}", Plugin)
'''


def source(name, base="Model", hook="nnflow_register"):
    return PLUGIN.format(name=name, base=base, hook=hook)


def found(plugins):
    return Registry([plugins.path])


def reason(plugins, file):
    """Why a file is refused; the plugin `good` beside it works."""
    plugins.write("models/good.py", source("good"))
    loaded = found(plugins)
    assert set(loaded.problems) == {str(file)}
    assert list(loaded.plugins["models"]) == ["good"]
    return loaded.problems[str(file)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("hook", ["nnflow_register", "nnflow_register_{kind}"])
def test_every_kind_registers_through_the_hook_and_that_of_version_0_1(plugins, kind, hook):
    text = source("mine", kind.__name__, hook.format(kind=kind.kind))
    file = plugins.write(f"{kind.kind}/mine.py", text)
    loaded = found(plugins)
    assert not loaded.problems
    plugin = loaded.get(kind.kind, "mine")
    assert issubclass(plugin, kind)
    assert plugin.name == "mine"
    assert plugin(size=3).size == 3
    assert loaded.source(plugin) == str(file)
    assert plugin.__module__ == f"nnflow_plugins.{kind.kind}.mine"


def test_one_file_may_bring_several_plugins_of_several_kinds(plugins):
    text = source("first") + source("second", "Figure", "nnflow_register_figures").replace(
        "Plugin", "Drawing"
    )
    plugins.write("mixed/both.py", text)
    loaded = found(plugins)
    assert loaded.get("models", "first").kind == "models"
    assert loaded.get("figures", "second").kind == "figures"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def (:\n", "syntax error in line 1: invalid syntax"),
        ("x = 1\n\n  y = 2\n", "syntax error in line 3: unexpected indent"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("from . import _gone\n", "ImportError: cannot import name '_gone'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("", "registers nothing: no function nnflow_register "),
        (source("bad").replace("@nnflow.hookimpl\n", ""), "registers nothing"),
        (source("bad", hook="nnflow_register_model"), "unknown hook 'nnflow_register_model'"),
        (source("bad", hook="nnflow_register_modles"), "unknown hook 'nnflow_register_modles'"),
        (source("bad").replace(", Plugin)", ", Plugin())"), "'bad' is of no kind of plugin"),
        (source("bad").replace(", Plugin)", ", 'Plugin')"), "'bad' is of no kind of plugin"),
        (source("bad").replace("(register)", "(regster)"), "regster"),
        (source("bad").replace('register("bad"', 'register("Bad Name"'), "'Bad Name'"),
        (source("bad").replace("size: int = 1", "size = 1"), "size"),
    ],
)
def test_a_broken_file_is_refused_and_the_others_work(plugins, text, words):
    message = reason(plugins, plugins.write("models/bad.py", text))
    assert words in message
    assert "\n" not in message


def test_a_file_that_is_no_text_is_refused(plugins):
    file = plugins.write("models/bad.py", "")
    file.write_bytes(b"\xff\xfe\x00x = 1")
    assert reason(plugins, file)


def test_a_broken_file_leaves_no_plugin_of_its_own(plugins):
    """Its first plugin is right, its second is not: neither is used."""
    text = (
        source("half") + "\n@nnflow.hookimpl\ndef nnflow_register_figures(register):\n    1 / 0\n"
    )
    assert reason(plugins, plugins.write("models/bad.py", text)) == (
        "ZeroDivisionError: division by zero"
    )


def test_asking_for_a_plugin_of_a_broken_file_tells_why(plugins):
    file = plugins.write("models/valley.py", "def (:\n")
    with pytest.raises(UserError) as caught:
        found(plugins).get("models", "valley")
    assert str(caught.value) == (
        f"model 'valley' can't be used: {file}: syntax error in line 1: invalid syntax"
    )


def test_two_plugins_of_one_name_are_both_refused(plugins):
    first = plugins.write("models/a.py", source("twin"))
    second = plugins.write("models/b.py", source("twin"))
    plugins.write("models/good.py", source("good"))
    plugins.write("optimizers/c.py", source("twin", "Optimizer"))
    loaded = found(plugins)
    expected = f"two models are named 'twin': {first} and {second}; rename one"
    with pytest.raises(UserError) as caught:
        loaded.get("models", "twin")
    assert str(caught.value) == expected
    assert loaded.problems == {str(second): expected}
    assert list(loaded.plugins["models"]) == ["good"]
    assert loaded.get("optimizers", "twin").kind == "optimizers"


def test_a_third_plugin_of_the_name_is_refused_too(plugins):
    files = [plugins.write(f"models/{name}.py", source("twin")) for name in "abc"]
    loaded = found(plugins)
    assert not loaded.plugins["models"]
    with pytest.raises(UserError) as caught:
        loaded.get("models", "twin")
    for file in files:
        assert str(file) in str(caught.value)


def test_one_class_has_one_name(plugins):
    text = source("one") + '    register("two", Plugin)\n'
    message = reason(plugins, plugins.write("models/bad.py", text))
    assert message == "'one' and 'two' are one class; give each name a class of its own"


def test_an_unknown_plugin_names_its_neighbour(plugins):
    plugins.write("models/himmelblau.py", source("himmelblau"))
    loaded = found(plugins)
    with pytest.raises(UserError, match=r"^unknown model 'himelblau' \(did you mean 'himmelblau'"):
        loaded.get("models", "himelblau")
    with pytest.raises(UserError, match=r"^unknown optimizer 'adam'$"):
        loaded.get("optimizers", "adam")


def test_an_unknown_kind_of_plugin_is_named_in_words(plugins):
    with pytest.raises(UserError, match=r"^unknown analysis 'x'$"):
        found(plugins).get("analyses", "x")


def test_underscored_files_are_shared_code(plugins):
    plugins.write("models/_angles.py", "SIZE = 7\n")
    plugins.write("_old/model.py", source("old"))
    text = source("mine").replace("size: int = 1", "size: int = SIZE")
    plugins.write("models/mine.py", "from ._angles import SIZE\n" + text)
    loaded = found(plugins)
    assert not loaded.problems
    assert list(loaded.plugins["models"]) == ["mine"]
    assert loaded.get("models", "mine")().size == 7


def test_folders_do_not_mix(plugins, tmp_path):
    """A user's files may be called like the built-in ones, as shared code too."""
    more = tmp_path / "more" / "models"
    more.mkdir(parents=True)
    text = "from ._shared import SIZE\n" + source("{}").replace("size: int = 1", "size: int = SIZE")
    plugins.write("models/mine.py", text.replace("{}", "first"))
    plugins.write("models/_shared.py", "SIZE = 1\n")
    (more / "mine.py").write_text(text.replace("{}", "second"))
    (more / "_shared.py").write_text("SIZE = 2\n")
    loaded = Registry([plugins.path, tmp_path / "more"])
    assert not loaded.problems
    first, second = (loaded.get("models", name) for name in ("first", "second"))
    assert (first().size, second().size) == (1, 2)
    assert first.__module__ != second.__module__


def test_an_installed_package_registers_through_its_entry_point(plugins, monkeypatch):
    module = types.ModuleType("my_package_models")
    exec(source("installed"), module.__dict__)
    monkeypatch.setitem(sys.modules, "my_package_models", module)
    points = [
        importlib.metadata.EntryPoint("mine", "my_package_models", "nnflow"),
        importlib.metadata.EntryPoint("lost", "no_such_package.models", "nnflow"),
    ]
    monkeypatch.setattr("nnflow.interfaces.registry.entry_points", lambda group: points)
    loaded = found(plugins)
    assert loaded.get("models", "installed").name == "installed"
    assert loaded.problems == {
        "no_such_package.models (installed as lost)": (
            "ModuleNotFoundError: No module named 'no_such_package'"
        )
    }


def test_the_folders_are_the_built_in_one_plugins_and_those_of_the_variable(
    tmp_path, monkeypatch, root
):
    for name in ("plugins", "more", "most"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDERS_VARIABLE, f"{tmp_path}/more:most:{tmp_path}/gone:plugins")
    own = [tmp_path / name for name in ("plugins", "more", "most")]
    assert plugin_folders() == [root / "plugins", *own]


def test_a_study_gets_the_plugin_by_name_or_mapping(plugins):
    plugins.write("models/mine.py", source("mine"))
    registry.cache_clear()

    class Holder(nnflow.Settings):
        model: Model

    assert Holder(model="mine").model.size == 1
    assert Holder(model={"name": "mine", "size": 4}).model.size == 4
    with pytest.raises(ValidationError, match=r"mine: sise: unknown key \(did you mean 'size'\?\)"):
        Holder(model={"name": "mine", "sise": 4})


def test_the_built_in_plugins_all_load(root):
    loaded = Registry([root / "plugins"])
    assert not loaded.problems
    assert all(plugin.__doc__ for kind in loaded.plugins.values() for plugin in kind.values())
    assert "relu_teacher_student" in loaded.plugins["models"]
