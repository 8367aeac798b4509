"""Signatures of the rules' functions, worked out once.

Whenever Snakemake 9 calls a function of a rule or of a resource, it asks Python twice for the names
of its parameters, 18 times for each job: a sixth of the time in which 10,000 jobs are planned.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any


def read_signatures_once() -> None:
    """Let Snakemake remember the parameters of a function by the code that it has."""
    from snakemake import common, rules

    read = getattr(common, "get_function_params", None)
    if read is None or getattr(rules, "get_function_params", None) is not read:
        return  # another version
    remembered = remembering(read)
    for module in (common, rules):
        module.get_function_params = remembered


def remembering(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What gives the same as `read`, the parameters of a function, and asks once for each code."""
    known: dict[tuple[types.CodeType, bool], Any] = {}

    def parameters(function: Any) -> Any:
        # functools.wraps and Snakemake give one code many signatures, by an attribute
        if not isinstance(function, types.FunctionType | types.MethodType) or vars(function):
            return read(function)
        key = function.__code__, inspect.ismethod(function)
        if key not in known:
            known[key] = read(function)
        return known[key]

    return parameters
