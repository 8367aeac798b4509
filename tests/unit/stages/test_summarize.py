"""The stage that gathers columns and judges claims."""

from types import SimpleNamespace

import xarray as xr

from nnflow.stages.summarize import summarize
from nnflow.study.claims import Claim


def test_it_says_last_what_its_claims_say_each_statement_once(tmp_path):
    """Two bounds on one statement, one of which fails, and a cross-check."""
    common = {"statement": "s", "source": "t", "value": "x"}
    claims = [
        Claim(claim="above", above=0, counts_as="one", **common),
        Claim(claim="below", below=1, counts_as="one", **common),
        Claim(claim="ours", published=2, basis="ours", **common),
    ]
    lines = []
    found = xr.Dataset({"x": ("configuration", [2.0])}, {"configuration": ["all"]})
    settings = SimpleNamespace(analyses={"a": None}, claims=claims)
    study = SimpleNamespace(
        name="s", settings=settings, configurations=[SimpleNamespace(label="all")]
    )
    summarize(
        SimpleNamespace(
            study=study,
            read={"a": found},
            folder=tmp_path,
            write=lambda file, sets, title: None,
            reporter=SimpleNamespace(line=lines.append),
        )
    )
    assert lines[-1] == "bounds: 1 differs; cross-checks: 1 reproduced"
    assert lines[0].startswith("differs: below")
