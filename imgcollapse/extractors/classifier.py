"""A small convolutional classifier of the real classes; its last layer but one gives the features. Shipped for the standard data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from imgcollapse import progress, seeds
from imgcollapse.errors import DataProblem
from imgcollapse.extractors.forward import forward
from imgcollapse.extractors.references import Reference, reference_of, references
from imgcollapse.heavy import Tensor, functional, nn, torch
from imgcollapse.images import ImageSet, World, to_signed
from imgcollapse.machine import cache, devices
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.training import BatchRandomness, FixedSet, Log, Training, fit_network

if TYPE_CHECKING:
    from imgcollapse.extractors.classifier_network import ClassifierNetwork

WHITENED = 5000  # pictures whose patches decide the first convolution, where it is set
BLOCK = 128  # pictures that go through the network at once
SEED = seeds.derive(0, "classifier")  # one classifier judges every study
LAYOUT = 2  # part of the cache key: raise it when the network or its training changes
GOOD, BLIND = 0.9, 0.5  # accuracy below which classes are not to be trusted, and below which nothing is said of them
WIDTHS = (32, 64, 64, 64)  # channels of the levels where nobody chose them


class Classifier(Training):
    """Features of a small CNN trained once on real pictures; it also classifies the samples."""

    kind: Literal["classifier"] = "classifier"
    steps: PositiveInt = Field(800, description="optimisation steps")
    learning_rate: float = Field(2e-3, gt=0, description="the peak learning rate")
    weight_decay: float = Field(0.5, ge=0, description="AdamW's decoupled weight decay")
    widths: tuple[PositiveInt, ...] = Field(
        (), description="channels of each level (each halves the sides); the last: D, the features; []: by size"
    )
    symmetric: bool = Field(False, description="whether features are the mean of those of a picture and of its mirror image")
    mixup: bool = Field(False, description="mixup: whether to train on blends of two pictures and of their labels, against overfitting")
    whiten: bool = Field(False, description="whether the first convolution is fixed to the principal components of 2 x 2 pixels")
    smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing: share of a label that is spread over all classes in training")

    weights: Literal["auto", "shipped", "own"] = Field(
        "auto",
        description="shipped: those that come with the package, for a standard data set; own: trained on the training part; auto: shipped "
        "ones where there are some for this held-out part and no other option is set, else own",
    )

    def check(self, world: World) -> None:
        """Raises DataProblem for points or a single class, and where shipped weights are asked for that there are not."""
        if world.train.are_points or len(world.classes) < 2:
            raise DataProblem(f"{world.name}: the extractor 'classifier' needs pictures of at least 2 classes; use 'pixels'")
        if self.weights == "shipped" and reference_of(world) is None:
            there = ", ".join(one.name for one in references().values())
            raise DataProblem(f"{world.name}: no classifier is shipped for its held-out pictures (only for {there}); set weights to own")

    def fit(self, world: World) -> "FittedClassifier":
        """The classifier of this world: a shipped one, or its own, from the cache where it is there. Raises what `check` does."""
        self.check(world)
        shipped = reference_of(world) if self.weights == "shipped" or self == Classifier() else None
        fitted = self._own(world) if shipped is None else _shipped(shipped)
        for line in fitted.quality():
            progress.say_once(line)
        return fitted

    def _own(self, world: World) -> "FittedClassifier":
        key = f"{LAYOUT}{world.train.digest()}{world.held_out.digest()}{self.model_dump_json(exclude={'weights'})}"
        classes, where = len(world.classes), ("classifiers", world.name)
        checkpoint = Checkpoint(cache.place_of(*where, key).with_suffix(".unfinished"), key)

        def make() -> cache.Made:
            net = self.train(world.train, classes, checkpoint)
            return net.state_dict(), {"accuracy": accuracy(net, world.held_out)}

        weights, found = cache.remembered(*where, key, make)
        checkpoint.done()
        net = self.network(world.train.shape, classes)
        net.load_state_dict(weights)
        return FittedClassifier(net.eval().requires_grad_(False), found["accuracy"])

    def network(self, shape: tuple[int, int, int], classes: int, seed: int = SEED) -> "ClassifierNetwork":
        """A fresh one for pictures of (C, H, W)."""
        from imgcollapse.extractors.classifier_network import ClassifierNetwork, levels

        widths = self.widths or WIDTHS[: levels(*shape[1:])]
        with seeds.global_torch_seed(seeds.derive(seed, "weights")):
            return ClassifierNetwork(shape, widths, classes, self.symmetric)

    def train(
        self, images: ImageSet, classes: int, checkpoint: Checkpoint | None = None, log: Log | None = None, seed: int = SEED
    ) -> "ClassifierNetwork":
        """A network that has learned the classes of these pictures; goes on from a checkpoint. Mixup: Zhang et al. 2018.

        seed: of weights and batches; the judge's is the same for every study
        """
        reach = max(1, images.shape[1] // 10)

        def loss(network: "nn.Module", rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
            pixels, labels = rows
            signed = shifted(to_signed(pixels), reach, randomness)
            if self.mirror:
                signed = randomness.mirrored(signed)
            wanted = functional.one_hot(labels, classes).float()
            if self.mixup:
                kept = 0.5 + randomness.rand(1, 1, 1) / 2
                signed, share = kept * signed + (1 - kept) * signed.flip(0), kept[:, 0, 0]
                wanted = share * wanted + (1 - share) * wanted.flip(0)
            logits: Tensor = network(signed)
            return functional.cross_entropy(logits.float(), wanted, label_smoothing=self.smoothing)

        source = FixedSet((images.pixels, images.labels))
        network = self.network(images.shape, classes, seed)
        if self.whiten:
            from imgcollapse.extractors.classifier_network import whiten

            whiten(network, to_signed(images.pixels[:WHITENED]))
        return fit_network(network, loss, source, self, seeds.derive(seed, "fit"), "classifier", checkpoint, log)


def shifted(signed: Tensor, reach: int, randomness: BatchRandomness) -> Tensor:
    """Moves each picture by its own offset of up to `reach` pixels both ways, filling with the darkest value."""
    n, _, height, width = signed.shape
    padded = functional.pad(signed, (reach,) * 4, value=-1.0)
    rows = randomness.randint(0, 2 * reach + 1)[:, None] + torch.arange(height, device=signed.device)
    columns = randomness.randint(0, 2 * reach + 1)[:, None] + torch.arange(width, device=signed.device)
    every = torch.arange(n, device=signed.device)[:, None, None]
    return padded[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@dataclass(frozen=True)
class FittedClassifier:
    """A trained classifier as an extractor.

    accuracy:    share of the held-out pictures of which it finds the class
    temperature: what its logits are divided by before the softmax, so that a probability is the share of cases in which it is right (Guo et
                 al. 2017)
    shipped:     name and version of the shipped one that it is; empty: of a data set's own training part
    """

    net: "ClassifierNetwork"
    accuracy: float
    temperature: float = 1.0
    shipped: str = ""
    name: str = "classifier"

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, D] on the CPU."""
        net = self.net.to(devices.current().torch_device())
        return forward(lambda block: net.features(to_signed(block)), pixels, BLOCK, "features (classifier)")

    def probabilities(self, features_ND: Tensor) -> Tensor | None:
        """float32 [N, D] -> float32 [N, classes]: the classifier's softmax; None from one that is too often wrong to tell classes."""
        return None if self.accuracy < BLIND else (logits(self.net, features_ND) / self.temperature).softmax(1)

    def quality(self) -> list[str]:
        """How good it is, in a line; and in another what cannot be trusted, where it is not good enough."""
        whose = f"shipped reference {self.shipped}" if self.shipped else "learned from the training part"
        line = f"classifier: {whose}; it finds the class of {100 * self.accuracy:.1f} % of the held-out pictures"
        return [line, *(f"classifier: {warning}" for warning in [distrust(self.accuracy)] if warning)]

    def record(self) -> dict[str, object]:
        """What identifies this extractor: which shipped one it is, digest of the weights, number of features, held-out accuracy."""
        about = {"shipped": self.shipped} if self.shipped else {}
        weights = {**self.net.state_dict(), "temperature": torch.tensor(self.temperature)}
        return {**about, "digest": cache.digest(weights), "dim": self.net.head.in_features, "held_out_accuracy": self.accuracy}


