"""One reader of folders and archives: what is a picture, what is passed over and said, and what is never opened."""

import io
import json
import os
import re
import shutil
import socket
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from standins import Ear
from terminal import call
from test_split import class_folders

from imgcollapse import progress, store
from imgcollapse.datasets import load
from imgcollapse.datasets.archive import Archive
from imgcollapse.datasets.folder import Folder
from imgcollapse.datasets.labels import parted, passed_over
from imgcollapse.datasets.listing import MOST, of_folder
from imgcollapse.datasets.names import SHOWN, SYSTEM_FILES, SYSTEM_FOLDERS, in_words, shortened, shown
from imgcollapse.errors import DataProblem
from imgcollapse.exchange import samples
from imgcollapse.files import open_regular, read_regular
from imgcollapse.images import World

FEW = ["--extractor", "pixels", "--set", "judge.metrics=[frechet_distance,neighbourhood]"]
RUN = ["--model", "bootstrap", "--gens", "2", "--json", *FEW]


def loaded(dataset: Folder | Archive) -> tuple[World, list[str]]:
    """The world, and what was said."""
    ear = Ear()
    with progress.watched_by(ear):
        return load(dataset, 0), ear.lines


def digits(root: Path, each: int = 8, classes: int = 2) -> Path:
    return class_folders(root, dict.fromkeys(range(classes), each))


