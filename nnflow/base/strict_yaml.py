"""YAML read strictly: nothing is lost, and no number means two things.

PyYAML follows YAML 1.1, where the second of two equal keys wins in silence, `yes` is a boolean, 010
is eight and 1:30 is ninety, while 1e-4 is text. Here an equal key and a number that YAML 1.1 and
1.2 read differently are errors, `yes` is text, and 1e-4 is a number, as in YAML 1.2.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

DEEPEST = 50
"""Levels of nesting; a study needs about ten."""

_AMBIGUOUS = re.compile(
    r"[-+]?(0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no text of a study needs and no file of results can hold: control characters apart from tab
and the end of a line, and halves of characters."""
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the resolvers of YAML 1.2's core schema."""

    yaml_implicit_resolvers = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self._check_keys(node)
        return super().construct_mapping(node, deep)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        before = None
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {line}: a key must be a word")
            if node.flow_style and before and _continues(before[1], key, value):
                first, number = before[0].value, before[1].value
                raise ValueError(
                    f"line {line}: {first}: {number},{key.value} is no number; write a decimal"
                    f" point: {number}.{key.value}"
                )
            _check_number(key, None)
            before = key, value
            if key.value in seen:
                raise ValueError(
                    f"line {line}: the key {key.value!r} stands twice (first in line"
                    f" {seen[key.value]})"
                )
            seen[key.value] = line

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        line = event.start_mark.line + 1
        self.around = getattr(self, "around", [])
        if len(self.around) >= DEEPEST:
            raise ValueError(f"line {line}: nested more than {DEEPEST} levels deep")
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.around:
            raise ValueError(f"line {line}: *{event.anchor} stands inside of itself")
        self.around.append(event.anchor)
        node = super().compose_node(parent, index)
        self.around.pop()
        if isinstance(node, yaml.ScalarNode) and _CONTROL.search(node.value):
            raise ValueError(f"line {line}: {node.value!r} has a control character")
        if parent is None or index is not None:  # else it is a key
            _check_number(node, index)
        return node


def _continues(number: yaml.Node, key: yaml.Node, value: yaml.Node) -> bool:
    """Is the key the rest of a number with a decimal comma, as in {rate: 0,1}?"""
    alone = isinstance(value, yaml.ScalarNode) and value.value == "" and value.style is None
    return alone and number.tag == "tag:yaml.org,2002:int" and key.value.isdecimal()


def _check_number(node: yaml.Node, key: Any) -> None:
    """Raise ValueError for a plain scalar that YAML 1.1 and 1.2 read as different numbers."""
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if plain and _AMBIGUOUS.fullmatch(node.value):
        named = f"{key.value}: " if isinstance(key, yaml.ScalarNode) else ""
        raise ValueError(
            f"line {node.start_mark.line + 1}: {named}{node.value} is no plain decimal number;"
            " write it in decimal digits, or in quotes if it is text"
        )


for tag, pattern, first in (
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
    ("merge", re.compile(r"<<"), ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, first)


def _anchored(pattern: re.Pattern) -> re.Pattern:
    return re.compile(f"(?:{pattern.pattern})$")


_Loader.yaml_implicit_resolvers = {
    first: [(tag, _anchored(pattern)) for tag, pattern in resolvers]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """The content of a YAML document. Raises ValueError with line and reason."""
    return copy.deepcopy(_parsed(text))


@lru_cache(256)
def _parsed(text: str) -> Any:
    """The same for all who ask: a process that forks jobs reads a study for each of them."""
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"not valid YAML: {line}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None


def read_yaml_file(file: Path) -> Any:
    """The content of a YAML file. Raises FileNotFoundError, or ValueError with line and reason."""
    try:
        return read_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("can't be read: it is no UTF-8 text") from None
