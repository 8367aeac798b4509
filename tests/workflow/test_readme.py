"""README.md: the commands that it shows."""

from __future__ import annotations

import re

import pytest
from pages import BLOCK, Page
from test_tutorial import Tutorial

INSTALLS = ("make ", "pip install ")


def commands(text: str) -> list[str]:
    """Of all blocks, without comments."""
    blocks = [block for language, _, block in BLOCK.findall(text) if language == "bash"]
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_the_commands_run(tmp_path, root):
    """What would take hours is planned; what installs is done in CI."""
    page: Page = Tutorial(tmp_path, root)
    for command in commands((root / "README.md").read_text(encoding="utf-8")):
        if command.startswith("cd "):
            page.folder /= command.removeprefix("cd ")
        elif command.startswith("snakemake "):
            page.do("bash", "", command.replace("snakemake", "snakemake -n --quiet all", 1))
        elif not command.startswith(INSTALLS):
            page.do("bash", "", command)
    course = tmp_path / "course/results/quick"
    assert (course / "toy_valley_fast/claims.csv").exists()
    assert (course / "double_well/critical_points.nc").exists()


def test_what_it_has_make_do_is_there(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = [line.split()[1] for line in commands(text) if line.startswith("make ")]
    assert targets == ["figures", "paper"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert len(BLOCK.findall(text)) * 2 == len(re.findall(r"^```", text, re.MULTILINE)) == 8
