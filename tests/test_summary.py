"""The tidy table and the summary of an ablation, from run folders written by hand."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains import put_scores
from scipy import stats

from imgcollapse import store
from imgcollapse.ablation import summary
from imgcollapse.ablation.intervals import interval, paired
from imgcollapse.ablation.summary import COLUMNS, Record, Run
from imgcollapse.errors import SettingsProblem
from imgcollapse.files import to_json, write_text
from imgcollapse.metrics import METRICS, Evidence, FeatureSet
from imgcollapse.metrics.evidence import Likelihoods
from imgcollapse.metrics.gated import Gated
from imgcollapse.metrics.score import ANY, POSITIVE, UNIT, Bounds
from imgcollapse.metrics.scores import SCORES
from imgcollapse.settings import build, to_yaml
from imgcollapse.store.manifest import write_manifest
from imgcollapse.study import Study

REAL_VS_REAL = {"fd": 2.0, "coverage": 0.9, "kid": -0.001, "share_0": 0.5, "recall": 0.9, "classes_alive": 25.0, "effective_classes": 25.0}


def between(mean: float) -> dict[str, float]:
    """Real vs real with that mean, as scores and summary have it."""
    return {"mean": mean, "low": mean - 0.5, "high": mean + 0.5}


def in_columns(mean: float) -> dict[str, float]:
    """The same as the table has it."""
    return dict(zip(("real", "real_low", "real_high"), between(mean).values(), strict=True))


REAL_VS_REAL |= {"active_latents": 16.0, "share_alive_0": 1.0, "share_alive_1": 1.0, "share_alive_10": 0.0}
LOSING = {0: [0.8, 0.7, 0.39, 0.1], 1: [0.8, 0.6, 0.5, 0.2], 2: [0.8, 0.8, 0.8, 0.7]}  # coverage of the losing arm by seed
KEEPING = {0: [0.8, 0.79, 0.78, 0.77], 1: [0.8, 0.78, 0.79, 0.8], 2: [0.82, 0.8, 0.8, 0.81]}


def written(
    folder: Path,
    arm: str,
    seed: int,
    values: dict[str, list[float]],
    null: str | None = None,
    regime: str = "replace",
    skip: int = -1,
    every: int = 1,
    gens: int = 4,
    beside: dict[str, list[float]] | None = None,
) -> Run:
    """A run folder with these values of each metric, generation by generation; `skip`: a generation that is missing.

    `beside`: values by a second extractor, `random`.

    `every`: only every so manieth generation, and the last of `gens`, is judged, and the values are of those.
    """
    chosen = {"dataset": "grid25", "model": null or "gmm", "regime": regime, "gens": gens, "seed": seed, "judge": {"every": every}}
    study = build(Study, chosen)
    run = Run(arm, null, seed, study, folder / f"{arm}-{null}-{seed}".replace(" ", ""))
    run.folder.mkdir(parents=True)
    write_text(run.folder / store.STUDY, to_yaml(study))
    count = max(map(len, values.values()), default=0)
    due = range(count) if every == 1 else sorted({*range(0, gens, every), gens - 1})[:count]
    for number, generation in enumerate(due):
        if generation != skip:
            judged = {
                source: {
                    name: {"value": series[number], "real": between(REAL_VS_REAL[name] + seed * (name == "fd")), "n": 400}
                    for name, series in of_source.items()
                }
                for source, of_source in {"pixels": values, **({"random": beside} if beside else {})}.items()
            }
            place = store.generation_folder(run.folder, generation)
            place.mkdir()
            write_manifest(place)
            put_scores(
                run.folder, generation, {"generation": generation, "sources": judged}, {"extractors": {source: {} for source in judged}}
            )
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two arms of three seeds, and a null model under the first."""
    found = []
    for seed in range(3):
        fd = [3.0 + (seed + 1) * t for t in range(4)]
        found.append(written(tmp_path, "0 % real", seed, {"fd": fd, "coverage": LOSING[seed], "kid": [0.1] * 4, "share_0": [0.4] * 4}))
        half = {"fd": [one / 2 + 1 for one in fd], "coverage": KEEPING[seed], "kid": [0.1 + seed / 10] * 4, "share_0": [0.4] * 4}
        found.append(written(tmp_path, "half, fixed", seed, half, regime="retain"))
        found.append(written(tmp_path, "0 % real", seed, {"fd": [2.5] * 4, "coverage": [0.9] * 4}, null="bootstrap"))
    return sorted(found, key=lambda run: (run.arm, run.null or ""))


