"""The statistics over seeds, on series with known answers."""

import inspect
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from imgcollapse.ablation.intervals import FEWEST, METHODS, Interval, interval, paired
from imgcollapse.ablation.statistics import EventTime, area, half_life, lost, median_time, slope
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.metrics.score import POSITIVE, UNIT, Bounds

ERRORS = 4.5  # standard errors; two-sided 7e-6
TABLE = 1e-8  # relative: how far scipy's ways to a quantile of t may differ


def inside(truth: float, found: Interval) -> bool:
    assert found.low is not None and found.high is not None
    return found.low <= truth <= found.high


def width(found: Interval) -> float:
    assert found.low is not None and found.high is not None
    return found.high - found.low


# --- intervals


def test_students_interval_is_that_of_the_tables() -> None:
    half = 4.302652729911275 / math.sqrt(3)  # t with 2 degrees of freedom, 0.975; s of 1, 2, 3 is 1
    found = interval([3.0, 1.0, 2.0])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.low == pytest.approx(2 - half, rel=TABLE) and found.high == pytest.approx(2 + half, rel=TABLE)
    x = [0.3, 0.9, 0.1, 0.5, 0.7]
    for level in (0.5, 0.9, 0.99):
        low, high = stats.t.interval(level, len(x) - 1, loc=np.mean(x), scale=stats.sem(x))
        found = interval(x, level=level)
        assert (found.low, found.high) == (pytest.approx(low, rel=TABLE), pytest.approx(high, rel=TABLE))


@pytest.mark.parametrize("method", METHODS)
def test_one_or_two_seeds_give_their_values_and_no_interval_and_none_no_mean(method: str) -> None:
    assert interval([0.75, 0.25], method) == Interval(0.5, None, None, 2, (0.75, 0.25))
    assert interval([0.7], method) == Interval(0.7, None, None, 1, (0.7,))
    assert interval([], method) == Interval(None, None, None, 0)
    assert interval([0.1, 0.2, 0.4], method).values == () and FEWEST == 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])  # the mean of three times 0.1 is rounded
def test_values_that_are_all_equal_have_an_interval_of_width_0(method: str, value: float) -> None:
    assert interval([value] * 3, method) == Interval(value, value, value, 3)


@pytest.mark.parametrize(("n", "level"), [(3, 0.95), (3, 0.8), (6, 0.95)])
def test_students_interval_holds_the_truth_as_often_as_it_says(n: int, level: float) -> None:
    draws, chance = 8000, np.random.default_rng(n)
    held = sum(inside(5.0, interval(chance.normal(5, 2, n), level=level)) for _ in range(draws))
    assert abs(held / draws - level) < ERRORS * math.sqrt(level * (1 - level) / draws)


@pytest.mark.parametrize(("n", "coverage"), [(3, 0.74), (5, 0.84), (10, 0.90)])
def test_the_bootstrap_is_too_narrow_by_as_much_as_is_known(n: int, coverage: float) -> None:
    draws, chance = 300, np.random.default_rng(n)
    held = 0
    for _ in range(draws):
        x = chance.standard_normal(n)
        found = interval(x, "bootstrap")
        held += inside(0.0, found)
        assert found.low is not None and found.high is not None
        assert x.min() - 1e-12 <= found.low < x.mean() < found.high <= x.max() + 1e-12
    assert abs(held / draws - coverage) < ERRORS * math.sqrt(coverage * (1 - coverage) / draws)


def test_the_bootstrap_agrees_with_scipys_on_skewed_values() -> None:
    x = np.random.default_rng(7).lognormal(0, 1, 15)
    generator = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
    oracle = stats.bootstrap((x,), np.mean, method="BCa", n_resamples=99_999, **{generator: np.random.default_rng(1)}).confidence_interval
    mine = [interval(x, "bootstrap", seed=seed) for seed in range(12)]
    for side in ("low", "high"):
        ends = np.array([getattr(one, side) for one in mine])
        assert abs(ends.mean() - getattr(oracle, side)) < ERRORS * ends.std(ddof=1) * math.sqrt(1 / 12 + 9999 / 99_999)
    percentile = stats.bootstrap((x,), np.mean, method="percentile", n_resamples=9999, **{generator: np.random.default_rng(1)})
    assert mine[0].high is not None and mine[0].high - percentile.confidence_interval.high > 5 * ends.std(ddof=1), "skewness is corrected"


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    x = np.random.default_rng(2).standard_normal(12)  # enough that the means of resamples are no few values
    assert interval(x, "bootstrap", seed=3) == interval(x, "bootstrap", seed=3)
    assert interval(x, "bootstrap", seed=3) != interval(x, "bootstrap", seed=4)


