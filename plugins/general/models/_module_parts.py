"""A torch.nn.Module taken apart: what is trained, what is kept, and whether nnflow can use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from nnflow import UserError, torch

MODES = ("eval", "train")


@contextmanager
def settled(dtype) -> Iterator[None]:
    """Real numbers are of `dtype` where a module does not say, and attention is computed in a way
    that has second derivatives; as it was before, afterwards."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    before, fast = torch.get_default_dtype(), torch.backends.mha.get_fastpath_enabled()
    torch.set_default_dtype(dtype)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.set_default_dtype(before)
        torch.backends.mha.set_fastpath_enabled(fast)


def checked(path, module, mode, frozen):
    """The module in its mode, with frozen weights marked. Raises UserError where its numbers are
    none that nnflow computes with."""
    if not isinstance(module, torch.nn.Module):
        raise UserError(f"{path}: gives {type(module).__name__}, no torch.nn.Module")
    module.train(mode == "train")
    for name, weight in module.named_parameters():
        _check_type(path, f"weight {name!r}", weight, whole=False)
    for name, buffer in module.named_buffers():
        _check_type(path, f"buffer {name!r}", buffer, whole=True)
    names = [name for name, _ in module.named_parameters()]
    for pattern in frozen:
        met = [name for name in names if fnmatchcase(name, pattern)]
        if not met:
            raise UserError(
                f"{path}: frozen: no weight is named {pattern!r} (it has: {_few(names)})"
            )
        for name in met:
            module.get_parameter(name).requires_grad_(False)
    if not any(weight.requires_grad for weight in module.parameters()):
        raise UserError(f"{path}: has no weights that can be trained")
    return module.to(torch.float64)


def trained(module):
    """{name: weight} of the weights that are trained; of shared ones the first name alone."""
    return {n: w.detach() for n, w in module.named_parameters() if w.requires_grad}


def kept(module):
    """{name: numbers} of what belongs to a run and nothing moves: frozen weights and buffers."""
    frozen = {n: w.detach() for n, w in module.named_parameters() if not w.requires_grad}
    return {**frozen, **dict(module.named_buffers())}


def shared(module) -> dict[str, str]:
    """{further name: first name} of weights and buffers that go by several names."""
    found = {}
    for named in (module.named_parameters, module.named_buffers):
        first = {id(tensor): name for name, tensor in named()}
        for name, tensor in named(remove_duplicate=False):
            if first[id(tensor)] != name:
                found[name] = first[id(tensor)]
    return found


def random_layers(module) -> list[str]:
    """Names of the layers that draw random numbers in training."""
    return [
        name or "the module itself"
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.modules.dropout._DropoutNd) and part.p > 0
    ]


def normalizing(module) -> list:
    """The batch norms that keep running statistics."""
    return [
        part
        for part in module.modules()
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.track_running_stats
    ]


@contextmanager
def renewing(layers) -> Iterator[None]:
    """These batch norms put the statistics of the samples at hand in place of their own, whole;
    every other layer stays in its mode, so that dropout does not disturb them."""
    before = [(layer.training, layer.momentum) for layer in layers]
    for layer in layers:
        layer.train()
        layer.momentum = 1.0
    try:
        yield
    finally:
        for layer, (training, momentum) in zip(layers, before, strict=True):
            layer.train(training)
            layer.momentum = momentum


def _check_type(path, what, tensor, whole) -> None:
    if tensor.is_floating_point():
        if tensor.dtype not in (torch.float32, torch.float64):
            raise UserError(
                f"{path}: {what} is of {tensor.dtype}; nnflow computes in float64, and a network"
                " in half precision is another one: build it in float32 (no .half(), no"
                " .bfloat16())"
            )
    elif not whole or tensor.is_complex():
        raise UserError(
            f"{path}: {what} is of {tensor.dtype}; weights must be real numbers: register it as a"
            " buffer, or make it float32"
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