def arm(record: Record, name: str, null: str | None = None) -> Record:
    return next(one for one in record["arms"] if (one["arm"], one["null"]) == (name, null))


def metric(record: Record, of: str, name: str, null: str | None = None) -> Record:
    return arm(record, of, null)["extractors"]["pixels"][name]


def span(record: Record) -> tuple[float | None, float | None, float | None, int]:
    return record["mean"], record["low"], record["high"], record["n"]


def spans(values: list[float], method: str = "t", bounds: Bounds = ANY) -> Any:
    one = interval(values, method, bounds=bounds)
    return tuple(None if part is None else pytest.approx(part, rel=1e-12) for part in (one.mean, one.low, one.high, one.n))


def summarised(runs: list[Run], **more: Any) -> Record:
    record = summary.summarise(runs, summary.rows(runs), **more)
    assert json.loads(to_json(record)) == record, "plain JSON values"
    return record


def test_no_interval_holds_more_classes_than_there_are(tmp_path: Path) -> None:
    """As "9.2 [8.2, 10.3]" of ten would; of latent numbers none more than the model has, where that is known."""
    values = {f"share_alive_{c}": [1.0] * 2 for c in (0, 1, 10)}
    runs = []
    for seed, (alive, active) in enumerate([(3.0, 16.0), (3.0, 15.0), (2.0, 16.0)]):
        runs.append(written(tmp_path, "a", seed, {"classes_alive": [3.0, alive], "active_latents": [16.0, active], **values}))
        object.__setattr__(runs[-1].study, "model", build(Study, {"model": {"kind": "vae", "latent": 16}}).model)
    found = summarised(runs)
    alive, active = metric(found, "a", "classes_alive"), metric(found, "a", "active_latents")
    assert span(alive["last"]) == span(alive["by_generation"][1]) == spans([3.0, 3.0, 2.0], bounds=(0.0, 3.0))
    assert span(active["last"]) == spans([16.0, 15.0, 16.0], bounds=(0.0, 16.0))
    assert interval([3.0, 3.0, 2.0]).high > 4 and 2.9 < alive["last"]["high"] < 3 and 15.7 < active["last"]["high"] < 16  # type: ignore[operator]


# --- the tidy table


def test_the_table_has_a_row_per_arm_seed_generation_extractor_and_metric(runs: list[Run]) -> None:
    table = summary.rows(runs)
    assert len(table) == 2 * 3 * 4 * 4 + 3 * 4 * 2
    assert all(tuple(row) == COLUMNS for row in table)
    about = {"arm": "0 % real", "model": "gmm", "null": "", "regime": "replace", "seed": 0, "generation": 2, "extractor": "pixels"}
    assert [row for row in table if all(row[name] == value for name, value in about.items())] == [
        {**about, "metric": "fd", "value": 5.0, **in_columns(2.0), "n": 400},
        {**about, "metric": "coverage", "value": 0.39, **in_columns(0.9), "n": 400},
        {**about, "metric": "kid", "value": 0.1, **in_columns(-0.001), "n": 400},
        {**about, "metric": "share_0", "value": 0.4, **in_columns(0.5), "n": 400},
    ]
    assert {(row["model"], row["null"], row["regime"]) for row in table} == {
        ("gmm", "", "replace"),
        ("gmm", "", runs[-1].study.regime.title()),
        ("bootstrap", "bootstrap", "replace"),
    }


def test_runs_that_have_not_begun_or_are_half_finished_have_the_rows_that_are_there(tmp_path: Path) -> None:
    half = written(tmp_path, "a", 0, {"fd": [1.0, 2.0]})
    (half.folder / "gen_002.draft").mkdir()
    (half.folder / "gen_003").mkdir()  # no manifest: not finished
    just_begun = written(tmp_path, "a", 1, {})
    nothing = Run("a", None, 2, half.study, tmp_path / "nowhere")
    assert [(row["seed"], row["generation"], row["value"]) for row in summary.rows([nothing, just_begun, half])] == [
        (0, 0, 1.0),
        (0, 1, 2.0),
    ]


