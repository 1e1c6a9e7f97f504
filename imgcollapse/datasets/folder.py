"""A user's own pictures in class folders."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from imgcollapse.datasets.dataset import Dataset, problems_at
from imgcollapse.datasets.decoder import ALPHA, Alpha
from imgcollapse.datasets.pictures import SUFFIXES, Listed, is_picture, world_of
from imgcollapse.errors import DataProblem
from imgcollapse.images import World


class Folder(Dataset):
    """Your own pictures in class folders, PATH/CLASS/*.png (or jpg, bmp, webp, gif ...), all of one size."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1, description="folder of class folders, or of train and test (or val) with these")
    held_out: str | None = Field(None, min_length=1, description="folder with the same classes: the held-out part")
    held_out_share: float = Field(0.25, gt=0, lt=1, description="share held out where no folder is")
    alpha: Alpha = Field("refuse", description=ALPHA)

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, C, H, W], C = 1 if all pictures are grey, else 3; classes are the folders in order of their names.

        Folders inside a class folder belong to the class. A class folder may be a link; deeper links to folders are not
        followed, so that none leads in circles.
        """
        root = Path(self.path).expanduser()
        train, held_out = root, Path(self.held_out).expanduser() if self.held_out else None
        names = {folder.name for folder in _subfolders(root)}
        if held_out is None and names in ({"train", "test"}, {"train", "val"}):
            train, held_out = root / "train", root / max(names - {"train"})
        elif held_out is None and names == {"train", "test", "val"}:
            raise DataProblem(f"{root}: holds train, test and val; set path to its train, held_out to one of the others")
        classes, files = _list(train)
        kept = None
        if held_out is not None:
            if held_out.resolve() == train.resolve():
                raise DataProblem(f"{held_out}: is the training part too; set held_out to another folder")
            others, kept = _list(held_out)
            if others != classes:
                odd = min(set(others) ^ set(classes))
                raise DataProblem(f"{held_out}: has other classes than {train} ('{odd}'); give both the same folders")
        return world_of(self.kind, root.absolute().name, classes, files, kept, self.held_out_share, self.alpha)


def _list(root: Path) -> tuple[tuple[str, ...], list[Listed]]:
    folders = _subfolders(root)
    if not folders:
        raise DataProblem(f"{root}: holds no class folders; put the pictures into {root / 'CLASS'}")
    files: list[Listed] = []
    for label, folder in enumerate(folders):
        if root.resolve().is_relative_to(folder.resolve()):
            raise DataProblem(f"{folder}: is a link back to where it lies; remove the link")
        found = _pictures(folder)
        if not found:
            raise DataProblem(f"{folder}: holds no pictures ({', '.join(SUFFIXES)}); add some, or remove the folder")
        files += [Listed(str(file), label, file.read_bytes) for file in found]
    return tuple(folder.name for folder in folders), files


def _subfolders(root: Path) -> list[Path]:
    with problems_at(root, "name a folder that holds one folder of pictures for each class"):
        found = [entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(found, key=lambda entry: entry.name)


def _pictures(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:  # os.walk would pass over an unreadable folder without a word
        raise error

    with problems_at(folder, "make it readable, or remove it"):
        found = [Path(at, name).relative_to(folder) for at, _, names in os.walk(folder, onerror=fail) for name in names]
    return [folder / name for name in sorted(found, key=Path.as_posix) if is_picture(name)]
