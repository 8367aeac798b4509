"""Checkpoints: the same bits come back, or nothing does."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from nnflow.base.checkpoint import Checkpoint, Stopped, key

NAN = np.array([0xFFF8000000000001, 0x7FF8000000000000], dtype=np.uint64).view(np.float64)
GROUPS = {
    "0 ends": {
        "weights": np.arange(6.0).reshape(2, 3),
        "nan": np.concatenate([NAN, [-0.0, np.inf, 5e-324]]),
        "status": np.array([-1, 127], dtype=np.int8),
        "single": np.array([1.5], dtype=np.float32),
    },
    "0 trace": {},
    "1 state": {
        "returned": np.array([True, False]),
        "order": np.arange(4).reshape(2, 2),
        "step": np.array(2**60),
        "empty": np.zeros((0, 3)),
    },
}


@pytest.fixture
def lines():
    return []


@pytest.fixture
def checkpoint(tmp_path, lines):
    return Checkpoint(tmp_path / "checkpoints" / "train-0-abc.nc", 1e-9, lines.append)


def same(found, expected):
    assert found.keys() == expected.keys()
    for label, arrays in expected.items():
        assert found[label].keys() == arrays.keys()
        for name, values in arrays.items():
            assert found[label][name].dtype == values.dtype
            assert found[label][name].shape == values.shape
            assert found[label][name].tobytes() == values.tobytes()


def test_every_bit_comes_back(checkpoint):
    checkpoint.save(lambda: GROUPS)
    same(checkpoint.load(), GROUPS)


def test_nothing_is_written_before_it_is_time(tmp_path, lines):
    patient = Checkpoint(tmp_path / "train-0-abc.nc", 3600, lines.append)
    patient.save(lambda: pytest.fail("not due"))
    assert patient.load() == {} and lines == []


def damage(kind, content):
    middle = len(content) // 2
    return {
        "empty": b"",
        "garbage": bytes(range(256)) * 20,
        "cut short": content[:middle],
        "another file format": b"CDF\x01" + content[4:],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "garbage", "cut short", "another file format"])
def test_a_damaged_one_is_ignored_with_a_line(checkpoint, lines, kind):
    checkpoint.save(lambda: GROUPS)
    checkpoint.path.write_bytes(damage(kind, checkpoint.path.read_bytes()))
    assert checkpoint.load() == {}
    (line,) = lines
    assert "train-0-abc.nc: damaged (" in line and "\n" not in line


def test_one_changed_bit_is_noticed(checkpoint, lines):
    values = np.random.default_rng(0).standard_normal(1000)
    checkpoint.save(lambda: {"0 ends": {"weights": values}})
    content = bytearray(checkpoint.path.read_bytes())
    content[bytes(content).index(values[500].tobytes())] ^= 1
    checkpoint.path.write_bytes(content)
    assert checkpoint.load() == {}
    assert "does not have the hash" in lines[0]


def test_those_of_other_keys_are_named_and_go_with_it(checkpoint, lines):
    checkpoint.save(lambda: GROUPS)
    folder = checkpoint.path.parent
    for name in ("train-0-old.nc", ".train-0-abc.nc.x1.part", "train-1-abc.nc"):
        (folder / name).write_bytes(b"")
    same(checkpoint.load(), GROUPS)
    assert len(lines) == 2 and "train-0-old.nc: of other settings" in lines[0]
    checkpoint.remove()
    assert [file.name for file in folder.iterdir()] == ["train-1-abc.nc"]


def test_where_none_can_be_written_the_job_goes_on(tmp_path, lines):
    (tmp_path / "file").write_text("")
    Checkpoint(tmp_path / "file" / "train-0-abc.nc", 1e-9, lines.append).save(lambda: GROUPS)
    assert len(lines) == 1 and "can't be written" in lines[0]


def test_told_to_end_it_is_kept_at_once(tmp_path, lines):
    patient = Checkpoint(tmp_path / "train-0-abc.nc", 3600, lines.append)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped, patient.at_the_end():
        patient.save(lambda: GROUPS)
        os.kill(os.getpid(), signal.SIGTERM)
        patient.save(lambda: GROUPS)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    same(patient.load(), GROUPS)


def test_a_key_depends_on_each_part():
    assert len({key("a", 1), key("a", 2), key("b", 1), key("a1", "")}) == 4
