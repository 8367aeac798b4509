"""Pages of the manual whose blocks are run, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Language, file and text of a block."""


class Page:
    """A folder in which the blocks are run; what each command printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []

    def do(self, language: str, place: str, text: str) -> None:
        """Write a file, run commands or a script, or compare what the last one printed."""
        if place:
            (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / place).write_text(text, encoding="utf-8")
        elif language == "text":
            assert self.printed[-1] == text
        elif language == "bash":
            self.printed.append(self.run(["bash", "-euc", text], subprocess.STDOUT))
        else:
            self.printed.append(self.run([sys.executable, "-c", text], subprocess.PIPE))

    def run(self, command: list[str], errors: int) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        run = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=900,
        )
        assert run.returncode == 0, f"{command[-1]}\n{run.stdout}\n{run.stderr}"
        return run.stdout
