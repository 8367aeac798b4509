"""New plugins to start from: a model that works, and a study that runs it."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.settings import NAME
from nnflow.interfaces.registry import registry

MODEL = '''"""TITLE: what this landscape is, in one line."""

from __future__ import annotations

from pydantic import PositiveFloat

import nnflow
from nnflow import Model, torch


class CLASS(Model):
    """L(w) = ¼(w₁² − 1)² + ½c(w₂ − w₁)².

    Two minima at ±(1, 1) with L = 0, and a saddle at 0 with L = ¼. Replace the formula, and
    say here where yours comes from.
    """

    coupling: PositiveFloat = 1.0
    """c, the curvature that holds the two weights together."""

    def shapes(self):
        return {"w": (2,)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        """L, (run,): weights["w"] is (run, 2)."""
        first, second = weights["w"].unbind(1)
        return (first**2 - 1) ** 2 / 4 + self.coupling * (second - first) ** 2 / 2

    def gradient(self, weights, data):
        """∇L = (w₁(w₁² − 1) − c(w₂ − w₁), c(w₂ − w₁)). You may leave this method out: the
        gradient is then derived from the loss."""
        first, second = weights["w"].unbind(1)
        pull = self.coupling * (second - first)
        return {"w": torch.stack([first * (first**2 - 1) - pull, pull], dim=1)}


@nnflow.hookimpl
def nnflow_register(register):
    register("NAME", CLASS)
'''

STUDY = """# Run it with:  snakemake --cores 2 --config studies=NAME
title: TITLE
description: >-
  Gradient descent from normal weights: which critical points are reached, and how often?
model: {name: NAME, coupling: 1}
initializer: {name: normal, variance: 1, per: one}
optimizer: {name: gradient_descent, rate: 0.1}
runs: 100
stop: {steps: 10000}
scales:
  paper:
    runs: 1000
"""


def new_model(name: str, folder: Path) -> Path:
    """Write plugins/models/NAME.py, a working model of two weights, and
    config/studies/NAME.yaml, a study that runs it, into `folder`. Returns the model's file.

    Raises UserError for a name that can't be used and for files that exist; nothing is
    written then.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} is not a valid name (lower-case letters, digits and _, a letter first,"
            " no word of Python)"
        )
    model = folder / "plugins" / "models" / f"{name}.py"
    study = folder / "config" / "studies" / f"{name}.yaml"
    for file in (model, study):
        if file.exists():
            raise UserError(f"{file}: exists; choose another name")
    taken = registry().plugins["models"].get(name)
    if taken is not None:
        source = registry().source(taken)
        raise UserError(f"{source}: has a model named {name!r} already; choose another name")
    words = [word for word in name.split("_") if word]
    title = "".join(word.capitalize() for word in words)
    replaced = {
        # the file's own imports must keep their names
        "CLASS": f"{title}Landscape" if title in ("Model", "PositiveFloat") else title,
        "TITLE": " ".join(words).capitalize(),
        "NAME": name,
    }
    for file, text in ((model, MODEL), (study, STUDY)):
        store.write_text(file, re.sub("CLASS|TITLE|NAME", lambda m: replaced[m[0]], text))
    return model
