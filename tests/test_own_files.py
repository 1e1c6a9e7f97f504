"""Only files of its own are ever replaced: whatever lies where the program writes, nothing of it is lost."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import yaml
from PIL import Image
from standins import Ear
from terminal import call

from imgcollapse import grids, progress, reports, store, track
from imgcollapse.ablation import grid, worker
from imgcollapse.ablation.engines import ENGINES, Engine
from imgcollapse.errors import OtherStudyProblem
from imgcollapse.exchange.card import write as write_card
from imgcollapse.extractors import weights
from imgcollapse.files import ASIDE, ledger, places
from imgcollapse.files.ledger import LEDGER, clear, put
from imgcollapse.files.places import HERE, RECORD, made_once, placed
from imgcollapse.machine import devices
from imgcollapse.reports.style import figure, png

TOY = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=200", "--gens", "2"]
MINE = b"the only copy"


def tree(folder: Path) -> dict[str, bytes | str]:
    """All that is there: files with their bytes, links with where they point, folders."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name] = f"-> {os.readlink(path)}" if path.is_symlink() else "folder" if path.is_dir() else path.read_bytes()
    return found


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that nobody judged: its page is quickly made."""
    folder = tmp_path_factory.mktemp("made") / "run"
    assert call("run", *TOY, "--set", "judge.extractors=[]", "--out", folder).exit_code == 0
    return folder


@pytest.fixture
def run(_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_run, tmp_path / "theirs" / "run"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the user's, with files that are named as ours are."""
    folder = tmp_path / "paper"
    (folder / "figures").mkdir(parents=True)
    for name in ("figures/recall.pdf", "report.md", "collapse.gif", "collapse.webp", "report.html", "curves.png", "both.txt"):
        (folder / name).write_bytes(MINE)
    monkeypatch.chdir(folder)
    return folder


# --- the ledger


def test_what_was_written_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    with progress.watched_by(ear := Ear()):
        assert put(tmp_path / "new", {"a.png": b"1", "figures/b.png": b"1"}) == [tmp_path / "new/a.png", tmp_path / "new/figures/b.png"]
        put(tmp_path / "new", {"a.png": b"2", "figures/b.png": b"2"})
        put(tmp_path / "new", {"a.png": b"1"})  # also where an earlier state has come back
    assert tree(tmp_path / "new").keys() == {LEDGER, "a.png", "figures", "figures/b.png"} and not ear.lines
    (tmp_path / "new/a.png").write_bytes(MINE)
    with progress.watched_by(ear):
        put(tmp_path / "new", {"a.png": b"3"})
        (tmp_path / "new/a.png").write_bytes(b"more of mine")
        put(tmp_path / "new", {"a.png": b"3"})
    assert (tmp_path / "new/a.png").read_bytes() == b"3"
    assert [(tmp_path / "new" / ASIDE / f"a.png-{n}").read_bytes() for n in (1, 2)] == [MINE, b"more of mine"]
    place = tmp_path / "new/a.png"
    assert ear.lines == [f"{place}: is not as imgcollapse wrote it; it is kept as {tmp_path}/new/{ASIDE}/a.png-{n}" for n in (1, 2)]


def _file(place: Path) -> None:
    place.write_bytes(MINE)


def _read_only(place: Path) -> None:
    put(place.parent, {place.name: MINE})
    place.chmod(0o444)


def _link(place: Path) -> None:
    (place.parent / "target").write_bytes(MINE)
    place.symlink_to("target")


def _link_to_ours(place: Path) -> None:
    put(place.parent / "other", {"x": MINE})
    put(place.parent, {place.name: MINE})
    place.unlink()
    place.symlink_to("other/x")


def _dangling(place: Path) -> None:
    place.symlink_to("not there yet")


def _folder(place: Path) -> None:
    place.mkdir()
    (place / "mine").write_bytes(MINE)


@pytest.mark.parametrize("make", [_file, _read_only, _link, _link_to_ours, _dangling, _folder])
def test_whatever_is_in_the_way_is_kept(make: Callable[[Path], None], tmp_path: Path) -> None:
    place = tmp_path / "x.png"
    make(place)
    before = {name: what for name, what in tree(tmp_path).items() if name != LEDGER}
    put(tmp_path, {"x.png": b"ours"})
    after = {name.replace(f"{ASIDE}/x.png-1", "x.png"): what for name, what in tree(tmp_path).items()}
    assert before.items() <= (after | {"x.png": before["x.png"]}).items() and place.read_bytes() == b"ours" and not place.is_symlink()
    assert tree(tmp_path)[f"{ASIDE}/x.png-1"] == before["x.png"]