def test_a_run_that_was_not_judged_has_no_rows(tmp_path: Path) -> None:
    run = written(tmp_path, "a", 0, {"fd": [1.0]})
    put_scores(run.folder, 0, {"generation": 0, "sources": {}}, {"extractors": {"pixels": {}}})
    assert summary.rows([run]) == []
    record = summarised([run])
    assert arm(record, "a")["extractors"] == {} and arm(record, "a")["seeds"] == [] and arm(record, "a")["planned"] == [0]
    assert summary.table_lines(record) == {} and summary.headline(record) == []


def test_the_csv_reads_back_as_the_same_numbers(tmp_path: Path) -> None:
    values = [0.1 + 0.2, 1e-17, 1 / 3, 123456789.123456789]
    table = summary.rows([written(tmp_path, 'half, "fixed"', 0, {"fd": values}), written(tmp_path, "b", 1, {"coverage": values})])
    summary.write_csv(table, tmp_path / "ablation.csv")
    with (tmp_path / "ablation.csv").open(newline="", encoding="utf-8") as file:
        back = list(csv.DictReader(file))
    kinds = {"seed": int, "generation": int, "n": int} | dict.fromkeys(("value", "real", "real_low", "real_high"), float)
    assert [{name: kinds.get(name, str)(cell) for name, cell in row.items()} for row in back] == table
    content = (tmp_path / "ablation.csv").read_bytes()
    assert (
        content.startswith(b"arm,model,null,regime,seed,generation,extractor,metric,value,real,real_low,real_high,n\n")
        and b"\r" not in content
    )
    summary.write_csv(table, tmp_path / "ablation.csv")
    assert (tmp_path / "ablation.csv").read_bytes() == content
    assert not list(tmp_path.glob("*.part"))


# --- the summary


def test_an_arm_is_summarised_over_its_seeds(runs: list[Run]) -> None:
    record = summarised(runs)
    assert record["reference"] == "0 % real"
    assert record["method"] == (
        "95 % intervals by Student's t over seeds (mean ± t s/√n, of shares on the logit scale, of distances on the log scale); "
        f"differences paired by seed; {record['scope']}"
    )
    assert record["scope"] == "every seed has its own split, judge and held-out set", "of toy worlds"
    assert [(one["arm"], one["null"]) for one in record["arms"]] == [("0 % real", None), ("0 % real", "bootstrap"), ("half, fixed", None)]
    about = {"arm": "0 % real", "null": None, "model": "gmm", "regime": "replace", "gens": 4, "planned": [0, 1, 2], "seeds": [0, 1, 2]}
    about["lost"] = {}  # no classes were known
    assert {name: value for name, value in arm(record, "0 % real").items() if name != "extractors"} == about
    fd = metric(record, "0 % real", "fd")
    assert set(arm(record, "0 % real")["extractors"]["pixels"]) == {"fd", "coverage", "kid"}, "shares of classes are in the table only"
    assert fd["real"] == between(3.0), "of 2, 3, 4"
    assert [one["generation"] for one in fd["by_generation"]] == [0, 1, 2, 3]
    assert span(fd["by_generation"][2]) == spans([5.0, 7.0, 9.0], bounds=POSITIVE)
    assert span(fd["last"]) == spans([6.0, 9.0, 12.0], bounds=POSITIVE) and (fd["last"]["generation"], fd["last"]["unit"]) == (3, "fd")
    assert span(fd["slope"]) == spans([1.0, 2.0, 3.0])
    assert (fd["slope"]["scale"], fd["slope"]["unit"]) == ("linear", "fd per generation")
    assert span(fd["area"]) == spans([3 * (1 + 1.5), 3 * (0 + 3), 3 * (-1 + 4.5)]) and fd["area"]["unit"] == "fd × generations"
    assert "half" not in fd
    coverage = metric(record, "0 % real", "coverage")
    assert (coverage["slope"]["scale"], coverage["slope"]["unit"]) == ("log", "relative change per generation")
    assert coverage["slope"]["mean"] < -0.1
    assert coverage["half"] == {"generation": 3, "within": 4, "reached": 2, "of": 3, "words": "3 (2 of 3 seeds)"}
    areas = [3 * 0.9 - (0.4 + 0.7 + 0.39 + 0.05), 3 * 0.9 - (0.4 + 0.6 + 0.5 + 0.1), 3 * 0.9 - (0.4 + 0.8 + 0.8 + 0.35)]
    assert span(coverage["area"]) == spans(areas)
    assert metric(record, "half, fixed", "coverage")["half"]["words"] == "not within 4 generations (0 of 3 seeds)"


