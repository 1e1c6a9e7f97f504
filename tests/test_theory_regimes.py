"""Every regime and pool against finite-sample theory: the theory against simulation, and `imgcollapse ablate` against the theory.

Bounds are standard errors; seeds are fixed, so that a test that passes once passes always.
"""

import itertools
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import theory
import torch
import yaml
from numpy.typing import NDArray
from terminal import call
from theory import Values

from imgcollapse import models, store
from imgcollapse.ablation import plan
from imgcollapse.images import ImageSet, concatenate
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.neighbours import neighbourhood
from imgcollapse.models.nulls import Bootstrap, Gaussian, Smooth
from imgcollapse.regimes.pool_bias import biased
from imgcollapse.seeds import derive
from imgcollapse.settings import build, read_file
from imgcollapse.store.past import Past
from imgcollapse.store.records import read_json
from imgcollapse.study import Study, prepare

pytestmark = pytest.mark.slow  # many chains each

ERRORS = 4.5  # standard errors; two-sided 7e-6
POOLS = ("fixed", "resample", "fresh")
REGIMES = ("replace", *POOLS, "augment", "accumulate", "accumulate-subsample", "teacher")
BY_CHANCE = ("resample", "accumulate-subsample")  # which choose rows at random
Runs = dict[str, list[Path]]  # the run folders of each regime, one a seed


def agrees(values: Values, expected: float, *where: object, shared: float = 0.0) -> None:
    """The mean of independent values lies within ERRORS standard errors; `shared`: a standard deviation that they all have in common."""
    error = math.hypot(values.std(ddof=1) / math.sqrt(len(values)), shared)
    assert abs(values.mean() - expected) < ERRORS * error, (*where, values.mean(), expected, (values.mean() - expected) / error)


def unlike(kinds: NDArray[Any]) -> Values:
    """Heterozygosity, 1 - sum p^2: the share of pairs along the last axis that differ."""
    alike: Values = (kinds[..., :, None] == kinds[..., None, :]).mean((-1, -2))
    return 1 - alike


# the theory against simulation and against itself


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("regime", REGIMES)
def test_the_moments_agree_with_a_simulation(regime: str, ddof: int) -> None:
    n, k, gens, replicates = 5, 2, 5, 100_000
    rng = np.random.default_rng(ddof)

    def draw(learned: Values) -> Values:
        return rng.normal(learned.mean(1), learned.std(1, ddof=ddof), (n, replicates)).T

    chain = theory.simulated(regime, n, k, gens, rng, lambda rows: rng.standard_normal((replicates, rows)), draw)
    for learned, (variance, square) in zip(chain, theory.moments(regime, n, k, gens, ddof), strict=True):
        agrees(learned.var(1, ddof=ddof), variance, "variance", learned.shape)
        agrees(learned.mean(1) ** 2, square, "mean", learned.shape)


def bootstrapping(n: int, replicates: int, rng: np.random.Generator) -> tuple[Callable[[int], Values], Callable[[Values], Values]]:
    """For `theory.simulated`: real pictures are numbers 0, 1, 2 ..., and a model draws what it has seen."""
    new = itertools.count()

    def real(rows: int) -> Values:
        return np.tile([float(next(new)) for _ in range(rows)], (replicates, 1))

    def draw(learned: Values) -> Values:
        return np.take_along_axis(learned, rng.integers(learned.shape[1], size=(replicates, n)), 1)

    return real, draw


@pytest.mark.parametrize("regime", REGIMES)
def test_heterozygosity_and_the_loss_of_classes_agree_with_a_simulation(regime: str) -> None:
    n, k, gens, replicates, c = 10, 4, 4, 50_000, 3
    rng = np.random.default_rng(0)
    lost = theory.absence(theory.class_distributions(regime, n, k, gens, c), n)
    real, draw = bootstrapping(n, replicates, rng)
    chain = theory.simulated(regime, n, k, gens, rng, real, draw)
    few = rng.permuted(np.tile(np.arange(n), (replicates, 1)), axis=1)[:, :c]  # c of those seen, which need not be the first
    for learned, kept, absent in zip(chain, theory.heterozygosity(regime, n, k, gens), lost, strict=True):
        agrees(unlike(learned), kept, "heterozygosity", learned.shape, shared=1e-12)  # at first there is nothing random
        agrees((draw(learned)[:, :, None] != few[:, None, :]).all((1, 2)).astype(float), absent, "lost", learned.shape)