@pytest.mark.parametrize("as_link", [True, False])
def test_a_folder_of_ours_is_not_reached_through_what_is_none(as_link: bool, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/recall.pdf").write_bytes(MINE)
    (tmp_path / "out").mkdir()
    if as_link:
        (tmp_path / "out/figures").symlink_to(tmp_path / "mine")
    else:
        (tmp_path / "out/figures").write_bytes(MINE)
    put(tmp_path / "out", {"figures/recall.pdf": b"ours", "figures/fd.pdf": b"ours"})
    assert tree(tmp_path / "mine") == {"recall.pdf": MINE} and (tmp_path / "out/figures/recall.pdf").read_bytes() == b"ours"
    assert tree(tmp_path / "out")[f"{ASIDE}/figures-1"] == (f"-> {tmp_path / 'mine'}" if as_link else MINE)


def test_a_hard_link_into_another_folder_keeps_its_bytes(tmp_path: Path) -> None:
    put(tmp_path / "a", {"x.png": b"1"})
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=os.link)
    put(tmp_path / "a", {"x.png": b"2"})
    assert (tmp_path / "b/x.png").read_bytes() == b"1"


@pytest.mark.parametrize("hurt", [lambda path: path.write_bytes(b"\xff{]\n{}\n[]\n"), lambda path: path.unlink(), _dangling, _folder])
def test_without_its_ledger_a_file_counts_as_somebody_elses(hurt: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path, {"x": b"1"})
    (tmp_path / LEDGER).rename(tmp_path / "aside")
    shutil.copy(tmp_path / "aside", tmp_path / LEDGER) if hurt.__name__ == "<lambda>" else None
    hurt(tmp_path / LEDGER)
    put(tmp_path, {"x": b"2"})
    assert (tmp_path / "x").read_bytes() == b"2" and (tmp_path / ASIDE / "x-1").read_bytes() == b"1"
    put(tmp_path, {"x": b"3"})
    assert not (tmp_path / ASIDE / "x-2").exists(), "and is known from then on"


