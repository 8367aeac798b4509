"""What a landscape at a point gives, as datasets with units and long names."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow.base.statistics import CONFIDENCE as BAND
from nnflow.engine import density as densities
from nnflow.engine.trace import CONFIDENCE, Trace

GRID = 401
"""Points at which a density is drawn."""
WIDTH = 0.01
"""Standard deviation by which a density's nodes are spread, as a fraction of their range."""
UNITS = "loss per squared weight"


def spectrum_dataset(
    modes: np.ndarray,
    values: np.ndarray,
    residuals: np.ndarray,
    converged: tuple[float, float],
    products: int,
    matrix: str,
) -> xr.Dataset:
    """Eigenvalues with residuals, (mode,). converged: the norm of the matrix, and the fraction of
    it up to which a residual counts as converged. matrix: what they are eigenvalues of, in
    words."""
    norm, tolerance = converged
    text = "norm of Hv - lambda v: its error is at most this"
    variables = {
        "eigenvalue": (values, {"long_name": f"eigenvalue of the {matrix}", "units": UNITS}),
        "residual": (residuals, {"long_name": text, "units": UNITS}),
        "converged": (
            residuals <= tolerance * norm,
            {"long_name": f"residual at most {tolerance:g} of the largest magnitude"},
        ),
    }
    return xr.Dataset(
        {name: ("mode", *rest) for name, rest in variables.items()},
        {"mode": ("mode", modes, {"long_name": "number of the eigenvalue, from below"})},
        {"what": "spectrum", "products": products},
    )


def trace_dataset(found: Trace, error: float, matrix: str) -> xr.Dataset:
    """The trace with its interval. error: half of it that was asked for, in traces."""
    level = f"{100 * CONFIDENCE:g} %"
    numbers = {
        "trace": (found.estimate, f"trace of the {matrix}"),
        "trace_low": (found.low, f"its lower end, {level}"),
        "trace_high": (found.high, f"its upper end, {level}"),
    }
    variables = {
        name: ((), number, {"long_name": text, "units": UNITS})
        for name, (number, text) in numbers.items()
    }
    variables["products"] = ((), found.products, {"long_name": "products used", "units": "1"})
    text = f"half the interval is at most {error:g} of the trace"
    variables["converged"] = ((), found.converged, {"long_name": text})
    return xr.Dataset(variables, attrs={"what": "trace"})


def density_dataset(nodes: np.ndarray, weights: np.ndarray, matrix: str) -> xr.Dataset:
    """Nodes and weights (probe, node), and the density on a grid with its band."""
    from scipy.special import stdtrit

    low, high = np.nanmin(nodes), np.nanmax(nodes)
    width = WIDTH * (high - low or max(abs(high), 1.0))
    grid = np.linspace(low - 4 * width, high + 4 * width, GRID)
    each = densities.density(nodes[:, None], weights[:, None], grid, width)
    probes = len(each)
    half = np.full(GRID, np.inf)
    if probes > 1:
        half = stdtrit(probes - 1, (1 + BAND) / 2) * each.std(axis=0, ddof=1) / np.sqrt(probes)
    middle = each.mean(axis=0)
    text = f"over the probes, {100 * BAND:g} %"
    drawn = {
        "density": (middle, f"density of the eigenvalues of the {matrix}"),
        "density_low": (np.maximum(middle - half, 0), f"its lower end {text}"),
        "density_high": (middle + half, f"its upper end {text}"),
    }
    variables = densities.variables((), nodes, weights)
    for name, (heights, words) in drawn.items():
        variables[name] = ("grid", heights, {"long_name": words, "units": f"1 / ({UNITS})"})
    variables["grid"] = ("grid", grid, {"long_name": f"eigenvalue of the {matrix}", "units": UNITS})
    return xr.Dataset(variables, attrs={"what": "density", "width": width})
