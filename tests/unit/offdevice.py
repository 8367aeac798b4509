"""A device that only pretends: finds tensors that are made on the CPU where the work is elsewhere.

`torch.device("meta")` stands for an accelerator. Tensors there are wrappers around ordinary
ones, so every number is computed; but mixing them with tensors of the CPU, or reading them
without `.cpu()`, raises as it would on a GPU. Like CUDA, it takes numbers without axes and
indices from the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

AWAY = torch.device("meta")
INDEXING = ("aten.index.", "aten.index_put", "aten._index_put_impl", "aten._unsafe_index")
COPIES = ("aten._to_copy", "aten.copy_", "aten.lift_fresh", "aten._local_scalar_dense")


class WrongDevice(AssertionError):
    """Tensors of two devices met."""


class Away(torch.Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=AWAY,
            requires_grad=False,
        )

    def __init__(self, inner):
        self.inner = inner

    # torch moves lists of indices to the device by a way of its own, on which "meta" loses them
    def __getitem__(self, index):
        return super().__getitem__(as_tensors(index))

    def __setitem__(self, index, values):
        super().__setitem__(as_tensors(index), values)

    def numpy(self, *arguments, **options):
        raise WrongDevice("numpy() of a tensor on the device; .cpu() is missing")

    def __array__(self, *arguments, **options):
        raise WrongDevice("a tensor on the device is read as an array; .cpu() is missing")

    def __repr__(self, *, tensor_contents=None):
        return f"Away({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """While it is active, `device="meta"` makes tensors on the pretended device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


def dispatched(func, args, kwargs):
    """One operation of torch, done on the tensors inside, with the rules of devices."""
    name = str(func)
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    away = [t for t in tensors if isinstance(t, Away)]
    asked = kwargs.get("device")
    if away and not name.startswith(COPIES):
        free = tree_flatten(args[1])[0] if name.startswith(INDEXING) else []
        if name.startswith(INDEXING) and not isinstance(args[0], Away):
            raise WrongDevice(f"{name}: indices on the device for a tensor of the CPU")
        for tensor in tensors:
            known = isinstance(tensor, Away) or tensor.ndim == 0
            if not known and not any(tensor is one for one in free):
                raise WrongDevice(f"{name}: a tensor of the CPU, {tuple(tensor.shape)}")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*tree_map(inside, args), **tree_map(inside, kwargs))
    if name.startswith("aten._local_scalar_dense"):
        return result
    here = bool(away) if asked is None else torch.device(asked).type == AWAY.type
    if name.startswith("aten.copy_"):
        return args[0]
    if func._schema.name.endswith("_") and isinstance(args[0], torch.Tensor):
        return args[0]
    if not here:
        return result
    return tree_map(lambda one: Away(solid(one)) if isinstance(one, torch.Tensor) else one, result)


def solid(tensor):
    """autograd's zeros that occupy no memory, with memory."""
    if not tensor._is_zerotensor():
        return tensor
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def as_tensors(index):
    """An index whose lists and arrays are tensors of the CPU."""
    if isinstance(index, tuple):
        return tuple(as_tensors(part) for part in index)
    return torch.as_tensor(index) if isinstance(index, list | np.ndarray) else index


def inside(value):
    """The ordinary tensor inside a pretended one."""
    return value.inner if isinstance(value, Away) else value


def there(tensor):
    """The tensor on the pretended device."""
    return Away(tensor.detach().clone())