def distrust(accuracy: float) -> str:
    """What cannot be trusted that a classifier of that accuracy says, and what cures it; empty for a good one."""
    cure = "train it longer (judge.extractors: steps), or judge by other features"
    if accuracy < BLIND:
        why = f"it is right on fewer than {100 * BLIND:.0f} % of the held-out pictures, and its errors would decide them"
        return f"class shares and lost classes are left out, for {why}; {cure}"
    if accuracy < GOOD:
        why = f"it is right on fewer than {100 * GOOD:.0f} % of the held-out pictures"
        return f"warning: class shares, lost classes and distances by its features are not to be trusted, for {why}; {cure}"
    return ""


def logits(net: "ClassifierNetwork", features_ND: Tensor) -> Tensor:
    """float32 [N, D] -> float32 [N, classes], on the CPU."""
    with torch.inference_mode():
        return functional.linear(features_ND, net.head.weight.cpu(), net.head.bias.cpu())


def accuracy(net: "ClassifierNetwork", images: ImageSet) -> float:
    """Share of the pictures of which it finds the class."""
    found = logits(net, FittedClassifier(net, 1.0).features(images.pixels)).argmax(1)
    return float((found == images.labels).double().mean())


def _shipped(one: Reference) -> FittedClassifier:
    return FittedClassifier(one.network(), one.accuracy, one.temperature, f"{one.name} {one.version}")
