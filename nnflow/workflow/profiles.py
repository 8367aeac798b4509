"""Snakemake profiles, copied to where `snakemake --profile NAME` looks for them."""

from __future__ import annotations

from pathlib import Path

from nnflow.base.errors import UserError
from nnflow.base.settings import suggest
from nnflow.base.store import replacing

SOURCE = Path("workflow/profiles")


def user_folder() -> Path:
    """The folder in which Snakemake looks for a user's profiles: ~/.config/snakemake on
    Linux."""
    from snakemake.common import get_appdirs

    return Path(get_appdirs().user_config_dir)


def install_profile(
    name: str, source: Path = SOURCE, target: Path | None = None, force: bool = False
) -> Path:
    """Copy the profile source/NAME to target/NAME, and return that folder.

    target: default: Snakemake's folder of the user. force: replace files that differ.
    Files that only the target has are left alone. Raises UserError for an unknown profile,
    for a file that differs (nothing is written then), and where nothing can be written.
    """
    known = sorted(folder.name for folder in source.glob("*/") if _files(folder))
    if name not in known:
        raise UserError(
            f"{source}: no profile {name!r}{suggest(name, known) or ' (there are none)'}"
        )
    folder = (user_folder() if target is None else target) / name
    try:
        content = {file: (source / name / file).read_bytes() for file in _files(source / name)}
        differing = [f for f, new in content.items() if _differs(folder / f, new)]
    except OSError as error:
        raise UserError(f"{error.filename}: can't be read: {error.strerror}") from None
    if differing and not force:
        raise UserError(f"{folder / differing[0]}: exists and differs; --force replaces it")
    for file, new in content.items():
        with replacing(folder / file) as temporary:
            temporary.write_bytes(new)
    return folder


def _files(folder: Path) -> list[Path]:
    """The files of a profile, relative to its folder."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file.relative_to(folder) for file in files)


def _differs(file: Path, content: bytes) -> bool:
    return file.exists() and (not file.is_file() or file.read_bytes() != content)
