"""Where the unfinished work of a generation is kept, so that what is killed in the middle of it goes on from there.

Ambient, as the machine is: whoever makes a generation names the place, and the training loop and the samplers that it calls keep there what
they have. None of it decides anything: what goes on ends as what was never killed, to the byte on the same machine.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imgcollapse.heavy import Tensor, torch
from imgcollapse.machine import devices
from imgcollapse.machine.cache import Checkpoint

LAYOUT = 1  # part of every key: raise it when what is kept, or how a fit goes on, changes
ENDS = ".safetensors"


@dataclass
class _Place:
    """Of one piece of work, `fit` or `draw`: the folder, what decides its outcome, where damage is set aside, and how often it trained or
    drew so far."""

    what: Literal["fit", "draw"]
    folder: Path
    key: str
    aside: Path
    calls: int = 0

    def next(self, what: str, more: str = "") -> Checkpoint | None:
        """Of its next training or drawing; of what it does beside (a stream is drawn while a model learns), None."""
        if what != self.what:
            return None
        number, here = self.calls, devices.current()
        self.calls += 1
        machine = f"{here.torch_device().type} {here.mixed_precision()} torch {torch.__version__}"
        key = f"{LAYOUT} {self.key} {what} {number} {more} {machine}"
        return Checkpoint(self.folder / f"{what}_{number}{ENDS}", key, 60 * here.checkpoint_every, self.aside)


_place: ContextVar[_Place | None] = ContextVar("place of unfinished work", default=None)


@contextmanager
def kept_in(what: Literal["fit", "draw"], folder: Path, key: str, aside: Path) -> Iterator[None]:
    """What is trained, or else drawn, in the block is kept in that folder every so often; a block with the same key goes on from there.

    key:   stands for all that decides the outcome, but for the machine
    aside: the folder in whose `set_aside` something damaged, or made for something else, is put
    """
    token = _place.set(_Place(what, folder, key, aside) if devices.current().checkpoint_every else None)
    try:
        yield
    finally:
        _place.reset(token)


def next_fit() -> Checkpoint | None:
    """Of the next training in that block; None where none is to be kept."""
    place = _place.get()
    return None if place is None else place.next("fit")


class Drawing:
    """Pictures that are drawn block by block, each block from random numbers of its own.

    blocks: by number, uint8 [N, C, H, W] on the CPU; at first what an earlier session has drawn of this very drawing
    """

    def __init__(self, n: int, seed: int) -> None:
        place = _place.get()
        self._checkpoint = None if place is None else place.next("draw", f"{n} {seed}")
        kept = (self._checkpoint.load() if self._checkpoint else None) or {}
        self.blocks = {int(name): pixels for name, pixels in kept.items()}

    def add(self, blocks: Mapping[int, Tensor]) -> None:
        """More of them, kept if it is time."""
        self.blocks.update(blocks)
        if self._checkpoint is not None and self._checkpoint.is_due():
            self._checkpoint.keep({str(number): pixels for number, pixels in self.blocks.items()})


def forget(folder: Path) -> None:
    """What was kept there is of no more use: the work is done, and kept itself."""
    with suppress(OSError):
        for path in [*folder.glob(f"fit_*{ENDS}"), *folder.glob(f"draw_*{ENDS}")]:
            path.unlink()
        folder.rmdir()
        folder.parent.rmdir()  # where nothing else is in it
