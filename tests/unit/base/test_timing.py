"""Times: what is measured, by a clock that a test turns."""

import os
import platform

import pytest

from nnflow.base.timing import _processor, machine, timed


class Clock:
    """Stands still but for the given seconds at each call of `work`."""

    def __init__(self, seconds):
        self.now, self.seconds, self.calls = 0.0, iter(seconds), 0

    def __call__(self):
        return self.now

    def work(self):
        self.calls += 1
        self.now += next(self.seconds)
        return "done"


def test_median_and_quartiles_of_one_call():
    """The first call and the one that finds the number of calls do not count."""
    clock = Clock([100, 50, 3, 1, 2, 5, 4])
    value, row = timed(clock.work, 5, clock)
    assert value == "done" and clock.calls == 7
    assert row == {"median": 3, "low": 2, "high": 4, "repeats": 5, "calls": 1}


def test_short_functions_are_called_often_in_each_measurement():
    """1, 2, 5, … calls until a measurement takes 0.2 s: 20 of 11 ms."""
    clock = Clock([0.011] * 10_000)
    _, row = timed(clock.work, 3, clock)
    assert row["calls"] == 20 and clock.calls == 1 + (1 + 2 + 5 + 10 + 20) + 3 * 20
    assert row["median"] == pytest.approx(0.011)


def test_two_measurements_have_no_quartiles():
    with pytest.raises(ValueError, match=r"three measurements or more \(got repeats=2\)"):
        timed(lambda: None, 2)


def test_the_machine():
    here = machine()
    assert 1 <= here["cores"] <= (os.cpu_count() or 1)
    assert here["python"] == platform.python_version()
    assert here["threads"] == "1"  # tests/conftest.py
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    assert here["memory_gib"] == pytest.approx(memory, abs=0.1)


def test_the_name_of_the_processor(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Some CPU @ 2.5 GHz: fast\nmodel name : other\n")
    assert _processor(file) == "Some CPU @ 2.5 GHz: fast"
    file.write_text("Hardware : none\n")
    assert _processor(file) == (platform.processor() or platform.machine())
    assert _processor(tmp_path / "none") == _processor(file)
