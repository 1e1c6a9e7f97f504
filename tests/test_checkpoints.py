"""Checkpoints inside a generation: what is killed while it trains or draws goes on, and ends as what never was, to the byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from chains import files
from standins import Ear
from terminal import call

from imgcollapse import progress, store, training
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface.common import checked
from imgcollapse.machine import cache, devices
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.machine.devices import Machine
from imgcollapse.models import ddpm as ddpm_file
from imgcollapse.settings import build
from imgcollapse.store.identity import study_digest
from imgcollapse.study import Study, run

ALWAYS, NEVER = 1e-9, 0.0  # minutes
BASE: dict[str, Any] = {"dataset": "digits", "samples": 40, "gens": 1, "judge": {"extractors": []}}
DDPM = {"kind": "ddpm", "steps": 12, "batch": 4, "widths": [8, 8], "ema": 0.9, "sampling": {"steps": 2}}
VAE_STUDY = {**BASE, "model": {"kind": "vae", "steps": 12, "batch": 8, "width": 8, "ema": 0.9, "components": 2}}
DDPM_STUDY = {**BASE, "model": DDPM, "gens": 2, "init": "previous"}
STREAM_STUDY = {**BASE, "model": {**DDPM, "class_conditional": True}, "gens": 2, "regime": {"kind": "replace", "stream": True}}


class Killed(BaseException):
    """Stands for the end of the process."""


class Watching(Ear):
    """Counts the steps of training, and of drawing, and ends the process after so many of them."""

    def __init__(self, at: int | None = None, what: str = "") -> None:
        super().__init__()
        self.at, self.what, self.done = at, what, dict[str, int]()
        self.open: list[str] = []

    def begin(self, what: str, total: int, done: int = 0) -> None:
        super().begin(what, total, done)
        self.open.append(what)

    def advance(self) -> None:
        what = self.open[-1]
        self.done[what] = self.done.get(what, 0) + 1
        if what == self.what and self.done[what] == self.at:
            raise Killed

    def end(self) -> None:
        self.open.pop()


def made(folder: Path, study: dict[str, Any], every: float = ALWAYS, at: int | None = None, what: str = "", **more: Any) -> Watching:
    """Executes it; `at`: until it is killed, after so many steps of that work."""
    watching = Watching(at, what)
    with devices.use(Machine(device="cpu", precision="float32", checkpoint_every=every)), progress.watched_by(watching):
        if at is None:
            run(build(Study, study), folder, **more)
        else:
            with pytest.raises(Killed):
                run(build(Study, study), folder, **more)
    return watching


def kept(folder: Path) -> dict[str, bytes]:
    """All that generations hold, but for when it was written."""
    return {name: data for name, data in files(folder).items() if name.startswith("gen_") and "MANIFEST" not in name}


@pytest.fixture(scope="module", autouse=True)
def looks() -> Iterator[None]:
    """It is looked at the loss, and kept, every fifth step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECK_EVERY", 5)
        yield


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Runs that were not killed and kept no checkpoints."""
    place = tmp_path_factory.mktemp("wholes")
    studies = {"vae": VAE_STUDY, "ddpm": DDPM_STUDY, "stream": STREAM_STUDY}
    for name, study in studies.items():
        made(place / name, study, NEVER)
    yield {name: place / name for name in studies}


@pytest.mark.parametrize(
    ("name", "study", "what", "at", "again"),
    [
        ("vae", VAE_STUDY, "vae", 8, 7),
        ("ddpm", DDPM_STUDY, "ddpm", 12 + 11, 2),  # generation 1, which begins with the weights of generation 0
        ("stream", STREAM_STUDY, "ddpm", 12 + 8, 7),  # which counts the classes that it meets
    ],
)
def test_training_goes_on_from_the_checkpoint_and_ends_the_same_to_the_byte(
    name: str, study: dict[str, Any], what: str, at: int, again: int, wholes: dict[str, Path], tmp_path: Path
) -> None:
    made(tmp_path / "run", study, at=at, what=what)
    number = at // 12
    assert [path.name for path in (tmp_path / "run/unfinished" / f"gen_00{number}").iterdir()] == ["fit_0.safetensors"]
    resumed = made(tmp_path / "run", study)
    assert resumed.done[what] == again, "what was kept is not done again"
    assert resumed.lines == [f"{what}: goes on from the checkpoint that was kept after step {12 - again}"]
    assert kept(tmp_path / "run") == kept(wholes[name]) and len(kept(wholes[name])) > 3
    assert not (tmp_path / "run/unfinished").exists(), "it goes when the generation is kept"


def test_a_run_that_is_killed_after_its_training_trains_no_more(wholes: dict[str, Path], tmp_path: Path) -> None:
    made(tmp_path / "run", DDPM_STUDY, at=1, what="sample")
    assert made(tmp_path / "run", {**DDPM_STUDY, "gens": 1}).done.get("ddpm", 0) == 0
    one = {name: data for name, data in kept(wholes["ddpm"]).items() if name.startswith("gen_000")}
    assert kept(tmp_path / "run") == one


def test_drawing_goes_on_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpm_file, "BLOCK", 16)  # 40 pictures: three blocks, of two steps each
    study = {**DDPM_STUDY, "gens": 1}
    whole = made(tmp_path / "whole", study, NEVER)
    made(tmp_path / "run", study, at=5, what="sample")
    again = made(tmp_path / "run", study)
    assert whole.done["draw"] - again.done["draw"] == 2, "two blocks were kept"
    assert kept(tmp_path / "run") == kept(tmp_path / "whole")


@pytest.mark.parametrize("hurt", ["damaged", "cut", "of another study", "of another torch"])
def test_a_checkpoint_that_is_not_of_this_training_is_said_set_aside_and_not_used(
    hurt: str, wholes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place = tmp_path / "run", tmp_path / "run/unfinished/gen_000/fit_0.safetensors"
    study = {**VAE_STUDY, "seed": 1} if hurt == "of another study" else VAE_STUDY
    with monkeypatch.context() as patch:
        if hurt == "of another torch":
            patch.setattr(torch, "__version__", "1.0")
        made(folder, study, at=8, what="vae")
    data = place.read_bytes()
    if hurt == "of another study":
        shutil.rmtree(folder)
        place.parent.mkdir(parents=True)
        made(tmp_path / "mine", VAE_STUDY, at=1, what="vae")  # begun, so that what is in its folder is no foreign file
        shutil.copytree(tmp_path / "mine", folder, dirs_exist_ok=True)
    if hurt == "damaged":
        data = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    place.write_bytes(data[:-100] if hurt == "cut" else data)
    again = made(folder, VAE_STUDY)
    assert again.done["vae"] == 12
    (line,) = [line for line in again.lines if "fit_0" in line]
    why = "is damaged" if hurt in ("damaged", "cut") else "was made for something else"
    aside = folder / "set_aside/fit_0.safetensors-1"
    assert line == f"{place}: {why}; it is not continued from (the file is kept as {aside})" and aside.is_file()
    assert kept(folder) == kept(wholes["vae"])


def test_with_0_nothing_is_kept(tmp_path: Path) -> None:
    before = Checkpoint.kept
    made(tmp_path / "run", VAE_STUDY, NEVER, at=11, what="vae")
    assert not (tmp_path / "run/unfinished").exists() and Checkpoint.kept == before
    assert made(tmp_path / "run", VAE_STUDY, NEVER).done["vae"] == 12


def test_with_minutes_nothing_is_kept_before_they_are_over_but_the_end_of_a_training_of_a_minute(tmp_path: Path) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "time", clock := Clock())
        checkpoint = Checkpoint(tmp_path / "x", "key", 600)
        for now, due, at_end in ((59, False, False), (61, False, True), (599, False, True), (600, True, True)):
            clock.now = now
            assert (checkpoint.is_due(), checkpoint.is_due(last=True)) == (due, at_end)


def test_it_decides_nothing_of_a_study(tmp_path: Path) -> None:
    """It is no setting; a run begun with one number goes on with another."""
    chosen = build(Study, VAE_STUDY).model_dump(mode="json")
    assert "checkpoint" not in str(chosen) and study_digest(chosen)
    made(tmp_path / "run", VAE_STUDY, ALWAYS, at=8, what="vae")
    made(tmp_path / "run", VAE_STUDY, 5.0)
    assert store.numbers(tmp_path / "run") == [0]


def test_runs_that_share_a_training_share_its_checkpoint_and_no_other(wholes: dict[str, Path], tmp_path: Path) -> None:
    """Another run that learns the very same and only draws in another way goes on with it; one of another seed does not."""
    shared, cold = tmp_path / "shared", {**DDPM_STUDY, "gens": 1, "model": {**DDPM, "sampling": {"steps": 3}}}
    made(tmp_path / "one", {**DDPM_STUDY, "gens": 1}, at=8, what="ddpm", shared=shared)
    (unfinished,) = shared.glob("*.unfinished")
    assert made(tmp_path / "other", {**cold, "seed": 3}, shared=shared).done["ddpm"] == 12 and unfinished.exists()
    assert made(tmp_path / "another", cold, shared=shared).done["ddpm"] == 7 and not unfinished.exists()
    assert made(tmp_path / "one", {**DDPM_STUDY, "gens": 1}, shared=shared).done.get("ddpm", 0) == 0
    weights = "gen_000/model/unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "one" / weights).read_bytes() == (wholes["ddpm"] / weights).read_bytes()


def test_what_is_left_of_a_generation_that_is_kept_goes(tmp_path: Path) -> None:
    made(tmp_path / "run", VAE_STUDY, NEVER)
    left = tmp_path / "run/unfinished/gen_000"
    left.mkdir(parents=True)
    (left / "fit_0.safetensors").write_bytes(b"killed before it was removed")
    made(tmp_path / "run", VAE_STUDY)
    assert not left.parent.exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine", tmp_path / "run"
    mine.mkdir()
    made(folder, VAE_STUDY, NEVER, at=1, what="vae")
    (folder / "unfinished").symlink_to(mine, target_is_directory=True)
    made(folder, VAE_STUDY, at=8, what="vae")
    assert not list(mine.iterdir()) and not (folder / "unfinished").is_symlink()


@pytest.mark.parametrize("every", [-1.0, float("nan"), float("inf"), "often"])
def test_minutes_that_are_none_are_refused(every: Any) -> None:
    with pytest.raises(SettingsProblem, match=r"^--checkpoint-every: .* cannot be used; give minutes, or 0 for no checkpoints$"):
        checked(Machine(device="cpu", checkpoint_every=every))


def test_the_command_line_refuses_them_too_and_workers_are_told() -> None:
    refused = call("run", "--checkpoint-every", "-1", "--dry-run")
    assert refused.exit_code == 2 and "--checkpoint-every" in refused.stderr
    assert Resources.of(Machine(checkpoint_every=3.5), 1, Path()).here().checkpoint_every == 3.5
    assert Resources(1, "cpu", "float32", "data", "shared").here().checkpoint_every == 10, "of an older version"
