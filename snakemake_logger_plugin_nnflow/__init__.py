"""Snakemake's logger plugin `nnflow`: `snakemake --logger nnflow` shows what `nnflow run` shows."""

from nnflow.workflow.terminal import LogHandler

__all__ = ["LogHandler"]
