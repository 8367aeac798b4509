"""Two small studies with results, for tests of the report."""

import struct
from pathlib import Path

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.study.claims import to_csv
from nnflow.study.verdicts import judge
from nnflow.workflow.plan import Plan

PLUGINS = '''"""Plugins of a study."""
import nnflow
from nnflow import {kind}


class Thing({kind}):
    """A picture of <the> landscape,
    in two lines.

    More."""

    needs = {needs}


@nnflow.hookimpl
def nnflow_register_{kinds}(register):
    register("thing", Thing)
'''
STUDY = """
title: Valleys & <b>ridges</b>
question: Which <way>?
description: What is asked of W_{j+1} and 10^8.
source: A paper, Table 1 (arXiv:1712.08968)
findings:
  - "Of the runs {share[runs=10]:.0%} are bad, and {share.max}; & {kind}."
  - "With thirty {share[runs=30]}."
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
SIDE = np.linspace(-2, 2, 41)
# ½(w₁² + 4w₂²), which a reader may descend
BOWL = xr.Dataset(
    {
        "first": (("configuration", "first_place"), np.stack([SIDE] * 2)),
        "second": (("configuration", "second_place"), np.stack([SIDE] * 2)),
        "loss": (
            ("configuration", "second_place", "first_place"),
            np.stack([(SIDE**2 + 4 * SIDE[:, None] ** 2) / 2] * 2),
        ),
    },
    {"configuration": ["runs=10", "runs=20"]},
    {"interactive": "descent"},
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><circle r="9"/></svg>'

# 400 pixels at 7874 per metre, which are 200 per inch: two inches, as a browser counts 192
PNG = (
    b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 400, 300) + bytes(9)
    + struct.pack(">I4sIIB", 9, b"pHYs", 7874, 7874, 1) + bytes(500)
)  # fmt: skip


def two_studies(tmp_path: Path, plugins) -> Plan:
    """Two studies, with results as the stages before the report leave them."""
    for kind, kinds, needs in (("Figure", "figures", ("summary",)), ("Analysis", "analyses", ())):
        text = PLUGINS.format(kind=kind, kinds=kinds, needs=needs)
        plugins.write(f"{kinds}/thing.py", text)
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
    store.write(folder / "analyses/thing.nc", {"": BOWL}, {})
    (folder / "figures").mkdir()
    (folder / "figures" / "thing.svg").write_bytes(SVG)
    (folder / "figures" / "thing.png").write_bytes(PNG)
