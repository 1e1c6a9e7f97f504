"""The shared store: entries are made once, linked, mended when damaged, and waited for."""

import os
import threading
import time
from pathlib import Path

import pytest

from imgcollapse import progress
from imgcollapse.files import digest
from imgcollapse.store import shared
from imgcollapse.store.manifest import damage, write_manifest
from imgcollapse.store.shared import SharedStore


def finished(place: Path, text: str = "pictures") -> Path:
    (place / "model").mkdir(parents=True)
    (place / "samples").write_text(text)
    (place / "model" / "weights").write_text("w")
    write_manifest(place)
    return place


def test_an_address_is_that_of_the_content() -> None:
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1}) != digest({"a": 1, "b": [1.5, 0]})


def test_what_is_put_is_lent_whole_and_takes_no_second_place_on_the_disk(tmp_path: Path) -> None:
    place = finished(tmp_path / "run" / "gen_000")
    one = SharedStore(tmp_path / "shared")
    with one.lock("key", "generation 0"):
        assert not one.link("key", tmp_path / "other")
        one.add("key", place)
    (tmp_path / "b").mkdir()
    assert one.link("key", tmp_path / "b" / "gen_000") and damage(tmp_path / "b" / "gen_000") is None
    assert (tmp_path / "b" / "gen_000" / "model" / "weights").stat().st_ino == (place / "model" / "weights").stat().st_ino


def test_where_there_are_no_hard_links_there_are_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    one = SharedStore(tmp_path / "shared")
    with one.lock("key", "generation 0"):
        one.add("key", finished(tmp_path / "gen_000"))
    assert one.link("key", tmp_path / "copy") and damage(tmp_path / "copy") is None
    assert (tmp_path / "copy" / "samples").stat().st_ino != (tmp_path / "gen_000" / "samples").stat().st_ino


def test_a_generation_links_what_its_model_has_in_common_with_the_fitted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = SharedStore(tmp_path / "shared")

    def save(folder: Path, state: str = "drawn warm", weights: str = "w") -> None:
        (folder / "net").mkdir(parents=True)
        (folder / "net" / "weights").write_text(weights)
        (folder / "about").write_text(state)

    def links(folder: Path) -> list[bool]:
        fitted = tmp_path / "shared" / "weights-key" / "model"
        return [(folder / name).stat().st_ino == (fitted / name).stat().st_ino for name in ("about", "net/weights")]

    with one.lock("weights-key", "its weights"):
        one.add_model("weights-key", save)
    alike: list[tuple[dict[str, str], list[bool]]] = [
        ({}, [True, True]),
        ({"state": "drawn cold"}, [False, True]),
        ({"weights": "v"}, [True, False]),
        ({"weights": "corrected"}, [True, False]),
    ]
    for number, (given, expected) in enumerate(alike):
        folder = tmp_path / f"{number}"
        save(folder, **given)
        before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        one.link_model("weights-key", folder)
        assert links(folder) == expected
        assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    one.link_model("weights-none", tmp_path / "0")  # it was set aside meanwhile
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    save(tmp_path / "elsewhere")
    one.link_model("weights-key", tmp_path / "elsewhere")
    assert links(tmp_path / "elsewhere") == [False, False] and len(list((tmp_path / "elsewhere").rglob("*"))) == 3


def test_a_damaged_entry_is_not_lent(tmp_path: Path) -> None:
    one = SharedStore(tmp_path / "shared")
    with one.lock("key", "generation 0"):
        one.add("key", finished(tmp_path / "gen_000"))
    (tmp_path / "shared" / "key" / "samples").write_text("Pictures")
    assert not one.link("key", tmp_path / "copy") and not (tmp_path / "copy").exists()
    (tmp_path / "gen_000" / "samples").write_text("pictures")
    one.add("key", tmp_path / "gen_000")
    assert one.link("key", tmp_path / "copy")


def test_a_broken_copy_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = SharedStore(tmp_path / "shared")
    with one.lock("key", "generation 0"):
        one.add("key", finished(tmp_path / "gen_000"))

    def full(source: str, place: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared, "_link_file", full)
    with pytest.raises(Exception, match="No space"):
        one.link("key", tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    class Heard(progress.Silent):
        def say(self, line: str) -> None:
            order.append(line)

    def second() -> None:
        with progress.watched_by(Heard()), SharedStore(tmp_path).lock("key", "generation 3"):
            order.append("second")

    with SharedStore(tmp_path).lock("key", "generation 3"), SharedStore(tmp_path).lock("another", "generation 4"):
        other = threading.Thread(target=second)
        other.start()
        while not order:
            time.sleep(0.01)
        order.append("first")
    other.join()
    assert order == ["generation 3: another run is making the same one; waiting for it", "first", "second"]
