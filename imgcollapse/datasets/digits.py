"""The bundled digits: the data set that needs neither network nor disk."""

from typing import Literal

from imgcollapse.datasets.dataset import Dataset, split
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World

HELD_OUT = 599  # of 1,797: a third


class Digits(Dataset):
    """1,198 + 599 handwritten digits of 8x8 pixels, grey (Alpaydin & Kaynak 1998); bundled with scikit-learn."""

    kind: Literal["digits"] = "digits"

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 1, 8, 8]; the values 0..16 are spread over 0..255."""
        from sklearn.datasets import load_digits

        values, labels = load_digits(return_X_y=True)
        pixels = torch.from_numpy(values * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)
        train, held_out = split(ImageSet.of(pixels, torch.from_numpy(labels)), HELD_OUT, self.kind, *self.place(seed))
        by = {} if self.split == "fixed" else {"rule": "random", "seed": seed}
        return World(self.kind, train, held_out, tuple("0123456789"), by)
