"""The commands that README.md, docs/ and config/README.md show are real, options included."""

import ast
import contextlib
import io
import re
import shlex
import textwrap
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from nnflow.cli import app
from nnflow.workflow.arguments import CONFIGURED
from nnflow.workflow.config import KEYS

PAGES = ("README.md", "config/README.md", "docs/**/*.md")
FENCE = re.compile(r"^ *```[^\n`]*\n(.*?)^ *```", re.M | re.S)
INDENTED = re.compile(r"(?:^ {4,}\S.*\n)+", re.M)
INLINE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ |time )*((?:nnflow|make|python3?|snakemake) (?![=:]).*)")
USAGE_ERROR = typer.BadParameter.__base__
"""What a parser raises; typer exports no other name of it."""
OWN = {"--set", "--as", *(f"--{name}" for name in CONFIGURED)}
"""The options of `nnflow run` that are not Snakemake's."""


def words(line: str) -> list[list[str]]:
    """The commands of a line of shell that are nnflow's, make's, Python's or Snakemake's."""
    parts = (part.strip() for part in re.split(r"&&|\||;", line))
    found = [match[1] for part in parts if (match := COMMAND.fullmatch(part))]
    return [shlex.split(command, comments=True) for command in found]


def commands(page: str) -> list[tuple[list[str], bool]]:
    """All commands of a page, with whether they stand in a block, so that they are whole."""
    blocks = FENCE.findall(page)
    prose = FENCE.sub("\n", page)
    blocks += INDENTED.findall(prose)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    whole = [(command, True) for line in lines for command in words(line.strip())]
    spans = [span.replace("\n", " ") for span in INLINE.findall(INDENTED.sub("\n", prose))]
    spans = [span for span in spans if "…" not in span and COMMAND.match(span)]
    named = [(command, False) for span in spans for command in words(span)]
    return whole + named


def options(arguments: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)}


def of_snakemake() -> set[str]:
    """All options of Snakemake with those of its executors that are installed."""
    from snakemake.cli import get_argument_parser

    return set(get_argument_parser()._option_string_actions)


def wrong_snakemake(root: Path, arguments: list[str]) -> str | None:
    """What Snakemake's own parser says; a profile has to be one of the repository's (NAME is a
    place for one), and --config to name keys of config.yaml."""
    from snakemake.cli import parse_args, parse_config
    from snakemake.exceptions import CliException

    unknown = options(arguments) - of_snakemake()
    if unknown:  # which the parser would take for abbreviations
        return f"Snakemake has no {', '.join(sorted(unknown))}"
    profiles = root / "workflow/profiles"
    words = ["slurm" if word == "NAME" else word for word in arguments]
    for at, word in enumerate(words[:-1], 1):
        if word == "--profile":
            words[at] = str(profiles / words[at])
            if not Path(words[at]).is_dir():
                return f"workflow/profiles has no {arguments[at]}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            _, parsed = parse_args(words)
        unknown = {*parse_config(parsed.config)} - {*KEYS}
    except (SystemExit, ValueError, CliException) as error:
        return said.getvalue() or str(error)
    return f"config.yaml has no {', '.join(sorted(unknown))}" if unknown else None


def wrong_nnflow(root: Path, arguments: list[str], whole: bool) -> str | None:
    """What the command line's own parser says; STAGE, KIND and N are places for a word."""
    if {"STAGE", "KIND"} & set(arguments):
        return None
    command = typer.main.get_command(app)
    rest = ["1" if word == "N" else word for word in arguments]
    try:
        context = command.make_context(command.name, rest)
        while isinstance(command, TyperGroup):
            rest = [*context._protected_args, *context.args]
            _, command, rest = command.resolve_command(context, rest)
            context = command.make_context(command.name, rest)
    except USAGE_ERROR as error:
        bare = type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError")
        return None if bare and not whole else error.format_message()
    if command.name == "run":
        given = context.params["arguments"] or []
        own = {at + step for at, word in enumerate(given) if word in OWN for step in (0, 1)}
        return wrong_snakemake(root, [word for at, word in enumerate(given) if at not in own])
    return None


