"""The writers: a file or a folder is at its place whole and on the disk, or what was there before is."""

import errno
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from imgcollapse import files
from imgcollapse.errors import OtherStudyProblem


def put_on_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of all that is put on the disk from now on."""
    found, fsync = list[int](), os.fsync

    def noted(descriptor: int) -> None:
        found.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_a_library_writes_to_a_path_and_nobody_sees_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, synced = tmp_path / "a.npy", put_on_disk(monkeypatch)
    place.write_text("old")
    with files.written(place) as part:
        assert part.parent == tmp_path and files.is_part(part)
        with part.open("wb") as file:
            np.save(file, np.arange(3))
        assert place.read_text() == "old"
        files.sweep(tmp_path)
        assert part.exists(), "its writer is alive"
    assert np.load(place).tolist() == [0, 1, 2] and os.listdir(tmp_path) == ["a.npy"]
    assert synced == [place.stat().st_ino]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), files.written(tmp_path / "a") as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_an_error_names_the_place_and_not_the_part_but_another_file_keeps_its_name(tmp_path: Path) -> None:
    for theirs, told in ((None, tmp_path / "a"), (tmp_path / "b", tmp_path / "b")):
        with pytest.raises(OSError) as error, files.written(tmp_path / "a") as part:
            raise OSError(errno.ENOSPC, "no room", str(theirs or part))
        assert error.value.filename == str(told) and os.listdir(tmp_path) == []
    with pytest.raises(OSError) as missing, files.written(tmp_path / "none" / "a"):
        pytest.fail("there is no folder to write into")
    assert missing.value.filename == str(tmp_path / "none" / "a")


def test_a_folder_takes_its_place_as_a_whole_and_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, synced = tmp_path / "gen_000", put_on_disk(monkeypatch)
    with files.folder_in_place(place) as draft:
        assert draft == files.draft_beside(place) == tmp_path / "gen_000.draft"
        (draft / "model").mkdir()
        for name in ("a", "model/b"):
            (draft / name).write_text(name)
        assert not place.exists()
    assert os.listdir(tmp_path) == ["gen_000"] and (place / "model" / "b").read_text() == "model/b"
    wanted = [tmp_path, place, *place.rglob("*")]
    assert {path.stat().st_ino for path in wanted} <= set(synced) and synced[-1] == tmp_path.stat().st_ino


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no room")], ids=["stopped", "full"])
def test_a_folder_that_fails_is_gone(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, files.folder_in_place(tmp_path / "a") as draft:
        (draft / "half").write_text("half")
        raise error
    assert os.listdir(tmp_path) == []
    assert getattr(caught.value, "filename", str(draft)) == str(draft)


def test_what_is_at_the_place_of_a_draft_or_of_the_folder_stays(tmp_path: Path) -> None:
    theirs = files.draft_beside(tmp_path / "a")
    theirs.mkdir()
    (theirs / "mine").write_text("the only copy")
    with pytest.raises(FileExistsError), files.folder_in_place(tmp_path / "a"):
        pytest.fail("somebody else's folder is there")
    assert (theirs / "mine").read_text() == "the only copy"
    shutil.move(theirs, tmp_path / "a")
    with pytest.raises(OSError), files.folder_in_place(tmp_path / "a") as draft:
        (draft / "new").write_text("new")
    assert os.listdir(tmp_path) == ["a"] and os.listdir(tmp_path / "a") == ["mine"]


def test_of_two_that_write_one_file_the_last_stays(tmp_path: Path) -> None:
    begun, done = threading.Event(), threading.Event()

    def slow() -> None:
        with files.written(tmp_path / "a") as part:
            part.write_text("slow")
            begun.set()
            done.wait(10)

    other = threading.Thread(target=slow)
    other.start()
    begun.wait(10)
    files.write_text(tmp_path / "a", "quick")
    assert (tmp_path / "a").read_text() == "quick"
    done.set()
    other.join()
    assert (tmp_path / "a").read_text() == "slow" and os.listdir(tmp_path) == ["a"]


def test_another_record_is_refused_with_its_first_difference() -> None:
    files.same_or_refuse(Path("a"), {"n": 1}, {"n": 1}, "holds another")
    with pytest.raises(OtherStudyProblem) as refused:
        files.same_or_refuse(Path("a"), {"base": {"n": 1, "m": 2}}, {"base": {"n": 1, "m": 3}}, "holds another study")
    assert str(refused.value) == "a: holds another study (base.m 2, now 3); choose another --out"
    with pytest.raises(OtherStudyProblem, match=r"^a: was changed \(n 1, now 2\); change it back$"):
        files.same_or_refuse(Path("a"), {"n": 1}, {"n": 2}, "was changed", "change it back")
