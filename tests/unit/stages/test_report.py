"""The report: tables, published numbers, figures and claims on one page."""

import csv
import html.parser
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from two_studies import two_studies

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.timing import machine
from nnflow.stages.report import print_claims, report, report_unfinished
from nnflow.study.claims import to_csv
from nnflow.study.timings import write_timings
from nnflow.study.verdicts import judge
from nnflow.workflow.plan import Plan
from nnflow.workflow.state import State


@pytest.fixture
def plan(tmp_path: Path, plugins) -> Plan:
    """Two studies, with results as the stages before the report leave them."""
    return two_studies(tmp_path, plugins)


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


def text(page: str, tag: str, key: str) -> str:
    """The words of the first element whose opening tag holds `key`."""
    start = page.index(">", page.index(key)) + 1
    inner = page[start : page.index(f"</{tag}>", start)]
    return " ".join(re.sub(r"<[^>]+>", " ", inner).split())


def test_verdicts_are_counted_by_kind_and_never_added_up(page):
    (words,) = [
        " ".join(re.sub("<[^>]+>", " ", part).split())
        for part in re.findall(r'<div class="verdict">.*?</p></div>', page, re.DOTALL)
    ][:1]
    # in both studies two shares, of which one is corrected, and two losses, of which one has no run
    assert words == "8 printed numbers ✓ 4 reproduced ↻ 2 corrected – 2 not measured"
    kinds = next(t for t in Tables(page).tables if t[0][0] == "kind")
    assert kinds[1] == ["printed numbers", "4", "0", "0", "0", "0", "2", "2"]
    assert [row[1:] for row in kinds[2:]] == [["0"] * 7] * 3


def test_a_finding_has_this_runs_numbers_and_one_without_is_left_out(page):
    # “; & flat” is text; the interval of 37.5 % is shown in the same digits
    found = text(page[page.index('id="valleys"') :], "div", 'class="result"')
    assert (
        found == "Result Of the runs 38% (29–47%) are bad, and 0.50 (0.4–0.6); &amp; flat, steep."
    )
    assert "thirty" not in page


def test_what_was_compared_stands_on_the_page_of_a_study(page):
    compared = next(t for t in Tables(page).tables if t[0][0] == "verdict")
    assert compared[0] == ["verdict", "statement", "stated", "measured"]
    corrected, reproduced = compared[1:]
    assert corrected[0] == "↻ corrected" and corrected[2:] == ["0.9", "0.50 (0.4–0.6)"]
    assert corrected[1].startswith("Of runs a share is bad.")
    assert "here runs=20, of 2 cases" in corrected[1]
    assert reproduced[0] == "✓ reproduced" and reproduced[2:] == ["1.5", "1.5"]


def test_all_cases_of_a_statement_are_shown_with_verdict_and_note(page):
    cases = [table for table in Tables(page).tables if table[0][0] == "case"]
    assert ["runs=20", "0.9", "0.50 (0.4–0.6)", "↻ corrected", "“.9” (p. 1): a misprint"] in cases[
        0
    ]
    note = "this configuration is not part of this scale; looked at <closely>"
    assert ["runs=30", "8", "–", "– not measured", note] in cases[-1]


def test_all_numbers_are_in_tables_that_a_page_holds(page):
    first, *_ = [table for table in Tables(page).tables if table[0][0] == "quantity"]
    assert first[0] == ["quantity", "runs=10", "runs=20"]
    rows = {row[0].split("(")[0].strip(): row[1:] for row in first[1:]}
    assert rows["loss"] == ["1.5", "–"]
    assert rows["gapfrom to to"] == ["1×10⁻⁹ to 0.25", "–"]
    assert rows["size"] == ["3.14×10⁻⁹", "0.5"]
    assert rows["kind"] == ["flat", "steep"]


def test_what_is_printed_wrong_has_a_page_of_its_own(page):
    corrected = page[page.index('id="corrected"') : page.index('id="valleys"')]
    assert corrected.count('class="correction"') == 2
    assert "“.9” (p. 1): a misprint" in corrected


def test_figures_are_numbered_within_a_study_the_headline_first(page):
    part = page[page.index('id="valleys"') : page.index('id="ridges"')]
    numbers = re.findall(r"<figcaption><strong>Figure (\d+)\.</strong>", part)
    assert (
        numbers == [str(number + 1) for number in range(part.count('<figure id="valleys.'))] != []
    )


def test_sources_are_links_and_formulas_are_set(page):
    assert '<a href="https://arxiv.org/abs/1712.08968">arXiv:1712.08968</a>' in page
    assert "W<sub>j+1</sub> and 10<sup>8</sup>" in page


def test_a_finding_of_a_column_that_there_is_not_is_one_line(plan):
    study = plan.loaded["ridges"]
    settings = study.settings.model_copy(update={"findings": ["{shore} of them"]})
    plan.loaded["ridges"] = replace(study, settings=settings)
    with pytest.raises(UserError, match=r"findings\.0: no analysis gives the column 'shore'"):
        report(plan)


def test_a_finding_that_the_run_contradicts_says_so(plan, page):
    """Its words were written before the run: a claim that differs at one of its numbers is told."""
    assert "This run contradicts" not in page
    study = plan.loaded["ridges"]
    wrong = [study.settings.claims[0].model_copy(update={"published": 0.9, "corrected": {}})]
    findings = ["At ten {share[runs=10]}.", "At twenty {loss}, a loss."]
    settings = study.settings.model_copy(update={"claims": wrong, "findings": findings})
    plan.loaded["ridges"] = replace(study, settings=settings)
    folder = plan.results / "quick" / "ridges"
    rows = judge("ridges", wrong, store.read(folder / "summary.nc")[""])
    assert [row["verdict"] for row in rows] == ["differs", "differs"]
    (folder / "claims.csv").write_text(to_csv(rows))
    report(plan)
    page = (plan.results / "quick" / "report.html").read_text(encoding="utf-8")
    told = " ".join(page[page.index('id="ridges"') :].split())
    assert 'At ten 0.375 (0.29–0.47). <span class="against differs">≠ This run' in told
    assert "contradicts what is stated of these numbers: Of runs a share is bad.</span>" in told
    assert told.count("This run contradicts") == 1


