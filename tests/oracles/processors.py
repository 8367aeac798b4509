"""Processors that compiled code may be compiled for, besides the one that tests run on."""

import os
import subprocess
import sys
from pathlib import Path

PROCESSORS = {
    "generic": ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, "sse2"),
    "AVX2": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"}, "avx2"),
    "AVX-512": (
        {
            "NUMBA_CPU_NAME": "skylake-avx512",
            "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+avx512f,+avx512dq,+avx512vl,+avx512bw",
        },
        "avx512bw",
    ),
}


def has(feature):
    """Can this processor run it?"""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and feature in flags.read_text()


def printed(script, folder, **variables):
    """The words that a script prints in a Python of its own, which compiles into the folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), **variables}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
