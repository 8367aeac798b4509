"""How figures mark the kinds of critical points."""

from __future__ import annotations

MARKS = {
    "minimum": {"marker": "o", "color": "C2"},
    "saddle": {"marker": "X", "color": "C1"},
    "maximum": {"marker": "^", "color": "C3"},
    "degenerate": {"marker": "D", "color": "C4"},
    "nonsmooth": {"marker": "s", "color": "C5"},
}
"""Marker and colour by kind."""
