"""What users of Snakemake do with a workflow: its own report, a module of theirs, its catalog."""

from __future__ import annotations

import json
import re
import zipfile

import pytest
import yaml

MODULE = """
module landscapes:
    snakefile: "{snakefile}"
    config: config["landscapes"]

use rule * from landscapes as landscapes_*

rule mine:
    default_target: True
    input: "below/quick/valley/summary.nc"
    output: "mine.txt"
    shell: "wc -c {{input}} > {{output}}"
"""


@pytest.mark.slow
def test_snakemakes_report_holds_each_figure_with_caption_and_labels(done):
    written = done.snakemake("--report", "all.zip")
    assert written.returncode == 0, written.stderr
    with zipfile.ZipFile(done.folder / "all.zip") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    drawn = done.folder / "results/quick/valley/figures/ends_figure.svg"
    assert drawn.read_bytes() in held.values()
    assert not [name for name in held if name.endswith(".png")]  # the same picture
    page = next(text.decode() for text in held.values() if b'"labels"' in text)
    labels = [json.loads(found) for found in re.findall(r'"labels": ({.*?})', page)]
    assert {"figure": "ends figure", "study": "valley", "subject": "Studies"} in labels
    assert {one["study"] for one in labels} == {"valley", "plain", "all"}
    assert "From the study <em>A quadratic valley</em>" in page
    assert "<li>not contradicted: 1</li>" in page
    assert done.planned() == set()


@pytest.mark.slow
def test_a_workflow_of_ones_own_uses_the_rules_as_a_module(project, root):
    """With its own config/studies/ and plugins/, and other keys in its configuration."""
    (project.folder / "config/config.yaml").write_text(
        yaml.safe_dump({"cells": 3, "landscapes": {"studies": ["valley"], "results": "below"}})
    )
    project.snakefile = project.write(
        "Snakefile",
        'configfile: "config/config.yaml"\n' + MODULE.format(snakefile=root / "workflow/Snakefile"),
    )
    run = project.snakemake("--cores", "2")
    assert run.returncode == 0, run.stderr
    assert "summary.nc" in (project.folder / "mine.txt").read_text()
    again = project.snakemake("--cores", "2")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_catalog_finds_what_it_asks_for(root):
    """Of the catalog's own rules, those that a folder can break."""
    told = yaml.safe_load((root / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert set(told["usage"]) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert told["usage"]["report"] is True
    assert set(told["usage"]["software-stack-deployment"]) == {
        "conda", "apptainer", "apptainer+conda",
    }  # fmt: skip
    readme = (root / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme and "workflow" in readme
    assert (root / "config/README.md").is_file() and list((root / "workflow/rules").glob("*.smk"))
    # two names of one file: Snakemake's for a clone, the catalog's for its list
    assert (root / "workflow/Snakefile").samefile(root / "Snakefile")
