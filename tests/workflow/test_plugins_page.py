"""docs/plugins.md and docs/notebook.md: every block of them, in a project of `nnflow init`."""

import re
import subprocess
import sys

import pytest
import xarray as xr
from pages import BLOCK, Page

PAGES = ("docs/plugins.md", "docs/notebook.md")
"""In this order: the second uses a study that the first has run."""


@pytest.mark.slow
def test_every_block_runs_and_prints_what_it_says(tmp_path, root):
    folder = tmp_path / "project"
    command = [sys.executable, "-m", "nnflow"]
    subprocess.run([*command, "init", str(folder)], check=True, capture_output=True)
    page = Page(folder)
    for name in PAGES:
        for block in BLOCK.findall((root / name).read_text(encoding="utf-8")):
            page.do(*block)
    with xr.open_dataset(folder / "results/quick/analysed/summary.nc") as summary:
        assert {"mean_loss", "mean_loss_low", "largest"} <= set(summary.data_vars)
    listed = subprocess.run([*command, "plugins"], cwd=folder, capture_output=True, text=True)
    assert listed.returncode == 0 and "columns" in listed.stdout


@pytest.mark.parametrize("name", PAGES)
def test_no_block_is_left_out(root, name):
    text = (root / name).read_text(encoding="utf-8")
    assert 2 * len(BLOCK.findall(text)) == len(re.findall(r"^```", text, re.MULTILINE)) > 12
