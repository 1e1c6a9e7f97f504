"""torch, imported when it is first used: what a part's options are, and what is wrong with them, is answered without it.

A part is one class, its options and what it does, so its file must be importable in no time. Files that define networks, which derive from
`nn.Module`, import torch as ever, and are imported where a network is made.
"""

from importlib import import_module
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
    """A module that is imported when something of it is wanted, and whose names are its own from then on: looked up as fast, and where
    somebody puts another function into the module, that one is found here too."""

    __slots__ = ("__dict__", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Of a name that is not there yet, or that the module itself makes when it is asked for."""
        module = import_module(self._name)
        self.__dict__ = module.__dict__
        return getattr(module, attribute)


if not TYPE_CHECKING:
    torch, nn, functional, distributed = map(Later, ("torch", "torch.nn", "torch.nn.functional", "torch.distributed"))
