"""nnflow: what gradient descent finds on the loss landscapes of neural networks.

What a plugin may use is what this module exports.
"""

import importlib
import os
import pathlib

# Intel MKL, inside torch, may pick another kernel where an array begins at another
# address, and so give a run other last bits in another batch. Fixing the kernel makes a
# run's numbers independent of its companions. It must be said before torch is imported.
os.environ.setdefault("MKL_CBWR", "AVX2")

from nnflow.base.compiled import (
    LANES,
    Arithmetic,
    Compiled,
    choose,
    lane_sums,
    load_row,
    magnitude,
    power_of_two,
    square_root,
    store_row,
    vectors,
)
from nnflow.base.descent_arrays import DescentArrays
from nnflow.base.elementary import exponential, hyperbolic_tangent, sigmoid
from nnflow.base.errors import UserError
from nnflow.base.flags import flag_mask
from nnflow.base.lane_forms import LaneActivation, LaneLoss, by_output
from nnflow.base.lazy import torch
from nnflow.base.run_gradient import RunGradient
from nnflow.base.settings import Settings
from nnflow.base.side_by_side import (
    LaneGradient,
    descending,
    into_lanes,
    out_of_lanes,
    side_by_side,
)
from nnflow.base.spectra import of_families
from nnflow.base.statistics import mean, share, share_of
from nnflow.base.streams import Streams
from nnflow.engine.density import density
from nnflow.engine.newton import (
    Damping,
    LevenbergMarquardtSteps,
    find_critical,
    levenberg_marquardt_step,
    newton_step,
)
from nnflow.engine.trust_region import trust_region_step
from nnflow.interfaces import (
    Activation,
    Analysis,
    Block,
    Dataset,
    Descended,
    Descent,
    Enclosure,
    Figure,
    Initializer,
    Loss,
    Model,
    Optimizer,
    Start,
)
from nnflow.interfaces import registry as _registry
from nnflow.interfaces.constraints import Ball, Box, ConvexSet, Halfspaces, Simplex
from nnflow.interfaces.hookspecs import hookimpl
from nnflow.interfaces.kinks import Kinks
from nnflow.interfaces.manifolds import Manifold, Spheres
from nnflow.interfaces.model import Composed, Minibatch
from nnflow.study.table import Table

__version__ = "0.1.0"


def open(study, scale="quick", results="results"):
    """The results of a study of the project in the working folder, as analyses see them:
    datasets (`tree`), tables (`frame`), the loss itself (`objective`). Of a folder of results, such
    as "results/paper", copied from elsewhere or not: its datasets as an xarray.DataTree,
    /STUDY/DATASET/CONFIGURATION. Raises UserError where there is no such study or no dataset."""
    if os.sep in str(study):
        return _later("nnflow.base.store").tree(pathlib.Path(study))
    from nnflow.stages.opening import open_results

    return open_results(study, scale, results)


def library(subject):
    """The shared code of a subject of plugins that is meant for everybody, the module
    plugins/SUBJECT/_library.py. Raises UserError where there is none."""
    for number in range(len(_registry.plugin_folders())):
        package = f"{_registry.PACKAGE}_{number}" if number else _registry.PACKAGE
        _registry.registry()  # which makes the folders packages
        name = f"{package}.{subject}._library"
        try:
            return _later(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise UserError(f"no library {subject!r}: no file plugins/{subject}/_library.py")


def sealed(dataset):
    """A dataset of proofs over the axis `certificate`, with a checksum of each."""
    return _later("nnflow.proofs.certificates").sealed(dataset)


def prove(enclosure, center, **options):
    """What is proved of the critical point beside `center`, a Proof; nnflow/proofs/proof.py."""
    return _later("nnflow.proofs.proof").prove(enclosure, center, **options)


def lowest_pair(enclosure, center, radius, **options):
    """Bounds of the two lowest Hessian eigenvalues in a box, by which index 1 is proved."""
    return _later("nnflow.proofs.proof").lowest_pair(enclosure, center, radius, **options)


def prove_way(enclosure, corners, start, end, **options):
    """Is the loss proved to stay at or below a saddle's on each segment of a broken line to a
    minimum? corners: (corner, weight), the first and the last beside critical points of which
    `start` and `end` are the proofs. A Way: corners, level, obstacle ("": proved). Raises
    ValueError for corners of another shape; nnflow/proofs/ways.py derives the bounds."""
    return _later("nnflow.proofs.ways").prove_way(enclosure, corners, start, end, **options)


def find_way(enclosure, trajectory, start, end, **options):
    """A proved way from a saddle to a minimum along a trajectory (point, weight), such as that of a
    descent, with few of its points as corners: a Way, whose obstacle says why if there is none."""
    return _later("nnflow.proofs.ways").find_way(enclosure, trajectory, start, end, **options)


def weakened(proof):
    """A Proof stated a little weaker, so that it is proved again on another machine."""
    return _later("nnflow.proofs.proof").weakened(proof)


def complete_list(enclosure, box, **options):
    """All critical points in a box, proved complete; options: nnflow/proofs/complete.py."""
    return _later("nnflow.proofs.complete").complete_list(enclosure, box, **options)


def _later(module):
    """A module that takes long to import, and that is no part of what a stage computes: an import
    statement would count for the hash of every stage's code."""
    return importlib.import_module(module)


def __getattr__(name):
    """`nnflow.Landscape` and `nnflow.Proof`, which take long to import, on first use."""
    if name == "Landscape":
        return _later("nnflow.stages.notebook").Landscape
    if name == "Proof":
        return _later("nnflow.proofs.proof").Proof
    raise AttributeError(f"module 'nnflow' has no attribute {name!r}")


__all__ = [
    "LANES",
    "Activation",
    "Analysis",
    "Arithmetic",
    "Ball",
    "Block",
    "Box",
    "Compiled",
    "Composed",
    "ConvexSet",
    "Damping",
    "Dataset",
    "Descended",
    "Descent",
    "DescentArrays",
    "Enclosure",
    "Figure",
    "Halfspaces",
    "Initializer",
    "Kinks",
    "Landscape",
    "LaneActivation",
    "LaneGradient",
    "LaneLoss",
    "LevenbergMarquardtSteps",
    "Loss",
    "Manifold",
    "Minibatch",
    "Model",
    "Optimizer",
    "Proof",
    "RunGradient",
    "Settings",
    "Simplex",
    "Spheres",
    "Start",
    "Streams",
    "Table",
    "UserError",
    "by_output",
    "choose",
    "complete_list",
    "density",
    "descending",
    "exponential",
    "find_critical",
    "find_way",
    "flag_mask",
    "hookimpl",
    "hyperbolic_tangent",
    "into_lanes",
    "lane_sums",
    "levenberg_marquardt_step",
    "library",
    "load_row",
    "lowest_pair",
    "magnitude",
    "mean",
    "newton_step",
    "of_families",
    "open",
    "out_of_lanes",
    "power_of_two",
    "prove",
    "prove_way",
    "sealed",
    "share",
    "share_of",
    "side_by_side",
    "sigmoid",
    "square_root",
    "store_row",
    "torch",
    "trust_region_step",
    "vectors",
    "weakened",
]