def test_the_moments_have_the_closed_forms_and_limits_that_their_docstrings_name() -> None:
    for ddof in (0, 1):
        closed = [(theory.gaussian_variance(9, t, ddof), theory.gaussian_mean_variance(9, t, ddof)) for t in range(1, 8)]
        assert np.allclose(theory.moments("replace", 9, 0, 7, ddof), closed, rtol=1e-12)
    for regime in REGIMES:
        assert np.allclose([sum(pair) for pair in theory.moments(regime, 9, 4, 50)], 1, rtol=1e-12), "ddof 0: the mean square stays"
    n, k = 12, 5
    r, s = k / n, 1 - k / n
    for pool, u in {"fresh": 0, "resample": r, "fixed": 1}.items():
        assert math.isclose(theory.moments(pool, n, k, 500)[-1][1], (1 + 2 * s * u) / (k * (1 + s) + s), rel_tol=1e-12)
        assert math.isclose(theory.moments(pool, n, n, 5)[-1][1], 1 / n), "all real"
    assert math.isclose(theory.moments("fixed", n, 1, 2000)[-1][1], 1), "one picture kept for ever saves nothing"
    ends = [theory.moments(pool, 10**4, 4, 10**5)[-1][0] for pool in POOLS]
    assert np.allclose(ends, [6 / 9, 8 / 9, 8 / 9], atol=1e-3)
    r, s = n / (n + k), k / (n + k)
    end = ((r**2 + 2 * r * s) / n + s**2 / k) / (1 - s**2 + s**2 / k)
    assert math.isclose(theory.moments("augment", n, k, 500)[-1][1], end, rel_tol=1e-12)
    assert theory.moments("teacher", n, 0, 9)[1:] == [theory.moments("replace", n, 0, 2)[1]] * 8, "nothing is handed on"
    found = [var for var, _ in theory.moments("accumulate", n, 0, 10_000)]
    assert np.allclose(found, np.cumprod(1 - 1 / (n * np.arange(1.0, 10_001) ** 2)), rtol=1e-12)
    assert found[-1] > np.sinc(1 / math.sqrt(n)) and math.isclose(found[-1], np.sinc(1 / math.sqrt(n)), rel_tol=1e-4)


