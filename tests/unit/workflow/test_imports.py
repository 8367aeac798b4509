"""What files name in import statements."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from nnflow.workflow import imports

TEXT = '''
"""import nothing"""
import a, b.c as d
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import hidden
else:
    from .. import e
def f():
    from .g import (h,
        i as j)
'''
FOUND = (
    ("a", ()),
    ("b.c", ()),
    ("typing", ("TYPE_CHECKING",)),
    ("..", ("e",)),
    (".g", ("h", "i")),
)
ASKING = """
import sys
from pathlib import Path
from nnflow.workflow import imports
if sys.argv[2:]:
    imports._parsed = lambda content: [("never", ())]
print(imports.statements(Path(sys.argv[1])))
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "module.py"
    file.write_text(TEXT)
    return file


def asked(file, *words):
    command = [sys.executable, "-c", ASKING, str(file), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_imports_stand_anywhere_but_below_type_checking(file):
    assert imports.statements(file) == FOUND


def test_what_was_found_is_kept_for_the_next_process_while_the_content_is_the_same(file):
    assert asked(file) == str(FOUND)
    assert asked(file, "without parsing") == str(FOUND)
    file.write_text("import other")
    assert asked(file, "without parsing") == "(('never', ()),)"


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_list_is_made_anew(file, content):
    asked(file)
    (kept,) = (file.parent / "home/.cache/nnflow/imports").iterdir()
    kept.write_text(content)
    assert asked(file) == str(FOUND)
    known = json.loads(kept.read_text())
    kept.write_text(json.dumps({key: [1] for key in known}))
    assert asked(file) == str(FOUND)
    assert len(json.loads(kept.read_text())) == 1


def test_a_home_that_cannot_be_written_to_is_no_error(file, monkeypatch):
    monkeypatch.setenv("HOME", os.devnull)
    assert asked(file) == str(FOUND)
