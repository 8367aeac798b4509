"""One legend for all panels of a figure."""

from __future__ import annotations

from collections.abc import Iterable


def legend_below(figure, axes, columns: int, order: Iterable[str] = ()) -> None:
    """A legend below the panels, in which each label stands once. order: of the labels, of which
    others are left out; empty: as they come."""
    entries = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    shown = [label for label in order or entries if label in entries]
    if shown:
        handles = [entries[label] for label in shown]
        figure.legend(handles, shown, loc="outside lower center", ncols=columns)
