"""Every column of every analysis is named, with its value, in a fast test on hand-made data."""

import ast

from nnflow.interfaces.registry import registry


def _named_in_tables(test):
    """Analyses that a function of tests names and holds against a whole table of columns."""
    calls = [node for node in ast.walk(test) if isinstance(node, ast.Call)]
    names = {getattr(call.func, "id", "") for call in calls}
    if "assert_columns" not in names:
        return set()
    words = [node for node in ast.walk(test) if isinstance(node, ast.Constant)]
    return {word.value for word in words if isinstance(word.value, str)}


def _slow(test):
    return any("slow" in ast.unparse(mark) for mark in test.decorator_list)


def test_every_analysis_has_a_table_of_its_columns(root):
    """`assert_columns` holds the names against those that the analysis announces."""
    named = set()
    for file in (root / "tests" / "oracles").rglob("test_*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and not _slow(node):
                named |= _named_in_tables(node)
    analyses = {name: kind for name, kind in registry().plugins["analyses"].items() if kind.columns}
    assert set(analyses) - named == set()
    assert len(analyses) > 60
