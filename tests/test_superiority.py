"""P(better): closed forms, what it has to do with the interval, and simulations of what it promises."""

import math

import numpy as np
import pytest
from scipy import stats

from imgcollapse.ablation.comparisons import Difference
from imgcollapse.ablation.summary.superior import in_words
from imgcollapse.ablation.superiority import better_way, probability_better


def of(*values: float) -> Difference:
    return Difference.of(dict(enumerate(values)))


@pytest.mark.parametrize("values", [(0.3, 0.1, 0.25, -0.05), (-3.0, -1.0, -2.5), (0.1, -0.1, 0.0, 0.02, 0.3)])
def test_it_is_one_minus_the_p_value_of_the_one_sided_paired_t_test(values: tuple[float, ...]) -> None:
    expected = 1 - stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert probability_better(of(*values), "higher") == pytest.approx(expected, rel=1e-10)
    assert probability_better(of(*values), "lower") == pytest.approx(1 - expected, rel=1e-10)
    assert probability_better(of(*(-value for value in values)), "lower") == pytest.approx(expected, rel=1e-10)


def test_it_is_beyond_975_in_1000_exactly_where_the_interval_leaves_out_0() -> None:
    chance, outside = np.random.default_rng(0), 0
    for _ in range(500):
        one = of(*(0.8 + chance.standard_normal(4)))
        found, probability = one.interval(0.95), probability_better(one, "higher")
        assert found.low is not None and found.high is not None and probability is not None
        assert (found.low > 0) == (probability > 0.975) and (found.high < 0) == (probability < 0.025)
        outside += found.low > 0
    assert 50 < outside < 450


def test_one_or_two_seeds_say_nothing_and_seeds_that_agree_are_sure() -> None:
    assert probability_better(of(0.3, 0.5), "higher") is None and probability_better(of(), "lower") is None
    assert probability_better(of(0.2, 0.2, 0.2), "higher") == 1.0 and probability_better(of(0.2, 0.2, 0.2), "lower") == 0.0
    assert probability_better(of(0.0, 0.0, 0.0), "higher") == probability_better(of(0.0, 0.0, 0.0), "lower") == 0.5


def test_the_spread_is_that_of_the_pilot_where_there_is_one() -> None:
    values = dict(enumerate([1.0, 2.0, 3.0, 9.0, 9.0]))
    found = probability_better(Difference.of(values, pilot=(0, 1, 2)), "higher")
    assert found == pytest.approx(stats.t.cdf(4.8 / (1 / math.sqrt(5)), 2), rel=1e-10)


def test_which_way_is_better() -> None:
    assert better_way("fd", "last") == better_way("fd", "slope") == "lower" and better_way("recall", "slope") == "higher"
    assert better_way("recall", "area") == better_way("fd", "area") == "lower", "an area is what is lost"


def test_words() -> None:
    shown = {
        None: "",
        0.98: "0.980",
        0.99949: "0.999",
        0.9996: "> 0.999",
        1.0: "> 0.999",
        0.0004: "< 0.001",
        0.0006: "0.001",
        0.0: "< 0.001",
    }
    assert {one: in_words(one) for one in shown} == shown


@pytest.mark.parametrize("n", [3, 5])
def test_where_arms_do_not_differ_it_is_uniform(n: int) -> None:
    chance = np.random.default_rng(n)
    said = [probability_better(of(*row), "higher") for row in chance.normal(0, 3, (2000, n)).tolist()]
    assert stats.kstest(said, "uniform").pvalue > 1e-5
