"""A run that will take long says so before it begins, and what would make it shorter."""

from collections.abc import Mapping, Sequence
from typing import Any

from imgcollapse import progress
from imgcollapse.ablation import ensemble
from imgcollapse.ablation.cost import Cost, cost_of
from imgcollapse.ablation.cost_shared import Shared, shared_cost
from imgcollapse.ablation.summary import Run
from imgcollapse.errors import Problem
from imgcollapse.images import World
from imgcollapse.interface.console import duration
from imgcollapse.machine import cache, devices
from imgcollapse.models import costs
from imgcollapse.models.sampling import DiffusionSampling
from imgcollapse.regimes import Real
from imgcollapse.study import Study, prepare

LONG = 3600.0  # seconds
WORTH = 0.05  # share of the time that a setting must save to be named
RATE = 1e10  # operations a second of a slow processor
PER_VALUE = 2.5e5  # operations of the largest default network for each value of a picture, forward
PER_PICTURE = 2e-3  # seconds for a picture learned from, by what is no network, and judged; meant as more than it takes
PER_PAIR = 2e-7  # seconds for a pair of pictures that a judge compares, likewise
EVALUATED = 20  # evaluations for a picture drawn, where the model does not say how many

Prepared = tuple[Study, World, Real]


def say_if_long(prepared: Prepared, done: int) -> float | None:
    """Says so where the generations that are left of a run take more than an hour. Measures only where a bound allows for that.

    Returns the seconds that they take; None where that was not measured.
    """
    study = prepared[0]
    left = study.gens - done
    if devices.launched() > 1 or not _may_be_long(prepared, left):
        return None
    with progress.part("measuring how long it will take"), cache.looking_only(), progress.watched_by(progress.Silent()):
        cost = cost_of(study, prepared=prepared)
    seconds = cost.first + sum(one.seconds for one in cost.generations[done:])
    if cost.generations and seconds > LONG:
        whole = f"this takes about {duration(seconds)} here, judging {duration(sum(one.judge for one in cost.generations[done:]))} of it"
        progress.say(_with_less(whole, seconds, savings(study, cost, done)))
    return seconds if cost.generations else None


def say_if_long_ablation(runs: Sequence[Run], jobs: int, threads: int) -> None:
    """The same of an ablation of which nothing is there yet; whether it may be long is told from its first run."""
    different = {run.folder: run for run in runs}
    if any(folder.exists() for folder in different):
        return
    with progress.part("measuring how long it will take"), cache.looking_only(), progress.watched_by(progress.Silent()):
        prepared = prepare(runs[0].study)
        if _bound(prepared, prepared[0].gens) * len(different) / jobs <= LONG:
            return
        cost = shared_cost(runs, jobs, threads)
    if cost.known and cost.seconds > LONG:
        whole = f"this takes about {duration(cost.seconds)} here with {cost.jobs} jobs, {cost.made:,} different generations"
        progress.say(_with_less(whole, cost.seconds, shared_savings(runs, cost)))


def savings(study: Study, cost: Cost, done: int = 0) -> dict[str, float]:
    """A setting with a smaller value, in words -> the seconds that it saves."""
    left = cost.generations[done:]
    half = max(1, len(left) // 2)
    found = {f"gens {done + half}": sum(one.seconds for one in left[half:])}
    steps, samples = int(getattr(study.model, "steps", 0)), study.samples or 0
    if steps > 1:
        found[f"model.steps {steps // 2}"] = sum(one.learn for one in left) / 2
    if samples > 1:
        found[f"samples {samples // 2}"] = sum(one.seconds - one.learn * bool(steps) for one in left) / 2
    found[f"judge.every {2 * study.judge.every}"] = sum(one.judge for one in left) / 2
    return found


def shared_savings(runs: Sequence[Run], cost: Shared) -> dict[str, float]:
    """The same of an ablation."""
    first, seeds = runs[0].study, {run.seed for run in runs}
    work = cost.learn + cost.draw + cost.judge
    found = {f"gens {max(1, first.gens // 2)}": cost.seconds * (1 - max(1, first.gens // 2) / first.gens)}
    if len(seeds) > 1:
        found[f"seeds {len(seeds) - 1}"] = cost.seconds / len(seeds)
    if (steps := int(getattr(first.model, "steps", 0))) > 1:
        found[f"model.steps {steps // 2}"] = cost.seconds * cost.learn / work / 2
    if first.samples and first.samples > 1:
        found[f"samples {first.samples // 2}"] = cost.seconds * (work - cost.learn * bool(steps)) / work / 2
    return found


def _with_less(whole: str, seconds: float, less: Mapping[str, float]) -> str:
    named = [f"{name} would save {duration(saved)}" for name, saved in less.items() if saved >= WORTH * seconds]
    return f"{whole}; {', '.join(named)}" if named else whole


def _may_be_long(prepared: Prepared, left: int) -> bool:
    """Whether it may take more than an hour on a slow processor: by the settings alone, and then by operations that are counted."""
    study, _, real = prepared
    if left <= 0 or _bound(prepared, left) <= LONG:
        return False
    parts = ensemble.chains_of(study) or [study]
    if not all(costs.is_network(one.model) for one in parts) or _others(prepared, left) > LONG:
        return True
    flop = 0.0
    for one in parts:
        try:
            count = costs.operations_of(one.model, real.seen)
        except (Problem, RuntimeError, ValueError):  # it is for the run to say
            return False
        model: Any = one.model
        streamed = model.steps * model.batch * study.regime.streams
        flop += left * (count.step * model.steps + count.picture * (study.drawn() + streamed))
    return flop / RATE + _others(prepared, left) > LONG


def _bound(prepared: Prepared, left: int) -> float:
    """Seconds that so many generations do not exceed, but on a very slow processor; nothing is computed for it."""
    study, world, _ = prepared
    values, flop = world.train.pixels[0].numel(), 0.0
    for one in ensemble.chains_of(study) or [study]:
        if costs.is_network(one.model):
            steps, batch = (int(getattr(one.model, name)) for name in ("steps", "batch"))
            model: Any = one.model
            each = (
                model.sampling.evaluations(model.timesteps)
                if isinstance(getattr(model, "sampling", None), DiffusionSampling)
                else EVALUATED
            )
            streamed = steps * batch * study.regime.streams
            flop += left * PER_VALUE * values * (3 * steps * batch + each * (study.drawn() + streamed))
    return flop / RATE + _others(prepared, left)


def _others(prepared: Prepared, left: int) -> float:
    """Seconds of what is no network, and of judging, likewise."""
    study, world, _ = prepared
    pictures = left * study.drawn() * PER_PICTURE * max(1.0, world.train.pixels[0].numel() / 784)
    return pictures + left * len(study.judge.extractors or ()) * PER_PAIR * (study.judge.n or 0) ** 2