def rows_by_chance(regime: str, n: int, k: int, rng: np.random.Generator, gens: int) -> list[list[theory.Row]]:
    """Which rows the generations of a chain learn from, as the regime chooses them."""
    learned: list[list[theory.Row]] = [list(range(n))]
    for g in range(1, gens):
        newest: list[theory.Row] = [(g - 1, j) for j in range(n)]
        there = [*range(n), *((h, j) for h in range(g) for j in range(n))]
        learned.append(
            {
                "replace": lambda newest=newest: newest,
                "fixed": lambda newest=newest: [*range(k), *newest[: n - k]],
                "resample": lambda newest=newest: [*rng.permutation(n)[:k].tolist(), *newest[: n - k]],
                "fresh": lambda newest=newest, g=g: [*range(n + k * (g - 1), n + k * g), *newest[: n - k]],
                "augment": lambda newest=newest: [*range(n), *newest[:k]],
                "accumulate": lambda there=there: there,
                "accumulate-subsample": lambda there=there: [there[i] for i in rng.permutation(len(there))[:n].tolist()],
                "teacher": lambda g=g: [(0, n * (g - 1) + j) for j in range(n)],
            }[regime]()
        )
    return learned


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("regime", REGIMES)
def test_moments_given_the_rows_average_to_the_moments_of_the_regime(regime: str, ddof: int) -> None:
    n, k, gens, rng = 4, 2, 4, np.random.default_rng(0)
    expected = np.array(theory.moments(regime, n, k, gens, ddof))
    chains = 4_000 if regime in BY_CHANCE else 1
    found = np.array([theory.moments_given(rows_by_chance(regime, n, k, rng, gens), ddof) for _ in range(chains)])
    error = found.std(0) / math.sqrt(chains)
    assert (np.abs(found.mean(0) - expected) <= ERRORS * error + 1e-12).all(), (found.mean(0) - expected) / (error + 1e-12)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_distributions_of_class_counts_have_the_moments_that_heterozygosity_follows(regime: str) -> None:
    """Two derivations that share nothing: E[p (1 - p)] from the exact distributions, and the linear recursion."""
    n, k, gens, share = 12, 5, 5, 0.2
    kept = np.array(theory.heterozygosity(regime, n, k, gens))

    def uneven(c: int) -> Values:
        distributions = theory.class_distributions(regime, n, k, gens, c, share)
        shares = [np.linspace(0, 1, len(distribution)) for distribution in distributions]
        return np.array([distribution @ (p * (1 - p)) for distribution, p in zip(distributions, shares, strict=True)])

    if regime != "fresh":
        assert np.allclose(uneven(3), 3 / n * (1 - 3 / n) * kept / kept[0], rtol=1e-9)
    seen = [math.comb(n, c) * share**c * (1 - share) ** (n - c) for c in range(n + 1)]
    average = sum(weight * uneven(c) for c, weight in enumerate(seen))
    assert np.allclose(average, share * (1 - share) * kept, rtol=1e-9)


def test_a_class_is_lost_by_the_binomial_distribution_at_first_and_for_good_under_replace_alone() -> None:
    n, c = 40, 2
    for regime in REGIMES:
        assert math.isclose(theory.absence(theory.class_distributions(regime, n, 8, 1, c, 0.05), n)[0], (1 - c / n) ** n)
    lost = theory.absence(theory.class_distributions("replace", n, 0, 400, c), n)
    assert (np.diff(lost) > 0).all() and math.isclose(lost[-1], 1 - c / n, rel_tol=1e-3), "in the end one picture is left"
    for pool in POOLS:
        assert theory.absence(theory.class_distributions(pool, n, 8, 400, c, c / n), n)[-1] < 0.9 * lost[-1]


# the command against the theory


def chains(folder: Path, k: int, seeds: int, **base: Any) -> Runs:
    """The run folders of an ablation with an arm for every regime; `retain` learns from k real pictures, `augment` from k samples."""
    arms: dict[str, Any] = {name: {"regime": name} for name in REGIMES if name not in POOLS}
    fraction = k / (base.get("samples") or base["dataset"]["size"])
    arms["augment"] = {"regime": {"kind": "augment", "synthetic_ratio": fraction}}
    arms |= {pool: {"regime": {"kind": "retain", "pool": pool, "real_fraction": fraction}} for pool in POOLS}
    grid = {"base": {"judge": {"extractors": []}, **base}, "arms": arms, "seeds": seeds}
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    result = call("ablate", folder / "grid.yaml", "--out", folder / "out")
    assert result.exit_code == 0, result.output
    runs: Runs = {}
    for run in plan.read(folder / "out"):
        runs.setdefault(run.arm, []).append(run.folder)
    return runs


def learned_by(folder: Path, generation: int) -> Gaussian | Bootstrap:
    model = models.load(store.generation_folder(folder, generation) / store.MODEL)
    assert isinstance(model, Gaussian | Bootstrap)
    return model


