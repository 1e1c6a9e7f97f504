"""Whether threads spin or sleep while they wait follows what other processes do."""

import os
import time
from pathlib import Path

import pytest

from imgcollapse.machine import busy


def fake(monkeypatch: pytest.MonkeyPatch, path: Path, used: int) -> None:
    """A machine whose cores work `used` of 100 ticks while the process sleeps."""
    path.write_text("cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 1 2\n")
    monkeypatch.setattr(busy, "STAT", path)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(time, "sleep", lambda seconds: path.write_text(f"cpu  {10 + used} 0 10 {80 + 90 - used} 10 0 0 0 0 0\ncpu0 1 2\n"))


@pytest.mark.parametrize(("used", "cores"), [(0, 0.0), (50, 1.0), (90, 1.8)])
def test_the_cores_in_use_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, used: int, cores: float) -> None:
    fake(monkeypatch, tmp_path / "stat", used)
    assert busy.cores_in_use() == pytest.approx(cores)


@pytest.mark.parametrize(("used", "chosen", "policy"), [(5, {}, None), (50, {}, "PASSIVE"), (50, {"GOMP_SPINCOUNT": "7"}, None)])
def test_threads_sleep_only_beside_others_and_never_against_the_users_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, used: int, chosen: dict[str, str], policy: str | None
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    fake(monkeypatch, tmp_path / "stat", used)
    busy.wait_asleep_if_busy()
    assert os.environ.get("OMP_WAIT_POLICY") == policy
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)


def test_a_system_that_does_not_say_counts_as_quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(busy, "STAT", tmp_path / "none")
    assert busy.cores_in_use(0) == 0.0
