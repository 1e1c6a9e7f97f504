"""What a model's work costs on this machine: operations counted, seconds measured on a little of the work, bytes of what is kept."""

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet
from imgcollapse.machine import timing
from imgcollapse.models import Likely
from imgcollapse.models.command import Command
from imgcollapse.models.network import Network
from imgcollapse.models.sampling import DiffusionSampling
from imgcollapse.training import Training, one_by_one

FEW = 4  # pictures of which operations are counted
LOOKED_AT = 1024  # pictures that a model which is no network learns from at first, to be timed
SHORT = 3  # evaluations a picture that are timed, where a sampler needs more


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of a network: of a training step, and of a picture drawn."""

    step: float
    picture: float


@dataclass(frozen=True)
class Work:
    """What a model's work costs here.

    operations: None of models that are no networks
    begin:      seconds of a fit that do not grow with it
    step:       seconds of a training step
    learned:    seconds of a fit for each picture learned from, of what is no network
    drawn:      seconds for a picture drawn
    likely:     seconds for a picture's likelihood; 0 of models that know none
    size:       bytes that are kept, and for each picture learned from
    """

    operations: Operations | None
    begin: float
    step: float
    learned: float
    drawn: float
    likely: float
    size: tuple[float, float]


def is_network(model: Any) -> bool:
    """Whether the model is trained step by step."""
    return isinstance(model, Training) and isinstance(model, Network)


def is_known(model: Any) -> bool:
    """Whether anything can be said of what the model's work costs; of a program, nothing can."""
    return not isinstance(model, Command)


def operations_of(model: Any, images: ImageSet) -> Operations:
    """Of a network that learns such pictures, after `for_world`: those of a step forward and back, counted on FEW pictures."""
    from torch.utils.flop_counter import FlopCounterMode

    few = images[:FEW]
    small = model.model_copy(update={"batch": len(few), "steps": 3})
    with FlopCounterMode(display=False) as counter, one_by_one():
        steps = timing.Steps(lambda: float(counter.get_total_flops()))
        steps.watch(lambda: small.fit(few, 0))
    short, times = _short(small)
    with FlopCounterMode(display=False) as drawing, one_by_one(), progress.watched_by(progress.Silent()):
        fitted = short.model_copy(update={"steps": 1}).fit(few, 0)
        before = drawing.get_total_flops()
        fitted.sample(len(few), 0)
        picture = times * (drawing.get_total_flops() - before) / len(few)
    return Operations(steps.grown * model.batch / len(few), picture)


def work_of(model: Any, images: ImageSet, draws: int = 1) -> Work:
    """Of a model that learns such pictures, after `for_world`; draws: of latent codes, for a likelihood. A second or two."""
    return _of_network(model, images, draws) if is_network(model) else _of_other(model, images, draws)


def _of_network(model: Any, images: ImageSet, draws: int) -> Work:
    steps = timing.Steps()
    steps.watch(lambda: model.fit(images, 0))
    short, times = _short(model)
    once, fitted = timing.seconds_of(lambda: short.model_copy(update={"steps": 1}).fit(images, 0))
    drawn = timing.seconds_each(lambda n: fitted.sample(n, 0), len(images)) * times
    size = float(sum(values.nbytes for values in fitted.weights().values()))
    begin = max(0.0, once - steps.seconds[0])
    return Work(operations_of(model, images), begin, steps.step, 0.0, drawn, _likely(fitted, images, draws), (size, 0.0))


def _of_other(model: Any, images: ImageSet, draws: int) -> Work:
    learned, fitted, n = 0.0, None, min(LOOKED_AT, len(images))
    while True:
        try:
            took, fitted = timing.seconds_of(partial(model.fit, images[:n], 0))
            learned = took / n
        except DataProblem:  # too few for it
            took = 0.0
        if took > timing.ENOUGH or n == len(images):
            break
        n = min(2 * n, len(images))
    if fitted is None:
        raise DataProblem(f"model '{model.kind}': {len(images)} pictures are too few for it")
    drawn = timing.seconds_each(lambda m: fitted.sample(m, 0), len(images), first=256)
    size, each = _kept(fitted), 0.0
    if n > 1:
        with suppress(DataProblem), progress.watched_by(progress.Silent()):
            each = max(0.0, size - _kept(model.fit(images[: n // 2], 0))) / (n - n // 2)  # of a model that remembers its pictures
    return Work(None, 0.0, 0.0, learned, drawn, _likely(fitted, images, draws), (max(0.0, size - n * each), each))


def _kept(fitted: Any) -> float:
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder))
        return float(sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()))


def _likely(fitted: Any, images: ImageSet, draws: int) -> float:
    if not isinstance(fitted, Likely):
        return 0.0
    return timing.seconds_each(lambda n: fitted.log_likelihood(images[:n], 0, draws), len(images))


def _short(model: Any) -> tuple[Any, float]:
    """The model as it draws in a few evaluations, and how many times as many it needs."""
    sampling = getattr(model, "sampling", None)
    if not isinstance(sampling, DiffusionSampling):
        return model, 1.0
    whole = sampling.evaluations(model.timesteps)
    if whole <= SHORT * (2 if sampling.guidance else 1):
        return model, 1.0
    short = sampling.model_copy(update={"sampler": "ddim", "steps": SHORT, "stop": 0.0, "anneal": 1.0})
    return model.model_copy(update={"sampling": short}), whole / short.evaluations(model.timesteps)