@pytest.mark.parametrize("written", [False, True])
def test_a_write_that_is_cut_off_leaves_the_old_file_or_the_new_and_goes_on(
    written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {"x": b"1"})
    write = ledger.write_bytes

    def killed(path: Path, data: bytes) -> None:
        if written:
            write(path, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            put(tmp_path, {"x": b"2"})
    assert (tmp_path / "x").read_bytes() == (b"2" if written else b"1")
    put(tmp_path, {"x": b"3"})
    assert tree(tmp_path).keys() == {LEDGER, "x"} and (tmp_path / "x").read_bytes() == b"3"


def test_what_is_set_aside_at_the_same_time_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    replace = os.replace

    def other_first(*given: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        clear(tmp_path / "b/x", tmp_path)
        replace(*given)

    monkeypatch.setattr(os, "replace", other_first)
    assert clear(tmp_path / "a/x", tmp_path).read_text() == "a"
    assert {path.read_text() for path in (tmp_path / ASIDE).iterdir()} == {"a", "b"}


@pytest.mark.parametrize("make", [_file, _link, _dangling])
def test_where_the_shared_store_should_be_is_something_else(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / ASIDE)
    (tmp_path / "x").write_bytes(MINE)
    before = tree(tmp_path)
    put(tmp_path, {"x": b"1"})
    assert tree(tmp_path)[f"{ASIDE}_/x-1"] == MINE and tree(tmp_path)[ASIDE] == before[ASIDE]


def test_pictures_have_the_bytes_that_a_file_would_have(tmp_path: Path) -> None:
    page, again = (figure(1, 1, (2, 2))[0] for _ in range(2))
    page.savefig(tmp_path / "a.png")
    sheet = Image.new("RGB", (40, 30), "red")
    sheet.save(tmp_path / "b.png")
    assert png(again) == (tmp_path / "a.png").read_bytes() and grids.png(sheet) == (tmp_path / "b.png").read_bytes()


# --- a page where the user says


def test_beside_a_name_of_the_users_only_the_page_and_its_folder_are_written(run: Path, here: Path) -> None:
    before, ours = tree(here), tree(run)
    for _ in range(2):
        result = call("report", run, "-o", "both.html")
        assert result.exit_code == 0 and result.stderr == "", result.output
        after = tree(here)
        assert before.items() <= after.items() and {name.partition("/")[0] for name in after.keys() - before.keys()} == {
            "both.html",
            "both_files",
        }
    assert visible(here / "both_files") == [LEDGER, "collapse.gif", "collapse.webp", "report.md"] and tree(run) == ours
    assert "both_files/collapse.gif, both_files/collapse.webp, both_files/report.md" in result.stdout
    assert "](collapse.gif)" in (here / "both_files/report.md").read_text()


def _page(here: Path, run: Path) -> None:
    call("report", run, "-o", "other.html")
    shutil.move("other.html", "both.html")


def _page_read_only(here: Path, run: Path) -> None:
    _page(here, run)
    (here / "both.html").chmod(0o444)


def _page_linked(here: Path, run: Path) -> None:
    call("report", run, "-o", "other.html")
    (here / "both.html").symlink_to("other.html")


def _page_edited(here: Path, run: Path) -> None:
    call("report", run, "-o", "both.html")
    page = here / "both.html"
    page.write_text(page.read_text().replace("</h1>", "</h1><p>My own conclusions.</p>"))


def _run_with_page(here: Path, run: Path) -> None:
    shutil.copytree(run, here / "run")
    assert (here / "run/report.html").is_file()


CASES: list[tuple[str, Callable[[Path, Path], object], int, str]] = [
    (
        "both.html",
        lambda here, run: (here / "both.html").write_bytes(MINE),
        5,
        "both.html: is not a report that imgcollapse wrote, and nothing is ever",
    ),
    ("both.html", lambda here, run: (here / "both.html").mkdir(), 5, "both.html: is a folder, and"),
    ("both.html", lambda here, run: os.mkfifo(here / "both.html"), 5, "both.html: is not a regular file, and"),
    ("both.html", lambda here, run: (here / "both.html").symlink_to("report.md"), 5, "both.html: is a link, and"),
    ("both.html", lambda here, run: (here / "both.html").symlink_to("nowhere"), 5, "both.html: is a link, and"),
    ("both.html", _page_linked, 5, "both.html: is a link, and"),
    ("both.html", _page_read_only, 5, "both.html: is read-only, and"),
    ("both.html", _page_edited, 5, "both.html: has been changed since it was written, and"),
    ("both.html", lambda here, run: _folder(here / "both_files"), 5, "both_files: is not the folder of a report, and nothing is ever"),
    ("both.html", lambda here, run: _file(here / "both_files"), 5, "both_files: is not the folder of a report, and"),
    ("both.html", lambda here, run: (here / "both_files").symlink_to("figures"), 5, "both_files: is not the folder of a report, and"),
    ("both.html", lambda here, run: (here / "both_files").symlink_to("nowhere"), 5, "both_files: is not the folder of a report, and"),
    (
        "report.html",
        lambda here, run: None,
        5,
        "report.html: is not a report that imgcollapse wrote, and nothing is ever overwritten; choose another -o",
    ),
    ("run/report.html", _run_with_page, 5, "run/report.html: is the place for the page of run alone; choose another -o"),
    ("run/curves.png", _run_with_page, 2, "-o: 'run/curves.png' names no page; end it in .html, for example -o both.html"),
    ("run/gen_000/samples.npz", _run_with_page, 2, "-o: 'run/gen_000/samples.npz' names no page"),
    ("both.txt", lambda here, run: None, 2, "-o: 'both.txt' names no page"),
    ("", lambda here, run: None, 2, "-o: '' names no page"),
    ("figures/", lambda here, run: None, 2, "-o: 'figures/' names no page"),
    ("new.html/", lambda here, run: None, 2, "-o: 'new.html/' names no page"),
    (".html", lambda here, run: None, 2, "-o: '.html' names no page"),
]


@pytest.mark.parametrize(("name", "make", "code", "said"), CASES, ids=[f"{case[0]} {number}" for number, case in enumerate(CASES)])
def test_what_stands_where_the_page_belongs_is_refused_before_the_work(
    name: str, make: Callable[[Path, Path], object], code: int, said: str, run: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here, run)
    before, ours = _stats(here), tree(run)
    monkeypatch.setattr(reports, "read", lambda *_: pytest.fail("the work comes after the refusal"))
    result = call("report", run, "-o", name)
    assert result.exit_code == code and result.stderr.startswith(f"imgcollapse: {said}"), result.output
    assert result.stderr.count("\n") == 1 and result.stdout == "" and _stats(here) == before and tree(run) == ours


def _stats(folder: Path) -> dict[str, tuple[int, ...]]:
    """What would change if anything were replaced, moved or written to."""
    kept = {path: path.lstat() for path in folder.rglob("*")}
    return {str(path): (one.st_ino, one.st_mode, one.st_size, one.st_mtime_ns) for path, one in kept.items()}


def test_the_page_of_several_is_refused_where_this_folder_has_another(run: Path, here: Path) -> None:
    shutil.copytree(run, run.with_name("again"))
    result = call("report", run, run.with_name("again"))
    assert result.exit_code == 5 and "report.html: is not a report that imgcollapse wrote" in result.stderr
    assert (here / "report.html").read_bytes() == MINE and not (here / "report_files").exists()


def test_a_page_of_ours_is_known_by_its_head_alone_where_it_has_no_folder(run: Path, here: Path) -> None:
    _page(here, run)
    assert call("report", run, "-o", "both.html").exit_code == 0
    assert call("report", run, "-o", "new/deep/both.html").exit_code == 0 and visible(here / "new/deep") == ["both.html", "both_files"]


def test_what_somebody_keeps_in_the_folder_of_a_page_stays(run: Path, here: Path) -> None:
    call("report", run, "-o", "both.html")
    beside = here / "both_files"
    (beside / "report.md").write_bytes(MINE)
    (beside / "notes.txt").write_bytes(MINE)
    result = call("report", run, "-o", "both.html")
    assert result.exit_code == 0 and (beside / "notes.txt").read_bytes() == MINE == (beside / ASIDE / "report.md-1").read_bytes()
    assert result.stderr == f"both_files/report.md: is not as imgcollapse wrote it; it is kept as both_files/{ASIDE}/report.md-1\n"
    assert (beside / "report.md").read_text().startswith("## ")


@pytest.mark.parametrize("name", ["a b#c?d%41.html", "li\nne.html", "日本.html", os.fsdecode(b"\xff\xfe.html")])
def test_a_large_page_shows_the_pictures_in_its_folder_whatever_its_name(name: str, run: Path, here: Path) -> None:
    written = reports.write(reports.read([run]), Path(name), budget=1)
    assert written.beside == Path(name.removesuffix(".html") + "_files")
    addresses = re.findall(r'<img[^>]* src="([^"]*)"', Path(name).read_text())
    assert len(addresses) == 2 and {os.fsdecode(unquote_to_bytes(one)) for one in addresses} == {
        str(path) for path in written.beside.iterdir() if path.name != LEDGER
    }


def test_runs_in_folders_whose_names_are_no_text_have_a_page_too(run: Path, here: Path) -> None:
    names = [os.fsdecode(b"a\xff"), "b"]
    for name in names:
        shutil.copytree(run, here / name)
    result = call("report", *names, "-o", "both.html", "--json")
    assert result.exit_code == 0 and r"(a\udcff)" in (here / "both.html").read_text(encoding="utf-8"), result.output


# --- in a folder of ours


@pytest.mark.parametrize("make", [_file, _read_only, _link, _dangling, _folder])
@pytest.mark.parametrize("name", ["report.html", "report_files"])
def test_in_the_folder_of_a_run_what_is_in_the_way_of_its_page_is_set_aside(name: str, make: Callable[[Path], None], run: Path) -> None:
    (run / "report.html").unlink()
    make(run / name)
    before = tree(run)
    result = call("report", run)
    assert result.exit_code == 0 and f"{name}: is not as imgcollapse wrote it; it is kept as {run}/{ASIDE}/{name}-1" in result.stderr
    after = tree(run)
    assert after[f"{ASIDE}/{name}-1"] == before[name] and after[f"{ASIDE}/{name}-1/mine" if make is _folder else f"{ASIDE}/{name}-1"]
    assert isinstance(after["report.html"], bytes) and "report_files/report.md" in after


def test_at_the_end_of_a_run_nothing_of_the_users_is_replaced_and_nothing_is_refused(tmp_path: Path) -> None:
    judged = ["run", *TOY, "--set", "judge.metrics=[frechet_distance]", "--out", "here"]
    assert call(*judged).exit_code == 0
    for name in ("curves.png", "report.html"):
        Path("here", name).write_bytes(MINE)
    result = call(*judged)
    assert result.exit_code == 0 and result.stderr.count("it is kept as") == 2, result.output
    assert {path.read_bytes() for path in Path("here", ASIDE).iterdir()} == {MINE} and visible(Path("here", ASIDE)) == [
        "curves.png-1",
        "report.html-1",
    ]
    again = call(*judged)
    assert again.exit_code == 0 and "kept as" not in again.stderr and len(visible(Path("here", ASIDE))) == 2


def test_an_ablation_keeps_the_file_that_it_was_made_from_and_what_was_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        ENGINES, "local", Engine(lambda runs, configuration, each_second: [worker.work(one) for one in runs])
    )  # in this process
    folder = tmp_path / "study"
    folder.mkdir()
    base = {"dataset": {"kind": "grid25", "size": 200}, "model": "bootstrap", "gens": 2, "judge": {"metrics": ["frechet_distance"]}}
    text = "# why I ask\n" + yaml.safe_dump({"base": base, "arms": {"a": {}, "b": {"regime": "accumulate"}}, "seeds": 1, "nulls": False})
    (folder / "ablation.yaml").write_text(text)
    for name in ("plan.json", "summary.json", "curves.png", "ablation.csv"):
        (folder / name).write_bytes(MINE)
    result = call("ablate", folder / "ablation.yaml", "--out", folder, "--jobs", "1")
    assert result.exit_code == 0, result.output
    kept = tree(folder / ASIDE)
    assert kept.pop("ablation.yaml-1") == text.encode() and set(kept.values()) == {MINE} and len(kept) == 4
    assert result.stderr.count("it is kept as") == 5 and len(json.loads((folder / "plan.json").read_text())["runs"]) == 2
    with (folder / "ablation.csv").open("a") as file:
        file.write("my own row\n")
    edited = (folder / "ablation.csv").read_bytes()
    result = call("ablate", folder / "ablation.yaml", "--out", folder, "--jobs", "1", "--seeds", "2")
    assert result.exit_code == 0 and result.stderr.count("it is kept as") == 1
    assert (folder / ASIDE / "ablation.csv-2").read_bytes() == edited and grid.CSV in result.stdout


def test_an_ablation_that_was_killed_before_its_first_file_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "local", Engine(lambda runs, configuration, each_second: [worker.work(one) for one in runs]))
    (tmp_path / "out").mkdir()
    ledger.note(tmp_path / "out", "ablation.yaml", "0" * 64)
    few = ["--dataset", "grid25", "--model", "bootstrap", "--seeds", "1", "--gens", "1", "--set", "judge.extractors=[]", "--no-nulls"]
    result = call("ablate", *few, "--set", "dataset.size=200", "--out", tmp_path / "out", "--jobs", "1")
    assert result.exit_code == 0 and "kept as" not in result.output, result.output


