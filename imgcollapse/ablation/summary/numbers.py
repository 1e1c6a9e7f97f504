"""The numbers of an ablation: means, differences and collapse numbers over seeds, each with its interval."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from imgcollapse import store
from imgcollapse.ablation.comparisons import Difference
from imgcollapse.ablation.intervals import Interval, interval, paired
from imgcollapse.ablation.statistics import MedianTime, area, half_life, lost, median_time, slope
from imgcollapse.ablation.summary.table import Record, Run, real_of, unbroken
from imgcollapse.ablation.superiority import better_way, probability_better
from imgcollapse.metrics.classes import ALIVE
from imgcollapse.metrics.record import RealVsReal, Scores
from imgcollapse.metrics.score import ANY, Bounds, Counted, Quantity
from imgcollapse.metrics.scores import SCORES
from imgcollapse.store.judged import judges, own_judge, sources
from imgcollapse.study import Study

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class _Chain:
    """One metric of one run: generation -> value, in order, up to the first that is missing; real vs real, where it has that."""

    values: dict[int, float]
    real: RealVsReal | None

    @property
    def generations(self) -> list[int]:
        """Those that were judged, from 0 on."""
        return list(self.values)

    @property
    def series(self) -> list[float]:
        """The values in order."""
        return list(self.values.values())


Key = tuple[str, str | None]  # arm, null
Seeds = dict[int, _Chain]
Numbers = dict[str, float]  # of QUANTITIES
ByExtractor = dict[str, dict[str, Seeds]]  # extractor -> metric -> seed -> chain
Judged = dict[Key, ByExtractor]  # of every arm


def losses(scores: Sequence[Scores], study: Study | None = None) -> dict[str, dict[int, int]]:
    """Per extractor the classes that a single run has lost, and since which generation, the first to go first.

    `scores` are those of `imgcollapse.store.scores`; `study` says which generations are judged (None: all of them). A class that is not
    alive among as many real pictures either (in most splits) cannot be lost.
    """
    by_generation = {one.generation: one for one in scores if one.generation is not None}
    there = unbroken(by_generation, study)
    chain = [by_generation[generation] for generation in there]
    found: dict[str, dict[int, int]] = {}
    for extractor, first in chain[0].sources.items() if chain else ():
        at = {}
        for name in [name for name, alive in first.items() if name.startswith(ALIVE) and _is_alive(alive.real)]:
            time = lost([one.sources[extractor][name].value for one in chain], there)
            if time is not None and time.generation is not None:
                at[int(name.removeprefix(ALIVE))] = time.generation
        found[extractor] = dict(sorted(at.items(), key=lambda one: (one[1], one[0])))
    return found


def chains(runs: Sequence[Run], rows: Iterable[Mapping[str, Any]], wanted: Callable[[str], bool]) -> Judged:
    """Every chain of the metrics that are wanted."""
    by_place = {((run.arm, run.null), run.seed): run for run in runs}
    further = {run.folder: _further(run) for run in by_place.values()}
    there: dict[tuple[Key, str, str, int], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        if wanted(row["metric"]):
            place = (row["arm"], row["null"] or None), row["extractor"], row["metric"], row["seed"]
            there.setdefault(place, {})[row["generation"]] = row
    found: Judged = {}
    for (key, extractor, metric, seed), by_generation in there.items():
        run = by_place.get((key, seed))
        if run is not None and extractor in further[run.folder] and 0 in by_generation:
            chain = sorted(by_generation)  # which generations that judge was to look at, the study does not say
        else:
            chain = unbroken(by_generation, run.study if run else None)
        if chain:
            seeds = found.setdefault(key, {}).setdefault(extractor, {}).setdefault(metric, {})
            seeds[seed] = _Chain({g: by_generation[g]["value"] for g in chain}, real_of(by_generation[0]))
    return found


def _further(run: Run) -> set[str]:
    """The sources of judges that the study does not name: they may have looked at other generations than its own does."""
    if not (run.folder / store.STUDY).is_file():
        return set()
    own = own_judge(run.folder)
    named = sources(judges(run.folder)).items()
    return {source for (judge, _), source in named if judge != own} - {source for (judge, _), source in named if judge == own}


def arm_record(key: Key, runs: list[Run], judged: dict[str, dict[str, Seeds]], alive: dict[str, dict[str, Seeds]], method: str) -> Record:
    """An arm, or a null model under its regime, with all that its seeds have in `judged`; `alive`: which classes they have."""
    study = runs[0].study
    there: dict[Counted, int] = {"classes": max(map(len, alive.values()), default=0), "latents": getattr(study.model, "latent", 0)}
    seen = {seed for metrics in judged.values() for seeds in metrics.values() for seed in seeds}
    return {
        "arm": key[0],
        "null": key[1],
        "model": study.learner,
        "regime": study.regime.title(),
        "gens": study.gens,
        "planned": [run.seed for run in runs],
        "seeds": [run.seed for run in runs if run.seed in seen],
        "extractors": {
            source: {name: _metric(name, seeds, method, there) for name, seeds in metrics.items()} for source, metrics in judged.items()
        },
        "lost": {
            extractor: {name.removeprefix(ALIVE): _lost(seeds) for name, seeds in classes.items()} for extractor, classes in alive.items()
        },
    }


def _metric(name: str, seeds: Seeds, method: str, there: Mapping[Counted, int]) -> Record:
    through = max(one.generations[-1] for one in seeds.values())
    reached = [one for one in seeds.values() if one.generations[-1] == through]
    both = common(reached)
    whole = [_numbers(name, one, both) for one in reached]
    real = RealVsReal.mean_of([one.real for one in seeds.values()])
    record: Record = {"real": None if real is None else asdict(real), "by_generation": []}
    for generation in sorted(set().union(*(one.values for one in seeds.values()))):
        values = [one.values[generation] for one in seeds.values() if generation in one.values]
        record["by_generation"].append({"generation": generation, **span(interval(values, method, bounds=SCORES[name].bounds_in(there)))})
    for quantity in _quantities(real):
        over = interval([one[quantity] for one in whole if quantity in one], method, bounds=bounds_of(name, quantity, there))
        record[quantity] = {"generation": through, **span(over), "unit": _unit(name, quantity)}
    record["slope"]["scale"] = SCORES[name].scale
    if SCORES[name].halved:
        record["half"] = _when(median_time([half_life(one.series, one.generations) for one in seeds.values()]))
    return record


def difference_record(a: Key, b: Key, judged: Judged, method: str) -> Record:
    """a minus b, in all that both were judged by, and how probable it is that a is better."""
    extractors: dict[str, Record] = {}
    for extractor, metrics in judged[a].items():
        other = judged[b].get(extractor, {})
        both = {name: _apart(name, seeds, other[name], method) for name, seeds in metrics.items() if name in other}
        if found := {name: one for name, one in both.items() if one}:
            extractors[extractor] = found
    return {"arm": a[0], "null": a[1], "against": b[0], "against_null": b[1], "extractors": extractors}


def _apart(name: str, a: Seeds, b: Seeds, method: str) -> Record:
    """The differences a - b of one metric; empty where no seed is in both."""
    through, left, right = _both_sides(name, a, b)
    if not left:
        return {}
    real = RealVsReal.mean_of([side[seed].real for side in (a, b) for seed in left])
    record: Record = {}
    for quantity in _quantities(real):
        one, other = ({seed: found[quantity] for seed, found in side.items() if quantity in found} for side in (left, right))
        over = paired(one, other, method, bounds=bounds_of(name, quantity, {}))
        apart = Difference.of({seed: one[seed] - other[seed] for seed in sorted(one) if seed in other})
        better = probability_better(apart, better_way(name, quantity))
        record[quantity] = {"generation": through, **span(over), "unit": _unit(name, quantity), "probability_better": better}
    return record


def _both_sides(name: str, a: Seeds, b: Seeds) -> tuple[int, dict[int, Numbers], dict[int, Numbers]]:
    """What is compared of two arms, by seed: the last generation that some seed has in both, and the numbers of each side up to there.

    Only seeds count that have come as far on both sides, and only generations that all of them have.
    """
    last = {seed: common([a[seed], b[seed]])[-1] for seed in a if seed in b}  # both begin at generation 0
    through = max(last.values(), default=0)
    seeds = [seed for seed, reached in last.items() if reached == through]
    both = [g for g in common([side[seed] for side in (a, b) for seed in seeds]) if g <= through] if seeds else []
    left, right = ({seed: _numbers(name, side[seed], both) for seed in seeds} for side in (a, b))
    return through, left, right


def differences(name: str, a: Seeds, b: Seeds, quantity: Quantity) -> tuple[int, dict[int, float]]:
    """The last generation that some seed has in both, and by seed a - b there, or of their slopes or areas up to there."""
    through, left, right = _both_sides(name, a, b)
    there = sorted(seed for seed in left if quantity in left[seed] and quantity in right[seed])
    return through, {seed: left[seed][quantity] - right[seed][quantity] for seed in there}


def changes(name: str, seeds: Seeds, quantity: Quantity) -> tuple[int, dict[int, float]]:
    """How far an arm has come, and by seed its change by then: the last value minus that of generation 0, the slope, or the area."""
    through = max(one.generations[-1] for one in seeds.values())
    reached = {seed: one for seed, one in seeds.items() if one.generations[-1] == through}
    both = common(list(reached.values()))
    found = {seed: _numbers(name, one, both) for seed, one in reached.items()}
    from_first = {seed: one.values[0] if quantity == "last" else 0.0 for seed, one in reached.items()}
    return through, {seed: one[quantity] - from_first[seed] for seed, one in found.items() if quantity in one}


def common(chains: Sequence[_Chain]) -> list[int]:
    """The generations that all of them have, in order: runs are compared at no others."""
    return [g for g in chains[0].generations if all(g in one.values for one in chains)]


def _numbers(name: str, chain: _Chain, generations: Sequence[int]) -> Numbers:
    """The QUANTITIES of one run over these generations; without those that so few generations do not have."""
    values, score = [chain.values[generation] for generation in generations], SCORES[name]
    found = {"last": values[-1]}
    rise = slope(generations, values, score.scale)
    if rise is not None:
        found["slope"] = rise
    if len(generations) > 1 and chain.real is not None:
        found["area"] = area(generations, values, chain.real.mean, score.better)
    return found


def bounds_of(name: str, quantity: str, there: Mapping[Counted, int]) -> Bounds:
    """What a collapse number of that metric can be: a relative change is above -1; `there`: how many a study has of what is counted."""
    if quantity == "last":
        return SCORES[name].bounds_in(there)
    return (-1.0, None) if quantity == "slope" and SCORES[name].scale == "log" else ANY


def span(found: Interval) -> Record:
    """As plain JSON values."""
    return {**asdict(found), "values": list(found.values)}


def _unit(name: str, quantity: str) -> str:
    if quantity == "slope":
        return "relative change per generation" if SCORES[name].scale == "log" else f"{name} per generation"
    return f"{name} × generations" if quantity == "area" else name


def _lost(seeds: Seeds) -> Record:
    """When a class was lost; of seeds in which it is not alive among as many real pictures either, nothing can be said."""
    times = [lost(one.series, one.generations) if _is_alive(one.real) else None for one in seeds.values()]
    return _when(median_time(times, "nothing to lose"))


def _when(median: MedianTime) -> Record:
    reached = len(median.at)
    return {"generation": median.generation, "within": median.within, "reached": reached, "of": median.of, "words": median.words}


def _quantities(real: RealVsReal | None) -> Sequence[Quantity]:
    """Those of a metric: where it has no real-vs-real value, there is no area between the two."""
    return [quantity for quantity in QUANTITIES if real is not None or quantity != "area"]


def _is_alive(real: RealVsReal | None) -> bool:
    """Whether a class is alive among as many real pictures, in most splits."""
    return real is not None and real.mean > 0.5
