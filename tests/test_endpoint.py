"""The endpoint: named before the runs, decided by adjusted intervals, answered in a word; and the seeds that it asks for."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import Result
from scipy import stats
from terminal import call
from test_summary import summarised, written

from imgcollapse import store
from imgcollapse.ablation import grid, plan
from imgcollapse.ablation.comparisons import MOST_SEEDS, seeds_needed
from imgcollapse.ablation.endpoint import MARGIN, Asked, Endpoint
from imgcollapse.ablation.grid import PILOT, Ablation
from imgcollapse.ablation.summary import Record, Run, endpoint_text, sentence
from imgcollapse.ablation.summary.decided import Apart, Compared, found_in
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import SettingsProblem
from imgcollapse.machine.devices import Machine
from imgcollapse.metrics.score import ANY
from imgcollapse.settings import build, read_file
from imgcollapse.store.manifest import write_manifest

BASE = [0.40, 0.45, 0.38, 0.42, 0.43]  # coverage of the reference by seed


def arms(folder: Path, apart: dict[str, Sequence[float]], seeds: int = 5) -> list[Run]:
    """A reference and arms whose coverage is so much above it, seed by seed, at the last of two generations."""
    values = {"none": [0.0] * seeds, **apart}
    return [
        written(folder, arm, seed, {"fd": [3.0, 9.0], "coverage": [0.8, BASE[seed] + more]}, gens=2)
        for arm, differences in values.items()
        for seed, more in enumerate(differences)
    ]


def answered(runs: list[Run], **asked: Any) -> tuple[Record, str]:
    record = summarised(runs, asked=Asked(**asked))
    return record["endpoint"], sentence(record)


FIRM = [0.30, 0.31, 0.29, 0.30, 0.32]
VAGUE = [0.20, -0.15, 0.10, 0.05, -0.02]
NEAR = [0.002, -0.001, 0.003, 0.0, -0.002]


def test_an_arm_that_differs_is_a_yes_with_its_adjusted_interval(tmp_path: Path) -> None:
    found, said = answered(arms(tmp_path, {"firm": FIRM, "vague": VAGUE, "near": NEAR}))
    assert (found["metric"], found["quantity"], found["extractor"], found["against"]) == ("coverage", "last", "pixels", "none")
    assert (found["answer"], found["comparisons"], found["margin"], found["named"]) == ("yes", 3, MARGIN, "by default")
    assert {one["arm"]: one["verdict"] for one in found["found"]} == {"firm": "higher", "vague": "open", "near": "same"}
    assert {one["arm"]: one["level"] for one in found["found"]} == {
        "firm": pytest.approx(1 - 0.05 / 3),
        "vague": pytest.approx(1 - 0.05 / 2),
        "near": pytest.approx(1 - 0.05 / 2),
    }
    assert said == (
        "yes: coverage at generation 1 is higher with firm than with none by 0.304 [0.284, 0.324]; the same to within 0.05 with near: "
        "+0.000 [-0.003, +0.004]; undecided with vague: +0.036 [-0.169, +0.241] (Holm-adjusted over 3 comparisons, 5 seeds)"
    )
    worse, said = answered(arms(tmp_path / "worse", {"b": [-one for one in FIRM], "c": [-one for one in FIRM]}))
    assert worse["answer"] == "yes", "the question is whether an arm differs"
    assert "is lower with b than with none by 0.304 [0.286, 0.322], with c by 0.304" in said


def test_no_is_said_where_every_arm_is_the_same_and_never_of_a_wide_interval(tmp_path: Path) -> None:
    found, said = answered(arms(tmp_path / "same", {"near": NEAR}))
    assert found["answer"] == "no"
    assert said == "no: coverage at generation 1 is the same to within 0.05 with near as with none: +0.000 [-0.002, +0.003] (5 seeds)"
    found, said = answered(arms(tmp_path / "vague", {"near": NEAR, "vague": VAGUE}))
    assert found["answer"] == "cannot tell" and said.startswith("cannot tell with 5 seeds: coverage at generation 1 is the same to within ")
    assert said.endswith("undecided with vague: +0.036 [-0.169, +0.241] (Holm-adjusted over 2 comparisons)")
    runs = arms(tmp_path / "narrow", {"near": NEAR})
    assert answered(runs, endpoint=Endpoint(margin=0.001))[0]["answer"] == "cannot tell"
    small = arms(tmp_path / "small", {"small": [one / 10 for one in FIRM]})
    assert "by 0.030 [0.029, 0.032], which is within the margin of 0.05 (5 seeds)" in answered(small)[1]


def two_judges(folder: Path, first: Sequence[float], second: Sequence[float]) -> list[Run]:
    """A reference and an arm that is so much better by `pixels` and by `random`, seed by seed."""
    return [
        written(folder, arm, seed, {"coverage": [0.8, BASE[seed] + one]}, gens=2, beside={"coverage": [0.7, BASE[seed] / 2 + other]})
        for arm, own, theirs in (("none", [0.0] * 5, [0.0] * 5), ("some", first, second))
        for seed, (one, other) in enumerate(zip(own, theirs, strict=True))
    ]


@pytest.mark.parametrize(
    ("first", "second", "answer", "said"),
    [
        (FIRM, [one / 2 for one in FIRM], "yes", "is higher with some than with none by 0.304 [0.290, 0.318] (0.152 [0.145, 0.159]) ("),
        (FIRM, [-one / 2 for one in FIRM], "cannot tell", "undecided with some against none: +0.304 [+0.290, +0.318] (-0.152 [-0.159, -"),
        (FIRM, VAGUE, "cannot tell", "is undecided with some against none: +0.304 [+0.290, +0.318] (+0.036 [-0.127, +0.199]) ("),
        (NEAR, NEAR, "no", "is the same to within 0.05 with some as with none: +0.000 [-0.002, +0.003] (+0.000 [-0.002, +0.003]) ("),
        (NEAR, FIRM, "cannot tell", "is undecided with some against none: +0.000 [-0.002, +0.003] (+0.304 [+0.290, +0.318]) ("),
    ],
)
def test_where_no_extractor_is_named_a_verdict_needs_all(
    tmp_path: Path, first: list[float], second: list[float], answer: str, said: str
) -> None:
    runs = two_judges(tmp_path, first, second)
    found, told = answered(runs)
    assert found["answer"] == answer and said in told and "(features: pixels, in brackets random; a verdict needs both" in told
    assert list(found["found"][0]["beside"]) == ["random"] and "features: pixels, in brackets random;" in endpoint_text(found)
    for extractor, own in (("pixels", first), ("random", second)):
        alone, told = answered(runs, endpoint=Endpoint(extractor=extractor))
        assert alone["found"][0]["beside"] == {} and "in brackets" not in told
        assert (alone["answer"] == "cannot tell") == (own is VAGUE)


def test_all_extractors_together_are_wrong_no_more_often_than_one() -> None:
    """Of two arms, one differs by `random` alone, the other by `pixels` alone: no verdict `higher` or `lower` is right."""
    chance, wrong, draws = np.random.default_rng(5), 0, 1000
    for _ in range(draws):
        moved = {("pixels", "b"): 3.0, ("random", "a"): 3.0}
        apart: dict[str, Apart] = {
            extractor: {arm: (1, dict(enumerate(chance.normal(moved.get((extractor, arm), 0.0), 1, 5)))) for arm in ("a", "b")}
            for extractor in ("pixels", "random")
        }
        wrong += any(one["verdict"] in ("higher", "lower") for one in found_in(Compared("coverage", ["a", "b"], apart), ANY, None, ()))
    assert wrong / draws <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_what_is_not_there_yet_counts_as_a_comparison(tmp_path: Path) -> None:
    runs = arms(tmp_path, {"firm": FIRM, "near": []})
    runs.append(written(tmp_path, "near", 0, {}))
    found, said = answered(runs)
    assert found["comparisons"] == 2 and [one["arm"] for one in found["found"]] == ["firm"] and found["answer"] == "yes"
    assert found["found"][0]["level"] == pytest.approx(1 - 0.05 / 2) and "over 2 comparisons" in said
    same = arms(tmp_path / "same", {"near": NEAR, "later": []})
    same.append(written(tmp_path / "same", "later", 0, {}))
    assert answered(same)[0]["answer"] == "cannot tell", "one of two is the same, of the other nothing is known"


@pytest.mark.parametrize(("seeds", "values"), [(1, "+0.300"), (2, "+0.300 and +0.310")])
def test_one_or_two_seeds_cannot_tell(tmp_path: Path, seeds: int, values: str) -> None:
    found, said = answered(arms(tmp_path, {"firm": FIRM[:seeds]}, seeds))
    assert found["answer"] == "cannot tell" and found["found"][0]["low"] is None
    plural = "seed" if seeds == 1 else "seeds"
    assert said == f"cannot tell with {seeds} {plural}: coverage at generation 1 is undecided with firm against none: {values}"


@pytest.mark.parametrize(
    ("ends", "answer", "said"),
    [
        ([0.30, 0.32, 0.31], "yes", "is lower than at generation 0 by 0.490 [0.465, 0.515] (3 seeds)"),
        ([0.90, 0.92, 0.91], "no", "is higher than at generation 0 by 0.110 [0.085, 0.135] (3 seeds)"),
        ([0.80, 0.801, 0.799], "no", "is the same to within 0.05 as at generation 0: +0.000 [-0.002, +0.002] (3 seeds)"),
        ([0.70, 0.90, 0.60], "cannot tell", "is undecided against generation 0: -0.067 [-0.446, +0.313]"),
    ],
)
def test_of_one_arm_it_is_asked_whether_it_has_fallen_since_generation_0(tmp_path: Path, ends: list[float], answer: str, said: str) -> None:
    runs = [written(tmp_path, "a", seed, {"coverage": [0.8, end]}, gens=2) for seed, end in enumerate(ends)]
    found, told = answered(runs)
    assert (found["answer"], found["against"], found["comparisons"]) == (answer, None, 1) and told.endswith(said)
    assert told.startswith(f"{answer}{' with 3 seeds' if answer == 'cannot tell' else ''}: coverage at generation 1 ")


def test_another_endpoint_is_read_its_own_way(tmp_path: Path) -> None:
    runs = [
        written(tmp_path, name, seed, {"fd": [3.0, 3.0 + rise, 3.0 + 2 * rise + seed / 10], "coverage": [0.8, 0.8, 0.8]}, gens=3)
        for name, rise in (("a", 4.0), ("b", 1.0))
        for seed in range(3)
    ]
    found, said = answered(runs, endpoint=Endpoint(metric="fd"))
    assert found["margin"] is None and said.startswith("yes: FD at generation 2 is lower with b than with a by 6.00 [")
    found, said = answered(runs, endpoint=Endpoint(metric="fd", quantity="slope", margin=9.0))
    assert said.startswith("yes: the slope of FD over generations 0 to 2 is lower with b than with a by 3.00 [")
    alone = [run for run in runs if run.arm == "a"]
    assert answered(alone, endpoint=Endpoint(metric="fd", quantity="area"))[1].startswith(
        "yes: the area of FD over generations 0 to 2 is higher than 0 by "
    )
    assert answered(alone, endpoint=Endpoint(metric="fd", quantity="slope"))[0]["answer"] == "yes"
    found, said = answered(runs, endpoint=Endpoint(metric="kid"), named="after the runs")
    assert (found["found"], said) == (
        [],
        "cannot tell by kernel distance (KID) at the last generation: it is compared seed by seed, "
        "and no two arms have a judged seed in common",
    )
    assert answered(runs, endpoint=Endpoint(extractor="inception"))[0]["answer"] == "cannot tell"


def test_an_endpoint_named_after_the_runs_says_so(tmp_path: Path) -> None:
    found, said = answered(arms(tmp_path, {"firm": FIRM}), endpoint=Endpoint(metric="coverage"), named="after the runs")
    assert said.endswith("(5 seeds, endpoint named after the runs)")
    assert endpoint_text(found) == (
        "coverage at the last generation; features: pixels; within ±0.05 is called the same; named after the runs"
    )


def test_with_a_pilot_the_interval_is_of_its_spread_alone(tmp_path: Path) -> None:
    runs = arms(tmp_path, {"firm": FIRM})
    plain, stein = answered(runs)[0]["found"][0], answered(runs, pilot=(0, 1, 2))[0]["found"][0]
    assert plain["mean"] == stein["mean"] and plain["n"] == stein["n"] == 5 and plain["low"] != stein["low"]
    assert stein["high"] - stein["mean"] == pytest.approx(4.302652729911275 * 0.01 / 5**0.5, rel=1e-6)
    assert "seeds added by the spread of the first 3 (Stein 1945)" in endpoint_text(answered(runs, pilot=(0, 1, 2))[0])


# --- in the file, and in the plan

FILE: dict[str, Any] = {
    "base": {"dataset": {"kind": "gaussian", "size": 100}, "model": "gaussian", "gens": 2, "judge": {"metrics": ["neighbourhood"]}},
    "arms": {"none": {}, "all": {"regime": "accumulate"}},
    "nulls": False,
    "seeds": 1,
}


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("recal", "endpoint.metric: 'recal' is unknown; there are: fd, "),
        ({"metric": "coverage", "margin": 0}, "endpoint.margin: 0 cannot be used; it should be greater than 0"),
        ({"quantity": "half"}, "endpoint.quantity: 'half' cannot be used; "),
        (3, "endpoint: 3 cannot be used; it should be a mapping, such as {key: value}"),
        ("fd", "arm 'none': endpoint.metric: 'fd' is not measured; set judge.metrics so that it is, or name another"),
        (
            {"extractor": "inception"},
            "arm 'none': endpoint.extractor: 'inception' is not among the extractors; there are: pixels; name it in ",
        ),
    ],
)
def test_an_endpoint_that_cannot_be_is_said_before_anything_is_written(endpoint: Any, text: str) -> None:
    Path("grid.yaml").write_text(yaml.safe_dump({**FILE, "endpoint": endpoint}, sort_keys=False))
    result = call("ablate", "grid.yaml", "--out", "out")
    assert result.exit_code == 2 and result.stderr.splitlines()[-1].startswith(f"imgcollapse: {text}"), result.output
    assert not Path("out").exists()


def planned(folder: Path, **more: Any) -> str:
    """When the endpoint of the ablation was named, once more planned in that folder."""
    chosen = build(Ablation, {**FILE, **more})
    plan.make(chosen, plan.resolve(chosen, folder), folder, Resources.of(Machine(), 1, folder / "shared"))
    asked = plan.asked(folder)
    assert asked.endpoint == chosen.endpoint == build(Ablation, read_file(folder / grid.ABLATION)).endpoint
    return asked.named


def test_the_plan_says_when_the_endpoint_was_named(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert planned(folder) == "by default"
    assert planned(folder, endpoint="coverage") == "before the runs"
    assert planned(folder, endpoint={"metric": "recall", "margin": 0.1}) == "before the runs", "nothing has been made yet"
    (run,) = [run for run in plan.read(folder) if run.arm == "all"]
    store.generation_folder(run.folder, 0).mkdir()
    write_manifest(store.generation_folder(run.folder, 0))
    assert planned(folder, endpoint={"metric": "recall", "margin": 0.1}) == "before the runs", "the same as before"
    assert planned(folder, endpoint="coverage") == "after the runs"
    assert planned(folder, endpoint="coverage") == "after the runs", "and that stays"
    assert planned(folder) == "after the runs", "the default is another one too"
    (folder / grid.PLAN).unlink()
    assert planned(folder) == "by default"
    (folder / grid.PLAN).unlink()
    assert planned(folder, endpoint="coverage") == "after the runs"


# --- seeds that are added


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"seeds": "auto"}, "seeds: 'auto' cannot be used; it should be a list, such as [a, b]"),
        ({"seeds": "auto:x"}, "seeds: 'auto:x' cannot be used; write for example auto:0.1"),
        ({"seeds": "auto:0"}, "half_width: 0.0 cannot be used; it should be greater than 0"),
        ({"seeds": 2, "half_width": 0.1}, f"half_width: 2 seeds cannot say how many more are needed; name 3 to {MOST_SEEDS}"),
    ],
)
def test_seeds_that_cannot_be_added_are_said(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        build(Ablation, {**FILE, **values})
    assert str(caught.value) == text


def test_auto_is_short_for_a_pilot_and_a_half_width() -> None:
    chosen = build(Ablation, {**FILE, "seeds": "auto:0.1"})
    assert chosen == build(Ablation, {**FILE, "seeds": PILOT, "half_width": 0.1}) and chosen.seeds == (0, 1, 2, 3, 4)


def added(half: float) -> Result:
    Path("grid.yaml").write_text(yaml.safe_dump(FILE, sort_keys=False))
    return call("ablate", "grid.yaml", "--out", "out", "--seeds", f"auto:{half}", "--jobs", "2")


@pytest.mark.slow  # two dozen runs
def test_seeds_are_added_until_the_difference_is_known_and_calling_again_goes_on() -> None:
    first = added(9)
    assert first.exit_code == 0 and "10 runs with 5 seeds" in first.stderr, first.output
    folder = Path("out")
    runs = plan.read(folder)
    assert [run.seed for run in runs if run.arm == "all"] == [0, 1, 2, 3, 4] and plan.asked(folder).pilot == (0, 1, 2, 3, 4)
    ends = {
        (run.arm, run.seed): store.scores_of(run.folder, 1).sources["pixels"]["min_recall_coverage"].value for run in runs if not run.null
    }
    pilot = [ends["all", seed] - ends["none", seed] for seed in range(5)]
    half = round(float(stats.t.ppf(0.975, 4)) * statistics.stdev(pilot) / math.sqrt(7), 6)
    wanted = seeds_needed(pilot, half)
    assert wanted in (7, 8)
    again = added(half)
    assert again.exit_code == 0 and f"{2 * wanted} runs with {wanted} seeds" in again.stderr, again.output
    assert sorted({run.seed for run in plan.read(folder)}) == list(range(wanted))
    summary = json.loads((folder / grid.SUMMARY).read_text())
    (found,) = summary["endpoint"]["found"]
    assert found["n"] == wanted and found["high"] - found["mean"] <= half and summary["endpoint"]["pilot"] == [0, 1, 2, 3, 4]
    last = plan.read(folder)[-1].folder
    for path in [*sorted((last / "gen_001").rglob("*"), reverse=True), last / "gen_001"]:
        path.rmdir() if path.is_dir() else path.unlink()
    third = added(half)
    assert f"{2 * wanted} runs with {wanted} seeds of {4 * wanted} generations; {4 * wanted - 1} generations are there" in third.stderr
    assert third.exit_code == 0
