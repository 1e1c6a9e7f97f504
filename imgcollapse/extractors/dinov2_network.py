"""The vision transformer that DINOv2's published weights belong to, to be read from their file and never trained here.

Dosovitskiy et al. 2021 with LayerScale (Touvron et al. 2021), as Oquab et al. 2023 use it. Module names are those in the file. The sizes
are read from the weights; a head is 64 wide in every published model.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD = 64
PATCH = 14
GRID = 224 // PATCH  # of the one size of pictures that it is given
OFFSET = 0.1  # added to the grid when positions are resized: the published code does so, and it moves the result


class VisionTransformer(nn.Module):
    """float32 [N, 3, 224, 224], normalised -> [N, D]: the class token after the last norm."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Raises ValueError, KeyError or RuntimeError for weights of another network."""
        super().__init__()
        dim = weights["cls_token"].shape[-1]
        if dim % HEAD:
            raise ValueError(f"its {dim} features are not a multiple of {HEAD}")
        depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        with torch.device("meta"):  # no values yet: the usual first ones would be drawn from the global generator
            self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.empty(weights["pos_embed"].shape))
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, PATCH, PATCH)})
            self.blocks = nn.ModuleList(_Block(dim, weights["blocks.0.mlp.fc1.weight"].shape[0]) for _ in range(depth))
            self.norm = nn.LayerNorm(dim, eps=1e-6)
        used = {name: values.float() for name, values in weights.items() if name != "mask_token"}  # masks are for training
        self.load_state_dict(used, assign=True)
        self.positions = nn.Buffer(_resized(self.pos_embed.detach()), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(pictures), -1, -1), patches], 1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])


class _Block(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, hidden), "fc2": nn.Linear(hidden, dim)})
        self.ls1 = nn.ParameterDict({"gamma": nn.Parameter(torch.empty(dim))})
        self.ls2 = nn.ParameterDict({"gamma": nn.Parameter(torch.empty(dim))})

    def forward(self, tokens: Tensor) -> Tensor:
        n, length, dim = tokens.shape
        query, key, value = self.attn["qkv"](self.norm1(tokens)).reshape(n, length, 3, dim // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(n, length, dim)
        tokens = tokens + self.ls1["gamma"] * self.attn["proj"](attended)
        return tokens + self.ls2["gamma"] * self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(tokens))))


def _resized(positions: Tensor) -> Tensor:
    """[1, 1 + M M, D] -> [1, 1 + 16 16, D]: the positions of the class token and of the patches of a picture of 224 pixels."""
    m, dim = round((positions.shape[1] - 1) ** 0.5), positions.shape[2]
    if m == GRID:
        return positions
    square = positions[:, 1:].reshape(1, m, m, dim).permute(0, 3, 1, 2)
    scale = (GRID + OFFSET) / m
    resized = functional.interpolate(square, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], 1)
