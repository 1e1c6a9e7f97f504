"""That the benchmark's measurements run and come to the same as what they are measured against; how long they take is nobody's test."""

import json
import re
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent


def benchmark(*arguments: str) -> str:
    """`python scripts/benchmark.py` with these arguments, in this process."""
    main = runpy.run_path(str(ROOT / "scripts" / "benchmark.py"))["main"]
    finished = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return finished.output


@pytest.mark.parametrize("rival", ["prdc", "torch-fidelity", "clean-fid"])
def test_ours_and_the_other_package_measure_the_same(rival: str) -> None:
    theirs, ours = (json.loads(benchmark("contender", name, "300", "8", "1").splitlines()[-1]) for name in (rival, f"ours-{rival}"))
    assert theirs["values"].keys() <= ours["values"].keys() and theirs["values"]
    assert all(ours["values"][name] == pytest.approx(value, rel=1e-6) for name, value in theirs["values"].items())


def test_all_default_metrics_are_measured_each_with_its_time() -> None:
    found = json.loads(benchmark("contender", "all", "300", "8", "1").splitlines()[-1])
    assert {"frechet_distance", "kernel_distance", "neighbourhood"} <= found["parts"].keys() and {"fd", "coverage"} <= found[
        "values"
    ].keys()


@pytest.mark.slow  # a thousand evaluations a picture
def test_a_generation_our_way_and_the_usual_way_with_some_of_its_pictures_drawn() -> None:
    said = benchmark("reference", "--n", "32", "--draw", "8", "--steps", "20")
    whole, fit, drawing, judge = map(float, re.search(r"the usual: +(\S+) s \(fit (\S+), sample (\S+), judge (\S+)\)", said).groups())  # type: ignore[union-attr]
    drawn = float(re.search(r"8 of 32 pictures were drawn, in (\S+) s", said)[1])  # type: ignore[index]
    assert drawing == pytest.approx(4 * drawn, abs=0.3) and whole == pytest.approx(fit + drawing + judge, abs=0.2)
    assert said.count("TFLOP of the network") == 2 and "times as fast as the usual way" in said
