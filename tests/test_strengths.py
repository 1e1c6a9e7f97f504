"""The script behind the tables of docs/metrics.md that say through which features planted failures are seen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow  # 52 sets of samples, judged in two spaces
def test_a_random_network_sees_failures_that_pixels_take_for_better(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "strengths.py"), "--n", "120", "--draws", "12", "--data-dir", "data"]
    command += ["--set", "judge.extractors=[random, pixels]", "--set", "judge.metrics=[neighbourhood]"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "strengths.json").read_text())
    assert done.stdout.splitlines() == record["table"] and record["n"] == 120 and len(record["real"]) == 12
    assert {len(by) for by in record["planted"].values()} == {4} and len(record["planted"]) == 10
    real = record["real"][0]
    shrunk, blended = record["planted"]["shrunk to class means by"]["0.5"], record["planted"]["another blended in, share"]["0.5"]
    assert blended["random"]["precision"] < real["random"]["precision"] - 0.3
    assert shrunk["pixels"]["density"] > 1.5 * real["pixels"]["density"], "samples in the middle look better than real"
    assert shrunk["random"]["recall"] < 0.5 * real["random"]["recall"]
