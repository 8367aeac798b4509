"""New plugins, studies and packages to start from: each works as it is written."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.settings import NAME
from nnflow.interfaces.registry import registry

TEMPLATES = Path(__file__).with_name("templates")
FOLDERS = {
    "model": "models",
    "optimizer": "optimizers",
    "initializer": "initializers",
    "dataset": "datasets",
    "loss": "losses",
    "activation": "activations",
    "analysis": "analyses",
    "figure": "figures",
}
"""Kinds of plugins, and the folders of plugins/ that they go into."""


def new_plugin(kind: str, name: str, folder: Path) -> Path:
    """Write plugins/<kinds>/NAME.py, a plugin that works, and config/studies/NAME.yaml, a study
    that runs it, into `folder`. Returns the plugin's file.

    Raises UserError for a name that can't be used and for files that exist; nothing is
    written then.
    """
    check_new_name(name)
    plugin = folder / "plugins" / FOLDERS[kind] / f"{name}.py"
    study = _study(name, folder)
    _refuse_existing(plugin, study)
    taken = registry().plugins[FOLDERS[kind]].get(name)
    if taken is not None:
        article = "an" if kind[0] in "aio" else "a"
        source = registry().source(taken)
        raise UserError(
            f"{source}: has {article} {kind} named {name!r} already; choose another name"
        )
    _write(TEMPLATES / "plugins" / f"{kind}.txt", plugin, name)
    _write(TEMPLATES / "studies" / f"{kind}.txt", study, name)
    return plugin


def new_study(name: str, folder: Path) -> Path:
    """Write config/studies/NAME.yaml, a study that runs, into `folder`; returns it. Raises
    UserError as `new_plugin` does."""
    check_new_name(name)
    study = _study(name, folder)
    _refuse_existing(study)
    _write(TEMPLATES / "studies" / "study.txt", study, name)
    return study


def new_package(name: str, folder: Path) -> list[Path]:
    """Write the folder NAME, a package of plugins that pip installs and nnflow finds, into
    `folder`; returns its files. Raises UserError as `new_plugin` does."""
    check_new_name(name)
    home = folder / name
    written = {
        home / "pyproject.toml": TEMPLATES / "package" / "pyproject.toml.txt",
        home / "README.md": TEMPLATES / "package" / "README.md.txt",
        home / "src" / name / "plugins.py": TEMPLATES / "plugins" / "model.txt",
        home / "tests" / f"test_{name}.py": TEMPLATES / "package" / "test.txt",
    }
    _refuse_existing(home)
    for file, template in written.items():
        _write(template, file, name)
    start = home / "src" / name / "__init__.py"
    store.write_text(start, f'"""{_title(name)}: plugins for nnflow."""\n')
    return sorted([*written, start])


def check_new_name(name: str) -> None:
    """Raise UserError for a name that a plugin, a study or a package can't have."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} is not a valid name (lower-case letters, digits and _, a letter first,"
            " no word of Python)"
        )


def _study(name: str, folder: Path) -> Path:
    return folder / "config" / "studies" / f"{name}.yaml"


def _refuse_existing(*files: Path) -> None:
    for file in files:
        if file.exists():
            raise UserError(f"{file}: exists; choose another name")


def _title(name: str) -> str:
    return " ".join(word for word in name.split("_") if word).capitalize()


def _write(template: Path, file: Path, name: str) -> None:
    text = template.read_text(encoding="utf-8")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    if re.search(rf"import.*\b{class_name}\b", text):  # the file's own imports keep their names
        class_name = f"Own{class_name}"
    replaced = {"CLASS": class_name, "TITLE": _title(name), "NAME": name}
    store.write_text(file, re.sub("CLASS|TITLE|NAME", lambda found: replaced[found[0]], text))
