"""The page "When something is wrong" has every message that nnflow raises."""

import ast
import re
from pathlib import Path

import pytest

PAGE = Path("docs/troubleshooting.md")
USERS = ("UserError", "_refused")
"""What a message is given to, as its last argument."""
NOTED = "note"
"""The method of a job's reporter that tells what is no mistake."""
STUDY = ("study", "interfaces", "base/strict_yaml.py", "base/settings.py")
"""Where a ValueError is a mistake in a study file, which `load_study` turns into a UserError."""

WRITTEN = (
    "two … are named …: …; rename one",
    "this locale (…) has not the letters of the path; set PYTHONUTF8=1",
    "… of … runs are not critical: …",
    "families that hang on classify.zero_below: …",
    "families that may be several valleys of one loss: …",
    "… of … runs had a gradient below stop.gradient_norm (…) at their start and were not trained;"
    " where the loss is of a small unit, lower it",
)
"""Messages that are put together before they are raised or printed."""


def fixed(node: ast.expr) -> str:
    """A message with … for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(fixed(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return fixed(node.left) + fixed(node.right)
    return "…"


def plain(text: str) -> str:
    """A message without the places that precede it and without marks of markdown."""
    text = re.sub("…+", "…", text.replace("`", ""))
    return re.sub(r"^(… ?:? ?)+", "", text).strip()


def messages(package: Path) -> dict[str, str]:
    """{message: where it is raised}, but for those that hand on another message alone."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package).as_posix()
        names = (*USERS, "ValueError") if place.startswith(STUDY) else USERS
        for node in ast.walk(ast.parse(file.read_bytes())):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "attr", None) or getattr(called, "id", "")
            if (name in names or name == NOTED) and node.args:
                found[plain(fixed(node.args[-1]))] = f"{place}, line {node.lineno}"
    return {text: place for text, place in found.items() if re.search(r"\w{2}", text)}


def listed(page: str) -> set[str]:
    """The messages of the page: what its tables have in code, left of the cause."""
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    return {plain(text) for row in rows for text in re.findall(r"`([^`]+)`", row)}


@pytest.fixture
def page(root):
    return (root / PAGE).read_text(encoding="utf-8")


def test_every_message_is_on_the_page(root, page):
    there = listed(page)
    absent = [f"{m}   ({at})" for m, at in messages(root / "nnflow").items() if m not in there]
    assert not absent, f"{PAGE} lacks:\n" + "\n".join(absent)


def test_the_page_has_no_message_that_nobody_raises(root, page):
    raised = set(messages(root / "nnflow"))
    written = {plain(text) for text in WRITTEN}
    assert listed(page) - raised <= written


def test_a_message_is_found_with_its_fixed_words(tmp_path):
    code = (
        'raise UserError(f"{file}: no {a!r}{b}" " here (there are: " + c + ")")\nraise Other("x y")'
    )
    (tmp_path / "some.py").write_text(code, encoding="utf-8")
    assert messages(tmp_path) == {"no … here (there are: …)": "some.py, line 1"}
    assert listed("| `no … here (there are: …)` · `b` | cause `c` |") == {
        "no … here (there are: …)",
        "b",
    }
