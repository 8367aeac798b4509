"""Checks of plugins, and what is generated from their code."""
