"""Tables with a row for each point of a study."""

from __future__ import annotations


def by_point(results, row, texts):
    """Columns over `point` from the critical points of each.

    row: from a point and its critical points to {name: number}. texts: {name: long name}, the
    columns in their order.
    """
    import xarray as xr

    rows = [row(configuration, ends) for configuration, ends in results.each("critical_points")]
    columns = {
        name: ("configuration", [values[name] for values in rows], {"long_name": text})
        for name, text in texts.items()
    }
    return xr.Dataset(
        columns,
        {"configuration": [configuration.label for configuration in results.configurations]},
    )
