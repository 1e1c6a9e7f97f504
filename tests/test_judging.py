"""A generation is made once, kept, and judged any number of times: by the study's judge, later, again, by others."""

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from chains import scores_in
from standins import Ear
from terminal import call, done

from imgcollapse import progress, store
from imgcollapse.errors import DataProblem
from imgcollapse.judges.judge import Judge, Reference
from imgcollapse.metrics import METRICS
from imgcollapse.models.nulls import Bootstrap
from imgcollapse.settings import build, read_file
from imgcollapse.store import history, judged
from imgcollapse.store.identity import study_digest
from imgcollapse.store.judged import judge_name
from imgcollapse.store.records import read_sealed, write_sealed
from imgcollapse.study import Study, run

TOY: dict[str, Any] = {"dataset": {"kind": "grid25", "size": 200}, "model": "bootstrap", "gens": 3}
DIGITS = ["--dataset", "digits", "--model", "bootstrap", "--samples", "120", "--set", "judge.extractors=[classifier]"]


def made(folder: Path, **values: Any) -> tuple[list[int], list[str]]:
    """The generations that landed, and what was said."""
    landed: list[int] = []
    with progress.watched_by(ear := Ear()):
        run(build(Study, TOY | values), folder, lambda generation, scores: landed.append(generation))
    return landed, ear.lines


