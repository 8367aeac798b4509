"""A project: a folder with config/ and a Snakefile, in which the workflow runs."""

from __future__ import annotations

from pathlib import Path

from nnflow.base.errors import UserError
from nnflow.base.shipped import shipped
from nnflow.base.store import write_text

CONFIG = """\
# What `snakemake --cores N` and `nnflow run` do. `nnflow list` names all studies: yours in
# config/studies/, and those that come with nnflow.
studies:
  - himmelblau
scale: quick # or paper: the published sizes
results: results
"""
IGNORED = "/results/\n/.snakemake/\n/.nnflow/\n__pycache__/\n"


def new_project(folder: Path) -> list[Path]:
    """Write what a project needs into a new or an empty folder: a Snakefile, config/config.yaml,
    .gitignore, and the folders config/studies/ and plugins/. Returns the files.

    Raises UserError where the folder holds any of them; nothing is written then.
    """
    texts = {
        "Snakefile": (shipped() / "Snakefile").read_text(encoding="utf-8"),
        "config/config.yaml": CONFIG,
        ".gitignore": IGNORED,
    }
    for name in (*texts, "plugins", "config"):
        if (folder / name).exists():
            raise UserError(f"{folder / name}: exists; `nnflow init` starts a new project")
    for name in ("config/studies", "plugins"):
        try:
            (folder / name).mkdir(parents=True)
        except OSError as error:
            raise UserError(f"{folder / name}: can't be made: {error.strerror}") from None
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def require_project() -> None:
    """Raise UserError where the working folder is no project."""
    if not Path("config").is_dir():
        raise UserError(
            f"{Path.cwd()}: no folder config/ here, so no project of nnflow; `nnflow init FOLDER`"
            " makes one, in a clone of nnflow go to its root"
        )
