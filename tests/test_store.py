"""Run folders: whole generations or none, damage found and mended, other studies and other writers kept out, resuming exact."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standins import Ear

from imgcollapse import progress, store
from imgcollapse.errors import DataProblem, OtherStudyProblem, SettingsProblem
from imgcollapse.settings import build, read_file
from imgcollapse.store import history, run_folder
from imgcollapse.store.manifest import damage, part_digest, read_manifest
from imgcollapse.store.records import read_sealed, write_sealed
from imgcollapse.study import Study, run

CHAIN: dict[str, Any] = {"dataset": {"kind": "grid25", "size": 400}, "model": {"kind": "gmm", "components": 5}, "gens": 4}


def execute(folder: Path, **values: Any) -> list[str]:
    """Runs the chain; returns what it said."""
    with progress.watched_by(heard := Ear()):
        run(build(Study, CHAIN | values), folder)
    return heard.lines


def outcome(folder: Path) -> dict[str, bytes]:
    """The bytes that an interrupted run must share with an uninterrupted one."""
    names = (store.SAMPLES, store.LATENTS, store.PROVENANCE)
    files = {f"{path.name}/{name}": (path / name).read_bytes() for path in sorted(folder.glob("gen_???")) for name in names}
    beside = [*folder.glob("scores/*/*.json"), *folder.glob("grid_*.png")]
    files |= {str(path.relative_to(folder)): path.read_bytes() for path in sorted(beside)}
    return files | {name: (folder / name).read_bytes() for name in (store.STUDY, store.DATA)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    execute(folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_run_folder_holds_what_the_design_says(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {
        *("study.yaml", "environment.json", "data.json", "history.jsonl", ".lock", ".written.jsonl", "scores"),
        *(f"{name}{number}{end}" for number in range(4) for name, end in (("gen_00", ""), ("grid_00", ".png"))),
    }
    generation = whole / "gen_002"
    names = {"samples.npz", "latents.npz", "provenance.json", "model", "MANIFEST.json"}
    assert {path.name for path in generation.iterdir()} == names
    with np.load(generation / "samples.npz", allow_pickle=False) as arrays:
        assert {name: (arrays[name].dtype.name, arrays[name].shape) for name in arrays} == {
            "pixels": ("float32", (400, 1, 1, 2)),
            "labels": ("int64", (400,)),
            "born": ("int64", (400,)),
        }
        assert set(arrays["born"].tolist()) == {2}
    files = json.loads((generation / "MANIFEST.json").read_text())["files"]
    assert set(files) == {str(p.relative_to(generation)) for p in generation.rglob("*") if p.is_file()} - {"MANIFEST.json"}
    (judge,) = (whole / "scores").iterdir()
    assert {path.name for path in judge.iterdir()} == {"reference.json", *(f"gen_00{number}.json" for number in range(4))}
    scores = json.loads((judge / "gen_002.json").read_text())
    judged = scores["sources"]["pixels"]
    assert scores["generation"] == 2 and {one["n"] for one in judged.values()} == {200, 400}
    assert all(one["real"] for name, one in judged.items() if not name[-1].isdigit())  # a half may hold no picture of a small class
    assert set(judged) >= {
        "fd",
        "kid",
        "precision",
        "recall",
        "coverage",
        "classes_alive",
    }


def test_running_it_again_does_nothing_and_says_nothing(copy: Path, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file() and path.name != ".lock"}
    assert execute(copy) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("stage", ["fit", "sample", "keep", "rename"])
@pytest.mark.parametrize("generation", [0, 2])
def test_a_run_that_dies_at_any_stage_goes_on_exactly(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, stage: str, generation: int
) -> None:
    class Killed(BaseException):
        pass

    from imgcollapse.models.gmm import GMM

    owner, name = {
        "fit": (GMM, "fit"),
        "sample": (GMM, "sample"),
        "keep": (GMM, "save"),
        "rename": (Path, "rename"),
    }[stage]
    real = getattr(owner, name)

    def dies(self: Any, *args: Any, **more: Any) -> Any:
        if len(store.finished(tmp_path / "run")) == generation:
            raise Killed
        return real(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        with pytest.raises(Killed):
            execute(tmp_path / "run")
    assert store.finished(tmp_path / "run") == list(range(generation))
    (tmp_path / "run" / f"gen_{generation:03d}.draft").mkdir()  # what SIGKILL would have left
    execute(tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(whole)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("file", "hurt", "said"),
    [
        ("samples.npz", flip, "samples.npz has changed (its SHA-256 is not the manifest's)"),
        ("samples.npz", cut, "bytes, the manifest says"),
        ("provenance.json", Path.unlink, "provenance.json is missing"),
        ("model/model.safetensors", flip, "model/model.safetensors has changed"),
        ("MANIFEST.json", Path.unlink, "MANIFEST.json is missing"),
        ("MANIFEST.json", cut, "MANIFEST.json is damaged"),
        ("provenance.json", flip, "provenance.json has changed"),
    ],
)
def test_damage_is_said_and_the_generation_made_again(copy: Path, whole: Path, file: str, hurt: Any, said: str) -> None:
    hurt(copy / "gen_001" / file)
    lines = execute(copy)
    assert len(lines) == 1 and lines[0].startswith("gen_001: ") and said in lines[0]
    assert lines[0].endswith("; made again (the old folder is kept as set_aside/gen_001-1)")
    assert outcome(copy) == outcome(whole)
    assert (copy / "set_aside" / "gen_001-1").is_dir(), "nothing is lost"


def test_what_learned_from_other_samples_is_made_again(copy: Path, whole: Path) -> None:
    """A whole generation of another run; what follows it is made again as far as it learned from other samples."""
    shutil.rmtree(copy / "gen_001")
    other = copy.parent / "other"
    execute(other, seed=1)
    shutil.copytree(other / "gen_001", copy / "gen_001")
    lines = execute(copy)
    assert [line.partition(";")[0] for line in lines] == ["gen_001: was made by other settings (seed 1, now 0)"]
    assert outcome(copy) == outcome(whole)


def test_another_study_is_refused_and_nothing_is_touched(copy: Path, whole: Path) -> None:
    for values, difference in [
        ({"seed": 3}, "seed 0, now 3"),
        ({"model": {"kind": "gmm", "components": 6}}, "model.components 5, now 6"),
        ({"model": "bootstrap"}, "model.kind 'gmm', now 'bootstrap'"),
    ]:
        with pytest.raises(OtherStudyProblem) as caught:
            execute(copy, **values)
        assert str(caught.value) == f"{copy}: holds another study ({difference}); choose another --out"
    assert outcome(copy) == outcome(whole)


def test_a_study_that_made_nothing_gives_way_to_another(tmp_path: Path) -> None:
    """Only `fit` knows that there are fewer pictures than components: then the folder is there, and the cure is another study."""
    run = tmp_path / "run"
    with pytest.raises(DataProblem, match=r"model.components: 500 Gaussians need as many pictures, there are 400; set fewer"):
        execute(run, model={"kind": "gmm", "components": 500}, samples=400)
    before = (run / "study.yaml").read_bytes()
    lines = execute(run, model={"kind": "gmm", "components": 5}, samples=400)
    assert f"{run}: another study was begun here and made nothing; this one begins (its records are kept as set_aside/)" in lines
    assert (run / "set_aside" / "study.yaml-1").read_bytes() == before and (run / "gen_000").is_dir()
    with pytest.raises(OtherStudyProblem, match=r"holds another study \(model.components 5, now 6\); choose another --out$"):
        execute(run, model={"kind": "gmm", "components": 6}, samples=400)


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(OtherStudyProblem, match=r"this folder holds other files, and nothing is ever overwritten; choose another --out$"):
        execute(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


DAMAGE = [b"", b"\xff\xfe", b"a: [", b"just text"]
STILL_JSON = [b"{}", b"[]", b"null", b'{"sessions": 5}', b'{"sessions": [1]}', b'{"name": "grid25", "classes": []}']


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_study_file_is_set_aside_where_all_else_fits(copy: Path, whole: Path, content: bytes) -> None:
    (copy / "study.yaml").write_bytes(content)
    lines = execute(copy)
    assert (
        lines[-1]
        == f"{copy}/study.yaml: is {'damaged' if content else 'empty'}; made again (the old one is kept as set_aside/study.yaml-1)"
    )
    assert (copy / "set_aside" / "study.yaml-1").read_bytes() == content and outcome(copy) == outcome(whole)


def test_a_damaged_study_file_does_not_let_another_study_in(copy: Path, whole: Path) -> None:
    (copy / "study.yaml").write_bytes(b"")
    with pytest.raises(OtherStudyProblem, match=r"holds generations of another study \(seed 0, now 3\); choose another --out$"):
        execute(copy, seed=3)
    assert (copy / "study.yaml").read_bytes() == b"" and not (copy / "set_aside").exists()
    with pytest.raises(OtherStudyProblem, match=r"copy: was begun with another study; choose another --out$"):
        execute(copy, regime="accumulate")


@pytest.mark.parametrize("content", [*DAMAGE, *STILL_JSON])
@pytest.mark.parametrize("record", ["environment.json", "data.json"])
def test_a_damaged_record_is_set_aside_and_made_anew(copy: Path, whole: Path, record: str, content: bytes) -> None:
    (copy / record).write_bytes(content)
    lines = execute(copy)
    assert lines[-1] == f"{copy}/{record}: is {'damaged' if content else 'empty'}; made again (the old one is kept as set_aside/{record}-1)"
    assert (copy / "set_aside" / f"{record}-1").read_bytes() == content and outcome(copy) == outcome(whole)
    assert json.loads((copy / record).read_text()).keys() == json.loads((whole / record).read_text()).keys()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("seed: 0", "seed: 1"),
        ("components: 5", "components: 6"),
        ("kind: replace\n  stream: false", "kind: accumulate"),
        ("size: 400", "size: 500"),
    ],
)
def test_a_study_file_that_was_edited_is_refused_by_what_the_run_was_begun_with(copy: Path, before: str, after: str) -> None:
    text = (copy / "study.yaml").read_text()
    assert before in text
    (copy / "study.yaml").write_text(text.replace(before, after))
    study = build(Study, read_file(copy / "study.yaml"))
    names = sorted(path.name for path in copy.iterdir())
    with pytest.raises(OtherStudyProblem, match=r"choose another --out$"):
        run(study, copy)
    assert sorted(path.name for path in copy.iterdir()) == names


@pytest.mark.parametrize("record", ["environment.json", "data.json"])
def test_no_flipped_bit_of_a_record_ends_a_run(copy: Path, whole: Path, record: str) -> None:
    content = (whole / record).read_bytes()
    for place in range(0, 8 * len(content), 1009):
        (copy / record).write_bytes(content[: place // 8] + bytes([content[place // 8] ^ 1 << place % 8]) + content[place // 8 + 1 :])
        with progress.watched_by(heard := Ear()):
            assert store.readable(copy / record, quiet=True) is None and len(heard.lines) == 1
    execute(copy)
    assert outcome(copy) == outcome(whole)


@pytest.mark.parametrize("name", ["study.yaml", "environment.json", "data.json", "history.jsonl", "gen_001/MANIFEST.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "dangling", "loop"])
def test_what_is_no_file_is_never_opened(copy: Path, whole: Path, name: str, kind: str) -> None:
    path = copy / name
    path.unlink()
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "dangling": lambda: path.symlink_to("nothing"),
        "loop": lambda: path.symlink_to(path.name),
    }[kind]()
    with progress.watched_by(Ear()):
        if name != "study.yaml":
            store.sound(copy)
        assert store.sessions(copy) == [] or name != "environment.json"
    if name != "history.jsonl":
        execute(copy)
        assert outcome(copy) == outcome(whole)


@pytest.mark.parametrize("name", ["study.yaml", "environment.json", "data.json", "gen_001/MANIFEST.json"])
def test_what_the_system_refuses_to_read_is_not_taken_for_damage(
    copy: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = os.open

    def refusing(path: Any, *args: Any, **more: Any) -> int:
        if str(path) == str(copy / name):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        with pytest.raises(OSError, match="Input/output error"):
            execute(copy)
    assert not (copy / "set_aside").exists() and execute(copy) == [] and outcome(copy) == outcome(whole)


def test_generations_of_another_arm_are_found_by_readers(tmp_path: Path, copy: Path, whole: Path) -> None:
    """They have the same model, samples, seed and reference, and among themselves they fit."""
    other = tmp_path / "other"
    execute(other, regime="accumulate")
    for name in ("gen_001", "gen_002", "gen_003"):
        shutil.rmtree(copy / name)
        shutil.copytree(other / name, copy / name)
    with progress.watched_by(heard := Ear()):
        assert store.sound(copy) == [0]
    assert all("is not the one that this run has made; left out" in line for line in heard.lines) and len(heard.lines) == 3
    execute(copy)
    assert outcome(copy) == outcome(whole)


def test_a_study_file_that_is_gone_is_written_anew_where_the_records_know_it(copy: Path, whole: Path) -> None:
    (copy / "study.yaml").unlink()
    assert execute(copy) == [] and outcome(copy) == outcome(whole)
    (copy / "study.yaml").write_text((copy / "study.yaml").read_text().replace("size: 400", "size: 401"))
    with progress.watched_by(Ear()):
        assert store.sound(copy) == [], "edited since, so nobody knows of what these are"
    assert "study.yaml: is damaged; made again" in execute(copy)[-1] and outcome(copy) == outcome(whole)


def test_exchanged_generations_are_found_and_made_again(copy: Path, whole: Path) -> None:
    exchange(copy)
    lines = execute(copy)
    assert [line.partition(" (")[0] for line in lines] == ["gen_001: was made by other settings", "gen_002: was made by other settings"]
    assert outcome(copy) == outcome(whole)


def exchange(folder: Path) -> None:
    (folder / "gen_001").rename(folder / "x")
    (folder / "gen_002").rename(folder / "gen_001")
    (folder / "x").rename(folder / "gen_002")


def test_readers_leave_out_what_does_not_fit_and_say_it_once(copy: Path, whole: Path) -> None:
    def read() -> tuple[list[int], list[str]]:
        with progress.watched_by(heard := Ear()):
            found = store.sound(copy)
            assert store.sound(copy) == found == [one.generation for one in store.scores(copy)]
        return found, heard.lines

    assert read() == ([0, 1, 2, 3], [])
    provenance = copy / "gen_002" / "provenance.json"
    text = provenance.read_text()
    provenance.write_text(text.replace('"size": ', '"size": 9'))
    found, lines = read()
    assert found == [0, 1, 3] and len(lines) == 1 and "gen_002: provenance.json has " in lines[0]
    assert lines[0].endswith("; left out (run the run's own command again, which repairs it)")
    provenance.write_text(text)
    exchange(copy)
    found, lines = read()
    assert found == [0] and len(lines) == 3 and "gen_003: learned from samples that have since been made again" in lines[2]
    exchange(copy)
    assert read() == ([0, 1, 2, 3], [])
    other = copy.parent / "other"
    execute(other, seed=1)
    for name, said in (("data.json", "was made from other real pictures"), ("study.yaml", "study.yaml has been changed since the run ")):
        kept = (copy / name).read_bytes()
        (copy / name).write_bytes((other / name).read_bytes())
        found, lines = read()
        assert found == [] and len(lines) == 4 and all(said in line for line in lines)
        (copy / name).write_bytes(kept)


def test_a_manifest_tells_every_flipped_bit_of_its_own(copy: Path) -> None:
    manifest = copy / "gen_001" / "MANIFEST.json"
    whole = manifest.read_bytes()
    for place in range(0, 8 * len(whole), 7):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        manifest.write_bytes(bytes(content))
        assert damage(copy / "gen_001") is not None, place


def test_generations_of_an_older_version_are_shown_but_not_continued(copy: Path) -> None:
    for manifest in copy.glob("gen_*/MANIFEST.json"):
        record = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({name: record[name] for name in ("written", "files")}))
    assert store.sound(copy) == [0, 1, 2, 3]
    with pytest.raises(OtherStudyProblem, match=r"holds generations of an older version of imgcollapse, .*; choose another --out$"):
        execute(copy)


@pytest.mark.parametrize("name", ["study.yaml.part", "reference.json.part", ".lock", ".imgcollapse-0123456789abcdef.part"])
def test_what_a_killed_process_left_before_it_began_is_no_other_file(tmp_path: Path, whole: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("" if name == ".lock" else "half")  # locks are empty
    execute(tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(whole)
    assert name == ".lock" or not (tmp_path / "run" / name).exists()


NAN = b'{"generation": 1, "how": "made", "seconds": NaN}\n'


def test_a_line_of_the_history_that_is_damaged_is_said_once_and_passed_over(copy: Path) -> None:
    path = copy / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for content in (
        b"\xff" + lines[1],
        lines[1].replace(b"generation", b"generatiom"),
        lines[1].replace(b": ", b"; "),
        b'{"a"\n',
        b"3\n",
        NAN,
        NAN.replace(b"NaN", b"1e999"),
    ):
        path.write_bytes(b"".join([lines[0], content, *lines[2:]]))
        with progress.watched_by(heard := Ear()):
            assert [line["generation"] for line in history.lines(copy)] == [0, 2, 3] == [line["generation"] for line in history.lines(copy)]
        assert heard.lines == [f"{path}:2: this line is damaged and skipped; times and counts of this run lack it"]
    path.write_bytes(b"".join(lines) + b'{"generation": 4, "how": "ma')  # cut by a kill
    with progress.watched_by(heard := Ear()):
        assert len(history.lines(copy)) == 4 and heard.lines[0].startswith(f"{path}:5: ")


def test_other_real_pictures_are_refused(copy: Path) -> None:
    record = read_sealed(copy / "data.json")
    record["train"]["sha256"] = "0" * 64
    write_sealed(copy / "data.json", record)
    with pytest.raises(OtherStudyProblem, match=r"the run was begun with another \(train\.sha256 '000.*put back what it was begun with"):
        execute(copy)


def test_two_writers_never_write_one_run(copy: Path) -> None:
    with run_folder.opened(copy, (copy / "study.yaml").read_text()):
        code = f"""
