"""DINOv2: the published network rebuilt from its weights, the resize of the published numbers, names, and files of any kind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standins
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from imgcollapse import progress, seeds
from imgcollapse.errors import DataProblem, SettingsProblem, WeightsProblem
from imgcollapse.extractors import dinov2, weights
from imgcollapse.extractors.dinov2 import DinoV2, FittedDinoV2
from imgcollapse.extractors.dinov2_network import VisionTransformer
from imgcollapse.extractors.resize import bicubic
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import devices


@pytest.fixture(autouse=True)
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody serves the published file, and none lies in the data folder."""
    monkeypatch.setattr(dinov2, "PUBLISHED", replace(dinov2.PUBLISHED, url="http://127.0.0.1:1/dinov2_vitl14_pretrain.pth"))
    with devices.use(devices.Machine(device="cpu", data_dir=tmp_path / "data")):
        yield


def fitted(file: Path, batch: int = 32) -> FittedDinoV2:
    with devices.use(replace(devices.current(), weights={"dinov2": file})):
        return DinoV2(batch=batch).fit(standins.world())


def random_weights(dim: int = 128, depth: int = 2, grid: int = 37) -> dict[str, Tensor]:
    """Weights with the names and shapes of the published file, of a smaller model; none of them so that a part would not count."""
    draws = seeds.torch_generator(seeds.derive(0, "dinov2", dim, depth))
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, 1 + grid**2, dim),
        "mask_token": (1, dim),
        "patch_embed.proj.weight": (dim, 3, 14, 14),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
    }
    for block in range(depth):
        for name, shape in {
            "norm1.weight": (dim,),
            "norm1.bias": (dim,),
            "attn.qkv.weight": (3 * dim, dim),
            "attn.qkv.bias": (3 * dim,),
            "attn.proj.weight": (dim, dim),
            "attn.proj.bias": (dim,),
            "ls1.gamma": (dim,),
            "norm2.weight": (dim,),
            "norm2.bias": (dim,),
            "mlp.fc1.weight": (4 * dim, dim),
            "mlp.fc1.bias": (4 * dim,),
            "mlp.fc2.weight": (dim, 4 * dim),
            "mlp.fc2.bias": (dim,),
            "ls2.gamma": (dim,),
        }.items():
            shapes[f"blocks.{block}.{name}"] = shape
    scales = {"pos_embed": 1.0, "cls_token": 0.01}
    held = {name: torch.randn(shape, generator=draws) * scales.get(name, 0.1) + ("gamma" in name) for name, shape in shapes.items()}
    held["pos_embed"][:, 0] *= 0.01  # a faint class token, on which the norms' eps tells
    return held


def by_torch(held: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """The same network of PyTorch's own encoder layers, into which LayerScale is multiplied; positions resized point by point."""
    dim = held["cls_token"].shape[-1]
    patches = functional.conv2d(pictures, held["patch_embed.proj.weight"], held["patch_embed.proj.bias"], stride=14)
    spot = held["pos_embed"][0, 1:].reshape(37, 37, dim).permute(2, 0, 1)[None]
    at = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5  # 16.1: the published code's offset
    grid = (2 * at + 1) / 37 - 1
    where = torch.stack(torch.meshgrid(grid, grid, indexing="ij")[::-1], -1)[None]
    spot = functional.grid_sample(spot, where, mode="bicubic", padding_mode="border", align_corners=False)
    tokens = (patches + spot).flatten(2).transpose(1, 2)
    tokens = torch.cat([(held["cls_token"] + held["pos_embed"][:, :1]).expand(len(pictures), -1, -1), tokens], 1)
    for block in range(2):
        own = {name.removeprefix(f"blocks.{block}."): values for name, values in held.items() if name.startswith(f"blocks.{block}.")}
        layer = nn.TransformerEncoderLayer(
            dim, dim // 64, 4 * dim, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        ).eval()
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": own["attn.qkv.weight"],
                "self_attn.in_proj_bias": own["attn.qkv.bias"],
                "self_attn.out_proj.weight": own["ls1.gamma"][:, None] * own["attn.proj.weight"],
                "self_attn.out_proj.bias": own["ls1.gamma"] * own["attn.proj.bias"],
                "linear1.weight": own["mlp.fc1.weight"],
                "linear1.bias": own["mlp.fc1.bias"],
                "linear2.weight": own["ls2.gamma"][:, None] * own["mlp.fc2.weight"],
                "linear2.bias": own["ls2.gamma"] * own["mlp.fc2.bias"],
                **{name: own[name] for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")},
            }
        )
        tokens = layer(tokens)
    return functional.layer_norm(tokens[:, 0], (dim,), held["norm.weight"], held["norm.bias"], 1e-6)


def pictures(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 224, 224, generator=seeds.torch_generator(seeds.derive(0, "normalised")))


def test_the_network_is_a_vision_transformer_with_these_weights() -> None:
    held = random_weights()
    with torch.no_grad():
        found, expected = VisionTransformer(held)(pictures()), by_torch(held, pictures())
    assert found.shape == (2, 128) and float(expected.std()) > 0.05
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=2e-5)


