"""The fitted rate of approach: exact where the chain's is known, in its interval as often as that says, silent where nothing tells."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import theory
import yaml
from terminal import call
from theory import Values

from imgcollapse.ablation.rate import STEPS, Rate, fitted_rate
from imgcollapse.ablation.summary import rate_lines, rate_rows

GENS = np.arange(10)
STEP = 1 / STEPS


@pytest.mark.parametrize("pool", ["fresh", "resample"])
@pytest.mark.parametrize(("n", "k"), [(24, 6), (100, 10), (8, 7)])
def test_the_variance_of_a_chain_that_retains_has_the_rate_that_theory_says(pool: str, n: int, k: int) -> None:
    """V_g - V_end falls by s^2 - s/n in a generation, s = 1 - real_fraction: `theory.retained_moments` for ddof 0."""
    s = 1 - k / n
    variances = [var for var, _ in theory.moments(pool, n, k, 10)]
    if np.ptp(variances) > 1e-9:
        found = fitted_rate(range(10), [variances] * 3)
        assert found.rate == pytest.approx(1 - (s * s - s / n), abs=STEP) and not found.rises
        assert (found.low, found.high) == pytest.approx((found.rate, found.rate), abs=STEP)
    means = [mean for mean, _, _ in theory.shifted_moments(n, k, shift=2.0, variance=0.5, gens=10)]
    found = fitted_rate(range(10), [means] * 3)
    assert found.rate == pytest.approx(k / n, abs=STEP) and found.rises, "of a mean: the real fraction itself"


@pytest.mark.parametrize("r", [0.0, 0.3, 0.9, 0.99])
def test_any_geometric_curve_is_found_where_not_every_generation_was_judged(r: float) -> None:
    there = [0, 1, 4, 8, 9, 20]
    found = fitted_rate(there, [[5 - 3 * r**g for g in there]] * 4)
    assert found == Rate(pytest.approx(1 - r, abs=STEP), pytest.approx(1 - r, abs=STEP), pytest.approx(1 - r, abs=STEP), 4, True)


def correlated(rng: np.random.Generator, seeds: int) -> Values:
    """Normal noise in which the generations of a seed have much to do with each other."""
    noise = rng.normal(size=(seeds, len(GENS)))
    for g in GENS[1:]:
        noise[:, g] = 0.8 * noise[:, g - 1] + 0.6 * noise[:, g]
    return noise


@pytest.mark.parametrize("seeds", [3, pytest.param(5, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("r", [0.9, 0.6, 0.2])
def test_the_interval_holds_the_true_rate_in_95_percent_of_cases(seeds: int, r: float) -> None:
    rng, times = np.random.default_rng(seeds), 1500
    held = 0
    for _ in range(times):
        found = fitted_rate(tuple(GENS), 1 - r**GENS + 0.1 * correlated(rng, seeds))
        held += found.low is not None and found.high is not None and found.low - STEP <= 1 - r <= found.high + STEP
    error = (0.95 * 0.05 / times) ** 0.5
    assert held / times > 0.95 - 4.5 * error
    if r == 0.6:  # of others more, where the ends 0 and 1 are near
        assert held / times < 0.95 + 4.5 * error


@pytest.mark.slow
def test_the_interval_holds_the_rate_of_chains_of_gaussians() -> None:
    """Their variances are skewed, and heirs of each other; of the mean over 300 coordinates the rate can be told."""
    n, k, seeds, times, coordinates = 20, 2, 4, 250, 300
    s, rng, held, narrow = 1 - k / n, np.random.default_rng(0), 0, 0
    for _ in range(times):
        sets = theory.simulated(
            "fresh",
            n,
            k,
            10,
            rng,
            lambda rows: rng.standard_normal((seeds * coordinates, rows)),
            lambda learned: rng.normal(learned.mean(1), learned.std(1), (n, seeds * coordinates)).T,
        )
        curves = np.array([learned.var(1).reshape(seeds, coordinates).mean(1) for learned in sets]).T
        found = fitted_rate(tuple(GENS), curves)
        assert found.low is not None and found.high is not None
        held += found.low - STEP <= 1 - (s * s - s / n) <= found.high + STEP
        narrow += found.low > 0 and found.high < 1
    assert held / times > 0.95 - 4.5 * (0.95 * 0.05 / times) ** 0.5 and narrow > times / 3


def test_where_it_cannot_be_told_the_words_say_so() -> None:
    rng, line = np.random.default_rng(1), np.arange(10.0)
    assert fitted_rate([], []).words == fitted_rate((0, 1, 2), [[1, 2, 3]] * 3).words == "cannot tell: it takes 4 judged generations"
    assert fitted_rate(tuple(GENS), [1 - 0.5**GENS] * 2).words == "0.500, no interval: that takes 3 seeds"
    assert fitted_rate(tuple(GENS), rng.normal(size=(3, 10))).words == "cannot tell: the seeds allow every rate"
    assert fitted_rate(tuple(GENS), np.ones((3, 10))).words == "cannot tell: the seeds allow every rate"
    straight = fitted_rate(tuple(GENS), line + 0.05 * rng.normal(size=(4, 10)))
    assert straight.low == 0 and straight.high is not None and straight.high < 0.1
    assert straight.words.endswith("]: perhaps a straight line, no limit in sight")
    assert fitted_rate(tuple(GENS), line**2 + 0.05 * rng.normal(size=(4, 10))).words == "none: the curve goes ever faster"
    assert fitted_rate(tuple(GENS), (-0.8) ** line + 0.01 * rng.normal(size=(4, 10))).words == "none: the curve turns"


def test_rates_in_words_are_of_arms_by_extractors_with_a_rate() -> None:
    def rate(arm: str, extractor: str, value: float | None, null: str | None = None) -> dict[str, Any]:
        return {"arm": arm, "null": null, "extractor": extractor, "metric": "fd", "rate": value, "words": f"{arm} {value}"}

    found = [rate("a", "pixels", 0.5), rate("b", "pixels", None), rate("a", "random", None), rate("a", "pixels", 0.9, "bootstrap")]
    assert rate_lines({"rates": found}) == ["FD (pixels), share of the distance to its limit that a generation covers: a: a 0.5; b: b None"]
    assert rate_rows({"rates": found})[1][0] == ["a", "a 0.5", "a None"] and rate_rows({"rates": found[1:3]})[1] == []


@pytest.mark.slow
def test_an_ablation_says_the_rates_on_the_terminal_in_the_summary_and_on_the_page(tmp_path: Path) -> None:
    base = {"dataset": {"kind": "gaussian", "size": 60}, "model": "gaussian", "gens": 4}
    judge = {"extractors": ["pixels"], "metrics": ["frechet_distance"]}
    grid = {"base": {**base, "judge": judge, "regime": "retain"}, "axes": {"regime.real_fraction": [0, 0.5]}, "seeds": 3}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    result = call("ablate", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--no-nulls")
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(one["arm"], one["extractor"], one["metric"], one["generation"], one["n"]) for one in summary["rates"]] == [
        (arm, "pixels", "fd", 3, 3) for arm in ("real_fraction 0", "real_fraction 0.5")
    ]
    (line,) = rate_lines(summary)
    assert line.startswith("FD (pixels), share of the distance to its limit that a generation covers: real_fraction 0: ")
    assert line in " ".join(result.output.split())
    headings, rows = rate_rows(summary)
    assert headings == ["arm", "FD (pixels)"] and [row[0] for row in rows] == ["real_fraction 0", "real_fraction 0.5"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "How fast the endpoint approaches its limit" in page and all(one["words"] in page for one in summary["rates"])
    assert rate_lines({}) == [] and rate_rows({"rates": []}) == (["arm"], [])