def test_differences_are_paired_by_seed(runs: list[Run]) -> None:
    record = summarised(runs)
    assert [(one["arm"], one["null"], one["against"], one["against_null"]) for one in record["differences"]] == [
        ("half, fixed", None, "0 % real", None),
        ("0 % real", None, "0 % real", "bootstrap"),
    ]
    pixels = record["differences"][0]["extractors"]["pixels"]
    assert set(pixels) == {"fd", "coverage", "kid"} and set(pixels["fd"]) == {"last", "slope", "area"}
    last = pixels["fd"]["last"]
    assert span(last) == spans([4.0 - 6, 5.5 - 9, 7.0 - 12])
    assert (last["generation"], last["unit"]) == (3, "fd")
    assert span(pixels["fd"]["slope"]) == spans([-0.5, -1.0, -1.5])
    mean, low, high, n = spans([KEEPING[seed][3] - LOSING[seed][3] for seed in range(3)])
    assert high.expected > 1 and span(pixels["coverage"]["last"]) == (mean, low, 1.0, n), "no two shares differ by more"
    assert pixels["coverage"]["slope"]["mean"] > 0
    lower = stats.ttest_1samp([4.0 - 6, 5.5 - 9, 7.0 - 12], 0, alternative="less").pvalue
    assert last["probability_better"] == pytest.approx(1 - lower), "a lower FD is better"
    assert pixels["fd"]["area"]["probability_better"] > 0.9 > 0.5 < pixels["coverage"]["area"]["probability_better"], "less is lost"
    assert pixels["kid"]["last"]["mean"] == pytest.approx(0.1)
    null = record["differences"][1]["extractors"]["pixels"]
    assert set(null) == {"fd", "coverage"} and span(null["fd"]["last"]) == spans([3.5, 6.5, 9.5])


def test_the_reference_can_be_named_and_the_bootstrap_asked_for(runs: list[Run]) -> None:
    record = summarised(runs, reference="half, fixed", method="bootstrap")
    assert record["reference"] == "half, fixed" and "BCa bootstrap" in record["method"] and "too narrow with few seeds" in record["method"]
    first = record["differences"][0]
    assert (first["arm"], first["against"]) == ("0 % real", "half, fixed")
    assert span(first["extractors"]["pixels"]["fd"]["last"]) == spans([2.0, 3.5, 5.0], "bootstrap")
    assert span(metric(record, "0 % real", "fd")["last"]) == spans([6.0, 9.0, 12.0], "bootstrap", POSITIVE)
    with pytest.raises(SettingsProblem, match=r"^reference: there is no arm '50 %'; there are: 0 % real, half, fixed$"):
        summarised(runs, reference="50 %")
    with pytest.raises(SettingsProblem, match=r"^interval: 'jackknife' is unknown; there are: t, bootstrap$"):
        summarised(runs, method="jackknife")


def test_runs_cut_short_count_for_as_long_as_they_were_seen(tmp_path: Path) -> None:
    a = [
        written(tmp_path, "a", 0, {"fd": [1.0, 2.0, 3.0, 4.0], "coverage": [0.8, 0.7, 0.6, 0.5]}),
        written(tmp_path, "a", 1, {"fd": [2.0, 4.0], "coverage": [0.8, 0.7]}),
        written(tmp_path, "a", 2, {}),
    ]
    b = [
        written(tmp_path, "b", 0, {"fd": [1.5, 2.5, 3.5], "coverage": [0.8, 0.3, 0.2]}),
        written(tmp_path, "b", 1, {"fd": [2.5, 4.5, 6.5], "coverage": [0.8, 0.7, 0.3]}),
        written(tmp_path, "b", 3, {"fd": [9.0, 9.0, 9.0, 9.0], "coverage": [0.8, 0.7, 0.6, 0.5]}),
    ]
    record = summarised([*a, *b])
    assert (arm(record, "a")["planned"], arm(record, "a")["seeds"]) == ([0, 1, 2], [0, 1])
    fd = metric(record, "a", "fd")
    assert [one["n"] for one in fd["by_generation"]] == [2, 2, 1, 1]
    assert (fd["last"]["generation"], *span(fd["last"])) == (3, 4.0, None, None, 1)
    assert span(fd["slope"]) == (pytest.approx(1.0), None, None, 1)
    assert metric(record, "a", "coverage")["half"]["words"] == "not within 4 generations (0 of 2 seeds; 1 cut short)"
    assert metric(record, "b", "coverage")["half"]["words"] == "2 (2 of 3 seeds)"
    difference = record["differences"][0]["extractors"]["pixels"]["fd"]
    # seed 0 has generations 0 to 2 in both arms, seed 1 only 0 and 1, seeds 2 and 3 are not in both
    assert (difference["last"]["generation"], *span(difference["last"])) == (2, 0.5, None, None, 1)
    assert span(difference["slope"]) == (pytest.approx(0), None, None, 1)
    assert span(difference["area"]) == (pytest.approx(2 * 0.5), None, None, 1)


