"""Several processes of one run (`accelerate launch`, `torchrun`): the first executes the study, the others help it learn and draw.

The run folder, the judge and the terminal belong to the first process alone. The others wait for what it tells them: to fit a model with
it, or to sample from the one just fitted. Only there do the functions below share work; everywhere else, and in a run of one process, each
is what its name says for one process. No result may depend on the number of processes, but for the rounding of sums.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from imgcollapse.errors import DataProblem, DivergedProblem, Problem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.heavy import distributed as dist
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.machine.learner import L, Learner

STEP = timedelta(minutes=30)  # the longest that processes wait for each other within a step of training
ORDER = timedelta(days=30)  # and for the next order, or for a block of pictures: the first process may judge for hours
GRACE = 5  # seconds that a process in trouble gives the first one to end it, so that what ends both is reported once
OVER, LEFT = "imgcollapse/over", "imgcollapse/left/"
MET_BY_ALL = (DataProblem, DivergedProblem)  # what a fit raises in every process at the same place


@dataclass
class _Team:
    """The processes of this run.

    rank:    this one's number; the first is 0
    size:    how many there are
    group:   over which the first tells the others what to do, and over which pictures come together (on the CPU)
    at_work: whether all of them are at one piece of work now
    fitted:  what they fitted last
    """

    rank: int
    size: int
    group: Any
    at_work: bool = False
    fitted: Any = None


@dataclass(frozen=True)
class _Fit:
    model: Any
    seed: int
    start: Any
    images: ImageSet | ImageStream  # a set without its contents, which follow the order


@dataclass(frozen=True)
class _Sample:
    n: int
    seed: int


_team: ContextVar[_Team | None] = ContextVar("team", default=None)


@contextmanager
def together() -> Iterator[bool]:
    """Joins the processes that were launched as one run. True in the first of them, which leads inside the block.

    In the others the block begins when the first has ended its own, and must do nothing. Whatever ends the first process, an error or a
    signal, ends the others as well. Without a launcher (`WORLD_SIZE` in the environment) there is one process.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        yield True
        return
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))  # the address that the launcher left in the environment
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=STEP)
    team = _Team(rank, size, dist.new_group(backend="gloo", timeout=ORDER))
    token = _team.set(team)
    try:
        if rank:
            _follow(team, store)
        yield rank == 0
    finally:
        _team.reset(token)
        if not team.at_work:
            if rank == 0:
                with suppress(Problem):
                    _order(team, None)
            dist.destroy_process_group()
        elif rank == 0:  # the others are in the middle of work that this one has left
            with suppress(RuntimeError):
                store.set(OVER, "")
                until = time.monotonic() + 1
                while not store.check([f"{LEFT}{other}" for other in range(1, size)]) and time.monotonic() < until:
                    time.sleep(0.05)  # the store may live in this process


def fit(model: L, images: ImageSet | ImageStream, seed: int, start: L | None = None) -> L:
    """`model.fit(images, seed, start)`, in which all processes of the run take part."""
    team = _team.get()
    if team is None:
        return model.fit(images, seed, start)
    with _at_work(team):
        _order(team, _Fit(model, seed, start, _empty(images, "meta") if isinstance(images, ImageSet) else images))
        if isinstance(images, ImageSet):
            _send(team, images)
        team.fitted = fitted = model.fit(images, seed, start)
    return fitted


def sample(model: Learner, n: int, seed: int) -> ImageSet:
    """`model.sample(n, seed)`, in which all processes of the run take part where they have fitted this very model together."""
    team = _team.get()
    if team is None or team.fitted is not model:
        return model.sample(n, seed)
    with _at_work(team):
        _order(team, _Sample(n, seed))
        return model.sample(n, seed)


def share() -> slice:
    """Which of the things that are to be done this process does: every `size`-th; all of them where it works alone."""
    team = _team.get()
    return slice(team.rank, None, team.size) if team is not None and team.at_work else slice(None)


