"""What the system refuses: told in one line with place, reason and cure, with nothing lost, and nobody waiting for ever."""

import errno
import fcntl
import json
import os
import pwd
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from standins import Ear
from terminal import call

from imgcollapse import files, progress, store, study
from imgcollapse.ablation import plan, worker
from imgcollapse.ablation.engines import EngineConfiguration
from imgcollapse.ablation.engines import local as run_locally
from imgcollapse.ablation.engines.local import _context
from imgcollapse.cli import trials
from imgcollapse.errors import DivergedProblem, InUseProblem, SystemProblem, explained
from imgcollapse.files import atomic, locks, places, write_bytes, write_text
from imgcollapse.machine import cache, devices
from imgcollapse.settings import build
from imgcollapse.store import run_folder
from imgcollapse.store.shared import SharedStore

FAST = ["--model", "bootstrap", "--gens", "2", "--extractor", "pixels", "--set", "judge.metrics=[frechet_distance]"]
TOY = [*FAST, "--dataset", "grid25", "--set", "dataset.size=200"]
GRID = ["ablate", "--model", "bootstrap", "--dataset", "grid25", "--set", "dataset.size=200", "--gens", "2", "--extractor", "pixels"]
GRID += ["--regime", "replace,accumulate", "--seeds", "1", "--jobs", "1", "--out", "grid"]

QUICK: dict[str, Any] = {
    "dataset": {"kind": "grid25", "size": 200},
    "model": "bootstrap",
    "gens": 2,
    "samples": 50,
    "judge": {"extractors": []},
}


def refused(code: int, *arguments: object, env: dict[str, str] | None = None) -> str:
    """The one line with which the command ends."""
    result = call(*arguments, env=env)
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("imgcollapse: ")]
    return line.removeprefix("imgcollapse: ")


def failing(number: int) -> Callable[..., Any]:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fails


# --- one boundary


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "full", "x/y"), "x/y: No space left on device; make room there, or name another folder, then run the same "),
        (OSError(errno.EDQUOT, "full"), "the system says no: Disk quota exceeded; make room within your quota"),
        (PermissionError(errno.EACCES, "no", "x"), "x: Permission denied; ask for permission, or name another place"),
        (OSError(errno.EROFS, "no", b"x"), "x: Read-only file system; name a folder that can be written"),
        (OSError(errno.ENAMETOOLONG, "no", "x"), "x: File name too long; name a shorter place"),
        (OSError(errno.EXDEV, "no", "x"), "x: Invalid cross-device link; see that the system allows it"),
        (OSError("no usable folder"), "the system says no: no usable folder; see that the system allows it"),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]), "the system says no: No space left on device; make room"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "the system says no: No space left "),
        (
            RuntimeError("[enforce fail at inline_container.cc:626] . PytorchStreamWriter failed writing file data/1"),
            "the system says no: No ",
        ),
        (MemoryError(), "memory: there is not enough; close other programs, or take fewer --samples"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has ..."),
            "memory: CUDA out of memory. Tried to allocate 2 GiB; ",
        ),
    ],
)
def test_what_the_system_refuses_has_place_reason_and_cure(error: BaseException, said: str) -> None:
    found = explained(error)
    assert isinstance(found, SystemProblem) and found.exit_code == 8
    assert str(found).startswith(said) and "\n" not in str(found), str(found)


def test_a_problem_is_itself_and_a_fault_of_the_program_is_none() -> None:
    problem = DivergedProblem("x")
    assert explained(problem) is problem and explained(ValueError("x")) is None and explained(KeyError("uid")) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("place", ["write_images", "append_line", "folder_in_place"])
def test_a_disk_that_refuses_loses_nothing_that_was_finished(monkeypatch: pytest.MonkeyPatch, number: int, place: str) -> None:
    assert call("run", *TOY, "--out", "whole").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, place, failing(number))
        line = refused(8, "run", *TOY, "--out", "here")
    assert os.strerror(number) in line and "; " in line, line
    assert not list(Path("here").glob("*.draft")) and not [path for path in Path("here").iterdir() if files.is_part(path)]
    assert call("run", *TOY, "--out", "here").exit_code == 0
    for name in ("gen_000/samples.npz", "gen_001/samples.npz", "gen_001/provenance.json", "study.yaml"):
        assert (Path("here") / name).read_bytes() == (Path("whole") / name).read_bytes()