def rows_learned(folder: Path) -> list[list[theory.Row]]:
    """The rows that each generation learned from, proved by the digests of the training sets."""
    study, world, real = prepare(build(Study, read_file(folder / store.STUDY)))
    parts, bias = [real.seen, real.unseen], getattr(study.regime, "pool_bias", None)
    number: dict[bytes, theory.Row] = {}
    for i, row in enumerate(concatenate([*parts, *(biased(part, bias) for part in parts if bias)]).pixels.numpy()):
        number.setdefault(row.tobytes(), i)  # degraded ones follow all others, in their order
    found: list[list[theory.Row]] = []
    for generation in range(study.gens):
        made, _ = study.training_set(world, real, Past(folder, generation, study.model.load))
        record = read_json(store.generation_folder(folder, generation) / store.PROVENANCE)
        assert isinstance(made, ImageSet) and record["training_set"] == made.digest()
        anew: list[theory.Row] = [(0, len(real.seen) * (generation - 1) + j) for j in range(len(made))]  # what a teacher drew
        found.append([number.get(row.tobytes(), other) for row, other in zip(made.pixels.numpy(), anew, strict=True)])
        drawn = store.read_images(store.generation_folder(folder, generation) / store.SAMPLES)
        number |= {row.tobytes(): (generation, j) for j, row in enumerate(drawn.pixels.numpy())}
    return found


GENS = 5


@pytest.fixture(scope="module", params=[(5, 2, 0), (5, 2, 1), (24, 18, 0)], ids="n{0[0]}-k{0[1]}-ddof{0[2]}".format)
def gaussians(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int, int, Runs]:
    """20,000 independent coordinates are 20,000 replicates of the one-dimensional chain."""
    n, k, ddof = request.param
    world, model = {"kind": "gaussian", "size": n, "dim": 20_000}, {"kind": "gaussian", "ddof": ddof}
    return n, k, ddof, chains(tmp_path_factory.mktemp("gaussian"), k, 1, dataset=world, model=model, gens=GENS)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_gaussian_chain_keeps_variance_and_drifts_as_theory_says(gaussians: tuple[int, int, int, Runs], regime: str) -> None:
    n, k, ddof, runs = gaussians
    (folder,) = runs[regime]
    over_all_draws = given = np.array(theory.moments(regime, n, k, GENS, ddof))
    shared = np.zeros_like(given)
    rows = rows_learned(folder)  # which all coordinates share
    given = np.array(theory.moments_given(rows, ddof))
    rng = np.random.default_rng(0)
    if regime in BY_CHANCE:
        drawn = (rows_by_chance(regime, n, k, rng, GENS) for _ in range(400))
        shared = np.std([theory.moments_given(one, ddof) for one in drawn], axis=0)
    else:
        assert np.allclose(given, over_all_draws, rtol=1e-12)
        assert rows == rows_by_chance(regime, n, k, rng, GENS), "the rows that the regime promises, in order"
    for generation in range(GENS):
        model = learned_by(folder, generation)
        assert isinstance(model, Gaussian)
        var, mean = model._standard_deviation.square().flatten().numpy(), model._mean.flatten().numpy()
        agrees(mean, 0, "drift", generation)
        for i, (what, values) in enumerate({"variance": var, "mean": mean**2}.items()):
            agrees(values, given[generation, i], what, generation)
            agrees(values, over_all_draws[generation, i], what, generation, shared=shared[generation, i])


@pytest.mark.parametrize("temperature", [0.8, 1.1])
def test_sampling_bias_narrows_or_widens_the_chain_as_theory_says(temperature: float, tmp_path: Path) -> None:
    """Under `replace` the variance is that of the chain without bias times T^2 a generation; under others it follows the recursion."""
    model = {"kind": "gaussian", "sampling": {"temperature": temperature}}
    world = {"kind": "gaussian", "size": 6, "dim": 20_000}
    for regime, (folder,) in chains(tmp_path, 2, 1, dataset=world, model=model, gens=GENS).items():
        expected = theory.moments_given(rows_learned(folder), temperature=temperature)
        if regime == "replace":
            plain = [theory.gaussian_variance(6, t) * temperature ** (2 * t - 2) for t in range(1, GENS + 1)]
            assert np.allclose([var for var, _ in expected], plain, rtol=1e-12)
        for generation, (variance, square) in enumerate(expected):
            found = learned_by(folder, generation)
            assert isinstance(found, Gaussian)
            agrees(found._standard_deviation.square().flatten().numpy(), variance, regime, "variance", generation)
            agrees(found._mean.flatten().numpy() ** 2, square, regime, "mean", generation)