def test_rounding_does_not_move_the_bootstrap() -> None:
    """A resample with every value once ties with the mean; in 0.1, 0.2, 0.3 the sum depends on the order, in 1, 2, 3 it does not."""
    exact, rounded = interval([1.0, 2.0, 3.0], "bootstrap"), interval([0.1, 0.2, 0.3], "bootstrap")
    assert exact.low is not None and exact.high is not None
    assert rounded == Interval(pytest.approx(0.2), pytest.approx(exact.low / 10, rel=1e-9), pytest.approx(exact.high / 10, rel=1e-9), 3)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(SettingsProblem, match=r"^interval: 'jackknife' is unknown; there are: t, bootstrap$"):
        interval([1.0, 2.0], "jackknife")


@pytest.mark.parametrize(
    ("values", "bounds", "scale", "back"),
    [
        ([0.9, 0.99, 1.0], UNIT, logit, expit),
        ([0.0, 0.02, 0.3, 0.1], UNIT, logit, expit),
        ([3.0, 11.0, 27.0], POSITIVE, math.log, math.exp),
        ([0.0, 0.1, 5.0], POSITIVE, math.log, math.exp),
        ([-0.9, -0.5, 0.1], (-1.0, None), lambda x: math.log(x + 1), lambda y: math.exp(y) - 1),
        ([0.1, 1.9, 1.7], (0.0, 2.0), lambda x: logit(x / 2), lambda y: 2 * expit(y)),
    ],
)
def test_an_interval_stays_within_what_a_number_can_be(
    values: list[float], bounds: Bounds, scale: Callable[[float], float], back: Callable[[float], float]
) -> None:
    """The delta method on the scale, its derivative by differences; the plain interval of all of these leaves the bounds."""
    found, plain = interval(values, bounds=bounds), interval(values)
    assert found.mean == plain.mean and found.low is not None and found.high is not None and plain.low is not None
    low, high = bounds
    assert low is not None and low < found.low < np.mean(values) < found.high < (math.inf if high is None else high)
    assert plain.low < low or (high is not None and plain.high is not None and plain.high > high)
    mean, step = float(np.mean(values)), 1e-6
    rise = (scale(mean + step) - scale(mean - step)) / (2 * step)
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) * rise
    assert (found.low, found.high) == (pytest.approx(back(scale(mean) - half), rel=1e-6), pytest.approx(back(scale(mean) + half), rel=1e-6))


def test_narrow_intervals_are_hardly_moved_by_their_bounds() -> None:
    values = [0.501, 0.5, 0.502, 0.499]
    bounded, plain = interval(values, bounds=UNIT), interval(values)
    assert (bounded.low, bounded.high) == (pytest.approx(plain.low, abs=1e-6), pytest.approx(plain.high, abs=1e-6))


@pytest.mark.parametrize("bounds", [UNIT, POSITIVE])
def test_values_on_a_bound_are_values_like_others(bounds: Bounds) -> None:
    assert interval([0.0, 0.0, 0.0], bounds=bounds) == Interval(0.0, 0.0, 0.0, 3)
    almost = float(np.nextafter(1.0, 0))
    assert interval([1.0, 1.0, almost], bounds=UNIT) == Interval(1.0, 1.0, 1.0, 3), "rounded to the bound"


# --- paired differences


def test_differences_are_taken_seed_by_seed_and_n_says_how_many() -> None:
    a, b = {4: 1.5, 0: 10.0, 1: 20.0, 2: 30.0}, {2: 27.0, 1: 18.0, 0: 9.0, 9: 0.0}
    assert paired(a, b) == interval([1.0, 2.0, 3.0])
    assert paired(b, a).mean == -2.0
    assert paired(a, {0: 4.0}) == Interval(6.0, None, None, 1, (6.0,))
    assert paired(a, {}) == Interval(None, None, None, 0)
    assert paired(a, b, "bootstrap", 0.9, 5) == interval([1.0, 2.0, 3.0], "bootstrap", 0.9, 5)


