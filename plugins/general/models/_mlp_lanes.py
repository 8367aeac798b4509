"""Gradients of perceptrons in compiled code: LANES samples of one network side by side.

What a network computes lies in arrays (row, LANES): row r·tiles + t has the numbers of neuron r at
the t-th LANES samples. Where samples are too few to fill the last vector, the last one stands there
again, and the loss has no slope there. Samples are gone through in blocks that stay in the cache,
and every sum has one order, so that bits depend neither on the processor nor on companions.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np

from nnflow import LANES, Compiled, RunGradient, lane_sums, load_row, store_row, vectors

ROWS = 2**13
"""Vectors of inputs and neurons that are computed before they are gone through backwards: half a
megabyte, and that again for the slopes."""
FEWEST = 8
"""Vectors of samples in a block at least, as each sum over them ends in one over LANES numbers."""
MOST_WEIGHTS = 2**14
"""Larger networks are as fast, or up to 1.7 times as fast, by torch's products of matrices, which
contract products and sums (docs/results/speed.md)."""
MOST_INPUTS = 2**24
"""Most numbers of inputs, as they are laid out anew: 128 megabytes."""


def run_gradient(widths, activation, loss, decay, inputs, targets) -> RunGradient | None:
    """For `Model.run_gradient`. activation, loss: their `lanes`. inputs, targets: arrays; None
    where they, or the weights, are too many, or their shape is another one."""
    real = targets.dtype.kind == "f"
    values = targets.reshape(len(targets), -1) if real else np.empty((0, widths[-1]))
    fits = inputs.ndim == 2 and inputs.shape[1] == widths[0] and values.shape[1] == widths[-1]
    fits = fits and inputs.dtype.kind == "f" and len(inputs) == len(targets) > 0
    if not real:
        fits = fits and targets.ndim == 1 and targets.min() >= 0 and targets.max() < widths[-1]
    weights = sum((fan + 1) * neurons for fan, neurons in pairwise(widths))
    if not fits or weights > MOST_WEIGHTS or not 0 < inputs.size <= MOST_INPUTS:
        return None
    parameters = (
        np.ascontiguousarray(inputs, dtype=np.float64),
        np.ascontiguousarray(values, dtype=np.float64),
        np.empty(0, dtype=np.int64) if real else np.ascontiguousarray(targets),
        *loss.classes,
        np.array(widths, dtype=np.int64),
        float(decay),
        float(activation.parameter),
        float(loss.parameter),
    )
    return RunGradient(gather, *_forms(activation[:2], loss.slope), parameters)


@cache
def _forms(activation, misfit):
    value, slope = activation
    block = Compiled(_block_gradient, None, {"value": value, "slope": slope, "misfit": misfit})
    return block, lambda w, samples, parameters: _array_gradient(
        w, samples, parameters, value, slope, misfit.plain
    )


def _block_tiles(widths):
    """Vectors of samples that are gone through together."""
    return max(FEWEST, ROWS // widths.sum())


def _gather(samples, inputs, values, classes, other, own, widths, decay, sigma, ell):
    """Inputs and targets of the samples, block by block, and how many they are."""
    n, features, outputs = len(samples), widths[0], widths[-1]
    tiles, most = (n + LANES - 1) // LANES, block_tiles(widths)
    x, t = vectors(features * tiles), vectors(outputs * tiles)
    chosen = np.empty(LANES, dtype=np.int64)
    for tile in range(tiles):
        first = tile - tile % most
        count, place = min(most, tiles - first), tile - first
        for lane in range(LANES):
            chosen[lane] = samples[min(tile * LANES + lane, n - 1)]
        for i in range(features):
            for lane in range(LANES):
                x[first * features + i * count + place, lane] = inputs[chosen[lane], i]
        for o in range(outputs):
            row = first * outputs + o * count + place
            for lane in range(LANES):
                if len(classes) > 0:
                    t[row, lane] = own if classes[chosen[lane]] == o else other
                else:
                    t[row, lane] = values[chosen[lane], o]
    return x, t, n


def _combine(w, start, steps, shape, x, found):
    """Write Σ_k w[start + r·steps₀ + k·steps₁] x[k] to found[r], `tiles` vectors for each r and k.
    shape: how many r, k and tiles."""
    rows, inner, tiles = shape
    across, along = steps
    last = rows - 1
    for tile in range(tiles):  # what is read of x stays in the first cache
        for group in range(0, rows, 4):  # four sums at a time, as none has to wait for another
            a = max(0, min(group, rows - 4))  # some twice where rows are no multiple of 4
            b, c, d = min(a + 1, last), min(a + 2, last), min(a + 3, last)
            wa, wb, wc, wd = across * a, across * b, across * c, across * d
            v, place = load_row(x, tile), start
            first, second = v * w[place + wa], v * w[place + wb]
            third, fourth = v * w[place + wc], v * w[place + wd]
            for k in range(1, inner):
                v, place = load_row(x, k * tiles + tile), start + k * along
                first += v * w[place + wa]
                second += v * w[place + wb]
                third += v * w[place + wc]
                fourth += v * w[place + wd]
            store_row(found, a * tiles + tile, first)
            store_row(found, b * tiles + tile, second)
            store_row(found, c * tiles + tile, third)
            store_row(found, d * tiles + tile, fourth)


def _correlate(signal, x, shape, found, start):
    """Add Σ signal[o]x[i] over the samples to found[start + o·inputs + i]. shape: how many o, i and
    tiles."""
    outputs, inputs, tiles = shape
    last, sums = inputs - 1, vectors(1)
    for group in range(0, inputs, 4):
        i = max(0, min(group, inputs - 4))
        xa, xb = i * tiles, min(i + 1, last) * tiles
        xc, xd = min(i + 2, last) * tiles, min(i + 3, last) * tiles
        for o in range(0, outputs, 2):
            p, q = o * tiles, min(o + 1, outputs - 1) * tiles
            s, u = load_row(signal, p), load_row(signal, q)
            va, vb, vc, vd = load_row(x, xa), load_row(x, xb), load_row(x, xc), load_row(x, xd)
            a, b, c, d = s * va, s * vb, s * vc, s * vd
            e, f, g, h = u * va, u * vb, u * vc, u * vd
            for tile in range(1, tiles):
                s, u = load_row(signal, p + tile), load_row(signal, q + tile)
                v = load_row(x, xa + tile)
                a += s * v
                e += u * v
                v = load_row(x, xb + tile)
                b += s * v
                f += u * v
                v = load_row(x, xc + tile)
                c += s * v
                g += u * v
                v = load_row(x, xd + tile)
                d += s * v
                h += u * v
            store_row(sums, 0, lane_sums(a, b, c, d, e, f, g, h))
            for j in range(group - i, min(4, inputs)):  # those before are added already
                place = start + o * inputs + i + j
                found[place] += sums[0, j]
                if o + 1 < outputs:
                    found[place + inputs] += sums[0, 4 + j]


def _correlate_biases(signal, outputs, tiles, found, start):
    """Add Σ signal[o] over the samples to found[start + o]."""
    sums, none = vectors(1), load_row(signal, 0) * 0.0
    for o in range(outputs):
        total = load_row(signal, o * tiles)
        for tile in range(1, tiles):
            total += load_row(signal, o * tiles + tile)
        store_row(sums, 0, lane_sums(total, none, none, none, none, none, none, none))
        found[start + o] += sums[0, 0]


block_tiles, gather = Compiled(_block_tiles), Compiled(_gather)
combine, correlate = Compiled(_combine), Compiled(_correlate)
correlate_biases = Compiled(_correlate_biases)


def _block_gradient(
    w, found, gathered, inputs, values, classes, other, own, widths, decay, sigma, ell
):
    """∇L of one network over the samples that were gathered."""
    x, t, n = gathered
    most, layers = block_tiles(widths), len(widths) - 1
    features, outputs = widths[0], widths[layers]
    neurons, widest = widths[1:].sum(), widths[1:].max()
    all_tiles = (n + LANES - 1) // LANES
    tiles = min(most, all_tiles)
    seen, slopes = vectors(neurons * tiles), vectors(neurons * tiles)
    signal, pulled = vectors(widest * tiles), vectors(widest * tiles)
    found[:] = 0.0
    for first in range(0, all_tiles, most):
        tiles = min(most, all_tiles - first)
        here = x[first * features : (first + tiles) * features]
        goals = t[first * outputs : (first + tiles) * outputs]
        at, row, below = 0, 0, here  # where weights of a layer, and rows of its values, begin
        for k in range(1, layers + 1):
            rows, inner = widths[k], widths[k - 1]
            biases = at + rows * inner
            combine(w, at, (inner, 1), (rows, inner, tiles), below, signal)
            for o in range(rows):
                bias = w[biases + o]
                for place in range(o * tiles, (o + 1) * tiles):
                    total = load_row(signal, place) + bias
                    store_row(signal, place, total)
                    if k < layers:
                        activated = value(total, sigma)  # noqa: F821
                        store_row(seen, row + place, activated)
                        store_row(slopes, row + place, slope(total, activated, sigma))  # noqa: F821
            below = seen[row : row + rows * tiles]
            at, row = biases + rows, row + rows * tiles
        row -= outputs * tiles
        misfit(signal[: outputs * tiles], goals, tiles, ell)  # noqa: F821
        for place in range(outputs * tiles):
            store_row(signal, place, load_row(signal, place) / float(n))
        for lane in range(n - (first + tiles - 1) * LANES, LANES):
            for o in range(outputs):
                signal[(o + 1) * tiles - 1, lane] = 0.0
        for k in range(layers, 0, -1):
            rows, inner = widths[k], widths[k - 1]
            at -= (inner + 1) * rows
            below = here
            if k > 1:
                row -= inner * tiles
                below = seen[row : row + inner * tiles]
            correlate(signal, below, (rows, inner, tiles), found, at)
            correlate_biases(signal, rows, tiles, found, at + rows * inner)
            if k > 1:
                combine(w, at, (1, inner), (inner, rows, tiles), signal, pulled)
                for place in range(inner * tiles):
                    part = load_row(pulled, place) * load_row(slopes, row + place)
                    store_row(signal, place, part)
    if decay != 0.0:
        for place in range(len(w)):
            found[place] += decay * w[place]


# The same in NumPy, all networks at once: arrays (run, neuron, tile, LANES)


def _array_gradient(w, samples, parameters, value, slope, misfit):
    inputs, values, classes, other, own, widths, decay, sigma, ell = parameters
    found, each = np.zeros_like(w), samples.reshape(-1, samples.shape[-1])
    n, most = each.shape[1], LANES * _block_tiles(widths)
    if len(classes) > 0:
        values = np.where(classes[:, None] == np.arange(widths[-1]), own, other)
    with np.errstate(all="ignore"):  # runs that diverge
        for first in range(0, n, most):
            count = min(most, n - first)
            tiles = -(-count // LANES)
            places = first + np.minimum(np.arange(tiles * LANES), count - 1)
            chosen = each[:, places].reshape(len(each), tiles, LANES)
            seen, slopes = [np.moveaxis(inputs[chosen], -1, 1)], []
            layers = list(_layers(w, found, widths))
            for weights, biases, _, _ in layers:
                total = _product(weights, seen[-1]) + biases[..., None, None]
                seen.append(value(total, sigma))
                slopes.append(slope(total, seen[-1], sigma))
            signal = total
            misfit(signal, np.moveaxis(values[chosen], -1, 1), tiles, ell)
            signal = signal / float(n)
            signal.reshape(*signal.shape[:2], -1)[..., count:] = 0.0
            for k in reversed(range(len(layers))):
                weights, _, of_weights, of_biases = layers[k]
                of_weights += _correlated(signal, seen[k])
                of_biases += _correlated(signal, np.ones((1, 1, tiles, LANES)))[..., 0]
                if k > 0:
                    signal = _product(weights.swapaxes(1, 2), signal) * slopes[k - 1]
    return found + decay * w if decay != 0.0 else found


def _layers(w, found, widths):
    """Matrices (run, output, input) and biases (run, output) of each layer, of the weights and of
    what is found; views."""
    start = 0
    for inputs, outputs in pairwise(widths):
        middle, end = start + outputs * inputs, start + outputs * (inputs + 1)
        yield (
            w[:, start:middle].reshape(len(w), outputs, inputs),
            w[:, middle:end],
            found[:, start:middle].reshape(len(w), outputs, inputs),
            found[:, middle:end],
        )
        start = end


def _product(matrices, x):
    """From the first term to the last."""
    total = matrices[:, :, 0, None, None] * x[:, 0, None]
    for k in range(1, matrices.shape[2]):
        total = total + matrices[:, :, k, None, None] * x[:, k, None]
    return total


def _correlated(signal, x):
    """(run, o, i), from the first vectors of samples to the last."""
    total = signal[:, :, None, 0] * x[:, None, :, 0]
    for tile in range(1, x.shape[2]):
        total += signal[:, :, None, tile] * x[:, None, :, tile]
    while total.shape[-1] > 1:  # as `lane_sums` does
        half = total.shape[-1] // 2
        total = total[..., :half] + total[..., half:]
    return total[..., 0]
