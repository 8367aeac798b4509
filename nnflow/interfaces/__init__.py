"""The interfaces that plugins implement, one file per kind."""

from nnflow.interfaces.activation import Activation
from nnflow.interfaces.analysis import Analysis
from nnflow.interfaces.dataset import Dataset
from nnflow.interfaces.enclosure import Block, Enclosure
from nnflow.interfaces.figure import Figure
from nnflow.interfaces.initializer import Initializer, Start
from nnflow.interfaces.loss import Loss
from nnflow.interfaces.model import Model
from nnflow.interfaces.optimizer import Descended, Descent, Optimizer
from nnflow.interfaces.plugin import Plugin

KINDS: tuple[type[Plugin], ...] = (
    Model,
    Initializer,
    Optimizer,
    Dataset,
    Loss,
    Activation,
    Analysis,
    Figure,
)

__all__ = [kind.__name__ for kind in KINDS] + [
    "KINDS",
    "Block",
    "Descended",
    "Descent",
    "Enclosure",
    "Plugin",
    "Start",
]
