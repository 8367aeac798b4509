"""Elastic bands between weights, drawn down the landscape."""

from __future__ import annotations

import numpy as np

LONGEST = 0.5
"""Longest step of a pivot, as a part of the distance between neighbours."""


def straight(ends: np.ndarray, pivots: int) -> np.ndarray:
    """Bands (band, pivot, weight) on the lines between ends (band, 2, weight)."""
    t = np.linspace(0, 1, pivots)[:, None]
    return (1 - t) * ends[:, :1] + t * ends[:, 1:]


def relaxed(loss, bands: np.ndarray, steps: int, rate: float, momentum: float) -> np.ndarray:
    """Bands after `steps` steps of their inner pivots down the part of the gradient that is across
    the band, which keep equal distances: an elastic band of infinitely stiff springs (Draxler et
    al. 2018, after Henkelman & Jónsson 2000), all bands at once. Ends stay."""
    bands, velocity, size = bands.copy(), 0.0, bands.shape[2]
    values = loss.loss(bands.reshape(-1, size)).reshape(bands.shape[:2])
    for _ in range(steps):
        inner = bands[:, 1:-1]
        values[:, 1:-1] = loss.loss(inner.reshape(-1, size)).reshape(inner.shape[:2])
        along = tangents(bands, values)
        gradient = loss.gradient(inner.reshape(-1, size)).reshape(inner.shape)
        across = gradient - (gradient * along).sum(axis=2, keepdims=True) * along
        velocity = momentum * velocity + across
        step = rate * velocity
        gap = np.linalg.norm(np.diff(bands, axis=1), axis=2).mean(axis=1)[:, None, None]
        length = np.linalg.norm(step, axis=2, keepdims=True)
        bands[:, 1:-1] -= step * np.minimum(1, LONGEST * gap / np.maximum(length, 1e-300))
        bands = spread(bands, bands.shape[1])
    return bands


def tangents(bands: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Unit vectors along the bands at the inner pivots: towards the higher neighbour, and between
    both at a highest or lowest pivot (Henkelman & Jónsson 2000, eqs. 8 to 11)."""
    ahead, behind = np.diff(bands, axis=1)[:, 1:], np.diff(bands, axis=1)[:, :-1]
    rise, fall = np.diff(values, axis=1)[:, 1:], np.diff(values, axis=1)[:, :-1]
    most, least = (f(abs(rise), abs(fall)) for f in (np.maximum, np.minimum))
    higher_ahead = rise + fall > 0
    turns = (rise > 0) != (fall > 0)
    weights = [
        np.where(turns, np.where(first, most, least), first)
        for first in (higher_ahead, ~higher_ahead)
    ]
    along = weights[0][..., None] * ahead + weights[1][..., None] * behind
    length = np.linalg.norm(along, axis=2, keepdims=True)
    return along / np.where(length > 0, length, 1)


def spread(bands: np.ndarray, pivots: int) -> np.ndarray:
    """The same broken lines with that many pivots at equal distances along each."""
    lengths = np.linalg.norm(np.diff(bands, axis=1), axis=2)
    places = np.concatenate([np.zeros((len(bands), 1)), lengths.cumsum(axis=1)], axis=1)
    even = np.linspace(0, places[:, -1], pivots, axis=1)
    moved = np.empty((len(bands), pivots, bands.shape[2]))
    for band, (old, new) in enumerate(zip(places, even, strict=True)):
        left = np.clip(np.searchsorted(old, new, side="right") - 1, 0, len(old) - 2)
        gap = np.where(lengths[band][left] > 0, lengths[band][left], 1)
        part = np.clip((new - old[left]) / gap, 0, 1)[:, None]
        moved[band] = (1 - part) * bands[band][left] + part * bands[band][left + 1]
    moved[:, [0, -1]] = bands[:, [0, -1]]
    return moved


def inserted(loss, bands: np.ndarray, count: int, fine: int) -> np.ndarray:
    """Bands with `count` more pivots each, where the loss between two pivots rises most above the
    line between their values (AutoNEB; Kolsbjerg, Groves & Hammer 2016)."""
    for _ in range(count):
        way, values = sampled(loss, bands, fine)
        segments = bands.shape[1] - 1
        t = np.arange(1, fine) / fine
        parts = values[:, :-1].reshape(len(bands), segments, fine)
        last = np.concatenate([parts[:, 1:, :1], values[:, -1:, None]], axis=1)
        line = (1 - t) * parts[..., :1] + t * last
        excess = (parts[..., 1:] - line).reshape(len(bands), -1)
        worst = excess.argmax(axis=1)
        segment, inside = worst // (fine - 1), worst % (fine - 1) + 1
        point = way[np.arange(len(bands)), segment * fine + inside]
        bands = np.stack(
            [np.insert(b, s + 1, p, axis=0) for b, s, p in zip(bands, segment, point, strict=True)]
        )
    return bands


def sampled(loss, bands: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the bands, `fine` to a segment and the end, (band, point, weight), and their
    losses (band, point)."""
    t = (np.arange(fine) / fine)[:, None]
    starts, ends = bands[:, :-1, None], bands[:, 1:, None]
    inner = ((1 - t) * starts + t * ends).reshape(len(bands), -1, bands.shape[2])
    way = np.concatenate([inner, bands[:, -1:]], axis=1)
    return way, loss.loss(way.reshape(-1, way.shape[2])).reshape(way.shape[:2])


def spanning_tree(pairs: list[tuple[int, int]], heights: np.ndarray) -> list[int]:
    """Numbers of the pairs that join all points with the lowest heights (Kruskal)."""
    group = {point: point for pair in pairs for point in pair}

    def top(point):
        while group[point] != point:
            point = group[point]
        return point

    chosen = []
    for number in np.argsort(heights, kind="stable"):
        a, b = (top(point) for point in pairs[number])
        if a != b:
            group[a] = b
            chosen.append(int(number))
    return chosen