def test_pairing_narrows_the_interval_where_seeds_move_both_sides_and_still_holds_the_truth() -> None:
    draws, n, held = 2000, 4, 0
    chance, ratio = np.random.default_rng(0), []
    for _ in range(draws):
        common = chance.normal(0, 3, n)
        a, b = (dict(enumerate(common + chance.normal(mean, 0.5, n))) for mean in (2, 1))
        found = paired(a, b)
        held += inside(1.0, found)
        unpaired = stats.ttest_ind(list(a.values()), list(b.values()), equal_var=False).confidence_interval()
        ratio.append(width(found) / (unpaired.high - unpaired.low))
    assert abs(held / draws - 0.95) < ERRORS * math.sqrt(0.95 * 0.05 / draws)
    assert np.median(ratio) < 0.4


def test_differences_of_shares_are_cut_where_no_difference_can_be_and_still_leave_out_0_where_t_does() -> None:
    a, b = dict(enumerate([1.0, 0.9, 0.7])), dict(enumerate([0.1, 0.2, 0.05]))
    plain, found = paired(a, b), paired(a, b, bounds=UNIT)
    assert plain.high is not None and plain.high > 1 and found == Interval(plain.mean, plain.low, 1.0, 3)
    assert paired(b, a, bounds=UNIT).low == -1.0
    assert paired(a, b, bounds=POSITIVE) == plain, "differences of distances have no bound"


# --- slope


def test_the_slope_of_a_line_is_its_rise_per_generation() -> None:
    assert slope(range(5), [3.0, 5.0, 7.0, 9.0, 11.0], "linear") == pytest.approx(2, rel=1e-14)
    assert slope([0, 1, 5], [1.0, -1.0, -9.0], "linear") == pytest.approx(-2, rel=1e-14)
    assert slope(range(4), [0.0, 0.0, 0.0, 0.0], "linear") == 0


def test_the_slope_of_a_geometric_series_is_its_relative_change() -> None:
    n = 50
    assert slope(range(10), [0.8 * (1 - 1 / n) ** t for t in range(10)], "log") == pytest.approx(-1 / n, rel=1e-12)
    assert slope([0, 2, 3], [1.0, 1.21, 1.331], "log") == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_slope_is_that_of_least_squares(scale: str) -> None:
    g, y = [0, 1, 2, 4, 7], np.random.default_rng(1).uniform(1, 3, 5)
    rise = stats.linregress(g, np.log(y) if scale == "log" else y).slope
    assert slope(g, y, scale) == pytest.approx(math.exp(rise) - 1 if scale == "log" else rise, rel=1e-12)  # type: ignore[arg-type]


def test_on_the_log_scale_a_0_ends_the_series() -> None:
    assert slope(range(5), [1.0, 0.5, 0.25, 0.0, 7.0], "log") == pytest.approx(-0.5, rel=1e-14)
    assert slope(range(3), [1.0, 0.5, -0.1], "log") == pytest.approx(-0.5, rel=1e-14)
    assert slope(range(3), [1.0, 0.0, 0.5], "log") is None
    assert slope(range(3), [0.0, 1.0, 2.0], "log") is None
    assert slope(range(3), [1.0, 0.0, -1.0], "linear") == pytest.approx(-1)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_one_point_has_no_slope(scale: str) -> None:
    assert slope([0], [1.0], scale) is None  # type: ignore[arg-type]
    assert slope([], [], scale) is None  # type: ignore[arg-type]


# --- half-lives


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.8, 0.7, 0.39, 0.1], EventTime(2, 4)),
        ([0.8, 0.4, 0.4, 0.4], EventTime(None, 4)),  # exactly half is not below
        ([0.8, 0.4, 0.3999], EventTime(2, 3)),
        ([0.8, 0.1, 0.9], EventTime(1, 3)),  # the first time counts
        ([0.8, 0.0], EventTime(1, 2)),
        ([0.8, 0.9], EventTime(None, 2)),  # cut short: censored at its own end
        ([0.8], EventTime(None, 1)),
        ([0.0, 0.0, 0.0], None),
        ([0.0, 0.5, 0.1], None),
        ([-1.0, -2.0], None),
        ([], None),
    ],
)
def test_the_half_life_is_the_first_generation_below_half_the_start(values: list[float], found: EventTime | None) -> None:
    assert half_life(values) == found


