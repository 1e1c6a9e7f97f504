"""Inception features as FID is published with: the network and the two ways of resizing of clean-fid, straight from pixels in memory."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from imgcollapse.errors import DataProblem
from imgcollapse.extractors.forward import forward
from imgcollapse.extractors.resize import bicubic
from imgcollapse.extractors.weights import Published, Weights, find, tried
from imgcollapse.heavy import Tensor, nn
from imgcollapse.images import World
from imgcollapse.machine import devices
from imgcollapse.settings import Settings

PUBLISHED = Published(
    kind="inception",
    file="inception-2015-12-05.pt",  # Szegedy et al. 2015 as Heusel et al. 2017 used it, in TorchScript by Karras et al. 2020
    url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    size=95_607_719,
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
)
SIDE, DIM = 299, 2048


class Inception(Settings):
    """Inception-v3's 2,048 features, as clean-fid computes them: with these a Fréchet distance is FID (95.6 MB of weights)."""

    FRECHET: ClassVar = {"inception": "FID", "inception-legacy": "FID"}
    kind: Literal["inception"] = "inception"
    mode: Literal["clean", "legacy"] = Field(
        "clean", description="clean: Pillow's antialiased bicubic resize; legacy: inside the network, as the first FIDs were measured"
    )
    batch: PositiveInt = Field(64, description="pictures at once; changes no number")

    @staticmethod
    def published() -> Published:
        """The file of weights that it needs."""
        return PUBLISHED

    def check(self, world: World) -> None:
        """Raises DataProblem for points."""
        if world.train.are_points:
            raise DataProblem(f"{world.name}: the extractor 'inception' needs pictures; use 'pixels'")

    def fit(self, world: World) -> "FittedInception":
        """Nothing is learned: the weights are all of it. Raises DataProblem for points, WeightsProblem, and SettingsProblem for a file of
        other weights that cannot be used."""
        self.check(world)
        weights = find(PUBLISHED)
        name = {"clean": "inception", "legacy": "inception-legacy"}[self.mode] if weights.published else "inception-other"
        cure = f"give a network in TorchScript with the interface of {PUBLISHED.file}, or leave the option out"
        with tried(PUBLISHED, weights, "FID", cure):
            fitted = FittedInception(_network(weights.path, self.mode), weights, self.mode, self.batch, name)
            if not weights.published:
                fitted.features(world.train.pixels[:1])
        return fitted


@dataclass(frozen=True)
class FittedInception:
    """Inception with its weights. `name` says FID's condition: `inception`, `inception-legacy`, or `inception-other` for other weights."""

    net: "nn.Module"
    weights: Weights
    mode: Literal["clean", "legacy"]
    batch: int
    name: str

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, 2048] on the CPU. Grey pictures have three equal channels."""
        net = self.net.to(devices.current().torch_device())

        def see(block: Tensor) -> Tensor:
            sized = bicubic(block, SIDE) if self.mode == "clean" else block.float()
            return net(sized.expand(-1, 3, -1, -1))

        return forward(see, pixels, self.batch, "inception")

    def probabilities(self, features_ND: Tensor) -> None:
        """None: its thousand classes are not those of the world."""

    def record(self) -> dict[str, object]:
        """What identifies this extractor: SHA-256 of the file of weights, whether it is the published one, mode, number of features."""
        return {"digest": self.weights.digest, "published": self.weights.published, "mode": self.mode, "dim": DIM}


def _network(path: Path, mode: str) -> Any:
    """clean-fid's own network, which wants a folder that holds the file under its published name."""
    from cleanfid.inception_torchscript import InceptionV3W

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # clean-fid loads TorchScript, whose loader PyTorch calls deprecated since 2.11
        warnings.filterwarnings("ignore", message=".*torch.jit.load. is deprecated", category=DeprecationWarning)
        named = Path(folder) / PUBLISHED.file
        try:
            named.symlink_to(path.absolute())
        except OSError:  # a file system without links
            shutil.copyfile(path, named)
        return InceptionV3W(folder, download=False, resize_inside=mode == "legacy").eval().requires_grad_(False)
