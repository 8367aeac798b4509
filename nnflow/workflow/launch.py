"""What a rule's command runs: the job, in a process that is ready for it or in one of its own.

    python -IS launch.py train himmelblau --batch 0 …

Most of a small job is the start of Python and its imports. Where the environment variable
NNFLOW_WARM names a socket, the job is forked from the process that listens there (warm.py), which
is started by the first job that asks; this process then waits, passes signals on and ends as the
job does. Anywhere else, and wherever that process does not answer, it becomes
`python -m nnflow train …` instead. It imports little, as it runs once a job.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
WAIT = 120.0
"""Seconds until a process that does not answer is given up: it may be importing for a while."""


def main():
    """Run the job that the command line names."""
    words = sys.argv[1:]
    name, _, workflow = os.environ.get("NNFLOW_WARM", "").partition(":")
    if name and hasattr(os, "pidfd_open"):
        status = _forked("\0" + name, workflow, words)
        if status is not None:
            _end(status)
    os.execv(sys.executable, [sys.executable, "-m", "nnflow", *words])


def _forked(address, workflow, words):
    """The exit status of the job, forked by the process at the address; None: it was not run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        request = {
            "words": words,
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "umask": _umask(),
        }
        before = {number: signal.getsignal(number) for number in PASSED_ON}
        try:
            _connect(connection, address, workflow)
            # from here on a signal is the job's, also while it waits to be started
            for number in PASSED_ON:
                signal.signal(number, lambda number, _: connection.send(bytes([number])))
            socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
            connection.settimeout(WAIT)
            job = connection.recv(64)
            connection.settimeout(None)
        except OSError:
            job = b""
        if not job:
            for number in PASSED_ON:
                signal.signal(number, before[number])
            return None
        with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
            comm.write(f"nnflow {job.decode()}")  # by this name warm.py's followers find the job
        with contextlib.suppress(ConnectionError):
            if status := connection.recv(64):
                return int(status)
    print("nnflow: the process that started this job was killed", file=sys.stderr)
    return signal.SIGKILL


def _connect(connection, address, workflow):
    """Connect to the process at the address, started if there is none; OSError if it fails."""
    try:
        connection.connect(address)
    except ConnectionRefusedError:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            try:
                listener.bind(address)
            except OSError:  # another job was faster
                pass
            else:
                listener.listen(128)
                _start(listener, workflow)
        connection.connect(address)
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    if int.from_bytes(credentials[4:8], sys.byteorder) != os.getuid():
        raise PermissionError("the socket is somebody else's")


def _start(listener, workflow):
    """Start the process that forks jobs; it belongs to the workflow, not to this job."""
    number = listener.fileno()
    subprocess.Popen(
        [sys.executable, "-m", "nnflow.workflow.warm", str(number), workflow],
        pass_fds=[number],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _umask():
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _end(status):
    """End as the process with this wait status did."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