from pathlib import Path
from imgcollapse.store import run_folder
from imgcollapse.errors import InUseProblem
try:
    with run_folder.opened(Path({str(copy)!r}), ""):
        print("in")
except InUseProblem as error:
    print(error, error.exit_code)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == f"{copy}: another process is writing this run; wait for its end, or choose another --out 4"
    assert execute(copy) == []


def test_a_session_on_other_hardware_is_recorded_and_said(copy: Path) -> None:
    record = read_sealed(copy / "environment.json")
    record["sessions"][0]["threads"] = 99
    write_sealed(copy / "environment.json", record)
    (line,) = execute(copy)
    assert "environment.json: threads 99, now " in line and line.endswith("last digits may differ from an uninterrupted run")
    assert [one["threads"] == 99 for one in json.loads((copy / "environment.json").read_text())["sessions"]] == [True, False]


def test_what_is_no_run_and_what_cannot_be_read_is_said(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(DataProblem, match=r"is not a run folder \(study.yaml is missing\)"):
        store.finished(tmp_path)
    for hurt in (flip, cut):
        hurt(copy / "gen_000" / "samples.npz")
    with pytest.raises(DataProblem, match=r"samples\.npz: cannot be read \("):
        store.read_images(copy / "gen_000" / "samples.npz")


def test_fresh_pictures_that_will_not_last_are_an_error_before_the_start(tmp_path: Path) -> None:
    digits = {"dataset": "digits", "model": "bootstrap", "regime": {"kind": "retain", "pool": "fresh", "real_fraction": 0.1}, "gens": 10}
    with pytest.raises(SettingsProblem) as caught:
        run(build(Study, digits), tmp_path / "run")
    assert str(caught.value) == (
        "regime.pool: fresh real pictures will not last: generation 0 takes 1198, the 9 after it 1080 more, digits has 1198; "
        "set --samples to at most 631, or use --pool resample"
    )
    assert not (tmp_path / "run").exists()
    fits = {**digits, "samples": 631, "judge": {"extractors": []}}
    run(build(Study, fits), tmp_path / "run")
    used = [store.read_json(tmp_path / "run" / f"gen_{g:03d}" / "provenance.json")["made_of"].get("real") for g in range(10)]
    assert [one["pictures"] for one in used if one] == [631] + [63] * 9
    with pytest.raises(SettingsProblem):
        run(build(Study, {**digits, "samples": 632}), tmp_path / "another")


def test_more_real_pictures_than_there_are_is_an_error_before_the_start(tmp_path: Path) -> None:
    values = {"samples": 4000, "regime": {"kind": "retain", "real_fraction": 0.5}, "dataset": "digits", "model": "bootstrap"}
    with pytest.raises(
        SettingsProblem, match=r"^regime\.real_fraction: 2000 real pictures are wanted in every training set of 4000, digits has 1198"
    ):
        run(build(Study, values), tmp_path / "run")


def test_a_run_folder_may_lie_in_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    run(build(Study, {"dataset": {"kind": "gaussian", "size": 50}, "model": "gaussian", "gens": 1}), tmp_path / "new/newer/run")
    assert store.finished(tmp_path / "new/newer/run") == [0]


@pytest.mark.slow
def test_sigkill_at_random_points_and_resuming_is_byte_identical(tmp_path: Path) -> None:
    """The command itself, with a DDPM on digits, killed at three moments that differ from run to run of this test."""
    options = [
        *("--model", "ddpm", "--gens", "3", "--samples", "200", "--set", "model.widths=[8, 8]", "--set", "model.steps=25"),
        *("--set", "dataset.subset=200", "--set", "judge.extractors=[{kind: classifier, steps: 30}]"),
    ]
    command = [sys.executable, "-m", "imgcollapse", "run", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    began = time.monotonic()
    subprocess.run([*command, "--out", "whole"], env=environment, check=True, capture_output=True, timeout=300)
    span = time.monotonic() - began
    chance = np.random.default_rng()
    for _ in range(3):
        started = subprocess.Popen([*command, "--out", "killed"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 0.9) * span)
        started.send_signal(signal.SIGKILL)
        started.wait(timeout=60)
    subprocess.run([*command, "--out", "killed"], env=environment, check=True, capture_output=True, timeout=300)
    assert outcome(Path("killed")) == outcome(Path("whole"))


def test_compressed_or_not_a_generation_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of older versions, which compressed nothing, go on; recipes and scores name what is in a file."""
    digits = {"dataset": "digits", "model": "bootstrap", "judge": {"extractors": ["pixels"], "metrics": ["frechet_distance"]}}
    monkeypatch.setattr("imgcollapse.store.npz.SMALL", 2**40)
    execute(tmp_path / "plain", **digits, gens=2)
    monkeypatch.undo()
    execute(tmp_path / "packed", **digits, gens=3)
    execute(tmp_path / "plain", **digits, gens=3)
    made = [line["generation"] for line in history.lines(tmp_path / "plain") if line["how"] == "made"]
    assert made == [0, 1, 2], "none is made again"
    sizes = [[(tmp_path / run / f"gen_00{g}" / store.SAMPLES).stat().st_size for g in range(3)] for run in ("plain", "packed")]
    assert sizes[0][2] == sizes[1][2] < sizes[0][1] / 2 and sizes[1][1] < sizes[0][1] / 2
    for g in range(3):
        one, other = (read_manifest(tmp_path / run / f"gen_00{g}") for run in ("plain", "packed"))
        assert one["made_by"] == other["made_by"]
        assert part_digest(tmp_path / "plain" / f"gen_00{g}", store.SAMPLES) == part_digest(
            tmp_path / "packed" / f"gen_00{g}", store.SAMPLES
        )
    found = [{path.name: path.read_bytes() for path in (tmp_path / run).glob("scores/*/*")} for run in ("plain", "packed")]
    assert found[0] == found[1] and len(found[0]) == 4