def test_the_half_life_of_exponential_decay_is_the_textbook_one() -> None:
    for rate in (0.9, 0.5001, 0.2):
        assert half_life([rate**t for t in range(40)]) == EventTime(math.floor(math.log(0.5) / math.log(rate)) + 1, 40)


@pytest.mark.parametrize(
    ("alive", "found"),
    [
        ([1, 1, 1, 0, 0], EventTime(3, 5)),
        ([1, 1, 1, 0, 1, 1, 0, 0], EventTime(6, 8)),  # dead at 3, back at 4, dead from 6 on
        ([1, 1, 0, 1], EventTime(None, 4)),  # alive at the end: whatever was before
        ([1, 1, 1, 0], EventTime(3, 4)),  # at the last generation alone
        ([0, 1, 0, 1, 0, 0], EventTime(4, 6)),
        ([0, 0, 0], EventTime(0, 3)),
        ([0], EventTime(0, 1)),
        ([1], EventTime(None, 1)),
        ([], None),
    ],
)
def test_a_class_is_lost_from_the_generation_after_which_it_is_never_seen_again(alive: list[float], found: EventTime | None) -> None:
    assert lost(alive) == found


def test_being_seen_for_longer_moves_the_loss_only_where_the_class_comes_back() -> None:
    chance = np.random.default_rng(3)
    for _ in range(200):
        alive = (chance.random(12) < 0.4).astype(float).tolist()
        found = [lost(alive[: seen + 1]) for seen in range(12)]
        for seen, (before, after) in enumerate(pairwise(found), start=1):
            assert before is not None and after is not None
            if alive[seen]:
                assert after.generation is None
            else:
                assert after.generation == (before.generation if before.generation is not None else seen)


def lives(*pairs: tuple[int | None, int]) -> list[EventTime | None]:
    return [EventTime(*pair) for pair in pairs]


@pytest.mark.parametrize(
    ("times", "generation", "words"),
    [
        (lives((3, 10), (9, 10), (4, 10)), 4, "4 (3 of 3 seeds)"),
        (lives((3, 10), (4, 10), (None, 10)), 4, "4 (2 of 3 seeds)"),
        (lives((7, 10), (None, 10), (None, 10)), None, "not within 10 generations (1 of 3 seeds at 7)"),
        (lives((8, 10), (None, 10), (6, 10), (None, 10), (None, 10)), None, "not within 10 generations (2 of 5 seeds at 6, 8)"),
        (lives((None, 10), (None, 10)), None, "not within 10 generations (0 of 2 seeds)"),
        (lives((5, 10), (2, 10)), 2, "2 (2 of 2 seeds)"),  # of an even number the lower of the two in the middle
        (lives((5, 10)), 5, "5 (1 of 1 seed)"),
        (lives((None, 1)), None, "not within 1 generation (0 of 1 seed)"),
        # Kaplan-Meier by hand: S(2) = 4/5; the seed cut short after generation 2 leaves; S(4) = 4/5 2/3 = 8/15; S(6) = 4/15
        (lives((2, 10), (None, 3), (4, 10), (6, 10), (None, 10)), 6, "6 (3 of 5 seeds; 1 cut short)"),
        # seen at generation 4 and not below half there: still at risk at 4. S(4) = 2/3, S(5) = 1/3
        (lives((4, 10), (None, 5), (5, 10)), 5, "5 (2 of 3 seeds; 1 cut short)"),
        # cut short before: S(4) = 1/2
        (lives((4, 10), (None, 4), (5, 10)), 4, "4 (2 of 3 seeds; 1 cut short)"),
        (lives((None, 3), (None, 3), (None, 10)), None, "not within 10 generations (0 of 3 seeds; 2 cut short)"),
        ([*lives((3, 10), (4, 10)), None], 3, "3 (2 of 2 seeds; 1 with nothing to halve)"),
        ([None, None], None, "nothing to halve"),
        ([], None, "no seeds"),
    ],
)
def test_the_median_time_is_honest_about_censoring(times: Sequence[EventTime | None], generation: int | None, words: str) -> None:
    found = median_time(times)
    assert (found.generation, found.words) == (generation, words)
    assert median_time(times[::-1]) == found


