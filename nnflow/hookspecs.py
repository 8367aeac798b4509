"""The hooks: one per kind of plugin.

Each receives `register(name, plugin_class)` and calls it once per plugin it brings:

    @nnflow.hookimpl
    def nnflow_register_models(register):
        register("himmelblau", Himmelblau)
"""

import pluggy

hookspec = pluggy.HookspecMarker("nnflow")
hookimpl = pluggy.HookimplMarker("nnflow")


@hookspec
def nnflow_register_models(register):
    """Models: loss landscapes."""


@hookspec
def nnflow_register_initializers(register):
    """Initializers: laws of the first weights."""


@hookspec
def nnflow_register_optimizers(register):
    """Optimizers: rules that move the weights."""


@hookspec
def nnflow_register_datasets(register):
    """Datasets: samples to learn from."""


@hookspec
def nnflow_register_losses(register):
    """Losses: the price of an output."""


@hookspec
def nnflow_register_activations(register):
    """Activations: the nonlinearities of neurons."""


@hookspec
def nnflow_register_analyses(register):
    """Analyses: datasets in, one dataset out."""


@hookspec
def nnflow_register_figures(register):
    """Figures: datasets in, a picture out."""
