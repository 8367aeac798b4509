"""docs/snakemake.md: every block of it, in a folder like a clone."""

import re
import zipfile

import pytest
from pages import BLOCK, Page
from test_tutorial import Tutorial


@pytest.mark.slow
def test_every_block_runs(tmp_path, root):
    page: Page = Tutorial(tmp_path, root)
    for block in BLOCK.findall((root / "docs/snakemake.md").read_text(encoding="utf-8")):
        page.do(*block)
    assert (tmp_path / "elsewhere/results/quick/toy_valley/summary.nc").exists()
    assert (tmp_path / "own/landscapes/quick/toy_valley/summary.nc").exists()
    assert (tmp_path / "own/minima.txt").stat().st_size > 0
    with zipfile.ZipFile(tmp_path / "valley.zip") as archive:
        assert any(name.endswith("landscape.svg") for name in archive.namelist())


def test_no_block_is_left_out(root):
    text = (root / "docs/snakemake.md").read_text(encoding="utf-8")
    assert 2 * len(BLOCK.findall(text)) == len(re.findall(r"^```", text, re.MULTILINE)) == 8
