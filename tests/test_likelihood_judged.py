"""Likelihoods as scores: what they say of a chain, against theory; what is left out where models are gone; and where they are shown."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import theory
import torch
from chains import scores_in
from standins import Ear
from terminal import done
from torch import Tensor

from imgcollapse import datasets, models, progress, reports, store
from imgcollapse.ablation.summary.table import write_csv
from imgcollapse.images import ImageSet
from imgcollapse.judges.likelihoods import RunLikelihoods
from imgcollapse.judges.titles import source_title
from imgcollapse.metrics import METRICS, Evidence, FeatureSet
from imgcollapse.metrics.evidence import Likelihoods
from imgcollapse.metrics.likelihood import LIKELIHOOD, likelihood
from imgcollapse.metrics.record import MODEL, Value
from imgcollapse.models.nulls import Gaussian
from imgcollapse.settings import build
from imgcollapse.store import judged
from imgcollapse.store.records import read_sealed, write_sealed
from imgcollapse.study import Study, run
from imgcollapse.track.tracker import scalars

pytestmark = pytest.mark.splits

ERRORS = 4.5  # standard errors, as in test_theory
POINTS: dict[str, Any] = {
    "dataset": {"kind": "gaussian", "size": 120},
    "model": "gaussian",
    "gens": 3,
    "judge": {"metrics": ["likelihood"]},
}
OWN, OF_SAMPLES = "bits_per_dim", "bits_per_dim_of_samples"
OF_CODES = ("active_latents", "reconstruction_error")
OF_ALL = [name for name in LIKELIHOOD if name not in OF_CODES]  # what all models say that know likelihoods


def made(folder: Path, **values: Any) -> tuple[dict[int, dict[str, Value]], list[str]]:
    """What the models of a run's generations said, and what the user heard."""
    with progress.watched_by(ear := Ear()):
        run(build(Study, POINTS | values), folder)
    return said_in(folder), ear.lines


