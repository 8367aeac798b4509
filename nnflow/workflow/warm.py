"""A process with Python and its libraries ready, which forks the jobs of one workflow.

The start of Python and its imports are one to three seconds, more than most jobs of quick scale
compute. `launch.py`, which each rule's command runs, asks this process for a fork instead.

A job is what it would be in a process of its own: it has the launcher's folder, files,
environment and umask; signals that the launcher gets are passed on; where the launcher is killed,
the job is; it ends with the job's status. The process itself ends with the Snakemake that it
belongs to, once its last job has. A job that can't be forked safely (another environment, a GPU,
threads that a library has started) is refused, and its launcher starts Python.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import secrets
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "NNFLOW_WARM"
COLD = "NNFLOW_COLD"
"""Where this variable is set, each job starts Python, as when a fork is to be ruled out."""
LAUNCHER = Path(__file__).with_name("launch.py")
OF_SHELLS = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})
"""Variables that differ from job to job and change nothing."""
TASKS = Path("/proc/self/task")
COMMAND_LINE = "nnflow.cli"
ALL = (
    COMMAND_LINE,
    "nnflow.stages.opening",
    "netCDF4",
    "xarray",
    "pandas",
    "scipy.special",
    "pooch",
)
WITH_TORCH = ("torch", "torch.func", "scipy.linalg", "scipy.sparse.linalg")
LIBRARIES = {
    "initialize": (),
    "train": WITH_TORCH,
    "classify": WITH_TORCH,
    "certify": WITH_TORCH,
    "collect": (),
    "spectrum": WITH_TORCH,
    "analyze": (*WITH_TORCH, "scipy.stats", "scipy.optimize", "scipy.integrate"),
    "summarize": (),
    "draw": (*WITH_TORCH, "scipy.stats", "seaborn", "contourpy", "matplotlib.backends.backend_svg"),
    "report": ("jinja2",),
}
"""What the jobs of a stage import, besides the stage and what all need."""
NOTICED = 0.02
"""Change of a job's memory, relative to it, from which on it is measured anew."""
PR_SET_PDEATHSIG = 1


def offer_warm_start(environment: MutableMapping[str, str], workflow: Any) -> None:
    """Called by Snakemake as it reads the rules: its local jobs may be forked from one process.

    The name of the socket is random and no file, so nothing is left behind. Jobs that run
    elsewhere (on a cluster, in a Snakemake of their own) start Python.
    """
    environment.pop(VARIABLE, None)
    if workflow.is_main_process and hasattr(os, "pidfd_open") and not environment.get(COLD):
        environment[VARIABLE] = f"nnflow-{secrets.token_hex(16)}:{os.getpid()}"
        measure_forked_jobs()


def measure_forked_jobs() -> None:
    """Let Snakemake's benchmarks count a forked job as a child of its launcher.

    They ask for its memory twice a second. What of it no other process holds takes the system 10 ms
    to find, as a fork has all of the libraries' pages: it is asked for where the whole has changed.
    """
    import psutil
    from snakemake import benchmark

    class Job(psutil.Process):
        known: Any = None

        def memory_full_info(self) -> Any:
            now = self.memory_info()
            if self.known is None or abs(now.rss - self.known.rss) > NOTICED * self.known.rss:
                self.known = super().memory_full_info()
            return self.known._replace(rss=now.rss, vms=now.vms)

    class Measured(psutil.Process):
        def children(self, recursive: bool = False) -> list[psutil.Process]:
            found = super().children(recursive)
            jobs = [job for process in (self, *found) for job in forked_by(process)]
            return found + [Job(job.pid) for job in jobs]

    class Timer(benchmark.BenchmarkTimer):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.main = Measured(self.pid)

    benchmark.BenchmarkTimer = Timer


def forked_by(launcher: Any) -> list[Any]:
    """The job of a launcher (psutil processes); none: it is no launcher, or has none now."""
    import psutil

    with contextlib.suppress(OSError, psutil.Error, ValueError):
        name, _, job = Path(f"/proc/{launcher.pid}/comm").read_text().strip().partition(" ")
        if name == "nnflow" and job.isdigit():
            return [psutil.Process(int(job))]
    return []


