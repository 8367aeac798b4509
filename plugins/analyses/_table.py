"""Tables with a row for each point of a study."""

from __future__ import annotations


def by_point(results, row, texts):
    """Columns over `point` from the critical points of each.

    row: from a point and its critical points to {name: number}. texts: {name: long name}, the
    columns in their order.
    """
    import xarray as xr

    rows = [row(point, ends) for point, ends in results.each("critical_points")]
    columns = {
        name: ("point", [values[name] for values in rows], {"long_name": text})
        for name, text in texts.items()
    }
    return xr.Dataset(columns, {"point": [point.label for point in results.points]})
