"""`ImageSet`, the one currency between the parts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from imgcollapse.heavy import Tensor, functional, torch
from imgcollapse.seeds import derive, torch_generator

CHAINS = 2**32  # in `born`, where a set is mixed from several chains: (chain + 1) CHAINS + generation
REAL = -1  # in `born`: a picture of the real world
UNLABELLED = -1  # in `labels`: its maker gave it no class


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures (or, in toy worlds, points) with their classes and the generation that made each of them. Lives on the CPU.

    pixels: uint8 [N, C, H, W], or float32 [N, 1, 1, D] for points
    labels: int64 [N], a class or UNLABELLED
    born:   int64 [N], REAL or the generation of the model that made the picture
    """

    pixels: Tensor
    labels: Tensor
    born: Tensor

    def __post_init__(self) -> None:
        n = len(self.pixels)
        assert self.pixels.ndim == 4 and self.pixels.dtype in (torch.uint8, torch.float32), (self.pixels.shape, self.pixels.dtype)
        assert self.labels.shape == self.born.shape == (n,), (n, self.labels.shape, self.born.shape)
        assert self.labels.dtype == self.born.dtype == torch.int64, (self.labels.dtype, self.born.dtype)

    @classmethod
    def of(cls, pixels: Tensor, labels: Tensor | None = None, born: int = REAL) -> "ImageSet":
        """A set whose pictures were all born in one place; unlabelled where `labels` is None."""
        n = len(pixels)
        labels = torch.full((n,), UNLABELLED) if labels is None else labels.to(torch.int64)
        return cls(pixels.contiguous(), labels, torch.full((n,), born))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: slice | Tensor) -> "ImageSet":
        return ImageSet(self.pixels[index], self.labels[index], self.born[index])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture; (1, 1, D) of a point."""
        c, h, w = self.pixels.shape[1:]
        return int(c), int(h), int(w)

    @property
    def are_points(self) -> bool:
        """Whether these are the float points of a toy world rather than pictures."""
        return self.pixels.dtype == torch.float32

    def born_in(self, generation: int) -> "ImageSet":
        """The same pictures, marked as made by that generation's model."""
        return ImageSet(self.pixels, self.labels, torch.full_like(self.born, generation))

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of shapes, pixels and labels, in order; taken once, as a set never changes."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(repr((tuple(self.pixels.shape), str(self.pixels.dtype))).encode())
        for part in (self.pixels, self.labels):
            digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()


class Sampler(Protocol):
    """What pictures can be drawn from: a fitted model."""

    def sample(self, n: int, seed: int) -> ImageSet:
        """n pictures."""


class ImageStream(Protocol):
    """Training pictures that are drawn when they are needed, and never end: every batch is a new one.

    With several processes it is sent to all of them (so it can be pickled), and each asks it for the same batches.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture; (1, 1, D) of a point."""

    @property
    def are_points(self) -> bool:
        """Whether it gives the float points of a toy world rather than pictures."""

    def batch(self, n: int, seed: int, first: int = 0) -> ImageSet:
        """n pictures, a function of the seed and of how many of the stream were given before: `first`."""

    def record(self) -> dict[str, Any]:
        """What names this stream, for the provenance. Plain JSON values."""


PART_BITS, PART = 22, 2**22 - 1
LONGEST = 2**15  # values in a sum: 16 bits of a value, 22 of a part and 15 of their number are the 53 that a float64 holds
BLOCK = 2**18  # values that are float64 at a time: 2 MiB


