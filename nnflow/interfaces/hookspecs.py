"""The hook of nnflow.

A file or package of plugins implements it once, for plugins of any kind:

    @nnflow.hookimpl
    def nnflow_register(register):
        register("himmelblau", Himmelblau)
"""

import pluggy

hookspec = pluggy.HookspecMarker("nnflow")
hookimpl = pluggy.HookimplMarker("nnflow")


@hookspec
def nnflow_register(register):
    """Call `register(name, plugin_class)` for each plugin; its base class says its kind."""
