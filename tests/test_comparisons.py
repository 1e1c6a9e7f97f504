"""Several comparisons at once, sameness, and seeds that are added: closed forms, and simulations of what they promise."""

import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from imgcollapse.ablation.comparisons import MOST_SEEDS, Difference, holm_levels, seeds_needed, verdict
from imgcollapse.ablation.intervals import Interval, paired
from imgcollapse.metrics.score import UNIT

ROOT = Path(__file__).parent.parent
ERRORS = 4.5  # standard errors; two-sided 7e-6


def of(*values: float) -> Difference:
    return Difference.of(dict(enumerate(values)))


def test_a_difference_is_tested_as_by_scipy_and_has_the_paired_interval() -> None:
    values = [0.3, 0.1, 0.25, -0.05]
    one = of(*values)
    assert one.chance == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-10)
    assert one.interval(0.95) == paired(dict(enumerate(values)), dict.fromkeys(range(4), 0.0))
    assert of(0.9, 1.0, 0.5).interval(0.99, UNIT).high == 1.0


def test_one_or_two_seeds_and_seeds_that_agree() -> None:
    assert of(0.3, 0.5).interval(0.95) == Interval(0.4, None, None, 2, (0.3, 0.5)) and of(0.3, 0.5).chance == 1.0
    assert of().interval(0.95) == Interval(None, None, None, 0) and of().chance == 1.0
    assert of(0.2, 0.2, 0.2).chance == 0.0 and of(0.0, 0.0, 0.0).chance == 1.0
    assert of(0.25, 0.25, 0.25).interval(0.95) == Interval(0.25, 0.25, 0.25, 3)


def test_holms_levels_by_hand() -> None:
    """Holm 1979: 0.01 <= 0.05/4 and 0.012 <= 0.05/3 are rejected, 0.03 > 0.05/2 ends it, though 0.04 alone would be below 0.05."""
    levels = holm_levels([0.03, 0.01, 0.04, 0.012])
    assert levels == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 4, 1 - 0.05 / 2, 1 - 0.05 / 3])
    assert holm_levels([0.2]) == pytest.approx([0.95]) and holm_levels([]) == []


def test_an_adjusted_interval_leaves_out_0_where_holms_procedure_rejects_and_nowhere_else() -> None:
    chance = np.random.default_rng(0)
    rejected = 0
    for _ in range(300):
        effects = chance.choice([0.0, 0.6, 2.0], 5)
        apart = [of(*(effect + chance.standard_normal(6))) for effect in effects]
        order = np.argsort([one.chance for one in apart])
        wanted = [False] * 5
        for step, place in enumerate(order):  # the textbook's loop
            if apart[place].chance > 0.05 / (5 - step):
                break
            wanted[place] = True
        levels = holm_levels([one.chance for one in apart])
        verdicts = [verdict(one.interval(level), None) for one, level in zip(apart, levels, strict=True)]
        assert [one != "open" for one in verdicts] == wanted
        rejected += sum(wanted)
    assert 300 < rejected < 1200, "both are met"


@pytest.mark.parametrize(
    ("low", "high", "margin", "said"),
    [
        (0.01, 0.3, 0.05, "higher"),
        (-0.3, -0.01, None, "lower"),
        (-0.04, 0.05, 0.05, "same"),
        (-0.04, 0.051, 0.05, "open"),
        (-0.051, 0.04, 0.05, "open"),
        (-0.04, 0.04, None, "open"),
        (0.0, 0.04, 0.05, "same"),
        (0.01, 0.04, 0.05, "higher"),
        (None, None, 0.05, "open"),
    ],
)
def test_what_an_interval_says(low: float | None, high: float | None, margin: float | None, said: str) -> None:
    assert verdict(Interval(0.0, low, high, 3), margin) == said


def test_stein_s_second_stage_by_hand() -> None:
    pilot = [1.0, 2.0, 3.0, 4.0, 5.0]
    wanted = math.ceil((stats.t.ppf(0.975, 4) * math.sqrt(2.5) / 1.5) ** 2)
    assert seeds_needed(pilot, 1.5) == wanted == 9
    assert seeds_needed(pilot, 100.0) == 5 and seeds_needed(pilot, 0.01) == MOST_SEEDS and seeds_needed([1.0] * 5, 0.1) == 5
    values = dict(enumerate([*pilot, 2.0, 3.0, 7.0, 1.0]))
    found = Difference.of(values, range(5)).interval(0.95)
    assert found.n == 9 and found.mean == pytest.approx(np.mean(list(values.values())))
    assert found.high is not None and found.mean is not None
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(2.5) / 3) and found.high - found.mean <= 1.5


# --- the tables of docs/statistics.md


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", ROOT / "scripts" / "coverage.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(first: str, names: int = 1) -> dict[str, list[float]]:
    """The table of the documentation whose head begins so: the first cells, which name a row -> the numbers in it."""
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    (table,) = re.findall(rf"^\| {re.escape(first)} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", text, re.M)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {", ".join(row[:names]): [float(cell) for cell in row[names:]] for row in rows}


def agrees(found: float, shown: float, draws: int) -> bool:
    """Within the noise of both, of which the documentation's is the smaller."""
    return abs(found - shown) < ERRORS * math.sqrt(max(shown * (1 - shown), 0.004) * (1 / draws + 1 / 1000))


