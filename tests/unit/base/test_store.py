"""Reading and writing datasets."""

import hashlib
import json
import os
import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.flags import flag_mask


def dataset(runs=5, seed=0):
    generator = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "w": (("run", "neuron", "input"), generator.normal(size=(runs, 3, 2))),
            "loss": ("run", np.array([0.1, np.nan, np.inf, -0.0, 5e-324])[:runs]),
            "steps": ("run", np.arange(runs)),
            "kind": store.flags(np.arange(runs) % 2, ("minimum", "saddle"), long_name="kind"),
            "total": ((), 2.5),
        },
        coords={"run": np.arange(runs)},
        attrs={"title": "test"},
    )


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "folder" / "one.nc"
    store.write(path, {"all": dataset()}, {"scale": "quick", "provenance": {"seed": 1}})
    read = store.read(path)
    assert list(read) == [""]
    xr.testing.assert_equal(read[""], dataset())
    assert read[""].attrs["title"] == "test"
    assert read[""].attrs["scale"] == "quick"
    assert json.loads(read[""].attrs["provenance"]) == {"seed": 1}
    for name, variable in dataset().items():
        assert read[""][name].dtype == variable.dtype, name


def test_float_bits_survive(tmp_path):
    path = tmp_path / "one.nc"
    store.write(path, {"all": dataset()}, {})
    assert store.read(path)[""].loss.values.tobytes() == dataset().loss.values.tobytes()


def test_several_points_are_groups(tmp_path):
    path = tmp_path / "several.nc"
    points = {"k=6,n=6": dataset(2), "k=6.5,n=1e-05": dataset(5, seed=1)}
    store.write(path, points, {"study": "s"})
    read = store.read(path)
    assert list(read) == list(points)
    for label, expected in points.items():
        xr.testing.assert_equal(read[label], expected)
        assert read[label].attrs["title"] == "test"
    with xr.open_datatree(path) as tree:
        comment = tree.attrs.pop("comment")
        assert tree.attrs == {"study": "s", "Conventions": "CF-1.11"}
        assert set(tree.children) == set(points)
    # whoever opens it as one dataset finds no variable, and is told what to do
    with xr.open_dataset(path) as root:
        assert not root.data_vars and root.attrs["comment"] == comment
    with xr.open_dataset(path, group="k=6,n=6") as group:
        assert "xarray.open_dataset(file, group='k=6,n=6')" in comment and "w" in group


def test_points_keep_their_order(tmp_path):
    path = tmp_path / "several.nc"
    labels = ["k=10", "k=6", "k=8"]
    store.write(path, {label: dataset() for label in labels}, {})
    assert list(store.read(path)) == labels


def test_variables_say_what_they_are(tmp_path):
    """As CF asks: what is given stays, what is missing is the name in words, and 1 for numbers."""
    path = tmp_path / "one.nc"
    given = xr.Dataset(
        {
            "angle_of_turn": ("place", [0.5, np.nan], {"units": "rad", "long_name": "angle"}),
            "times_seen": ("place", [1, 2]),
            "is_there": ("place", [True, False]),
            "why_not": ("place", ["", "far"]),
        },
        {"place": [0.25, 0.75]},
    )
    store.write(path, {"all": given}, {})
    with xr.open_dataset(path) as found:
        told = {name: (v.attrs["long_name"], v.attrs.get("units")) for name, v in
                found.variables.items()}  # fmt: skip
        assert found["angle_of_turn"].encoding["_FillValue"] != 0
        assert "_FillValue" not in found["place"].encoding
    assert told == {
        "angle_of_turn": ("angle", "rad"),
        "times_seen": ("times seen", "1"),
        "is_there": ("is there", "1"),
        "why_not": ("why not", None),
        "place": ("place", "1"),
    }
    # what was handed in is not changed
    assert given["times_seen"].attrs == {}


def test_text_coordinates(tmp_path):
    """The summary's points are text."""
    path = tmp_path / "summary.nc"
    summary = xr.Dataset(
        {"share": ("configuration", [0.5, 0.25])}, coords={"configuration": ["k=6", "k=10"]}
    )
    store.write(path, {"all": summary}, {})
    assert store.read(path)[""].configuration.values.tolist() == ["k=6", "k=10"]


