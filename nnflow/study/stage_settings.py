"""Settings of the stages: when runs end, how their ends are classified, proofs and spectra."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from nnflow.base.settings import Settings


class Stop(Settings):
    """When a run ends. The rules are checked every `check_every` steps."""

    gradient_norm: PositiveFloat | None = 1e-8
    """Converged when the norm of the gradient falls below this."""
    norm: Literal["frobenius", "neuron"] = "frobenius"
    """Norm of the gradient: of all weights, or the largest of any neuron (matrix row)."""
    basin: bool = False
    """Converged as soon as the run is provably inside the basin of a minimum. Needs a
    model with a third-derivative bound and an optimizer that contracts there."""
    loss: PositiveFloat | None = None
    """Converged when the loss falls below this: decided, as it can no longer rise."""
    steps: PositiveInt = 100_000
    """Step limit."""
    diverged_above: PositiveFloat = 1e4
    """Diverged when a neuron's norm exceeds this, or the loss is not finite."""
    halvings: NonNegativeInt = 0
    """How often a diverged run starts again from its first weights with half the step."""
    check_every: PositiveInt = 25
    """Steps between two looks at the rules; the resolution of `steps` in the results."""


class Trace(Settings):
    """What is recorded along a trajectory, at log-spaced steps."""

    points_per_decade: PositiveInt | None = 10
    """Recorded steps per factor of ten; null: none, as each costs a look at all samples."""
    weights: PositiveInt | None = None
    """Steps per factor of ten at which the weights of every run are kept; null: they are not."""


class Ends(Settings):
    """How many eigenvalues are computed at each end of a spectrum."""

    lowest: NonNegativeInt = 0
    """Of the lowest ones."""
    highest: NonNegativeInt = 0
    """Of the highest ones."""

    @model_validator(mode="after")
    def _some(self) -> Ends:
        if self.lowest + self.highest == 0:
            raise ValueError("lowest or highest must be positive")
        return self


class Classify(Settings):
    """How ends of runs are judged."""

    polish: Literal["newton", "none"] = "newton"
    """Move each end onto the critical point beside it first, by damped Newton steps within the
    range of the Hessian; above `dense_up_to` weights they are solved for matrix-free."""
    polish_radius: PositiveFloat = 1.0
    """Polishing that moves a run farther than this is undone."""
    critical_below: PositiveFloat = 1e-9
    """A point is critical when its gradient norm is below this, and its curvature backs it.
    Polished points reach 1e-13; the largest drift that 1e-9 allows at eigenvalue λ is 1e-9/λ."""
    zero_below: Annotated[float, Field(gt=0, lt=1)] = 1e-7
    """An eigenvalue counts as zero below this fraction of the largest magnitude, or where the
    gradient leaves its sign in doubt. Errors of float64 Hessians are near 1e-13 of it;
    `zero_range` records which other values would give the same kind."""
    global_within: PositiveFloat = 1e-6
    """A point is global when its loss exceeds the model's infimum by less than this."""
    family_within: PositiveFloat = 1e-6
    """Two points are of one family when their invariants differ by less than this."""
    kinks_within: PositiveFloat = 1e-9
    """Kinks of the loss count at a point when they pass it at a distance of at most this, where
    the model says which. Descent with a fixed rate does not come to rest at a kink: its runs end
    about as far from it as a step is long."""
    dense_up_to: PositiveInt = 1000
    """Most weights for which Hessians are formed; above, they are used matrix-free."""
    extreme_eigenvalues: PositiveInt = 4
    """How many eigenvalues at each end of the spectrum are computed matrix-free."""
    eigenvalues: Ends | None = None
    """The same for each end apart; `{highest: 5}` asks for the upper end alone. null: as
    `extreme_eigenvalues` says."""

    lanczos_steps: NonNegativeInt = 0
    """Matrix-free, the least number of Lanczos steps. `index_least` and `index_most` tell between
    what the index must lie; to know that nothing lies below the lowest eigenvalue found takes some
    hundred."""
    factorize_up_to: NonNegativeInt = 5000
    """Matrix-free, the most weights n for which the index of a critical point, where it is open, is
    made certain: the Hessian is factorized block by block, its rounding bounded, the error of the
    derivatives measured. That takes 4n² bytes, n products and n³/3 operations: 0.1 GB and 10 s at
    5000 weights, 10 GB and half an hour at 50,000."""

    def ends(self, size: int) -> tuple[int, int]:
        """How many of the lowest and of the highest eigenvalues are computed matrix-free, of a
        model with `size` weights."""
        if self.eigenvalues is None:
            low = high = self.extreme_eigenvalues
        else:
            low, high = self.eigenvalues.lowest, self.eigenvalues.highest
        return min(low, size), min(high, size)


class Quadrature(Settings):
    """Stochastic Lanczos quadrature: a density from products of the Hessian with vectors."""

    steps: PositiveInt = 80
    """Lanczos steps of each probe: nodes of its density. As many vectors are kept in memory; where
    they take more than 2 GiB none is, and copies of eigenvalues are joined."""
    probes: PositiveInt = 10
    """Random vectors; the density is the mean over them."""
    seed: NonNegativeInt = 0
    """Of the random vectors, which are the same for all runs."""


class Spectrum(Settings):
    """Which Hessian spectra are computed."""

    at: Literal["families", "runs", "trace"] = "families"
    """At one point of each family, at the end of every run, or at the weights that `trace.weights`
    keeps along the trajectories."""
    most: PositiveInt = 20
    """Maximum number of families (the most frequent ones) or runs per configuration: the first ones
    or, where settings vary, some at equal distances."""
    curvature: Literal["hessian", "gauss_newton", "fisher"] = "hessian"
    """Of which matrix: the Hessian, or in its place the generalized Gauss–Newton or the Fisher
    matrix, where the model tells its outputs."""
    density: Literal["exact"] | Quadrature | None = None
    """A spectral density beside the eigenvalues: `exact` from all of them; `{steps: 80, probes:
    10}` by stochastic Lanczos quadrature, for Hessians of any size; null: none."""
    compare_dense_up_to: PositiveInt = 2000
    """Up to this number of weights, matrix-free eigenvalues are compared with the dense ones at
    the first run of each configuration."""


class Certify(Settings):
    """Which critical points are proved to be what they are."""

    kinds: list[Literal["minimum", "saddle", "maximum"]] = ["minimum", "saddle"]
    """Kinds of critical points, as classified."""
    most: PositiveInt = 3
    """Maximum number of families of each kind, the most frequent ones, per configuration; one run
    of each is certified."""
    global_minima: bool = False
    """Certify points of lowest loss, too."""
    radius: PositiveFloat | None = None
    """Half-width of the box around a run's end in which the critical point is proved to lie,
    alone; null: the smallest that serves, about 1e-12."""
    precision: Annotated[int, Field(ge=53, le=4096)] = 64
    """Bits of the ball arithmetic."""