def test_a_record_of_a_tracker_that_cannot_be_read_is_kept(run: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    (run / track.FOLDER).mkdir()
    (run / track.FOLDER / "tensorboard.json").write_bytes(MINE)
    result = call("run", *TOY, "--set", "judge.extractors=[]", "--out", run, "--track", "tensorboard")
    assert result.exit_code == 0 and "is damaged; the run is logged again from generation 0" in result.stderr, result.output
    assert (run / track.FOLDER / ASIDE / "tensorboard.json-1").read_bytes() == MINE


def test_weights_that_are_not_the_published_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.pt").write_bytes(b"published")
    wanted = weights.Published("x", "net.pt", (tmp_path / "net.pt").as_uri(), 9, hashlib.sha256(b"published").hexdigest())
    with devices.use(devices.Machine(data_dir=tmp_path / "data")):
        wanted.place().parent.mkdir(parents=True)
        wanted.place().write_bytes(MINE)
        assert weights.find(wanted).path.read_bytes() == b"published"
        assert (wanted.place().parent / ASIDE / "net.pt-1").read_bytes() == MINE


# --- exports, cards, scores


def dead() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_killed_processes_left_is_swept_and_what_others_write_is_not(tmp_path: Path) -> None:
    name = f".out.draft-{HERE}"
    for left in (f"{name}-{dead()}", f"{name}-{dead()}-old"):
        _folder(tmp_path / left)
    others = [f"{name}-{os.getppid()}", f".out.draft-elsewhere-{dead()}", f"{name}-{dead()}-{dead()}", f"{name}-mine", ".other.draft-1"]
    for other in others:
        _folder(tmp_path / other)
    _folder(tmp_path / "out")
    assert places.draft_of(tmp_path / "out") == tmp_path / f"{name}-{os.getpid()}"
    assert visible(tmp_path) == sorted([*others, "out"]) and visible(tmp_path / "out") == ["mine"]


def test_a_card_that_was_being_replaced_when_its_process_was_killed_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with placed(tmp_path / "out", {}) as draft:
        (draft / "a").write_text("first")
    (tmp_path / "out").rename(tmp_path / f".out.draft-{HERE}-{dead()}-old")
    with pytest.raises(KeyboardInterrupt), placed(tmp_path / "out", {}) as draft:
        raise KeyboardInterrupt
    assert (tmp_path / "out/a").read_text() == "first" and visible(tmp_path) == ["out"]


def no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_appears_while_an_export_works_is_kept(linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not linked:
        monkeypatch.setattr(os, "link", no_links)
    with made_once(tmp_path / "new.zip") as draft:
        draft.write_bytes(b"ours")
    assert tree(tmp_path) == {"new.zip": b"ours"}
    for make in (_file, _folder):
        with pytest.raises(OtherStudyProblem), made_once(tmp_path / "out") as draft:
            draft.write_bytes(b"ours")
            make(tmp_path / "out")
        assert MINE in tree(tmp_path).values() and not list(tmp_path.glob(".*"))
        shutil.rmtree(tmp_path / "out") if make is _folder else (tmp_path / "out").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: (out / RECORD).write_text((out / RECORD).read_text().replace("{", '{"notes": "mine",', 1)), RECORD),
        (lambda out: (out / "mine").mkdir(), "mine"),
        (lambda out: os.mkfifo(out / "pipe"), "pipe"),
    ],
)
def test_a_card_to_which_somebody_added_anything_stays(change: Callable[[Path], Any], said: str, run: Path, tmp_path: Path) -> None:
    write_card(run, 1, tmp_path / "out")
    change(tmp_path / "out")
    before = _stats(tmp_path / "out")
    with pytest.raises(OtherStudyProblem, match=rf"has been changed since it was written \({said}\); nothing is ever overwritten; move it"):
        write_card(run, 1, tmp_path / "out")
    assert _stats(tmp_path / "out") == before


