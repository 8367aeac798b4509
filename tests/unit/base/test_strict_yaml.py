"""YAML: nothing is lost, and a number means one thing."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.strict_yaml import DEEPEST, read_yaml, read_yaml_file

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_.", min_size=1), inner)
    ),
    max_leaves=8,
)


@given(PLAIN)
def test_what_a_yaml_writer_writes_is_read_back(content):
    assert read_yaml(yaml.safe_dump(content, allow_unicode=True)) == content


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-4", 1e-4), ("a: 1.0e-4", 1e-4), ("a: 1E5", 1e5), ("a: .5", 0.5), ("a: -3", -3),
        ("a: +3", 3), ("a: 0", 0), ("a: yes", "yes"), ("a: on", "on"), ("a: true", True),
        ("a: ~", None), ("a:", None), ("a: 2026-11-26", "2026-11-26"), ("a: '010'", "010"),
        ("a: 5-4-3", "5-4-3"), ("a: 1.2.3", "1.2.3"), ("a: 0.10", 0.1), ("a: 1.", 1.0),
    ],
)  # fmt: skip
def test_numbers_and_words(text, value):
    found = read_yaml(text)["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice (first in line 1)"),
        ("a:\n  b: 1\n  b: 2", "line 3: the key 'b' stands twice (first in line 2)"),
        ("a: [{b: 1, b: 1}]", "line 1: the key 'b' stands twice"),
        ("- {a: 1, 'a': 2}", "the key 'a' stands twice"),
        ("runs: 010", "line 1: runs: 010 is no plain decimal number"),
        ("a: {runs: 0x1F}", "runs: 0x1F is no plain decimal number"),
        ("a: [0o17]", "0o17 is no plain decimal number"),
        ("a: 1_000", "1_000 is no plain decimal number"),
        ("a: 1:30", "1:30 is no plain decimal number"),
        ("a: 12:30:45", "12:30:45 is no plain decimal number"),
        ("a: [", "not valid YAML: line 1"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("? [1, 2]\n: 3", "a key must be a word"),
        ("[" * 3000, "levels deep"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "levels deep"),
        ("a: *b", "not valid YAML: line 1"),
        ("a: 1\nb: &b {c: [*b]}", "line 2: *b stands inside of itself"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: {x: 2}}", "line 2: the key '<<' stands twice"),
        ('a: 1\nb: "x\\0y"', "line 2: 'x\\x00y' has a control character"),
        ('"a\\e": 1', "has a control character"),
        ('a: "\\ud800"', "has a control character"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(ValueError) as caught:
        read_yaml(text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_merge_is_no_second_key():
    text = "a: &a {x: 1, y: 2}\nb: &b {z: 3}\nc: {<<: *a, x: 4}\nd: {<<: [*a, *b]}"
    found = read_yaml(text)
    assert found["c"] == {"x": 4, "y": 2} and found["d"] == {"x": 1, "y": 2, "z": 3}


def test_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_yaml_file(tmp_path / "gone.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match="no UTF-8 text"):
        read_yaml_file(tmp_path / "bytes.yaml")
    with pytest.raises(ValueError, match="can't be read"):
        read_yaml_file(tmp_path)


def test_what_was_read_is_the_readers_own():
    """The same text is parsed once, and each reader may change what it got."""
    text = "one: &list [1, 2]\ntwo: *list\n"
    first = read_yaml(text)
    first["one"].append(3)
    assert first["two"] == [1, 2, 3]  # an alias stays one
    assert read_yaml(text) == {"one": [1, 2], "two": [1, 2]}
