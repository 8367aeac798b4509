"""What a plugin is made of."""

from nnflow.base.settings import Settings
from nnflow.interfaces import Activation, Analysis


class Part(Settings):
    activation: Activation


class Whole(Analysis):
    alone: Activation
    listed: list[Part] = []
    named: dict[str, Part] = {}


def test_plugins_among_settings_are_found_at_any_depth():
    """Their files are part of what a result depends on."""
    whole = Whole(
        alone="tanh", listed=[{"activation": "relu"}], named={"one": {"activation": "gelu"}}
    )
    assert [part.name for part in whole.plugins()][1:] == ["tanh", "relu", "gelu"]