def pack(root: Path, file: Path, rename: Callable[[str], str] = lambda name: name, index: object = None, **more: Any) -> Path:
    """All files below as an archive, in a poor order."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(root.rglob("*"), reverse=True):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(rename(path.relative_to(root).as_posix())), path.read_bytes(), **more)
        if index is not None:
            archive.writestr(rename("dataset.json"), json.dumps(index))
    return file


def pictures(world: World) -> int:
    return len(world.train) + len(world.held_out)


# --- names


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".jpe", ".jif", ".JPEG", ".dib", ".pbm", ".pnm", ".PNG", ".webp", ".tif", ".apng"])
def test_pictures_by_all_their_suffixes(suffix: str, tmp_path: Path) -> None:
    root = digits(tmp_path / "set")
    for path in (root / "1").iterdir():
        path.rename(path.with_suffix(suffix))
    world, said = loaded(Folder(path=str(root)))
    assert pictures(world) == 16 and said == ["folder-set: 16 pictures in 2 classes, in the order of their names: 0, 1"]
    assert len(samples.read(root)) == 16 and len(samples.read(pack(root, tmp_path / "set.zip"))) == 16


MORE = ["_Thumb", "LOST.DIR", "@SynoResource", "@synologydrive", "@SynoFinder-log", "WPSystem", "CVS", "RCS", "_notes"]


@pytest.mark.parametrize("name", [*sorted(SYSTEM_FOLDERS), "@eaDir", "__MACOSX", "FOUND.000", ".git", ".thumbnails", "$RECYCLE.BIN", *MORE])
def test_folders_of_systems_are_no_classes_and_double_nothing(name: str, tmp_path: Path) -> None:
    root = digits(tmp_path / "set")
    before = loaded(Folder(path=str(root)))[0].record()
    for place in (root / name, root / "0" / name):
        shutil.copytree(root / "1", place / "deep")
    world, said = loaded(Folder(path=str(root)))
    reason = "in hidden folders" if name[0] == "." else f"in {name}"
    assert world.record() == before and world.passed_over == {reason: 16} and said[0].endswith(f"; skipped: 16 {reason}")
    assert len(samples.read(root)) == 16 and samples.read(root).digest() == samples.read(pack(root, tmp_path / "set.zip")).digest()
    zipped, _ = loaded(Archive(path=str(tmp_path / "set.zip")))
    assert zipped.passed_over == world.passed_over and zipped.train.digest() == world.train.digest()


def test_an_empty_folder_of_the_system_is_not_to_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = digits(tmp_path / "set")
    (root / "lost+found").mkdir()
    assert loaded(Folder(path=str(root)))[0].passed_over == {}
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # in place of the folder's mode, which means nothing to root
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    world, _ = loaded(Folder(path=str(root)))
    assert world.classes == ("0", "1") and world.passed_over == {"in lost+found": 1}
    assert len(samples.read(root)) == 16


def test_all_that_is_not_read_is_counted(tmp_path: Path) -> None:
    root = digits(tmp_path / "set")
    for number in range(30):
        shutil.copyfile(root / "0" / "0000.png", root / f"{number}.png")
    for name in (
        *SYSTEM_FILES,
        ".DS_Store",
        "0/._0000.png",
        "0/a.txt",
        "1/b.TXT",
        "README",
        "0/x.png:Zone.Identifier",
        "0/y.heic",
        "1/~$0000.png",
    ):
        (root / name).write_text("no picture")
    world, said = loaded(Folder(path=str(root)))
    expected = {
        "pictures beside the class folders": 30,
        "of the system": len(SYSTEM_FILES) + 1,
        "hidden": 2,
        ".txt": 2,
        "without a suffix": 1,
        ".identifier": 1,
        ".heic": 1,
    }
    assert pictures(world) == 16 and world.passed_over == expected
    assert said[0].startswith(
        "folder-set: 16 pictures in 2 classes, in the order of their names: 0, 1; skipped: 30 pictures beside the class folders, "
    )
    assert in_words({f".{n:02}": 1 for n in range(SHOWN + 5)}).endswith(f".0{SHOWN - 1}, 5 others")
    assert shortened("abcdefghijklm") == "a, b, c, d, e, f, g, h, ..., m"


def test_it_stands_in_the_records_and_decides_nothing(tmp_path: Path) -> None:
    root = digits(tmp_path / "set", 40)
    (root / "a.txt").write_text("x")
    said = call("run", "--dataset", f"folder:{root}", "--out", "run", *RUN)
    assert said.exit_code == 0 and "skipped: 1 .txt" in said.stderr, said.output
    assert json.loads(Path("run/data.json").read_text())["passed_over"] == {".txt": 1}
    (root / ".DS_Store").write_text("the file manager was here")
    assert call("run", "--dataset", f"folder:{root}", "--out", "run", *RUN).exit_code == 0, "the run goes on"
    score = ["score", root, "run", "--against", f"folder:{root}", *FEW, "--out", "s.json"]
    said = call(*score)
    assert said.exit_code == 0 and f"{root}: 80 pictures; skipped: 1 .txt, 1 hidden" in said.stderr, said.output
    record = json.loads(Path("s.json").read_text())
    assert record["passed_over"] == {"folder-set": {".txt": 1, "hidden": 1}, "set": {".txt": 1, "hidden": 1}}
    (root / "a.txt").rename("a.txt")
    assert call(*score).exit_code == 0, "the same scoring"
    assert json.loads(Path("s.json").read_text())["passed_over"]["set"] == {"hidden": 1}


def test_what_is_no_text_in_a_name_is_escaped(tmp_path: Path) -> None:
    root = digits(tmp_path / "set", 4, 1)
    for name in (b"caf\xe9", b"new\nline", "é\u2028".encode()):
        shutil.copytree(root / "0", os.fsdecode(os.fsencode(root) + b"/" + name))
    world, said = loaded(Folder(path=str(root), held_out_share=0.5))
    assert world.classes == ("0", "caf\\udce9", "new\nline", "é\u2028") and "\n".join(said).splitlines() == said
    assert said[0].endswith(r": 0, caf\udce9, new\nline, é\u2028")
    json.dumps(world.record(), ensure_ascii=False).encode()
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")) / "bad.png").write_text("no picture")
    with pytest.raises(DataProblem) as caught:
        load(Folder(path=str(root)), 0)
    assert str(caught.value).encode().startswith(f"{root}/caf\\udce9/bad.png: ".encode())
    assert shown("a b_ü漢🙂") == "a b_ü漢🙂"


def test_class_folders_that_differ_in_their_spelling_alone_are_the_same(tmp_path: Path) -> None:
    for part, form in (("train", "NFC"), ("test", "NFD")):
        root = digits(tmp_path / "set" / part)
        (root / "1").rename(root / unicodedata.normalize(form, "été"))  # type: ignore[arg-type]
    world, _ = loaded(Folder(path=str(tmp_path / "set")))
    assert world.classes == ("0", unicodedata.normalize("NFC", "été")) and len(world.held_out) == 16


# --- links, devices


def test_links_are_read_where_they_lead_to_regular_files(tmp_path: Path) -> None:
    root, elsewhere = digits(tmp_path / "set"), digits(tmp_path / "elsewhere")
    (root / "2").symlink_to(elsewhere / "1", target_is_directory=True)
    (root / "0" / "one.png").symlink_to(elsewhere / "0" / "0001.png")
    (root / "0" / "deep").mkdir()
    (root / "0" / "deep" / "folder").symlink_to(elsewhere, target_is_directory=True)
    (root / "0" / ".hidden").symlink_to(elsewhere, target_is_directory=True)
    world, _ = loaded(Folder(path=str(root)))
    assert world.classes == ("0", "1", "2") and pictures(world) == 25
    assert world.passed_over == {"links to folders": 1, "in hidden folders": 1}
    assert len(samples.read(root)) == 25
    (root / "0" / "gone.png").symlink_to(tmp_path / "gone.png")
    for read in (lambda: load(Folder(path=str(root)), 0), lambda: samples.read(root)):
        with pytest.raises(DataProblem, match=rf"^{root}/0/gone.png: No such file"):
            read()
    (root / "0" / "gone.png").unlink()
    (root / "3").symlink_to(tmp_path, target_is_directory=True)
    for read in (lambda: load(Folder(path=str(root)), 0), lambda: samples.read(root)):
        with pytest.raises(DataProblem, match=rf"^{root}/3: is a link back to where it lies; move the link elsewhere$"):
            read()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def plug(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.parametrize("make", [device, pipe, plug])
def test_only_regular_files_are_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    root = digits(tmp_path / "set", 40)
    (root / "0").joinpath("plain").mkdir()
    make(root / "0" / "plain" / "x")
    assert loaded(Folder(path=str(root)))[0].passed_over == {"without a suffix": 1}
    make(root / "1" / "x.png")
    for arguments in (["run", "--dataset", f"folder:{root}", *RUN], ["score", root, "--against", "digits", *FEW]):
        said = call(*arguments)
        last = said.stderr.splitlines()[-1]
        assert said.exit_code == 3 and last.startswith(f"imgcollapse: {root}/1/x.png: it is a device, a pipe or a socket, and only "), last
    for name in ("x.zip", "x.npz"):
        make(tmp_path / name)
        said = call("score", tmp_path / name, "--against", "digits", *FEW)
        assert said.exit_code == 3 and said.stderr.startswith(f"imgcollapse: {tmp_path / name}: it is a device, a pipe or"), said.stderr
    assert "it is a device, a pipe or a socket" in call("run", "--dataset", f"zip:{tmp_path / 'x.zip'}", *RUN).stderr
    with pytest.raises(ValueError, match="only regular files"):
        open_regular(tmp_path / "x.zip")


def test_a_file_is_never_longer_than_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(ValueError, match=r"^it has 5 bytes, and at most 4 are read$"):
        read_regular(tmp_path / "a", 4)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 4)
    root = digits(tmp_path / "set")
    with (root / "0" / "huge.png").open("wb") as file:
        file.truncate(MOST + 1)  # a hole: it takes no room
    with pytest.raises(DataProblem, match=rf"^{root}/0/huge.png: it has 268,435,457 bytes, and at most 268,435,456 are read; "):
        load(Folder(path=str(root)), 0)


# --- archives


def test_folder_and_archive_are_the_same_world(tmp_path: Path) -> None:
    root = digits(tmp_path / "set", 12, 3)
    world, said = loaded(Folder(path=str(root)))
    windows = lambda name: name.replace("/", "\\")  # noqa: E731
    wrapped = lambda name: f"my pictures/{name}"  # noqa: E731
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    index = {"labels": [[name, int(name[0])] for name in names]}
    backwards = {"labels": [[name.replace("/", "\\"), int(name[0])] for name in reversed(names)]}
    for number, (rename, listed) in enumerate(
        [
            (str, None),
            (windows, None),
            (wrapped, None),
            (lambda name: windows(wrapped(name)), None),
            (lambda name: f"./{name}", None),
            (str, index),
            (windows, index),
            (windows, backwards),
            (wrapped, index),
            (wrapped, backwards),
        ]
    ):
        file = pack(root, tmp_path / f"{number}.zip", rename, listed)
        zipped, _ = loaded(Archive(path=str(file)))
        assert zipped.record() == {**world.record(), "name": f"zip-{number}"}, number
        assert zipped.passed_over == {} and len(samples.read(file)) == 36
    assert said == ["folder-set: 36 pictures in 3 classes, in the order of their names: 0, 1, 2"]


@pytest.mark.parametrize("wrap", ["my pictures", "a/b/c", "train", "train/deep", "test"])
@pytest.mark.parametrize("kind", ["classes", "numbers", "split", "beside", "of the system", "one class", "one class, deep"])
def test_a_tree_has_the_same_classes_as_a_folder_and_as_an_archive(kind: str, wrap: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    place = root / wrap
    if kind == "split":
        digits(place / "train", 12)
        shutil.copytree(digits(tmp_path / "more", 20), place / "test")
    else:
        digits(place / "cats" if kind == "one class, deep" else place, 12, 1 if kind == "one class" else 3)
    if kind == "numbers":
        names = [path.relative_to(place).as_posix() for path in sorted(place.rglob("*.png"))]
        labels = [[name, int(name[0] == "2")] for name in names]
        (place / "dataset.json").write_text(json.dumps({"labels": labels}))
    if kind == "beside":
        shutil.copyfile(place / "0" / "0000.png", root / "0000.png")
    if kind == "of the system":
        shutil.copytree(place / "0", root / "@eaDir")
    archive = pack(root, tmp_path / "set.zip")
    (world, said), (zipped, told) = loaded(Folder(path=str(root))), loaded(Archive(path=str(archive)))
    if kind == "split":  # of parts that are given, the order differs: it is drawn by the kind of the data set
        assert (len(world.train), len(world.held_out)) == (len(zipped.train), len(zipped.held_out)) == (24, 40)
        assert zipped.classes == world.classes
    else:
        assert zipped.record() == {**world.record(), "name": "zip-set"}
    assert zipped.passed_over == world.passed_over and [line.replace("zip-set", "folder-set") for line in told] == said
    if kind == "split" or (kind == "numbers" and "/" not in wrap):
        assert world.classes == ("0", "1")
    elif kind == "beside" and not wrap.startswith("train"):
        assert world.classes == (wrap.split("/")[0],)
    else:
        assert world.classes == (("0",) if kind == "one class" else ("0", "1", "2"))


def test_archives_that_have_been_split_and_several_of_class_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        digits(tmp_path / "set" / part, 6)
    split, said = loaded(Archive(path=str(pack(tmp_path / "set", tmp_path / "all.zip"))))
    assert (len(split.train), len(split.held_out)) == (12, 12) and split.split == {}
    assert said[0] == "zip-all: 12 pictures to learn from and 12 held out in 2 classes, in the order of their names: 0, 1"
    assert len(said) == 2 and said[1].startswith("zip-all: 12 of 12 held-out pictures (100 %) are in the training part too")
    parts = [pack(tmp_path / "set" / part, tmp_path / f"{part}.zip") for part in ("train", "test")]
    named, _ = loaded(Archive(path=str(parts[0]), held_out=str(parts[1])))
    assert named.record() == {**split.record(), "name": "zip-train"}
    pack(
        digits(tmp_path / "more" / "train", 6),
        tmp_path / "mixed.zip",
        index={"labels": [[f"{c}/{n:04}.png", c] for c in (0, 1) for n in range(6)]},
    )
    with pytest.raises(DataProblem, match=r"mixed.zip: has class numbers in dataset.json, .*train.zip class folders; give all parts their"):
        load(Archive(path=str(parts[0]), held_out=str(tmp_path / "mixed.zip")), 0)
    (tmp_path / "set" / "test" / "1").rename(tmp_path / "set" / "test" / "7")
    other = pack(tmp_path / "set" / "test", tmp_path / "other.zip")
    with pytest.raises(DataProblem, match=rf"^{other}: has other classes than {parts[0]} \('1'\); give both the same folders$"):
        load(Archive(path=str(parts[0]), held_out=str(other)), 0)


@pytest.mark.parametrize("second", ["test", "val", "valid", "Validation", "TEST"])
def test_parts_by_all_their_names(second: str, tmp_path: Path) -> None:
    for part in ("Train", second):
        digits(tmp_path / "set" / part, 6)
    (tmp_path / "set" / "@eaDir").mkdir()
    shutil.copyfile(tmp_path / "set" / "Train" / "0" / "0000.png", tmp_path / "set" / "beside.png")
    world, _ = loaded(Folder(path=str(tmp_path / "set")))
    assert (len(world.train), len(world.held_out)) == (12, 12) and world.passed_over == {"pictures beside the class folders": 1}


UNLABELLED = {"model": "vae", "steps": 1}


@pytest.mark.parametrize("to", ["zip", "folder", "imagefolder"])
def test_our_own_export_of_an_unlabelled_set_is_a_world_of_one_class(to: str, tmp_path: Path) -> None:
    made = [
        "--model",
        "vae",
        "--gens",
        "1",
        "--set",
        "model.steps=1",
        "--set",
        "model.width=8",
        "--set",
        "judge.extractors=[]",
        "--samples",
        "60",
    ]
    assert call("run", *made, "--out", "run").exit_code == 0
    place = "out.zip" if to == "zip" else "out"
    assert call("export", "run", "--to", to, "--out", place).exit_code == 0
    kind = "zip" if to == "zip" else "folder"
    said = call("run", "--dataset", f"{kind}:{place}", "--model", "bootstrap", "--gens", "2", "--out", "again", "--json")
    wanted = f"{kind}-out: 60 pictures without classes, so that what is measured by class is left out"
    assert said.exit_code == 0 and wanted in said.stderr.splitlines()[1:3], said.output
    reference = store.reference(Path("again"))
    assert reference is not None and reference["data"]["classes"] == ["0"] and list(reference["judge"]["extractors"]) == ["random", "pca"]
    assert reference["data"]["held_out"]["pictures"] == 15
    assert call("score", place, "--against", f"{kind}:{place}", "--json").exit_code == 0


def test_folders_as_dataset_tool_fills_them_are_no_classes(tmp_path: Path) -> None:
    root = digits(tmp_path / "plain", 12)
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        place = tmp_path / "tool" / f"{number // 10:05}" / f"img{number:08}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for dataset in (Folder(path=str(tmp_path / "tool")), Archive(path=str(pack(tmp_path / "tool", tmp_path / "tool.zip")))):
        assert loaded(dataset)[0].classes == ("0",) and loaded(dataset)[0].passed_over == {}
    labels = [[f"{n // 10:05}/img{n:08}.png", n // 12] for n in range(24)]
    (tmp_path / "tool" / "dataset.json").write_text(json.dumps({"labels": labels}))
    world, said = loaded(Folder(path=str(tmp_path / "tool")))
    assert world.classes == ("0", "1") and said == ["folder-tool: 24 pictures in 2 classes, in the order of their numbers: 0, 1"]
    assert world.train.digest() == loaded(Folder(path=str(root)))[0].train.digest()
    (root / "dataset.json").write_text('{"name": "of another program"}')
    assert loaded(Folder(path=str(root)))[0].passed_over == {".json": 1}


def patched(file: Path, at: int, value: bytes) -> Path:
    """The archive with a field of its first entry in the directory at the end changed."""
    data = bytearray(file.read_bytes())
    place = data.index(b"PK\x01\x02") + at
    data[place : place + len(value)] = value
    file.write_bytes(data)
    return file


def linked(file: Path) -> Path:
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("0/link.png")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "../1/0000.png")
    return file


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda file: patched(file, 8, struct.pack("<H", 1)), "it is encrypted: make the archive again without a password"),
        (lambda file: patched(file, 10, struct.pack("<H", 93)), "it is packed by method 93, which is not read: make the archive again"),
        (lambda file: patched(file, 10, struct.pack("<H", 12)), "it is packed by method 12, which is not read"),
        (lambda file: patched(file, 24, struct.pack("<I", 2**31)), "its header says 2,147,483,648 bytes, which cannot come out of"),
        (linked, "it is a link, and not the file itself"),
    ],
)
def test_members_that_are_not_read(spoil: Callable[[Path], Path], text: str, tmp_path: Path) -> None:
    file = spoil(pack(digits(tmp_path / "set", 40), tmp_path / "a.zip"))
    for arguments in (["run", "--dataset", f"zip:{file}", *RUN], ["score", file, "--against", "digits", *FEW]):
        said = call(*arguments)
        line = said.stderr.splitlines()[-1]
        assert said.exit_code == 3 and re.match(rf"imgcollapse: {file}: \d/\w+.png: {re.escape(text)}", line), line


def test_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0/a.png", bytes(2**20))
    said = call("score", patched(file, 24, struct.pack("<I", 100)), "--against", "digits", *FEW)  # it says 100 bytes and holds a million
    assert said.exit_code == 3 and f"{file}: 0/a.png: Bad CRC-32" in said.stderr, said.stderr


def test_a_name_that_is_there_twice_is_counted(tmp_path: Path) -> None:
    file = pack(digits(tmp_path / "set"), tmp_path / "a.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("0\\0000.png", (tmp_path / "set" / "1" / "0000.png").read_bytes())
    world, _ = loaded(Archive(path=str(file)))
    assert pictures(world) == 16 and world.passed_over == {"replaced by a later one of the same name": 1}
    first = np.asarray(Image.open(tmp_path / "set" / "0" / "0000.png"))
    assert not (samples.read(file).pixels.numpy() == first).all((1, 2, 3)).any(), "the later one is read"


# --- arrays


def header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (header("(1000000000000, 8, 8, 3)") + bytes(100), "its header says uint8 [1000000000000, 8, 8, 3], and 100 bytes of values follow"),
        (header("(-1, 8, 8, 3)") + bytes(100), "its header says uint8 [-1, 8, 8, 3]"),
        (header("(1000000000000,)", "|S0"), "its header says |S0 [1000000000000]"),
        (header("(1, 8, 8, 3)") + bytes(100), "its header says uint8 [1, 8, 8, 3], and 100 bytes"),
        (b"no array", "the magic string is not correct"),
    ],
)
def test_headers_of_arrays_are_no_orders(content: bytes, text: str) -> None:
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("arr_0.npy", content)
    said = call("score", "x.npz", "--against", "digits", *FEW)
    assert said.exit_code == 3 and said.stderr.startswith("imgcollapse: x.npz: ") and text in said.stderr, said.stderr
    assert said.stderr.count("\n") == 1


def test_the_listing_of_two_parts_in_one_place_counts_once(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (digits(tmp_path / part, 4) / "a.txt").write_text("x")
    train, held_out = parted(of_folder(tmp_path))
    assert held_out is not None and passed_over([train, held_out]) == {".txt": 2}


def test_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    root = digits(tmp_path / "set")
    data = io.BytesIO()
    Image.open(root / "0" / "0000.png").save(data, "bmp")
    (root / "0" / "0000.png").write_bytes(data.getvalue())
    assert pictures(loaded(Folder(path=str(root)))[0]) == 16


def test_a_training_part_alone_is_split_here(tmp_path: Path) -> None:
    digits(tmp_path / "set" / "train", 8)
    world, said = loaded(Folder(path=str(tmp_path / "set")))
    assert world.classes == ("0", "1") and len(world.held_out) == 4 and "in 2 classes" in said[0]
    digits(tmp_path / "one" / "train", 8, 0).mkdir(parents=True)
    shutil.copytree(tmp_path / "set" / "train" / "0", tmp_path / "one" / "train", dirs_exist_ok=True)
    world, said = loaded(Folder(path=str(tmp_path / "one")))
    assert world.classes == ("train",) and said == ["folder-one: 8 pictures in 1 class, in the order of their names: train"]


@pytest.mark.parametrize("path", [".", "..", "../", "./..", "../../set", "../../set/1/..", "0/.."])
def test_a_world_is_named_by_the_real_folder(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = digits(tmp_path / "set")
    monkeypatch.chdir(root if path in (".", "0/..") else root / "0")
    assert loaded(Folder(path=path))[0].name == "folder-set"


@pytest.mark.parametrize("content", ["[1]", "5", "{", '{"images": []}', "[" * 100_000, ""])
def test_another_programs_dataset_json_beside_class_folders(content: str, tmp_path: Path) -> None:
    root = digits(tmp_path / "set")
    (root / "dataset.json").write_text(content)
    world, _ = loaded(Folder(path=str(root)))
    assert world.classes == ("0", "1") and world.passed_over == {".json": 1}
