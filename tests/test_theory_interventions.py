"""What is done between and within generations against exact theory: truncated draws, biased pools, people who choose, temperature, noise.

As in `test_theory_regimes`: the theory against simulation, and `imgcollapse ablate` against the theory; bounds are standard errors.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import theory
import torch
import yaml
from PIL import Image
from scipy.stats import norm
from terminal import call
from test_theory_regimes import GENS, POOLS, agrees, chains, learned_by, rows_learned
from theory import Values

from imgcollapse import models, store
from imgcollapse.ablation import plan
from imgcollapse.datasets.toys import MODES
from imgcollapse.models.gmm import GMM
from imgcollapse.models.nulls import Gaussian, Smooth
from imgcollapse.seeds import derive, numpy_generator, torch_generator
from imgcollapse.store.records import read_json

pytestmark = pytest.mark.slow  # many chains each


def ablated(folder: Path, arms: dict[str, Any], seeds: int, **base: Any) -> dict[str, list[Path]]:
    """The run folders of each arm, one a seed."""
    grid = {"base": {"judge": {"extractors": []}, **base}, "arms": arms, "seeds": seeds}
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    result = call("ablate", folder / "grid.yaml", "--out", folder / "out", "--no-nulls")
    assert result.exit_code == 0, result.output
    runs: dict[str, list[Path]] = {}
    for run in plan.read(folder / "out"):
        runs.setdefault(run.arm, []).append(run.folder)
    return runs


def gaussian(folder: Path, generation: int) -> tuple[Values, Values]:
    """Mean and variance of every coordinate of the model of a generation."""
    model = learned_by(folder, generation)
    assert isinstance(model, Gaussian)
    return model._mean.flatten().numpy(), model._standard_deviation.square().flatten().numpy()


def normal(rng: np.random.Generator, learned: Values, n: int) -> Values:
    return rng.normal(learned.mean(1), learned.std(1), (n, len(learned))).T


# draws truncated by density


def test_the_variance_of_truncated_draws_has_the_closed_form_of_one_dimension() -> None:
    for keep in (0.01, 0.5, 0.99):
        c = norm.ppf((1 + keep) / 2)
        assert math.isclose(theory.truncated_variance(keep, 1), 1 - 2 * c * norm.pdf(c) / keep, rel_tol=1e-9)
    assert math.isclose(theory.truncated_variance(0.5, 2), (1 - 0.5 * (1 + math.log(2))) / 0.5), "exponential: 1 - e^-x (1 + x), x = ln 2"
    assert math.isclose(theory.truncated_variance(1 - 1e-12, 7), 1, abs_tol=1e-9)


def test_truncation_by_density_narrows_the_chain_as_theory_says(tmp_path: Path) -> None:
    """The hundredth of greatest density in 2,000 dimensions, after a temperature: under `replace` T^2 f times the variance a generation."""
    n, dim, keep, temperature = 6, 2000, 0.01, 0.95
    model = {"kind": "gaussian", "sampling": {"temperature": temperature, "keep": keep}}
    factor = temperature * math.sqrt(theory.truncated_variance(keep, dim))
    assert factor < 0.92
    for regime, (folder,) in chains(tmp_path, 2, 1, dataset={"kind": "gaussian", "size": n, "dim": dim}, model=model, gens=GENS).items():
        expected = theory.moments_given(rows_learned(folder), temperature=factor)
        if regime == "replace":
            assert np.allclose([var for var, _ in expected], [theory.gaussian_variance(n, t + 1) * factor ** (2 * t) for t in range(GENS)])
        for generation, (variance, square) in enumerate(expected):
            mean, var = gaussian(folder, generation)
            agrees(var, variance, regime, "variance", generation)
            agrees(mean**2, square, regime, "mean", generation)


# pools that are not like the real distribution


@pytest.mark.parametrize("ddof", [0, 1])
def test_the_moments_of_a_biased_pool_agree_with_a_simulation(ddof: int) -> None:
    n, k, shift, variance, first, replicates, rng = 6, 2, 3.0, 0.3, 2.0, 200_000, np.random.default_rng(ddof)
    learned = rng.normal(0, math.sqrt(first), (replicates, n))
    for drift, var, square in theory.shifted_moments(n, k, shift, variance, 5, ddof, first):
        agrees(learned.mean(1), drift, "drift")
        agrees(learned.mean(1) ** 2, square, "square")
        agrees(learned.var(1, ddof=ddof), var, "variance")
        drawn = rng.normal(learned.mean(1), learned.std(1, ddof=ddof), (n - k, replicates)).T
        learned = np.hstack([rng.normal(shift, math.sqrt(variance), (replicates, k)), drawn])


def test_the_moments_of_a_biased_pool_have_the_limits_that_the_docstring_names() -> None:
    n, k, shift, variance = 10**7, 10**6, 2.0, 0.25
    found, r = theory.shifted_moments(n, k, shift, variance, 200), k / n
    for (drift, var, _), (later, after, _), g in zip(found, found[1:], range(200), strict=False):
        assert math.isclose(drift, shift * (1 - (1 - r) ** g), rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(after, r * variance + (1 - r) * var + r * (1 - r) * (shift - drift) ** 2, rel_tol=1e-5) and later > drift
    assert math.isclose(found[-1][1], variance, rel_tol=1e-4) and max(var for _, var, _ in found) > 1, "wider first, then narrow"
    like_any = [(var, square) for _, var, square in theory.shifted_moments(12, 5, 0.0, 1.0, 9, 1)]
    assert np.allclose(like_any, theory.moments("fresh", 12, 5, 9, 1), rtol=1e-12), "without a bias it is the pool of all"


def test_a_chain_with_a_degraded_pool_keeps_variance_and_drifts_as_theory_says(tmp_path: Path) -> None:
    """Noise on the real pictures that are mixed in, the same for ever on each: exact given the rows, under every pool."""
    n, noise = 6, 1.5
    arms = {pool: {"regime": {"kind": "retain", "pool": pool, "real_fraction": 1 / 3, "pool_bias": {"noise": noise}}} for pool in POOLS}
    runs = ablated(tmp_path, arms, 1, dataset={"kind": "gaussian", "size": n, "dim": 20_000}, model="gaussian", gens=GENS)
    for pool, (folder,) in runs.items():
        rows = rows_learned(folder)
        there = n + 2 * (GENS - 1) * (pool == "fresh")
        assert all(there <= row < 2 * there for one in rows[1:] for row in one if isinstance(row, int)), "degraded ones alone"
        one = np.eye(there)
        expected = theory.moments_given(rows, products=np.block([[one, one], [one, (1 + noise**2) * one]]))
        assert expected[-1][0] > 1.3, "the model learns the noise"
        for generation, (variance, square) in enumerate(expected):
            mean, var = gaussian(folder, generation)
            agrees(var, variance, pool, "variance", generation)
            agrees(mean**2, square, pool, "mean", generation)


@pytest.mark.slow
def test_a_chain_with_a_class_skewed_pool_moves_to_it_at_the_rate_of_the_real_fraction(tmp_path: Path) -> None:
    """Of the 25 classes the five at x = -4: E[mean of x] = -4 (1 - (1 - real_fraction)^g), whatever the number of pictures."""
    n, k, seeds = 40, 10, 16
    bias = {"classes": [label for label, (x, _) in enumerate(MODES) if x == -4]}
    arms = {"biased": {"regime": {"kind": "retain", "pool": "fresh", "real_fraction": k / n, "pool_bias": bias}}}
    world = {"kind": "grid25", "size": 700}
    (folders,) = ablated(tmp_path, arms, seeds, dataset=world, samples=n, model="gaussian", gens=GENS).values()
    within = 0.05**2
    of_x = theory.shifted_moments(n, k, -4.0, within, GENS, first=8 + within)
    of_y = theory.shifted_moments(n, k, 0.0, 8 + within, GENS, first=8 + within)
    for generation in range(GENS):
        found = np.array([gaussian(folder, generation) for folder in folders])  # [seeds, mean and variance, x and y]
        for axis, expected in enumerate((of_x, of_y)):
            agrees(found[:, 0, axis], expected[generation][0], "xy"[axis], "mean", generation)
            agrees(found[:, 1, axis], expected[generation][1], "xy"[axis], "variance", generation)
    assert of_x[-1][0] < -2.7


# people who choose


def test_what_choosing_the_greatest_does_agrees_with_a_simulation() -> None:
    n, candidates, rng = 5, 20, np.random.default_rng(0)
    kept = np.sort(rng.standard_normal((100_000, candidates)), 1)[:, -n:]
    mean, variance = theory.curated(n, candidates)
    agrees(kept.mean(1), mean, "mean")
    agrees(kept.var(1), variance, "variance")
    many, threshold = theory.curated(10_000, 40_000), norm.isf(0.25)
    inverse_mills = norm.pdf(threshold) / 0.25
    assert np.allclose(many, (inverse_mills, 1 + threshold * inverse_mills - inverse_mills**2), atol=1e-3), "of a truncated normal"


@pytest.mark.slow
def test_a_chain_of_which_the_brightest_are_kept_moves_and_narrows_as_theory_says(tmp_path: Path) -> None:
    """In one dimension every generation is one step: (m' - m) / sqrt v and v' / v are independent of all before."""
    n, keep, gens, seeds = 15, 0.25, 5, 20
    arms = {"brightest": {"gates": [{"kind": "curate", "by": "brightness", "keep": keep}]}}
    world = {"kind": "gaussian", "size": n, "dim": 1}
    (folders,) = ablated(tmp_path, arms, seeds, dataset=world, model="gaussian", gens=gens).values()
    learned = np.array([[gaussian(folder, g) for g in range(gens)] for folder in folders])[..., 0]  # [seeds, gens, mean and variance]
    before, after = learned[:, :-1], learned[:, 1:]
    mean, variance = theory.curated(n, round(n / keep))
    agrees(((after[..., 0] - before[..., 0]) / np.sqrt(before[..., 1])).flatten(), mean, "step")
    agrees((after[..., 1] / before[..., 1]).flatten(), variance, "narrowed")
    for g in range(gens):
        agrees(learned[:, g, 1], (1 - 1 / n) * variance**g, "variance", g)


def test_a_choice_by_bradley_terry_agrees_with_a_simulation_and_with_its_limits() -> None:
    c, of, k, replicates, rng = 6, 20, 4, 100_000, np.random.default_rng(0)
    rating = np.repeat([1.0, 0.0], [c, of - c])
    rating /= rating.std(ddof=1)
    groups = rng.permuted(np.tile(np.arange(of), (replicates, 1)), axis=1)[:, :k]
    chosen = (rating[groups] + rng.gumbel(size=groups.shape)).argmax(1)
    agrees((np.take_along_axis(groups, chosen[:, None], 1) < c).astype(float)[:, 0], theory.preferred(c, of, k), "share")
    p = 0.3
    weight = math.exp(1 / math.sqrt(p * (1 - p)))
    assert math.isclose(theory.preferred(3 * 10**6, 10**7, 3000), p * weight / (p * weight + 1 - p), rel_tol=1e-3), "many choices"
    two = p * p + 2 * p * (1 - p) * weight / (weight + 1)
    assert math.isclose(theory.preferred(3 * 10**6, 10**7, 2), two, rel_tol=1e-5), "of two, many pictures: p (1 + (1 - p)(w - 1)/(w + 1))"
    assert theory.preferred(0, 9, 3) == 0 and theory.preferred(9, 9, 3) == 1 and math.isclose(theory.preferred(6, 20, 1), 0.3)


def two_classes(folder: Path, each: int) -> Path:
    """Dark and bright pictures that are all different, and of one mean within their class."""
    rng = np.random.default_rng(0)
    for label, grey in (("bright", 180), ("dark", 60)):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            away = rng.permuted(np.repeat([-20, 20], 32)).reshape(8, 8)
            Image.fromarray((grey + away).astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


@pytest.mark.slow
def test_the_shares_of_two_classes_under_choice_follow_bradley_terry(tmp_path: Path) -> None:
    """A chain that draws its training pictures again: each generation's share given how many were offered, exact for finite groups."""
    k, gens, seeds, n = 3, 5, 12, 30
    path = two_classes(tmp_path / "pictures", 40)
    arms = {"chosen": {"gates": [{"kind": "curate", "by": "brightness", "choice_of": k}]}}
    world = {"kind": "folder", "path": str(path)}
    (folders,) = ablated(tmp_path, arms, seeds, dataset=world, samples=n, model="bootstrap", gens=gens).values()
    errors, ends = [], []
    for folder in folders:
        for generation in range(1, gens):
            gates = read_json(store.generation_folder(folder, generation) / store.PROVENANCE)["gates"]
            offered, let_in = (gates[side][f"generation {generation - 1}"] for side in ("offered", "let_in"))
            assert (offered["pictures"], let_in["pictures"]) == (k * n, n)
            share = let_in["classes"].get("bright", 0) / n
            errors.append(share - theory.preferred(offered["classes"].get("bright", 0), k * n, k))
        ends.append(share)
    agrees(np.array(errors), 0, "share given the offered")
    assert np.mean(ends) > 0.95, "and in the end nothing else is left"


# temperature and noise


def test_temperature_leaves_class_shares_as_they_are(tmp_path: Path) -> None:
    """A gmm chooses the Gaussian of a draw by its weight alone: with the same random numbers the same, and the class where it is of one."""
    sampling = {"cold": {"temperature": 0.5}, "plain": {}, "warm": {"temperature": 1.5}, "dense": {"keep": 0.7}}
    arms = {name: {"model": {"kind": "gmm", "components": 25, "sampling": one}} for name, one in sampling.items()}
    n, modes = 1000, torch.tensor(MODES, dtype=torch.float32)
    runs = ablated(tmp_path, arms, 2, dataset={"kind": "grid25", "size": n}, gens=1)

    def classes(folder: Path) -> Values:
        points = store.read_images(store.generation_folder(folder, 0) / store.SAMPLES).pixels.flatten(1)
        return torch.cdist(points, modes).argmin(1).double().numpy()

    for seed, folders in enumerate(zip(*(runs[name] for name in sampling), strict=True)):
        cold, plain, warm, dense = map(classes, folders)
        model = models.load(store.generation_folder(folders[1], 0) / store.MODEL)
        assert isinstance(model, GMM)
        narrow = np.array([np.trace(one) < 0.03 for one in model._mixture.covariances_])
        chosen = numpy_generator(derive(seed, 0, "sample")).choice(25, n, p=model._mixture.weights_)
        of_one = narrow[chosen]
        assert of_one.mean() > 0.5, "most Gaussians are one class each; others lie over several"
        assert (cold[of_one] == plain[of_one]).all() and (warm[of_one] == plain[of_one]).all()
        assert (dense != plain).any(), "truncation by density moves shares"


@pytest.mark.parametrize("regime", ["replace", *POOLS])
def test_the_moments_of_a_smooth_chain_agree_with_a_simulation(regime: str) -> None:
    n, k, gens, h, replicates, rng = 5, 2 * (regime != "replace"), 5, 0.6, 100_000, np.random.default_rng(0)

    def draw(learned: Values) -> Values:
        return np.take_along_axis(learned, rng.integers(n, size=(replicates, n)), 1) + rng.normal(0, h, (replicates, n))

    pool = "fresh" if regime == "replace" else regime
    expected = theory.smoothed_moments(pool, n, k, gens, h)
    chain = theory.simulated(regime, n, k, gens, rng, lambda rows: rng.standard_normal((replicates, rows)), draw)
    for learned, (variance, square) in zip(chain, expected, strict=True):
        agrees(learned.var(1), variance, "variance")
        agrees(learned.mean(1) ** 2, square, "mean")
    many = [var + h**2 for var, _ in theory.smoothed_moments(pool, 10**8, k * 2 * 10**7, 200, h)]
    r = 0.4 if k else 0.0
    assert np.allclose(many[1:], [r + (1 - r) * var + h**2 for var in many[:-1]], rtol=1e-5), "v' = r + (1 - r) v + h^2"
    assert math.isclose(many[-1], 1 + h**2 / r if r else 1 + 200 * h**2, rel_tol=1e-5)
    assert np.allclose(theory.smoothed_moments(pool, n, k, gens, 0.0), theory.moments(pool, n, k, gens), rtol=1e-12), "no noise: bootstrap"


def test_a_smooth_chain_widens_under_every_regime_as_theory_says(tmp_path: Path) -> None:
    """Given the rows, of which training picture each draw is a copy, and how much noise is added: exact for every coordinate."""
    n, model = 5, {"kind": "smooth", "noise": 0.5}
    for regime, (folder,) in chains(tmp_path, 2, 1, dataset={"kind": "gaussian", "size": n, "dim": 20_000}, model=model, gens=GENS).items():
        fitted = [models.load(store.generation_folder(folder, generation) / store.MODEL) for generation in range(GENS)]
        copies = []
        for generation, one in enumerate(fitted):
            assert isinstance(one, Smooth) and one._images is not None
            anew = [derive(0, "drawn anew", place) for place in range(1, GENS)] if regime == "teacher" and generation == 0 else []
            chance = [torch_generator(seed) for seed in (derive(0, generation, "sample"), *anew)]
            rows = [row for own in chance for row in torch.randint(len(one._images), (n,), generator=own).tolist()]
            copies.append((rows, one._deviation))
        expected = theory.moments_given(rows_learned(folder), copies=copies)
        plain = theory.moments_given(rows_learned(folder), copies=[(rows, 0.0) for rows, _ in copies])
        assert expected[-1][0] > plain[-1][0] + 0.02, (regime, "the noise is seen")
        for generation, (variance, square) in enumerate(expected):
            values = fitted[generation]._images.pixels.flatten(1).double().numpy()  # type: ignore[attr-defined]
            agrees(values.var(0), variance, regime, "variance", generation)
            agrees(values.mean(0) ** 2, square, regime, "mean", generation)
