"""What Containerfile copies from the repository."""

from __future__ import annotations

import shlex
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath


def sources(text: str) -> list[str]:
    """The paths that the lines COPY of a Containerfile name."""
    words = [shlex.split(line) for line in text.splitlines() if line.startswith("COPY ")]
    return [source for _, *given, _ in words for source in given]


def excluded(path: PurePosixPath, patterns: list[str]) -> bool:
    """Whether .dockerignore leaves a path out: the last pattern that fits it, or a folder that it
    lies in, decides."""
    out = False
    for pattern in patterns:
        name = pattern.removeprefix("!").removeprefix("**/")
        anywhere = pattern.removeprefix("!") != name
        for part in (path, *path.parents[:-1]):
            if fnmatch(part.name, name) if anywhere else part.match(name) and "/" not in str(part):
                out = not pattern.startswith("!")
    return out


def context(root: Path) -> list[PurePosixPath]:
    """The files that reach the image, relative to the root of the repository."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    named = sources((root / "Containerfile").read_text(encoding="utf-8"))
    files = [file for name in named for file in (root / name, *(root / name).rglob("*"))]
    relative = [PurePosixPath(f.relative_to(root).as_posix()) for f in files if f.is_file()]
    return [path for path in relative if not excluded(path, patterns)]
