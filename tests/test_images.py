"""What is done with whole image sets: the numbers that pictures are known by, origins, sets joined and digested."""

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from imgcollapse import images as module
from imgcollapse.images import UNLABELLED, ImageSet, World, concatenate, fingerprints, gathered
from imgcollapse.regimes import origins, provenance
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.store.past import OnDemand


def plain_fingerprints(pixels: Tensor) -> Tensor:
    """The formula as it is written."""
    flat = pixels.flatten(1) if pixels.dtype == torch.uint8 else pixels.flatten(1).contiguous().view(torch.int32)
    low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    odd = torch.randint(low, high, (flat.shape[1],), generator=torch_generator(derive(0, "marks"))) | 1
    return (flat.to(torch.int64) * odd).sum(1)


def pictures(n: int, shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def any_bits(n: int, dim: int, seed: int) -> Tensor:
    """Points of all bit patterns that there are, infinities and NaNs too."""
    bits = torch.randint(-(2**31), 2**31, (n, 1, 1, dim), generator=torch.Generator().manual_seed(seed), dtype=torch.int64)
    return bits.to(torch.int32).view(torch.float32)


SIZES = [
    (0, 3),
    (1, 1),
    (3, 7),
    (50, 64),
    (700, 784),
    (90, 3072),
    (2, module.LONGEST),
    (2, module.LONGEST + 1),
    (3, 2 * module.LONGEST + 5),
]


@pytest.mark.parametrize(("n", "values"), SIZES)
def test_fingerprints_are_the_plain_formula_bit_for_bit(n: int, values: int) -> None:
    for seed in range(3):
        points = any_bits(n, values, seed)
        assert torch.equal(fingerprints(pixels := pictures(n, (1, 1, values), seed)), plain_fingerprints(pixels))
        assert torch.equal(fingerprints(points), plain_fingerprints(points))
    for level in (0, 1, 254, 255):  # 255 everywhere: the largest sums there are
        assert torch.equal(fingerprints(pixels := torch.full((n, 1, 1, values), level, dtype=torch.uint8)), plain_fingerprints(pixels))
    for bits in (0, -1, 2**31 - 1, -(2**31), 0xFFFF, -0x10000, 0x7FFF0000):
        points = torch.full((n, 1, 1, values), bits, dtype=torch.int32).view(torch.float32)
        assert torch.equal(fingerprints(points), plain_fingerprints(points))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (3, 32, 31)])
def test_fingerprints_of_colours_and_of_views_of_other_pictures(shape: tuple[int, int, int]) -> None:
    pixels = pictures(600, shape, 0)
    for seen in (pixels, pixels.flip(3), pixels[::3], pixels.transpose(2, 3), pixels[:, :1].expand(-1, 3, -1, -1), pixels[..., 1:]):
        assert torch.equal(fingerprints(seen), plain_fingerprints(seen))


def test_the_largest_sum_is_exact() -> None:
    parts = torch.full((3, module.LONGEST), float(module.PART), dtype=torch.float64)
    found = module._times(torch.full((1, module.LONGEST), 0xFFFF, dtype=torch.int32), parts)
    whole = 0xFFFF * module.PART * module.LONGEST
    assert whole < 2**53
    assert int(found) % 2**64 == sum(whole << place * module.PART_BITS for place in range(3)) % 2**64


def plain_origins(images: ImageSet, classes: tuple[str, ...]) -> dict[str, Any]:
    """One loop over births and one over classes."""
    found = {}
    for born in images.born.unique().tolist():
        labels = images.labels[images.born == born]
        counts = {name: int((labels == c).sum()) for c, name in enumerate(classes)}
        counts["(unlabelled)" if "unlabelled" in counts else "unlabelled"] = int((labels == UNLABELLED).sum())
        found["real" if born == -1 else f"generation {born}"] = {
            "pictures": len(labels),
            "classes": {name: n for name, n in counts.items() if n},
        }
    return found


@pytest.mark.parametrize("seed", range(8))
def test_origins_are_what_loops_count(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    n = [0, 1, 5, 40, 300][seed % 5]
    classes = [("a",), ("a", "b", "c"), ("x", "unlabelled", "y"), tuple(map(str, range(25)))][seed % 4]
    born = torch.randint(-1, [1, 3, 60][seed % 3], (n,), generator=draw)
    labels = torch.randint(-1, len(classes) + seed % 2, (n,), generator=draw)  # with every other seed, some of no class that there is
    images = ImageSet(torch.zeros(n, 1, 1, 2), labels, born)
    found, plain = origins(images, classes), plain_origins(images, classes)
    assert found == plain and list(found) == list(plain)
    assert [list(one["classes"]) for one in found.values()] == [list(one["classes"]) for one in plain.values()], "order and all"
    assert provenance(images, classes) == {"size": n, "training_set": images.digest(), "made_of": plain}


def test_provenance_tells_of_gates_only_where_there_are_any() -> None:
    images = ImageSet.of(torch.zeros(2, 1, 1, 2))
    assert "gates" not in provenance(images, ("a",))
    assert provenance(images, ("a",), {"offered": {}})["gates"] == {"offered": {}}


class Asked(OnDemand[ImageSet]):
    """Sets that are made when they are asked for."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__(len(sizes), self.make)
        self.sizes, self.asked = sizes, 0
        self.last: weakref.ref[ImageSet] | None = None

    def __iter__(self) -> Iterator[ImageSet]:
        raise AssertionError("an iterator holds on to what it gave last")

    def make(self, number: int) -> ImageSet:
        self.asked += 1
        assert self.last is None or self.last() is None, "the one before is let go first"
        one = ImageSet.of(pictures(self.sizes[number], (3, 4, 4), number), torch.full((self.sizes[number],), number), born=number)
        self.last = weakref.ref(one)
        return one


def test_gathered_is_concatenated_with_each_set_asked_for_once() -> None:
    first, others = ImageSet.of(pictures(9, (3, 4, 4), 99)), Asked([5, 5, 0, 3])
    made = gathered(first, others, most=5)
    assert others.asked == 4
    whole = concatenate([first, *(Asked([5, 5, 0, 3])[i] for i in range(4))])
    for part in ("pixels", "labels", "born"):
        assert torch.equal(getattr(made, part), getattr(whole, part)) and getattr(made, part).is_contiguous()
    assert made.digest() == whole.digest()
    assert gathered(first, others, most=2).born.tolist() == [-1] * 9 + [0, 0, 1, 1, 3, 3]
    assert gathered(first, Asked([]), most=5).digest() == first.digest()


def test_a_set_is_digested_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0

    def counted(*arguments: Any) -> Any:
        nonlocal begun
        begun += 1
        return real(*arguments)

    real = module.hashlib.sha256
    monkeypatch.setattr(module.hashlib, "sha256", counted)
    parts = [ImageSet.of(pictures(4, (1, 2, 2), seed), torch.arange(4) % 2) for seed in range(2)]
    world = World("w", parts[0], parts[1], ("a", "b"))
    assert world.record() == world.record() and world.train.digest() == world.record()["train"]["sha256"]
    assert begun == 2
