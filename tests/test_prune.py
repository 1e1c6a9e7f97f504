"""Pruning: what goes, what stays, and that runs go on as if nothing had gone."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from chains import files
from terminal import call, done

import imgcollapse as ic
from imgcollapse import store
from imgcollapse.ablation import worker
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface import pruning
from imgcollapse.settings import build
from imgcollapse.store import history, pruned
from imgcollapse.store.manifest import part_digest, read_manifest
from imgcollapse.study import Study

SMALL: dict[str, Any] = {"dataset.size": 60, "judge.metrics": ["frechet_distance"]}
POINTS: dict[str, Any] = {"dataset": "gaussian", "model": "gaussian", "set": SMALL, "quiet": True}


def kept(run: Path, part: str) -> list[int]:
    return [generation for generation in store.finished(run) if store.has(run, generation, part)]


def test_a_pruned_run_is_sound_goes_on_and_has_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, other = (ic.run(**POINTS, gens=3, out=name) for name in ("a", "b"))
    before, digests = files(chain.folder), [part_digest(store.generation_folder(chain.folder, g), store.MODEL) for g in range(3)]
    said = done("prune", "a", "--models", "last", "--samples", "2", "--dry-run").stdout.splitlines()
    assert files(chain.folder) == before and said[-1].startswith("a: 0.0 MB would be free")
    assert said[:2] == ["samples of generation 1", "weights of generations 0 to 1"]
    found = json.loads(done("prune", "a", "--models", "last", "--samples", "2", "--json").stdout)
    gone = {name: len(content) for name, content in before.items() if name not in files(chain.folder)}
    assert set(gone) == {"gen_001/samples.npz", *(f"gen_00{g}/model/{name}" for g in (0, 1) for name in os.listdir("b/gen_000/model"))}
    assert found["bytes"] == sum(gone.values()) and len(found["parts"]) == 3
    assert kept(chain.folder, store.MODEL) == [2] and kept(chain.folder, store.SAMPLES) == [0, 2]
    # digests stay, and nothing is called damaged
    assert [part_digest(store.generation_folder(chain.folder, g), store.MODEL) for g in range(3)] == digests
    entries = read_manifest(chain.folder / "gen_000")["files"]
    assert {name for name, one in entries.items() if one.get("thrown_away")} == {name[8:] for name in gone if name.startswith("gen_000")}
    assert chain.generations == [0, 1, 2] and chain.scores() == other.scores()
    assert [line["generation"] for line in history.lines(chain.folder) if line["how"] == "pruned"] == [0, 1]
    # it goes on to what it would have been, and nothing is made again
    assert ic.run(**POINTS, gens=4, out="a").scores() == ic.run(**POINTS, gens=4, out="b").scores()
    assert [line["generation"] for line in history.lines(chain.folder) if line["how"] == "made"] == [0, 1, 2, 3]
    assert (chain.folder / "report.html").is_file() and done("prune", "a", "--models", "all", "--samples", "2").stdout.startswith(
        "there is"
    )
    # what was begun and killed is ended
    (chain.folder / "gen_000" / "model").mkdir()
    (chain.folder / "gen_000" / "model" / "weights").write_bytes(b"12")
    assert json.loads(done("prune", "a", "--models", "3", "--json").stdout)["bytes"] >= 0
    with pytest.raises(ic.DataProblem, match=r"weights are no longer kept \(keep.models, or imgcollapse prune\); choose a generation"):
        chain.model(1)


def study(**settings: Any) -> Study:
    return build(Study, {"dataset": {"kind": "gaussian", "size": 60}, "model": {"kind": "gaussian"}, "samples": 60, **settings})


@pytest.mark.parametrize(
    ("settings", "models", "samples", "said"),
    [
        (
            {"regime": "accumulate"},
            "all",
            "last",
            "^--samples: regime 'accumulate' learns from the samples of every generation; set it to all$",
        ),
        ({"regime": "teacher"}, "last", "all", "^--models: under regime 'teacher' generation 0 draws for every later one"),
        ({"model": {"kind": "ddpm"}, "init": "base"}, "none", "all", "^--models: init 'base' begins every generation with the weights of"),
        ({"model": {"kind": "ddpm"}, "init": "previous"}, "none", "all", "^--models: init 'previous' begins with the newest weights, so a"),
        ({"ensemble": 2}, "all", "last", "^--samples: samples of an ensemble are read by all its chains, and together; set it to all$"),
        ({"regime": {"kind": "replace", "stream": True}}, "none", "all", "^--models: a stream draws from the newest model"),
    ],
)
def test_what_a_longer_run_needs_is_refused(settings: dict[str, Any], models: str, samples: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=said):
        pruning._refuse_needed(study(**settings), {store.MODEL: models, store.SAMPLES: samples})
    pruning._refuse_needed(study(**settings), {store.MODEL: "all", store.SAMPLES: "all"})


def test_what_gates_and_likelihoods_need_stays_and_is_said() -> None:
    extractors = [{"kind": "pixels"}]
    plain = study(judge={"extractors": extractors, "metrics": ["frechet_distance"]})
    assert not pruning._protected(plain)
    judged = study(judge={"extractors": extractors, "metrics": ["likelihood"]})
    assert pruning._protected(judged).keys() == {store.MODEL} and "by them (likelihoods)" in pruning._protected(judged)[store.MODEL][1]
    gated = plain.model_copy(update={"gates": build(Study, {"gates": [{"kind": "detect"}]}).gates})
    assert pruning._protected(gated)[store.SAMPLES] == (0, "the samples of generation 0 stay: gates of later generations are made by them")


def test_what_gates_need_stays_on_the_disk() -> None:
    place = ic.run(**POINTS, gens=2, out="a").folder
    assert [one.generation for one in pruned.to_go(place, {store.MODEL: "all", store.SAMPLES: "last"}, {store.SAMPLES: 0})] == []
    assert [one.generation for one in pruned.to_go(place, {store.MODEL: "none", store.SAMPLES: "last"}, {store.MODEL: 0})] == [0, 1]
    rules = {store.MODEL: "none", store.SAMPLES: "last"}
    assert {(one.generation, one.part) for one in pruned.to_go(place, rules, {})} == {
        (0, store.SAMPLES),
        (0, store.MODEL),
        (1, store.MODEL),
    }


def test_bad_words_and_unfinished_runs_get_a_line() -> None:
    ic.run(**POINTS, gens=2, out="a")
    file = Path("a/study.yaml")
    file.write_text(file.read_text().replace("gens: 2", "gens: 5"))
    for words, said in [
        (["--models", "lst"], "--models: 'lst' is no rule; use all, last, none, or K: those of every K-th generation, and the last"),
        (["--samples", "none"], "--samples: 'none' is no rule; use all, last, or K: "),
        ([], "prune: names nothing that should go; give --models last, for example, or --samples last"),
        (["--models", "last"], "a: is not finished (2 of 5 generations, waiting); finish it first, or set keep.models"),
    ]:
        before = files(Path("a"))
        refused = call("prune", "a", *words)
        assert refused.exit_code == 2 and refused.stderr.startswith(f"imgcollapse: {said}"), refused.stderr
        assert files(Path("a")) == before


def test_room_is_counted_by_the_last_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"12345")
    os.link(tmp_path / "a" / "one", tmp_path / "two")
    (tmp_path / "a" / "three").write_bytes(b"123")
    assert pruned.room([tmp_path / "a"]) == 3 and pruned.room([tmp_path / "a", tmp_path / "two", tmp_path / "two"]) == 8
    assert pruned.ranges([5, 0, 1, 2, 2]) == "0 to 2, 5"


def on_disk(folder: Path) -> int:
    """Bytes of all files, each once; without the manifests of generations and histories, which are written anew."""
    own = [one for one in folder.rglob("*") if one.name not in ("MANIFEST.json", "history.jsonl") or one.parent.name.startswith("weights-")]
    return sum(size for _, size in {(one.stat().st_ino, one.stat().st_size) for one in own if one.is_file()})


@pytest.mark.slow
def test_an_ablation_is_pruned_with_what_its_runs_share_and_goes_on() -> None:
    words: dict[str, Any] = {
        "dataset": "gaussian",
        "model": "gaussian",
        "real_fraction": [0, 0.5],
        "set": SMALL,
        "nulls": False,
        "quiet": True,
    }
    grid = ic.ablate(**words, gens=2, seeds=1, jobs=1, out="grid")
    before, scores = on_disk(grid.folder), grid.scores()
    found = json.loads(done("prune", "grid", "--models", "last", "--samples", "last", "--json").stdout)
    assert found["bytes"] == before - on_disk(grid.folder) > 0
    for run in grid.runs:
        assert kept(run.folder, store.MODEL) == kept(run.folder, store.SAMPLES) == [1] and run.generations == [0, 1]
    names = {line["key"] for run in grid.runs for line in history.lines(run.folder) if line.get("key") and line["generation"] == 0}
    there = {one.name for one in (grid.folder / "shared").iterdir() if one.is_dir()}
    assert len(names) == 1 and not names & there and not (grid.folder / "shared" / "set_aside").exists()
    assert grid.scores() == scores and "there is nothing to prune" in done("prune", "grid", "--models", "last", "--samples", "last").stdout
    # a run that failed is left as it is, and said; the others are pruned
    longer = ic.ablate(**words, gens=3, seeds=1, jobs=1, out="grid")
    assert [one.state for one in longer.statuses] == ["done", "done"]
    worker.record_failure(longer.runs[0].folder, "DivergedProblem", "the loss is nan", 6)
    said = done("prune", "grid", "--models", "none").stdout
    assert said.startswith("real_fraction 0, seed 0 is left as it is: ") and "(3 of 3 generations, failed)" in said
    assert kept(longer.runs[0].folder, store.MODEL) == [1, 2] and kept(longer.runs[1].folder, store.MODEL) == []
