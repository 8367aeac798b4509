"""How often Snakemake's scheduler looks for jobs to run."""

import threading

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from nnflow.workflow.rounds import plan_rounds_once


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