def fingerprints(pixels: Tensor) -> Tensor:
    """int64 [N]: a number for each picture; equal pictures have equal numbers, different ones different numbers but for a chance of 1e-16.

    A sum of the values (of a point: of the bits of its coordinates), each times an odd 64-bit number of its own, modulo 2^64.
    """
    values = pixels[0].numel() if len(pixels) else 1
    low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    # "marks" names the seed: another name would change every fingerprint
    odd = torch.randint(low, high, (values,), generator=torch_generator(derive(0, "marks"))) | 1
    parts = torch.stack([odd & PART, odd >> PART_BITS & PART, odd >> 2 * PART_BITS]).double()  # [3, values]
    found = torch.empty(len(pixels), dtype=torch.int64)
    rows = max(1, BLOCK // values)
    for start in range(0, len(pixels), rows):
        block = pixels[start : start + rows].flatten(1)
        if block.dtype == torch.uint8:
            found[start : start + rows] = _times(block, parts)
        else:  # the 32 bits of a coordinate are two values of 16 bits, the upper one with the sign
            bits = block.contiguous().view(torch.int32)
            found[start : start + rows] = _times(bits & 0xFFFF, parts) + (_times(bits >> 16, parts) << 16)
    return found


def _times(values: Tensor, parts: Tensor) -> Tensor:
    """int64 [N]: the rows of values of at most 16 bits times the numbers that the parts make up, modulo 2^64.

    Matrix products in float64, ten times as fast as int64, and exact: no sum leaves the whole numbers that float64 holds, so that neither
    their order nor a processor changes a bit. (Of float32, torch can be set to compute with fewer bits.)
    """
    found = torch.zeros(len(values), dtype=torch.int64)
    for some, of_these in zip(values.split(LONGEST, dim=1), parts.split(LONGEST, dim=1), strict=True):
        low, middle, high = (of_these @ some.double().T).long()  # this way round it takes half the time
        found += low + (middle << PART_BITS) + (high << 2 * PART_BITS)
    return found


def concatenate(sets: Sequence[ImageSet]) -> ImageSet:
    """The pictures of all sets, in order. The sets hold pictures of one shape."""
    return ImageSet(*(torch.cat([getattr(one, part) for one in sets]) for part in ("pixels", "labels", "born")))


def gathered(first: ImageSet, others: Sequence[ImageSet], most: int) -> ImageSet:
    """The pictures of the first set, whole, and of each of the others, `most` of each at most, in order.

    For sets that are read when they are asked for: only one of them is in memory at a time, beside the result.
    """
    room = len(first) + most * len(others)  # where a set has fewer pictures, the pages at the end are never touched
    whole = ImageSet(first.pixels.new_empty((room, *first.shape)), first.labels.new_empty(room), first.born.new_empty(room))
    filled = 0
    for index in range(-1, len(others)):
        some = first if index < 0 else others[index][:most]
        for part in ("pixels", "labels", "born"):
            getattr(whole, part)[filled : filled + len(some)] = getattr(some, part)
        filled += len(some)
        del some  # before the next is read
    return whole[:filled]


def to_signed(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1, the range that diffusers' models work in; points are passed through."""
    return pixels.float() / 127.5 - 1 if pixels.dtype == torch.uint8 else pixels


def from_signed(signed: Tensor) -> Tensor:
    """float -1..1 -> uint8 0..255, rounded to the nearest; what lies outside is clipped."""
    return to_levels((signed.float() + 1) * 127.5)


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1; points are passed through."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def from_unit(unit: Tensor) -> Tensor:
    """float 0..1 -> uint8 0..255, rounded to the nearest; what lies outside is clipped."""
    return to_levels(unit * 255)


def to_levels(values: Tensor) -> Tensor:
    """float 0..255 -> uint8, rounded to the nearest; what lies outside is clipped."""
    return values.round().clamp(0, 255).to(torch.uint8)


def pad(pixels: Tensor, side: int, value: float = 0.0) -> Tensor:
    """[N, C, H, W] -> [N, C, side, side]: with a border of that value, as wide on both sides (or wider by 1 at the right and below)."""
    left, upper, right, lower = inside(pixels.shape[1:], side)
    return functional.pad(pixels, (left, side - right, upper, side - lower), value=value)


def crop(pixels: Tensor, shape: Sequence[int]) -> Tensor:
    """[N, C, side, side] -> [N, C, H, W]: the pictures of (C, H, W) without the border that `pad` gave them."""
    left, upper, right, lower = inside(shape, pixels.shape[-1])
    return pixels[:, :, upper:lower, left:right]


def inside(shape: Sequence[int], side: int) -> tuple[int, int, int, int]:
    """Where pictures of (C, H, W) lie in a square that they were padded to: left, upper, right, lower, as Pillow counts."""
    upper, left = (side - shape[1]) // 2, (side - shape[2]) // 2
    return left, upper, left + shape[2], upper + shape[1]


@dataclass(frozen=True, eq=False)
class World:
    """A real data set, ready for use: what models may learn from and what they are judged against, split once and for ever.

    train:    the training part, in a fixed random order
    held_out: the held-out part, in a fixed random order; no model and no classifier ever learns from it
    classes:  the name of each class; labels index it
    split:    how the held-out part was chosen, where it was chosen here: rule, share, the classes `judged_without`, and the seed if by one

    passed_over: how many of the user's files were not read, by the reason; it is no part of the record, as it decides nothing
    uncut:       the held-out part before a long tail was cut from it; None: nothing was cut
    """

    name: str
    train: ImageSet
    held_out: ImageSet
    classes: tuple[str, ...]
    split: Mapping[str, Any] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    uncut: ImageSet | None = None

    @property
    def all_held_out(self) -> ImageSet:
        """The held-out part before a long tail was cut: it says which split this is."""
        return self.held_out if self.uncut is None else self.uncut

    def shares(self) -> Tensor:
        """float64 [classes]: each class's share of the training part."""
        counts = torch.bincount(self.train.labels, minlength=len(self.classes))
        return counts.double() / len(self.train)

    def record(self) -> dict[str, Any]:
        """What names this world: sizes, classes and digests of both parts. Plain JSON values."""
        both = (("train", self.train), ("held_out", self.held_out))
        parts: dict[str, Any] = {name: {"pictures": len(part), "sha256": part.digest()} for name, part in both}
        parts |= {"split": dict(self.split)} if self.split else {}
        return {"name": self.name, "shape": list(self.train.shape), "classes": list(self.classes), **parts}
