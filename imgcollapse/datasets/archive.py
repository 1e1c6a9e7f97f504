"""Zip archives of pictures, as NVlabs' dataset_tool writes them, or of class folders."""

import glob
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from imgcollapse.datasets.dataset import Dataset
from imgcollapse.datasets.decoder import ALPHA, Alpha
from imgcollapse.datasets.fitting import CROP, RESIZE, Crop, Fitting
from imgcollapse.datasets.labels import classed, parted
from imgcollapse.datasets.listing import of_archive
from imgcollapse.datasets.pictures import world_of
from imgcollapse.errors import DataProblem
from imgcollapse.files import expanded
from imgcollapse.images import World


class Archive(Dataset):
    """Zip archives of pictures, in class folders or with a dataset.json that lists their classes, as NVlabs' dataset_tool writes it."""

    kind: Literal["zip"] = "zip"
    path: str = Field(min_length=1, description="an archive, or a pattern for several, such as data/train-*.zip")
    held_out: str | None = Field(None, min_length=1, description="archive or pattern of the held-out part; none: a part of path")
    held_out_share: float = Field(0.25, gt=0, lt=1, description="share of each class that is held out, where there is no held-out archive")
    alpha: Alpha = Field("refuse", description=ALPHA)

    LATER: ClassVar[Sequence[str]] = (*Dataset.LATER, "crop", "resize")
    crop: Crop = Field(None, description=CROP)
    resize: PositiveInt | None = Field(None, description=RESIZE)

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, C, H, W], C = 1 if all pictures are grey, else 3; the classes are those of `classed`."""
        archives = _matches(self.path)
        others = _matches(self.held_out) if self.held_out else []
        for file in archives:
            if file.resolve() in {other.resolve() for other in others}:
                raise DataProblem(f"{file}: is in both parts; let path and held_out match different archives")
        stem = Path(self.path).stem.strip("*?-_. ")
        how = self.held_out_share, self.alpha, self.place(seed), Fitting(crop=self.crop, resize=self.resize)
        with ExitStack() as stack:
            if len(archives) == 1 and not others:
                train, other = parted(of_archive(archives[0], stack))
                return world_of(self.kind, stem, [train], [] if other is None else [other], *how)
            parts = [[classed(of_archive(file, stack)) for file in files] for files in (archives, others)]
            return world_of(self.kind, stem, parts[0], parts[1], *how)


def _matches(pattern: str) -> list[Path]:
    pattern = str(expanded(pattern))
    found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise DataProblem(f"{pattern}: no such archive; name one, or a pattern that matches some")
    return [Path(file) for file in found]
