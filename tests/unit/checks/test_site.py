"""The documentation's pages of texts and figures, and the site that is built of all pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nnflow.checks import site
from nnflow.study.loading import built_in_studies, load_study


@pytest.fixture
def here(root, monkeypatch):
    monkeypatch.chdir(root)
    return root


def test_every_study_is_of_a_text_and_every_text_of_studies(here):
    named = [site._named(told) for told in site.texts().values()]
    assert len(named) == 6 and all(len(set(names)) == len(names) for names in named)
    assert {name for names in named for name in names} == set(built_in_studies())


def test_studies_call_texts_by_their_titles(here):
    """A reader of the report knows no names of files."""
    for file in built_in_studies().values():
        assert not re.search(r"\d{3}_[0-9a-f]{16}", file.read_text(encoding="utf-8")), file


def test_a_text_says_what_was_kept(here):
    """Statement, source and verdict of each claim, and the totals of them."""
    known = {"single_relu": json.loads(site.KEPT.read_text(encoding="utf-8"))["single_relu"]}
    page = site.text_page({"name": "One", "text": "A text", "parts": {"P": ["single_relu"]}}, known)
    claims = load_study(built_in_studies()["single_relu"]).settings.claims
    printed = [claim for claim in claims if claim.category != "cross_check"]
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(printed) > 5
    for claim, row in zip(printed, rows, strict=True):
        text, where, stated, measured, verdict = row.strip("| ").split(" | ")
        told = known["single_relu"]["claims"][claim.claim]
        shown = told["verdict"].replace("_", " "), told["stated"], told["measured"], claim.source
        assert (verdict, stated, measured, where) == tuple(map(site._typeset, shown))
        assert text.startswith(site._typeset(told["text"]))
    assert f"hold {len(printed)} printed numbers and statements" in page
    assert "corrected" in page and known["single_relu"]["commit"][:7] in page


def test_a_study_without_results_says_so(here):
    page = site.text_page({"name": "One", "text": "A text", "parts": {"P": ["single_relu"]}}, {})
    assert "`nnflow run single_relu`" in page and "not computed yet" in page


def test_answers_of_a_run_come_before_those_that_are_kept(here, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(site, "_answer", lambda study, folder: seen.append(folder) or {"new": 1})
    for scale, name in (("quick", "himmelblau"), ("paper", "himmelblau"), ("quick", "momentum")):
        folder = tmp_path / scale / name
        folder.mkdir(parents=True)
        for file in ("summary.nc", "claims.csv"):
            (folder / file).touch()
    found = site.answers(tmp_path)
    assert found["himmelblau"] == found["momentum"] == {"new": 1} != found["single_relu"]
    assert seen == [tmp_path / "paper/himmelblau", tmp_path / "quick/momentum"]


def test_no_sign_of_a_study_is_markup():
    assert site._typeset("a|b* [c] `d` w_j <x>") == (
        "a&#124;b&#42; &#91;c&#93; <code>d</code> w<sub>j</sub> &lt;x&gt;"
    )


def test_the_gallery_shows_the_headline(here, tmp_path):
    study = load_study(built_in_studies()["toy_valley"]).settings
    headline = study.headline_figure or next(iter(study.figures))
    figures = tmp_path / "quick/toy_valley/figures"
    figures.mkdir(parents=True)
    (figures / f"{headline}.png").write_bytes(b"a picture")
    page = site.gallery({"toy_valley": {"findings": ["It is slow."]}}, tmp_path, tmp_path / "to")
    assert (tmp_path / "to/toy_valley.png").read_bytes() == b"a picture"
    assert study.title in page and "(to/toy_valley.png)" in page and "It is slow." in page
    assert "make figures" in site.gallery({}, tmp_path / "empty", tmp_path / "none")


def _builder(root: Path) -> str | None:
    known = os.pathsep.join([str(root / ".venv-docs/bin"), os.environ["PATH"]])
    return shutil.which("sphinx-build", path=known)


def test_the_site_builds_without_a_warning_and_needs_no_network(here, tmp_path):
    builder = _builder(here)
    if builder is None:
        pytest.skip("no Sphinx here; `make docs` installs it")
    source = tmp_path / "source"
    names = ("README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "Makefile", "environment.yml",
             "docs", "config", "plugins", "benchmarks", "nnflow", "tests")  # fmt: skip
    for name in names:
        ignored = shutil.ignore_patterns("_site", "generated", "__pycache__")
        if (here / name).is_dir():
            shutil.copytree(here / name, source / name, ignore=ignored)
        else:
            source.mkdir(exist_ok=True)
            shutil.copy(here / name, source / name)
    site.write(tmp_path / "no results", source / "docs/generated")
    command = [builder, "-q", "-W", "--keep-going", "-c", "docs", ".", "built"]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = list((source / "built").rglob("*.html"))
    assert len(pages) > 45 and source / "built/docs/index.html" in pages
    fetched = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](?:https?:)?//""")
    assert [page.name for page in pages if fetched.search(page.read_text("utf-8"))] == []
    styles = (source / "built").rglob("*.css")
    assert not [one for one in styles if re.search(r"url\(.?https?:", one.read_text("utf-8"))]
