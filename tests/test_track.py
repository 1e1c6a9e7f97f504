"""`--track` as a user meets it: every generation once in the tracker, across restarts, and a tracker that fails harms nothing."""

import io
import json
import re
import sys
import tomllib
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from accelerate.tracking import TensorBoardTracker
from click.testing import Result
from PIL import Image
from terminal import call

import imgcollapse
from imgcollapse import reports, store, track
from imgcollapse.ablation import plan
from imgcollapse.interface import console
from imgcollapse.metrics.record import RealVsReal, Scores, Value
from imgcollapse.store import history
from imgcollapse.track import tracker
from imgcollapse.track.kinds import Logged

pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

TOY = ("--dataset", "grid25", "--model", "gmm", "--set", "dataset.size=400", "--set", "model.components=5", "--gens", "3")
RUN = Path("here")


@pytest.fixture(autouse=True)
def _names_of_event_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of one second and process are told apart by a count, as text: below ten they sort as they were made."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of a small run's time."""
    monkeypatch.setattr(reports, "draw", lambda folder: [])
    monkeypatch.setattr(reports, "draw_ablation", lambda folder, runs, summary: [])


def run(*more: str, out: Path = RUN) -> Result:
    return call("run", *TOY, "--out", str(out), *more)


def tracked(kind: str = "tensorboard", out: Path = RUN) -> Result:
    return run("--track", kind, out=out)


def events(folder: Path, purge: bool = True) -> EventAccumulator:
    """What TensorBoard reads; without `purge` all that was ever written."""
    found = EventAccumulator(str(folder / track.FOLDER), size_guidance={"scalars": 0, "images": 0}, purge_orphaned_data=purge)
    found.Reload()
    return found


def steps(folder: Path, purge: bool = True) -> list[int]:
    return [event.step for event in events(folder, purge).Scalars("pixels/fd")]


def logged_so_far(kind: str = "tensorboard") -> dict[str, Any]:
    return dict(json.loads((RUN / track.FOLDER / f"{kind}.json").read_text()))


def samples(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(f"gen_*/{store.SAMPLES}"))]