@pytest.mark.slow
def test_a_worker_tells_it_as_the_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(*GRID, "--no-nulls").exit_code == 0
    run = next(Path("grid/runs").iterdir())
    shutil.rmtree(run / "gen_001")
    shutil.rmtree("grid/shared")  # from which it would be linked
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_images", failing(errno.ENOSPC))
        assert worker.work(run) == 8
    failure = worker.read_failure(run)
    assert failure is not None and failure["exit_code"] == 8 and failure["generation"] == 1
    assert failure["message"].startswith(f"{run}/gen_001.draft: No space left on device; make room there")
    with monkeypatch.context() as patch, progress.watched_by(heard := Ear()):
        patch.setattr(worker, "write_text", failing(errno.ENOSPC))
        worker.record_failure(run, "kind", "what failed", 1)
    assert heard.lines[0].startswith(f"{run}: FAILED: what failed (this could not be recorded there: ")


# --- files


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Each writes its own content a hundred times; a reader always sees a whole one."""
    place, wrong = tmp_path / "one.json", list[BaseException]()

    def write(number: int) -> None:
        try:
            for _ in range(100):
                write_bytes(place, str(number).encode() * 5000)
                assert len(set(place.read_bytes())) == 1 and place.stat().st_size == 5000
        except BaseException as error:
            wrong.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert wrong == [] and [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_a_file_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError) as missing:
        write_text(tmp_path / "none" / "a", "new")
    assert missing.value.filename == str(tmp_path / "none" / "a")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(OSError) as full:
        write_text(tmp_path / "a", "new")
    assert full.value.filename == str(tmp_path / "a") and (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_killed_writers_left_is_swept_and_what_living_ones_write_is_not(tmp_path: Path) -> None:
    dead, living, users = (tmp_path / name for name in (f".imgcollapse-{'0' * 16}.part", f".imgcollapse-{'1' * 16}.part", "mine.part"))
    for path in (dead, users):
        path.write_text("half")
    with living.open("xb") as file:
        locks.mark(file.fileno())
        files.sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [living.name, "mine.part"]
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.part"]


def test_a_kill_at_the_first_write_leaves_a_folder_that_can_be_begun_again() -> None:
    code = f"""
import os, signal
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
from imgcollapse.cli.main import main
main({["run", *TOY, "--out", "here"]!r})
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == -9
    assert len(list(Path("here").glob(".imgcollapse-*.part"))) == 1
    assert call("run", *TOY, "--out", "here").exit_code == 0
    assert not list(Path("here").glob(".imgcollapse-*"))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EPERM, errno.EACCES])
def test_a_file_system_that_knows_no_fsync_is_said_once(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    result = call("run", *TOY, "--out", "here")
    assert result.exit_code == 0 and store.finished(Path("here")) == [0, 1]
    assert result.stderr.count("this file system cannot put files on the disk when asked") == 1


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_at_fsync_is_an_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    assert os.strerror(number) in refused(8, "run", *TOY, "--out", "here")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EACCES])
def test_a_file_system_that_keeps_no_permissions_stops_nothing(monkeypatch: pytest.MonkeyPatch, number: int, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "chmod", failing(number))
    for name in ("a", "b"):
        os.close(os.open(tmp_path / name, os.O_CREAT, 0o600))
    with progress.watched_by(heard := Ear()):
        files.as_usual(tmp_path)
    said = f"{tmp_path}: this file system lets nobody change permissions ({os.strerror(number)}); those of new files stay as they are"
    assert heard.lines == [said] and sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_disk_that_fails_at_chmod_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "chmod", failing(errno.EIO))
    os.close(os.open(tmp_path / "a", os.O_CREAT, 0o600))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.as_usual(tmp_path)


