"""docs/tutorial.md: every block of it, one after the other, in a fresh project."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pages import BLOCK, Page
from studies import assert_drawn

PARTS = ("Snakefile", "environment.yml", "config", "plugins", "workflow")
"""What a clone has that the commands of the tutorial use."""


class Tutorial(Page):
    """A project like a clone."""

    def __init__(self, folder: Path, root: Path) -> None:
        super().__init__(folder)
        for part in PARTS:
            copy = shutil.copytree if (root / part).is_dir() else shutil.copyfile
            copy(root / part, folder / part)


def jobs(printed: str) -> set[str]:
    """The rules in the first list of jobs that Snakemake printed."""
    listed = printed.split("Job stats:")[1].split("\n\n")[0]
    return set(re.findall(r"^(\w+) +\d+$", listed, re.MULTILINE)) - {"total", "all"}


@pytest.fixture(scope="module")
def tutorials(tmp_path_factory, root) -> list[Tutorial]:
    """The two halves of the tutorial, done. The second begins anew, so they share the time."""
    text = (root / "docs/tutorial.md").read_text(encoding="utf-8")
    halves = text.split("## 5. ")
    assert len(halves) == 2

    def done(half: str) -> Tutorial:
        tutorial = Tutorial(tmp_path_factory.mktemp("tutorial"), root)
        for block in BLOCK.findall(half):
            tutorial.do(*block)
        return tutorial

    with ThreadPoolExecutor() as pool:
        return list(pool.map(done, halves))


@pytest.mark.slow
def test_every_block_runs_and_prints_what_it_says(tutorials):
    double_well, himmelblau = (tutorial.folder / "results" / "quick" for tutorial in tutorials)
    assert_drawn(double_well / "double_well", ["basins"])
    assert_drawn(himmelblau / "himmelblau", ["landscape"])


@pytest.mark.slow
def test_the_new_optimizer_trains_and_does_not_initialize(tutorials):
    second = next(printed for printed in tutorials[0].printed if "valid" in printed.splitlines()[0])
    assert {"train", "classify", "spectrum", "draw_double_well", "report"} <= jobs(second)
    assert "initialize" not in jobs(second)


@pytest.mark.slow
def test_other_colours_draw_and_do_not_train(tutorials):
    (dry,) = [printed for printed in tutorials[0].printed if "This was a dry-run" in printed]
    assert jobs(dry) == {"draw_double_well", "report"}


def test_no_block_is_left_out(root):
    """What the pattern finds is all that the page has."""
    text = (root / "docs/tutorial.md").read_text(encoding="utf-8")
    assert 2 * len(BLOCK.findall(text)) == len(re.findall(r"^```", text, re.MULTILINE)) > 10
    assert {block[0] for block in BLOCK.findall(text)} == {"bash", "python", "yaml", "text"}
