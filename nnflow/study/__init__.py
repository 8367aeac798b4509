"""Studies: one question, one YAML file; its settings, claims and results."""

from nnflow.study.loading import load_study

__all__ = ["load_study"]
