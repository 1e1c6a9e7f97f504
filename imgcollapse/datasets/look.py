"""A look at the pictures that came out of the files, whatever the files were: what would falsify every number is refused or reported."""

from collections.abc import Iterator
from pathlib import Path

from imgcollapse import progress
from imgcollapse.datasets.names import shown
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, World, concatenate

CURE = "look at the files, and at how they were made"
MANY = 0.1  # of the training part: a larger share of copies is reported


def check_world(world: World) -> None:
    """Reports, a line each, which classes hold one picture again and again, which pictures stand in several classes or in both parts ...

    Raises DataProblem where all pictures of a part are the same, or every picture is of one value only.
    """
    for part, images in (("training", world.train), ("held-out", world.held_out)):
        if _are_equal(images.pixels):
            raise DataProblem(f"{world.name}: all {len(images):,} pictures of the {part} part are the same; {CURE}")
    for line in _warnings(world):
        progress.say(f"{world.name}: {line}")


def check_samples(path: Path, images: ImageSet) -> None:
    """Reports where all pictures of a set are the same or of one value only: a model may end so, and is scored all the same."""
    if _are_equal(images.pixels):
        progress.say(f"{path}: all its {len(images):,} pictures are the same")
    elif len(images) > 1 and _are_blank(images.pixels).all():
        progress.say(f"{path}: each of its {len(images):,} pictures is of one value only")


def _warnings(world: World) -> Iterator[str]:
    whole, n = concatenate((world.train, world.held_out)), len(world.train)
    names = [shown(name) for name in world.classes]
    blank = _are_blank(whole.pixels)
    if blank.all():
        raise DataProblem(f"{world.name}: each of its {len(whole):,} pictures is of one value only; {CURE}")
    if blank.any():
        first = names[whole.labels[blank][0]]
        yield f"{int(blank.sum()):,} of {len(whole):,} pictures are of one value only, the first of them in class '{first}'"

    different, which = _hashes(whole.pixels).unique(return_inverse=True)  # which: of the different pictures, each one's number
    lowest, highest = _range(which, whole.labels, len(world.classes))
    counts = whole.labels.bincount(minlength=len(world.classes))
    if same := [c for c in range(len(world.classes)) if counts[c] > 1 and lowest[c] == highest[c]]:
        classes = f"class '{names[same[0]]}'" + (f" and {len(same) - 1} other classes" if len(same) > 1 else "")
        yield f"all {int(counts[same[0]]):,} pictures of {classes} are the same"

    lowest, highest = _range(whole.labels, which, len(different))
    if len(several := (lowest != highest)[which].nonzero()):
        one, other = (names[ends[which[several[0, 0]]]] for ends in (lowest, highest))
        yield f"{len(several):,} of {len(whole):,} pictures stand in more than one class, such as in '{one}' and in '{other}'"

    learned = torch.zeros(len(different), dtype=torch.bool)
    learned[which[:n]] = True
    if shared := int(learned[which[n:]].sum()):
        share = f"{shared:,} of {len(world.held_out):,} held-out pictures ({100 * shared / len(world.held_out):.3g} %)"
        yield f"{share} are in the training part too, so copies of these pass for new pictures, and scores are too good"
    if (copies := n - int(learned.sum())) > MANY * n:
        yield f"{copies:,} of {n:,} training pictures are copies of others there"


def _are_equal(pixels: Tensor) -> bool:
    return len(pixels) > 1 and bool((pixels[-1] == pixels[0]).all()) and bool((pixels == pixels[:1]).all())


def _are_blank(pixels: Tensor) -> Tensor:
    """bool [N]: whether all pixels of a picture are of one colour. Points, and pictures of one pixel, are not blank."""
    flat = pixels.flatten(2).numpy()
    if pixels.dtype != torch.uint8 or flat.shape[2] == 1:
        return torch.zeros(len(pixels), dtype=torch.bool)
    return torch.from_numpy((flat.max(2) == flat.min(2)).all(1))


def _hashes(pixels: Tensor) -> Tensor:
    """int64 [N], equal for equal pictures: of this process alone, where `images.fingerprints` are the same everywhere."""
    return torch.tensor([hash(one.tobytes()) for one in pixels.flatten(1).numpy()], dtype=torch.int64)


def _range(values: Tensor, groups: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """int64 [n] each: the lowest and the highest of the values of each group; 0 for a group that has none."""
    empty = torch.zeros(n, dtype=torch.int64)
    lowest, highest = (empty.scatter_reduce(0, groups, values, how, include_self=False) for how in ("amin", "amax"))
    return lowest, highest
