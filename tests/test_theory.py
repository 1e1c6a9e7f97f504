"""The real loop, store and all, against closed forms. Bounds are standard errors: each test is wrong by chance less than once in 10,000."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import theory
import torch

from imgcollapse import models, store
from imgcollapse.models.nulls import Gaussian
from imgcollapse.settings import build
from imgcollapse.study import Study, run

ERRORS = 4.5  # standard errors; two-sided 7e-6


def chain(folder: Path, gens: int, **values: Any) -> Path:
    run(build(Study, {"judge": {"extractors": []}, "gens": gens, **values}), folder)
    return folder


def fitted(folder: Path, generation: int) -> Gaussian:
    model = models.load(store.generation_folder(folder, generation) / store.MODEL)
    assert isinstance(model, Gaussian)
    return model


def samples(folder: Path, generation: int) -> torch.Tensor:
    return store.read_images(store.generation_folder(folder, generation) / store.SAMPLES).pixels.flatten(1).double()


@pytest.mark.parametrize(("n", "ddof"), [(10, 0), (10, 1), (50, 0)])
def test_repeated_estimation_loses_variance_and_drifts_as_theory_says(tmp_path: Path, n: int, ddof: int) -> None:
    """20,000 independent coordinates are 20,000 replicates of the one-dimensional chain."""
    replicates, gens = 20_000, 6
    folder = chain(
        tmp_path / "run",
        gens,
        dataset={"kind": "gaussian", "size": n, "dim": replicates},
        model={"kind": "gaussian", "ddof": ddof},
        seed=n,
    )
    for generation in range(gens):
        model, fits = fitted(folder, generation), generation + 1
        variance, mean = model._standard_deviation.square().flatten().numpy(), model._mean.flatten().numpy()
        error = variance.std() / math.sqrt(replicates)
        assert abs(variance.mean() - theory.gaussian_variance(n, fits, ddof)) < ERRORS * error, generation
        squares = mean**2
        error = squares.std() / math.sqrt(replicates)
        assert abs(squares.mean() - theory.gaussian_mean_variance(n, fits, ddof)) < ERRORS * error, generation
        assert abs(mean.mean()) < ERRORS * mean.std() / math.sqrt(replicates)
        if ddof == 0:
            expected, spread = theory.gaussian_log_variance(n, fits)
            assert abs(np.log(variance).mean() - expected) < ERRORS * math.sqrt(spread / replicates)


def test_the_samples_themselves_follow_the_model(tmp_path: Path) -> None:
    folder = chain(tmp_path / "run", 3, dataset={"kind": "gaussian", "size": 20, "dim": 5000}, model="gaussian")
    for generation in range(3):
        model, drawn = fitted(folder, generation), samples(folder, generation)
        standard = (drawn - model._mean.flatten()) / model._standard_deviation.flatten()
        assert abs(standard.mean()) < ERRORS / math.sqrt(standard.numel())
        assert abs(standard.square().mean() - 1) < ERRORS * math.sqrt(2 / standard.numel())


def test_bootstrap_forgets_originals_as_theory_says(tmp_path: Path) -> None:
    n, gens, seeds = 4000, 5, 3
    shares = np.empty((seeds, gens))
    for seed in range(seeds):
        folder = chain(tmp_path / f"{seed}", gens, dataset={"kind": "gaussian", "size": n, "dim": 1}, model="bootstrap", seed=seed)
        shares[seed] = [len(samples(folder, generation).unique()) / n for generation in range(gens)]
    expected = np.array([theory.distinct_originals(n, t) for t in range(1, gens + 1)])
    assert np.allclose(expected[[0, 1, 2, 4]], [0.632, 0.469, 0.374, 0.268], atol=0.001)
    # a share of n nearly independent pictures: at most binomial variance
    error = np.sqrt(expected * (1 - expected) / (n * seeds))
    assert (np.abs(shares.mean(0) - expected) < ERRORS * error).all(), shares


def test_the_frechet_distance_of_the_gaussian_chain_follows_its_closed_form(tmp_path: Path) -> None:
    """From the exact moments of every generation's model, the mean over many small studies' worth of coordinates."""
    n, dim, gens = 25, 6000, 5
    folder = chain(tmp_path / "run", gens, dataset={"kind": "gaussian", "size": n, "dim": dim}, model="gaussian", seed=4)
    for generation in range(gens):
        model = fitted(folder, generation)
        mean, standard_deviation = model._mean.flatten().numpy(), model._standard_deviation.flatten().numpy()
        each = mean**2 + (1 - standard_deviation) ** 2
        error = each.std() / math.sqrt(dim)
        assert abs(each.mean() - theory.expected_frechet(n, generation + 1, 1)) < ERRORS * error


def test_the_judge_measures_the_frechet_distance_of_the_loop(tmp_path: Path) -> None:
    """`scores.json` of a two-dimensional chain with pixels features, against the closed form on the very moments of its samples."""
    study = {"dataset": {"kind": "gaussian", "size": 3000, "dim": 2}, "model": "gaussian", "gens": 3, "seed": 1}
    run(build(Study, study), tmp_path / "run")
    n = 1500  # half of the held-out part
    for generation, scores in enumerate(store.scores(tmp_path / "run")):
        fd = scores.sources["pixels"]["fd"]
        model, found = fitted(tmp_path / "run", generation), fd.value
        assert fd.n == n
        exact = theory.diagonal_frechet(
            [0, 0], [1, 1], model._mean.flatten().tolist(), model._standard_deviation.square().flatten().tolist()
        )
        # both sides are samples of n: the expected distance of two such samples of one distribution is at most
        # dim (2/n) from the means and (dim + dim^2)/2 (1/n) from the covariances; three times that bounds their sum with the cross terms
        noise = (2 * 2 / n) + (2 + 4) / 2 / n
        assert abs(math.sqrt(found) - math.sqrt(exact)) < 3 * math.sqrt(noise)


@pytest.mark.parametrize("kind", ["replace", "retain", "accumulate"])
def test_provenance_adds_up_in_every_generation(tmp_path: Path, kind: str) -> None:
    folder = chain(tmp_path / "run", 4, dataset={"kind": "grid25", "size": 200}, model="bootstrap", regime=kind)
    for generation in range(4):
        record = store.read_json(store.generation_folder(folder, generation) / store.PROVENANCE)
        made_of = record["made_of"]
        assert sum(part["pictures"] for part in made_of.values()) == record["size"]
        assert all(sum(part["classes"].values()) == part["pictures"] for part in made_of.values())
        expected = {
            "replace": {f"generation {generation - 1}": 200},
            "retain": {"real": 20, f"generation {generation - 1}": 180},
            "accumulate": {"real": 200, **{f"generation {g}": 200 for g in range(generation)}},
        }[kind]
        counts = {name: part["pictures"] for name, part in made_of.items()}
        assert counts == ({"real": 200} if generation == 0 else expected)
