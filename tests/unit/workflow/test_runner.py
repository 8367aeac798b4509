"""One workflow at a time, and the same command again after any end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnflow.base.errors import UserError
from nnflow.workflow import runner

fcntl = pytest.importorskip("fcntl")

RUN = """
import sys
from nnflow.base.errors import UserError
from nnflow.workflow.runner import run
try:
    sys.exit(run(sys.argv[1:]))
except UserError as error:
    sys.exit(f"error: {error}")
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.05)


def write_workflow(folder, command):
    (folder / "Snakefile").write_text(f'rule all:\n    output: "out.txt"\n    shell: "{command}"\n')


@pytest.fixture
def slow_workflow(tmp_path):
    """A workflow whose job says that it began, and ends only once `go` exists."""
    write_workflow(
        tmp_path, "touch began; until [ -e go ]; do sleep 0.1; done; echo done > {output}"
    )
    return tmp_path


def test_runs_the_workflow_with_this_interpreters_commands(tmp_path):
    write_workflow(tmp_path, "command -v python > {output}")
    status, output = finish(start(tmp_path))
    assert status == 0, output
    assert Path((tmp_path / "out.txt").read_text().strip()).parent == Path(sys.executable).parent


def test_a_failing_workflow_gives_snakemakes_status(tmp_path):
    write_workflow(tmp_path, "false")
    status, output = finish(start(tmp_path, "--cores", "1"))
    assert status == 1, output


def test_a_second_workflow_is_refused_and_the_first_goes_on(slow_workflow):
    first = start(slow_workflow)
    wait_for(slow_workflow / "began")
    status, output = finish(start(slow_workflow))
    assert (status, output) == (1, f"error: another workflow is running here (pid {first.pid})\n")
    (slow_workflow / "go").touch()
    status, output = finish(first)
    assert status == 0, output
    assert (slow_workflow / "out.txt").read_text() == "done\n"


def test_the_same_command_works_after_kill_9(slow_workflow):
    first = start(slow_workflow)
    wait_for(slow_workflow / "began")
    os.killpg(first.pid, signal.SIGKILL)
    finish(first)
    assert list((slow_workflow / ".snakemake" / "locks").iterdir()), "Snakemake left its lock"
    (slow_workflow / "go").touch()
    status, output = finish(start(slow_workflow))
    assert status == 0, output
    assert (slow_workflow / "out.txt").read_text() == "done\n"


def test_an_incomplete_output_is_made_again(slow_workflow):
    write_workflow(
        slow_workflow, "echo half > {output}; touch began; while [ ! -e go ]; do sleep .1; done"
    )
    first = start(slow_workflow)
    wait_for(slow_workflow / "began")
    os.killpg(first.pid, signal.SIGKILL)
    finish(first)
    assert (slow_workflow / "out.txt").read_text() == "half\n"
    write_workflow(slow_workflow, "echo whole > {output}")
    status, output = finish(start(slow_workflow, "--rerun-triggers", "mtime"))
    assert status == 0, output
    assert (slow_workflow / "out.txt").read_text() == "whole\n"


def test_a_plain_snakemake_keeps_its_lock(slow_workflow):
    other = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1"],
        cwd=slow_workflow,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(slow_workflow / "began")
    status, output = finish(start(slow_workflow))
    assert (status, output) == (1, f"error: another workflow is running here (pid {other.pid})\n")
    (slow_workflow / "go").touch()
    assert other.wait(timeout=60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_workflow_and_free_the_folder(slow_workflow, number):
    process = start(slow_workflow)
    wait_for(slow_workflow / "began")
    process.send_signal(number)
    (slow_workflow / "go").touch()
    finish(process)
    with (slow_workflow / runner.LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    status, output = finish(start(slow_workflow))
    assert status == 0, output


def test_a_new_workflow_waits_for_jobs_left_behind(tmp_path):
    write_workflow(tmp_path, "cat job > {output}")
    (tmp_path / runner.JOBS).parent.mkdir()
    (tmp_path / runner.JOBS).touch()
    job = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from nnflow.workflow.runner import join_run; from pathlib import Path; import time\n"
            "join_run(); Path('joined').touch(); time.sleep(6); Path('job').write_text('late')",
        ],
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    wait_for(tmp_path / "joined")
    status, output = finish(start(tmp_path))
    assert status == 0, output
    assert f"waiting for jobs that an interrupted workflow left (pid {job.pid})" in output
    assert (tmp_path / "out.txt").read_text() == "late"
    assert job.wait() == 0


def test_jobs_outside_a_run_need_no_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner.join_run()
    assert not list(tmp_path.iterdir())


def test_refusal_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner.LOCK.parent.mkdir()
    with runner.LOCK.open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"^another workflow is running here \(pid 4711\)$"):
            runner.run([])


def test_an_unwritable_folder_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".nnflow").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"run\.lock: can't be written"):
        runner.run([])


@pytest.mark.parametrize(
    ("arguments", "cores"),
    [
        ([], ["--cores", "all"]),
        (["--config", "scale=paper"], ["--cores", "all"]),
        (["--cores", "2"], []),
        (["-c2"], []),
        (["-j", "4"], []),
        (["--profile", "workflow/profiles/slurm"], []),
    ],
)
def test_arguments_override_the_defaults(tmp_path, monkeypatch, arguments, cores):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()
    monkeypatch.setattr(runner, "fcntl", None)
    calls = []
    monkeypatch.setattr(runner.subprocess, "call", lambda command, env: calls.append(command) or 7)
    assert runner.run(arguments) == 7
    start = [sys.executable, "-m", "snakemake", "--rerun-incomplete", "--keep-going"]
    assert calls == [[*start, *cores, "--logger", "nnflow", *arguments]]


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["-v"], []),
        (["--config", "a=b", "-v"], ["--config", "a=b"]),
        (["-n"], ["-n"]),
        (["--quiet", "rules"], ["--quiet", "rules"]),
        (["--logger=rich"], ["--logger=rich"]),
    ],
)
def test_snakemakes_own_words_are_shown_where_they_are_asked_for(arguments, passed):
    assert runner._shown(arguments) == passed


def test_without_file_locks_a_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "fcntl", None)
    monkeypatch.setattr(runner.subprocess, "call", lambda command, env: 0)
    assert runner.run([]) == 0
    assert "no file locks" in capsys.readouterr().err
