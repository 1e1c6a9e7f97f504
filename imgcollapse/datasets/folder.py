"""A user's own pictures in class folders."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from imgcollapse.datasets.dataset import Dataset
from imgcollapse.datasets.decoder import ALPHA, Alpha
from imgcollapse.datasets.fitting import CROP, RESIZE, Crop, Fitting
from imgcollapse.datasets.labels import classed, parted
from imgcollapse.datasets.listing import of_folder
from imgcollapse.datasets.pictures import world_of
from imgcollapse.errors import DataProblem
from imgcollapse.files import expanded
from imgcollapse.images import World


class Folder(Dataset):
    """Your own pictures in class folders, PATH/CLASS/*.png (or jpg, bmp, webp, gif ...), or without classes, PATH/*.png."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1, description="folder of class folders, or of folders train and test (or val) that hold class folders")
    held_out: str | None = Field(None, min_length=1, description="folder of the held-out part, with the same classes; none: a part of path")
    held_out_share: float = Field(0.25, gt=0, lt=1, description="share of each class that is held out, where there is no held-out folder")
    alpha: Alpha = Field("refuse", description=ALPHA)

    LATER: ClassVar[Sequence[str]] = (*Dataset.LATER, "crop", "resize")
    crop: Crop = Field(None, description=CROP)
    resize: PositiveInt | None = Field(None, description=RESIZE)

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, C, H, W], C = 1 if all pictures are grey, else 3; the classes are those of `classed`."""
        root = expanded(self.path)
        if self.held_out is None:
            train, other = parted(of_folder(root))
        else:
            place = expanded(self.held_out)
            train, other = classed(of_folder(root)), classed(of_folder(place))
            if place.resolve() == root.resolve():
                raise DataProblem(f"{place}: is the training part too; set held_out to another folder")
        return world_of(
            self.kind,
            (root.resolve() if root.name in ("", "..") else root).name,  # of `.` and `..`, the real folder's
            [train],
            [] if other is None else [other],
            self.held_out_share,
            self.alpha,
            self.place(seed),
            Fitting(crop=self.crop, resize=self.resize),
        )
