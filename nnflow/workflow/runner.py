"""`nnflow run`: the workflow, one at a time in a folder and safe to repeat after any end.

Snakemake keeps its own lock as a file, which stays behind when the process is killed and
then has to be removed by hand. Here the operating system's lock decides: it goes when the
last process that holds it goes, however that ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from nnflow.base.errors import UserError
from nnflow.base.shipped import shipped

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = Path(".nnflow", "run.lock")
JOBS = Path(".nnflow", "jobs.lock")
LOGGER = "snakemake_logger_plugin_nnflow"
SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
"""Where Snakemake looks for one."""
ITS_WORDS = frozenset(
    {
        *("-n", "--dry-run", "--dryrun", "-q", "--quiet", "--verbose", "--debug", "--debug-dag"),
        *("--logger", "-p", "--printshellcmds", "--report", "--lint", "-l", "--list", "--dag"),
        *("--rulegraph", "--d3dag", "--filegraph", "--summary", "-S", "-D", "--detailed-summary"),
        *("--unlock", "--touch", "-t", "--list-changes", "-h", "--help", "--version"),
    }
)
"""Options of Snakemake's with which its own words are shown."""
NO_LOCK = (
    "nnflow: no file locks here; see to it yourself that only one workflow runs in this folder"
)


def run(arguments: list[str]) -> int:
    """Run Snakemake in the working folder with the given further arguments.

    All cores are used unless the arguments, or a profile, say otherwise; outputs that an
    interrupted run left incomplete are made again; where a job fails, all go on that do not
    need it. On Unix this process becomes Snakemake,
    so that signals reach it and the lock lives as long as it does; the function returns
    the exit status elsewhere only. Raises UserError while another workflow runs here.
    """
    options = _options(arguments)
    folder = options.directory or Path()
    if options.snakefile is None and not any((folder / name).exists() for name in SNAKEFILES):
        arguments = ["--snakefile", str(shipped() / "Snakefile"), *arguments]
    environment = _environment()
    _hold_alone(folder)
    if any((folder / ".snakemake" / "locks").glob("*.lock")):
        _unlock(arguments, folder, environment)
    command = [*_snakemake(), *_defaults(arguments), *_shown(arguments)]
    sys.stdout.flush()
    if fcntl is None:
        return subprocess.call(command, env=environment)
    os.execve(command[0], command, environment)


def join_run() -> None:
    """Called by a job: count as part of the workflow here until this process ends.

    A run that follows waits for such jobs; they outlive a workflow that was killed.
    """
    if fcntl is not None and JOBS.exists():
        with contextlib.suppress(OSError):
            fcntl.flock(os.open(JOBS, os.O_RDWR), fcntl.LOCK_SH)


def end_jobs_with_this_process() -> None:
    """Called by Snakemake as it reads the rules: SIGINT ends its jobs, too.

    Snakemake waits for them, hours if need be. A terminal sends Ctrl-C to all of them, but
    `kill -INT` and what supervises processes send it to Snakemake alone. Training that is told to
    end keeps a checkpoint.
    """

    def interrupted(number: int, frame: FrameType | None) -> None:
        import psutil

        for job in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                job.terminate()
        signal.default_int_handler(number, frame)

    with contextlib.suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupted)


def _hold_alone(folder: Path) -> None:
    """Take the lock for this process and the program it becomes."""
    if fcntl is None:
        print(NO_LOCK, file=sys.stderr)
        return
    lock, jobs = _open(folder / LOCK), _open(folder / JOBS)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode() or "unknown"
        raise UserError(f"another workflow is running here (pid {holder})") from None
    except OSError:  # a file system without locks
        print(NO_LOCK, file=sys.stderr)
        return
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(jobs, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        named = ", ".join(f"pid {number}" for number in _joined(folder / JOBS)) or "unknown"
        text = f"nnflow: waiting for jobs that an interrupted workflow left ({named})"
        print(text, file=sys.stderr, flush=True)
        fcntl.flock(jobs, fcntl.LOCK_EX)
    os.close(jobs)


def _joined(lock: Path) -> list[int]:
    """The other processes that have the file of the lock open: the jobs that hold it."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(file.path == str(lock.resolve()) for file in process.open_files()):
                found.append(process.pid)
    return [number for number in found if number != os.getpid()]


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}") from None


def _unlock(arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Remove the lock files of a Snakemake that was killed."""
    if (other := _plain_snakemake(folder.resolve())) is not None:
        raise UserError(f"another workflow is running here (pid {other})")
    command = [*_snakemake(), *_defaults(arguments), "--unlock", *arguments]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise UserError(f"{folder / '.snakemake' / 'locks'}: Snakemake can't remove its lock")


def _plain_snakemake(folder: Path) -> int | None:
    """A process that runs Snakemake in the folder without our lock, by its command line."""
    import psutil

    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        arguments = process.info["cmdline"] or []
        words = [Path(word).name for word in arguments[:4]]
        here = process.info["cwd"] == str(folder) and process.pid != os.getpid()
        job = "--nolock" in arguments  # one that a killed workflow left on Slurm
        if here and not job and words and words[0] != "nnflow" and "snakemake" in words:
            return process.pid
    return None


def _options(arguments: list[str]) -> argparse.Namespace:
    """The arguments that the defaults give way to."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-c", "--cores", nargs="?", const="all")
    parser.add_argument("-j", "--jobs", nargs="?", const="all")
    parser.add_argument("--profile")
    parser.add_argument("-s", "--snakefile")
    parser.add_argument("--workflow-profile")
    parser.add_argument("-d", "--directory", type=Path)
    return parser.parse_known_args(arguments)[0]


def _defaults(arguments: list[str]) -> list[str]:
    given = _options(arguments)
    said = given.cores or given.jobs or given.profile or given.workflow_profile
    return ["--rerun-incomplete", "--keep-going", *([] if said else ["--cores", "all"])]


def _shown(arguments: list[str]) -> list[str]:
    """The arguments, with what is shown of the workflow: one line a study (terminal.py), but where
    `-v` or an option of Snakemake's asks for its words."""
    if "-v" in arguments:
        return [word for word in arguments if word != "-v"]
    if any(word.partition("=")[0] in ITS_WORDS for word in arguments):
        return arguments
    return ["--logger", "nnflow", *arguments]


def _snakemake() -> list[str]:
    return [sys.executable, "-m", "snakemake"]


def _environment() -> dict[str, str]:
    """The environment, with this interpreter's commands first, as the rules call `nnflow`, and with
    the logger plugin where Snakemake looks for it: it lists the folders of Python's path, on which
    the repository of an editable installation is not."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path}
    plugin = importlib.util.find_spec(LOGGER)
    if plugin is not None and plugin.origin is not None:
        home = str(Path(plugin.origin).parents[1])
        if home not in sys.path:
            known = os.environ.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join([known, home] if known else [home])
    return environment