def said_in(folder: Path) -> dict[int, dict[str, Value]]:
    return {one.generation or 0: dict(one.sources.get(MODEL, {})) for one in store.scores(folder)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made(folder := tmp_path_factory.mktemp("whole") / "run")
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


# --- the metric


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def measured(own: Tensor | None, real: Tensor | None, samples: Tensor | None, dimensions: int = 4) -> dict[str, float]:
    nothing = FeatureSet(torch.zeros(1, 1, dtype=torch.float64))
    return likelihood(Evidence(nothing, nothing, nothing, likelihoods=Likelihoods(dimensions, own, real, samples)))


def test_bits_are_nats_by_the_values_of_a_picture_and_shares_those_beyond_the_quantiles() -> None:
    real_N = torch.arange(1, 201, dtype=torch.float64).flip(0)  # 5 % lie below 10.95, 1 % below 2.99, 5 % above 190.05
    found = measured(column(-4 * math.log(2), -12 * math.log(2)), real_N, column(0, 5, 10, 11, 190, 191, 999, 100, 100, 100))
    assert found.pop(OF_SAMPLES) == pytest.approx(-170.6 / (4 * math.log(2)))
    assert found == {OWN: pytest.approx(2), "unlikely": 0.3, "very_unlikely": 0.1, "too_likely": 0.2}
    assert tuple(measured(real_N, real_N, real_N)) == tuple(OF_ALL)


def test_real_pictures_lie_in_the_tails_by_construction() -> None:
    real_N = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    these, others = torch.arange(500), torch.arange(500, 1000)
    real = Likelihoods(1, None, real_N, real_N + 3).between_real(these, others)
    found = measured(real.held_out, real.first_of_held_out, real.first_of_samples, 1)
    for name, share in (("unlikely", 0.05), ("very_unlikely", 0.01), ("too_likely", 0.05)):
        assert found[name] == pytest.approx(share, abs=4 * math.sqrt(2 * share / 500)), "of other pictures, so but for chance"
    assert found[OWN] == found[OF_SAMPLES] == pytest.approx(-float(real_N[:500].mean()) / math.log(2))


def test_active_latents_are_those_whose_mean_varies_by_more_than_a_hundredth() -> None:
    codes_NL = torch.randn(5000, 4, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([0.0, 0.09, 0.11, 1.0])
    nothing = FeatureSet(torch.zeros(1, 1, dtype=torch.float64))
    found = likelihood(Evidence(nothing, nothing, nothing, likelihoods=Likelihoods(4, None, None, None, (codes_NL, column(0.1, 0.3)))))
    assert found == {"active_latents": 2, "reconstruction_error": pytest.approx(0.2)}


def test_what_is_not_known_is_left_out() -> None:
    one = column(1, 2)
    assert tuple(measured(one, None, None)) == (OWN,) and OWN not in measured(None, one, one) and not measured(None, None, None)


# --- a chain, against theory


def test_the_bits_of_the_gaussian_chain_follow_their_closed_form(tmp_path: Path) -> None:
    """4,000 independent coordinates are as many one-dimensional chains: the judge's values to the digit, their means to the theory's."""
    n, dim, gens = 40, 4000, 4
    found, _ = made(tmp_path / "run", dataset={"kind": "gaussian", "size": n, "dim": dim}, gens=gens, seed=3)
    held_out = datasets.load(build(Study, {"dataset": {"kind": "gaussian", "size": n, "dim": dim}}).dataset, 3).held_out[: n // 2]
    fitted: list[Any] = [models.load(store.generation_folder(tmp_path / "run", g) / store.MODEL) for g in range(gens)]
    for generation in range(gens):
        drawn = store.read_images(store.generation_folder(tmp_path / "run", generation) / store.SAMPLES)[: n // 2]
        for name, model, points, expected in (
            (OWN, fitted[generation], held_out, theory.gaussian_bits_of_real(n, generation + 1)),
            (OF_SAMPLES, fitted[0], drawn, theory.gaussian_bits_of_samples(n)),
        ):
            mean, spread = (one.flatten().numpy() for one in (model._mean, model._standard_deviation))
            z_ND = (points.pixels.flatten(1).double().numpy() - mean) / spread
            bits_D = (0.5 * z_ND**2 + np.log(spread * math.sqrt(2 * math.pi))).mean(0) / math.log(2)
            assert found[generation][name].value == pytest.approx(bits_D.mean(), rel=1e-9)
            assert abs(bits_D.mean() - expected) < ERRORS * bits_D.std() / math.sqrt(dim), (name, generation)
        real = found[generation][OWN].real
        assert real is not None and real == found[generation][OF_SAMPLES].real and real.low <= found[0][OWN].value <= real.high


@pytest.mark.parametrize(("scale", "unlikely", "too_likely"), [(1.0, 0.05, 0.05), (0.5, 0.0, 1.0), (2.0, 1.0, 0.0)])
def test_samples_that_shrink_are_too_likely_and_those_that_spread_unlikely(scale: float, unlikely: float, too_likely: float) -> None:
    """To the model of generation 0; the own one is another generation's, and of held-out points it says what it would say alone."""
    points = torch.randn(3, 2000, 1, 1, 50, generator=torch.Generator().manual_seed(0))
    fitted = {g: Gaussian().fit(ImageSet.of((1 + g) * points[0]), 0) for g in (0, 4)}
    held_out, samples = ImageSet.of(points[1]), ImageSet.of(scale * points[2])
    said = RunLikelihoods(fitted.__getitem__, held_out, 1)(4, samples)
    assert said.held_out is not None and torch.equal(said.held_out, fitted[4].log_likelihood(held_out, 0, 1))
    found = measured(said.held_out, said.first_of_held_out, said.first_of_samples, said.dimensions)
    error = ERRORS * math.sqrt(2 * 0.05 * 0.95 / 2000)  # of the samples, and of the quantile
    assert found["unlikely"] == pytest.approx(unlikely, abs=error) and found["too_likely"] == pytest.approx(too_likely, abs=error)


def test_a_model_without_likelihoods_has_no_such_source(tmp_path: Path) -> None:
    found, said = made(tmp_path / "run", model="bootstrap", judge={"metrics": ["neighbourhood", "likelihood"]})
    assert found == {0: {}, 1: {}, 2: {}} and said == []
    assert [list(one.sources) for one in store.scores(tmp_path / "run")] == [["pixels"]] * 3
    assert "likelihoods" not in done("run", "--config", tmp_path / "run" / store.STUDY, "--out", tmp_path / "run").output
    nobody, _ = made(tmp_path / "nobody", judge={"extractors": [], "metrics": ["likelihood"]})
    assert nobody == {0: {}, 1: {}, 2: {}}, "[]: no judging"


@pytest.mark.parametrize("model", [{"kind": "gmm", "components": 5}, {"kind": "vae", "steps": 5}])
def test_pictures_are_judged_by_their_models(model: dict[str, Any], tmp_path: Path) -> None:
    judge = {"extractors": ["pixels"], "metrics": ["likelihood"], "latent_draws": 2}
    found, _ = made(tmp_path / "run", dataset={"kind": "digits", "subset": 100}, model=model, gens=2, judge=judge)
    fitted: list[Any] = [models.load(store.generation_folder(tmp_path / "run", g) / store.MODEL) for g in range(2)]
    held_out = datasets.load(build(Study, {"dataset": {"kind": "digits", "subset": 100}}).dataset, 0).held_out[:100]
    for generation in range(2):
        assert list(found[generation]) == (list(LIKELIHOOD) if model["kind"] == "vae" else OF_ALL)
        assert all(one.n == 100 for one in found[generation].values())
        bits = -fitted[generation].log_likelihood(held_out, 1, 20).mean() / (64 * math.log(2))
        assert found[generation][OWN].value == pytest.approx(float(bits), abs=0.4), "the same but for seed and draws"
        if model["kind"] == "vae":
            mean_NL, error_N = fitted[generation].codes(held_out)
            assert [found[generation][name].value for name in OF_CODES] == [float((mean_NL.var(0) > 0.01).sum()), float(error_N.mean())]
            assert [found[generation][name].real for name in OF_CODES] == [None, None]
        tails = found[generation]["unlikely"].real, found[generation]["very_unlikely"].real
        assert all(tail is not None and tail.low <= share <= tail.high for tail, share in zip(tails, (0.05, 0.01), strict=True))


# --- models that are gone


@pytest.mark.parametrize("rule", ["last", "none", 2])
def test_what_is_thrown_away_afterwards_changes_no_likelihood(rule: str | int, whole: Path, tmp_path: Path) -> None:
    found, said = made(tmp_path / "run", keep={"models": rule})
    assert said == [] and found == said_in(whole)
    there = {"last": [2], "none": [], 2: [0, 2]}[rule]
    assert [g for g in range(3) if store.has(tmp_path / "run", g, store.MODEL)] == there
    assert [g for g in range(3) if (store.generation_folder(tmp_path / "run", g) / store.MODEL).exists()] == there


def test_models_that_were_thrown_away_are_said_once_and_left_out_by_a_later_judge(whole: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", keep={"models": "last"})
    said = done("judge", tmp_path / "run", "--set", "judge.n=50").stderr.splitlines()
    gone = "likelihoods are left out: models are no longer kept (keep.models, or imgcollapse prune)"
    assert said.count(gone) == 1 and sum("likelihoods" in line for line in said) == 1
    found = {one.generation: one.sources.get("model (n 50)") for one in store.scores(tmp_path / "run")}
    assert found[0] is found[1] is None
    last = found[2]
    assert last is not None and list(last) == [OWN] and last[OWN].real is None and last[OWN].n == 50
    more, said = made(tmp_path / "run", keep={"models": "last"}, gens=4)
    assert said[-1:] == [gone] and list(more[3]) == [OWN] and more[2] == said_in(whole)[2], "generation 0's model is gone by then"


@pytest.mark.parametrize("generation", [0, 1])
@pytest.mark.parametrize("hurt", ["flipped", "gone"])
def test_a_damaged_model_is_said_and_its_likelihoods_are_left_out(generation: int, hurt: str, copy: Path) -> None:
    place = store.generation_folder(copy, generation) / store.MODEL / "model.safetensors"
    if hurt == "gone":
        place.unlink()
    else:
        place.write_bytes(place.read_bytes()[:-1] + bytes([place.read_bytes()[-1] ^ 1]))
    said = done("judge", copy, "--set", "judge.n=50").stderr.splitlines()
    wrong = "is missing" if hurt == "gone" else "has changed (its SHA-256 is not the manifest's)"
    cure = "run the run's own command again, which repairs it"
    assert [line for line in said if "likelihoods" in line] == [
        f"likelihoods are left out: {place.parents[1]}: model/{place.name} {wrong}; {cure}"
    ]
    found = {one.generation: one.sources.get("model (n 50)", {}) for one in store.scores(copy)}
    left = {0: [[], [OWN], [OWN]], 1: [OF_ALL, OF_ALL[1:], OF_ALL]}[generation]
    assert [list(found[g]) for g in range(3)] == left


def test_scores_are_of_the_models_that_lie_there(copy: Path) -> None:
    """Another model that drew the same samples has other likelihoods; where nobody asked for them, it is all the same."""
    by = read_sealed(scores_in(copy) / "reference.json")
    before = judged.of(copy, 2, by)
    assert before["model"] != before["first_model"] == judged.of(copy, 0, by)["model"]
    for generation, told in ((2, [0, 1]), (0, [])):
        place = store.generation_folder(copy, generation) / "MANIFEST.json"
        manifest = read_sealed(place)
        manifest["files"]["model/model.safetensors"]["sha256"] = "0" * 64
        write_sealed(place, manifest)
        name = judged.own_judge(copy)
        assert [g for g in range(3) if judged.found_by(copy, name, g) is not None] == told
    del by["judge"][MODEL]
    assert judged.of(copy, 2, by).keys() == {"samples", "training_set", "reference"}


def test_runs_that_share_their_models_share_what_these_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = [build(Study, {**POINTS, "regime": regime}) for regime in ("replace", "accumulate")]
    run(studies[0], tmp_path / "one", shared=tmp_path / "shared")
    asked: list[int] = []
    real = models.MODELS["gaussian"].log_likelihood  # type: ignore[attr-defined]
    monkeypatch.setattr(models.MODELS["gaussian"], "log_likelihood", lambda self, *rest: asked.append(1) or real(self, *rest))
    run(studies[1], tmp_path / "other", shared=tmp_path / "shared")
    assert len(asked) == 1 + 2 * 2, "generation 0 is shared; its held-out pictures, then two generations by two models each"
    assert said_in(tmp_path / "one")[0] == said_in(tmp_path / "other")[0] and said_in(tmp_path / "one")[1] != said_in(tmp_path / "other")[1]


# --- where they are shown


def test_every_reader_shows_them_because_the_table_has_them(tmp_path: Path) -> None:
    few = ("--set", "dataset.size=120", "--set", "judge.metrics=[frechet_distance,likelihood]", "--gens", 2, "--out", "here")
    told = done("run", "--dataset", "gaussian", "--model", "gaussian", *few)
    assert "likelihoods: model; N = 60 against held-out real pictures ┏" in " ".join(told.stdout.split()), "and no k"
    done("judge", "here", "--set", "judge.n=50")
    scores = store.scores(Path("here"))
    assert list(scores[1].sources) == ["pixels", MODEL, "pixels (n 50)", "model (n 50)"]
    assert scores[1].sources["model (n 50)"][OWN].n == 50 and source_title("model (n 50)") == "likelihoods: model (n 50)"
    found = scalars(scores[1])
    assert found[f"model/{OWN}"] == scores[1].sources[MODEL][OWN].value and f"model/{OWN}_real" in found
    page = Path("here/report.html").read_text(encoding="utf-8")
    assert f'id="chart-model-{OWN}"' in page and "bits per dimension, likelihoods: model" in page
    again = done("run", "--dataset", "gaussian", "--model", "gaussian", *few).stdout
    assert "likelihoods: model (n 50); N = 50 against" in " ".join(again.split()), "with the N of its own judge"
    assert "features: pixels" in page and json.loads(done("judge", "here", "--json").stdout)["judged"]

    done("card", "here", "--out", "card")
    card = Path("card/model/README.md").read_text(encoding="utf-8")
    assert f"| bits per dimension | {scores[1].sources[MODEL][OWN].value:.3f} |" in card and f"- type: {OWN}\n" in card
    assert "likelihoods by the models themselves (`model`; of a VAE by 8 latent codes a picture)" in card


def test_arms_are_compared_where_both_have_them(tmp_path: Path) -> None:
    judge = {"metrics": ["frechet_distance", "likelihood"]}
    for name, values in (("one", {}), ("two", {"regime": "accumulate"}), ("three", {"model": "bootstrap"})):
        made(tmp_path / name, **values, judge=judge)
    findings = reports.read([tmp_path / name for name in ("one", "two", "three")])
    assert findings.comparable and findings.extractors == ["pixels", MODEL]
    (adds,) = [one["extractors"][MODEL][OWN]["last"] for one in findings.summary["differences"] if MODEL in one["extractors"]]
    assert adds["mean"] < 0, "what accumulates forgets less"
    page = reports.write(findings, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert f'id="chart-model-{OWN}"' in page and "not judged by one reference" not in page
    write_csv(findings.rows, tmp_path / "all.csv")
    with (tmp_path / "all.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["extractor"] == MODEL]
    assert len(rows) == 2 * 3 * len(OF_ALL) and {row["metric"] for row in rows} == set(OF_ALL)
    assert all(row["real"] for row in rows)


def test_samples_of_no_model_have_no_likelihoods(whole: Path, tmp_path: Path) -> None:
    samples = store.generation_folder(whole, 1) / store.SAMPLES
    told = done("score", samples, "--against", "gaussian", "--set", "dataset.size=60", "--out", tmp_path / "scores.json", "--json")
    assert {name for one in json.loads(told.stdout)["samples"].values() for name in one["sources"]} == {"pixels"}
    assert "likelihood" in METRICS and METRICS["likelihood"].of == "model"
