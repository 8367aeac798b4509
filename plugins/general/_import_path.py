"""Objects of the user's own, by import path: `my_nets:SmallCNN`."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from nnflow import UserError

STUDIES = Path("config/studies")
BUILT_IN = Path(__file__).parents[2] / STUDIES
"""The studies that come with nnflow, which a project elsewhere may run, too."""
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _check(path: str) -> str:
    """The path, where it has the form of one and its module can be found. Nothing is imported."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is no import path; write module:Name, such as my_nets:SmallCNN")
    module, _, name = path.partition(":")
    folder = _folder(module)
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:  # os:system and its like: a study file calls what it names
        raise ValueError(
            f"{path!r} is of Python's own library; name a module of yours or of an installed"
            " package"
        )
    if folder is None:
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            raise ValueError(
                f"{path!r}: there is no module {top!r}: neither {top}.py in this folder or beside a"
                f" study in {STUDIES}, nor an installed package of that name"
            )
        return path
    file = module_file(folder, module)
    if file is not None and name not in (names := _names(file)) and "*" not in names:
        known = ", ".join(sorted(names)) or "nothing"
        raise ValueError(f"{path!r}: {file} defines no {name!r} (it has: {known})")
    return path


ImportPath = Annotated[str, AfterValidator(_check)]
"""`module:Name`: of a file or package in the project folder, of a file beside a study, or of an
installed package, in this order."""


def source_files(path: str) -> tuple[Path, ...]:
    """The user's own files that an import path stands for: that of its module, and what that
    imports from the same folder; none of an installed package."""
    module = path.partition(":")[0]
    folder = _folder(module)
    if folder is None:
        return ()
    found, waiting = [], [module_file(folder, module)]
    while waiting:
        file = waiting.pop()
        if file is not None and file not in found:
            found.append(file)
            waiting += [module_file(folder, name) for name in _imported(file)]
    return tuple(found)


def load(path: str) -> Any:
    """The object. Raises UserError where its module can't be imported, or has no such name."""
    module_name, _, name = path.partition(":")
    folder = _folder(module_name)
    if folder is not None:
        _forget_namesakes(folder, module_name)
        # the file may import its neighbours, also later; before a folder that was used earlier
        sys.path[:] = [str(folder), *(known for known in sys.path if known != str(folder))]
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{path}: the module can't be imported: {in_words(error)}") from error
    if not hasattr(module, name):
        raise UserError(f"{path}: the module {module_name!r} has no {name!r}")
    return getattr(module, name)


def call(path: str, settings: dict[str, Any], key: str = "settings") -> Any:
    """What the object gives when it is called with the settings. Raises UserError."""
    target = load(path)
    if not callable(target):
        raise UserError(f"{path}: is no class or function, but {type(target).__name__}")
    try:
        return target(**settings)
    except Exception as error:
        given = ", ".join(settings) or "none"
        raise UserError(
            f"{path}: its constructor fails: {in_words(error)}; see `{key}` (given: {given})"
        ) from error


def in_words(error: BaseException) -> str:
    """An exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def module_file(folder: Path, module: str) -> Path | None:
    """The file of a module below a folder; None where it is a package without __init__.py."""
    place = folder.joinpath(*module.split("."))
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def _folder(module: str) -> Path | None:
    """The folder that has a module of the user's own: the project's, or one with studies."""
    top = module.partition(".")[0]
    found = _having(module, Path(), STUDIES) or _having(module, BUILT_IN)
    if len(found) > 1:
        both = " and ".join(str(folder) for folder in found[:2])
        raise ValueError(f"the module {top!r} is in {both}; rename one")
    return found[0] if found else None


def _having(module: str, *folders: Path) -> list[Path]:
    """Of these folders, and of those of subjects below the last one, those that have the module."""
    subjects = sorted(folder for folder in folders[-1].rglob("*") if folder.is_dir())
    return [
        folder.resolve()
        for folder in (*folders, *subjects)
        if module_file(folder, module) is not None
    ]


def _forget_namesakes(folder: Path, module: str) -> None:
    """Drop an imported module of the same name that came from elsewhere."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is not None and not Path(file).resolve().is_relative_to(folder):
        for name in [name for name in sys.modules if name.partition(".")[0] == top]:
            del sys.modules[name]


def _imported(file: Path) -> set[str]:
    """The modules that a file imports, and what may be one."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names.update({base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)})
    return names - {""}


def _names(file: Path) -> set[str]:
    """The names that a file defines or imports at its top level, also under an if or a try; "*"
    among them where it imports all of another module."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise ValueError(f"{file}: syntax error in line {error.lineno}: {error.msg}") from None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(a.asname or a.name.partition(".")[0] for a in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