def test_a_loop_of_fresh_data_with_parts_of_any_size_follows_theory(tmp_path: Path) -> None:
    """As in MAD: 8 real pictures at first, later 2 new ones beside 4 samples of the 5 that a generation draws."""
    numbers = {"n_initial": 8, "n_real": 2, "n_synthetic": 4}
    grid = {
        "base": {"dataset": {"kind": "gaussian", "size": 5, "dim": 20_000}, "model": "gaussian", "gens": GENS, "judge": {"extractors": []}},
        "arms": {"mad": {"regime": {"kind": "retain", "pool": "fresh", **numbers}}},
        "seeds": 1,
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    result = call("ablate", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--no-nulls")
    assert result.exit_code == 0, result.output
    (run,) = plan.read(tmp_path / "out")
    rows = rows_learned(run.folder)
    assert rows[0] == list(range(8)) and rows[2] == [10, 11, *((1, j) for j in range(4))]
    for generation, (variance, square) in enumerate(theory.moments_given(rows)):
        model = learned_by(run.folder, generation)
        assert isinstance(model, Gaussian)
        agrees(model._standard_deviation.square().flatten().numpy(), variance, "variance", generation)
        agrees(model._mean.flatten().numpy() ** 2, square, "mean", generation)


CLASSES, N, K, DRIFT_GENS, SEEDS = 25, 100, 30, 4, 6


@pytest.fixture(scope="module")
def bootstraps(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Chains of generations that draw their training pictures again."""
    world = {"kind": "grid25", "size": 400}
    return chains(tmp_path_factory.mktemp("bootstrap"), K, SEEDS, dataset=world, samples=N, model="bootstrap", gens=DRIFT_GENS)


def descent(folder: Path) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of which real pictures the rows of each generation's training set and samples are copies; all have kept their class."""
    real = prepare(build(Study, read_file(folder / store.STUDY)))[1].train
    number = {row.tobytes(): i for i, row in enumerate(real.pixels.numpy())}
    found = []
    for generation in range(DRIFT_GENS):
        model = learned_by(folder, generation)
        assert isinstance(model, Bootstrap) and model._images is not None
        drawn = store.read_images(store.generation_folder(folder, generation) / store.SAMPLES)
        both = [np.array([number[row.tobytes()] for row in images.pixels.numpy()]) for images in (model._images, drawn)]
        for images, rows in zip((model._images, drawn), both, strict=True):
            assert (images.labels.numpy() == real.labels.numpy()[rows]).all()
        found.append((both[0], both[1]))
    return found


def classes(folder: Path) -> NDArray[np.int64]:
    return prepare(build(Study, read_file(folder / store.STUDY)))[1].train.labels.numpy()


@pytest.mark.parametrize("regime", REGIMES)
def test_bootstrap_loses_heterozygosity_as_theory_says(bootstraps: Runs, regime: str) -> None:
    """Of the pictures, each a class of its own, and of their 25 classes; the spread of single runs is that of simulated ones."""
    kept = np.array(theory.heterozygosity(regime, N, K, DRIFT_GENS))
    rng, replicates = np.random.default_rng(0), 400
    simulated = theory.simulated(regime, N, K, DRIFT_GENS, rng, *bootstrapping(N, replicates, rng))
    label = rng.integers(CLASSES, size=(replicates, N + K * DRIFT_GENS))
    spread = np.array([(unlike(rows), unlike(np.take_along_axis(label, rows.astype(int), 1))) for rows in simulated]).std(2)
    found = np.empty((SEEDS, DRIFT_GENS, 2))
    for seed, folder in enumerate(bootstraps[regime]):
        chain, label = descent(folder), classes(folder)
        found[seed] = [(unlike(rows), unlike(label[rows])) for rows, _ in chain]
    expected = np.stack([kept, (1 - 1 / CLASSES) * kept], 1)
    errors = (found.mean(0) - expected) / np.maximum(spread / math.sqrt(SEEDS), 1e-12)
    assert (np.abs(errors) < ERRORS).all(), errors


@pytest.mark.parametrize("c", [1, 2, 5, None])
@pytest.mark.parametrize("regime", REGIMES)
def test_a_class_of_few_pictures_is_lost_as_often_as_theory_says(bootstraps: Runs, regime: str, c: int | None) -> None:
    """Classes made of c random pictures of those seen; None: the 25 of the world, of about four. The standard error is exact, too."""

    @cache
    def lost(pictures: int, joined: int = 1) -> Values:
        """That all of one class, or of two `joined`, are absent, by generation."""
        share = 0 if c else joined / CLASSES  # of the classes that are made here, fresh pictures are none
        return np.array(theory.absence(theory.class_distributions(regime, N, K, DRIFT_GENS, pictures, share), N))

    excess, variance = np.zeros((2, DRIFT_GENS))
    for seed, folder in enumerate(bootstraps[regime]):
        kind = classes(folder)
        if c:
            kind = np.full(len(kind), -1)
            kind[:N] = np.random.default_rng(seed).permutation(N) // c
        counts = np.bincount(kind[:N])
        there = np.flatnonzero(counts)
        absent = np.array([~np.isin(there, kind[drawn]) for _, drawn in descent(folder)])
        excess += absent.sum(1) - sum(lost(one) for one in counts[there])
        for i, j in itertools.product(there, there):
            together = lost(counts[i]) if i == j else lost(counts[i] + counts[j], 2)
            variance += together - lost(counts[i]) * lost(counts[j])
    assert (np.abs(excess) < ERRORS * np.sqrt(variance)).all(), excess / np.sqrt(variance)


# what a chain of null models scores


def chain_end(model: Bootstrap | Smooth, n: int, seed: int) -> tuple[dict[str, float], int]:
    """Of the last generation of a chain on normal points: its scores against other real points, and how many points are different."""
    world = torch.randn(2 * n, 1, 1, 6, generator=torch.Generator().manual_seed(seed))
    held_out, drawn = FeatureSet(world[n:].flatten(1).double()), ImageSet.of(world[:n])
    for generation in range(5):
        drawn = model.fit(drawn, 0).sample(n, derive(seed, generation))
    features = drawn.pixels.flatten(1).double()
    return neighbourhood(Evidence(held_out, held_out, FeatureSet(features))), len(features.unique(dim=0))


def test_what_is_drawn_again_and_again_scores_as_many_new_real_points_as_it_has_ancestors() -> None:
    """Of a set without weights, a chain's ancestors are a random part of the real points, so as good as new ones."""
    n, apart = 200, dict[str, list[float]]()
    for seed in range(30):
        scores, different = chain_end(Bootstrap(), n, seed)
        points = torch.randn(n + different, 6, generator=torch.Generator().manual_seed(10_000 + seed), dtype=torch.float64)
        held_out = FeatureSet(points[:n])
        new = neighbourhood(Evidence(held_out, held_out, FeatureSet(points[n:])))
        for name in ("precision", "recall", "coverage"):
            apart.setdefault(name, []).append(scores[name] - new[name])
    for name, values in apart.items():
        agrees(np.array(values), 0, name)
        assert abs(np.mean(values)) < 0.05, name


def test_the_null_models_agree_in_precision_and_coverage_and_families_of_near_copies_cost_recall() -> None:
    ends = {}
    for model in (Bootstrap(), Smooth()):
        found = [chain_end(model, 200, seed) for seed in range(10)]
        ends[model.kind] = {name: float(np.mean([scores[name] for scores, _ in found])) for name in ("precision", "recall", "coverage")}
        assert {different == 200 for _, different in found} == {model.kind == "smooth"}
    assert ends["smooth"]["coverage"] == pytest.approx(ends["bootstrap"]["coverage"], abs=0.05)
    assert ends["smooth"]["precision"] == pytest.approx(ends["bootstrap"]["precision"], abs=0.05)
    assert ends["smooth"]["recall"] < ends["bootstrap"]["recall"] - 0.2
