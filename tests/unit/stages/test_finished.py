"""Pieces of a job that are finished: as they were, to the bit, and none computed twice."""

import os
import signal

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.checkpoint import Checkpoint
from nnflow.stages.finished import Finished, as_arrays, as_dataset


def dataset(number=0):
    odd = np.array([0xFFF8000000000001, 0x8000000000000000], dtype=np.uint64).view(np.float64)
    return xr.Dataset(
        {
            "loss": ("run", odd + number, {"long_name": "loss", "units": "1", "number": 2}),
            "kind": store.flags(np.array([0, 1]), ("minimum", "saddle"), long_name="kind"),
            "w": (("run", "weight"), np.zeros((2, 0))),
            "smooth": ("run", np.array([True, False])),
            "total": ((), np.float32(0.1)),
        },
        {"run": ("run", np.arange(2), {"long_name": "run"}), "rate": ("run", np.ones(2))},
    )


def test_a_dataset_comes_back(tmp_path):
    found = as_dataset(as_arrays(dataset()))
    xr.testing.assert_identical(found, dataset())
    assert list(found.coords) == list(dataset().coords)
    for name, variable in dataset().variables.items():
        assert found[name].dtype == variable.dtype, name
        assert found[name].values.tobytes() == variable.values.tobytes(), name
    for each in (found, dataset()):
        store.write(tmp_path / f"{id(each)}.nc", {"": each}, {})
    first, second = (path.read_bytes() for path in sorted(tmp_path.glob("*.nc")))
    assert first == second


def test_what_is_finished_is_not_computed_again(tmp_path):
    def job(until):
        """A job of three pieces that dies after `until` of them; those that it computed."""
        done = []
        finished = Finished(Checkpoint(tmp_path / "classify-0-k.nc", 1e-9, lambda line: None))

        def compute(number):
            if len(done) == until:
                raise KeyboardInterrupt
            done.append(number)
            return dataset(number)

        try:
            with finished.kept():
                for number in range(3):
                    piece = finished.piece(str(number), lambda number=number: compute(number))
                    xr.testing.assert_identical(piece, dataset(number))
        except KeyboardInterrupt:
            return done, True
        return done, False

    assert job(1) == ([0], True)
    assert job(1) == ([1], True)
    assert job(3) == ([2], False)
    assert list(tmp_path.iterdir()) == []
    assert job(3) == ([0, 1, 2], False)


def test_told_to_end_it_keeps_the_piece_that_it_has(tmp_path):
    finished = Finished(Checkpoint(tmp_path / "classify-0-k.nc", 3600, lambda line: None))

    def compute():
        os.kill(os.getpid(), signal.SIGTERM)
        return dataset()

    with pytest.raises(SystemExit) as ended, finished.kept():
        finished.piece("0", compute)
    assert ended.value.code == 128 + signal.SIGTERM
    again = Finished(Checkpoint(tmp_path / "classify-0-k.nc", 3600, lambda line: None))
    xr.testing.assert_identical(again.piece("0", dict), dataset())
