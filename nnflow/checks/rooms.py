"""The rooms of nnflow and what each imports: the picture in docs/architecture.md.

`python -m nnflow.checks.rooms` draws it anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FLOORS = (
    ("cli",),
    ("checks",),
    ("stages",),
    ("report",),
    ("workflow",),
    ("engine", "proofs"),
    ("study",),
    ("interfaces",),
    ("base",),
)
"""The rooms from the top down. A room imports from lower floors only; rooms of one floor do not
know each other."""
CONTENTS = {
    "cli": "the commands",
    "checks": "plugins --check, new, the manual",
    "stages": "one file per stage, the job, whose fault it is",
    "report": "the page: studies, tables, pictures, claims",
    "workflow": "plan, code hashes, resources, runner, profiles",
    "engine": "objective, training, basins, Newton, kinds, eigenvalues",
    "proofs": "certificates in ball arithmetic",
    "study": "settings, sweep, checks, claims, results, tables",
    "interfaces": "what each kind of plugin is; finding plugins",
    "base": "errors, settings, streams, files, statistics, progress",
}
PICTURE = Path("docs/rooms.svg")
EDGE = 6.2
"""Where the boxes end and the arcs begin."""
_LIGHT, _DARK = "#eef2f7", "#33506e"


def imports(package: Path) -> list[tuple[str, str]]:
    """(room, room it imports from) of a package's folder, each pair once; imports inside functions
    and for type checking included."""
    found: set[tuple[str, str]] = set()
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        names = set(_imported(ast.parse(file.read_bytes()), package.name))
        found.update((room, name) for name in names if name != room)
    rooms = set(CONTENTS)
    return sorted(pair for pair in found if set(pair) <= rooms)


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The rooms that a module's absolute imports name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            if parts[0] == package and len(parts) > 1:
                yield parts[1]


def climbing(arrows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The imports that do not run downhill."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    return [(above, below) for above, below in arrows if floor[above] >= floor[below]]


def draw(arrows: list[tuple[str, str]], file: Path) -> None:
    """Write the picture: a box for each room, an arc for each pair with imports."""
    import matplotlib

    style = {"backend": "svg", "svg.hashsalt": "nnflow", "svg.fonttype": "none"}
    # the styles that others in this process set would change the picture
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **style}):
        _drawn(arrows, file)


def _drawn(arrows: list[tuple[str, str]], file: Path) -> None:
    import matplotlib
    import matplotlib.pyplot as plt

    rooms = [room for floor in FLOORS for room in floor]
    height = {room: len(rooms) - number for number, room in enumerate(rooms)}
    figure, axis = plt.subplots(figsize=(6.75, 4.2))
    for above, below in arrows:
        high, low = height[above], height[below]
        reach = 0.1 + 0.34 * (high - low)
        path = matplotlib.path.Path(
            [(EDGE, high - 0.1), (EDGE + reach, high - 0.2), (EDGE + reach, low + 0.2),
             (EDGE + 0.05, low + 0.1)],
            [1, 4, 4, 4],
        )  # fmt: skip
        arc = matplotlib.patches.FancyArrowPatch(
            path=path, arrowstyle="-|>", mutation_scale=7, color=_DARK, alpha=0.6, lw=0.8
        )
        axis.add_patch(arc)
    for room, y in height.items():
        box = plt.Rectangle((0, y - 0.36), EDGE, 0.72, fc=_LIGHT, ec=_DARK, lw=0.8)
        axis.add_patch(box)
        axis.text(0.1, y, room, va="center", weight="bold", size=9)
        axis.text(1.25, y, CONTENTS[room], va="center", size=7.5)
    axis.set(xlim=(-0.05, EDGE + 2.3), ylim=(0.5, len(rooms) + 0.5))
    axis.axis("off")
    figure.set_layout_engine("none")
    figure.subplots_adjust(0, 0, 1, 1)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(imports(Path(__file__).parents[1]), PICTURE)
