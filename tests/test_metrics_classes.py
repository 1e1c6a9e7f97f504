"""Metrics of classes: the rare ones, shares without the classifier's confusions, and recall and coverage class by class."""

import math
from bisect import bisect_left
from itertools import pairwise

import numpy as np
import pytest
import torch
from features import falls, normal, sure
from scipy import optimize, stats
from torch import Tensor

from imgcollapse.metrics import METRICS, Evidence, FeatureSet
from imgcollapse.metrics.classes import class_variety, interval, rare_classes, rarest
from imgcollapse.metrics.classwise import class_neighbourhood
from imgcollapse.metrics.corrected import corrected_shares, estimate, nearest_shares
from imgcollapse.metrics.evidence import NO_CLASS, confusion_of
from imgcollapse.metrics.neighbours import neighbourhood
from imgcollapse.metrics.polarisation import POLARISATION, _spread, class_polarisation
from imgcollapse.metrics.tail import kept_classes, lost_probability


def of_classes(found_N: Tensor, real_shares: list[float], confusion: Tensor | None = None) -> Evidence:
    """Evidence of samples in which these classes are found."""
    seen = FeatureSet(torch.zeros(len(found_N), 1, dtype=torch.float64), found_N)
    return Evidence(
        seen, seen, seen, torch.tensor(real_shares, dtype=torch.float64), sure(len(real_shares)) if confusion is None else confusion
    )


def drawn(counts: list[int]) -> Tensor:
    """int64 [N]: so many samples of each class; the last count is of those in no class."""
    classes = [*range(len(counts) - 1), NO_CLASS]
    return torch.tensor(classes).repeat_interleave(torch.tensor(counts))


# --- rare classes


@pytest.mark.parametrize(
    ("shares", "rare"),
    [
        ([0.1, 0.4, 0.3, 0.2], [0]),  # a quarter of four
        ([0.1, 0.15, 0.2, 0.25, 0.3], [0, 1]),  # rounded up
        ([0.5, 0.5], []),  # none where all are equally frequent
        ([0.2] * 5, []),
        ([0.4, 0.6], [0]),
        ([0.01, *[0.11] * 9], [0]),  # three are wanted, but what is as frequent as the most frequent is not rare
        ([*[0.05] * 5, *[0.15] * 5], [0, 1, 2, 3, 4]),  # ties are rare together
        ([0.15, 0.05, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1], [1, 3, 4, 5, 6, 7]),
        ([1.0], []),
    ],
)
def test_the_rare_are_a_quarter_of_the_classes_with_all_that_tie(shares: list[float], rare: list[int]) -> None:
    assert rarest(torch.tensor(shares, dtype=torch.float64)).nonzero().flatten().tolist() == rare


def rare_share(counts: list[int], shares: list[float]) -> float:
    return rare_classes(of_classes(drawn(counts), shares))["rare_share"]


def test_the_rare_share_is_relative_to_the_real_one() -> None:
    shares = [0.05, 0.05, 0.4, 0.3, 0.2]
    assert rare_share([5, 5, 40, 30, 20, 0], shares) == pytest.approx(1), "kept"
    assert rare_share([5, 5, 40, 30, 20, 300], shares) == pytest.approx(1), "of the confident samples"
    assert rare_share([0, 0, 40, 30, 20, 0], shares) == 0, "lost"
    assert rare_share([10, 0, 40, 30, 20, 0], shares) == pytest.approx(1), "what is lost is the tail, not one class of it"
    assert rare_share([3, 0, 50, 27, 20, 7], shares) == pytest.approx(0.3)
    assert rare_share([20, 0, 0, 0, 0, 0], shares) == pytest.approx(1 / 0.1), "the most that there can be"
    assert rare_share([0, 0, 0, 0, 0, 9], shares) == 0, "no confident sample"


def test_the_rare_share_falls_as_the_tail_is_lost_and_is_blind_to_the_other_classes() -> None:
    shares = [0.02, 0.08, 0.3, 0.6]  # one rare class
    values = [rare_share([kept, 80, 300, 600 + 20 - kept, 0], shares) for kept in range(20, -1, -1)]
    assert values[0] == pytest.approx(1) and values[-1] == 0 and all(later < before for before, later in pairwise(values))
    assert rare_share([20, 0, 0, 980, 0], shares) == pytest.approx(1)


