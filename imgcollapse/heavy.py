"""torch, imported when it is first used: what a part's options are, and what is wrong with them, is answered without it.

A part is one class, its options and what it does, so its file must be importable in no time. Files that define networks, which derive from
`nn.Module`, import torch as ever, and are imported where a network is made.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    from torch import Generator as Generator
    from torch import Tensor as Tensor
    from torch import distributed as distributed
    from torch import nn as nn
    from torch.nn import functional as functional
else:
    Generator = Tensor = Any  # in annotations; to ask what something is, `isinstance(x, torch.Tensor)`


class Later:
    """A module that is imported when something of it is wanted."""

    __slots__ = ("_found", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: ModuleType | None = None

    def __getattr__(self, attribute: str) -> Any:
        if self._found is None:
            self._found = import_module(self._name)
        return getattr(self._found, attribute)


if not TYPE_CHECKING:
    torch, nn, functional, distributed = map(Later, ("torch", "torch.nn", "torch.nn.functional", "torch.distributed"))
