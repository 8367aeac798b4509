"""Activations as figures spell them."""

NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "gelu": "GELU", "hard_tanh": "hard tanh"}


def spelled(name: str) -> str:
    """The activation's name in print."""
    return NAMES.get(name, name)
