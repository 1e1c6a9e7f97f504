"""Early warnings: which score leaves real vs real for good, when, and how long before recall halves; words against numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
from test_comparisons import ERRORS
from test_summary import summarised, written

from imgcollapse.ablation.statistics import EventTime
from imgcollapse.ablation.summary import Record
from imgcollapse.ablation.summary.early import cell, first_sentence
from imgcollapse.ablation.warning import Left, lead, lead_words, leaves
from imgcollapse.errors import DataProblem
from imgcollapse.metrics.record import RealVsReal

REAL = RealVsReal(2.0, 1.5, 2.5)
HALF = math.sqrt(2) / 2  # what leaves a generation 0 that was outside


def left(*values: float, at: list[int] | None = None) -> tuple[int | None, int, bool]:
    found = leaves(values, range(len(values)) if at is None else at, REAL)
    return found.time.generation, found.side, found.already


# --- the rule


def test_what_stays_outside_on_one_side_has_left_since_the_first_generation_outside() -> None:
    assert left(2.0, 2.4, 2.6, 3.0) == (2, 1, False)
    assert left(2.0, 1.4, 1.3, 1.2) == (1, -1, False)
    assert left(2.0, 2.5, 1.5, 2.0) == (None, 0, False), "the ends are inside"


def test_what_comes_back_has_not_left_and_the_last_generation_alone_does_not_count() -> None:
    assert left(2.0, 3.0, 2.0, 3.0, 3.1) == (3, 1, False)
    assert left(2.0, 3.0, 3.0, 2.0) == (None, 0, False)
    assert left(2.0, 2.0, 2.0, 9.0) == (None, 0, False)
    assert left(2.0, 9.0, 0.0, 9.0, 0.0) == (None, 0, False), "from one side to the other is no way out"
    assert left(2.0, 0.0, 9.0, 9.0) == (2, 1, False)


def test_where_generation_0_is_outside_it_is_counted_from_there_against_the_spread_times_the_root_of_2() -> None:
    assert left(4.0, 4.0 + HALF - 0.01, 4.0, 4.0) == (None, 0, True)
    assert left(4.0, 4.0, 4.0 + HALF + 0.01, 5.0) == (2, 1, True)
    assert left(4.0, 4.0 - HALF - 0.01, 3.0, 2.0) == (1, -1, True), "back to where real pictures are is a change, too"
    skewed = RealVsReal(2.0, 1.8, 3.0)
    assert leaves([4.0, 4 + 1.4, 4 + 1.4], range(3), skewed).side == 0 and leaves([4.0, 4 - 0.3, 4 - 0.3], range(3), skewed).side == -1


def test_where_not_all_generations_are_judged_it_is_the_latest_that_it_can_be() -> None:
    assert leaves([2.0, 2.0, 3.0, 3.0], [0, 5, 10, 15], REAL) == Left(EventTime(10, 16, exact=False), 1, False)
    assert leaves([2.0, 3.0, 3.0], [0, 1, 5], REAL).time == EventTime(1, 6, exact=True)


def test_no_finite_number_is_refused() -> None:
    with pytest.raises(DataProblem, match="nan is not a finite number"):
        leaves([2.0, math.nan], range(2), REAL)


def test_looks_of_a_plain_score_leave_as_seldom_as_the_rule_says() -> None:
    """Values that are independent of each other: two last ones on one side of a range with 2.5 % beyond each end are 2 x 0.025^2."""
    chance, chains, gone, once = np.random.default_rng(0), 20_000, 0, 0
    low, high = -1.959964, 1.959964
    for values in chance.standard_normal((chains, 6)).tolist():
        found = leaves(values, range(6), RealVsReal(0.0, low, high))
        inside = low <= values[0] <= high
        gone += inside and found.side != 0
        once += inside and any(not low <= value <= high for value in values)
    expected = 0.95 * 2 * 0.025**2
    assert abs(gone / chains - expected) < ERRORS * math.sqrt(expected / chains)
    assert once / chains == pytest.approx(0.95 * (1 - 0.95**5), abs=0.02)


# --- how long before


def test_how_long_before_recall_halves() -> None:
    assert lead(EventTime(2, 9), EventTime(6, 9)) == 4 and lead(EventTime(6, 9), EventTime(2, 9)) == -4
    assert lead(EventTime(None, 9), EventTime(2, 9)) is None and lead(EventTime(2, 9), EventTime(None, 9)) is None
    assert lead(EventTime(2, 9), None) is None


@pytest.mark.parametrize(
    ("leads", "words"),
    [
        ([4], "4 generations before it"),
        ([1, 1], "1 generation before it"),
        ([2, 5, 4], "4 (2 to 5) generations before it"),
        ([0], "in the same generation"),
        ([-2], "2 generations after it"),
        ([-3, -1, -2], "2 (1 to 3) generations after it"),
        ([-1, 1, 3], "1 (-1 to 3) generations before it"),
        ([-1, 0, 1], "0 (-1 to 1) generations before it"),
        ([3, 4], "3.5 (3 to 4) generations before it"),
        ([0, 1], "0.5 (0 to 1) generations before it"),
    ],
)
def test_lead_words(leads: list[int], words: str) -> None:
    assert lead_words(leads, "it") == (words + " in which it" if leads == [0] else words)


# --- of an ablation


def warned(tmp_path: Path) -> Record:
    """Two arms; real vs real: fd 2 ± 0.5 (3 and 4 of the other seeds), recall and coverage 0.9 ± 0.5."""
    runs = []
    for seed in range(3):
        fd = [2.0 + seed, 2.0 + seed, 3.0 + seed, 4.0 + seed, 5.0 + seed, 6.0 + seed]
        falling = {"fd": fd, "recall": [0.9, 0.8, 0.7, 0.6, 0.44 - seed / 100, 0.3], "coverage": [0.3, 0.3, 0.2, 0.1, 0.1, 0.1]}
        runs.append(written(tmp_path, "falls", seed, falling, gens=6, beside={"coverage": [0.9, 0.3, 0.3, 0.3, 0.3, 0.3]}))
        runs.append(written(tmp_path, "stays", seed, {"fd": [2.0 + seed] * 6, "recall": [0.9] * 6, "coverage": [0.9] * 6}, gens=6))
    return summarised(runs)


def of_arm(record: Record, arm: str) -> tuple[Record, dict[tuple[str, str], Record]]:
    (warning,) = [one for one in record["warnings"] if (one["arm"], one["null"]) == (arm, None)]
    return warning, {(one["extractor"], one["metric"]): one for one in warning["scores"]}


def test_the_summary_says_which_score_leaves_first_and_how_long_before_recall_halves(tmp_path: Path) -> None:
    warning, scores = of_arm(warned(tmp_path), "falls")
    assert warning["halves"] == {"extractor": "pixels", "generation": 4, "words": "4 (3 of 3 seeds)"}
    assert [(one["extractor"], one["metric"], one["generation"]) for one in warning["scores"]] == [
        ("random", "coverage", 1),
        ("pixels", "fd", 2),
        ("pixels", "recall", None),
        ("pixels", "coverage", None),
    ], "recall is outside at the last generation alone"
    fd, away = scores["pixels", "fd"], scores["pixels", "coverage"]
    assert (fd["reached"], fd["of"], fd["already"], fd["worse"], fd["better"], fd["lead"]) == (3, 3, 0, 3, 0, [2, 2, 2])
    assert (away["already"], away["generation"]) == (3, None), "outside at generation 0, and no farther than √2 times the spread since"
    assert scores["random", "coverage"]["lead"] == [3, 3, 3], "before recall by the features that have it"
    assert cell(fd) == "2 (3 of 3 seeds), 2 generations before recall halves"
    assert cell(away) == "not within 6 generations (0 of 3 seeds); already outside at generation 0 in 3 of 3 seeds, counted from there"
    assert first_sentence(warning) == (
        "first to leave real vs real for good, at generation 1: coverage (features: random); recall (features: pixels) falls below half of "
        "generation 0 at generation 4 (3 of 3 seeds), 3 generations later; already outside at generation 0 in most seeds: 1 of 4 scores"
    )
    stays, _ = of_arm(warned(tmp_path / "again"), "stays")
    assert first_sentence(stays) == (
        "no score has left real vs real for good; recall (features: pixels) does not fall below half of generation 0 within 6 generations "
        "(0 of 3 seeds)"
    )


def test_the_better_side_is_said(tmp_path: Path) -> None:
    record = summarised([written(tmp_path, "a", 0, {"fd": [2.0, 1.0, 1.0, 0.9]})])
    _, scores = of_arm(record, "a")
    assert cell(scores["pixels", "fd"]) == "1 (1 of 1 seed); on the better side"
    assert of_arm(record, "a")[0]["halves"] is None


def test_a_single_generation_warns_of_nothing_and_two_may(tmp_path: Path) -> None:
    record = summarised([written(tmp_path, "a", 0, {"fd": [9.0]})])
    assert record["warnings"] == [{"arm": "a", "null": None, "halves": None, "scores": []}]
    _, scores = of_arm(summarised([written(tmp_path, "b", 0, {"fd": [2.0, 2.1]})]), "b")
    assert cell(scores["pixels", "fd"]) == "not within 2 generations (0 of 1 seed)"
