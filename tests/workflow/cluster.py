"""A real Slurm on one machine: munged, slurmctld and two slurmd with two GPUs each.

Everything lies in one new folder and is reached through SLURM_CONF; nothing in /etc is read
or written, and nothing has to be root. The GPUs are devices that every Linux has: Slurm hands
them out and sets CUDA_VISIBLE_DEVICES, which is all that is asked of them here.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "sinfo")
GPUS = {"n1": ("/dev/null", "/dev/zero"), "n2": ("/dev/full", "/dev/random")}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

# cred_expire: a job of a failed node is requeued after it, 2 minutes by default.
# SlurmdTimeout: how long a node may be silent. The rest keeps Slurm from waiting for more jobs
# before it places one, and keeps finished jobs for scontrol to show.
CONF = """
ClusterName=lab
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=2,bf_interval=2
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
MinJobAge=3600
GresTypes=gpu
NodeName=DEFAULT CPUs=2 RealMemory=9000 Gres=gpu:2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=2-00:00:00 State=UP
"""

# The executor drops SLURM_CONF inside a job; clusters have their configuration in /etc/slurm.
SRUN = """#!/bin/sh
exec env SLURM_CONF={conf} {srun} "$@"
"""


def missing_programs() -> list[str]:
    """The programs of Slurm and munge that are not installed here."""
    return [name for name in PROGRAMS if _which(name) is None]


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")


class Cluster:
    """A running Slurm; `environment` is what its clients need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        shims = folder / "bin"
        self.environment = {
            "SLURM_CONF": str(self.conf),
            "PATH": f"{shims}:{os.environ.get('PATH', os.defpath)}:{SBIN}",
        }
        shims.mkdir()
        (folder / "state").mkdir()
        shim = shims / "srun"
        shim.write_text(SRUN.format(conf=self.conf, srun=_which("srun")))
        shim.chmod(0o755)
        ports, user = _free_ports(3), getpass.getuser()
        self.conf.write_text(CONF.format(folder=folder, ports=ports, user=user))
        gres = (
            f"NodeName={n} Name=gpu File={file}\n" for n, files in GPUS.items() for file in files
        )
        (folder / "gres.conf").write_text("".join(gres))

    def start(self) -> None:
        """Start all daemons, and wait until both nodes are idle."""
        self._start_munge()
        self._daemon("slurmctld", "-f", str(self.conf), "-c")
        for node in GPUS:
            (self.folder / f"spool.{node}").mkdir()
            self._daemon("slurmd", "-f", str(self.conf), "-N", node)
        wait_for(lambda: self.states() == ["idle"] * len(GPUS), 30, f"nodes for {self.conf}")

    def states(self) -> list[str]:
        """What `sinfo` says of each node."""
        return self.call("sinfo", "-N", "-h", "-o", "%T", check=False).split()

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = {
            "socket": "munge.socket",
            "key-file": "munge.key",
            "pid-file": "munge.pid",
            "log-file": "munge.log",
            "seed-file": "munge.seed",
        }
        # --force: a folder below /tmp, which everybody may write to, is called insecure
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self._daemon("munged", "--force", "--num-threads=1", *options)

    def _daemon(self, name: str, *arguments: str) -> None:
        """Start a daemon, which leaves this process at once."""
        with (self.folder / f"{name}.err").open("a") as messages:
            subprocess.run(
                [_which(name), *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                check=True,
                timeout=30,
            )

    def call(self, *command: str, check: bool = True) -> str:
        """What one of Slurm's own tools prints; never waits for long."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=20,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs, running and finished, as `scontrol show job` describes them."""
        lines = self.call("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [line.split() for line in lines if line.startswith("JobId=")]
        return [{k: v for k, _, v in (word.partition("=") for word in job)} for job in jobs]

    def kill_node(self, node: str) -> None:
        """The node dies, as in a power cut: its daemon and all its jobs at once."""
        running = [job["JobId"] for job in self.jobs() if job.get("NodeList") == node]
        titles = tuple(f"slurmstepd: [{job}." for job in running)
        victims = [self._process(f"slurmd.{node}.pid")]
        for process in psutil.process_iter(["cmdline"]):
            if " ".join(process.info["cmdline"] or []).startswith(titles) and self._mine(process):
                victims += [process, *process.children(recursive=True)]
        _kill(victims)

    def stop(self) -> None:
        """End whatever still runs: jobs, then daemons."""
        victims = []
        for process in psutil.process_iter(["cmdline"]):
            title = " ".join(process.info["cmdline"] or [])
            if title.startswith("slurmstepd") and self._mine(process):
                victims += [process, *process.children(recursive=True)]
        for file in self.folder.glob("*.pid"):
            victims.append(self._process(file.name))
        _kill(victims)

    def _mine(self, process: psutil.Process) -> bool:
        """Is it a process of this cluster? Another one may run on this machine."""
        try:
            return process.environ().get("SLURM_CONF") == str(self.conf) or any(
                str(self.folder) in file.path for file in process.open_files()
            )
        except psutil.Error:
            return False

    def _process(self, pid_file: str) -> psutil.Process | None:
        try:
            return psutil.Process(int((self.folder / pid_file).read_text()))
        except (OSError, ValueError, psutil.Error):
            return None


def _kill(processes: list[psutil.Process | None]) -> None:
    alive = [process for process in processes if process is not None]
    for process in alive:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look ten times a second until the condition holds; TimeoutError names what did not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} after {seconds:g} s")
        time.sleep(0.1)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster of two nodes that is stopped, whatever happens, with nothing left behind."""
    # a short path: that of munge's socket may have 107 characters
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