def files(folder: Path) -> dict[str, bytes]:
    kept = [*folder.glob("gen_*/samples.npz"), *folder.glob("scores/*/*.json"), *folder.glob("grid_*.png")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(kept)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    made(folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.mark.parametrize("generation", [0, 2])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_a_judge_that_fails_or_is_killed_costs_no_training(
    generation: int, kind: type[BaseException], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Reference.__call__

    def fails(self: Reference, *sets: Any) -> Any:
        if int(sets[0].born[0]) == generation:
            raise kind("no memory left")
        return real(self, *sets)

    with monkeypatch.context() as patch:
        patch.setattr(Reference, "__call__", fails)
        with pytest.raises(kind):
            made(tmp_path / "run")
    assert store.finished(tmp_path / "run") == list(range(generation + 1)) and store.unjudged(tmp_path / "run") == [generation]
    assert not store.whole(tmp_path / "run") and not store.landed(tmp_path / "run", generation)
    with monkeypatch.context() as patch:
        patch.setattr(Bootstrap, "fit", None if generation == 2 else Bootstrap.fit)  # nothing is left to learn
        assert made(tmp_path / "run")[0] == list(range(generation, 3))
    assert files(tmp_path / "run") == files(whole) and [line["how"] for line in history.lines(tmp_path / "run")] == ["made"] * 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_no_result_and_is_not_kept(value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = METRICS["kernel_distance"]
    monkeypatch.setitem(
        METRICS,
        "kernel_distance",
        dataclasses.replace(metric, measure=lambda one: {"kid": 1.0 if one.drawn is None else value}, version=77),
    )
    with pytest.raises(DataProblem, match=rf"^pixels: kid is {value}, real vs real \{{'mean': 1\.0, .*\}}, which cannot be$"):
        made(tmp_path / "run")
    assert store.finished(tmp_path / "run") == [0] and not list((tmp_path / "run").glob("scores/*/gen_*"))
    monkeypatch.setitem(
        METRICS, "kernel_distance", dataclasses.replace(metric, measure=lambda one: {"kid": value}, version=78 + math.isinf(value))
    )
    with pytest.raises(DataProblem, match=rf"kid of real pictures is {value}, which is not a number; leave it out of judge\.metrics$"):
        made(tmp_path / "other")


@pytest.mark.parametrize("hurt", ["cut", "edited", "gone", "of another generation"])
def test_damaged_scores_are_left_out_by_readers_and_judged_again(hurt: str, copy: Path, whole: Path) -> None:
    path = scores_in(copy) / "gen_001.json"
    content = path.read_text()
    match hurt:
        case "cut":
            path.write_text(content[:-9])
        case "edited":
            path.write_text(content.replace('"fd"', '"kid"', 1))
        case "gone":
            path.unlink()
        case _:
            shutil.copyfile(path.with_name("gen_002.json"), path)
    with progress.watched_by(ear := Ear()):
        assert [one.generation for one in store.scores(copy)] == [0, 2] and store.unjudged(copy) == [1] and store.sound(copy) == [0, 1, 2]
        assert store.scores_of(copy, 1).sources == {}
    assert len(ear.lines) == (hurt in ("cut", "edited"))
    landed, said = made(copy)
    assert landed == [1] and files(copy) == files(whole)
    kept = f"{path}: is damaged; made again (the old one is kept as set_aside/gen_001.json-1)"
    assert said[-1:] == ([kept] if hurt in ("cut", "edited") else [])


def test_scores_of_samples_that_were_made_anew_do_not_count(copy: Path, whole: Path) -> None:
    shutil.rmtree(copy / "gen_001")
    (copy / "gen_002" / "samples.npz").write_bytes(b"")
    assert store.unjudged(copy) == [] and not store.landed(copy, 1)
    landed, _ = made(copy)
    assert landed == [1, 2] and files(copy) == files(whole)
    other = copy.parent / "other"
    made(other, seed=1)
    for name in ("gen_001.json", "reference.json"):
        shutil.copyfile(scores_in(other) / name, scores_in(copy) / name)
    with progress.watched_by(Ear()):
        assert store.scores(copy) == [], "the reference is another"


def test_another_reference_is_judged_by_again_and_ends_no_run(copy: Path, whole: Path) -> None:
    """A classifier of another machine: nothing measured decides whether a run may go on, and no two references stand in one table."""
    place = scores_in(copy)
    record = read_sealed(place / "reference.json")
    record["judge"]["extractors"]["pixels"]["digest"] = "0" * 64
    write_sealed(place / "reference.json", record)
    landed, said = made(copy)
    assert landed == [0, 1, 2] and files(copy) == files(whole)
    assert said == [
        f"{place}: was judged by another reference (judge.extractors.pixels.digest {'0' * 64!r}, now {digest_of(whole)!r}); "
        f"judged again (the old scores are kept as set_aside/{place.name}-1)"
    ] or (said[0].startswith(f"{place}: was judged by another reference (judge.extractors.pixels.digest ") and len(said) == 1)


def digest_of(folder: Path) -> str:
    return str(read_sealed(scores_in(folder) / "reference.json")["judge"]["extractors"]["pixels"]["digest"])


def test_what_the_judge_measured_of_real_pictures_may_differ_in_its_last_digits(copy: Path) -> None:
    """On another machine: the run goes on, with real vs real as it was found first."""
    place = scores_in(copy)
    record = read_sealed(place / "reference.json")
    record["judge"]["extractors"]["pixels"]["real"]["fd"]["mean"] += 1e-9
    write_sealed(place / "reference.json", record)
    assert made(copy) == ([], [])
    assert made(copy, gens=4)[0] == [3]
    assert read_sealed(place / "reference.json") == record


def test_every_so_manieth_generation_is_judged_and_the_last(tmp_path: Path) -> None:
    few, all_of_them = tmp_path / "few", tmp_path / "all"
    landed, _ = made(few, gens=6, judge={"every": 2})
    made(all_of_them, gens=6)
    assert landed == list(range(6)) and store.unjudged(few) == [] and store.whole(few)
    found = {one.generation: one for one in store.scores(few)}
    assert list(found) == [0, 2, 4, 5]
    for one in store.scores(all_of_them):
        assert one.generation not in found or found[one.generation] == one
    assert scores_in(few).name == scores_in(all_of_them).name, "it is the same judge"
    assert made(few, gens=6, judge={"every": 2})[0] == []


def test_more_generations_go_on_in_the_same_folder(copy: Path, tmp_path: Path) -> None:
    assert made(copy, gens=5)[0] == [3, 4]
    made(tmp_path / "at once", gens=5)
    assert files(copy) == files(tmp_path / "at once")
    assert (copy / "study.yaml").read_bytes() == (tmp_path / "at once" / "study.yaml").read_bytes()
    assert made(copy, gens=2) == ([], []) and store.finished(copy) == [0, 1, 2, 3, 4], "fewer are there already"
    assert "gens: 5" in (copy / "study.yaml").read_text()
    assert build(Study, TOY).name() == build(Study, TOY | {"gens": 9}).name() != build(Study, TOY | {"seed": 1}).name()


def test_what_is_not_kept_is_thrown_away_once_nothing_needs_it(tmp_path: Path) -> None:
    plain, thin = tmp_path / "plain", tmp_path / "thin"
    made(plain, gens=6)
    landed, said = made(thin, gens=6, keep={"samples": 2, "models": "none"})
    assert landed == list(range(6)) and said == []
    assert [g for g in range(6) if store.has(thin, g, store.SAMPLES)] == [0, 2, 4, 5]
    assert [path.parent.name for path in sorted(thin.glob("gen_*/samples.npz"))] == ["gen_000", "gen_002", "gen_004", "gen_005"]
    assert not list(thin.glob("gen_*/model")) and len(list(thin.glob("gen_*/provenance.json"))) == 6
    assert store.sound(thin) == list(range(6)) and store.scores(thin) == store.scores(plain)
    assert made(thin, gens=6, keep={"samples": 2, "models": "none"}) == ([], [])
    assert made(thin, gens=7, keep={"samples": 2, "models": "none"})[0] == [6], "the last samples are there to go on from"
    assert not store.has(thin, 5, store.SAMPLES)


def test_a_kill_between_the_manifest_and_what_it_throws_away_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Path, missing_ok: bool = False) -> None:
        if self.name == store.SAMPLES:
            raise KeyboardInterrupt
        real(self, missing_ok)

    real = Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "run", keep={"samples": "last"})
    assert (tmp_path / "run/gen_000/samples.npz").exists() and not store.has(tmp_path / "run", 0, store.SAMPLES)
    made(tmp_path / "run", keep={"samples": "last"})
    assert [path.parent.name for path in (tmp_path / "run").glob("gen_*/samples.npz")] == ["gen_002"]


def test_a_judge_is_named_by_its_settings_and_not_by_how_often_it_judges() -> None:
    def name(**values: Any) -> str:
        return judge_name(build(Judge, {"extractors": ["pixels"], "n": 100, **values}).model_dump(mode="json"))

    assert name() == name(every=7) != name(k=4) and name().startswith("pixels-")
    assert name(extractors=["pixels", "classifier"]).startswith("pixels-classifier-") and name(extractors=[]).startswith("none-")


def test_two_judges_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a finished run, by an extractor that it was not made with, and by another N: nothing is learned, nothing there changes."""
    done("run", *DIGITS, "--gens", 2, "--out", "here")
    before = files(Path("here"))
    with monkeypatch.context() as patch:
        patch.setattr(Bootstrap, "fit", None)
        first = done("judge", "here", "--extractor", "pixels")
        assert [line.partition("  ")[0] for line in first.stderr.splitlines()] == ["generation 0", "generation 1"]
        assert first.stdout.startswith("here: scores/pixels-")
        again = done("judge", "here", "--extractor", "pixels")
        assert again.stderr == "" and again.stdout == first.stdout
        other = json.loads(done("judge", "here", "--set", "judge.n=60", "--json").stdout)
    assert {name: content for name, content in files(Path("here")).items() if name in before} == before
    assert other["judged"]["here"].startswith("classifier-") and len(list(Path("here/scores").iterdir())) == 3
    sources = ["classifier", "classifier (n 60)", "pixels"]
    for one in store.scores(Path("here")):
        assert list(one.sources) == sources and [one.sources[name]["fd"].n for name in sources] == [120, 60, 120]
        assert one.sources["classifier (n 60)"]["share_0"].n == 120, "class shares are of all that was drawn"
    shown = done("run", *DIGITS, "--gens", 2, "--out", "here")
    for name, n in zip(sources, (120, 60, 120), strict=True):
        assert re.search(rf"features: {re.escape(name)}( \(shipped [^)]*\))?; N = {n}", " ".join(shown.stdout.split()))
    page = Path("here/report.html").read_text()
    assert all(f"features: {name}" in page for name in sources[1:])
    assert call("judge", "here", "--set", "model.steps=3").exit_code == 2
    assert "name a setting that begins with judge., such as judge.k=3" in call("judge", "here", "--set", "model.steps=3").stderr
    assert "is neither a run nor an ablation" in call("judge", ".").stderr


@pytest.mark.slow
def test_an_ablation_is_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regimes = ("--regime", "replace,accumulate", "--no-nulls", "--seeds", 2, "--jobs", 1, "--out", "grid")
    done("ablate", "--dataset", "grid25", "--set", "dataset.size=200", "--model", "bootstrap", "--gens", 2, *regimes)
    calls: list[int] = []
    real = Reference.__call__

    def counting(self: Reference, *sets: Any) -> Any:
        calls.append(int(sets[0].born[0]))
        return real(self, *sets)

    monkeypatch.setattr(Reference, "__call__", counting)
    done("judge", "grid", "--set", "judge.k=3", "--set", "judge.metrics=[neighbourhood]")
    assert sorted(calls) == [0, 0, 1, 1, 1, 1], "the arms have their generation 0 in common: it is judged once a seed"
    rows = Path("grid/ablation.csv").read_text().splitlines()
    assert sum(",pixels (k 3)," in row for row in rows) == 2 * 2 * 2 * 5 and "pixels (k 3)" in Path("grid/report.html").read_text()
    done("judge", "grid", "--set", "judge.k=3", "--set", "judge.metrics=[neighbourhood]")
    assert len(calls) == 6


def test_samples_that_were_thrown_away_are_left_out_of_a_second_judgement(tmp_path: Path) -> None:
    made(tmp_path / "run", gens=4, keep={"samples": "last"})
    said = done("judge", tmp_path / "run", "--set", "judge.k=3").stderr
    assert [f"generation {g}: its samples are no longer kept" in said for g in range(4)] == [True, True, True, False]
    assert "generation 3 cannot be compared with its own training set: samples of generation 2 are no longer kept" in said
    found = {one.generation: list(one.sources) for one in store.scores(tmp_path / "run")}
    assert found == {0: ["pixels"], 1: ["pixels"], 2: ["pixels"], 3: ["pixels", "pixels (k 3)"]}


def test_a_judge_that_named_nothing_new_says_what_it_is(whole: Path) -> None:
    assert list(judged.judges(whole)) == [scores_in(whole).name] == [judged.own_judge(whole)]
    reference = store.reference(whole)
    assert reference is not None and reference["judge"]["n"] == 100 and list(reference["judge"]["extractors"]) == ["pixels"]
    assert reference["judge"]["metrics"]["class_variety"] == 2, "versions of definitions stand in the record"


def test_a_run_of_a_version_that_lacked_an_option_is_judged_again(whole: Path, copy: Path) -> None:
    """What was released can be judged whatever options have come since; the words of the old version stay."""
    study = read_file(copy / store.STUDY)
    del study["judge"]["every"]
    before = json.dumps(study)
    (copy / store.STUDY).write_text(before, encoding="utf-8")
    environment = read_sealed(copy / store.ENVIRONMENT)
    write_sealed(copy / store.ENVIRONMENT, {**environment, "study": study_digest(study)})
    done("judge", copy, "--set", "judge.k=4")
    assert len(list((copy / store.SCORES).iterdir())) == 2 and (copy / store.STUDY).read_text(encoding="utf-8") == before
    assert {path: data for path, data in files(copy).items() if path in files(whole)} == files(whole), "nothing was made again"


def test_what_two_judges_find_alike_has_one_name() -> None:
    judge: dict[str, Any] = {
        "n": 9,
        "k": 5,
        "metrics": {"likelihood": 1},
        "extractors": {"pixels": {"dim": 2, "real": {}}},
        "model": {"d": 1},
    }
    more = {**judge, "metrics": {"likelihood": 1, "kid": 1}, "extractors": {"pca": {"dim": 1, "real": {}}}}
    assert judged.sources({"a": judge, "b": more}) == {
        ("a", "pixels"): "pixels",
        ("a", "model"): "model",
        ("b", "pca"): "pca",
        ("b", "model"): "model",
    }
    for other in ({**more, "n": 5}, {**more, "model": {"d": 2}}, {**more, "metrics": {"likelihood": 2}}):
        assert judged.sources({"a": judge, "b": other})["b", "model"] != "model", "they may be other numbers"
    same = {**judge, "extractors": {"pixels": {"dim": 2, "real": {"fd": 1}}}}
    assert judged.sources({"a": judge, "b": same})["b", "pixels"] == "pixels", "what was measured tells no judges apart"