def test_what_cannot_happen_is_said_in_its_own_words() -> None:
    """Of a class that is not alive among real pictures either."""
    assert median_time([None, None], "nothing to lose").words == "nothing to lose"
    assert median_time([*lives((3, 10), (4, 10)), None], "nothing to lose").words == "3 (2 of 2 seeds; 1 with nothing to lose)"


def test_seeds_cut_short_are_not_taken_for_seeds_that_last() -> None:
    """Two of six fall at 3 while the others were stopped at once: of those seen, both fell."""
    assert median_time(lives((3, 10), (3, 10), (None, 2), (None, 2), (None, 2), (None, 2))).generation == 3
    assert median_time(lives((3, 10), (3, 10), (None, 10), (None, 10), (None, 10), (None, 10))).generation is None


def test_the_median_time_is_that_of_the_kaplan_meier_curve_of_scipy() -> None:
    chance = np.random.default_rng(5)
    reached = 0
    for _ in range(300):
        times: list[EventTime | None] = []
        for _ in range(int(chance.integers(1, 9))):
            seen, falls = int(chance.integers(1, 9)), int(chance.geometric(0.2))
            times.append(EventTime(falls if falls < seen else None, seen))
        known = [one for one in times if one is not None]
        events = [one.generation for one in known if one.generation is not None]
        curve = stats.ecdf(stats.CensoredData(uncensored=events, right=[one.seen - 1 for one in known if one.generation is None])).sf
        below = [int(t) for t, left in zip(curve.quantiles, curve.probabilities, strict=True) if left <= 0.5 + 1e-12]
        assert median_time(times).generation == (below[0] if below else None), times
        reached += bool(below)
    assert 60 < reached < 240, "both cases are met"


def test_without_cuts_the_median_time_is_the_plain_median() -> None:
    chance = np.random.default_rng(6)
    for _ in range(100):
        falls = chance.geometric(0.15, int(chance.integers(1, 8)))
        times = [EventTime(int(one) if one < 10 else None, 10) for one in falls]
        middle = sorted(falls)[(len(falls) - 1) // 2]
        assert median_time(times).generation == (middle if middle < 10 else None)


# --- area


def test_a_perfect_generator_has_no_area() -> None:
    for better in ("lower", "higher"):
        assert str(area(range(4), [0.95] * 4, 0.95, better)) == "0.0"  # type: ignore[arg-type]


def test_the_area_is_the_trapezoidal_integral_of_what_is_worse_than_real_vs_real() -> None:
    assert area(range(4), [5.0, 7.0, 9.0, 11.0], 4.0, "lower") == 1.5 + 3.5 + 5.5 + 1.5
    assert area(range(3), [1.0, 0.5, 0.0], 1.0, "higher") == 1.0
    assert area([0, 2, 3], [4.0, 6.0, 4.0], 4.0, "lower") == 2.0 + 1.0
    assert area(range(3), [3.0, 3.0, 3.0], 4.0, "lower") == -2.0, "better than real vs real is negative"
    assert area(range(3), [3.0, 4.0, 5.0], 4.0, "lower") == 0.0, "signed"
    assert area([0], [9.0], 4.0, "lower") == 0.0 == area([], [], 4.0, "lower")


# --- what is no number


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(bad: float) -> None:
    for refused in (
        lambda: interval([1.0, bad]),
        lambda: interval([bad], "bootstrap"),
        lambda: paired({0: 1.0, 1: bad}, {0: 1.0, 1: 2.0}),
        lambda: slope(range(2), [1.0, bad], "linear"),
        lambda: slope(range(2), [1.0, bad], "log"),
        lambda: half_life([1.0, bad]),
        lambda: lost([1.0, bad]),
        lambda: area(range(2), [1.0, bad], 0.0, "lower"),
        lambda: area(range(2), [1.0, 1.0], bad, "higher"),
    ):
        with pytest.raises(DataProblem, match=r"^statistics: -?(nan|inf) is not a finite number; leave out the run that it came from$"):
            refused()
