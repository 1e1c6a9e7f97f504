"""How often intervals over seeds hold the truth, and how often what is concluded from them is wrong: the tables of docs/statistics.md.

OMP_NUM_THREADS=1 python scripts/coverage.py        prints the tables; about fifteen minutes on one core, the same numbers every time
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray

from imgcollapse.ablation.comparisons import MOST_SEEDS, Difference, holm_levels, seeds_needed, verdict
from imgcollapse.ablation.grid import PILOT
from imgcollapse.ablation.intervals import LEVEL, interval, paired
from imgcollapse.ablation.rate import STEPS, fitted_rate
from imgcollapse.ablation.superiority import probability_better
from imgcollapse.ablation.warning import leaves
from imgcollapse.judges.real import over_splits, taken
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.distances import frechet_distance
from imgcollapse.metrics.neighbours import neighbourhood
from imgcollapse.metrics.score import ANY, POSITIVE, UNIT, Bounds

SEEDS = (3, 5, 10)
DRAWS, RESAMPLED = 20_000, 1_000  # of a cell; the bootstrap takes a few milliseconds for each
Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


class Case(NamedTuple):
    """Values over seeds: how they are called, drawn, what they are on average, and what they can be."""

    name: str
    draw: Draw
    mean: float
    bounds: Bounds


def _beta(name: str, a: float, b: float) -> Case:
    return Case(f"{name}: beta({a:g}, {b:g})", lambda chance, shape: chance.beta(a, b, shape), a / (a + b), UNIT)


def _lognormal(name: str, spread: float) -> Case:
    return Case(
        f"{name}: lognormal, σ = {spread:g}", lambda chance, shape: chance.lognormal(0, spread, shape), np.exp(spread**2 / 2), POSITIVE
    )


CASES = [
    Case("normal", lambda chance, shape: chance.normal(0, 1, shape), 0.0, ANY),
    _lognormal("distance, skewed", 0.5),
    _lognormal("distance, very skewed", 1.0),
    _beta("share in the middle", 8, 8),
    _beta("share near 0.8", 8, 2),
    _beta("share near 1", 30, 1),
    _beta("share near 0", 0.5, 4.5),
]
METHODS = {"t": ("t", True), "t, not transformed": ("t", False), "bootstrap": ("bootstrap", True)}  # column -> method, within bounds


def of_means(case: Case, column: str, n: int, draws: int) -> float:
    """How often the interval of a mean over n seeds holds the expectation."""
    method, within = METHODS[column]
    found = (
        interval(values, method, bounds=case.bounds if within else ANY)
        for values in case.draw(np.random.default_rng([n, len(case.name)]), (draws, n))
    )
    return _share(one.low is not None and one.high is not None and one.low <= case.mean <= one.high for one in found)


PAIRS = [(CASES[0], CASES[0]), (CASES[1], CASES[2]), (CASES[4], CASES[6]), (CASES[5], CASES[6])]


def of_differences(one: Case, other: Case, n: int, draws: int) -> float:
    """How often the interval of a paired difference of two arms holds the difference of their expectations."""
    chance, truth, held = np.random.default_rng([n, len(one.name), len(other.name)]), one.mean - other.mean, 0
    for a, b in zip(one.draw(chance, (draws, n)), other.draw(chance, (draws, n)), strict=True):
        found = paired(dict(enumerate(a)), dict(enumerate(b)), bounds=one.bounds)
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return held / draws


ARMS = 6  # compared with a reference
EFFECTS = {"no arm differs": (0.0,) * ARMS, "three of six differ": (0.0,) * 3 + (2.0,) * 3, "all differ": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)}


def of_comparisons(effects: Sequence[float], n: int, draws: int) -> tuple[float, float, float]:
    """Of arms with these effects, in standard deviations of a seed, against one reference: how often Holm's procedure says of any arm that
    it differs which does not, or that it differs the wrong way; how often plain 95 % intervals do; how often an adjusted interval holds."""
    chance, wrong, plain, held = np.random.default_rng([n, len(effects)]), 0, 0, 0
    for _ in range(draws):
        reference = chance.standard_normal(n)
        apart = [Difference.of(dict(enumerate(effect + chance.standard_normal(n) - reference))) for effect in effects]
        levels = holm_levels([one.chance for one in apart])
        adjusted = [one.interval(level) for one, level in zip(apart, levels, strict=True)]
        wrong += any(_wrong(verdict(found, None), effect) for found, effect in zip(adjusted, effects, strict=True))
        plain += any(_wrong(verdict(one.interval(LEVEL), None), effect) for one, effect in zip(apart, effects, strict=True))
        held += sum(found.low <= effect <= found.high for found, effect in zip(adjusted, effects, strict=True))
    return wrong / draws, plain / draws, held / draws / len(effects)


def _wrong(said: str, effect: float) -> bool:
    return (said == "higher" and effect <= 0) or (said == "lower" and effect >= 0)


def of_sameness(effect: float, spread: float, n: int, draws: int) -> float:
    """How often a difference of `effect` margins, whose seeds have a standard deviation of `spread` margins, is called the same."""
    values = np.random.default_rng(n).normal(effect, spread, (draws, n))
    return _share(verdict(Difference.of(dict(enumerate(one))).interval(LEVEL), 1.0) == "same" for one in values)


APART = [
    Case("normal", lambda chance, shape: chance.normal(0, 1, shape), 0.0, ANY),
    Case("skewed: lognormal, σ = 0.5", lambda chance, shape: chance.lognormal(0, 0.5, shape) / 0.604 - np.exp(0.125) / 0.604, 0.0, ANY),
    Case(
        "bounded: of beta(8, 2) and beta(2, 8)",
        lambda chance, shape: (chance.beta(8, 2, shape) - chance.beta(2, 8, shape)) / 0.1706,
        0.6 / 0.1706,
        ANY,
    ),
]  # of about one standard deviation 1


def of_added_seeds(case: Case, half: float, draws: int) -> tuple[float, float, float, float]:
    """Seeds added until a difference is known to ± `half` standard deviations: how often the interval holds it, by Stein's two stages, by
    Student's t over the same seeds, and by Student's t of one seed more at a time until it is narrow enough; and Stein's seeds on average.
    """
    held, plain, naive, seeds = 0, 0, 0, 0
    for values in case.draw(np.random.default_rng([7, len(case.name)]), (draws, MOST_SEEDS)):
        n = seeds_needed(values[:PILOT].tolist(), half)
        by_seed = dict(enumerate(values[:n].tolist()))
        found = [Difference.of(by_seed, range(PILOT)).interval(LEVEL), Difference.of(by_seed).interval(LEVEL)]
        one_more = (Difference.of(dict(enumerate(values[:count].tolist()))).interval(LEVEL) for count in range(3, MOST_SEEDS + 1))
        found.append(next(one for one in one_more if one.high - one.mean <= half or one.n == MOST_SEEDS))
        inside = [one.low <= case.mean <= one.high for one in found]
        held, plain, naive, seeds = held + inside[0], plain + inside[1], naive + inside[2], seeds + n
    return held / draws, plain / draws, naive / draws, seeds / draws


BINS = (0.5, 0.7, 0.9, 0.975, 1.0)
SIZES = {"any size": None, "normal, as large as a seed's spread": 1.0, "normal, half as large": 0.5, "none": 0.0}  # true differences


def of_superiority(size: float | None, n: int, draws: int) -> tuple[list[float], list[float]]:
    """Of paired differences of n seeds whose P(better), for the side that it favours, lies in each of BINS: what it is on average, and how
    often that side is the better one (of true differences of 0, instead: how often it lies there).

    size: standard deviation of the true differences, in standard deviations of a seed; None: any size, every order of magnitude alike, and
    so for the spread, which is what P(better) supposes.
    """
    chance = np.random.default_rng([n, 11])
    if size is None:
        many = 60 * draws
        spread, truth = np.exp(chance.uniform(-3.5, 3.5, many)), chance.uniform(-40, 40, many)
    else:
        spread, truth = np.ones(draws), chance.normal(0, size, draws)
    values = truth[:, None] + spread[:, None] * chance.standard_normal((len(truth), n))
    if size is None:  # those far from the ends of what was drawn
        middle = (np.abs(np.log(values.std(1, ddof=1))) < 0.7) & (np.abs(values.mean(1)) < 6)
        values, truth = values[middle], truth[middle]
    said = np.array([probability_better(Difference.of(dict(enumerate(one))), "higher") for one in values.tolist()])
    right, sure = np.where(said > 0.5, truth > 0, truth < 0), np.maximum(said, 1 - said)
    inside = [(low <= sure) & (sure < high) for low, high in itertools.pairwise((*BINS[:-1], 1.1))]
    return [float(sure[one].mean()) for one in inside], [float(one.mean() if size == 0 else right[one].mean()) for one in inside]


WATCHED, DIMENSIONS, PICTURES = ("fd", "recall", "coverage"), 8, 100


def of_warnings(gens: int, chains: int) -> dict[str, tuple[float, float, float]]:
    """Of a generator that draws new real pictures in every generation, score by score: how often any generation lies outside of real vs
    real, how often the last one does, and how often the score is said to have left it for good."""
    found: dict[str, list[tuple[bool, bool, bool]]] = {name: [] for name in WATCHED}
    for chain in range(chains):
        chance = np.random.default_rng([chain, 13])

        def drawn(count: int, chance: np.random.Generator = chance) -> torch.Tensor:
            return torch.from_numpy(chance.standard_normal((count, DIMENSIONS)))

        unseen = FeatureSet(drawn(2 * PICTURES))
        held_out = unseen.first(PICTURES)

        def measure(made: FeatureSet, of: FeatureSet) -> dict[str, float]:
            evidence = Evidence(of, of, made)
            return frechet_distance(evidence) | neighbourhood(evidence)

        real = over_splits(2 * PICTURES, PICTURES, lambda a, b, _, all_of=unseen: measure(taken(all_of, a), taken(all_of, b)))
        series = [measure(FeatureSet(drawn(PICTURES)), held_out) for _ in range(gens)]
        for name in WATCHED:
            values = [one[name] for one in series]
            outside = [not real[name].low <= value <= real[name].high for value in values]
            found[name].append((any(outside), outside[-1], leaves(values, range(gens), real[name]).side != 0))
    return {name: tuple(np.mean(of_name, axis=0).tolist()) for name, of_name in found.items()}


def of_rates(rate: float, noise: float, n: int, draws: int) -> tuple[float, float, float]:
    """How often the interval of a rate of approach over ten generations holds it, leaves out a straight line, and says nothing at all.

    noise: of every value, as a share of the whole way; normal, with a correlation of 0.8 from one generation of a seed to the next.
    """
    chance, generations = np.random.default_rng([11, n]), np.arange(10)
    held, bent, nothing = 0, 0, 0
    for _ in range(draws):
        values = chance.standard_normal((n, 10))
        for g in generations[1:]:
            values[:, g] = 0.8 * values[:, g - 1] + 0.6 * values[:, g]
        found = fitted_rate(tuple(range(10)), 1 - (1 - rate) ** generations + noise * values)
        if found.low is not None and found.high is not None:
            held += found.low - 1 / STEPS <= rate <= found.high + 1 / STEPS
            bent, nothing = bent + (found.low > 0), nothing + ((found.low, found.high) == (0, 1))
    return held / draws, bent / draws, nothing / draws


def _share(held: object) -> float:
    return float(np.mean(list(held)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for cells in (head, ["---"] * len(head), *rows):
        click.echo(f"| {' | '.join(cells)} |")
    click.echo()


@click.command()
def main() -> None:
    """Prints the tables."""
    columns = [(column, n) for column in METHODS for n in SEEDS]
    head = ["values", *(f"{column}, n = {n}" for column, n in columns)]
    draws = {column: RESAMPLED if method == "bootstrap" else DRAWS for column, (method, _) in METHODS.items()}
    _table(head, [[case.name, *(f"{of_means(case, column, n, draws[column]):.3f}" for column, n in columns)] for case in CASES])
    rows = [[f"{a.name} minus {b.name}", *(f"{of_differences(a, b, n, DRAWS):.3f}" for n in SEEDS)] for a, b in PAIRS]
    _table(["paired differences", *(f"n = {n}" for n in SEEDS)], rows)
    head = ["six arms", *(f"{what}, n = {n}" for n in SEEDS for what in ("Holm wrong", "unadjusted wrong", "interval holds"))]
    _table(
        head,
        [[name, *(f"{one:.3f}" for n in SEEDS for one in of_comparisons(effects, n, DRAWS // 5))] for name, effects in EFFECTS.items()],
    )
    cases = [(1.0, 0.3), (1.0, 1.0), (0.0, 0.3), (0.0, 1.0)]
    rows = [[f"{effect:g}", f"{spread:g}", *(f"{of_sameness(effect, spread, n, DRAWS):.3f}" for n in SEEDS)] for effect, spread in cases]
    _table(["difference / margin", "standard deviation / margin", *(f"called the same, n = {n}" for n in SEEDS)], rows)
    rows = [
        [case.name, f"{half:g}", *(f"{one:.3f}" for one in found[:3]), f"{found[3]:.1f}"]
        for case in APART
        for half in (0.5, 0.75, 1.0)
        for found in [of_added_seeds(case, half, DRAWS // 10)]
    ]
    _table(
        ["differences", "half-width / standard deviation", "Stein", "t over the same seeds", "t, one seed more at a time", "seeds"], rows
    )
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(BINS)]
    told = {name: [of_superiority(size, n, DRAWS // 4) for n in SEEDS] for name, size in SIZES.items()}
    rows = [["(what it says)", *(f"{one:.3f}" for says, _ in told["any size"] for one in says)]]
    rows += [[name, *(f"{one:.3f}" for _, right in found for one in right)] for name, found in told.items()]
    _table(["true differences", *(f"{where}, n = {n}" for n in SEEDS for where in between)], rows)
    rows = [[name, *(f"{one:.3f}" for one in found)] for name, found in of_warnings(10, 400).items()]
    _table(["score", "outside in any of ten generations", "outside in the last", "left for good"], rows)
    head = ["rate", "noise / way", *(f"{what}, n = {n}" for n in SEEDS for what in ("holds it", "no straight line", "cannot tell"))]
    cases = [(rate, noise) for rate in (0.1, 0.4) for noise in (0.03, 0.1, 0.3)]
    rows = [
        [f"{rate:g}", f"{noise:g}", *(f"{one:.3f}" for n in SEEDS for one in of_rates(rate, noise, n, DRAWS // 10))]
        for rate, noise in cases
    ]
    _table(head, rows)


if __name__ == "__main__":
    main()