def test_worlds_of_equally_frequent_classes_have_no_rare_share() -> None:
    for shares in ([0.25] * 4, [1.0]):
        assert rare_classes(of_classes(torch.zeros(5, dtype=torch.int64), shares)) == {}
    seen = FeatureSet(normal(5, 2, 0))
    assert rare_classes(Evidence(seen, seen, seen)) == {} == rare_classes(Evidence(seen, seen, seen, torch.tensor([0.3, 0.7])))


# --- shares without the classifier's confusions

CONFUSED = np.array([[0.85, 0.05, 0.02, 0.03], [0.10, 0.70, 0.05, 0.02], [0.01, 0.04, 0.90, 0.01], [0.02, 0.08, 0.05, 0.60]])


def exact(m_CC: np.ndarray, pictures: int) -> Tensor:
    """int64 [C, C + 1]: a confusion matrix that shows these rates exactly."""
    counts = np.rint(m_CC * pictures).astype(int)
    return torch.from_numpy(np.column_stack([counts, pictures - counts.sum(1)]))


def corrected(counts: list[int], confusion: Tensor, real_shares: list[float] | None = None) -> dict[str, float]:
    classes = len(confusion)
    return corrected_shares(of_classes(drawn(counts), real_shares or [1 / classes] * classes, confusion))