def test_what_lies_behind_a_missing_generation_waits_until_it_is_made_again(tmp_path: Path) -> None:
    record = summarised([written(tmp_path, "a", 0, {"coverage": [0.8, 0.7, 0.1, 0.1]}, skip=2)])
    coverage = metric(record, "a", "coverage")
    assert coverage["last"]["generation"] == 1 and coverage["half"]["words"] == "not within 2 generations (0 of 1 seed)"


def test_a_single_generation_has_neither_slope_nor_area(tmp_path: Path) -> None:
    runs = [written(tmp_path, name, seed, {"fd": [3.0 + seed]}) for name in ("a", "b") for seed in (0, 1)]
    record = summarised(runs)
    fd = metric(record, "a", "fd")
    assert (span(fd["last"]), fd["last"]["values"]) == ((3.5, None, None, 2), [3.0, 4.0]), "of two seeds their values, no interval"
    assert span(fd["slope"]) == span(fd["area"]) == (None, None, None, 0)
    difference = record["differences"][0]["extractors"]["pixels"]["fd"]
    assert (span(difference["last"]), difference["last"]["values"]) == ((0.0, None, None, 2), [0.0, 0.0])
    assert span(difference["slope"]) == (None, None, None, 0)


def test_arms_without_a_common_seed_have_no_difference(tmp_path: Path) -> None:
    record = summarised([written(tmp_path, "a", 0, {"fd": [3.0]}), written(tmp_path, "b", 1, {"fd": [3.0]})])
    assert record["differences"] == [{"arm": "b", "null": None, "against": "a", "against_null": None, "extractors": {}}]
    assert summary.headline(record) == [
        "Cannot tell by FD at the last generation: it is compared seed by seed, and no two arms have a judged seed in common."
    ]
    not_begun = Run("c", None, 0, build(Study, {}), tmp_path / "nowhere")
    assert summarised([not_begun])["differences"] == []


# --- lost classes


def alive(*generations: int) -> list[float]:
    return [float(one) for one in generations]


def test_a_lost_class_has_the_generation_from_which_on_it_is_not_seen_again(tmp_path: Path) -> None:
    series = {
        0: {"share_alive_0": alive(1, 0, 1, 0), "share_alive_1": alive(1, 1, 1, 1), "share_alive_10": alive(0, 0, 0, 0)},
        1: {"share_alive_0": alive(1, 0, 0, 0), "share_alive_1": alive(1, 1, 1, 0), "share_alive_10": alive(0, 0, 0, 0)},
        2: {"share_alive_0": alive(1, 1), "share_alive_1": alive(1, 1), "share_alive_10": alive(0, 1)},
    }
    runs = [written(tmp_path, "a", seed, {"fd": [1.0] * len(values["share_alive_0"]), **values}) for seed, values in series.items()]
    found = summarised(runs)
    assert arm(found, "a")["lost"] == {
        "pixels": {
            # lost at 3 (it came back at 2) and at 1, in the third seed not before it was cut short
            "0": {"generation": 3, "within": 4, "reached": 2, "of": 3, "words": "3 (2 of 3 seeds; 1 cut short)"},
            # lost at 3 in one of the two seeds that were seen for as long
            "1": {"generation": 3, "within": 4, "reached": 1, "of": 3, "words": "3 (1 of 3 seeds; 1 cut short)"},
            "10": {"generation": None, "within": 0, "reached": 0, "of": 0, "words": "nothing to lose"},  # nor among real pictures
        }
    }
    assert set(arm(found, "a")["extractors"]["pixels"]) == {"fd"}, "beside the metrics, not one of them"
    assert [summary.losses(store.scores(run.folder)) for run in runs] == [{"pixels": {0: 3}}, {"pixels": {0: 1, 1: 3}}, {"pixels": {}}]


