"""Files that are downloaded once, and held against a hash that the code knows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from nnflow import UserError


def fetch(name: str, file: Path, sha256: str, sources: tuple[str, ...]) -> Path:
    """The file, which is downloaded from the first of the addresses that has it if it is not there.

    name: the dataset's, for messages. Raises UserError, which says what to do, where the file is
    another one than the hash says, or can't be had.
    """
    if file.exists():
        if _sha256(name, file) != sha256:
            raise UserError(
                f"dataset {name!r}: {file} is damaged, or another file of that name; delete it, and"
                " it is downloaded again"
            )
        return file
    reasons = []
    for address in sources:
        try:
            _download(address, file, sha256)
            return file
        except (OSError, ValueError) as error:  # no network, no such page; another hash
            reasons.append(" ".join(str(error).split())[:160])
    raise UserError(
        f"dataset {name!r}: {file} is missing, and can't be downloaded ({reasons[-1]}); put the"
        f" file there by hand, from {sources[0]}"
    )


def _sha256(name: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"dataset {name!r}: {file} can't be read: {error.strerror}") from None


def _download(address: str, file: Path, sha256: str) -> None:
    """Beside the file first: it is whole once it is there. Raises OSError or ValueError."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the bar says what is downloaded
    with _Bar(file.name) as bar:
        pooch.retrieve(
            address, f"sha256:{sha256}", file.name, file.parent, None,
            pooch.HTTPDownloader(progressbar=bar),
        )  # fmt: skip


class _Bar:
    """What pooch moves while it loads, shown by rich."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._shown = Progress(*columns, console=Console(stderr=True))
        self._task = self._shown.add_task(f"downloading {title}", total=None)
        self.total: int | None = None

    def __enter__(self) -> _Bar:
        self._shown.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shown.stop()

    def update(self, amount: int) -> None:
        self._shown.update(self._task, advance=amount, total=self.total)

    def reset(self) -> None:
        self._shown.reset(self._task)

    def close(self) -> None:
        """The block ends it."""