def shares_of(values: dict[str, float], part: str = "") -> list[float]:
    return [values[f"share_corrected_{part}{c}"] for c in range((len(values) - 1) // 3)]


def test_counts_as_they_are_expected_give_back_the_shares() -> None:
    for part_in_a_class in (1.0, 0.5):
        shares = np.array([0.4, 0.3, 0.2, 0.1])
        expected = np.rint(part_in_a_class * shares @ CONFUSED * 100_000).astype(int).tolist()
        counts = [*expected, 100_000 - sum(expected)]
        found = corrected(counts, exact(CONFUSED, 100), shares.tolist())
        assert shares_of(found) == pytest.approx(shares.tolist(), abs=1e-4)
        assert found["total_variation_corrected"] == pytest.approx(0, abs=1e-4)
        raw = class_variety(of_classes(drawn(counts), shares.tolist(), exact(CONFUSED, 100)))
        assert abs(raw["share_3"] - 0.1) > 0.01 and raw["total_variation"] > 0.02, "what is corrected is not small"


def test_a_classifier_that_overlooks_a_class_makes_it_look_rare_and_is_corrected() -> None:
    half = exact(np.diag([1.0, 0.5]), 1000)  # Rogan & Gladen with a sensitivity of 0.5: 20 seen of 40
    assert shares_of(corrected([60, 20, 20], half)) == pytest.approx([0.6, 0.4])


def test_false_hits_do_not_keep_a_lost_class_alive() -> None:
    leaking = exact(np.array([[0.9, 0.1], [0.0, 1.0]]), 1000)
    found = corrected([900, 100, 0], leaking)
    assert shares_of(found) == pytest.approx([1, 0])
    assert found["share_corrected_low_1"] == 0 and found["share_corrected_high_0"] == 1
    fewer = corrected([950, 50, 0], leaking)
    assert fewer["share_corrected_1"] == pytest.approx(1 - 950 / 0.9 / 1000) and fewer["share_corrected_1"] < 0, "without bias"
    assert fewer["share_corrected_low_1"] == fewer["share_corrected_high_1"] == 0, "no share explains so few hits: the nearest, 0"
    assert fewer["total_variation_corrected"] == pytest.approx(0.5), "of shares as there can be"


@pytest.mark.parametrize("counts", [[60, 40, 0, 0], [1, 0, 99, 0], [34, 33, 33, 0], [0, 0, 7, 0], [1, 0, 0, 0]])
def test_a_classifier_without_errors_gives_the_raw_shares_and_wilsons_intervals(counts: list[int]) -> None:
    found = corrected(counts, sure(3, 10**9))
    for c, hits in enumerate(counts[:-1]):
        assert found[f"share_corrected_{c}"] == pytest.approx(hits / sum(counts), abs=1e-12)
        bounds = found[f"share_corrected_low_{c}"], found[f"share_corrected_high_{c}"]
        assert bounds == pytest.approx(interval(hits, sum(counts)), abs=1e-4)
    few = corrected([60, 40, 0, 0], sure(3, 50))
    for c, hits in enumerate((60, 40, 0)):
        low, high = interval(hits, 100)
        assert few[f"share_corrected_low_{c}"] <= low + 1e-4 and few[f"share_corrected_high_{c}"] > high, "less is known"


@pytest.mark.parametrize("of_class_3", [30, 10])  # of the last one, the estimate is below 0
def test_the_ends_of_an_interval_are_where_the_delta_method_puts_them(of_class_3: int) -> None:
    """Derivatives by differences, the multinomials' covariances written out, and the ends by a search of SciPy's."""
    counts, confusion = np.array([420, 260, 150, of_class_3, 170 - of_class_3]), exact(CONFUSED, 200).numpy()
    shares, low, high = (found.numpy() for found in estimate(torch.from_numpy(counts), torch.from_numpy(confusion)))
    held, m_CC = confusion.sum(1), confusion[:, :-1] / confusion.sum(1, keepdims=True)
    posterior = (confusion + 0.5) / (held + 2.5)[:, None]

    def share(q: np.ndarray, m_CC: np.ndarray, c: int) -> float:
        x = np.linalg.solve(m_CC.T, q)
        return float(x[c] / x.sum())

    def slopes(q: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
        step = 1e-6
        by_q = [(share(q + d, m_CC, c) - share(q - d, m_CC, c)) / (2 * step) for d in step * np.eye(4)]
        by_m = np.zeros((4, 4))
        for i, j in np.ndindex(4, 4):
            d = np.zeros((4, 4))
            d[i, j] = step
            by_m[i, j] = (share(q, m_CC + d, c) - share(q, m_CC - d, c)) / (2 * step)
        return np.array(by_q), by_m

    def variance(s: float, c: int) -> float:
        others = np.where(np.arange(4) == c, 0, shares).clip(0)
        x = np.linalg.solve(m_CC.T, counts[:-1] / counts.sum()).sum() * (s * np.eye(4)[c] + (1 - s) * others / others.sum())
        q = x @ m_CC
        by_q, by_m = slopes(q, c)
        found = by_q @ (np.diag(q) - np.outer(q, q)) @ by_q / counts.sum()
        for i in range(4):
            row = posterior[i, :-1]
            found += by_m[i] @ (np.diag(row) - np.outer(row, row)) @ by_m[i] / (held[i] + 3.5)
        return float(found)

    for c in range(4):
        assert shares[c] == pytest.approx(share(counts[:-1] / counts.sum(), m_CC, c), rel=1e-12)
        for found, outer in ((low[c], 0.0), (high[c], 1.0)):
            beyond = lambda s, c=c: (shares[c] - s) ** 2 - 1.959963984540054**2 * variance(s, c)  # noqa: E731
            end = optimize.brentq(beyond, max(0, shares[c]), outer) if beyond(outer) > 0 else outer
            assert found == pytest.approx(end, abs=1e-6)
    assert (low > 0).sum() == 3 and (shares[3] < 0) == (of_class_3 == 10), "of all kinds"


def simulated(shares: list[float], held: list[int], n: int, draws: int = 3000) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Raw shares, corrected ones and their bounds [draws, C] of samples and held-out pictures that the classifier CONFUSED sees."""
    chance = np.random.default_rng(7)
    rows = np.column_stack([CONFUSED, 1 - CONFUSED.sum(1)])
    confusion = np.stack([chance.multinomial(pictures, row, size=draws) for pictures, row in zip(held, rows, strict=True)], 1)
    counts = chance.multinomial(n, np.array(shares) @ rows, size=draws)
    raw = torch.from_numpy(counts[:, :-1] / counts[:, :-1].sum(1, keepdims=True))
    return raw, *estimate(torch.from_numpy(counts), torch.from_numpy(confusion))


@pytest.mark.parametrize(
    ("shares", "held", "n"), [([0.5, 0.3, 0.17, 0.03], [200] * 4, 500), ([0.5, 0.3, 0.17, 0.03], [400, 300, 200, 200], 5000)]
)
def test_over_many_worlds_the_estimates_are_true_on_average_and_the_intervals_as_often_as_they_say(
    shares: list[float], held: list[int], n: int
) -> None:
    raw, found, low, high = simulated(shares, held, n)
    truth = torch.tensor(shares, dtype=torch.float64)
    error = found.std(0) / math.sqrt(len(found))
    assert ((raw.mean(0) - truth).abs() > 15 * error).sum() >= 3, "what is counted is biased"
    assert ((found.mean(0) - truth).abs() < 4 * error + 5e-4).all(), "the correction is not; 5e-4: the inverse of an estimate is not linear"
    covered = ((low <= truth) & (truth <= high)).double().mean(0)
    assert ((covered > 0.93) & (covered < 0.97)).all(), covered
    alone = (found - truth).abs() <= 1.96 * (truth * (1 - truth) / n).sqrt()
    assert (alone.double().mean(0) < 0.92).all(), "what the samples alone would say is too narrow"


def test_an_interval_of_a_lost_class_holds_0_as_often_as_it_says() -> None:
    _, _, low, high = simulated([0.6, 0.4, 0.0, 0.0], [400] * 4, 5000)
    covered = (low[:, 2:] == 0).double().mean(0)
    assert ((covered > 0.93) & (covered < 0.985)).all(), covered
    assert ((high[:, 2:] < 0.05).double().mean(0) > 0.998).all(), "and says that hardly anything is left"


def test_more_samples_and_more_held_out_pictures_make_narrower_intervals() -> None:
    def width(samples: int, pictures: int) -> float:
        _, low, high = estimate(samples * torch.tensor([44, 29, 20, 4, 3]), exact(CONFUSED, 100) * pictures)
        return float((high - low).sum())

    widths = [width(1, 1), width(10, 1), width(1000, 1), width(1000, 10), width(1000, 1000)]
    assert all(later < before for before, later in pairwise(widths))
    assert widths[2] > 0.5 * widths[1], "without more held-out pictures the interval does not shrink to nothing"
    assert widths[4] < 0.03


def test_without_a_confident_sample_no_share_is_known() -> None:
    found = corrected([0, 0, 20], sure(2))
    expected = {f"share_corrected_{part}{c}": float(part == "high_") for part in ("", "low_", "high_") for c in range(2)}
    assert found == {"total_variation_corrected": 1.0} | expected


def test_where_the_classifier_cannot_tell_there_are_no_corrected_shares() -> None:
    never_found = sure(3).index_fill(0, torch.tensor([1]), 0)
    never_found[1, 3] = 10**6
    no_picture = sure(3).index_fill(0, torch.tensor([1]), 0)
    two_alike = exact(np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]), 100)
    for confusion in (never_found, no_picture, two_alike, torch.zeros(3, 4, dtype=torch.int64)):
        assert corrected([5, 5, 5, 5], confusion) == {}
    hardly = exact(np.diag([1.0, 0.011, 1.0]), 1000)
    values = corrected([5, 5, 5, 5], hardly).values()
    assert len(values) == 10 and all(math.isfinite(value) for value in values)
    assert corrected([5, 5, 5, 5], exact(np.diag([1.0, 0.009, 1.0]), 1000)) == {}
    seen = FeatureSet(normal(5, 2, 0))
    assert corrected_shares(Evidence(seen, seen, seen)) == {} == corrected([5, 0], sure(1))


@pytest.mark.parametrize("y", [[0.2, 0.8], [1.2, -0.2], [0.5, 0.6, -0.1], [0.1, 0.1, 0.1], [3.0, 2.9, -5.0, 0.0], [-1.0, -2.0]])
def test_the_nearest_shares_are_those_of_a_general_search(y: list[float]) -> None:
    found = nearest_shares(torch.tensor(y, dtype=torch.float64)).numpy()
    assert found.min() >= 0 and found.sum() == pytest.approx(1)
    search = optimize.minimize(
        lambda p: ((p - y) ** 2).sum(),
        np.full(len(y), 1 / len(y)),
        bounds=[(0, 1)] * len(y),
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-14},
    )
    assert found == pytest.approx(search.x, abs=1e-6)


def test_the_corrected_distance_grows_as_classes_are_lost() -> None:
    values = []
    for lost in range(4):
        shares = np.array([1.0 if c >= lost else 0.0 for c in range(4)]) / (4 - lost)
        counts = np.rint(shares @ CONFUSED * 10_000).astype(int).tolist()
        values.append(corrected([*counts, 10_000 - sum(counts)], exact(CONFUSED, 100))["total_variation_corrected"])
    assert values == pytest.approx([0, 1 / 4, 1 / 2, 3 / 4], abs=1e-3)


# --- lost halves

TAILS = (6, 9, 12, 17, 30)  # pictures of a class in the training part
WHOLE = 418


def tallied(own: list[int], others: list[int]) -> Tensor:
    """int64 [2, 3]: a confusion matrix: found as class 0, as class 1, in no class; of class 0 and of the others."""
    return torch.tensor([own, others])


def found_lost(pictures: int, kept: float, n: int = WHOLE, confusion: Tensor | None = None, hit: float = 1.0, false: float = 0.0) -> float:
    """Exact probability that a class of so many pictures in 418, of whose share that part is left, is found lost among n samples.

    hit, false: how often the classifier finds the class in pictures of it, and in others
    """
    share, confusion = pictures / WHOLE, sure(2) if confusion is None else confusion
    rate = share * kept * hit + (1 - share * kept) * false
    fewest = bisect_left(range(n), 1, key=lambda hits: lost_probability(hits, n, share, confusion, 0) < 0.95)  # that keep it
    return float(stats.binom.cdf(fewest - 1, n, rate))


def test_the_more_are_found_the_less_is_lost() -> None:
    for confusion in (sure(2), tallied([5, 1, 2], [3, 400, 20])):
        found = [lost_probability(hits, WHOLE, 12 / WHOLE, confusion, 0) for hits in range(40)]
        assert falls(found) and 1 > found[0] > 0.95 > found[6] > found[-1] > 0


@pytest.mark.parametrize("n", [WHOLE, 836, 5000])
def test_a_class_of_the_tail_that_is_gone_is_found_and_one_that_is_there_is_not(n: int) -> None:
    for pictures in TAILS:
        assert found_lost(pictures, 0, n) == pytest.approx(1)
        assert found_lost(pictures, 1, n) < 0.0025
    powers = [found_lost(pictures, 0.25, n) for pictures in TAILS]
    assert powers[0] > 0.2 and all(later > before for before, later in pairwise(powers))
    assert [found_lost(pictures, 0.25) for pictures in TAILS[:4]] == pytest.approx([0.22, 0.34, 0.42, 0.58], abs=0.01), (
        "as the docstring says"
    )


def test_a_class_of_which_half_is_left_is_taken_for_less_in_one_case_in_twenty() -> None:
    errors = [found_lost(pictures, 0.5, n) for n in (WHOLE, 836, 5000) for pictures in range(6, 46, 2)]
    assert max(errors) < 0.14 and float(np.mean(errors)) == pytest.approx(0.05, abs=0.01)
    assert found_lost(9, 0.5, 186) == pytest.approx(0.13, abs=0.01), "the worst of the steps"


def test_where_fewer_than_four_pictures_are_expected_nothing_is_said() -> None:
    for pictures, n in ((3, WHOLE), (6, 186)):
        assert found_lost(pictures, 0, n) == 0
    assert found_lost(9, 0, 186) == pytest.approx(1)


def test_of_a_classifier_without_errors_it_is_the_posterior_of_jeffreys() -> None:
    for hits, n, share in ((0, 418, 6 / 418), (3, 418, 9 / 418), (40, 100, 0.5), (0, 5, 0.2)):
        expected = stats.beta.cdf(share / 2, hits + 0.5, n - hits + 0.5)
        assert lost_probability(hits, n, share, sure(3), 1) == pytest.approx(expected, rel=1e-3)


def test_false_hits_do_not_keep_a_lost_class() -> None:
    leaking = tallied([1000, 0, 0], [200, 9800, 0])  # 2 % of the others, where the class has 3 %
    assert found_lost(12, 0, 5000, leaking, false=0.02) > 0.99 > 0.01 > found_lost(12, 0, 5000, false=0.02), "which 100 hits would"
    assert found_lost(12, 1, 5000, leaking, false=0.02) < 0.01


def test_a_class_that_is_often_overlooked_or_unsure_is_not_lost() -> None:
    for own in ([400, 600, 0], [400, 0, 600]):  # taken for another, or in no class
        share = 30 / WHOLE
        seen = int(5000 * share * 0.4)
        assert lost_probability(seen, 5000, share, sure(2), 0) > 0.95, "by what is counted"
        assert lost_probability(seen, 5000, share, tallied(own, [0, 10_000, 0]), 0) < 0.01
        assert lost_probability(seen // 4, 5000, share, tallied(own, [0, 10_000, 0]), 0) > 0.95


def test_a_classifier_that_is_less_sure_of_everything_loses_no_class() -> None:
    unsure = tallied([50, 0, 50], [0, 5000, 5000])
    assert lost_probability(30, 418, 30 / 418, unsure, 0) == pytest.approx(lost_probability(30, 418, 30 / 418, sure(2), 0), abs=1e-3)


@pytest.mark.parametrize(("own", "others"), [([3, 0, 1], [1, 400, 20]), ([20, 4, 6], [9, 300, 40]), ([0, 0, 0], [2, 200, 0])])
def test_the_quantiles_are_as_good_as_many_draws(own: list[int], others: list[int]) -> None:
    chance, draws = np.random.default_rng(0), 200_000

    def rate(k: int, m: int) -> np.ndarray:
        return chance.beta(k + 0.5, m - k + 0.5, draws)

    for hits, share in ((0, 0.02), (5, 0.02), (20, 0.1)):
        a, b = rate(own[0] + own[1], sum(own)), rate(others[0] + others[1], sum(others))
        h, f, p, s = rate(own[0], own[0] + own[1]), rate(others[0], others[0] + others[1]), rate(hits, 400), share / 2
        expected = float((p < (s * a * h + (1 - s) * b * f) / (s * a + (1 - s) * b)).mean())
        assert lost_probability(hits, 400, share, tallied(own, others), 0) == pytest.approx(expected, abs=0.012)


def test_the_classes_of_a_long_tail_are_kept_one_by_one() -> None:
    counts = [123, 88, 63, 45, 32, 23, 17, 12, 9, 6]  # of the bundled digits with imbalance 20
    shares = [count / WHOLE for count in counts]
    whole = kept_classes(of_classes(drawn([*counts, 0]), shares))
    assert whole["classes_kept"] == 10 and max(whole[f"share_lost_{c}"] for c in range(10)) < 0.1
    assert class_variety(of_classes(drawn([*counts, 0]), shares))["classes_alive"] == 10
    gone = kept_classes(of_classes(drawn([129, 94, *counts[2:7], 12, 0, 0, 3]), shares))
    assert gone["classes_kept"] == 8 and [c for c in range(10) if gone[f"share_lost_{c}"] >= 0.95] == [8, 9]
    halved = kept_classes(of_classes(drawn([155, 120, 31, 23, 16, 12, 9, 6, 5, 3, 0]), shares))
    assert halved["classes_kept"] == 10, "half is not less than half"
    none = kept_classes(of_classes(drawn([0] * 10 + [50]), shares))
    assert none == {"classes_kept": 0} | {f"share_lost_{c}": 1 for c in range(10)}


def test_a_class_without_training_pictures_cannot_be_lost_and_one_class_is_none() -> None:
    found = kept_classes(of_classes(drawn([50, 50, 0, 0]), [0.5, 0.5, 0.0]))
    assert found.keys() == {"classes_kept", "share_lost_0", "share_lost_1"} and found["classes_kept"] == 2
    seen = FeatureSet(normal(5, 2, 0))
    assert kept_classes(Evidence(seen, seen, seen)) == {} == kept_classes(of_classes(drawn([5, 0]), [1.0]))


# --- recall and coverage class by class

MODES = 10


def modes() -> FeatureSet:
    """Held-out pictures of ten classes, far apart, of unequal sizes (20, 24, ... 56), in no order."""
    class_N = torch.arange(MODES).repeat_interleave(torch.arange(20, 20 + 4 * MODES, 4))
    class_N = class_N[torch.randperm(len(class_N), generator=torch.Generator().manual_seed(0))]
    centres = 100 * torch.eye(MODES, dtype=torch.float64)
    return FeatureSet(centres[class_N] + normal(len(class_N), MODES, 0), labels=class_N)


def by_class(made: Tensor, held_out: FeatureSet, classes: int = MODES) -> dict[str, float]:
    return class_neighbourhood(Evidence(held_out, held_out, FeatureSet(made), torch.full((classes,), 1 / classes, dtype=torch.float64)))


@pytest.mark.parametrize("lost", range(MODES))
def test_a_lost_class_has_neither_recall_nor_coverage_and_the_others_keep_theirs(lost: int) -> None:
    held_out = modes()
    assert held_out.labels is not None
    found = by_class(held_out.features[held_out.labels >= lost], held_out)
    for c in range(MODES):
        assert found[f"recall_{c}"] == found[f"coverage_{c}"] == float(c >= lost)
    assert found["min_class_recall"] == found["min_class_coverage"] == float(lost == 0)
    assert list(found) == list(by_class(held_out.features, held_out)), "the same names"


def test_a_class_that_shrinks_loses_recall_and_not_coverage_and_its_neighbours_lose_nothing() -> None:
    held_out = modes()
    assert held_out.labels is not None
    of_3 = (held_out.labels == 3)[:, None]
    centre, new = 100 * torch.eye(MODES, dtype=torch.float64)[3], normal(len(held_out), MODES, 1)
    recalls, coverages = [], []
    for left in (1.0, 0.8, 0.6, 0.4):
        found = by_class(torch.where(of_3, centre + left * new, held_out.features), held_out)
        assert all(found[f"recall_{c}"] == found[f"coverage_{c}"] == 1 for c in range(MODES) if c != 3)
        assert found["min_class_recall"] == found["recall_3"] and found["min_class_coverage"] == found["coverage_3"]
        recalls.append(found["recall_3"])
        coverages.append(found["coverage_3"])
    assert recalls[0] > 0.6 and recalls[-1] < 0.1 and all(later < before for before, later in pairwise(recalls))
    assert min(coverages) >= coverages[0]


def test_the_classes_add_up_to_recall_and_coverage() -> None:
    labels = torch.arange(300) % 4
    held_out = FeatureSet(normal(300, 6, 0) + labels[:, None] / 2, labels=labels)
    evidence = Evidence(held_out, held_out, FeatureSet(0.8 * normal(250, 6, 1) + 0.75), torch.full((4,), 0.25, dtype=torch.float64), k=3)
    found, whole = class_neighbourhood(evidence), neighbourhood(evidence)
    for name in ("recall", "coverage"):
        of_class = [found[f"{name}_{c}"] for c in range(4)]
        assert sum(of_class) / 4 == pytest.approx(whole[name], rel=1e-12)
        assert 0 < min(of_class) == found[f"min_class_{name}"] < max(of_class) < 1


def test_a_class_without_a_held_out_picture_has_no_value_and_no_part_in_the_minimum() -> None:
    held_out = modes()
    assert held_out.labels is not None
    found = by_class(held_out.features, FeatureSet(held_out.features, labels=held_out.labels + 2), classes=MODES + 3)
    assert found["min_class_recall"] == found["min_class_coverage"] == 1
    assert {name for name in found if name.startswith("recall_")} == {f"recall_{c}" for c in range(2, MODES + 2)}


def test_worlds_without_two_classes_have_no_recall_class_by_class() -> None:
    seen, shares = FeatureSet(normal(20, 3, 0), labels=torch.zeros(20, dtype=torch.int64)), torch.ones(1, dtype=torch.float64)
    assert class_neighbourhood(Evidence(seen, seen, seen, shares)) == {} == class_neighbourhood(Evidence(seen, seen, seen))
    unlabelled = FeatureSet(normal(20, 3, 0))
    assert class_neighbourhood(Evidence(unlabelled, unlabelled, seen, torch.tensor([0.5, 0.5]))) == {}


def test_confusions_are_counted_by_true_class_and_class_found() -> None:
    found = confusion_of(torch.tensor([0, 1, 1, NO_CLASS, 0]), torch.tensor([0, 0, 1, 1, 1]), 2)
    assert found.tolist() == [[1, 1, 0], [1, 1, 1]]


def test_confusions_agree_with_torchmetrics() -> None:
    """Which has a matrix of as many classes as there are: no class counts as one of them, and its row is empty."""
    from imgcollapse.machine import torchvision_guard  # noqa: F401 (torchmetrics imports torchvision)
    from torchmetrics.functional.classification import multiclass_confusion_matrix  # isort: skip

    generator = torch.Generator().manual_seed(0)
    classes_N, labels_N = torch.randint(-1, 7, (500,), generator=generator), torch.randint(0, 7, (500,), generator=generator)
    theirs = multiclass_confusion_matrix(torch.where(classes_N == NO_CLASS, 7, classes_N), labels_N, num_classes=8)
    assert theirs[:7].tolist() == confusion_of(classes_N, labels_N, 7).tolist() and int(theirs[7].sum()) == 0


# --- the spread between classes


def of_shares(*recalled: float) -> Evidence:
    """As many classes, of each 50 pairs of held-out pictures far from all others; that part of the pairs was drawn again."""
    labels = torch.arange(len(recalled)).repeat_interleave(100)
    places = torch.arange(len(labels), dtype=torch.float64)
    held_out = (places // 2 * 1000 + places % 2)[:, None]
    made = held_out[torch.cat([torch.arange(100) < 100 * share for share in recalled])]
    shares = torch.full((len(recalled),), 1 / len(recalled), dtype=torch.float64)
    return Evidence(
        FeatureSet(held_out), FeatureSet(held_out, labels=labels), FeatureSet(made), shares, k=1, k_precision=1, k_probabilistic=1
    )


@pytest.mark.parametrize(
    ("recalled", "spread"), [((1, 1), 0), ((0.5, 0.5, 0.5), 0), ((1, 0), 0.5), ((1, 1, 0, 0), 0.5), ((0.9, 0.5, 0.1), math.sqrt(0.32 / 3))]
)
def test_the_spread_between_classes_is_the_standard_deviation_of_their_recall(recalled: tuple[float, ...], spread: float) -> None:
    evidence = of_shares(*recalled)
    by_class, found = class_neighbourhood(evidence), class_polarisation(evidence)
    assert set(found) == set(POLARISATION) and not METRICS["class_polarisation"].default
    for what in ("recall", "coverage"):
        assert [by_class[f"{what}_{c}"] for c in range(len(recalled))] == pytest.approx(recalled)
        assert found[f"{what}_spread"] == pytest.approx(spread, abs=1e-12)


def test_without_classes_there_is_no_spread_between_them() -> None:
    one = FeatureSet(normal(9, 2, 0), labels=torch.zeros(9, dtype=torch.int64))
    assert class_polarisation(Evidence(one, one, one, torch.ones(1, dtype=torch.float64))) == {}
    assert class_polarisation(Evidence(one, FeatureSet(one.features), one)) == {}


def test_the_spread_of_classes_that_lose_alike_is_what_few_pictures_make_of_it() -> None:
    """Of independent draws the mean square is r (1 - r) / n (1 - 1 / C): what real vs real is there to say."""
    draws, classes, pictures, share = torch.Generator().manual_seed(0), 10, 30, 0.6
    squares = []
    for _ in range(400):
        recalled = torch.bernoulli(torch.full((classes, pictures), share, dtype=torch.float64), generator=draws).mean(1)
        squares.append(_spread(recalled.tolist()) ** 2)
    expected = share * (1 - share) / pictures * (1 - 1 / classes)
    assert np.mean(squares) == pytest.approx(expected, abs=5 * expected * math.sqrt(2 / 9 / 400))
