"""Time of the proofs for all widths, family by family.

    OMP_NUM_THREADS=1 python benchmarks/every_width.py [--families type_a one_turned …] [--check]

The boxes of the study `every_width` at paper scale, from each family's first width on: how many
there are, processor time of one thread in seconds, and with --check that of proving each of them
again, and that they are connected, as `nnflow certificate check` does. A line for each family, as
it is done; the fastest come first.
"""

from __future__ import annotations

import argparse
import importlib
import time
from itertools import pairwise

import flint

from nnflow.interfaces.registry import PACKAGE, registry

FIRST = ("type_a", "type_one", "one_turned", "two_turned", "three_turned", "four_turned")
TIGHTNESS, SHORTEST = 0.5, 1e-7
"""The settings of the study."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=FIRST, choices=FIRST)
    parser.add_argument("--check", action="store_true", help="prove the boxes again, too")
    arguments = parser.parse_args()
    registry()
    home = f"{PACKAGE}.relu.spurious.analyses"
    boxes, families = (
        importlib.import_module(f"{home}.{name}") for name in ("_family_boxes", "_families")
    )
    print("| family | from k | boxes | core-seconds | checked again in |")
    print("|---|---|---|---|---|")
    with flint.ctx.workprec(64):
        for name in arguments.families:
            family = families.FAMILIES[name]
            start = time.process_time()
            found = list(boxes.cover(name, 0.0, family.from_k**-0.5, TIGHTNESS, SHORTEST))
            spent = time.process_time() - start
            again = _checked(boxes, found) if arguments.check else "—"
            row = (family.title, family.from_k, len(found), f"{spent:.0f}", again)
            print("|", " | ".join(map(str, row)), "|", flush=True)


def _checked(boxes, found: list) -> str:
    start = time.process_time()
    held = all(boxes.holds(box, said) == "" for box, said in found)
    held = held and all(boxes.connected(a, b) for (a, _), (b, _) in pairwise(found))
    assert held, "not proved again"
    return f"{time.process_time() - start:.0f}"


if __name__ == "__main__":
    main()
