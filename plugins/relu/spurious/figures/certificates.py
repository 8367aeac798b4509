"""What is proved of spurious minima, against the number of teacher neurons."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, UserError, flag_mask

from ....general.figures._page import HALF, counted, note, power
from ._published import published_points

LOOKS = {0: ("o", "C0"), 1: ("s", "C4"), 2: ("^", "C2")}
"""Mark and colour by the excess n − k."""


class Certificates(Figure):
    """Proved lowest Hessian eigenvalues of certified spurious minima against the number k of
    teacher neurons, by the excess n − k of students; open diamonds are published values. After
    Safran & Shamir 2018, Tables 1 and 2."""

    needs = ("certificates",)

    column: str = "proved_eigenvalue"
    """The summary's column whose published numbers are drawn, too."""

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        figure, axis = plt.subplots(figsize=(HALF, 3.0))
        proved = _proved(results)
        for excess in sorted({row[0] for row in proved}):
            k, low, high = np.array([row[1:] for row in proved if row[0] == excess]).T
            mark, color = LOOKS.get(excess, ("v", "C5"))
            name = "n = k" if excess == 0 else f"n = k + {excess}"
            bars = [np.zeros_like(low), high - low]
            axis.errorbar(
                k, low, bars, fmt=mark, color=color, ms=4.5, capsize=2, label=f"{name}, proved"
            )
        published = published_points(results, self.column)
        if published:
            _, k, value, *_ = np.array(published).T
            axis.plot(k, value, "D", mfc="none", color="C3", ms=8, lw=0, label="published")
        axis.axhline(0, color="0.5", lw=0.8)
        axis.set(ylabel="lowest Hessian eigenvalue", xlabel="teacher neurons k")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(loc="best")
        positive = sum(row[2] > 0 for row in proved)
        figure.suptitle(f"{counted(positive, 'spurious minimum', 'spurious minima')} proved")
        widest = max((row[3] - row[2] for row in proved), default=np.nan)
        note(
            figure, f"proved intervals (< {power(widest)}) lie in the marks",
            "after Safran & Shamir 2018",
        )  # fmt: skip
        return figure


def _proved(results) -> list[tuple[int, int, float, float]]:
    """(n − k, k, bounds of the lowest eigenvalue) of each spurious minimum."""
    rows = []
    for configuration, certificates in results.each("certificates"):
        if not {"k", "n"} <= set(configuration.parameters):
            raise UserError(
                f"{results.study.file}: figures.certificates: needs a sweep over k and n"
            )
        k, n = (int(configuration.parameters[name]) for name in "kn")
        found = certificates.isel(
            certificate=flag_mask(certificates["verdict"], "spurious_minimum")
        )
        columns = (found[f"min_eigenvalue_{end}"].values for end in ("low", "high"))
        rows += [(n - k, k, *map(float, values)) for values in zip(*columns, strict=True)]
    return rows


@nnflow.hookimpl
def nnflow_register(register):
    register("certificates", Certificates)
