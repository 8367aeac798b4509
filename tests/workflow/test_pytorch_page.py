"""docs/pytorch.md: every block of it, in a project that `nnflow init` made."""

import re
import subprocess
import sys

import pytest
from pages import BLOCK, Page
from studies import assert_drawn


@pytest.mark.slow
def test_every_block_runs_and_prints_what_it_says(tmp_path, root):
    folder = tmp_path / "project"
    command = [sys.executable, "-m", "nnflow", "init", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    page = Page(folder)
    for block in BLOCK.findall((root / "docs/pytorch.md").read_text(encoding="utf-8")):
        page.do(*block)
    for study in ("my_cnn", "my_resnet", "my_encoder"):
        assert_drawn(folder / "results/quick" / study, ["training_curves", "spectrum_ends"])
    assert_drawn(folder / "results/quick/my_weights", ["spectrum_ends"])
    assert sorted(file.name for file in (folder / "out/my_weights/all").iterdir()) == [
        "run-0.pt", "run-1.pt",
    ]  # fmt: skip
    assert (folder / "density.svg").stat().st_size > 1000


def test_no_block_is_left_out(root):
    text = (root / "docs/pytorch.md").read_text(encoding="utf-8")
    assert 2 * len(BLOCK.findall(text)) == len(re.findall(r"^```", text, re.MULTILINE)) > 10
