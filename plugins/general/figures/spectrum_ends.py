"""Both ends of Hessian spectra, and how well they are known."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._families import chosen_configurations
from ._names import configuration_name
from ._page import WIDE, lettered, note

LOOKS = {"lowest": ("C0", "o"), "highest": ("C3", "s")}
DENSE = "dense Hessian"


class SpectrumEnds(Figure):
    """Lowest and highest Hessian eigenvalue of each spectrum, one column of dots per configuration.
    Bars, where they are larger than the dots, are residuals ‖Hv − λv‖; rings are the eigenvalues of
    the dense Hessian. Below the line at 0 a point is no minimum. Configurations beyond an even
    selection are left out."""

    needs = ("spectra",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of those with families that are not
    global."""
    most_configurations: PositiveInt = 5
    """Maximum number of configurations that are selected."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        shown = chosen_configurations(results, self.configurations, self.most_configurations)
        spectra = [results.at("spectra", label) for label in shown]
        figure, axes = plt.subplots(1, 2, figsize=(WIDE, 2.9))
        lowest = []
        for axis, (end, look) in zip(axes, LOOKS.items(), strict=True):
            for column, table in enumerate(spectra):
                values = _strip(axis, column, table, end, *look)
                lowest += values if end == "lowest" else []
            names = [configuration_name(label).replace(", ", "\n") for label in shown]
            axis.set_xticks(range(len(shown)), names, fontsize=7)
            axis.tick_params(axis="x", length=0)
            axis.set_xlim(-0.6, len(shown) - 0.4)
            axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        axes[0].axhline(0, color="0.6", lw=0.8, zorder=0)
        axes[0].set_ylabel("Hessian eigenvalue")
        lettered(axes, "lowest", "highest")
        if len(axes[0].get_legend_handles_labels()[1]):
            axes[0].legend(loc="best")
        negative = sum(high < 0 for high in lowest)
        figure.suptitle(
            f"{negative or 'None'} of {len(lowest)} spectra"
            f" {'has' if negative < 2 else 'have'} a negative eigenvalue"
        )
        total = len(results.configurations)
        some = f"{len(shown)} of {total} configurations" if total > len(shown) else ""
        note(figure, "bars, mostly within the marks: residuals ‖Hv − λv‖", some)
        return figure


def _strip(axis, column: int, spectra, end: str, color: str, mark: str) -> list[float]:
    """The spectra of one configuration side by side; the upper ends of their eigenvalues'
    residuals."""
    modes = dict(zip(("highest", "lowest"), _ends(spectra["mode"].values, 1), strict=True))[end]
    part = spectra.isel(mode=modes)
    if not part.sizes["mode"]:
        return []
    values, residuals = (part[name].values[:, 0] for name in ("eigenvalue", "residual"))
    x = column + np.linspace(-0.3, 0.3, len(values)) if len(values) > 1 else np.array([column])
    axis.errorbar(x, values, residuals, fmt=mark, ms=3, lw=0, elinewidth=1, color=color)
    if "dense_eigenvalue" in part:
        dense = part["dense_eigenvalue"].values[:, 0]
        known = np.isfinite(dense)
        label = {} if DENSE in axis.get_legend_handles_labels()[1] else {"label": DENSE}
        axis.plot(x[known], dense[known], "o", ms=6, mfc="none", color="0.3", **label)
    return (values + residuals)[np.isfinite(values)].tolist()


def _ends(modes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the highest and of the lowest eigenvalues, at most `count` each: of a whole
    spectrum, or of ends of which the upper one is numbered from −1."""
    below = modes < 0
    if below.any():
        return np.flatnonzero(below)[-count:], np.flatnonzero(~below)[:count]
    shown = min(count, max(1, len(modes) // 2))
    return np.arange(len(modes))[-shown:], np.arange(len(modes))[:shown]


@nnflow.hookimpl
def nnflow_register(register):
    register("spectrum_ends", SpectrumEnds)
