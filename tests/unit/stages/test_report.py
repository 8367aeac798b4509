"""The report: tables, published numbers, figures and claims on one page."""

import base64
import csv
import html.parser
import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.notation import number, span, with_interval
from nnflow.base.timing import machine
from nnflow.stages.report import _published, _settings, report, report_unfinished
from nnflow.study.claims import Claim, to_csv
from nnflow.study.timings import write_timings
from nnflow.study.verdicts import judge
from nnflow.workflow.plan import Plan

PLUGINS = '''"""Plugins of a study."""
import nnflow
from nnflow import {kind}


class Thing({kind}):
    """A picture of <the> landscape,
    in two lines.

    More."""


@nnflow.hookimpl
def nnflow_register_{kinds}(register):
    register("thing", Thing)
'''
STUDY = """
title: Valleys & <b>ridges</b>
description: What is asked.
source: A paper, Table 1
analyses: {thing: }
figures: {thing: }
sweep: {runs: [10, 20]}
scales: {paper: {sweep: {runs: [10, 20, 30]}}}
claims:
  - claim: share
    statement: Of runs={runs} a share is bad.
    source: A paper, Table 1
    value: share
    published: {runs=10: 0.38, runs=20: 0.9}
    corrected: {runs=20: {value: 0.5, printed: ".9", document: "p. 1", note: a misprint}}
  - claim: loss
    statement: The loss is so.
    source: A paper, Table 2
    value: loss
    published: {runs=10: 1.5, runs=20: 7.0, runs=30: 8.0}
    note: looked at <closely>
"""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><circle r="9"/></svg>'

# 400 pixels at 7874 per metre, which are 200 per inch: two inches, as a browser counts 192
PNG = (
    b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 400, 300) + bytes(9)
    + struct.pack(">I4sIIB", 9, b"pHYs", 7874, 7874, 1) + bytes(500)
)  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path, plugins) -> Plan:
    """Two studies, with results as the stages before the report leave them."""
    for kind, kinds in (("Figure", "figures"), ("Analysis", "analyses")):
        plugins.write(f"{kinds}/thing.py", PLUGINS.format(kind=kind, kinds=kinds))
    (tmp_path / "studies").mkdir()
    names = ("valleys", "ridges")
    for name in names:
        (tmp_path / "studies" / f"{name}.yaml").write_text(STUDY, encoding="utf-8")
    plan = Plan(names, "quick", tmp_path / "results", tmp_path / "studies")
    for name in names:
        _write_results(plan, name)
    return plan


def _write_results(plan: Plan, name: str) -> None:
    folder = plan.results / "quick" / name
    summary = xr.Dataset(
        {
            "runs": ("configuration", np.array([10, 20])),
            "share": (
                "configuration",
                [0.375, 0.5],
                {"long_name": "share of <bad> runs", "units": "1"},
            ),
            "share_low": ("configuration", [0.29, 0.4]),
            "share_high": ("configuration", [0.47, 0.6]),
            "loss": ("configuration", [1.5, np.nan], {"units": "nat"}),
            "kind": ("configuration", ["flat", "steep"]),
            "gap_low": ("configuration", [1e-9, np.nan], {"long_name": "from"}),
            "gap_high": ("configuration", [0.25, np.nan], {"long_name": "to"}),
            "size": ("configuration", [3.14159e-9, 0.5]),
        },
        {"configuration": ["runs=10", "runs=20"]},
    )
    store.write(folder / "summary.nc", {"": summary}, {"title": "summary"})
    rows = judge(name, plan.loaded[name].settings.claims, summary)
    store.write_text(folder / "claims.csv", to_csv(rows))
    (folder / "figures").mkdir()
    (folder / "figures" / "thing.svg").write_bytes(SVG)
    (folder / "figures" / "thing.png").write_bytes(PNG)