def test_losses_are_told_in_the_order_in_which_they_happened_and_up_to_a_missing_generation(tmp_path: Path) -> None:
    values = {"share_alive_0": alive(1, 1, 1, 0), "share_alive_1": alive(1, 0, 0, 0), "share_alive_10": alive(1, 0, 0, 0)}
    assert list(summary.losses(store.scores(written(tmp_path, "a", 0, values).folder))["pixels"].items()) == [(1, 1), (0, 3)]
    assert summary.losses(store.scores(written(tmp_path, "b", 0, values, skip=3).folder)) == {"pixels": {1: 1}}
    assert summary.losses(store.scores(written(tmp_path, "c", 0, values, skip=1).folder)) == {"pixels": {}}
    assert summary.losses(store.scores(written(tmp_path, "d", 0, values, skip=0).folder)) == {} == summary.losses([])
    assert summary.losses(store.scores(written(tmp_path, "e", 0, {"fd": [1.0]}).folder)) == {"pixels": {}}


# --- in words


def test_the_table_in_words_shows_the_last_generation_beside_real_vs_real(runs: list[Run]) -> None:
    lines = summary.table_lines(summarised(runs))["pixels"]
    assert lines == [
        ["arm", "generation", "seeds", "FD", "coverage"],
        ["real vs real", "", "", "3.00 [2.50, 3.50]", "0.900 [0.400, 1.400]"],
        ["0 % real", "3", "3 of 3", "9.00 [3.93, 20.60]", "0.333 [0.014, 0.948]"],
        ["0 % real, null model bootstrap", "3", "3 of 3", "2.50 [2.50, 2.50]", "0.900 [0.900, 0.900]"],
        ["half, fixed", "3", "3 of 3", "5.50 [2.79, 10.83]", "0.793 [0.737, 0.840]"],
    ]


def test_a_null_model_that_is_one_run_for_several_arms_has_one_line(tmp_path: Path) -> None:
    """Of generators, say: those under one regime have the same null models. The summary has them all, for its differences."""
    found = []
    for name, regime in (("a", "replace"), ("b", "replace"), ("a, retain", "retain"), ("b, retain", "retain")):
        found.append(written(tmp_path, name, 0, {"fd": [3.0 + len(found)]}, regime=regime))
        found += [written(tmp_path, name, 0, {"fd": [5.0]}, null="bootstrap", regime=regime)]
        found += [written(tmp_path, name, 0, {"fd": [6.0 + (name == "b")]}, null="smooth", regime=regime)]
    record = summarised(found)
    assert len(record["arms"]) == 12
    assert [(line[0], line[3]) for line in summary.table_lines(record)["pixels"][2:]] == [
        *(("a", "3.00"), ("a, null model bootstrap (of 2 arms)", "5.00"), ("a, null model smooth", "6.00")),
        *(("b", "6.00"), ("b, null model smooth", "7.00")),
        *(
            ("a, retain", "9.00"),
            ("a, retain, null model bootstrap (of 2 arms)", "5.00"),
            ("a, retain, null model smooth (of 2 arms)", "6.00"),
        ),
        ("b, retain", "12.00"),
    ]


def test_arms_with_other_real_values_stand_below_their_own(tmp_path: Path) -> None:
    runs = [written(tmp_path, name, seed, {"fd": [3.0]}) for name, seed in (("a", 0), ("b", 0), ("c", 2), ("d", 0))]
    lines = summary.table_lines(summarised(runs))["pixels"]
    assert [(line[0], line[3]) for line in lines[1:]] == [
        *(("real vs real", "2.00 [1.50, 2.50]"), ("a", "3.00"), ("b", "3.00")),
        *(("real vs real", "4.00 [3.50, 4.50]"), ("c", "3.00")),
        *(("real vs real", "2.00 [1.50, 2.50]"), ("d", "3.00")),
    ]


