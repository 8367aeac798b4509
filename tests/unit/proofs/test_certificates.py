"""Certificates as data: sealed, proved again, and refused where anything was altered."""

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.proofs.certificates import (
    BOUNDS,
    center_of,
    check_file,
    enclosure_of,
    proofs_dataset,
    sealed,
    weight_axes,
)
from nnflow.proofs.proof import LOWER, UPPER, VERDICTS, prove

# minimum, saddle, maximum, and no critical point
CENTERS = [
    [3.584428340330492, -1.848126526964404],
    [3.385154183607152, 0.07385187983736],
    [-0.270844590667435, -0.923038522256293],
    [1.0, 1.0],
]


@pytest.fixture(scope="module")
def dataset():
    model = registry().get("models", "himmelblau")()
    centers = xr.Dataset(
        {name: (axes, np.array(CENTERS)) for name, axes in weight_axes(model).items()}
    )
    proofs = [prove(enclosure_of(model), center_of(model, centers, i)) for i in range(len(CENTERS))]
    return proofs_dataset(model, centers, proofs, 64)


def outcomes(dataset, folder):
    path = folder / "certificates.nc"
    store.write(path, {"": dataset}, {"title": "certificates"})
    return list(check_file(path))


def altered(dataset, name, number, change):
    copy = dataset.copy(deep=True)
    copy[name].values[number] = change(copy[name].values[number])
    return copy


def test_what_holds_is_proved_again(dataset, tmp_path):
    said = [VERDICTS[code] for code in dataset["verdict"].values]
    assert said == ["minimum", "saddle", "maximum", "unproved"]
    found = outcomes(dataset, tmp_path)
    assert [outcome.proved for outcome in found] == [True, True, True, None]
    assert "no contraction" in found[3].text or "too small" in found[3].text
    assert dataset["reason"].values[0] == ""


NUMBERS = ("radius", "precision", "verdict", "w", *BOUNDS)


@pytest.mark.parametrize("name", NUMBERS)
def test_any_alteration_is_refused(dataset, tmp_path, name):
    def change(value):
        if np.asarray(value).dtype.kind in "iu":
            return value + 1
        return np.nextafter(value, np.inf) if np.isfinite(value).all() else np.full_like(value, 1e9)

    found = outcomes(altered(dataset, name, 1, change), tmp_path)
    assert [outcome.proved for outcome in found] == [True, False, True, None]
    assert "checksum" in found[1].text


def test_an_altered_model_and_checksum_are_refused(dataset, tmp_path):
    assert (
        outcomes(altered(dataset, "checksum", 0, lambda text: text[::-1]), tmp_path)[0].proved
        is False
    )
    other = dataset.assign_attrs(model=json.dumps({"name": "laurent_von_brecht"}))
    with pytest.raises(UserError, match="model"):
        outcomes(other, tmp_path)


# (name, change) that make a claim false: they are refused though sealed again
FALSE = [
    ("min_eigenvalue_low", lambda x: x + 1e-4),
    ("min_eigenvalue_high", lambda x: x - 1e-4),
    ("max_eigenvalue_low", lambda x: x + 1e-4),
    ("loss_low", lambda x: x + 1e-4),
    ("loss_high", lambda x: x - 1e-4),
    ("contraction", lambda x: 1e-30),
    ("distance", lambda x: 0.0),
    ("radius", lambda x: 1e-30),
    ("radius", lambda x: 5.0),
    ("radius", lambda x: -x),
    ("radius", lambda x: np.nan),
    ("w", lambda w: w + 1e-6),
    ("w", lambda w: w[::-1]),
    ("w", lambda w: w * np.nan),
    ("precision", lambda x: 10**9),
    ("precision", lambda x: 0),
    ("verdict", lambda x: VERDICTS.index("maximum")),
    ("verdict", lambda x: VERDICTS.index("unproved")),
    ("verdict", lambda x: 99),
    *[(bound, lambda x: np.nan) for bound in BOUNDS],
]


@pytest.mark.parametrize(("name", "change"), FALSE)
def test_a_false_claim_is_refused_though_it_is_sealed(dataset, tmp_path, name, change):
    found = outcomes(sealed(altered(dataset, name, 1, change)), tmp_path)
    assert found[1].proved is False
    assert "checksum" not in found[1].text
    assert [found[i].proved for i in (0, 2, 3)] == [True, True, None]


@pytest.mark.parametrize("name", BOUNDS)
def test_a_weaker_claim_is_still_a_true_one(dataset, tmp_path, name):
    worse = 1e-3 * (1 if name in UPPER else -1)
    if name == "distance":
        worse = 1e-15
    assert (name in UPPER) != (name in LOWER)
    found = outcomes(sealed(altered(dataset, name, 1, lambda x: x + worse)), tmp_path)
    assert found[1].proved


def test_no_verdict_without_bounds(dataset, tmp_path):
    claimed = altered(dataset, "verdict", 3, lambda x: VERDICTS.index("minimum"))
    assert outcomes(sealed(claimed), tmp_path)[3].proved is False


def test_no_certificates(dataset, tmp_path):
    assert outcomes(dataset.isel(certificate=slice(0, 0)), tmp_path) == []


def test_files_that_hold_none(dataset, tmp_path):
    broken = tmp_path / "broken.nc"
    broken.write_text("CDF?")
    other = tmp_path / "other.nc"
    store.write(other, {"": xr.Dataset({"x": 1})}, {})
    for path, words in (
        (tmp_path / "none.nc", "missing"),
        (broken, "not a readable"),
        (other, "not a file of certificates"),
    ):
        with pytest.raises(UserError, match=words) as error:
            list(check_file(path))
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    for model in ("{", '{"name": "nobody"}', "3"):
        with pytest.raises(UserError, match="model"):
            outcomes(dataset.assign_attrs(model=model), tmp_path)


def test_exit_status(dataset, tmp_path, root):
    def check(content):
        store.write(tmp_path / "c.nc", {"": content}, {})
        command = [sys.executable, "-m", "nnflow", "certificate", "check", str(tmp_path / "c.nc")]
        return subprocess.run(command, cwd=root, capture_output=True, text=True)

    good = check(dataset)
    assert good.returncode == 0, good.stderr
    assert [line.split(": ")[1] for line in good.stdout.splitlines()] == [
        *["proved"] * 3,
        "no claim",
    ]
    bad = check(altered(dataset, "w", 0, lambda w: w + 1e-9))
    assert bad.returncode == 1
    assert [line.split(": ")[1] for line in bad.stdout.splitlines()][:2] == ["REFUSED", "proved"]
