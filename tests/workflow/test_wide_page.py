"""docs/wide-networks.md: every block of it."""

import re

from pages import BLOCK, Page


def test_every_block_runs_and_prints_what_it_says(tmp_path, root):
    text = (root / "docs/wide-networks.md").read_text(encoding="utf-8")
    blocks, page = BLOCK.findall(text), Page(tmp_path)
    assert 2 * len(blocks) == len(re.findall(r"^```", text, re.MULTILINE)) == 16
    for block in blocks:
        page.do(*block)