def test_the_headline_tells_differences_with_intervals_and_half_lives(runs: list[Run]) -> None:
    told = summary.headline(summarised(runs))
    assert told[0] == (
        "Cannot tell with 3 seeds: coverage at generation 3 is undecided with “half, fixed” against 0 % real, +0.460 [-0.298, +1.000]."
    )
    assert told[1] == (
        "half, fixed minus 0 % real (generation 3, pixels, 3 paired seeds): "
        "FD -3.50 [-7.23, +0.23] (P(better) 0.972), coverage +0.460 [-0.298, +1.000] (P(better) 0.940)"
    )
    first = "first generation below half of generation 0: coverage:"
    assert told[2:] == [  # null models are left to the table
        f"0 % real (pixels), {first} 3 (2 of 3 seeds)",
    ]


def test_only_what_was_lost_has_a_half_life_and_classes_are_counted_with_a_decimal(tmp_path: Path) -> None:
    values = {"recall": [0.9, 0.8], "coverage": [0.9, 0.1], "classes_alive": [25.0, 24.0], "effective_classes": [25.0, 20.0]}
    record = summarised([written(tmp_path, "a", seed, values) for seed in (0, 1)])
    assert summary.headline(record) == [
        "Cannot tell with 2 seeds: coverage goes from 0.90 at generation 0 to 0.10 at generation 1; an interval takes three seeds.",
        "a (pixels), first generation below half of generation 0: coverage: 1 (2 of 2 seeds)",
    ]
    assert [line[-1] for line in summary.table_lines(record)["pixels"]] == ["classes alive", "25.0 [24.5, 25.5]", "24.0 and 24.0"]


def test_pairing_is_what_the_summary_does(runs: list[Run]) -> None:
    table = summary.rows(runs)
    ends = [
        {
            row["seed"]: row["value"]
            for row in table
            if (row["arm"], row["null"], row["metric"], row["generation"]) == (name, "", "coverage", 3)
        }
        for name in ("half, fixed", "0 % real")
    ]
    found = summarised(runs)["differences"][0]["extractors"]["pixels"]["coverage"]["last"]
    one = paired(*ends, bounds=UNIT)
    assert span(found) == (one.mean, one.low, one.high, one.n)


# --- how scores are read


def test_every_score_has_an_entry_that_says_how_it_is_read() -> None:
    features = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = FeatureSet(features, torch.arange(60) % 2, torch.arange(60) % 2)
    shares, confusion = torch.tensor([0.4, 0.6], dtype=torch.float64), torch.tensor([[30, 0, 0], [0, 30, 0]])
    copies = torch.zeros(60, dtype=torch.bool)
    each = torch.arange(60.0, dtype=torch.float64)
    likely = Likelihoods(3, each, each, each, codes=(features, each / 60))
    gated = Gated(~copies, each < 30, each, each, ~copies, each + 1, features, features + 1)
    more: dict[str, Any] = {"learned": seen, "copies": copies, "learned_copies": copies, "likelihoods": likely}
    more |= {"bands": (4, 3, 2), "gated": gated}
    evidence = Evidence(seen, seen, seen, shares, confusion, **more)
    scores = {name for metric in METRICS.values() for name in metric.measure(evidence)}
    assert {name for name in scores if not re.search(r"_\d+$", name)} == set(SCORES), "all but those of single classes"
    halved = {name for name, score in SCORES.items() if score.halved}
    assert halved == {"recall", "coverage", "min_recall_coverage", "classes_alive", "effective_classes"}
    ranks = sorted((score.rank, name) for name, score in SCORES.items() if score.rank is not None)
    assert [name for _, name in ranks[:3]] == ["min_recall_coverage", "coverage", "fd"], "what a page says first"
    assert [rank for rank, _ in ranks] == list(range(1, len(ranks) + 1))
    assert halved < {name for name, score in SCORES.items() if score.scale == "log" and score.better == "higher"}
    for metric in METRICS.values():
        for name, value in metric.measure(evidence).items():
            low, high = SCORES[name].bounds_in({"classes": 2, "latents": 16}) if name in SCORES else (None, None)
            assert (low is None or value >= low) and (high is None or value <= high), "intervals would be of what cannot be"
    lower = {name for name, score in SCORES.items() if score.better == "lower"}
    assert lower >= {"fd", "kid", "total_variation", "total_variation_corrected"}
    assert not lower & {"precision", "recall", "coverage", "confident", "rare_share", "min_class_recall", *halved}


# --- chains in which not every generation is judged


