"""`ImageSet`, the one currency between the parts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from imgcollapse.seeds import derive, torch_generator

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
        """SHA-256 (hexadecimal) of shapes, pixels and labels, in order."""
        digest = hashlib.sha256(repr((tuple(self.pixels.shape), str(self.pixels.dtype))).encode())
        for part in (self.pixels, self.labels):
            digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()


def marks(pixels: Tensor) -> Tensor:
    """int64 [N]: a number for each picture; equal pictures have equal numbers, different ones different numbers but for a chance of 1e-16.

    A sum of the values (of a point: of the bits of its coordinates), each times an odd 64-bit number of its own, modulo 2^64.
    """
    flat = pixels.flatten(1) if pixels.dtype == torch.uint8 else pixels.flatten(1).contiguous().view(torch.int32)
    low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    odd = torch.randint(low, high, (flat.shape[1],), generator=torch_generator(derive(0, "marks"))) | 1
    found = [(block.to(torch.int64) * odd).sum(1) for block in flat.split(max(1, 2**22 // flat.shape[1]))]
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64)


def concatenate(sets: Sequence[ImageSet]) -> ImageSet:
    """The pictures of all sets, in order. The sets hold pictures of one shape."""
    return ImageSet(*(torch.cat([getattr(one, part) for one in sets]) for part in ("pixels", "labels", "born")))


def to_signed(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1, the range that diffusers' models work in; points are passed through."""
    return pixels.float() / 127.5 - 1 if pixels.dtype == torch.uint8 else pixels


def from_signed(signed: Tensor) -> Tensor:
    """float -1..1 -> uint8 0..255, rounded to the nearest; what lies outside is clipped."""
    return ((signed.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1; points are passed through."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def from_unit(unit: Tensor) -> Tensor:
    """float 0..1 -> uint8 0..255, rounded to the nearest; what lies outside is clipped."""
    return (unit * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, eq=False)
class World:
    """A real data set, ready for use: what models may learn from and what they are judged against, split once and for ever.

    train:    the training part, in a fixed random order
    held_out: the held-out part, in a fixed random order; no model and no classifier ever learns from it
    classes:  the name of each class; labels index it
    split:    how the held-out part was chosen, where it was chosen here: rule, share, and the classes `judged_without`

    passed_over: how many of the user's files were not read, by the reason; it is no part of the record, as it decides nothing
    """

    name: str
    train: ImageSet
    held_out: ImageSet
    classes: tuple[str, ...]
    split: Mapping[str, Any] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def shares(self) -> Tensor:
        """float64 [classes]: each class's share of the training part."""
        counts = torch.bincount(self.train.labels, minlength=len(self.classes))
        return counts.double() / len(self.train)

    def record(self) -> dict[str, Any]:
        """What names this world: sizes, classes and digests of both parts. Plain JSON values."""
        parts = {
            name: {"pictures": len(part), "sha256": part.digest()} for name, part in (("train", self.train), ("held_out", self.held_out))
        }
        split = {"split": dict(self.split)} if self.split else {}
        return {"name": self.name, "shape": list(self.train.shape), "classes": list(self.classes), **parts, **split}


@runtime_checkable
class Choosy(Protocol):
    """A model or extractor that can do nothing with some worlds."""

    def check(self, world: World) -> None:
        """Raises DataProblem for a world that it can do nothing with."""


def provenance(images: ImageSet, classes: tuple[str, ...]) -> dict[str, Any]:
    """Of what a set is made: its size and digest, and for `real` and each generation the number of pictures, in all and per class.

    Pictures that their maker gave no class are counted as `unlabelled`, or `(unlabelled)` where a class has that name. Plain JSON values.
    """
    made_of = {}
    for born in images.born.unique().tolist():
        labels = images.labels[images.born == born]
        counts = {name: int((labels == c).sum()) for c, name in enumerate(classes)}
        counts["(unlabelled)" if "unlabelled" in counts else "unlabelled"] = int((labels == UNLABELLED).sum())
        made_of["real" if born == REAL else f"generation {born}"] = {
            "pictures": len(labels),
            "classes": {name: n for name, n in counts.items() if n},
        }
    return {"size": len(images), "training_set": images.digest(), "made_of": made_of}


def made_of(provenance: dict[str, Any]) -> str:
    """A set's origins in words: `learned from 10 % real, 90 % generation 3`."""
    parts, size = provenance["made_of"], provenance["size"]
    shares = {name: f"{100 * part['pictures'] / size:.3g} %" for name, part in parts.items()}
    if len(parts) == 1:
        return f"learned from {'real pictures' if 'real' in parts else next(iter(parts))}"
    if len(parts) > 3:
        made = [name for name in parts if name != "real"]
        rest = f"generations {made[0].split()[-1]} to {made[-1].split()[-1]}"
        return f"learned from {shares['real']} real, the rest {rest}" if "real" in parts else f"learned from {rest}"
    return "learned from " + ", ".join(f"{share} {name}" for name, share in shares.items())
