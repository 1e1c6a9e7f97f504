"""What networks have and other models lack: weights that can be taken out and put in, and batches to learn from."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.heavy import Tensor, nn, torch
from imgcollapse.images import ImageSet, ImageStream


@runtime_checkable
class Network(Protocol):
    """A model that is a network: it learns batch by batch, and can start from the weights of another one."""

    def weights(self) -> dict[str, Tensor]:
        """Copies of what the fitted network has learned, by name, on the CPU."""

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """A fitted copy with these weights in place of its own. Raises DataProblem for those of another architecture."""

    def begun(self, folder: Path, shape: tuple[int, int, int]) -> Self:
        """A copy, not trained, with the weights that somebody has saved in a folder, for pictures of (C, H, W); after `for_world`.

        Raises DataProblem where something is missing, damaged, or of another network (see `imgcollapse.models.folders`).
        """


@runtime_checkable
class Extrapolated(Protocol):
    """A network that can be moved away from another one of its architecture."""

    def extrapolated(self, other: Self, weight: float, images: ImageSet | ImageStream, seed: int) -> Self:
        """A fitted copy with the weights (1 + w) theta - w theta_other; what is fitted after training (a prior of codes) is fitted anew.

        images: that it is fitted to, what the model learned from
        """


@runtime_checkable
class Steered(Protocol):
    """A denoiser that can draw away from another one of its architecture."""

    def steered(self, other: Self, weight: float) -> Self:
        """A fitted copy that draws by the score (1 + w) s - w s_other; its weights stay as they are, those of the other lie beside them."""


@runtime_checkable
class Startable(Protocol):
    """A model that is no `Network`, and that can all the same begin where another one of its kind has ended, if its options say how."""

    def check_start(self) -> None:
        """Raises SettingsProblem where they do not."""


def weights_of(net: "nn.Module") -> dict[str, Tensor]:
    """Copies of a network's weights, by name, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}


def put(net: "nn.Module", weights: Mapping[str, Tensor], place: str = "model") -> None:
    """Puts these weights into the network. Raises DataProblem that begins with `place` for those of another architecture."""
    there, here = ({name: list(value.shape) for name, value in of.items()} for of in (weights, net.state_dict()))
    for name in (*here, *there):
        if there.get(name) != here.get(name):
            raise DataProblem(
                f"{place}: weights of another architecture ('{name}': {there.get(name, 'none')} there, {here.get(name, 'none')} here); "
                "take those of a model of the same kind and options"
            )
    net.load_state_dict(dict(weights))


def away_from(net: Any, other: "nn.Module", weight: float) -> Any:
    """A copy of the network whose trained weights are (1 + w) theta - w theta_other, each rounded once; its buffers are its own."""
    moved, theirs = deepcopy(net), weights_of(other)
    trained = {name for name, _ in net.named_parameters()}
    weights = {
        name: ((1 + weight) * value.double() - weight * theirs[name].double()).to(value.dtype) if name in trained else value
        for name, value in weights_of(net).items()
    }
    put(moved, weights)
    return moved


def start_from(net: "nn.Module", start: object) -> None:
    """Puts the weights of a fitted model into a fresh network, which keeps its own where `start` is None.

    Raises SettingsProblem for a model that has no weights, DataProblem for one of another architecture.
    """
    if start is not None:
        if not isinstance(start, Network):
            raise SettingsProblem(f"init: a model '{getattr(start, 'kind', start)}' has no weights to start from; set it to scratch")
        put(net, start.weights(), "init")


def count_classes(parts: Sequence[Tensor], seen: Tensor) -> None:
    """Adds the pictures of each class to int64 [classes]; parts: pictures and, where classes are learned, their labels."""
    for labels in parts[1:]:
        seen += torch.bincount(labels, minlength=len(seen))


def set_only(model: Any, images: ImageSet | ImageStream, start: object) -> ImageSet:
    """The training set of a model that is no network. Raises SettingsProblem for a stream, and for a model to start from."""
    refuse_without_weights(model, start is not None, not isinstance(images, ImageSet))
    assert isinstance(images, ImageSet)
    return images


def refuse_without_weights(model: Any, starts: bool, streams: bool) -> None:
    """Raises SettingsProblem where a model that is no network is to start from another one's weights and is not `Startable`, or to learn
    from a stream."""
    if starts and isinstance(model, Startable):
        model.check_start()
    elif starts and not isinstance(model, Network):
        raise SettingsProblem(
            f"init: model '{model.kind}' has no weights to start from; set it to scratch, or take a model that is a network"
        )
    if streams and not isinstance(model, Network):
        raise SettingsProblem(f"regime.stream: model '{model.kind}' learns from a whole set at once; set it to false, or take a network")
