"""Formulas in conjunctive normal form: DIMACS files, random ones, and their polytopes.

A formula is a list of clauses, a clause a list of literals: k for the variable k, counted from 1,
and −k for its negation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PositiveInt

from nnflow import Halfspaces, Settings, Streams, UserError

Clauses = list[list[int]]


class RandomFormula(Settings):
    """Clauses of three different variables each, negated or not with probability ½."""

    variables: PositiveInt
    """Number of variables n, 3 or more."""
    clauses: PositiveInt
    """Number of clauses m; the first ones are the same whatever m is."""
    seed: int = 0
    """Seed of the numbers; they do not depend on the study's seed."""


def read_dimacs(file: Path) -> Clauses:
    """The clauses of a file in DIMACS CNF, simplified. Raises UserError, which names file and line,
    where the file is none.

    Comments begin with c; `p cnf VARIABLES CLAUSES` comes first; a clause ends with 0, on
    whichever line; a line with % alone ends the formula, as in the files of SATLIB.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text in UTF-8"
        raise UserError(f"{file}: {reason}") from None
    head: tuple[int, int] | None = None
    clauses: Clauses = []
    open_clause: list[int] = []
    number = 0
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words == ["%"]:
            break
        if not words or words[0].startswith("c"):
            continue
        if words[0] == "p":
            if head is not None:
                raise UserError(f"{file}:{number}: a second line 'p cnf'")
            head = _head(words, f"{file}:{number}")
            continue
        if head is None:
            raise UserError(f"{file}:{number}: expected 'p cnf VARIABLES CLAUSES' before clauses")
        for word in words:
            literal = _literal(word, head[0], f"{file}:{number}")
            if literal:
                open_clause.append(literal)
                continue
            if not open_clause:
                raise UserError(f"{file}:{number}: an empty clause, which nothing satisfies")
            clauses.append(open_clause)
            open_clause = []
    if head is None:
        raise UserError(f"{file}:{number}: no line 'p cnf VARIABLES CLAUSES'")
    if open_clause:
        raise UserError(f"{file}:{number}: the last clause does not end with 0")
    if len(clauses) != head[1]:
        raise UserError(f"{file}:{number}: {len(clauses)} clauses, not {head[1]} as line 'p' says")
    return simplified(clauses)


def _head(words: list[str], place: str) -> tuple[int, int]:
    numbers = words[2:]
    if words[1:2] != ["cnf"] or len(numbers) != 2 or not all(n.isdecimal() for n in numbers):
        raise UserError(f"{place}: expected 'p cnf VARIABLES CLAUSES', not {' '.join(words)!r}")
    return int(numbers[0]), int(numbers[1])


def _literal(word: str, variables: int, place: str) -> int:
    if not word.removeprefix("-").isdecimal():
        raise UserError(f"{place}: {word!r} is no whole number")
    if abs(int(word)) > variables:
        raise UserError(f"{place}: {word} is no literal of {variables} variables")
    return int(word)


def simplified(clauses: Clauses) -> Clauses:
    """Without clauses that are always true, and each literal of a clause once, in order."""
    merged = [list(dict.fromkeys(clause)) for clause in clauses]
    return [clause for clause in merged if not any(-literal in clause for literal in clause)]


def random_clauses(streams: Streams, variables: int, clauses: int) -> np.ndarray:
    """Formulas as literals (run, clause, 3)."""
    drawn = streams.uniform(6 * clauses).reshape(-1, clauses, 6)
    places = np.floor(drawn[..., :3] * (variables - np.arange(3))).astype(int)
    # the second and third variable are counted among those that are left
    first, second, third = np.moveaxis(places, -1, 0)
    second = second + (second >= first)
    low, high = np.minimum(first, second), np.maximum(first, second)
    third = third + (third >= low)
    third = third + (third >= high)
    signs = np.where(drawn[..., 3:] < 0.5, -1, 1)
    return signs * (np.stack([first, second, third], axis=-1) + 1)


def _understood(value: Any) -> Any:
    """The clauses of what a study file says: a file's name, numbers of a random formula, or the
    clauses themselves."""
    if isinstance(value, str):
        try:
            return read_dimacs(Path(value))
        except UserError as error:
            raise ValueError(str(error)) from None
    if isinstance(value, dict):
        asked = RandomFormula.model_validate(value)
        if asked.variables < 3:
            raise ValueError(f"variables: {asked.variables}, and a clause needs 3")
        streams = Streams(asked.seed, str(asked.variables), np.arange(1), "formula")
        return random_clauses(streams, asked.variables, asked.clauses)[0].tolist()
    return value


Formula = Annotated[Clauses, BeforeValidator(_understood)]


def polytope(clauses: Clauses, variables: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and offsets of {x : row·x ≤ offset}: 0 ≤ x ≤ 1, and Σ x_i + Σ (1 − x_j) ≥ 1 over the
    plain and the negated variables of each clause."""
    rows, offsets = np.zeros((len(clauses), variables)), np.empty(len(clauses))
    for number, clause in enumerate(clauses):
        for literal in clause:
            rows[number, abs(literal) - 1] = -np.sign(literal)
        offsets[number] = sum(literal < 0 for literal in clause) - 1
    eye = np.eye(variables)
    ends = np.concatenate([np.zeros(variables), np.ones(variables)])
    return np.concatenate([-eye, eye, rows]), np.concatenate([ends, offsets])


def halfspaces(clauses: Clauses, variables: int) -> Halfspaces:
    """The same as a convex set."""
    rows, offsets = polytope(clauses, variables)
    return Halfspaces(tuple(map(tuple, rows.tolist())), tuple(offsets.tolist()))


def loss(points):
    """Σ (x_k − x_k²), (run,), of tensors (run, variable)."""
    return (points * (1 - points)).sum(1)


def gradient(points):
    """Its gradient, (run, variable)."""
    return 1 - 2 * points


def satisfied(points: np.ndarray, clauses: Clauses) -> np.ndarray:
    """Do the rounded points (point, variable) make every clause true? (point,) bool."""
    truth = points > 0.5
    held = np.ones(len(points), dtype=bool)
    for clause in clauses:
        places, wanted = np.abs(clause) - 1, np.array(clause) > 0
        held &= (truth[:, places] == wanted).any(axis=1)
    return held