class Tables(html.parser.HTMLParser):
    """The cells of a page's tables, and all of its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables, self.tags, self.open = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.open = tag

    def handle_endtag(self, tag):
        if tag == self.open:
            self.open = None

    def handle_data(self, data):
        if self.open:
            self.tables[-1][-1][-1] += data.strip("\n")


@pytest.fixture
def page(plan) -> str:
    report(plan)
    return (plan.results / "quick" / "report.html").read_text(encoding="utf-8")


def test_published_numbers_stand_beside_ours(page):
    kinds, overview, _, results, further, *_ = Tables(page).tables
    marks = "✓ reproduced", "∎ proved", "~ not contradicted", "? undecided", "≠ differs"
    assert kinds[0] == ["kind", *marks, "↻ corrected", "– not measured"]
    # in both studies two shares, of which one is corrected, and two losses, of which one has no run
    assert kinds[1] == ["numbers", "4", "0", "0", "0", "0", "2", "2"]
    assert [row[1:] for row in kinds[2:]] == [["0"] * 7] * 3
    assert overview[1] == ["valleys", "2", "–", "2", "0", "0", "0", "0", "1", "1"]
    assert results == [
        ["configuration", "runs", "share", "published", "loss (nat)", "published"],
        ["runs=10", "10", "0.375 (0.29–0.47)", "0.38✓", "1.5", "1.5✓"],
        ["runs=20", "20", "0.50 (0.4–0.6)", "0.9↻", "–", "7"],
    ]
    assert further[0] == ["configuration", "runs=10", "runs=20"]
    assert further[1:] == [
        ["kind", "flat", "steep"],
        ["gap", "1×10⁻⁹ to 0.25", "–"],
        ["size", "3.14×10⁻⁹", "0.5"],
    ]


def test_claims_are_shown_with_verdict_and_note(page):
    measured, missing = Tables(page).tables[5:7]
    row = ["share runs=20", "number", "Of runs=20 a share is bad.", "A paper, Table 1", "0.9"]
    assert [*row, "0.50 (0.4–0.6)", "↻ corrected", "“.9” (p. 1): a misprint"] in measured
    row = ["loss runs=30", "number", "The loss is so.", "A paper, Table 2", "8", "–"]
    note = "this configuration is not part of this scale; looked at <closely>"
    assert [*row, "– not measured", note] in missing


def test_claims_of_one_column_share_a_column_of_published_numbers(plan):
    study = plan.loaded["valleys"]
    summary = store.read(plan.results / "quick/valleys/summary.nc")[""]
    claims = [
        Claim(claim=name, statement="", source=name, value="size", published=published)
        for name, published in (
            ("first", {"runs=10": 1.0}),
            ("second", {"runs=20": 2.0}),
            ("third", {"runs=20": 3.0}),
            ("elsewhere", {"runs=30": 4.0}),
        )
    ]
    study = replace(study, settings=study.settings.model_copy(update={"claims": claims}))
    rows = judge("valleys", claims, summary)
    columns = _published(study, summary, "size", rows)
    cells = [[cell["text"] for cell in column["cells"]] for column in columns]
    assert cells == [["1", "2"], ["", "3"]]
    assert [column["meaning"] for column in columns] == ["size: first; second", "size: third"]


def test_text_is_escaped(page):
    assert "Valleys &amp; &lt;b&gt;ridges&lt;/b&gt;" in page
    assert "<b>" not in page and "<the>" not in page and "<bad>" not in page


def test_the_smaller_image_is_embedded_and_the_svg_linked(page, plan):
    images = [attrs for tag, attrs in Tables(page).tags if tag == "img"]
    assert len(images) == 2
    assert images[0]["src"] == f"data:image/svg+xml;base64,{base64.b64encode(SVG).decode()}"
    assert images[0]["width"] == "192"
    assert all("A picture of <the> landscape, in two lines." in image["alt"] for image in images)
    links = [attrs["href"] for tag, attrs in Tables(page).tags if tag == "a"]
    assert "ridges/figures/thing.svg" in links
    assert (plan.results / "quick" / "ridges/figures/thing.svg").exists()


def test_the_page_needs_nothing_else(page):
    tags = Tables(page).tags
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe", "object")]
    sources = [attrs["src"] for _, attrs in tags if "src" in attrs]
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"url\(|@import|https?://", page)


def test_links_inside_the_page_have_targets_and_ids_occur_once(page):
    tags = Tables(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    inside = [a["href"][1:] for _, a in tags if a.get("href", "").startswith("#")]
    assert inside and set(inside) <= set(ids)


def test_every_table_has_a_caption_and_scoped_headers(page):
    tags = Tables(page).tags
    assert sum(tag == "table" for tag, _ in tags) == sum(tag == "caption" for tag, _ in tags)
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in tags if tag == "th")


def _contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours (WCAG 2)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    light, dark = sorted([luminance(first), luminance(second)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_contrast_in_light_and_dark(page):
    themes = [dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in page.split("@media")[:2]]
    assert len(themes) == 2 and themes[0]["paper"] != themes[1]["paper"]
    pairs = [(ink, "paper") for ink in ("ink", "quiet", "link")] + [("ink", "wash")]
    for verdict in ("good", "right", "bad", "none"):
        pairs += [(verdict, f"{verdict}-wash"), (verdict, "wash"), (verdict, "paper")]
    for theme in themes:
        for ink, ground in pairs:
            assert _contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)


def test_all_claims_are_joined(page, plan):
    folder = plan.results / "quick"
    parts = [(folder / name / "claims.csv").read_text(encoding="utf-8") for name in plan.studies]
    joined = (folder / "claims.csv").read_text(encoding="utf-8")
    head, *rows = joined.splitlines()
    assert [head, *rows] == parts[0].splitlines() + parts[1].splitlines()[1:]
    assert {row["study"] for row in csv.DictReader(joined.splitlines())} == set(plan.studies)


def test_the_same_results_give_the_same_bytes(page, plan):
    report(plan)
    assert (plan.results / "quick" / "report.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("place", ["summary.nc", "claims.csv", "figures/thing.png"])
def test_a_missing_file_is_named_and_the_old_report_kept(page, plan, place):
    file = plan.results / "quick" / "ridges" / place
    file.unlink()
    with pytest.raises(UserError, match=re.escape(str(file))):
        report(plan)
    assert (plan.results / "quick" / "report.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    "damage",
    ["", "claim,study\na,b\n", "HEADa,b,c,d,1,x,1,1,differs,\n", "HEADa,b,c,d,1,1,1,1,maybe,\n"],
)
def test_damaged_claims_are_one_line(plan, damage):
    file = plan.results / "quick" / "ridges" / "claims.csv"
    head = file.read_text(encoding="utf-8").splitlines()[0] + "\n"
    file.write_text(damage.replace("HEAD", head), encoding="utf-8")
    with pytest.raises(UserError, match="not a table of claims") as caught:
        report(plan)
    assert "\n" not in str(caught.value)


def test_settings_tell_what_was_swept(root):
    from nnflow.study.loading import load_study, study_file

    shown = dict(_settings(load_study(study_file("digits_networks", root / "config/studies"))))
    assert "widths {[64, 16, 10], [64, 64, 10]}, activation tanh" in shown["model"]
    assert shown["runs"] == "8 per configuration, 16 in all"
    assert "test share 0.2" in shown["dataset"]


def test_torch_is_not_imported(root):
    code = "import sys, nnflow.stages.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ).returncode == 0


@pytest.mark.parametrize(
    ("triple", "text"),
    [
        ((0.375, 0.29, 0.47), "0.375 (0.29–0.47)"),
        ((1.0, 0.97, 1.0), "1.000 (0.97–1.00)"),
        ((0.0, 0.0, 0.026), "0.000 (0.00–0.03)"),
        ((0.0123, 0.0119, 0.0127), "0.01230 (0.0119–0.0127)"),
        ((123.4, 96.2, 151.9), "123 (96–152)"),
        ((-0.03, -0.05, 0.01), "−0.030 (−0.05 to 0.01)"),
        ((3.1e-7, 2.6e-7, 3.7e-7), "3.10 (2.6–3.7) ×10⁻⁷"),
        ((2.0, 2.0, 2.0), "2"),
        ((0.014059013, 0.014059013 - 1e-15, 0.014059013 + 1e-15), "0.014059"),
        ((2.0, -np.inf, np.inf), "2 (−∞ to ∞)"),
        ((np.nan, 0.0, 1.0), ""),
        ((0.5, np.nan, np.nan), "0.5"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_supports(triple, text):
    assert with_interval(*triple) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.01, 0.0444, "0.01–0.0444"),
        (-1.0, 2.0, "−1 to 2"),
        (1e-9, np.nan, "from 1×10⁻⁹"),
        (np.nan, 3.0, "to 3"),
        (np.nan, np.nan, ""),
    ],
)
def test_an_interval_alone_may_be_open(low, high, text):
    assert span(low, high) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-12.0, "−12"), (1.5e-9, "1.5×10⁻⁹"), (0.0375, "0.0375"), (1e21, "1×10²¹")],
)
def test_a_number_alone_is_short(value, text):
    assert number(value) == text


@given(st.floats(-1e12, 1e12), st.floats(1e-5, 1), st.floats(1e-5, 1))
def test_what_is_shown_lies_within_a_digit_of_the_interval(value, below, above):
    size = max(abs(value), 1e-12)
    low, high = value - below * size, value + above * size
    shown = with_interval(value, low, high).replace("−", "-")
    mantissa, _, power = shown.partition(" ×10")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    unit = 10.0 ** int(power.translate(digits)) if power else 1.0
    read = [float(part) * unit for part in re.split(r" \(| to |–|\)", mantissa) if part]
    # ends are rounded by at most half of the first digit of the half-width
    slack = (high - low) / 2 * 0.51 + size * 1e-8
    assert np.allclose(read, [value, low, high], rtol=0, atol=slack)


def test_measured_times_are_shown_with_their_machine(plan):
    report(plan)
    page = plan.results / "quick" / "report.html"
    assert "Measured times" not in page.read_text(encoding="utf-8")
    folder = plan.results / "quick" / "valleys"
    rows = [
        {"name": "gradient", "weights": 100, "median": 0.00125, "low": 0.001, "high": 0.0015,
         "repeats": 7, "calls": 200},
        {"name": "difference <quotients>", "weights": 100, "median": 0.5, "low": 0.5, "high": 0.5,
         "repeats": 3, "calls": 1},
    ]  # fmt: skip
    write_timings(folder, "thing", rows, {"commit": "0123456789abcdef+", "packages": {}})
    write_timings(folder, "gone", rows, {})
    report(plan)
    text = page.read_text(encoding="utf-8")
    assert text.count("<h3>Measured times: thing</h3>") == 1 and "Measured times: gone" not in text
    assert "commit <code>0123456789ab+</code>" in text
    here = machine()
    assert f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB" in text
    assert '<td>weights 100</td><td class="number nowrap">0.00125 (0.0010–0.0015)</td>' in text
    assert "7 × 200" in text and "difference &lt;quotients&gt;" in text


def test_results_of_other_studies_are_named(plan):
    report(plan)
    page = plan.results / "quick" / "report.html"
    assert "Not in this report" not in page.read_text(encoding="utf-8")
    report(replace(plan, studies=("valleys",)))
    text = page.read_text(encoding="utf-8")
    assert "Not in this report: <code>ridges</code>, whose" in text


def test_a_study_that_failed_is_told_and_no_earlier_report_hides_it(plan):
    report(plan)
    folder = plan.results / "quick"
    (folder / "ridges" / "summary.nc").unlink()
    assert report_unfinished(plan) == folder / "unfinished.html"
    text = (folder / "unfinished.html").read_text(encoding="utf-8")
    assert "Not finished." in text and "<code>ridges</code>: " in text
    assert not (folder / "report.html").exists()
