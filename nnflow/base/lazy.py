"""torch, imported on first use.

Planning a workflow, initializing and drawing read a plugin's settings but never its
tensors; importing torch there would add two seconds to each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
else:

    class _Torch:
        """Stands for the module `torch`; each attribute is looked up in the real one."""

        def __getattr__(self, name: str) -> Any:
            import torch

            return getattr(torch, name)

    torch = _Torch()

__all__ = ["torch"]
