"""Seeds as a function of the place they are for, so that nothing depends on the order in which things ran."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from imgcollapse.heavy import Generator, torch


def derive(seed: int, *path: int | str) -> int:
    """The 63-bit seed of one place: `derive(0, 3, "fit")` is generation 3's fit in study 0.

    The parts are separated and typed before hashing (SHA-256), so that `("a", "bc")`, `("ab", "c")`, `1` and `"1"` all differ.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, device: "torch.device | str" = "cpu") -> Generator:
    """A torch generator of its own; the global one is left alone."""
    return torch.Generator(device).manual_seed(seed)


def numpy_generator(seed: int) -> np.random.Generator:
    """A numpy generator of its own; the global one is left alone."""
    return np.random.default_rng(seed)


@contextmanager
def global_torch_seed(seed: int) -> Iterator[None]:
    """For code that can only draw from torch's global CPU generator (weight initialisation): seeds it, and puts it back."""
    before = torch.random.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.random.set_rng_state(before)