def wrong_make(root: Path, arguments: list[str]) -> str | None:
    """A target or a variable that the Makefile has not."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())
    variables = set(re.findall(r"^(\w+) \?=", makefile, re.M))
    for word in arguments:
        name, equals, _ = word.partition("=")
        if not word.startswith("-") and name not in (variables if equals else targets):
            return f"the Makefile has no {name}"
    return None


def wrong_python(root: Path, arguments: list[str]) -> str | None:
    """A module or script of the repository that is absent, does nothing, or has not the option."""
    if arguments[:2] == ["-m", "nnflow"]:
        return wrong_nnflow(root, arguments[2:], False)
    if arguments[0] == "-m" and arguments[1].startswith("nnflow."):
        file, rest = root / f"{arguments[1].replace('.', '/')}.py", arguments[2:]
    elif arguments[0].startswith(("benchmarks/", "tests/")):
        file, rest = root / arguments[0], arguments[1:]
    else:
        return None
    if not file.is_file():
        return f"no file {file.relative_to(root)}"
    code = file.read_text(encoding="utf-8")
    if "__main__" not in code:
        return f"{file.relative_to(root)} is no script"
    strings = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    unknown = options(rest) - strings
    return f"{file.relative_to(root)} has no {', '.join(sorted(unknown))}" if unknown else None


def wrong(root: Path, command: list[str], whole: bool = True) -> str | None:
    program, *arguments = command
    if program == "nnflow":
        return wrong_nnflow(root, arguments, whole)
    if program == "snakemake":
        return wrong_snakemake(root, arguments)
    return (wrong_make if program == "make" else wrong_python)(root, arguments)


def pages(root: Path) -> list[Path]:
    return sorted(file for pattern in PAGES for file in root.glob(pattern))


def test_every_command_of_a_page_is_real(root):
    mistakes = [
        f"{file.relative_to(root)}: {shlex.join(command)}: {reason}"
        for file in pages(root)
        for command, whole in commands(file.read_text(encoding="utf-8"))
        if (reason := wrong(root, command, whole))
    ]
    assert not mistakes, "\n".join(mistakes)


def test_commands_are_found_where_pages_have_them(root):
    page = textwrap.dedent("""\
        nnflow is prose, and so is `make` alone, but `nnflow list` and
        `python benchmarks/scaling.py` are commands.

        ```bash
        cd course && nnflow run a \\
            --cores 2  # a few minutes
        ```
        An indented one:

            time make venv && source .venv/bin/activate
            snakemake --cores 2
        """)
    assert commands(page) == [
        (["nnflow", "run", "a", "--cores", "2"], True),
        (["make", "venv"], True),
        (["snakemake", "--cores", "2"], True),
        (["nnflow", "list"], False),
        (["python", "benchmarks/scaling.py"], False),
    ]
    programs = {
        command[0]
        for file in pages(root)
        for command, _ in commands(file.read_text(encoding="utf-8"))
    }
    assert programs == {"nnflow", "make", "python", "snakemake"}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("nnflow lst", "No such command"),
        ("nnflow init", "Missing argument"),
        ("nnflow new modell double_well", "No such command"),
        ("nnflow publish himmelblau --into x", "No such option"),
        ("nnflow run himmelblau --core 2 --cors 3", "Snakemake has no --core, --cors"),
        ("nnflow run himmelblau --profile slrum", "workflow/profiles has no slrum"),
        ("snakemake --cors 2", "Snakemake has no --cors"),
        ("snakemake --cores two", "--cores, -c"),
        ("snakemake --profile slrum --dry-run", "workflow/profiles has no slrum"),
        ("snakemake --cores 2 --config study=himmelblau", "config.yaml has no study"),
        ("snakemake --config studies himmelblau", "name=value"),
        ("snakemake --quiet everything", "argument --quiet"),
        ("snakemake --set-resources train", "not enough values"),
        ("make figure", "no figure"),
        ("make mutants COUNTS=3", "no COUNTS"),
        ("python -m nnflow.checks.manuals", "no file"),
        ("python -m nnflow.base.errors", "is no script"),
        ("python benchmarks/every_width.py --checks", "has no --checks"),
    ],
)
def test_a_command_that_is_not_real_is_told(root, command, reason):
    assert reason in wrong(root, shlex.split(command))


def test_commands_with_everything_they_need_pass(root):
    for line in (
        "nnflow run a --set optimizer.rate=.1 --as b --cores 2 --slurm-array-jobs train",
        "snakemake --profile NAME --config scale=paper studies=himmelblau",
        "make mutants COUNT=3",
        "python -m nnflow.checks.site --keep results",
    ):
        assert wrong(root, shlex.split(line)) is None