def test_flags_follow_cf(tmp_path):
    path = tmp_path / "one.nc"
    store.write(path, {"all": dataset()}, {})
    kind = store.read(path)[""].kind
    assert kind.dtype == np.int8
    assert kind.attrs["flag_meanings"] == "minimum saddle"
    np.testing.assert_array_equal(kind.attrs["flag_values"], [0, 1])
    assert kind.attrs["flag_values"].dtype == np.int8
    np.testing.assert_array_equal(flag_mask(kind, "saddle"), kind.values == 1)
    with pytest.raises(ValueError, match="maximum"):
        flag_mask(kind, "maximum")


def test_variables_are_compressed(tmp_path):
    path = tmp_path / "one.nc"
    zeros = xr.Dataset({"w": (("run", "weight"), np.zeros((100, 1000)))})
    store.write(path, {"all": zeros}, {})
    assert path.stat().st_size < 100_000 < zeros.nbytes


WRITE = """
import sys, pathlib
sys.path[:0] = sys.argv[2:]
from test_store import dataset
from nnflow.base import store
path = pathlib.Path(sys.argv[1])
store.write(path, {"k=1": dataset(), "k=2": dataset(3)}, {"b": {"y": 1, "x": 2}, "a": "text"})
"""


def test_the_same_inputs_give_the_same_bytes_in_any_process(tmp_path):
    digests = set()
    for number, seed in enumerate(["0", "1", "random"]):
        path = tmp_path / f"{number}.nc"
        subprocess.run(
            [sys.executable, "-c", WRITE, str(path), os.path.dirname(__file__), os.getcwd()],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    path = tmp_path / "here.nc"
    attributes = {"a": "text", "b": {"x": 2, "y": 1}}
    store.write(path, {"k=1": dataset(), "k=2": dataset(3)}, {"b": attributes["b"], "a": "text"})
    digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "one.nc"
    store.write(path, {"all": dataset()}, {})
    before = path.read_bytes()

    def fail(self, target, **options):
        target.write_bytes(b"half a file")
        raise RuntimeError("power cut")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        store.write(path, {"all": dataset(seed=1)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "one.nc"
    store.write_text(path, "old")
    killed = (
        "import os, signal, sys; from pathlib import Path\n"
        "from nnflow.base.store import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(path)])
    assert done.returncode == -9
    assert path.read_text() == "old"


def test_a_full_disk_is_a_user_error(tmp_path):
    path = tmp_path / "one.nc"
    store.write_text(path, "old")
    reason = r"one\.nc: can't be written: No space left on device$"
    with pytest.raises(UserError, match=reason), store.replacing(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match=r"one\.nc: can't be written: ") as caught:
        store.write(tmp_path / "results" / "one.nc", {"all": dataset()}, {})
    assert "\n" not in str(caught.value)


def test_files_have_the_rights_of_ordinary_files(tmp_path):
    store.write_text(tmp_path / "by_store.txt", "x")
    (tmp_path / "by_hand.txt").write_text("x")
    rights = {file.stat().st_mode for file in tmp_path.iterdir()}
    assert len(rights) == 1


@pytest.mark.parametrize("kept", [0, 10, 1000, -1])
def test_a_truncated_file_is_one_line_that_says_what_to_do(tmp_path, kept):
    path = tmp_path / "training.nc"
    store.write(path, {"k=1": dataset(), "k=2": dataset()}, {})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError) as caught:
        store.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a readable netCDF file (")
    assert message.endswith("; delete it and run again")
    assert "\n" not in message


def test_a_file_of_another_format_is_a_user_error(tmp_path):
    path = tmp_path / "training.nc"
    path.write_text("not netCDF at all\n" * 100)
    with pytest.raises(UserError, match="not a readable netCDF file"):
        store.read(path)


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"gone\.nc: missing; run the workflow to make it$"):
        store.read(tmp_path / "gone.nc")


def test_no_file_stays_open(tmp_path):
    """A file that was read can be replaced, and what was read stays as it was."""
    path = tmp_path / "one.nc"
    store.write(path, {"all": dataset()}, {})
    read = store.read(path)[""]
    store.write(path, {"all": dataset(seed=1)}, {})
    xr.testing.assert_equal(read, dataset())
    xr.testing.assert_equal(store.read(path)[""], dataset(seed=1))


def test_deletion_is_advised_of_a_file_that_is_broken_and_of_no_other(tmp_path, monkeypatch):
    path = tmp_path / "data.nc"
    store.write(path, {"": xr.Dataset({"x": ("run", np.arange(1000.0))})}, {"title": "t"})
    whole = path.read_bytes()
    for length in (0, 5, 20, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"(cut short|empty|no netCDF file)\).*; delete it"):
            store.read(path)
    path.write_bytes(whole)

    def locked(*arguments, **options):
        raise OSError(-101, "NetCDF: HDF error")

    monkeypatch.setattr(xr, "open_datatree", locked)
    with pytest.raises(UserError, match="its size is right, so look first") as caught:
        store.read(path)
    assert "delete" not in str(caught.value)


ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np, xarray as xr
from nnflow.base.store import attributes, read, write
from nnflow.base.errors import UserError
path = Path(sys.argv[1]) / "data.nc"
for act in (
    lambda: write(path, {"": xr.Dataset({"x": ("run", np.zeros(3))})}, {}),
    lambda: read(path),
    lambda: attributes(path),
):
    try:
        act()
        print("done")
    except UserError as error:
        print(error)
"""


def test_a_locale_without_the_letters_of_the_path_is_named(tmp_path):
    folder = tmp_path / "Über"
    folder.mkdir()
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for locale, words in ((ascii_only, "set PYTHONUTF8=1"), ({"PYTHONUTF8": "1"}, "done")):
        run = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(folder)],
            env={**os.environ, **locale},
            capture_output=True,
            text=True,
        )
        lines = run.stdout.splitlines()
        assert len(lines) == 3 and all(words in line for line in lines), run
        assert "delete" not in run.stdout


def test_a_folder_of_results_is_one_tree(tmp_path):
    """Of studies with one configuration and with several; without what `collect` has joined."""
    store.write(tmp_path / "one" / "training.nc", {"all": dataset()}, {})
    several = {"k=6,n=6": dataset(2), "k=6.5,n=1e-05": dataset(5, seed=1)}
    store.write(tmp_path / "two" / "analyses" / "ends.nc", several, {})
    store.write(tmp_path / "two" / "batches" / "training-0.nc", {"all": dataset()}, {})
    tree = store.tree(tmp_path)
    leaves = {node.path for node in tree.leaves}
    assert leaves == {
        "/one/training",
        "/two/analyses/ends/k=6,n=6",
        "/two/analyses/ends/k=6.5,n=1e-05",
    }
    xr.testing.assert_equal(tree["one/training"].to_dataset(), dataset())
    for label, expected in several.items():
        found = tree[f"two/analyses/ends/{label}"].to_dataset()
        xr.testing.assert_equal(found, expected)
        assert found.kind.attrs["flag_meanings"] == "minimum saddle"
    with pytest.raises(UserError, match=r"nothing: no datasets here"):
        store.tree(tmp_path / "nothing")
    (tmp_path / "one" / "cut.nc").write_bytes(b"\x89HDF")
    with pytest.raises(UserError, match=r"cut\.nc: not a readable netCDF file"):
        store.tree(tmp_path)


def test_attributes_of_a_file_that_was_read_are_known_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "data.nc"
    store.write(path, {"": xr.Dataset({"x": 1.0})}, {"title": "first"})
    store.read(path)

    class Opened(netCDF4.Dataset):
        def __init__(self, *arguments, **named):
            raise AssertionError("opened")

    with monkeypatch.context() as patched:
        patched.setattr(netCDF4, "Dataset", Opened)
        assert store.attributes(path)["title"] == "first"
    store.write(path, {"": xr.Dataset({"x": 2.0})}, {"title": "other"})
    assert store.attributes(path)["title"] == "other"
    for number in range(2 * store.REMEMBERED):  # no more than a few are kept
        path.with_name(f"{number}").touch()
        other = path.with_name(f"{number}")
        store.remember(other, store.state_of(other), {})
    assert len(store._REMEMBERED) == store.REMEMBERED
