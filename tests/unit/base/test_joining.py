"""Files joined along the runs: as if the whole had been written at once."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.joining import Column, Piece, join, rows


def dataset(first, last, seed=0):
    """Runs first … last−1 of one table; NaN of any bits, flags, and an axis without runs."""
    loss = np.random.default_rng(seed).normal(size=(50, 3))
    loss[0, 0] = np.frombuffer(np.uint64(0x7FF8000000000123).tobytes())[0]
    loss = loss[first:last]
    return xr.Dataset(
        {
            "loss": (("run", "trace_step"), loss, {"long_name": "loss", "units": "1"}),
            "steps": ("run", np.arange(first, last)),
            "kind": store.flags(np.arange(first, last) % 2, ("minimum", "saddle"), long_name="k"),
            "invariant": (("run", "number"), loss[:, :1]),
            "scale": ("trace_step", np.array([1.0, np.nan, 2.0])),
        },
        {"run": np.arange(first, last), "rate": ("run", np.arange(first, last) / 7)},
    )


def pieces_of(folder, cuts, label="a", group=""):
    """A table of 50 runs, cut into files."""
    found = []
    for first, last in zip([0, *cuts], [*cuts, 50], strict=True):
        path = folder / f"{label}-{first}-{last}.nc"
        written = {"x": dataset(first, last), label: dataset(first, last)}
        store.write(path, {label: written[label]} if group == "" else written, {"of": "a piece"})
        found.append(Piece(path, group, last - first))
    return found


@pytest.mark.parametrize("cuts", [[], [1], [7, 20], list(range(1, 50))])
def test_a_joined_file_is_what_the_whole_would_be(tmp_path, cuts):
    join(tmp_path / "all.nc", {"all": pieces_of(tmp_path, cuts)}, {"title": "t", "b": {"x": 1}})
    store.write(tmp_path / "whole.nc", {"all": dataset(0, 50)}, {"title": "t", "b": {"x": 1}})
    joined, whole = (store.read(tmp_path / name)[""] for name in ("all.nc", "whole.nc"))
    xr.testing.assert_identical(joined, whole)
    assert joined["loss"].values.tobytes() == dataset(0, 50)["loss"].values.tobytes()
    assert list(joined.coords) == list(whole.coords)
    for name, variable in whole.variables.items():
        assert joined[name].dtype == variable.dtype, name
        for text in ("zlib", "shuffle", "complevel", "chunksizes", "_FillValue"):
            assert str(joined[name].encoding.get(text)) == str(variable.encoding.get(text)), name


def test_configurations_are_groups_in_their_order(tmp_path):
    """One configuration alone in its files, one beside another in each."""
    pieces = {
        "b": pieces_of(tmp_path, [10], "b"),
        "a": pieces_of(tmp_path, [20], "a", group="a"),
    }
    added = {"a": {"family": Column(np.arange(50), {"long_name": "family"})}}
    join(tmp_path / "all.nc", pieces, {"of": "all"}, without={"invariant"}, added=added)
    found = store.read(tmp_path / "all.nc")
    assert list(found) == ["b", "a"]
    assert found["b"].attrs == {}
    assert "invariant" not in found["a"] and "number" not in found["a"].sizes
    np.testing.assert_array_equal(found["a"]["family"], np.arange(50))
    assert found["a"]["family"].attrs == {"long_name": "family", "units": "1"}
    np.testing.assert_array_equal(found["b"]["steps"], np.arange(50))
    columns = dict(rows(pieces, ("steps", "kind")))
    np.testing.assert_array_equal(columns["a"]["steps"].values, np.arange(50))
    np.testing.assert_array_equal(columns["b"]["kind"].values, np.arange(50) % 2)
    assert columns["b"]["kind"].attributes["flag_meanings"] == "minimum saddle"


def test_pieces_that_do_not_fit_are_named(tmp_path):
    def refused(words, change):
        first, last = pieces_of(tmp_path, [10])
        store.write(last.path, {"": change(store.read(last.path)[""])}, {})
        with pytest.raises(UserError, match=words) as caught:
            join(tmp_path / "all.nc", {"all": [first, last]}, {})
        assert str(last.path) in str(caught.value) and str(first.path) in str(caught.value)
        assert not (tmp_path / "all.nc").exists()

    refused("other variables", lambda found: found.drop_vars("steps"))
    refused("of loss", lambda found: found.isel(trace_step=[0, 1]))
    refused("of steps", lambda found: found.assign(steps=found["steps"].astype(float)))
    refused("of scale", lambda found: found.assign(scale=found["scale"] + 1))


def test_a_missing_or_damaged_piece_is_named(tmp_path):
    first, last = pieces_of(tmp_path, [10])
    whole = last.path.read_bytes()
    last.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a-10-50.nc: not a readable netCDF"):
        join(tmp_path / "all.nc", {"all": [first, last]}, {})
    last.path.unlink()
    with pytest.raises(UserError, match=r"a-10-50.nc: missing"):
        join(tmp_path / "all.nc", {"all": [first, last]}, {})


def test_memory_does_not_grow_with_the_runs(tmp_path):
    piece = pieces_of(tmp_path, [])[0]
    large = xr.Dataset({"w": (("run", "weight"), np.random.default_rng(0).random((5000, 100)))})
    store.write(piece.path, {"": large}, {})
    tracemalloc.start()
    join(tmp_path / "all.nc", {"all": [Piece(piece.path, "", 5000)] * 20}, {})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert store.read(tmp_path / "all.nc")[""]["w"].shape == (100_000, 100)
    assert most < 30e6 < 100_000 * 100 * 8