def test_the_network_is_that_of_the_published_code() -> None:
    """Where it is installed (`pip install --no-deps dinov2`)."""
    vision_transformer = pytest.importorskip("dinov2.models.vision_transformer", exc_type=ImportError)
    theirs = vision_transformer.vit_small(patch_size=14, img_size=518, init_values=1.0, ffn_layer="mlp", block_chunks=0).eval()
    theirs.load_state_dict(held := random_weights(384, 12))
    with torch.no_grad():
        np.testing.assert_allclose(VisionTransformer(held)(pictures()).numpy(), theirs(pictures()).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (224, 224), (256, 256), (17, 40)], ids=str)
def test_the_resize_is_pillows_to_the_bit(size: tuple[int, int]) -> None:
    pixels = standins.pictures(2, 3, *size)
    resized = [np.asarray(Image.fromarray(one.permute(1, 2, 0).numpy()).resize((224, 224), Image.Resampling.BICUBIC)) for one in pixels]
    np.testing.assert_array_equal(bicubic(pixels, 224, whole=True).numpy(), np.stack(resized).transpose(0, 3, 1, 2))


def test_it_sees_what_the_published_numbers_were_measured_on(tmp_path: Path) -> None:
    """torchvision's Resize, ToTensor and Normalize, as the code of Stein et al. has them, and the network on that."""
    from imgcollapse.machine import torchvision_guard  # noqa: F401
    from torchvision import transforms  # isort: skip

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.avg_pool2d(x, 56).flatten(1)

    see = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    pixels = standins.pictures(5, 3, 32, 32)
    expected = Mean()(torch.stack([see(Image.fromarray(one.permute(1, 2, 0).numpy())) for one in pixels]))
    one = fitted(standins.script(Mean(), tmp_path / "mean.pt"), batch=2)
    np.testing.assert_allclose(one.features(pixels).numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_a_network_in_torchscript_is_one_of_other_weights(tmp_path: Path) -> None:
    file = standins.dinov2(tmp_path / "tiny.pt")
    with progress.watched_by(heard := standins.Ear()):
        one = fitted(file, batch=4)
    assert heard.lines == [f"dinov2: {file} holds other weights than the published ones; the distance is called FD, not FD-DINOv2"]
    assert one.name == "dinov2-other" and one.record() == {"digest": weights.digest_of(file), "published": False, "dim": 24}
    pixels = standins.pictures(9)
    with progress.watched_by(heard := standins.Ear()):
        found = one.features(pixels)
    assert found.shape == (9, 24) and found.dtype == torch.float32 and heard.begun == [("dinov2", 3)]
    np.testing.assert_allclose(one.features(pixels[7:8]).numpy(), found[7:8].numpy(), rtol=1e-5, atol=1e-6)
    grey = standins.pictures(3, channels=1)
    np.testing.assert_allclose(one.features(grey).numpy(), one.features(grey.expand(-1, 3, -1, -1)).numpy(), rtol=1e-6)


def test_it_is_called_dinov2_with_the_published_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(random_weights(64, 1), file := tmp_path / "small.pth")
    assert fitted(file).name == "dinov2-other" and fitted(file).dim == 64
    monkeypatch.setattr(dinov2, "PUBLISHED", replace(dinov2.PUBLISHED, sha256=weights.digest_of(file)))
    state = torch.get_rng_state()
    with progress.watched_by(heard := standins.Ear()):
        one = fitted(file)
    assert one.name == "dinov2" and not heard.lines and one.record()["published"] is True and torch.equal(state, torch.get_rng_state())
    found = one.features(standins.pictures(3))
    assert found.shape == (3, 64) and torch.equal(found, one.features(standins.pictures(3)))


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    files = {name: tmp_path / f"{name}.pth" for name in ("junk", "list", "missing", "narrow", "extra", "code")}
    files["junk"].write_bytes(b"junk")
    torch.save([1, 2], files["list"])
    torch.save({name: values for name, values in random_weights(64, 1).items() if name != "norm.bias"}, files["missing"])
    torch.save(random_weights(48, 1), files["narrow"])
    torch.save(random_weights(64, 1) | {"register_tokens": torch.zeros(1, 4, 64)}, files["extra"])
    torch.save({"cls_token": Code()}, files["code"])
    for name, file in files.items():
        with pytest.raises(
            SettingsProblem, match=r"^--dinov2-weights: .*pth: cannot be used \(.+\); give dinov2_vitl14_pretrain.pth"
        ) as caught:
            fitted(file)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400, (name, str(caught.value))
    assert not (tmp_path / "ran").exists(), "a file of weights runs no code"
    points = ImageSet.of(torch.zeros(4, 1, 1, 2))
    with pytest.raises(DataProblem, match="the extractor 'dinov2' needs pictures; use 'pixels'"):
        DinoV2().fit(World("grid", points, points, ("a",)))
    with pytest.raises(
        WeightsProblem, match=r"cannot be fetched \(.*refused\); put dinov2_vitl14_pretrain.pth into .*weights, or give --dino"
    ):
        DinoV2().fit(standins.world())
