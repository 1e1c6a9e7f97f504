"""The script behind the figure of docs/metrics.md, on the bundled digits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


@pytest.mark.slow  # trains a classifier
def test_the_figure_is_drawn_and_its_numbers_tell_the_failures_apart(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "planted.py"), "--n", "120", "--out", "planted.png", "--data-dir", "data"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "planted.png") as figure:
        assert figure.width > 1000
    record = json.loads((tmp_path / "planted.json").read_text())
    real, planted = record["real"], record["planted"]
    assert record["n"] == 120 and len(planted) == 10
    lost, copied, near = (planted[name] for name in ("5 of 10 classes lost", "training pictures copied", "copied with a little noise"))
    assert lost["classes_alive"] <= 5 < 9 <= real["classes_alive"]["mean"] and lost["min_class_coverage"] < 0.2
    assert copied["copies"] == 1 and copied["authenticity"] == 0 and copied["fd"] < 1.5 * real["fd"]["mean"]
    assert near["copies"] == 0 and near["copy_ratio"] < 0.6 < 0.8 < real["copy_ratio"]["mean"]
    assert planted["a twentieth of them, repeated"]["coverage"] < 0.3
