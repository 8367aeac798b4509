"""Activations, their moments and the maps that signals follow, for tests of wide networks."""

from studies import module

from nnflow.interfaces.registry import registry


def activation(name, **settings):
    return registry().get("activations", name)(**settings)


def moments(name, **settings):
    return module("_moments").moments(activation(name, **settings))


def propagation(name, weight_variance, bias_variance, **settings):
    return module("_signal").Propagation(moments(name, **settings), weight_variance, bias_variance)
