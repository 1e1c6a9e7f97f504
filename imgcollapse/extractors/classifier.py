"""A small convolutional classifier of the real classes; its penultimate layer gives the features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from imgcollapse import seeds
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, World, pad, to_signed
from imgcollapse.machine import cache, devices
from imgcollapse.training import BatchRandomness, FixedSet, Training, fit_network

BLOCK = 1024  # pictures that go through the network at once
SEED = seeds.derive(0, "classifier")  # one classifier judges every study
LAYOUT = 1  # part of the cache key: raise it when the network or its training changes


class Classifier(Training):
    """Features of a small CNN trained once on the real training part; it also tells the class of a picture."""

    kind: Literal["classifier"] = "classifier"
    steps: PositiveInt = Field(800, description="optimisation steps")
    learning_rate: float = Field(2e-3, gt=0, description="the peak learning rate of AdamW")
    weight_decay: float = Field(0.5, ge=0, description="AdamW's decoupled weight decay")
    dim: PositiveInt = Field(64, description="number of features D")
    width: PositiveInt = Field(32, multiple_of=8, description="channels of the first convolution, a multiple of 8")

    def check(self, world: World) -> None:
        """Raises DataProblem for points or a single class."""
        if world.train.are_points or len(world.classes) < 2:
            raise DataProblem(f"{world.name}: the extractor 'classifier' needs pictures of at least 2 classes; use 'pixels'")

    def fit(self, world: World) -> "FittedClassifier":
        """The trained classifier of this world, from the cache where it is there. Raises DataProblem for points or a single class."""
        self.check(world)
        key = f"{LAYOUT}{world.train.digest()}{world.held_out.digest()}{self.model_dump_json()}"
        weights, _ = cache.remembered("classifiers", world.name, key, lambda: (self._train(world).state_dict(), {}))
        net = self._untrained(world)
        net.load_state_dict(weights)
        net = net.eval().requires_grad_(False)
        return FittedClassifier(net, _accuracy(net, world.held_out))

    def _untrained(self, world: World) -> "_Network":
        with seeds.global_torch_seed(seeds.derive(SEED, "weights")):
            return _Network(world.train.shape, self.width, self.dim, len(world.classes))

    def _train(self, world: World) -> "_Network":
        reach = max(1, world.train.shape[1] // 10)

        def loss(network: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
            pixels, labels = rows
            logits: Tensor = network(_shift(to_signed(pixels), reach, randomness))
            return functional.cross_entropy(logits.float(), labels)

        source = FixedSet((world.train.pixels, world.train.labels))
        return fit_network(self._untrained(world), loss, source, self, seeds.derive(SEED, "fit"), what="classifier")


@dataclass(frozen=True)
class FittedClassifier:
    """A trained classifier as an extractor."""

    net: "_Network"
    accuracy: float
    name: str = "classifier"

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, D] on the CPU."""
        net = self.net.to(devices.current().torch_device())
        device = next(net.parameters()).device
        with torch.inference_mode():
            return torch.cat([net.features(to_signed(block.to(device))).float().cpu() for block in pixels.split(BLOCK)])

    def probabilities(self, features_ND: Tensor) -> Tensor:
        """float32 [N, D] -> float32 [N, classes]: the classifier's softmax."""
        head = self.net.head
        with torch.inference_mode():
            return functional.linear(features_ND, head.weight.cpu(), head.bias.cpu()).softmax(1)

    def record(self) -> dict[str, object]:
        """What identifies this extractor: digest of the weights, number of features, held-out accuracy."""
        return {"digest": cache.digest(self.net.state_dict()), "dim": self.net.head.in_features, "held_out_accuracy": self.accuracy}


class _Network(nn.Module):
    """Convolutions, halving the picture until it is at most 4 wide; then a layer of `dim` features and the head."""

    def __init__(self, shape: tuple[int, int, int], width: int, dim: int, classes: int) -> None:
        super().__init__()
        channels, height, side = shape
        self.halvings = max(1, (max(height, side) - 1).bit_length() - 2)
        self.side = 4 << self.halvings
        body: list[nn.Module] = []
        for level in range(self.halvings + 1):
            out = min(width << level, 4 * width)
            body += [nn.Conv2d(channels, out, 3, padding=1), nn.GroupNorm(8, out), nn.GELU()]
            body += [nn.MaxPool2d(2)] if level < self.halvings else []
            channels = out
        self.body = nn.Sequential(*body, nn.Flatten(), nn.Linear(channels * 16, dim), nn.GELU())
        self.head = nn.Linear(dim, classes)

    def features(self, signed: Tensor) -> Tensor:
        """float [N, C, H, W] in -1..1 -> [N, D]; pads the picture with its darkest value up to a power of two."""
        features: Tensor = self.body(pad(signed, self.side, value=-1.0))
        return features

    def forward(self, signed: Tensor) -> Tensor:
        return self.head(self.features(signed))


def _shift(signed: Tensor, reach: int, randomness: BatchRandomness) -> Tensor:
    """Moves each picture by its own offset of up to `reach` pixels both ways, filling with the darkest value."""
    n, _, height, width = signed.shape
    padded = functional.pad(signed, (reach,) * 4, value=-1.0)
    rows = randomness.randint(0, 2 * reach + 1)[:, None] + torch.arange(height, device=signed.device)
    columns = randomness.randint(0, 2 * reach + 1)[:, None] + torch.arange(width, device=signed.device)
    every = torch.arange(n, device=signed.device)[:, None, None]
    return padded[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _accuracy(net: _Network, held_out: ImageSet) -> float:
    fitted = FittedClassifier(net, 0.0)
    found = fitted.probabilities(fitted.features(held_out.pixels)).argmax(1)
    return float((found == held_out.labels).double().mean())
