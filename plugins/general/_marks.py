"""How figures mark the kinds of critical points."""

from __future__ import annotations

MARKS = {
    "minimum": {"marker": "o", "color": "C0"},
    "saddle": {"marker": "X", "color": "C1"},
    "maximum": {"marker": "^", "color": "C3"},
    "degenerate": {"marker": "D", "color": "C5"},
    "nonsmooth": {"marker": "s", "color": "C2"},
}
"""Marker and colour by kind."""
