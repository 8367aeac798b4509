"""What figures of families of critical points share: which to show, and how to name them."""

from __future__ import annotations

import numpy as np

from nnflow import UserError, flag_mask


def chosen_configurations(results, labels: list[str], most: int) -> list[str]:
    """Labels of the configurations to show: those asked for, else those with families that are not
    global (all, where there are none), thinned evenly to `most`.

    Raises UserError for a label that is none of the study's, and for spectra along trajectories,
    which belong to no family and no end of a run.
    """
    if any("kept_step" in spectra.dims for _, spectra in results.each("spectra")):
        raise UserError(
            f"{results.study.file}: spectrum.at: trace: this figure shows spectra of families or of"
            " ends of runs; leave it out"
        )
    rich = [
        configuration.label
        for configuration, spectra in results.each("spectra")
        if _elsewhere(spectra).any()
    ]
    return selected_configurations(results, labels, most, rich)


def selected_configurations(
    results, labels: list[str], most: int, among: list[str] = ()
) -> list[str]:
    """Labels of the configurations to show: those asked for, else those `among` which to choose
    (all, where there are none), thinned evenly to `most`. Raises UserError as
    `chosen_configurations`."""
    known = [configuration.label for configuration in results.configurations]
    for label in labels:
        if label not in known:
            raise UserError(
                f"{results.study.file}: figures: no configuration {label!r}"
                f" (there are: {'; '.join(known)})"
            )
    if labels:
        return labels
    among = list(among) or known
    places = np.linspace(0, len(among) - 1, min(most, len(among))).round().astype(int)
    return [among[place] for place in places]


def chosen_families(spectra, most: int) -> np.ndarray:
    """Places of the `most` most frequent families, by rising loss; of the first runs, where the
    spectra are those of runs."""
    if "count" not in spectra:
        return np.arange(min(most, spectra.sizes["run"]))
    order = np.argsort(-spectra["count"].values, kind="stable")[:most]
    return np.sort(order)


def family_colors(spectra, places) -> list:
    """Black for global families, the palette's colours for the others."""
    import seaborn as sns

    elsewhere = _elsewhere(spectra)[places]
    palette = iter(sns.color_palette(n_colors=max(1, int(elsewhere.sum()))))
    return [next(palette) if other else (0.0, 0.0, 0.0) for other in elsewhere]


def shown_of(spectra, places) -> str:
    """ ", 3 of 12 families", where not all are shown."""
    name, plural = ("family", "families") if "family" in spectra.dims else ("run", "runs")
    total = spectra.sizes[name]
    return f", {len(places)} of {total} {plural}" if total > len(places) else ""


def kind_of(spectra, place: int) -> str:
    """The kind of critical point in words: minimum, saddle, global minimum, …"""
    number = int(spectra["kind"].values[place])
    kind = spectra["kind"].attrs["flag_meanings"].split()[number].replace("_", " ")
    if _elsewhere(spectra)[place]:
        known = flag_mask(spectra["is_global"], "no")[place]
        return f"spurious {kind}" if known and kind == "minimum" else kind
    return f"global {kind}" if kind == "minimum" else f"global, {kind}"


def loss_text(loss: float) -> str:
    """A loss to five decimals, 0 where rounding is all that is left of it."""
    return "0" if abs(loss) < 1e-9 else f"{loss:.5f}" if loss >= 1e-4 else f"{loss:.1e}"


def _elsewhere(spectra) -> np.ndarray:
    """Families whose loss is not the infimum, or not known to be."""
    return ~flag_mask(spectra["is_global"], "yes")