def stop_after(generation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C once that generation has landed."""

    def landed(self: object, landed: int, scores: object) -> None:
        if landed == generation:
            raise KeyboardInterrupt

    monkeypatch.setattr(console.Plain, "landed", landed)


def test_tensorboard_shows_every_metric_beside_real_vs_real_and_the_grids(tmp_path: Path) -> None:
    assert run(out=Path("plain")).exit_code == 0
    result = tracked()
    assert result.exit_code == 0 and "--track" not in result.output, result.output
    assert samples(RUN) == samples(Path("plain"))
    found, scores = events(RUN), store.scores(RUN)
    metrics = {name: source for source in scores[0].sources for name in scores[0].sources[source] if not re.search(r"_(low|high)_", name)}
    group = {name: f"{source}_classes" if name[-1].isdigit() else source for name, source in metrics.items()}
    assert {"fd": "pixels", "share_24": "pixels_classes", "bits_per_dim": "model"}.items() < group.items()
    beside = {name for name, source in metrics.items() if scores[0].sources[source][name].real}
    assert {"fd", "share_24"} < beside  # of a class with few held-out pictures a half may hold none
    logged = {f"{group[name]}/{name}" for name in metrics} | {f"{group[name]}/{name}_real" for name in beside}
    assert set(found.Tags()["scalars"]) == logged
    for name, source in metrics.items():
        values = [one.sources[source][name] for one in scores]
        reals = [one.real.mean for one in values if one.real]
        for end, expected in (("", [one.value for one in values]), *([("_real", reals)] if reals else [])):
            shown = [(event.step, event.value) for event in found.Scalars(f"{group[name]}/{name}{end}")]
            assert shown == [(g, float(np.float32(one))) for g, one in enumerate(expected)]
    assert [event.step for event in found.Images("grid")] == [0, 1, 2]
    for event in found.Images("grid"):
        with Image.open(io.BytesIO(event.encoded_image_string)) as shown_grid, Image.open(RUN / store.grid(event.step)) as grid:
            assert np.array_equal(np.asarray(shown_grid), np.asarray(grid.convert("RGB")))
    start = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"model.components" in start and b"dataset.kind" in start and b"grid25" in start


def test_the_generations_of_a_run_that_was_not_tracked_are_logged_later() -> None:
    assert run().exit_code == 0 and tracked().exit_code == 0
    assert steps(RUN) == [0, 1, 2]
    files = list((RUN / track.FOLDER).iterdir())
    assert tracked().exit_code == 0 and list((RUN / track.FOLDER).iterdir()) == files


def test_resuming_logs_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stopping:
        stop_after(1, stopping)
        assert tracked().exit_code == 130
    assert steps(RUN) == [0, 1] and logged_so_far()["generations"] == 2  # also the one that landed as it was stopped
    assert tracked().exit_code == 0
    assert steps(RUN, purge=False) == [0, 1, 2] and logged_so_far()["generations"] == 3


@pytest.mark.parametrize(("record", "written"), [('{"generations": 2, "id": "a"}', 4), ("{", 6), ('{"generations": null}', 6)])
def test_what_was_written_and_not_noted_is_shown_once(record: str, written: int) -> None:
    assert tracked().exit_code == 0
    (RUN / track.FOLDER / "tensorboard.json").write_text(record)
    result = tracked()
    assert result.exit_code == 0 and steps(RUN) == [0, 1, 2] and logged_so_far()["generations"] == 3
    assert len(steps(RUN, purge=False)) == written
    assert ("here/track/tensorboard.json: is damaged; the run is logged again from generation 0" in result.stderr) == (written == 6)


def test_an_ablation_logs_every_run_and_what_was_linked_too(tmp_path: Path) -> None:
    base = {"dataset": {"kind": "grid25", "size": 200}, "model": {"kind": "gmm", "components": 5}, "gens": 2}
    arms = {"replace": {}, "none real": {"regime": {"kind": "retain", "real_fraction": 0}}}
    Path("grid.yaml").write_text(yaml.safe_dump({"base": base, "arms": arms, "nulls": False, "seeds": 1}))
    result = call("ablate", "grid.yaml", "--out", "out", "--jobs", "1", "--track", "tensorboard")
    assert result.exit_code == 0 and "--track" not in result.output, result.output
    first, second = plan.read(tmp_path / "out")
    assert [line["how"] for line in history.lines(second.folder)] == ["shared", "shared"]
    for one in (first, second):
        assert steps(one.folder, purge=False) == [0, 1] and len(events(one.folder).Images("grid")) == 2


def fails(*arguments: object, **more: object) -> None:
    raise OSError("no space left\non device")


@pytest.mark.parametrize("method", [pytest.param("start", marks=pytest.mark.slow), "log", pytest.param("finish", marks=pytest.mark.slow)])
def test_a_tracker_that_fails_is_said_once_and_harms_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(out=Path("plain")).exit_code == 0
    with monkeypatch.context() as broken:
        broken.setattr(TensorBoardTracker, method, fails)
        result = tracked()
    assert result.exit_code == 0, result.output
    (said,) = [line for line in result.stderr.splitlines() if "track" in line]
    assert said == (
        "--track tensorboard: fails (no space left on device); the work goes on without it; the same command run again logs what is missing"
    )
    assert result.stdout == run().stdout and samples(RUN) == samples(Path("plain"))
    assert tracked().exit_code == 0 and steps(RUN) == [0, 1, 2]


def test_a_package_that_is_missing_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    result = tracked("wandb")
    assert result.exit_code == 0
    said = "--track wandb: is not installed; the work goes on without it: pip install wandb"
    assert result.stderr.splitlines()[0] == said and result.stderr.count("wandb") == 2
    assert not (RUN / track.FOLDER).exists()


@pytest.mark.parametrize("command", ["run", "ablate"])
def test_an_unknown_kind_is_one_line_before_anything_is_written(command: str) -> None:
    result = call(command, "--model", "gaussian", "--track", "foo")
    assert result.exit_code == 2 and not list(Path.cwd().iterdir())
    assert result.stderr == "imgcollapse: --track: 'foo' is unknown; there are: tensorboard, wandb, trackio\n"


def test_every_kind_is_an_extra_and_named_in_the_help() -> None:
    extras = tomllib.loads((Path(imgcollapse.__file__).parent.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for kind, log in track.TRACKERS.items():
        assert (log.needs is None or kind in extras) and kind in call("run", "--help").stdout and kind in call("ablate", "--help").stdout


class Book:
    """A tracker that writes down what happens to it."""

    needs = None
    alone = True
    happened: list[Any]
    write_one: Callable[[int], None]

    def __init__(self, run: Path, settings: dict[str, Any], logged_so_far: Logged) -> None:
        self.name = run.name
        self.happened.append((self.name, "opened", logged_so_far.generations))

    def write(self, generation: int, values: dict[str, float], grid: Path) -> None:
        type(self).write_one(generation)
        self.happened.append((self.name, generation))

    def close(self) -> None:
        self.happened.append((self.name, "closed"))


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> type[Book]:
    class Own(Book):
        happened: list[Any] = []  # noqa: RUF012
        write_one = staticmethod(lambda generation: None)

    monkeypatch.setitem(track.TRACKERS, "json", Own)  # a package that is installed everywhere
    return Own


def test_a_kind_that_stands_alone_is_closed_before_the_next_run_is_opened(book: type[Book]) -> None:
    for out in ("a", "b"):
        assert run(out=Path(out)).exit_code == 0
    for run_folder in (Path("a"), Path("b")):
        (run_folder / "gen_002").rename(run_folder / "later")
    with track.tracking(["json"], [Path("nowhere"), Path("a"), Path("b")]) as look:
        look()
        (Path("b") / "later").rename(Path("b") / "gen_002")
    assert book.happened == [
        *(("a", "opened", 0), ("a", 0), ("a", 1), ("a", "closed")),
        *(("b", "opened", 0), ("b", 0), ("b", 1), ("b", 2), ("b", "closed")),
    ]


def test_a_generation_in_the_midst_of_which_it_was_stopped_is_for_the_next_session(
    book: type[Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(generation: int) -> None:
        if generation == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(book, "write_one", staticmethod(stopped))
        assert tracked("json").exit_code == 130
    assert tracked("json").exit_code == 0
    opened = [("here", "opened", 0), ("here", 0), ("here", "closed"), ("here", "opened", 1), ("here", 1), ("here", 2), ("here", "closed")]
    assert book.happened == opened


def test_a_folder_that_holds_another_study_is_left_alone(book: type[Book]) -> None:
    assert run().exit_code == 0
    assert tracked("json", out=RUN).exit_code == 0
    assert call("run", *TOY, "--seed", "7", "--out", "here", "--track", "tensorboard").exit_code == 5
    assert [path.name for path in (RUN / track.FOLDER).iterdir()] == ["json.json"]


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_wandb_and_trackio_are_told_the_same_in_one_run_a_folder(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the packages: what is called, and with what. They talk on stdout, and would ask on a terminal."""
    calls, logged = list[dict[str, Any]](), list[tuple[int, set[str]]]()

    def init(**about: Any) -> SimpleNamespace:
        print("* welcome")
        assert sys.stdin.read() == ""
        calls.append(about)
        return SimpleNamespace(log=lambda values, step: logged.append((step, set(values))), finish=lambda: logged.append((-1, set())))

    package = ModuleType(kind)
    package.__spec__ = ModuleSpec(kind, None)
    package.__dict__.update(init=init, Image=lambda picture: picture)
    monkeypatch.setitem(sys.modules, kind, package)
    with monkeypatch.context() as stopping:
        stop_after(0, stopping)
        assert tracked(kind).exit_code == 130
    result = run("--track", kind, "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["run"] == "here" and "* welcome" in result.stderr
    assert [(one["project"], one["name"], one["config"]["model.components"]) for one in calls] == [("imgcollapse", "here", 5)] * 2
    if kind == "wandb":
        assert calls[0]["id"] == calls[1]["id"] and calls[0]["resume"] == "allow"
    else:
        assert [one["resume"] for one in calls] == ["never", "allow"]
    assert list(dict.fromkeys(step for step, _ in logged)) == [0, -1, 1, 2] and logged[-1][0] == -1
    assert {name for step, names in logged for name in names if step == 1} >= {"grid", "pixels/fd", "pixels/fd_real"}


def test_what_is_of_one_class_is_a_group_of_their_own_without_their_intervals() -> None:
    part = {"fd": 1.0, "share_0": 0.5, "share_low_0": 0.4, "share_high_0": 0.6}
    named = tracker.scalars(Scores(0, {"classifier": {name: Value(one, RealVsReal(one, 0.0, 1.0), 9) for name, one in part.items()}}))
    assert list(named) == ["classifier/fd", "classifier/fd_real", "classifier_classes/share_0", "classifier_classes/share_0_real"]


def test_settings_are_named_by_their_paths() -> None:
    assert tracker.flat({"a": {"b": {"c": 1}, "d": [1, "x"]}, "e": None}) == {"a.b.c": 1, "a.d": '[1, "x"]', "e": None}