def add_up(tensors: Sequence[Tensor]) -> None:
    """Puts in each tensor's place its sum over the processes that are at this work. Float tensors of one device; all get the same bits."""
    if (team := _team.get()) is None or not team.at_work:
        return
    whole = torch.cat([tensor.flatten() for tensor in tensors])
    with _linked():
        from accelerate.utils import reduce

        summed = reduce(whole, reduction="sum")
    for tensor, part in zip(tensors, summed.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def told(tensors: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    """What the first process gives, in all that are at this work. Tensors on the CPU."""
    team = _team.get()
    if team is None or not team.at_work:
        return tensors
    given = [tensors]
    with _linked():
        dist.broadcast_object_list(given, src=0, group=team.group)
    return given[0]


def put_together(drawn: Mapping[int, Tensor]) -> Tensor:
    """One tensor of the numbered blocks (on the CPU) that all processes at this work have drawn, in the order of their numbers."""
    team = _team.get()
    parts: list[Mapping[int, Tensor]] = [drawn]
    if team is not None and team.at_work:
        parts = [{}] * team.size
        with _linked():
            dist.all_gather_object(parts, dict(drawn), group=team.group)
    blocks = {number: block for part in parts for number, block in part.items()}
    return torch.cat([blocks[number] for number in sorted(blocks)])


def _follow(team: _Team, store: Any) -> None:
    """Does what the first process tells, until it says that it has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the first process hears them too, and lets the others go
    ended = threading.Event()
    watch = threading.Thread(target=_leave_with_the_first, args=(store.clone(), team.rank, ended), daemon=True)
    watch.start()
    try:
        while (order := _order(team)) is not None:
            with suppress(*MET_BY_ALL):  # the first process has met it too, and says it
                _help(team, order)
    except Exception:
        time.sleep(GRACE)
        raise
    finally:
        ended.set()
        watch.join()


def _help(team: _Team, order: _Fit | _Sample) -> None:
    with _at_work(team):
        match order:
            case _Fit(model, seed, start, images):
                if isinstance(images, ImageSet):
                    _send(team, images := _empty(images, "cpu"))
                team.fitted = model.fit(images, seed, start)
            case _Sample(n, seed):
                team.fitted.sample(n, seed)


def _leave_with_the_first(store: Any, rank: int, ended: threading.Event) -> None:
    """Ends this process when the first one has left it in the middle of work; a collective operation cannot be interrupted otherwise."""
    while not ended.wait(0.2):
        try:
            if not store.check([OVER]):
                continue
            store.set(f"{LEFT}{rank}", "")
        except RuntimeError:
            pass  # the first process is gone, and the store with it
        if not ended.is_set():
            os._exit(0)  # what went wrong is the first process's to say


@contextmanager
def _at_work(team: _Team) -> Iterator[None]:
    team.at_work = True
    try:
        yield
    except MET_BY_ALL:
        team.at_work = False  # all processes have left the work, and are ready for the next
        raise
    team.at_work = False


def _order(team: _Team, order: _Fit | _Sample | None = None) -> _Fit | _Sample | None:
    """What the first process tells all others to do; None: nothing more. What the others give is not read."""
    orders: list[Any] = [order]
    with _linked():
        dist.broadcast_object_list(orders, src=0, group=team.group)
    return orders[0]


def _empty(images: ImageSet, device: str) -> ImageSet:
    """As many pictures of that shape, with anything in them; on the device `meta` with nothing."""
    return ImageSet(*(torch.empty_like(part, device=device) for part in (images.pixels, images.labels, images.born)))


def _send(team: _Team, images: ImageSet) -> None:
    """From the first process into the others' tensors."""
    with _linked():
        for part in (images.pixels, images.labels, images.born):
            dist.broadcast(part.contiguous(), src=0, group=team.group)


@contextmanager
def _linked() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a connection that was closed at its other end
        raise Problem("processes: one of this run's processes ended before the others; see what it said, then run it again") from error
