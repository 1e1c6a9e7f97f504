"""The cache of costly tensors: made once, the same when read back, never a flipped bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from standins import Ear

from imgcollapse import datasets, progress
from imgcollapse.judges.judge import Judge
from imgcollapse.machine import cache, devices
from imgcollapse.settings import build
from imgcollapse.study import Study


def remember(folder: Path, key: str = "key") -> tuple[cache.Made, int]:
    """What is remembered, and how often it was made."""
    made = 0

    def make() -> cache.Made:
        nonlocal made
        made += 1
        return {"a": torch.arange(5.0) / 3, "b": torch.tensor([1, -1])}, {"mean": 0.1 + 0.2}

    with devices.use(devices.Machine(data_dir=folder)):
        return cache.remembered("things", "digits", key, make), made


def test_it_is_made_once_and_read_back_exactly(tmp_path: Path) -> None:
    (first, about), made = remember(tmp_path)
    (again, same), more = remember(tmp_path)
    assert (made, more) == (1, 0) and about == same == {"mean": 0.1 + 0.2}
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)
    assert remember(tmp_path, "another key")[1] == 1
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.parametrize("place", [0, 200, -3])
def test_a_flipped_bit_or_a_cut_file_is_said_and_made_anew(tmp_path: Path, place: int) -> None:
    (whole, _), _ = remember(tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with progress.watched_by(heard := Ear()):
        (again, _), made = remember(tmp_path)
    assert made == 1 and torch.equal(whole["a"], again["a"]) and heard.lines == [f"{path}: is damaged; made again"]
    path.write_bytes(path.read_bytes()[:100])
    assert remember(tmp_path)[1] == 1


def test_the_reference_remembers_the_real_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second reference sees no real picture, and measures the same."""
    world = datasets.load(build(Study, {}).dataset, 0)
    judge = Judge(n=250).resolved(world, 400)
    first = judge.open(world)
    scores, record = first(world.train[300:700]).scores, first.record()
    seen: list[int] = []
    fitted = type(first._views[0].extractor)
    real = fitted.features

    def spied(self: Any, pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return real(self, pixels)

    monkeypatch.setattr(fitted, "features", spied)
    second = judge.open(world)
    assert second.record() == record and not seen
    assert second(world.train[300:700]).scores == scores and seen[-1] == 400, "all that was drawn, once"