def test_scores_to_which_somebody_added_anything_stay_and_a_link_to_scores_stays_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["score", run, "--against", "grid25", "--set", "dataset.size=200", "--set", "judge.metrics=[frechet_distance]", "--out"]
    Path("link.json").symlink_to("scores.json")
    assert call(*arguments, "link.json").exit_code == 0 and call(*arguments, "link.json").exit_code == 0
    assert Path("link.json").is_symlink() and not Path("scores.json").is_symlink()
    noted = json.dumps({**json.loads(Path("scores.json").read_text()), "notes": "mine"})
    Path("scores.json").write_text(noted)
    os.mkfifo("pipe.json")
    for name in ("scores.json", "pipe.json"):
        wrong = call(*arguments, name)
        assert wrong.exit_code == 5 and f"{name}: holds something else; nothing is ever overwritten; move it elsewhere" in wrong.stderr
    assert Path("scores.json").read_text() == noted and stat.S_ISFIFO(Path("pipe.json").stat().st_mode)


def test_a_file_that_appears_while_scores_are_measured_is_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcollapse.interface import scoring as score

    measured = score.scored

    def meanwhile(*given: Any) -> Any:
        found = measured(*given)
        Path("new.json").write_bytes(MINE)
        return found

    monkeypatch.setattr(score, "scored", meanwhile)
    few = ["--set", "dataset.size=200", "--set", "judge.metrics=[frechet_distance]"]
    result = call("score", run, "--against", "grid25", *few, "--out", "new.json")
    assert result.exit_code == 5 and Path("new.json").read_bytes() == MINE


def test_a_study_of_somebody_elses_folder_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_bytes(MINE)
    for command in (("run", *TOY), ("ablate", "--dataset", "grid25", "--model", "bootstrap", "--seeds", "1")):
        result = call(*command, "--out", tmp_path / "mine")
        assert result.exit_code == 5 and tree(tmp_path / "mine") == {"thesis.tex": MINE}, store.STUDY
