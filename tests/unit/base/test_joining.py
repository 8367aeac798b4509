"""Files joined along the runs: as if the whole had been written at once."""

import tracemalloc
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.joining import Column, Piece, Sources, join, rows
from nnflow.base.spilled import Spilled


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
    family = Spilled(tmp_path, (), np.int64)
    family.add(np.arange(50))
    made = {"a": {"family": Column(family, {"long_name": "family"})}}
    asked = []

    @contextmanager
    def added(label):
        asked.append(label)
        yield made.get(label, {})
        asked.append(f"end of {label}")

    join(tmp_path / "all.nc", pieces, {"of": "all"}, without={"invariant"}, added=added)
    assert asked == ["b", "end of b", "a", "end of a"]
    found = store.read(tmp_path / "all.nc")
    assert list(found) == ["b", "a"]
    assert found["b"].attrs == {}
    assert "invariant" not in found["a"] and "number" not in found["a"].sizes
    np.testing.assert_array_equal(found["a"]["family"], np.arange(50))
    assert found["a"]["family"].attrs == {"long_name": "family", "units": "1"}
    np.testing.assert_array_equal(found["b"]["steps"], np.arange(50))
    for label, ordered in pieces.items():
        with Sources() as sources, rows(ordered, ("steps", "kind"), sources, tmp_path) as columns:
            np.testing.assert_array_equal(columns["steps"].values[:], np.arange(50), label)
            np.testing.assert_array_equal(columns["kind"].values[:], np.arange(50) % 2, label)
            assert columns["kind"].attributes["flag_meanings"] == "minimum saddle"


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


def test_memory_does_not_grow_with_the_runs(tmp_path, monkeypatch):
    """Neither for wide variables nor for narrow ones, of which a chunk has many runs."""
    monkeypatch.setattr("nnflow.base.joining.CHUNK", 2**16)
    piece = pieces_of(tmp_path, [])[0]
    random = np.random.default_rng(0)
    narrow = {f"n{i}": ("run", random.random(1000)) for i in range(5)}
    large = xr.Dataset({"w": (("run", "weight"), random.random((1000, 20)))} | narrow)
    store.write(piece.path, {"": large}, {})
    most = []
    for count in (20, 60):
        tracemalloc.start()
        join(tmp_path / "all.nc", {"all": [Piece(piece.path, "", 1000)] * count}, {})
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    joined = store.read(tmp_path / "all.nc")[""]
    np.testing.assert_array_equal(joined["n4"], np.tile(narrow["n4"][1], 60))
    np.testing.assert_array_equal(joined["w"], np.tile(large["w"].values, (60, 1)))
    assert most[1] < 1.1 * most[0] < 1e6 < joined.nbytes / 10


def test_columns_of_more_than_a_chunk(tmp_path, monkeypatch):
    """Each chunk is written once, the last one in part."""
    monkeypatch.setattr("nnflow.base.joining.CHUNK", 56)
    made = {"family": Column(np.arange(50), {"long_name": "family"})}
    pieces = {"all": pieces_of(tmp_path, [3, 11, 30])}
    join(tmp_path / "all.nc", pieces, {}, added=lambda label: nullcontext(made))
    found = store.read(tmp_path / "all.nc")[""]
    xr.testing.assert_equal(found.drop_vars("family"), dataset(0, 50))
    np.testing.assert_array_equal(found["family"], np.arange(50))
    assert found["family"].encoding["chunksizes"] == found["steps"].encoding["chunksizes"] == (7,)
    assert found["loss"].encoding["chunksizes"] == (2, 3)
