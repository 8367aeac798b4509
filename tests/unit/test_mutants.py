"""The sample of mutants: what is changed, what is left alone, and who sees it."""

import ast
from pathlib import Path

import mutants
import pytest

SOURCE = '''
"""What 1 is."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import a.b

LIMIT: Literal[1] = 2.0


class Some:
    """Two is 2."""

    @decorated(3)
    def work(self, values: list[4], é=True) -> Tuple[5]:
        """Do 6."""
        if values[0] < 7 and not é:
            self.count -= abs(min(values))
            print(f"{values:8}")
        return "9" if é else -values.argmax()
'''
EXPECTED = {
    "2.0": "4.0",
    "True": "False",
    "values[0] < 7 and not é": "(values[0] < 7 or (not é))",
    "values[0] < 7": "(values[0] <= 7)",
    "0": "1",
    "7": "8",
    "not é": "é",
    "self.count -= abs(min(values))": "pass",
    "abs(min(values))": "min(values)",
    "min": "max",
    'print(f"{values:8}")': "pass",
    '"9" if é else -values.argmax()': "(-values.argmax() if é else '9')",
    "-values.argmax()": "values.argmax()",
    "values.argmax": "(values.argmin)",
}


def test_every_change_and_no_other():
    found = {one.old: one.new for one in mutants.mutants(Path("some.py"), SOURCE.encode())}
    simple = {old: new.replace("(not é)", "not é") for old, new in found.items()}
    assert simple == {old: new.replace("(not é)", "not é") for old, new in EXPECTED.items()}


def test_a_change_leaves_the_rest_of_the_file_as_it_is():
    for one in mutants.mutants(Path("some.py"), SOURCE.encode()):
        changed = one.applied(SOURCE.encode()).decode()
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCE))
        assert len(changed) - len(SOURCE) == len(one.new) - len(one.old)
        assert SOURCE.splitlines()[one.line - 1] not in changed.splitlines() or "\n" in one.old


def test_every_mutant_of_the_repository_is_python(root):
    """Of a few modules with all kinds of statements."""
    for name in ("nnflow/engine/training.py", "nnflow/study/verdicts.py", "nnflow/base/store.py"):
        source = (root / name).read_bytes()
        for one in mutants.mutants(Path(name), source):
            ast.parse(one.applied(source))


def test_the_tests_of_a_module_name_it_or_what_imports_it():
    nearest, naming, importing = mutants.rings(Path("nnflow/engine/basin.py"))
    assert [file.name for file in nearest] == ["test_basin.py"]
    assert "test_training.py" in {file.name for file in importing}
    assert not set(nearest) & set(naming) and not set(importing) & {*nearest, *naming}
    nearest, *_ = mutants.rings(Path("plugins/general/analyses/spectrum_ends.py"))
    assert [file.name for file in nearest] == ["test_general_columns.py"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A module with one test, which never looks at `loose`."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "code.py").write_text("def tight(x):\n    return x + 1\n\n\nloose = 3\n")
    (tmp_path / "tests/test_code.py").write_text(
        "from code_under_test import tight\n\ndef test_tight():\n    assert tight(1) == 2\n"
    )
    (tmp_path / "code.py").rename(tmp_path / "code_under_test.py")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_what_no_test_sees_survives(repository):
    name = Path("code_under_test.py")
    source = (repository / name).read_bytes()
    tests = ([], [repository / "tests/test_code.py"])
    seen = {
        f"{one.old} → {one.new}": mutants.seen_by(one, repository, tests)
        for one in mutants.mutants(name, source)
    }
    file = "tests/test_code.py"
    assert seen == {"x + 1 → (x - 1)": file, "1 → 2": file, "3 → 4": ""}
    assert (repository / name).read_bytes() == source
    assert mutants.failing(repository, tests[1]) == ""
