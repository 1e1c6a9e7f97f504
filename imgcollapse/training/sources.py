"""Training data as a source of batches, and the randomness of a loss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from imgcollapse import progress, seeds
from imgcollapse.heavy import Generator, Tensor, torch
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.training.options import Training

DRAWN_AT_ONCE = 4096  # pictures of a stream, at most, in whole batches


class BatchRandomness:
    """The randomness of a loss: drawn for the whole batch from one generator; this process takes its own rows of it.

    So the noise on a picture does not depend on the number of processes. All tensors lie on the generator's device, a row a picture.
    """

    def __init__(self, batch: int, share: slice, generator: Generator) -> None:
        self._batch, self._share, self._generator = batch, share, generator

    def randn(self, *tail: int) -> Tensor:
        """float32 [rows, *tail]: standard normal."""
        return torch.randn((self._batch, *tail), generator=self._generator, device=self._generator.device)[self._share]

    def rand(self, *tail: int) -> Tensor:
        """float32 [rows, *tail]: uniform over 0..1."""
        return torch.rand((self._batch, *tail), generator=self._generator, device=self._generator.device)[self._share]

    def randint(self, low: int, high: int, *tail: int) -> Tensor:
        """int64 [rows, *tail]: uniform over low, ..., high - 1."""
        return torch.randint(low, high, (self._batch, *tail), generator=self._generator, device=self._generator.device)[self._share]

    def mirrored(self, pictures: Tensor) -> Tensor:
        """The same pictures, [rows, C, H, W], a random half of them mirrored left to right."""
        return torch.where(self.rand(1, 1, 1) < 0.5, pictures.flip(3), pictures)

    def stratified(self) -> Tensor:
        """float32 [rows]: one uniform draw in each n-th of 0..1, n the whole batch; as independent draws, with less noise in a mean."""
        places = torch.arange(self._batch, device=self._generator.device)[self._share]
        return (places + self.rand()) / self._batch


class Source(Protocol):
    """Training data as a source of batches."""

    def batches(self, options: Training, seed: int, share: slice, device: "torch.device", first: int = 0) -> Iterator[Sequence[Tensor]]:
        """For each of the steps from `first` to `options.steps` - 1 the rows of this process, `share` of the `options.batch` rows that all
        processes take.

        Tensors of one length on the device (pixels, labels, ...). Every process is given the same seed.
        """


@dataclass(frozen=True, eq=False)
class FixedSet:
    """Tensors of one length N (pixels, labels, ...), of which every row comes once per pass; moved to the device once, whole."""

    tensors: Sequence[Tensor]

    def batches(self, options: Training, seed: int, share: slice, device: "torch.device", first: int = 0) -> Iterator[Sequence[Tensor]]:
        """The rows by random permutations of 0..N-1, one after the other, cut into batches."""
        on_device = [part.to(device) for part in self.tensors]
        for order in _passes(len(self.tensors[0]), options.batch, options.steps, seed)[first:]:
            rows = order[share].to(device)
            yield [part[rows] for part in on_device]


@dataclass(frozen=True, eq=False)
class Stream:
    """Pictures that no step has seen before, drawn from `images`; `transform` says which tensors of them the loss takes, and `met` is told
    of those of each batch, of all processes, before it is learned from."""

    images: ImageStream
    transform: Callable[[ImageSet], Sequence[Tensor]]
    met: Callable[[Sequence[Tensor]], None] = lambda parts: None

    def batches(self, options: Training, seed: int, share: slice, device: "torch.device", first: int = 0) -> Iterator[Sequence[Tensor]]:
        """New rows for every step, drawn several batches at a time, for a model draws many pictures faster than few.

        All processes draw the same batches (a fitted network shares the work of drawing among them), and each takes its rows.
        """
        steps = max(1, DRAWN_AT_ONCE // options.batch)
        for start in range(first - first % steps, options.steps, steps):
            n = min(steps, options.steps - start) * options.batch
            with progress.watched_by(progress.Silent()):  # it is a part of the fit that the watcher is told of
                parts = self.transform(self.images.batch(n, seeds.derive(seed, start), start * options.batch))
            for batch in list(zip(*(part.split(options.batch) for part in parts), strict=True))[max(0, first - start) :]:
                self.met(batch)
                yield [part[share].to(device) for part in batch]


def source_of(
    images: ImageSet | ImageStream,
    transform: Callable[[ImageSet], Sequence[Tensor]],
    met: Callable[[Sequence[Tensor]], None] = lambda parts: None,
) -> Source:
    """What a network learns from: `transform(pictures)` says which tensors of them the loss takes; `met` is told of those of all pictures
    that it learns from: of a set once, of a stream batch by batch."""
    if not isinstance(images, ImageSet):
        return Stream(images, transform, met)
    parts = transform(images)
    met(parts)
    return FixedSet(parts)


def _passes(n: int, batch: int, steps: int, seed: int) -> list[Tensor]:
    """The rows of each step: random permutations of 0..n-1 one after the other, cut into batches."""
    generator = seeds.torch_generator(seed)
    passes = -(-steps * batch // n)
    order = torch.cat([torch.randperm(n, generator=generator) for _ in range(passes)])
    return list(order[: steps * batch].split(batch))