def test_the_permissions_of_new_files_are_the_users(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        few = ["--set", "model.steps=1", "--samples", "20", "--set", "judge.extractors=[]"]
        assert call("run", "--model", "ddpm", "--gens", "1", *few, "--set", "model.widths=[8]", "--out", "here").exit_code == 0
        with devices.use(devices.Machine(data_dir=tmp_path / "data")):
            cache.remembered("things", "digits", "key", lambda: ({}, {}))
    finally:
        os.umask(before)
    written = [path for folder in (Path("here"), tmp_path / "data") for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 12 and any(path.suffix == ".safetensors" for path in written)
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in written} == {"0o640"}


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 100 bytes, as on a disk without room; the error is the system's own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "run"
    few = ["--set", "dataset.subset=40", "--set", "judge.extractors=[]"]
    assert call("run", "--model", "bootstrap", "--gens", "1", *few, "--out", folder).exit_code == 0
    return folder


@pytest.mark.parametrize("to", ["zip", "npz", "folder", "imagefolder"])
def test_an_export_without_room_names_the_place_that_the_user_named(to: str, pictures: Path) -> None:
    place = f"sub/x.{to}"
    with small_files():
        line = refused(8, "export", pictures, "--to", to, "--out", place)
    assert line.startswith(f"{place}: {os.strerror(errno.EFBIG)}; "), line
    assert list(Path("sub").iterdir()) == []


@pytest.mark.parametrize("form", ["imagefolder", "npz"])
def test_a_card_without_room_names_the_place_that_the_user_named(form: str, pictures: Path) -> None:
    with small_files():
        line = refused(8, "card", pictures, "--export", form, "--out", "sub/card")
    assert line.startswith(f"sub/card: {os.strerror(errno.EFBIG)}; ") and list(Path("sub").iterdir()) == [], line


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_fails_in_a_block_that_fills_a_place_is_told_with_that_place(number: int, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "source"
    for way in (places.made_once, lambda place: places.placed(place, {})):
        for named in (None, "draft", "copied"):
            with pytest.raises(OSError) as error, way(Path("out")) as draft:
                raise OSError(number, "x", *([] if named is None else [str(draft / "a")] if named == "draft" else [str(other), None, "b"]))
            assert (error.value.filename, error.value.filename2) == ("out", None) and not Path("out").exists()
        with pytest.raises(OSError) as error, way(Path("out")):
            raise OSError(number, "x", str(other))  # which was read
        assert error.value.filename == str(other)


# --- in the way in a run folder


def _points_to_mine(path: Path) -> None:
    Path("mine").write_text("the only copy")
    path.symlink_to(Path("mine").absolute())


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _text(path: Path) -> None:
    path.write_text("the only copy")


def _full_folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("the only copy")


def _only_copy(path: Path) -> None:
    """A folder with the names of a draft, and one more file."""
    path.mkdir()
    (path / "samples.npz").touch()
    (path / "notes.txt").write_text("the only copy")


WAYS = [
    *(("gen_001", make) for make in (_points_to_mine, _loop, _dangling, _text, _full_folder)),
    *(("gen_001.draft", make) for make in (_points_to_mine, _dangling, _text, _full_folder, _only_copy)),
    *(("study.yaml.part", make) for make in (_points_to_mine, _dangling, _text, _full_folder)),
    *(("environment.json.part", make) for make in (_points_to_mine, _text, _full_folder)),
    *(("history.jsonl", make) for make in (_points_to_mine, _endless, _loop, _dangling, _full_folder, os.mkfifo)),
    *((".lock", make) for make in (_points_to_mine, _dangling, _loop, _text, _full_folder, os.mkfifo)),
    *(("data.json", make) for make in (_dangling, _loop, _full_folder, os.mkfifo)),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    study.run(build(study.Study, QUICK), folder)
    return folder


@pytest.mark.parametrize(("name", "make"), WAYS)
def test_what_is_in_the_way_in_a_run_folder_is_set_aside(name: str, make: Callable[[Path], None], whole: Path) -> None:
    run = Path(shutil.copytree(whole, "here"))
    (run / ".lock").unlink(missing_ok=True)
    shutil.rmtree(run / "gen_001")
    way = run / name
    way.unlink(missing_ok=True)
    make(way)
    kind, inside = stat.S_IFMT(way.lstat().st_mode), way / "mine" if make is _full_folder else way / "notes.txt"
    with progress.watched_by(heard := Ear()):
        study.run(build(study.Study, QUICK), run)
    aside = run / "set_aside" / f"{name}-1"
    assert stat.S_IFMT(aside.lstat().st_mode) == kind and sum(f"{aside.relative_to(run)}" in line for line in heard.lines) == 1, heard.lines
    if make in (_full_folder, _only_copy):
        assert (aside / inside.name).read_text() == "the only copy"
    elif make in (_text, _points_to_mine):
        assert aside.read_text() == "the only copy"
    assert (run / "gen_001/samples.npz").read_bytes() == (whole / "gen_001/samples.npz").read_bytes()
    assert not os.path.lexists(run / f"{name}") or files.is_file(run / name) or (name == "gen_001" and files.is_folder(run / name))


def test_what_a_killed_run_left_is_gone_and_what_is_only_named_alike_stays(whole: Path) -> None:
    run = Path(shutil.copytree(whole, "here"))
    text = (run / "study.yaml").read_bytes()
    (run / "study.yaml.part").write_bytes(text[:20])
    (run / "reference.json.part").touch()
    for left in ("gen_001.draft", "gen_1000.draft"):
        shutil.copytree(whole / "gen_001", run / left)
    for mine in ("gen_mine.draft", "gen_001.old.draft", "gen_01.draft"):
        _full_folder(run / mine)
    with progress.watched_by(heard := Ear()):
        study.run(build(study.Study, QUICK), run)
    assert not heard.lines and not (run / "set_aside").exists()
    assert not list(run.glob("*.part")) and {path.name for path in run.glob("*.draft")} == {
        "gen_mine.draft",
        "gen_001.old.draft",
        "gen_01.draft",
    }
    assert (run / "gen_mine.draft/mine").read_text() == "the only copy"


@pytest.mark.parametrize("make", [_text, _full_folder, _points_to_mine])
def test_a_lock_with_something_in_it_is_somebody_elses(make: Callable[[Path], None]) -> None:
    Path("n").mkdir()
    make(Path("n/.lock"))
    before = Path("n/.lock").lstat()
    assert refused(5, "run", *TOY, "--out", "n").startswith("n: this folder holds other files, and nothing is ever overwritten")
    assert os.path.samestat(before, Path("n/.lock").lstat()) and before.st_size == Path("n/.lock").lstat().st_size


def test_a_line_is_never_written_through_a_link_or_into_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for make in (_points_to_mine, _endless, _dangling, os.mkfifo, _full_folder):
        way = tmp_path / make.__name__
        make(way)
        with pytest.raises(FileExistsError) as error:
            files.append_line(way, {"a": 1})
        assert error.value.filename == str(way)
    assert Path("mine").read_text() == "the only copy" and not (tmp_path / "nowhere").exists()
    monkeypatch.setattr(atomic, "is_file", lambda path: True)  # it became a link a moment ago
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        files.append_line(tmp_path / _points_to_mine.__name__, {"a": 1})


@pytest.mark.parametrize("make", [_text, _full_folder, _points_to_mine, _dangling])
def test_what_is_at_the_place_of_a_shared_draft_is_set_aside(make: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "samples.npz").write_text("x")
    shared_store = SharedStore(tmp_path / "shared")
    shared_store.folder.mkdir()
    make(shared_store.folder / "key.draft")
    with progress.watched_by(heard := Ear()):
        shared_store.add("key", tmp_path / "made")
    assert [path.name for path in (tmp_path / "shared/key").iterdir()] == ["samples.npz"]
    assert os.path.lexists(tmp_path / "shared/set_aside/key.draft-1") and len(heard.lines) == 1
    shutil.copytree(tmp_path / "made", shared_store.folder / "other.draft")  # of a process that was killed
    shared_store.add("other", tmp_path / "made")
    assert sorted(path.name for path in shared_store.folder.iterdir()) == ["key", "other", "set_aside"]


# --- locks


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_nobody_waits(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    Path("here").mkdir()
    Path("here/.lock").touch()
    monkeypatch.setattr(fcntl, "flock", failing(number))
    said = f"file locks do not work there ({os.strerror(number)}), and two processes could write the same files; name a folder on another"
    assert said in refused(8, "run", *TOY, "--out", "here")
    assert said in refused(8, *GRID, "--no-nulls")
    assert not locks.is_locked(Path("here/.lock")), "who only looks goes on"


def test_who_looks_needs_no_right_to_write_and_sees_who_has_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert not locks.is_locked(lock) and not lock.exists()
    with locks.locked(lock):
        lock.chmod(0o444)
        assert locks.is_locked(lock)
        with pytest.raises(locks.Timeout), locks.locked(lock, seconds=0):
            raise AssertionError("two at once")
    assert not locks.is_locked(lock)


@pytest.mark.slow
def test_one_ablation_has_one_worker_at_a_time() -> None:
    with plan.alone(Path("grid")):
        code = "from imgcollapse.cli.main import main; main()"
        done = subprocess.run([sys.executable, "-c", code, *GRID, "--no-nulls"], capture_output=True, text=True, timeout=120)
    assert done.returncode == InUseProblem.exit_code and not Path("grid/plan.json").exists()
    assert done.stderr.strip().endswith("grid: another process works on this ablation; wait for its end, or choose another --out")


# --- folders


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user whom the system has no name for, as in a container; returns the folder for temporary files."""

    def unknown(*_: object) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "IMGCOLLAPSE_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_user_without_a_home_has_a_data_folder_among_the_temporary_ones(homeless: Path) -> None:
    result = call("run", *TOY, "--out", "here")
    place = homeless / f"imgcollapse-{os.getuid()}"
    assert result.exit_code == 0 and result.stderr.splitlines()[0].startswith(
        f"this user has no home folder: data and classifiers are kept in {place}"
    )
    assert refused(2, "run", *TOY, "--out", "~/here").startswith("~/here: it cannot be told which folder `~` stands for here; write ")


def test_a_home_is_a_home_wherever_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert call("run", *TOY, env={"IMGCOLLAPSE_OUT": "~/here"}).exit_code == 0
    assert store.finished(tmp_path / "home" / "here") == [0, 1] and not Path("~").exists()
    assert call("status", "~/here").exit_code == 0
    assert refused(2, "status", "~nobody-of-that-name/x").startswith("~nobody-of-that-name/x: it cannot be told which folder `~` ")
    assert refused(2, "run", *TOY, "--out", "") == "--out: is empty; name a file or folder, or leave it out"


def test_what_cannot_be_kept_in_the_data_folder_is_said_once_and_the_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    result = call("run", *FAST, "--out", "here", "--data-dir", tmp_path / "data")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "is not kept" in line]
    assert line.endswith(f"; what is made for the data folder {tmp_path / 'data'} is not kept (--data-dir names another)")
    with devices.use(devices.Machine(data_dir=tmp_path / "data")):
        assert cache.remembered("things", "digits", "key", lambda: ({}, {"a": 1})) == ({}, {"a": 1})


def test_what_is_there_is_read_without_a_lock_or_a_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with devices.use(devices.Machine(data_dir=tmp_path)):
        cache.remembered("things", "digits", "key", lambda: ({}, {"a": 1}))
        monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
        assert cache.remembered("things", "digits", "key", lambda: ({}, {"a": 2})) == ({}, {"a": 1})


def test_a_file_that_was_made_for_something_else_is_not_taken_for_this(tmp_path: Path) -> None:
    with devices.use(devices.Machine(data_dir=tmp_path)), progress.watched_by(heard := Ear()):
        cache.remembered("things", "digits", "one", lambda: ({}, {"a": 1}))
        (one,) = (tmp_path / "things").glob("*.safetensors")
        cache.remembered("things", "digits", "two", lambda: ({}, {"a": 2}))
        (two,) = set((tmp_path / "things").glob("*.safetensors")) - {one}
        shutil.copy(one, two)
        assert cache.remembered("things", "digits", "two", lambda: ({}, {"a": 3})) == ({}, {"a": 3})
    assert heard.lines == [f"{two}: was made for something else; made again"]


# --- processes


def test_a_long_folder_for_temporary_files_is_no_place_for_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the server of processes is used on Linux alone")
    assert _context().get_start_method() == "forkserver"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 110)))
    assert _context().get_start_method() == "spawn"


def test_a_process_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", failing(errno.EAGAIN))
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        run_locally([Path("run")], EngineConfiguration(1, 1, {}), lambda: None)


def test_the_doctor_tries_what_a_run_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "check", failing(errno.EAGAIN))
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    result = call("doctor", "--data-dir", tmp_path / "data")
    said = [line for line in result.stdout.splitlines() if line.startswith("to fix: ")]
    assert result.exit_code == 1 and len(said) == 3
    assert sum("file locks do not work there (No locks available)" in line for line in said) == 2
    assert os.strerror(errno.EAGAIN) in said[2]
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".imgcollapse")] == []


# --- an ablation's records


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made") / "grid"
    assert call(*GRID[:-1], place, "--no-nulls").exit_code == 0
    return place


@pytest.fixture
def made(_made: Path) -> Path:
    """A finished ablation as `grid`, which `ablate *GRID --no-nulls` finds there."""
    return Path(shutil.copytree(_made, "grid", symlinks=True))


@pytest.mark.slow  # several ablations
@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b'{"runs": 3}', b'{"runs": [{}]}'])
def test_a_damaged_plan_is_told_and_made_anew(content: bytes, made: Path) -> None:
    before = json.loads(Path("grid/plan.json").read_text())
    Path("grid/plan.json").write_bytes(content)
    for command in ("status", "report"):
        said = refused(3, command, "grid")
        assert said == "grid/plan.json: has been changed since it was written; run the ablation's own command again, which makes it again"
    assert call(*GRID, "--no-nulls").exit_code == 0 and json.loads(Path("grid/plan.json").read_text()) == before


@pytest.mark.slow
def test_records_of_an_ablation_that_were_damaged_or_changed(made: Path) -> None:
    run = next(Path("grid/runs").glob("*replace*"))
    text = (run / "study.yaml").read_text()
    for name in ("study.yaml", "worker.json"):
        (run / name).write_bytes(b"")
        again = call(*GRID, "--no-nulls")
        assert again.exit_code == 0 and f"{run / name}: is empty; made again (the old one is kept as set_aside/{name}-1)" in again.stderr
    (run / "failed.json").write_bytes(b"{")
    assert "failed.json is damaged, so it cannot be told what failed" in call("status", "grid", "--json").stdout
    assert call(*GRID, "--no-nulls").exit_code == 0 and not (run / "failed.json").exists()
    (run / "study.yaml").write_text(text.replace("seed: 0", "seed: 7"))
    assert "study.yaml: is not the study that plan.json says; put back what was changed" in refused(3, "report", "grid")
    assert "study.yaml: was changed after it was written (seed 7, now 0); change it back" in refused(5, *GRID, "--no-nulls")


@pytest.mark.slow
def test_what_was_damaged_in_a_finished_run_is_mended_by_the_ablation(made: Path) -> None:
    run = next(Path("grid/runs").glob("*replace*"))
    samples, reference = (run / "gen_001" / store.SAMPLES), (run / store.DATA)
    whole = samples.read_bytes(), reference.read_bytes(), Path("grid/ablation.csv").read_bytes()
    for path in (samples, reference):
        content = path.read_bytes()
        path.unlink()  # it is a hard link
        path.write_bytes(content[:-40] + b"!" + content[-39:])
        stands = json.loads(call("status", "grid", "--json").stdout)["account"]["states"]
        assert stands == {"done": 1, "waiting": 1}, path
        assert call(*GRID, "--no-nulls").exit_code == 0
        assert (samples.read_bytes(), reference.read_bytes(), Path("grid/ablation.csv").read_bytes()) == whole, path
    assert json.loads(call("status", "grid", "--json").stdout)["account"]["states"] == {"done": 2}


def test_a_plan_is_read_by_what_it_says_and_not_by_places(made: Path) -> None:
    one, other = sorted(Path("grid/runs").iterdir())
    text = Path("grid/plan.json").read_text()
    Path("grid/plan.json").write_text(
        text.replace("regime replace", "x").replace("regime accumulate", "regime replace").replace('"x"', '"regime accumulate"')
    )
    assert "plan.json: has been changed since it was written" in refused(3, "report", "grid")
    Path("grid/plan.json").write_text(text)
    assert call("status", "grid").exit_code == 0
    one.rename("aside")
    other.rename(one)
    Path("aside").rename(other)
    for command in ("status", "report"):
        assert "study.yaml: is not the study that plan.json says" in refused(3, command, "grid")


@pytest.mark.parametrize("text", ["{}", "question: 3", "arms: {a: {}}", "base: 5", "base: [1]"])
def test_an_ablation_file_of_ours_that_is_none_is_set_aside(text: str, made: Path) -> None:
    Path("grid/ablation.yaml").write_text(text)
    again = call(*GRID, "--no-nulls")
    assert again.exit_code == 0, again.output
    assert "grid/ablation.yaml: is not as imgcollapse wrote it; it is kept as grid/set_aside/ablation.yaml-1" in again.stderr


def test_a_pipe_or_a_device_is_no_file_of_settings() -> None:
    os.mkfifo("pipe")
    said = "it is a device, a pipe or a socket, and only regular files are opened"
    assert said in refused(2, "run", "--config", "pipe") and said in refused(2, "ablate", "pipe")
    assert said in refused(2, "run", "--config", "/dev/zero")
