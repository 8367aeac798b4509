"""How often Snakemake's scheduler looks for jobs to run."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from nnflow.workflow.rounds import ask_sizes_once, plan_rounds_once


class Scheduler:
    """What of Snakemake's scheduler plans rounds, and as many of them as it has planned."""

    def __init__(self):
        self._open_jobs = threading.Semaphore(0)

    def plan(self, delay):
        JobScheduler._schedule_reevalutation(self, delay)

    def begun(self):
        """Did a round begin that was not counted yet?"""
        return self._open_jobs.acquire(timeout=0.3)


@pytest.fixture
def planned_once(monkeypatch):
    kept = JobScheduler._schedule_reevalutation
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", kept)
    plan_rounds_once()


def test_snakemake_plans_as_many_as_it_is_told():
    """If this fails, `plan_rounds_once` is no longer needed."""
    scheduler = Scheduler()
    scheduler.plan(0.01)
    scheduler.plan(0.01)
    assert [scheduler.begun() for _ in range(3)] == [True, True, False]


def test_one_round_is_planned_for_a_delay(planned_once):
    scheduler = Scheduler()
    for _ in range(5):
        scheduler.plan(0.02)
    assert [scheduler.begun() for _ in range(2)] == [True, False]


def test_a_round_that_has_begun_may_plan_the_next_one(planned_once):
    scheduler = Scheduler()
    for _ in range(3):
        scheduler.plan(0.01)
        assert scheduler.begun()


def test_delays_do_not_wait_for_each_other(planned_once):
    scheduler = Scheduler()
    scheduler.plan(60)
    scheduler.plan(0.01)
    assert scheduler.begun()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name != "MainThread")


class Input:
    """A file that counts how often it is asked for its size; None: there is none."""

    def __init__(self, bytes_):
        self.bytes, self.asked = bytes_, 0

    async def exists(self):
        return self.bytes is not None

    async def size(self):
        self.asked += 1
        return self.bytes


def test_sizes_are_asked_for_when_a_job_is_ready_and_not_again(monkeypatch):
    kept = JobScheduler.update_input_sizes
    monkeypatch.setattr(JobScheduler, "update_input_sizes", kept)
    ask_sizes_once()
    assert JobScheduler.update_input_sizes is not kept
    scheduler = SimpleNamespace(_input_sizes={})
    shared, own, none = Input(10), Input(20), Input(None)
    # as Snakemake's jobs, they are known by themselves, not by what they hold
    first, second = (
        type("Job", (), {"input": files})() for files in ([shared], [shared, own, none])
    )
    for jobs in ({first}, {first}, {first, second}, {second}):
        asyncio.run(JobScheduler.update_input_sizes(scheduler, jobs))
        assert all(path in scheduler._input_sizes for job in jobs for path in job.input)
    assert scheduler._input_sizes == {shared: 10, own: 20, none: None}
    assert (shared.asked, own.asked, none.asked) == (1, 1, 0)