@dataclass
class Server:
    """The jobs that run, by their connections; each with a descriptor that tells its end."""

    listener: socket.socket
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    jobs: dict[socket.socket, tuple[int, int]] = field(default_factory=dict)
    sources: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def serve(self, workflow: int) -> None:
        """Fork jobs until the workflow's process has ended, and the jobs have."""
        with contextlib.suppress(ProcessLookupError):
            watched = os.pidfd_open(workflow)
            self.selector.register(watched, selectors.EVENT_READ, self._close)
            self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        while self.selector.get_map():
            for key, _ in self.selector.select():
                if key.fd in self.selector.get_map():  # not closed by an event before
                    key.data(key.fileobj)

    def _close(self, workflow: int) -> None:
        self.selector.unregister(workflow)
        self.selector.unregister(self.listener)
        self.listener.close()

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        try:
            request, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        except OSError:
            connection.close()
            return
        try:
            told = json.loads(request) if len(files) == 3 and _own(connection) else None
            if told is not None and self._ready_for(told):
                self._fork(connection, told, files)
            else:
                connection.close()
        finally:
            for number in files:
                os.close(number)

    def _ready_for(self, told: dict[str, Any]) -> bool:
        """Can the job be forked, as it would be in a process of its own?"""
        words = told["words"]
        if words[0] not in LIBRARIES or _kept(told["environment"]) != _kept(_first()):
            return False
        if told["folder"] != os.getcwd() or _gpus(words):
            return False
        known = self.sources
        if any(_state(file) != state for file, state in known.items()):
            return False  # code was changed since it was imported here
        ready = _read_ahead(words)
        self.sources = _sources()
        return ready and all(self.sources.get(file) == state for file, state in known.items())

    def _fork(self, connection: socket.socket, told: dict[str, Any], files: list[int]) -> None:
        server = os.getpid()
        job = os.fork()
        if job == 0:
            self._become(told, files, server)
        try:
            connection.send(str(job).encode())
        except OSError:  # its launcher has ended
            os.kill(job, signal.SIGKILL)
        ended = os.pidfd_open(job)
        self.jobs[connection] = job, ended
        self.selector.register(connection, selectors.EVENT_READ, self._told)
        self.selector.register(ended, selectors.EVENT_READ, lambda _: self._reap(connection))

    def _told(self, connection: socket.socket) -> None:
        """A signal for a job; an end of the connection is the end of its launcher."""
        try:
            told = connection.recv(1)
        except OSError:
            told = b""
        if not told:
            self.selector.unregister(connection)
        _, ended = self.jobs[connection]
        signal.pidfd_send_signal(ended, told[0] if told else signal.SIGKILL)

    def _reap(self, connection: socket.socket) -> None:
        job, ended = self.jobs.pop(connection)
        _, status = os.waitpid(job, 0)
        with contextlib.suppress(OSError):
            connection.send(str(status).encode())
        self.selector.unregister(ended)
        os.close(ended)
        with contextlib.suppress(KeyError):
            self.selector.unregister(connection)
        connection.close()

    def _become(self, told: dict[str, Any], files: list[int], server: int) -> None:
        """In the fork: run the job and end."""
        code = 1
        try:
            _end_with(server)
            self.selector.close()
            self.listener.close()
            for connection, (_, ended) in self.jobs.items():
                connection.close()
                os.close(ended)
            for number, file in enumerate(files):
                os.dup2(file, number)
            sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
            code = _run(told)
        except BaseException:  # nothing may go on in a fork of the server
            traceback.print_exc()
        finally:
            os._exit(code)


def _own(connection: socket.socket) -> bool:
    """Is the other process this user's?"""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder) == os.getuid()


def _read_ahead(words: list[str]) -> bool:
    """Import what the job needs, and read the code that its results carry a hash of; False: the
    job can't be forked."""
    stage, study = words[:2]
    for module in (*ALL, f"nnflow.stages.{stage}", *LIBRARIES[stage]):
        importlib.import_module(module)
    from nnflow.base.compiled import prepare
    from nnflow.workflow.fingerprint import package_versions
    from nnflow.workflow.plan import Plan

    importlib.import_module(COMMAND_LINE).command()
    package_versions()  # these two are kept, for each job to find

    with contextlib.suppress(Exception):  # the job itself meets it, and tells it
        plan = Plan((study,))
        plan.code(stage, study)
        if "torch" in LIBRARIES[stage] and plan.compiles(stage, study):
            prepare()
    gc.collect()
    gc.freeze()  # so that no fork's collector touches, and so copies, what all share
    return len(list(TASKS.iterdir())) == 1


def _sources() -> dict[Path, tuple[int, int]]:
    """When each file of nnflow's, of the plugins' and of the user's code was changed, and its
    size."""
    from nnflow.interfaces.registry import plugin_files, plugin_folders
    from nnflow.workflow.fingerprint import is_own

    files = {file for folder in plugin_folders() for file in plugin_files(folder)}
    for name, module in list(sys.modules.items()):
        if is_own(name.partition(".")[0]) and (file := getattr(module, "__file__", None)):
            files.add(Path(file))
    return {file: _state(file) for file in files}


def _state(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size


def _gpus(words: list[str]) -> bool:
    return "--gpus" in words and words[words.index("--gpus") + 1] != "0"


def _first() -> dict[str, str]:
    """The environment that this process started with: what libraries found at their import."""
    lines = Path("/proc/self/environ").read_bytes().decode(errors="surrogateescape").split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _kept(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in OF_SHELLS}


def _end_with(server: int) -> None:
    """Let the kernel kill this process when the server is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)


def _run(told: dict[str, Any]) -> int:
    """The exit status of the job's command line."""
    import numpy as np

    np.random.seed()  # a plugin that draws from it gets numbers of its own
    os.umask(told["umask"])
    os.environ.update(told["environment"])
    sys.argv = ["nnflow", *told["words"]]
    code = 0
    try:
        importlib.import_module(COMMAND_LINE).main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    Server(socket.socket(fileno=int(sys.argv[1]))).serve(int(sys.argv[2]))