@pytest.mark.parametrize(("row", "place"), [(0, 0), (2, 1), (4, 0), (6, 2)])
def test_the_coverage_of_means_is_what_the_documentation_says(script: Any, row: int, place: int) -> None:
    case, n = script.CASES[row], script.SEEDS[place]
    shown = printed("values")[case.name]
    for offset, column in ((0, "t"), (3, "t, not transformed")):
        assert agrees(script.of_means(case, column, n, 1500), shown[offset + place], 1500), (case.name, column, n)
    assert set(printed("values")) == {one.name for one in script.CASES}


def test_the_scale_of_shares_and_distances_never_holds_less_often(script: Any) -> None:
    """The reason for it: where values are skewed or bounded, intervals that are not transformed hold the expectation less often."""
    for case in script.CASES:
        shown = printed("values")[case.name]
        assert all(on_scale >= plain - 0.005 for on_scale, plain in zip(shown[:3], shown[3:6], strict=True)), case.name


def test_the_coverage_of_differences_is_what_the_documentation_says(script: Any) -> None:
    a, b = script.PAIRS[3]
    shown = printed("paired differences")[f"{a.name} minus {b.name}"]
    assert agrees(script.of_differences(a, b, 3, 1500), shown[0], 1500)


@pytest.mark.parametrize("name", ["no arm differs", "three of six differ"])
def test_holms_error_rate_is_kept_and_the_unadjusted_one_is_not(script: Any, name: str) -> None:
    draws, n = 600, 5
    wrong, plain, held = script.of_comparisons(script.EFFECTS[name], n, draws)
    shown = printed("six arms")[name][3:6]
    assert wrong < 0.05 + ERRORS * math.sqrt(0.05 * 0.95 / draws) and held > 0.95 - ERRORS * math.sqrt(0.05 * 0.95 / draws)
    assert all(agrees(found, told, draws) for found, told in zip((wrong, plain, held), shown, strict=True))
    assert plain > 0.08


def test_what_differs_by_the_margin_is_seldom_called_the_same(script: Any) -> None:
    """Schuirmann 1987: of a 95 % interval at most 2.5 %; and with seeds enough, what does not differ is."""
    for spread in (0.3, 1.0):
        assert script.of_sameness(1.0, spread, 5, 1500) < 0.025 + ERRORS * math.sqrt(0.025 * 0.975 / 1500)
    assert script.of_sameness(0.0, 0.3, 10, 300) > 0.9
    assert agrees(script.of_sameness(0.0, 0.3, 3, 1500), printed("difference / margin", 2)["0, 0.3"][0], 1500)


@pytest.mark.parametrize("case", range(3))
def test_added_seeds_keep_the_level(script: Any, case: int) -> None:
    """Of normal and bounded differences, and of skewed ones as nearly as t does; adding a seed at a time until t is narrow does not."""
    draws = 400
    held, _, naive, seeds = script.of_added_seeds(script.APART[case], 0.75, draws)
    level = 0.91 if "skewed" in script.APART[case].name else 0.95
    assert held > level - ERRORS * math.sqrt(0.05 * 0.95 / draws) and 5 < seeds < MOST_SEEDS
    shown = printed("differences", 2)[f"{script.APART[case].name}, 0.75"]
    assert agrees(held, shown[0], draws) and agrees(naive, shown[2], draws) and naive < held


def test_p_better_is_right_as_often_as_it_says_of_differences_of_any_size(script: Any) -> None:
    for n in (3, 10):
        says, right = script.of_superiority(None, n, 1500)
        for one, other in zip(says[:3], right[:3], strict=True):  # about 500 differences each
            assert abs(one - other) < ERRORS * math.sqrt(one * (1 - one) / 250), (n, says, right)


def test_p_better_of_small_differences_is_what_the_documentation_says(script: Any) -> None:
    shown = printed("true differences")
    assert set(shown) == {"(what it says)", *script.SIZES}
    for place, n in enumerate(script.SEEDS):
        _, right = script.of_superiority(0.5, n, 2500)
        in_bins = shown["normal, half as large"][4 * place : 4 * place + 4]
        assert all(agrees(one, told, 250) for one, told in zip(right[:3], in_bins[:3], strict=True))
        _, there = script.of_superiority(0.0, n, 2500)
        assert all(abs(one - wanted) < ERRORS * math.sqrt(wanted / 2500) for one, wanted in zip(there, (0.4, 0.4, 0.15, 0.05), strict=True))


def test_of_a_generator_that_is_as_good_as_real_pictures_far_fewer_scores_leave_than_are_outside_once(script: Any) -> None:
    shown = printed("score")
    assert set(shown) == set(script.WATCHED)
    for once, last, gone in shown.values():
        assert gone < 0.05 < once and last < 0.12, "what the rule is for"


def test_the_interval_of_a_rate_of_approach_holds_it_as_often_as_the_documentation_says(script: Any) -> None:
    for (rate, noise), place in (((0.1, 0.1), 1), ((0.4, 0.3), 0)):
        shown = printed("rate", 2)[f"{rate:g}, {noise:g}"][3 * place : 3 * place + 3]
        found = script.of_rates(rate, noise, script.SEEDS[place], 500)
        assert all(agrees(one, other, 500) for one, other in zip(found, shown, strict=True)), (rate, noise)
