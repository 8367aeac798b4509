"""What `nnflow run` is given: studies, a derived study, and arguments for Snakemake."""

from __future__ import annotations

import argparse
from itertools import compress, pairwise
from typing import Any

from nnflow.base.errors import UserError
from nnflow.base.settings import suggest
from nnflow.study.loading import known_studies
from nnflow.workflow.config import read_config
from nnflow.workflow.derive import derive, parsed

NAME_A_PLACE = frozenset(
    {
        "-d",
        "--directory",
        "-s",
        "--snakefile",
        "--profile",
        "--workflow-profile",
        "--executor",
        "-e",
    }
)
"""Options of Snakemake's whose value may happen to be the name of a study."""
CONFIGURED = ("scale", "results", "data")
"""Options of nnflow's other commands that a workflow has as `--config NAME=VALUE`."""


def for_snakemake(arguments: list[str]) -> list[str]:
    """The arguments of Snakemake. Names of studies may stand anywhere, files that the workflow
    makes before the first option; `--set KEY=VALUE` and `--as NAME` make a derived study first."""
    assignments, rest = _taken("--set", _configured(arguments))
    names, rest = _taken("--as", rest)
    words = next((i for i, word in enumerate(rest) if word.startswith("-")), len(rest))
    given, rest = rest[:words], rest[words:]
    known = known_studies()
    targets = [word for word in given if word not in known]
    places = ["", *rest]
    late = [word in known and before not in NAME_A_PLACE for before, word in pairwise(places)]
    named = [word for word in given if word in known] + list(compress(rest, late))
    studies = list(dict.fromkeys(named))
    rest = [word for word, study in zip(rest, late, strict=True) if not study]
    for word in targets:
        if "/" not in word and "." not in word:
            raise UserError(f"no study {word!r}{suggest(word, sorted(known))}")
    if assignments or names:
        if len(studies) != 1 or len(names) != 1 or not assignments:
            raise UserError("a derived study takes one study, --set KEY=VALUE and --as NAME")
        derive(studies[0], parsed(assignments), names[0])
        studies = names
    if studies:
        rest = _with_config(rest, f"studies={','.join(studies)}")
    return [*targets, *rest]


def config_of(arguments: list[str]) -> dict[str, Any]:
    """config.yaml with the pairs of `--config` among Snakemake's arguments laid over it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-C", "--config", nargs="*", default=[])
    pairs = (pair.partition("=") for pair in parser.parse_known_args(arguments)[0].config)
    return {**read_config(), **{key: value for key, equals, value in pairs if equals}}


def _configured(arguments: list[str]) -> list[str]:
    """The arguments with `--scale paper` as `--config scale=paper`, and others of CONFIGURED."""
    rest = arguments
    for name in CONFIGURED:
        values, rest = _taken(f"--{name}", rest)
        if values:
            rest = _with_config(rest, f"{name}={values[-1]}")
    return rest


def _taken(option: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The values of an option that may be given several times, and the other arguments."""
    values, rest = [], []
    waiting = iter(arguments)
    for word in waiting:
        if word == option:
            value = next(waiting, None)
            if value is None:
                raise UserError(f"{option}: expected a value")
            values.append(value)
        elif word.startswith(f"{option}="):
            values.append(word.partition("=")[2])
        else:
            rest.append(word)
    return values, rest


def _with_config(arguments: list[str], pair: str) -> list[str]:
    """The arguments with a further pair of `--config`, which may be given once only."""
    for number, word in enumerate(arguments):
        if word in ("--config", "-C"):
            return [*arguments[: number + 1], pair, *arguments[number + 1 :]]
    return [*arguments, "--config", pair]