def test_text_is_escaped(page):
    assert "Valleys &amp; &lt;b&gt;ridges&lt;/b&gt;" in page
    assert "<b>" not in page and "<the>" not in page and "<bad>" not in page


def test_each_figure_is_embedded_once_and_its_files_are_linked(page, plan):
    tags = Tables(page).tags
    images = [attrs for tag, attrs in tags if tag == "img" and "src" in attrs]
    assert len(images) == 2 and images[0]["src"].startswith("data:image/svg+xml,")
    assert (images[0]["width"], images[0]["height"]) == ("192", "144")
    assert page.count("A picture of &lt;the&gt; landscape, in two lines.") == 2
    links = [attrs["href"] for tag, attrs in tags if tag == "a"]
    for ending in ("svg", "png"):
        assert f"ridges/figures/thing.{ending}" in links
        assert (plan.results / f"quick/ridges/figures/thing.{ending}").exists()


def test_the_page_needs_nothing_else(page):
    tags = Tables(page).tags
    assert not [tag for tag, _ in tags if tag in ("iframe", "object")]
    assert not [attrs for tag, attrs in tags if tag == "script" and "src" in attrs]
    assert [attrs["href"] for tag, attrs in tags if tag == "link"] == ["data:,"]
    sources = [attrs["src"] for _, attrs in tags if "src" in attrs]
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttp", page)


def test_links_inside_the_page_have_targets_and_ids_occur_once(page):
    tags = Tables(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    inside = [a["href"][1:].partition("?")[0] for _, a in tags if a.get("href", "").startswith("#")]
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
    colours = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", page)
    themes = [{name: pair[i] for name, *pair in colours} for i in (0, 1)]
    assert themes[0]["paper"] != themes[1]["paper"]
    pairs = [(ink, "paper") for ink in ("ink", "quiet", "link")] + [("ink", "wash")]
    for verdict in ("good", "mild", "open", "right", "bad", "none"):
        pairs += [(verdict, f"{verdict}-wash"), (verdict, "card"), (verdict, "paper")]
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


@pytest.mark.parametrize(
    "place", ["summary.nc", "claims.csv", "figures/thing.png", "inline/thing.txt"]
)
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


def test_torch_is_not_imported(root):
    code = "import sys, nnflow.stages.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ).returncode == 0


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
    assert (
        text.count("<summary>Measured times: thing</summary>") == 1
        and "Measured times: gone" not in text
    )
    assert "commit <code>0123456789ab+</code>" in text
    here = machine()
    assert f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB" in text
    assert '<td>weights 100</td><td class="number">0.00125 (0.0010–0.0015)</td>' in text
    assert "7 × 200" in text and "difference &lt;quotients&gt;" in text


def test_the_report_gives_the_totals_of_its_claims(plan):
    assert report(plan) == "numbers: 4 reproduced, 2 corrected, 2 not measured"
    for name in plan.studies:
        plan.loaded[name].settings.claims.clear()
        store.write_text(plan.results / "quick" / name / "claims.csv", to_csv([]))
    assert report(plan) == "no claims"


def test_claims_that_share_a_statement_are_counted_once(plan, capsys):
    assert print_claims(plan, every=False) == 0
    assert capsys.readouterr().out == "numbers: 4 reproduced, 2 corrected, 2 not measured\n"
    for name in plan.studies:
        claims = plan.loaded[name].settings.claims
        claims[:] = [claim.model_copy(update={"counts_as": "one"}) for claim in claims]
    print_claims(plan, every=True)
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    # by configuration, of which the third belongs to another scale
    assert sum(int(number) for number in re.findall(r"\d+", last)) == 2


def test_a_run_of_one_study_leaves_the_page_of_those_that_are_current(plan, monkeypatch):
    """What the run of a study says of claims is its own; the page and the table have all."""
    words = {"valleys": "done", "ridges": "done"}
    monkeypatch.setattr("nnflow.stages.report.state", lambda plan, name: State(words[name]))
    folder = plan.results / "quick"
    both, one = replace(plan, studies=("valleys",)), "numbers: 2 reproduced, 1 corrected"
    assert report(both).startswith(one)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="ridges"' in text and "Not in this report" not in text
    table = (folder / "claims.csv").read_text(encoding="utf-8")
    assert {line.split(",")[1] for line in table.splitlines()[1:]} >= {"valleys", "ridges"}
    report(both, alone=True)
    assert 'id="ridges"' not in (folder / "report.html").read_text(encoding="utf-8")
    words["ridges"] = "stale"
    report(both)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="ridges"' not in text and "Not in this report: <code>ridges</code>" in text
    # a mistake in another study's file is not that of this one
    words["ridges"] = "done"
    (plan.folder / "ridges.yaml").write_text("title: [", encoding="utf-8")
    report(both)
    assert 'id="valleys"' in (folder / "report.html").read_text(encoding="utf-8")


def test_a_study_that_failed_is_told_and_no_earlier_report_hides_it(plan):
    report(plan)
    folder = plan.results / "quick"
    (folder / "ridges" / "summary.nc").unlink()
    assert report_unfinished(plan) == folder / "unfinished.html"
    text = (folder / "unfinished.html").read_text(encoding="utf-8")
    assert "Not finished." in text and "<code>ridges</code>: " in text
    assert not (folder / "report.html").exists()
