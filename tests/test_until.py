"""A run that ends once a condition on its scores holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from chains import files
from terminal import call, done

import imgcollapse as ic
from imgcollapse import store
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface.until import Until, Watch, looked_up
from imgcollapse.metrics.record import RealVsReal, Scores, Value
from imgcollapse.settings import build
from imgcollapse.store import ended, judged
from imgcollapse.study import Study, prepare

SMALL: dict[str, Any] = {"dataset.size": 60, "judge.metrics": ["frechet_distance", "neighbourhood"]}
POINTS: dict[str, Any] = {"dataset": "gaussian", "model": "gaussian", "set": SMALL, "quiet": True}
FLAGS = ("--dataset", "gaussian", "--model", "gaussian", "--set", "dataset.size=60")
FLAGS = (*FLAGS, "--set", "judge.metrics=[frechet_distance, neighbourhood]")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("recall<0.5", Until(None, "recall", "<", 0.5)),
        (" random : recall <= .5 ", Until("random", "recall", "<=", 0.5)),
        ("gate watermark:auc>0.9", Until("gate watermark", "auc", ">", 0.9)),
        ("fd >= 1e2", Until(None, "fd", ">=", 100)),
        ("share_3<0.01", Until(None, "share_3", "<", 0.01)),
    ],
)
def test_what_a_condition_says(text: str, read: Until) -> None:
    assert Until.of(text) == read and Until.of(str(read)) == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recall", r"'recall' is not a condition; write SCORE<NUMBER \(or >, <=, >=\), for example 'recall<0.5'$"),
        ("recall=0.5", "is not a condition"),
        ("0.5>recall", "'0.5' is not a score"),
        ("recal<0.5", "'recal' is not a score; did you mean 'recall'. there are: fd, "),
        ("share_<0.5", "'share_' is not a score"),
        ("fd<much", "'much' is no number"),
        ("fd<nan", "'nan' is no number"),
        ("fd<0", "'fd<0' never holds, as fd is never below 0"),
        ("recall<0", "never holds, as recall is between 0 and 1; name a number that it can pass$"),
        ("recall>1", "never holds"),
    ],
)
def test_what_is_no_condition(text: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=f"^--until: .*{said}" if text != "fd<much" else said):
        Until.of(text)


def chosen(**more: Any) -> Study:
    settings = {"dataset": {"kind": "gaussian", "size": 60}, "model": {"kind": "gaussian"}, "gens": 3, **more}
    return prepare(build(Study, settings))[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("random:fd>1", "'random' does not measure fd; pixels can$"),
        ("spectral_distance>1", "spectral_distance is not measured; add power_spectrum to judge.metrics, or name one that is: fd, "),
        ("auc>0.5", "auc is not measured; name a gate that has it, or name one that is: fd, "),
    ],
)
def test_what_the_study_does_not_measure(text: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=f"^--until: {said}"):
        Until.of(text).check(chosen())
    with pytest.raises(SettingsProblem, match="nothing is judged"):
        Until.of(text).check(chosen(judge={"extractors": []}))
    Until.of("model:bits_per_dim>5").check(chosen())


def test_it_looks_at_the_first_that_measures_it_and_at_its_interval(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def found(share: float) -> Scores:
        real = RealVsReal(0.1, 0.05, 0.15)
        values = {"share_3": Value(share, real, 9), "share_low_3": Value(share / 2, None, 9), "share_high_3": Value(share * 2, None, 9)}
        return Scores(0, {"random": {"fd": Value(1.0, None, 9)}, "classifier": values})

    series = {0: found(0.1), 1: Scores(1, {"random": {}}), 2: None, 3: found(0.01)}
    monkeypatch.setattr(judged, "found_by", lambda run, name, generation: series[generation])
    monkeypatch.setattr(Until, "check", lambda self, study: None)
    watch = Watch(Until.of("share_3<0.05"), chosen(), tmp_path)
    assert [watch(generation) for generation in series] == [False, False, False, True]
    assert (watch.outcome.source, watch.outcome.low, watch.outcome.high) == ("classifier", 0.005, 0.02)
    assert watch.outcome.line(9) == (
        "until share_3<0.05: met at generation 3, or at one of the 2 before it, which are not judged: share_3 by classifier 0.010 "
        "(95 % interval 0.005 to 0.020; real vs real 0.100 [0.050, 0.150]); the run ends here, after 4 of at most 9 generations"
    )
    with pytest.raises(SettingsProblem, match=r"share_4 was not measured in generation 0; there are: fd; what is finished is kept$"):
        Watch(Until.of("share_4<0.05"), chosen(), tmp_path)(0)


def test_a_run_ends_where_it_holds_and_the_same_command_does_nothing_more() -> None:
    chain = ic.run(**POINTS, gens=3, until="precision<=1", out="a")
    assert chain.generations == [0] and (ended.by(chain.folder) or {})["condition"] == "precision<=1"
    (before,) = (files(chain.folder),)
    said = json.loads(done("run", *FLAGS, "--gens", 3, "--until", "precision<=1", "--out", "a", "--json").stdout)
    assert said["until"] == chain.until("precision<=1") and said["until"]["generation"] == 0 and said["until"]["after"] is None
    after = files(chain.folder)
    told = {"environment.json", "log.txt", "report.html"}  # that it was asked again, and by which command
    assert {name for name in after if before.get(name) != after[name]} <= told
    status = json.loads(call("status", "a", "--json").stdout)["runs"][0]
    assert status["state"] == "done" and status["ended"] == "until precision<=1: met at generation 0" and status["generations"] == 1
    # what it ends by is no part of the study
    plain = ic.run(**POINTS, gens=3, out="b")
    assert (plain.folder / store.STUDY).read_bytes() == (chain.folder / store.STUDY).read_bytes()
    # and without it, the run goes on to the same
    assert ic.run(**POINTS, gens=3, out="a").scores() == plain.scores() and ended.by(chain.folder) is None
    found = plain.until("fd>1e9")
    assert (
        not found["met"]
        and found["generation"] == 2
        and "not met in generations 0 to 2" in looked_up("fd>1e9", plain.study, plain.folder, [0, 1, 2]).line(3)
    )


def test_it_first_held_somewhere_after_the_last_that_is_judged() -> None:
    chain = ic.run(**{**POINTS, "set": {**SMALL, "judge.every": 2}}, gens=3, out="a")
    first, last = (row["value"] for row in chain.scores() if row["metric"] == "fd" and row["extractor"] == "pixels")
    found = chain.until(f"fd{'>' if last > first else '<'}{(first + last) / 2}")
    assert (found["met"], found["generation"], found["after"]) == (True, 2, 0)


def test_all_chains_of_an_ensemble_end() -> None:
    chain = ic.run(**{**POINTS, "set": {**SMALL, "ensemble": 2}}, gens=3, until="fd>=0", out="a")
    assert chain.generations == [0]
    assert [store.finished(store.chain_folder(chain.folder, k)) for k in range(2)] == [[0], [0]]


def test_what_cannot_be_is_said_before_anything_is_written() -> None:
    for flags in (["--until", "random:fd>1"], ["--until", "fd>1", "--judge-beside"]):
        for more in ([], ["--dry-run"]):
            said = call("run", *FLAGS, "--gens", 2, "--out", "a", *flags, *more)
            assert (said.exit_code == 2 and "until" in said.stderr) or ("--dry-run" in more and "--judge-beside" in flags)
            assert not Path("a").exists()


def test_a_run_that_is_stopped_before_it_begins_has_met_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imgcollapse.interface.running.prepare", stopped)
    with pytest.raises(KeyboardInterrupt):
        ic.run(**POINTS, gens=2, until="fd>0", out="a")
