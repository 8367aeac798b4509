"""Two small studies with results, for tests of the report."""

import struct
from pathlib import Path

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.report.pictures import write_inline
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
# a family of three widths, which turns from saddles into a minimum, and one of two, all turned
FAMILIES = xr.Dataset(
    {
        "family": ("configuration", ["one: S_(k−1) × S_1"] * 3 + ["all: S_k"] * 2),
        "loss": ("configuration", [0.04, 0.03, 0.02, 0.1, 0.2]),
        "eigenvalue": (
            ("configuration", "mode"),
            [[-0.2, 0.5, 2.0], [-0.1, 0.5, 3.0], [0.1, 0.5, 4.0], [0.1, 2.0, np.nan],
             [0.2, 30.0, np.nan]],
        ),
        "multiplicity": (
            ("configuration", "mode"),
            [[1, 5, 3], [2, 10, 4], [4, 20, 1], [8, 1, np.nan], [9990, 10, np.nan]],
        ),
        "block_size": (("configuration", "block"), [[2, 1], [3, 1], [4, 1], [0, 3], [0, 100]]),
        "own": (
            ("configuration", "block"),
            [[0.9, -0.5], [0.95, -0.6], [0.96875, -0.75], [np.nan, -0.9], [np.nan, -0.99]],
        ),
        "between": (
            ("configuration", "block", "input_block"),
            [[[-0.1, 0.3], [0.2, np.nan]]] * 3 + [[[np.nan, np.nan], [np.nan, 0.02]]] * 2,
        ),
    },
    {
        "width": ("configuration", [3, 4, 5, 3, 100]),
        "kind": ("configuration", ["saddle", "saddle", "minimum", "minimum", "minimum"]),
        "block": ["aligned", "turned"],
    },
    {"interactive": "families"},
)  # fmt: skip
# eight boxes of a proof from 0 to 1/2, and two of another; the first is not bounded above
EDGES = np.arange(9) / 16
BOXES = xr.Dataset(
    {
        "low": ("box", np.append(EDGES[:-1], [0.0, 0.1]),
                {"symbol": "s", "also": "k", "also_power": -2.0}),
        "high": ("box", np.append(EDGES[1:], [0.1, 0.2])),
        "of_family": ("box", ["one_turned"] * 8 + ["two_turned"] * 2),
        "gap_low": ("box", np.append(1 - EDGES[1:], [0.1, 0.2]), {"long_name": "at least this"}),
        "gap_high": ("box", np.append([np.inf, *(1 - EDGES[1:-1])], [0.3, 0.4]),
                     {"long_name": "at most this"}),
        "loss_low": ("box", np.full(10, 0.25)),
        "loss_high": ("box", np.full(10, 0.5)),
        "radius": ("box", np.arange(1, 11) * 1e-5, {"long_name": "half-width of the tube"}),
        "number": ("box", np.arange(10)),
    },
    attrs={"interactive": "boxes"},
)  # fmt: skip
# ink on white, as drawings of matplotlib are
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">'
    b'<rect width="40" height="30" fill="#ffffff"/><circle r="9"/></svg>'
)

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
    shown = FAMILIES if name == "valleys" else BOWL
    store.write(folder / "analyses/thing.nc", {"": shown}, {})
    (folder / "figures").mkdir()
    (folder / "figures" / "thing.svg").write_bytes(SVG)
    (folder / "figures" / "thing.png").write_bytes(PNG)
    write_inline(folder, "thing")
