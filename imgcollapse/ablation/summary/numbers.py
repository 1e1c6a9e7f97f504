"""The summary of an ablation: means, differences and collapse numbers over seeds, each with its interval."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from typing import Any, get_args

from imgcollapse.ablation.statistics import METHODS, MedianTime, area, half_life, interval, lost, median_time, paired, slope
from imgcollapse.ablation.summary.table import Record, Run
from imgcollapse.errors import SettingsProblem
from imgcollapse.metrics.classes import ALIVE
from imgcollapse.metrics.record import Scores
from imgcollapse.metrics.score import Quantity
from imgcollapse.metrics.scores import SCORES

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class _Chain:
    """One metric of one run: the values of generations 0, 1, 2, ... up to the first that is missing, and the floor where it has one."""

    values: list[float]
    floor: float | None


_Key = tuple[str, str | None]  # arm, null
_Seeds = dict[int, _Chain]
_Judged = dict[_Key, dict[str, dict[str, _Seeds]]]  # arm -> extractor -> metric -> seed -> chain


def summarise(runs: Sequence[Run], rows: Iterable[Mapping[str, Any]], reference: str | None = None, method: str = "t") -> Record:
    """The summary of an ablation, as the head of `imgcollapse/summary/__init__.py` describes it.

    `rows` are those of `rows(runs)`. The reference is the first arm where none is named. Raises SettingsProblem for a reference that is no
    arm, and for an unknown method.
    """
    planned: dict[_Key, list[Run]] = {}
    for run in runs:
        planned.setdefault((run.arm, run.null), []).append(run)
    names = list(dict.fromkeys(arm for arm, _ in planned))
    reference = names[0] if reference is None and names else reference
    if method not in METHODS:
        raise SettingsProblem(f"interval: '{method}' is unknown; there are: {', '.join(METHODS)}")
    if reference not in names:
        raise SettingsProblem(f"reference: there is no arm '{reference}'; there are: {', '.join(names) or 'none'}")
    table = list(rows)
    judged, alive = _judged(table, SCORES.__contains__), _judged(table, lambda name: name.startswith(ALIVE))
    pairs: list[tuple[_Key, _Key]] = [((arm, None), (reference, None)) for arm in names if arm != reference]
    pairs += [((arm, None), (arm, null)) for arm, null in planned if null is not None]
    return {
        "method": f"95 % intervals by {METHODS[method]}; differences paired by seed",
        "reference": reference,
        "arms": [_arm(key, members, judged.get(key, {}), alive.get(key, {}), method) for key, members in planned.items()],
        "differences": [_difference(a, b, judged, method) for a, b in pairs if a in judged and b in judged],
    }


def losses(scores: Sequence[Scores]) -> dict[str, dict[int, int]]:
    """Per extractor the classes that a single run has lost, and since which generation, the first to go first.

    `scores` are those of `imgcollapse.store.scores`. A class that is not alive among real pictures either (in the floor) cannot be lost.
    """
    chain = [one for place, one in enumerate(scores) if one.generation == place]
    found: dict[str, dict[int, int]] = {}
    for extractor, first in chain[0].sources.items() if chain else ():
        at = {}
        for name in [name for name, alive in first.items() if name.startswith(ALIVE) and alive.floor]:
            time = lost([one.sources[extractor][name].value for one in chain])
            if time is not None and time.generation is not None:
                at[int(name.removeprefix(ALIVE))] = time.generation
        found[extractor] = dict(sorted(at.items(), key=lambda one: (one[1], one[0])))
    return found


def _judged(rows: Iterable[Mapping[str, Any]], wanted: Callable[[str], bool]) -> _Judged:
    there: dict[tuple[_Key, str, str, int], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        if wanted(row["metric"]):
            place = (row["arm"], row["null"] or None), row["extractor"], row["metric"], row["seed"]
            there.setdefault(place, {})[row["generation"]] = row
    found: _Judged = {}
    for (key, extractor, metric, seed), by_generation in there.items():
        chain = [by_generation[generation] for generation in takewhile(by_generation.__contains__, count())]
        if chain:
            seeds = found.setdefault(key, {}).setdefault(extractor, {}).setdefault(metric, {})
            seeds[seed] = _Chain([row["value"] for row in chain], chain[0]["floor"])
    return found


def _arm(key: _Key, runs: list[Run], judged: dict[str, dict[str, _Seeds]], alive: dict[str, dict[str, _Seeds]], method: str) -> Record:
    study = runs[0].study
    seen = {seed for metrics in judged.values() for seeds in metrics.values() for seed in seeds}
    return {
        "arm": key[0],
        "null": key[1],
        "model": study.model.kind,
        "regime": study.regime.title(),
        "gens": study.gens,
        "planned": [run.seed for run in runs],
        "seeds": [run.seed for run in runs if run.seed in seen],
        "extractors": {
            extractor: {name: _metric(name, seeds, method) for name, seeds in metrics.items()} for extractor, metrics in judged.items()
        },
        "lost": {
            extractor: {name.removeprefix(ALIVE): _lost(seeds) for name, seeds in classes.items()} for extractor, classes in alive.items()
        },
    }


def _metric(name: str, seeds: _Seeds, method: str) -> Record:
    through = max(len(one.values) for one in seeds.values()) - 1
    whole = [_numbers(name, one, through) for one in seeds.values() if len(one.values) > through]
    record: Record = {"floor": _mean([one.floor for one in seeds.values()]), "by_generation": []}
    for generation in range(through + 1):
        values = [one.values[generation] for one in seeds.values() if len(one.values) > generation]
        record["by_generation"].append({"generation": generation, **asdict(interval(values, method))})
    for quantity in _quantities(record["floor"]):
        over = interval([one[quantity] for one in whole if quantity in one], method)
        record[quantity] = {"generation": through, **asdict(over), "unit": _unit(name, quantity)}
    record["slope"]["scale"] = SCORES[name].scale
    if SCORES[name].halved:
        record["half"] = _when(median_time([half_life(one.values) for one in seeds.values()]))
    return record


def _difference(a: _Key, b: _Key, judged: _Judged, method: str) -> Record:
    extractors: dict[str, Record] = {}
    for extractor, metrics in judged[a].items():
        other = judged[b].get(extractor, {})
        both = {name: _apart(name, seeds, other[name], method) for name, seeds in metrics.items() if name in other}
        if found := {name: one for name, one in both.items() if one}:
            extractors[extractor] = found
    return {"arm": a[0], "null": a[1], "against": b[0], "against_null": b[1], "extractors": extractors}


def _apart(name: str, a: _Seeds, b: _Seeds, method: str) -> Record:
    """The differences a - b of one metric; empty where no seed is in both."""
    lengths = {seed: min(len(a[seed].values), len(b[seed].values)) for seed in a if seed in b}
    if not lengths:
        return {}
    through = max(lengths.values()) - 1
    seeds = [seed for seed, length in lengths.items() if length > through]
    numbers = [{seed: _numbers(name, side[seed], through) for seed in seeds} for side in (a, b)]
    floor = _mean([side[seed].floor for side in (a, b) for seed in seeds])
    record: Record = {}
    for quantity in _quantities(floor):
        left, right = ({seed: one[quantity] for seed, one in side.items() if quantity in one} for side in numbers)
        over = paired(left, right, method)
        relative = quantity == "slope" and SCORES[name].scale == "log"
        known = floor is not None and floor > 0 and not relative
        in_floors = {part: _divided(getattr(over, part), floor) for part in ("mean", "low", "high")} if known else None
        record[quantity] = {"generation": through, **asdict(over), "unit": _unit(name, quantity), "in_floors": in_floors}
    return record


def _numbers(name: str, chain: _Chain, through: int) -> dict[str, float]:
    """The QUANTITIES of one run over generations 0 to `through`; without those that so few generations do not have."""
    values, score = chain.values[: through + 1], SCORES[name]
    found = {"last": values[through]}
    rise = slope(range(through + 1), values, score.scale)
    if rise is not None:
        found["slope"] = rise
    if through and chain.floor is not None:
        found["area"] = area(range(through + 1), values, chain.floor, score.better)
    return found


def _unit(name: str, quantity: str) -> str:
    if quantity == "slope":
        return "relative change per generation" if SCORES[name].scale == "log" else f"{name} per generation"
    return f"{name} × generations" if quantity == "area" else name


def _lost(seeds: _Seeds) -> Record:
    """When a class was lost; of seeds in whose floor it is not alive either, nothing can be said."""
    return _when(median_time([lost(one.values) if one.floor else None for one in seeds.values()], "nothing to lose"))


def _when(median: MedianTime) -> Record:
    return {
        "generation": median.generation,
        "within": median.within,
        "reached": len(median.at),
        "of": median.of,
        "words": median.words,
    }


def _quantities(floor: float | None) -> Sequence[Quantity]:
    """Those of a metric with that floor: without one, no area lies above it."""
    return [quantity for quantity in QUANTITIES if floor is not None or quantity != "area"]


def _mean(floors: list[float | None]) -> float | None:
    """None where any of them is."""
    known = [floor for floor in floors if floor is not None]
    return math.fsum(known) / len(known) if len(known) == len(floors) else None


def _divided(value: float | None, floor: float | None) -> float | None:
    return None if value is None or floor is None else value / floor