def test_the_numbers_of_a_thinly_judged_chain_are_of_real_generations(tmp_path: Path) -> None:
    run = written(tmp_path, "a", 0, {"fd": [2.0, 4.0, 8.0, 9.0], "coverage": [0.8, 0.5, 0.3, 0.1]}, every=20, gens=51)
    found = summarised([run])
    fd, coverage = metric(found, "a", "fd"), metric(found, "a", "coverage")
    assert [(one["generation"], one["mean"]) for one in fd["by_generation"]] == [(0, 2.0), (20, 4.0), (40, 8.0), (50, 9.0)]
    assert (fd["last"]["generation"], fd["last"]["mean"]) == (50, 9.0)
    assert fd["area"]["mean"] == pytest.approx(20 * (0 + 2) / 2 + 20 * (2 + 6) / 2 + 10 * (6 + 7) / 2)
    assert fd["slope"]["mean"] == pytest.approx(np.polyfit([0, 20, 40, 50], [2, 4, 8, 9], 1)[0])
    assert (coverage["half"]["generation"], coverage["half"]["words"]) == (40, "40 at the latest (1 of 1 seed)")


def test_a_thinly_judged_chain_ends_before_what_should_have_been_judged_and_is_not(tmp_path: Path) -> None:
    values = {"fd": [2.0, 4.0, 8.0, 9.0], "coverage": [0.8, 0.5, 0.5, 0.1]}
    coverage = metric(summarised([written(tmp_path, "a", 0, values, every=20, gens=51, skip=40)]), "a", "coverage")
    assert [one["generation"] for one in coverage["by_generation"]] == [0, 20]
    assert coverage["half"]["words"] == "not within 21 generations (0 of 1 seed)"


def test_arms_are_compared_at_generations_that_both_have(tmp_path: Path) -> None:
    often = written(tmp_path, "often", 0, {"fd": [1.0, 50.0, 2.0, 50.0, 3.0]}, every=2, gens=9)
    seldom = written(tmp_path, "seldom", 0, {"fd": [2.0, 4.0, 6.0]}, every=4, gens=9)
    dense = written(tmp_path, "dense", 0, {"fd": [2.0, 9.0, 9.0, 9.0, 5.0, 9.0]}, gens=9)
    found = summarised([often, seldom, dense], reference="often")
    seldom_apart, dense_apart = (one["extractors"]["pixels"]["fd"] for one in found["differences"])
    assert (seldom_apart["last"]["generation"], seldom_apart["last"]["mean"]) == (8, 3.0)
    assert seldom_apart["slope"]["mean"] == pytest.approx(0.5 - 0.25), "of generations 0, 4 and 8 of both"
    assert (dense_apart["last"]["generation"], dense_apart["last"]["mean"]) == (4, 3.0)


def test_classes_lost_between_judged_generations(tmp_path: Path) -> None:
    values = {"fd": [1.0] * 4, "share_alive_0": alive(1, 1, 0, 0), "share_alive_1": alive(1, 1, 1, 1)}
    run = written(tmp_path, "a", 0, values, every=20, gens=51)
    lost = arm(summarised([run]), "a")["lost"]["pixels"]
    assert (lost["0"]["generation"], lost["0"]["words"]) == (40, "40 at the latest (1 of 1 seed)")
    assert (lost["1"]["generation"], lost["1"]["words"]) == (None, "not within 51 generations (0 of 1 seed)")
    assert summary.losses(store.scores(run.folder), run.study) == {"pixels": {0: 40}}
    assert summary.losses(store.scores(run.folder)) == {"pixels": {}}, "every generation should have been judged"


def test_the_chain_of_a_judge_that_the_study_does_not_name_has_gaps_of_its_own(tmp_path: Path) -> None:
    run = written(tmp_path, "a", 0, {"fd": [1.0, 2.0, 3.0, 4.0]})
    for generation in (0, 2, 3):
        scores = {"generation": generation, "sources": {"other": {"fd": {"value": generation, "real": between(2.0), "n": 9}}}}
        put_scores(run.folder, generation, scores, {"extractors": {"other": {}}}, "other-123456")
    found = arm(summarised([run]), "a")["extractors"]
    assert [one["generation"] for one in found["other"]["fd"]["by_generation"]] == [0, 2, 3]
    assert [one["generation"] for one in found["pixels"]["fd"]["by_generation"]] == [0, 1, 2, 3]
