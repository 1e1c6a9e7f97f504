"""Generators side by side: what is crossed, the ranks that intervals leave, and changes of the order with metric and judge."""

import html
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats
from terminal import call
from test_summary import written

from imgcollapse.ablation import summary
from imgcollapse.ablation.endpoint import Asked, Endpoint, Rivals
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.summary import Record, ranking_lines, ranking_tables
from imgcollapse.errors import SettingsProblem
from imgcollapse.files import to_json
from imgcollapse.settings import build

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
if len(sys.argv) == 3:
    np.save(Path(sys.argv[2]) / "x.npy", np.load(sys.argv[1])["arr_0"])
else:
    x_N = np.load(Path(sys.argv[1]) / "x.npy")
    np.savez(sys.argv[2], arr_0=x_N[np.random.default_rng(int(sys.argv[4])).integers(len(x_N), size=int(sys.argv[3]))])
"""
A, B, C = "alpha", "beta", "gamma"


def series(*ends: float) -> list[list[float]]:
    """Recall of each seed in two generations, of which the last is what counts."""
    return [[0.8, end] for end in ends]


def ranked(folder: Path, models: dict[str, dict[str, list[list[float]]]], beside: dict[str, Any] | None = None, **more: Any) -> Record:
    """The ranking of these generators: name -> metric -> a series for each seed. `beside`: the same by a second extractor."""
    runs = []
    for name, metrics in models.items():
        for seed in range(max(map(len, metrics.values()))):
            values = {metric: of_seeds[seed] for metric, of_seeds in metrics.items()}
            other = {metric: of_seeds[seed] for metric, of_seeds in beside[name].items()} if beside else None
            runs.append(written(folder, name, seed, values, beside=other, gens=2))
    asked = Asked(Endpoint(metric=more.pop("metric", "recall"), **more), rivals=(Rivals("", {name: name for name in models}),))
    record = summary.summarise(runs, summary.rows(runs), asked=asked)
    assert json.loads(to_json(record)) == record, "plain JSON values"
    (one,) = record["rankings"]
    return {**one, "lines": ranking_lines(record), "table": ranking_tables(record)[0][2]}


def places(ranking: Record) -> dict[str, tuple[int, int]]:
    return {one["model"]: (one["first"], one["last"]) for one in ranking["ranks"]}


def test_generators_that_differ_by_more_than_their_seeds_have_ranks(tmp_path: Path) -> None:
    """Differences of 0.3 and 0.2, standard deviations 0.01 and 0.02: t = 52 and 17 with two degrees of freedom, below 0.05 / 2 and 0.05."""
    one = ranked(
        tmp_path,
        {
            A: {"recall": series(0.2, 0.2, 0.2)},
            B: {"recall": series(0.49, 0.5, 0.51)},
            C: {"recall": series(0.71, 0.7, 0.69)},
        },
    )
    assert places(one) == {C: (1, 1), B: (2, 2), A: (3, 3)} and [row["model"] for row in one["ranks"]] == [C, B, A]
    assert all(row["tied"] == [] for row in one["ranks"])
    pair = next(pair for pair in one["pairs"] if (pair["model"], pair["against"]) == (A, B))
    # alpha - beta: -0.29, -0.30, -0.31; every level is that of its own step of Holm's procedure over three pairs
    half = stats.t.ppf((1 + pair["level"]) / 2, 2) * 0.01 / 3**0.5
    assert pair["side"] == "behind" and pair["mean"] == pytest.approx(-0.3)
    assert (pair["low"], pair["high"]) == (pytest.approx(-0.3 - half), pytest.approx(-0.3 + half))
    assert sorted(pair["level"] for pair in one["pairs"]) == pytest.approx([0.95, 0.975, 1 - 0.05 / 3])
    assert one["lines"][0].startswith("Rank by recall at generation 1: 1: gamma; 2: beta; 3: alpha (features: pixels, Holm-adjusted over 3")
    first, second, third = one["table"]
    assert first[:4] == ["1", "gamma", "0.700 [0.675, 0.724]", "3 of 3"] and first[4:6] == ["", ""] and third[6:] == ["", ""]
    assert first[6].startswith("+0.200 [") and second[4].startswith("-0.200 [") and second[6].startswith("+0.300 [")
    assert first[7] == "0.998" and second[5] == "0.002", "1 - T_2(-17.3)"


def test_a_tie_leaves_both_ranks_to_both_and_is_not_transitive(tmp_path: Path) -> None:
    """alpha - beta has t = 1.2, beta - gamma 2.4, alpha - gamma 29: the ends are told apart, neither from the middle."""
    wide = (0.45, 0.55, 0.62)
    one = ranked(tmp_path, {A: {"recall": series(0.6, 0.61, 0.59)}, B: {"recall": series(*wide)}, C: {"recall": series(0.42, 0.44, 0.43)}})
    assert places(one) == {A: (1, 2), B: (1, 3), C: (2, 3)}
    assert {row["model"]: row["tied"] for row in one["ranks"]} == {A: [B], B: [A, C], C: [B]}
    assert one["lines"][0].startswith(
        "Rank by recall at generation 1: 1 to 2: alpha; 1 to 3: beta; 2 to 3: gamma; "
        "alpha is tied with beta; beta is tied with alpha and gamma; gamma is tied with beta (features"
    )
    assert [row[0] for row in one["table"]] == ["1 to 2", "1 to 3", "2 to 3"]


def test_what_is_the_same_to_within_the_margin_is_tied_and_said(tmp_path: Path) -> None:
    """Differences of 0.001, 0 and -0.001: an interval within 0.05."""
    one = ranked(
        tmp_path,
        {A: {"recall": series(0.5, 0.51, 0.49)}, B: {"recall": series(0.501, 0.51, 0.489)}, C: {"recall": series(0.2, 0.21, 0.19)}},
    )
    assert places(one) == {A: (1, 2), B: (1, 2), C: (3, 3)}
    assert "1 to 2: alpha and beta (tied); 3: gamma" in one["lines"][0]
    assert one["lines"][1] == "The same to within 0.05: alpha and beta."


@pytest.mark.parametrize(("seeds", "word"), [(1, "1 seed"), (2, "2 seeds")])
def test_one_or_two_seeds_claim_no_rank(tmp_path: Path, seeds: int, word: str) -> None:
    one = ranked(tmp_path, {A: {"recall": series(*[0.9] * seeds)}, B: {"recall": series(*[0.1] * seeds)}})
    assert places(one) == {A: (1, 2), B: (1, 2)} and [pair["side"] for pair in one["pairs"]] == ["open"]
    assert one["lines"] == [
        f"No order of alpha and beta by recall at generation 1 can be told with {word} (features: pixels, an interval needs three seeds)."
    ]
    assert [row[0] for row in one["table"]] == ["1 to 2", "1 to 2"]


def test_a_generator_that_has_not_come_as_far_has_no_part_in_the_order_and_one_with_fewer_seeds_is_said(tmp_path: Path) -> None:
    cut = [[0.8], [0.8], [0.8]]
    one = ranked(
        tmp_path,
        {
            A: {"recall": series(0.6, 0.61, 0.59)},
            B: {"recall": cut},
            C: {"recall": series(0.2, 0.2)},
            "delta": {"recall": series(0.3, 0.3, 0.3)},
        },
    )
    assert places(one) == {A: (1, 3), "delta": (2, 4), C: (1, 4), B: (1, 4)}, "of alpha and delta the one is before the other"
    assert {pair["model"] for pair in one["pairs"]} | {pair["against"] for pair in one["pairs"]} == {A, C, "delta"}
    assert one["comparisons"] == 6, "those that are missing count"
    assert "Not complete: beta has only come to generation 0." in one["lines"]
    by_name = {row[1]: row for row in one["table"]}
    assert by_name[C][3] == "2 of 2" and by_name[B][2].endswith("(generation 0)")


def test_generators_without_any_scores_are_named(tmp_path: Path) -> None:
    one = ranked(tmp_path, {A: {"recall": series(0.6, 0.61, 0.59)}, B: {"recall": series(0.2, 0.2, 0.21)}, C: {"recall": [[], [], []]}})
    assert places(one) == {A: (1, 2), B: (2, 3), C: (1, 3)} and "Not complete: gamma has no scores." in one["lines"]


def test_of_one_generator_alone_nothing_is_said_to_be_missing_that_is_there(tmp_path: Path) -> None:
    one = ranked(tmp_path, {A: {"recall": series(0.6, 0.61, 0.59)}, B: {"recall": [[], [], []]}, C: {"recall": [[], [], []]}})
    assert one["generation"] == 1 and "at generation 1" in one["lines"][0]
    assert "Not complete: beta has no scores; gamma has no scores." in one["lines"]


def test_the_order_changes_with_the_judge_only_where_intervals_of_both_leave_out_0(tmp_path: Path) -> None:
    up, down = series(0.6, 0.61, 0.59), series(0.3, 0.3, 0.3)
    wide = series(0.2, 0.55, 0.3)  # its mean is above 0.3, and its interval holds that
    for name, other, changed in (("supported", up, True), ("undecided", wide, False)):
        one = ranked(
            tmp_path / name,
            {A: {"recall": up}, B: {"recall": down}},
            beside={A: {"recall": down}, B: {"recall": other}},
            extractor="pixels",
        )
        assert places(one) == {A: (1, 1), B: (2, 2)}, "the endpoint is by pixels"
        assert bool(one["reversals"]) == changed
        view = next(view for view in one["views"] if view["extractor"] == "random")
        assert (view["order"], view["decided"]) == (("other", 1) if changed else ("undecided", 0))
        words = " ".join(one["lines"])
        if changed:
            (reversal,) = one["reversals"]
            assert (reversal["with_judge"], reversal["with_metric"]) == (True, False)
            assert "The order changes with the judge: alpha comes before beta by recall (pixels) (difference +0.300 [" in words
            assert "but behind it by recall (random) (difference -0.300 [" in words and "not over 2 scores" in words
        else:
            assert "Whether it is the same is undecided by recall (random) (0 of 1 pairs told apart)." in words
            assert "No change of the order with metric or judge is supported by an interval" in words


def test_where_both_judges_decide_and_contradict_each_other_nothing_is_ranked(tmp_path: Path) -> None:
    up, down = {"recall": series(0.6, 0.61, 0.59)}, {"recall": series(0.3, 0.3, 0.3)}
    one = ranked(tmp_path, {A: up, B: down}, beside={A: down, B: up})
    assert places(one) == {A: (1, 2), B: (1, 2)} and len(one["reversals"]) == 1
    assert one["lines"][0].startswith(
        "No order of alpha and beta by recall at generation 1 can be told with 3 seeds (features: pixels and random,"
    )
    assert one["lines"][1] == (
        "The endpoint tells no two of them apart; other scores do: recall (pixels), 1 of 1 pairs and recall (random), 1 of 1 pairs."
    )


def test_the_order_changes_with_the_metric_where_lower_is_better_too(tmp_path: Path) -> None:
    """By FD less is better: 3 comes before 5, as a recall of 0.6 before 0.3; where FD is 5 and 3 it does not."""
    fd = [[1.0, 5.0], [1.0, 5.1], [1.0, 4.9]], [[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]]
    recall = series(0.6, 0.61, 0.59), series(0.3, 0.3, 0.3)
    one = ranked(tmp_path / "other", {A: {"recall": recall[0], "fd": fd[0]}, B: {"recall": recall[1], "fd": fd[1]}})
    assert [(view["metric"], view["order"]) for view in one["views"]] == [("recall", "same"), ("fd", "other")]
    assert [(found["with_judge"], found["with_metric"]) for found in one["reversals"]] == [(False, True)]
    assert any(line.startswith("The order changes with the metric: alpha comes before beta by recall (pixels)") for line in one["lines"])
    one = ranked(tmp_path / "same", {A: {"recall": recall[0], "fd": fd[1]}, B: {"recall": recall[1], "fd": fd[0]}})
    assert one["reversals"] == [] and "Where these ranks differ, the order is the same by recall (pixels) and FD (pixels)." in one["lines"]
    one = ranked(tmp_path / "by", {A: {"recall": recall[0], "fd": fd[1]}, B: {"recall": recall[1], "fd": fd[0]}}, metric="fd")
    assert places(one) == {A: (1, 1), B: (2, 2)}, "less is better"


BASE = {"dataset": "digits", "gens": 2}


def test_generators_are_arms_and_cross_with_arms_and_axes() -> None:
    program = {"kind": "command", "fit": "learn {training_set} {model}", "sample": "draw {model} {samples} {n} {seed}"}
    both = {"base": BASE, "models": {"mine": program, "mixture": {"kind": "gmm", "components": 3}}}
    alone = build(Ablation, both)
    assert alone.named() == {"mine": {"model": program}, "mixture": {"model": {"kind": "gmm", "components": 3}}}
    assert alone.rivals() == (Rivals("", {"mine": "mine", "mixture": "mixture"}),)
    arms = {"none": {"regime": "replace"}, "half": {"regime": {"kind": "retain", "real_fraction": 0.5}}}
    crossed = build(Ablation, {"base": BASE, "models": ["gmm", "gaussian"], "arms": arms, "axes": {"samples": [50, 60]}})
    assert list(crossed.named())[:3] == ["none, gmm, samples 50", "none, gmm, samples 60", "none, gaussian, samples 50"]
    assert [one.beside for one in crossed.rivals()] == ["none, samples 50", "none, samples 60", "half, samples 50", "half, samples 60"]
    assert crossed.rivals()[0].arms == {"gmm": "none, gmm, samples 50", "gaussian": "none, gaussian, samples 50"}
    axis = build(Ablation, {"base": BASE, "axes": {"model": ["gmm", "vae"], "regime": ["replace", "accumulate"]}})
    assert axis.rivals()[0] == Rivals("regime replace", {"gmm": "model gmm, regime replace", "vae": "model vae, regime replace"})
    assert build(Ablation, {"base": BASE, "arms": arms}).rivals() == () == build(Ablation, {"base": BASE, "models": ["gmm"]}).rivals()


def test_null_models_are_of_the_data_one_study_for_all_generators_under_a_regime() -> None:
    studies = list(build(Ablation, {"base": BASE, "models": ["gmm", "vae"]}).studies())
    nulls = {null: {own.name() for _, other, own in studies if other == null} for null in ("bootstrap", "smooth")}
    assert [len(names) for names in nulls.values()] == [1, 1], "their runs have one folder each"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"models": ["gmm", "gmm"]}, "models: ['gmm', 'gmm'] cannot be used; name every generator once"),
        ({"models": {"one": "gmm", "two": {"kind": "gmm"}}}, "models: 'one' and 'two' are the same; leave out one of the two"),
        (
            {"models": ["gmm", "vae"], "arms": {"a": {"model": "gmm"}}},
            "models: the arm 'a' names a model, too; name all generators under `models`, and there what else differs",
        ),
        (
            {"models": ["gmm", "vae"], "axes": {"model": ["gmm"]}},
            "models: an axis names a model, too; name all generators under `models`, and there what else differs",
        ),
        (
            {"models": {"a, b": "gmm", "b": "vae"}, "arms": {"c, a": {}, "c": {}}},
            "arms: two of them, crossed with models and axes, have one name",
        ),
        ({"models": {" ": "gmm"}}, "an arm has the name ' ', in which nothing can be seen"),
        ({"models": "gmm"}, "models"),
    ],
)
def test_generators_that_cannot_be_ranked_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        build(Ablation, {"base": BASE, **change})
    assert text in str(caught.value)


def test_chains_that_name_their_own_models_are_refused() -> None:
    chosen = build(Ablation, {"base": {**BASE, "ensemble": {"chains": 2, "models": ["gmm", "gaussian"]}}, "models": ["gmm", "vae"]})
    with pytest.raises(SettingsProblem, match=r"ensemble.models takes the place of `models`"):
        list(chosen.studies())


@pytest.mark.slow
def test_an_ablation_with_a_program_is_ranked_on_page_terminal_and_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROGRAM)
    run = f"{sys.executable} {tmp_path / 'own.py'}"
    program = {"kind": "command", "fit": run + " {training_set} {model}", "sample": run + " {model} {samples} {n} {seed}"}
    judge = {"extractors": ["pixels"], "metrics": ["frechet_distance", "neighbourhood"]}
    base = {"dataset": {"kind": "digits", "subset": 200}, "gens": 2, "samples": 60, "regime": "replace", "judge": judge}
    grid = {"base": base, "models": {"mixture": "gmm", "Gaussian": "gaussian", "program": program}, "endpoint": "fd", "seeds": 3}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    result = call("ablate", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--no-nulls")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "summary.json").read_text())
    (one,) = record["rankings"]
    assert (one["metric"], one["generation"], one["comparisons"], len(one["pairs"])) == ("fd", 1, 3, 3)
    assert {row["model"] for row in one["ranks"]} == {"mixture", "Gaussian", "program"} and all(row["n"] == 3 for row in one["ranks"])
    means = {arm["arm"]: arm["extractors"]["pixels"]["fd"]["last"]["mean"] for arm in record["arms"]}
    assert [row["model"] for row in one["ranks"]] == sorted(means, key=means.__getitem__), "less is better"
    page, words = (tmp_path / "out" / "report.html").read_text(), " ".join(result.output.split())
    assert "The generators, ranked" in page and "generators, ranked" in words
    for line in ranking_lines(record):
        assert line in words and html.escape(line, quote=False).replace("'", "&#39;") in page
