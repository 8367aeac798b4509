"""Exact answers about formulas, by a solver of python-sat."""

from __future__ import annotations

import numpy as np

from nnflow import UserError

from ._formula import Clauses

SOLVER = "cadical153"
"""CaDiCaL 1.5.3 (Biere et al. 2020), which is complete and draws no random numbers."""


def _solver(clauses: Clauses):
    try:
        from pysat.solvers import Solver
    except ImportError:
        raise UserError(
            "python-sat is not installed, which answers whether a formula can be satisfied:"
            " pip install 'nnflow[sat]', or python-sat"
        ) from None
    return Solver(name=SOLVER, bootstrap_with=clauses)


def satisfiable(clauses: Clauses) -> bool:
    """Can the formula be satisfied?"""
    with _solver(clauses) as solver:
        return bool(solver.solve())


def longest_satisfiable(clauses: Clauses) -> int:
    """The largest m so that the first m clauses can be satisfied together.

    The solver is asked again only where its last answer fails the next clause.
    """
    truth = np.zeros(1 + max(abs(literal) for clause in clauses for literal in clause), dtype=int)
    with _solver([]) as solver:
        for count, clause in enumerate(clauses):
            solver.add_clause(clause)
            if any(truth[abs(literal)] == literal for literal in clause):
                continue
            if not solver.solve():
                return count
            found = np.array(solver.get_model())
            truth[np.abs(found)] = found
    return len(clauses)
