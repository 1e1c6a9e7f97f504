"""What networks have and other models lack: weights that can be taken out and put in, and batches to learn from."""

from collections.abc import Mapping
from typing import Protocol, Self, runtime_checkable

from torch import Tensor, nn

from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.images import ImageSet, ImageStream


@runtime_checkable
class Network(Protocol):
    """A model that is a network: it learns batch by batch, and can start from the weights of another one."""

    def weights(self) -> dict[str, Tensor]:
        """Copies of what the fitted network has learned, by name, on the CPU."""

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """A fitted copy with these weights in place of its own. Raises DataProblem for those of another architecture."""


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """Copies of a network's weights, by name, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}


def put(net: nn.Module, weights: Mapping[str, Tensor], place: str = "model") -> None:
    """Puts these weights into the network. Raises DataProblem that begins with `place` for those of another architecture."""
    there, here = ({name: list(value.shape) for name, value in of.items()} for of in (weights, net.state_dict()))
    for name in (*here, *there):
        if there.get(name) != here.get(name):
            raise DataProblem(
                f"{place}: weights of another architecture ('{name}': {there.get(name, 'none')} there, {here.get(name, 'none')} here); "
                "take those of a model of the same kind and options"
            )
    net.load_state_dict(dict(weights))


def start_from(net: nn.Module, start: object) -> None:
    """Puts the weights of a fitted model into a fresh network, which keeps its own where `start` is None.

    Raises SettingsProblem for a model that has no weights, DataProblem for one of another architecture.
    """
    if start is not None:
        if not isinstance(start, Network):
            raise SettingsProblem(f"init: a model '{getattr(start, 'kind', start)}' has no weights to start from; set it to scratch")
        put(net, start.weights(), "init")


def set_only(kind: str, images: ImageSet | ImageStream, start: object) -> ImageSet:
    """The training set of a model that is no network. Raises SettingsProblem for a stream, and for a model to start from."""
    if start is not None:
        raise SettingsProblem(f"init: model '{kind}' has no weights to start from; set it to scratch, or take a model that is a network")
    if not isinstance(images, ImageSet):
        raise SettingsProblem(f"regime.stream: model '{kind}' learns from a whole set at once; set it to false, or take a network")
    return images
