"""Every claim of every study can fail: data that refute it turn its verdict.

All studies of config/ are tried at both scales, those that the default list leaves out, too.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnflow.study.claims import Claim
from nnflow.study.loading import load_study, study_files
from nnflow.study.verdicts import judge

AGREEING = {"reproduced", "proved", "not_contradicted"}
RUNS = 100_000


@cache
def claims():
    """(id, claim, labels of the scale, labels of all scales) of every study."""
    found = []
    for name, file in study_files(Path(__file__).parents[2] / "config/studies").items():
        studies = {scale: load_study(file, scale) for scale in ("quick", "paper")}
        labels = {
            scale: [configuration.label for configuration in study.configurations]
            for scale, study in studies.items()
        }
        everywhere = {label for some in labels.values() for label in some}
        for scale, study in studies.items():
            for claim in study.settings.claims:
                case = f"{name}-{scale}-{claim.claim}"
                found.append((case, claim, labels[scale], everywhere))
    return found


def pytest_generate_tests(metafunc):
    wanted = [name for name in ("claim", "labels", "study_labels") if name in metafunc.fixturenames]
    if wanted:
        cases = [pytest.param(*case[1 : 1 + len(wanted)], id=case[0]) for case in claims()]
        metafunc.parametrize(wanted, cases)


def verdicts(claim: Claim, labels: list[str], values: dict[str, float], width: float = 0.0):
    column = np.array([values.get(label, np.nan) for label in labels])
    summary = xr.Dataset(
        {
            claim.value: ("configuration", column),
            claim.runs_column: ("configuration", np.full(len(labels), RUNS)),
        },
        {"configuration": labels},
    )
    if width:
        summary[f"{claim.value}_low"] = ("configuration", column - width)
        summary[f"{claim.value}_high"] = ("configuration", column + width)
    found = {row["configuration"]: row["verdict"] for row in judge("study", [claim], summary)}
    return {label: v for label, v in found.items() if v != "not_measured"}


def agreeing(claim: Claim, number: float) -> float:
    """A value that the claim allows."""
    side = {"above": 1, "below": -1}.get(claim.comparison, 0)
    return number + side * max(1e-3, 0.01 * abs(number))


def refuting(claim: Claim, number: float) -> list[float]:
    """Values that it does not allow: no effect, the other way round, shifted."""
    scale = max(abs(number), 1e-3)
    if claim.comparison in ("at_most", "below"):
        return [number + 1e-6 * scale, number + 3 * scale]
    if claim.comparison in ("at_least", "above"):
        return [number - 1e-6 * scale, number - 3 * scale]
    if claim.trials:
        return [0.0, min(1.0, 3 * number), number / 3]
    below, above = claim.below_above
    shifted = [number + 3 * above + 0.9 * scale, number - 3 * below - 0.9 * scale]
    return [*shifted, *([0.0, -number] if abs(number) > 2 * max(below, above) else [])]


def test_it_agrees_where_it_should_and_turns_where_it_must(claim, labels):
    if claim.comparison == "trend":
        labels = [label for label in claim.along or labels if label in labels]
        if len(labels) < 2:  # of another scale
            return
        rising = dict(zip(labels, np.arange(len(labels), dtype=float), strict=True))
        falling = {label: -value for label, value in rising.items()}
        right, wrong = (rising, falling) if claim.trend == "increasing" else (falling, rising)
        assert set(verdicts(claim, labels, right).values()) <= AGREEING
        assert set(verdicts(claim, labels, wrong).values()) == {"differs"}
        assert set(verdicts(claim, labels, dict.fromkeys(labels, 1.0)).values()) == {"differs"}
        return
    expected = {label: n for label, n in claim.expected(labels).items() if label in labels}
    if not expected:
        return
    right = {label: agreeing(claim, number) for label, number in expected.items()}
    # printed shares of a few in a thousand are not told from none by any number of our runs
    allowed = AGREEING | ({"undecided"} if claim.trials else set())
    assert set(verdicts(claim, labels, right).values()) <= allowed
    for place in range(len(refuting(claim, 1.0))):
        wrong = {}
        for label, number in expected.items():
            values = refuting(claim, number)
            correction = claim.corrected.get(label)
            value = values[min(place, len(values) - 1)]
            if correction is not None:
                assert verdicts(claim, labels, {label: value})[label] in ("differs", "corrected")
                continue
            wrong[label] = value
        found = verdicts(claim, labels, wrong)
        assert set(found.values()) <= {"differs", "undecided"}, found


def test_data_three_intervals_off_turn_it(claim, labels):
    """Three intervals, small beside the effect, on the wrong side."""
    if claim.comparison == "trend" or claim.counts or claim.trials:  # no interval decides these
        return
    expected = {label: n for label, n in claim.expected(labels).items() if label in labels}
    below, above = claim.below_above
    theirs = np.sqrt(1 + RUNS / claim.published_runs) if claim.published_runs else 1.0
    sides = {"at_most": [1], "below": [1], "at_least": [-1], "above": [-1]}
    for side in sides.get(claim.comparison, [1, -1]):
        for label, number in expected.items():
            width = 1e-3 * max(abs(number), below, above, 1e-3)
            edge = number + side * (above if side > 0 else below)
            value = edge + 3 * side * theirs * width
            found = verdicts(claim, [label], {label: value}, width)[label]
            assert found in ({"differs", "corrected"} if claim.corrected else {"differs"}), label


def test_each_configuration_of_a_claim_is_one_of_its_study(claim, labels, study_labels):
    """A claim at a configuration that no scale has would never be measured."""
    named = claim.along if claim.comparison == "trend" else claim.expected([])
    assert set(named) <= study_labels


def test_an_interval_that_holds_both_decides_nothing(claim, labels):
    """Where what was measured could be nearly anything, nothing is reproduced."""
    if claim.comparison == "trend" or claim.counts or claim.trials:  # a share has its runs
        return
    expected = {label: n for label, n in claim.expected(labels).items() if label in labels}
    right = {label: agreeing(claim, number) for label, number in expected.items()}
    found = verdicts(
        claim, labels, right, width=1e3 * (1 + max(map(abs, right.values()), default=0))
    )
    assert set(found.values()) <= {"undecided"}
