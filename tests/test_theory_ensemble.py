"""Several chains of Gaussians against finite-sample theory: the theory against simulation, and `imgcollapse ablate` against the theory."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import theory
import yaml
from terminal import done
from test_theory_regimes import ERRORS, agrees, learned_by
from theory import Values

from imgcollapse import store
from imgcollapse.ablation import plan
from imgcollapse.images import ImageSet
from imgcollapse.models.nulls import Gaussian
from imgcollapse.store.past import Past
from imgcollapse.store.records import read_json
from imgcollapse.study import prepare

pytestmark = pytest.mark.slow  # many chains each

MIXES = ("own", "ring", "all")
N, K, GENS = 6, 3, 5
Rows = list[list[list[theory.EnsembleRow]]]  # by generation and chain


def mixed(mix: str, drawn: list[Values], chain: int, rng: np.random.Generator) -> Values:
    """[replicates, rows]: what a chain learns from of what all have drawn, every replicate with choices of its own."""
    if mix != "all":
        return drawn[chain - (mix == "ring")]
    return np.hstack([rng.permuted(one, axis=1)[:, : one.shape[1] // len(drawn)] for one in drawn])


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("mix", MIXES)
def test_the_moments_agree_with_a_simulation(mix: str, ddof: int) -> None:
    replicates, rng = 30_000, np.random.default_rng(ddof)
    learned = [rng.standard_normal((replicates, N))] * K
    for variance, square, cross in theory.ensemble_moments(mix, N, K, GENS, ddof):
        means = [one.mean(1) for one in learned]
        agrees(learned[0].var(1, ddof=ddof), variance, mix, "variance")
        agrees(means[0] ** 2, square, mix, "mean")
        agrees(means[1] * means[2], cross, mix, "two means")
        drawn = [rng.normal(one.mean(1), one.std(1, ddof=ddof), (N, replicates)).T for one in learned]
        learned = [mixed(mix, drawn, k, rng) for k in range(K)]


def test_the_moments_have_the_limits_that_their_docstring_names() -> None:
    for ddof in (0, 1):
        alone = theory.moments("replace", N, 0, GENS, ddof)
        for mix, chains in [("own", K), ("ring", K), ("all", 1)]:
            assert np.allclose([found[:2] for found in theory.ensemble_moments(mix, N, chains, GENS, ddof)], alone, rtol=1e-12)
    assert np.allclose([var + mean for var, mean, _ in theory.ensemble_moments("all", 12, 4, 50)], 1, rtol=1e-12)
    for chains in (2, 5, 20):
        found = [var for var, _, _ in theory.ensemble_moments("all", 100_000, chains, 400)]
        assert math.isclose((1 - found[-1] / found[-2]) * 100_000, 2 / chains - 1 / chains**2, rel_tol=1e-3)
        step = [(1 - 1 / 100_000) * b + (1 - 1 / chains) ** 2 * a / 100_000 for a, b in itertools.pairwise(found)]
        assert np.allclose(step[:-1], found[2:], rtol=1e-12), "the recursion of the docstring, with D put in"


def rows_by_chance(mix: str, rng: np.random.Generator) -> Rows:
    learned: Rows = [[list(range(N))] * K]
    for g in range(GENS - 1):
        drawn: Rows = [[[(g, c, j) for j in range(N)] for c in range(K)]]
        if mix == "all":
            learned.append([[drawn[0][c][j] for c in range(K) for j in rng.permutation(N)[: N // K].tolist()] for _ in range(K)])
        else:
            learned.append([drawn[0][c - (mix == "ring")] for c in range(K)])
    return learned


def in_short(given: list[Values]) -> Values:
    """[generations, 3]: E[var], E[mean^2] and E[mean mean'], each a mean over the chains."""
    apart = ~np.eye(K, dtype=bool)
    return np.array([(one[-1].mean(), one[:-1].diagonal().mean(), one[:-1][apart].mean()) for one in given])


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("mix", MIXES)
def test_moments_given_the_rows_average_to_the_moments(mix: str, ddof: int) -> None:
    rng, times = np.random.default_rng(0), 1_000 if mix == "all" else 1
    found = np.array([in_short(theory.ensemble_moments_given(rows_by_chance(mix, rng), ddof)) for _ in range(times)])
    error = found.std(0) / math.sqrt(times)
    assert (np.abs(found.mean(0) - theory.ensemble_moments(mix, N, K, GENS, ddof)) <= ERRORS * error + 1e-12).all()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The ensembles of an ablation with an arm for every mix: 20,000 independent coordinates are as many replicates."""
    folder = tmp_path_factory.mktemp("ensembles")
    world = {"kind": "gaussian", "size": N, "dim": 20_000}
    base = {"dataset": world, "model": "gaussian", "gens": GENS, "judge": {"extractors": []}, "ensemble": {"chains": K}}
    (folder / "grid.yaml").write_text(yaml.safe_dump({"base": base, "axes": {"ensemble.mix": list(MIXES)}, "seeds": 1, "nulls": False}))
    done("ablate", folder / "grid.yaml", "--out", folder / "out")
    return {str(run.study.ensemble.mix): run.folder for run in plan.read(folder / "out") if run.study.ensemble}


def rows_learned(folder: Path) -> Rows:
    """The rows that each chain of each generation learned from, proved by the digests of the training sets."""
    parts = [plan.run_at(store.chain_folder(folder, k)) for k in range(K)]
    ready = [prepare(part.study) for part in parts]
    number: dict[bytes, theory.EnsembleRow] = {row.tobytes(): i for i, row in enumerate(ready[0][2].seen.pixels.numpy())}
    found: Rows = []
    for g in range(GENS):
        found.append([])
        for (study, world, real), part in zip(ready, parts, strict=True):
            made, _ = study.training_set(world, real, Past(part.folder, g, study.model.load))
            record = read_json(store.generation_folder(part.folder, g) / store.PROVENANCE)
            assert isinstance(made, ImageSet) and record["training_set"] == made.digest()
            found[-1].append([number[row.tobytes()] for row in made.pixels.numpy()])
        for k, part in enumerate(parts):
            drawn = store.read_images(store.generation_folder(part.folder, g) / store.SAMPLES)
            number |= {row.tobytes(): (g, k, j) for j, row in enumerate(drawn.pixels.numpy())}
    return found


@pytest.mark.parametrize("mix", MIXES)
def test_chains_of_gaussians_that_feed_each_other_keep_variance_and_drift_apart_as_theory_says(runs: dict[str, Path], mix: str) -> None:
    rows = rows_learned(runs[mix])
    given, expected = theory.ensemble_moments_given(rows), np.array(theory.ensemble_moments(mix, N, K, GENS))
    rng, shared = np.random.default_rng(0), np.zeros_like(expected)
    if mix == "all":
        learned = [one for generation in rows[1:] for one in generation]
        assert all(sorted(row[1] for row in one if isinstance(row, tuple)) == [0, 0, 1, 1, 2, 2] for one in learned)
        shared = np.std([in_short(theory.ensemble_moments_given(rows_by_chance(mix, rng))) for _ in range(300)], axis=0)
    else:
        assert rows == rows_by_chance(mix, rng), "the rows that the mix promises, in order"
    for g in range(GENS):
        models = [learned_by(store.chain_folder(runs[mix], k), g) for k in range(K)]
        var = np.array([m._standard_deviation.square().flatten().numpy() for m in models if isinstance(m, Gaussian)])
        mean = np.array([m._mean.flatten().numpy() for m in models if isinstance(m, Gaussian)])
        for c in range(K):
            agrees(var[c], given[g][-1, c], "variance", g, c)
            for d in range(c + 1):
                agrees(mean[c] * mean[d], given[g][c, d], "means", g, c, d)
        apart = [mean[c] * mean[d] for c in range(K) for d in range(c)]
        for i, values in enumerate((var.mean(0), (mean**2).mean(0), np.mean(apart, 0))):
            agrees(values, expected[g, i], "over all draws", g, i, shared=shared[g, i])


@pytest.mark.parametrize("mix", MIXES)
def test_what_the_chains_show_together_varies_within_them_and_between_their_means(runs: dict[str, Path], mix: str) -> None:
    """n/K rows of each: E[var] = (1 - 1/n) V + (1 - 1/K) (M - C), whatever the rows are, given those that the models learned from."""
    for g, given in enumerate(theory.ensemble_moments_given(rows_learned(runs[mix]))):
        variance, square, cross = in_short([given])[0]
        drawn = store.read_images(store.generation_folder(runs[mix], g) / store.SAMPLES).pixels.flatten(1).double().numpy()
        assert len(drawn) == N
        agrees(drawn.var(0), (1 - 1 / N) * variance + (1 - 1 / K) * (square - cross), mix, g)
