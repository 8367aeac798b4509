"""The subjects of the studies: their heads, and which study speaks for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnflow.base.errors import UserError
from nnflow.base.settings import Settings
from nnflow.base.shipped import shipped
from nnflow.base.strict_yaml import read_yaml_file

SUBJECTS = Path("config/subjects.yaml")
"""Of the project; what comes with nnflow has such a file, too."""


class Subject(Settings):
    """A folder of studies."""

    title: str
    """The head under which its studies stand."""
    first: str = ""
    """The study whose first finding is told on the first screen; empty: none."""


def subjects() -> dict[str, Subject]:
    """{folder: subject} of the project, and of what comes with nnflow where it names none. Raises
    UserError where a file errs."""
    found: dict[str, Subject] = {}
    for file in dict.fromkeys((shipped() / SUBJECTS, SUBJECTS.absolute())):
        try:
            told: Any = read_yaml_file(file) if file.is_file() else {}
            found |= {name: Subject.model_validate(one) for name, one in (told or {}).items()}
        except (ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{file}: expected FOLDER: {{title: …}}: {reason}") from None
    return found


def subject(name: str, known: dict[str, Subject]) -> Subject:
    """The subject of a folder; of one without an entry its name, in words."""
    return known.get(name) or Subject(title=name.replace("_", " ").capitalize() or "Studies")
