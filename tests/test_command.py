"""`--model command`: any program as the generator, in the loop as any other model, and in one line where it fails."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains import files
from own_generator import COPY, block, quick
from standins import Ear
from terminal import call, done
from test_models import pictures, points
from test_processes import imgcollapse, launch

from imgcollapse import models, progress, store, study
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.ablation.engines.ray import ray
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import DataProblem, OtherStudyProblem, Problem, ProgramProblem, SettingsProblem
from imgcollapse.images import UNLABELLED, ImageSet
from imgcollapse.machine import devices, programs, supervisor
from imgcollapse.machine.devices import Machine
from imgcollapse.models.command import Command, line
from imgcollapse.settings import build, read_value
from imgcollapse.store.identity import learning
from imgcollapse.study import Study

PYTHON = shlex.quote(sys.executable)
TINY: dict[str, Any] = {
    "dataset": {"kind": "digits", "subset": 40},
    "samples": 40,
    "gens": 2,
    "judge": {"extractors": []},
}


def command(**options: Any) -> Command:
    """That copies its training pictures, where nothing else is said."""
    return build(Command, {"kind": "command", **COPY, **options})


def shell(script: str, *placeholders: str) -> str:
    """A line with a shell's script, which finds what the placeholders stand for in $1, $2, ..."""
    return shlex.join(["sh", "-c", script, "sh", *(f"{{{name}}}" for name in placeholders)])


def fitting(script: str) -> str:
    """$1: the training set, $2: the model, $3: the previous one; leaves the training set in the model too."""
    return shell(f'cp -r "$1" "$2/set"; {script}', "training_set", "model", "previous")


def drawing(script: str) -> str:
    """$1: the model, $2: where to draw to, $3: how many, $4: the seed."""
    return shell(script, "model", "samples", "n", "seed")


def made(folder: Path, model: dict[str, Any], shared: Path | None = None, **more: Any) -> Path:
    study.run(build(Study, {**TINY, "model": {"kind": "command", **model}, **more}), folder, shared=shared)
    return folder


def generations(run: Path) -> dict[str, bytes]:
    """All that was made, byte for byte; manifests also say when."""
    return {
        name: content
        for name, content in files(run).items()
        if name.startswith("gen_") and not name.endswith(("MANIFEST.json", "imgcollapse.json"))
    }


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(process: int, within: float = 10) -> bool:
    """Whether it has ended after that many seconds."""
    until = time.monotonic() + within
    while is_alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(process)


def appears(path: Path, within: float = 300) -> str:
    """What a file says, as soon as it says something."""
    until = time.monotonic() + within
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"{path} is not written"
        time.sleep(0.02)
    return path.read_text()


# --- command lines


def test_each_placeholder_stays_within_its_argument() -> None:
    values = {"model": '/a b/it\'s "$HOME" {seed}', "n": 3}
    given = 'prog --out={model} \'{model} x\' "two words" {n} {}{N} {"json": 1} ${n}'
    wanted = ["prog", f"--out={values['model']}", f"{values['model']} x", "two words", "3", "{}{N}", "{json:", "1}", "${n}"]
    assert line.filled(given, values) == wanted


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("fit", " ", "model.fit: is empty; write a command line, for example `python train.py {training_set} {model}`"),
        ("fit", "x {training_set}", "model.fit: 'x {training_set}' has no {model}; put it where the program takes that"),
        ("fit", "x {training_set} {modle}", "model.fit: {modle} stands for nothing here; there are: {training_set}, {model}, {previous}, "),
        ("fit", "x {training_set} {model} {n}", "model.fit: {n} stands for nothing here; there are: "),
        ("fit", "x 'y {training_set}", 'model.fit: "x \'y {training_set}" cannot be taken apart (no closing quotation); close every quote'),
        ("sample", "x {model} {samples} {n}", "model.sample: 'x {model} {samples} {n}' has no {seed}; put it where the program takes that"),
        ("sample", "sh -c 'x {model} {n}' {samples} {seed}", "model.sample: {model} stands inside a shell's script, which a space in the "),
    ],
)
def test_a_line_that_cannot_work_is_refused(option: str, given: str, said: str) -> None:
    with pytest.raises(SettingsProblem) as found:
        build(Study, {"model": {"kind": "command", **COPY, option: given}})
    assert str(found.value).startswith(said)


def test_options_are_named_as_users_write_them() -> None:
    with pytest.raises(SettingsProblem, match=r"^model\.fit: is missing; give it a value \("):
        build(Study, {"model": "command"})
    with pytest.raises(
        SettingsProblem, match=r"^model\.fits: there is no such setting; did you mean 'fit'\? there are: files, fit, sample, "
    ):
        build(Study, {"model": {"kind": "command", **COPY, "fits": ""}})
    assert set(COPY) < set(command().model_dump()) and not {"fit_line", "sample_line"} & set(command().model_dump())
    said = done("list", "command").output
    assert "fit = (required)" in said and "sample = (required)" in said and "timeout = None" in said


def test_what_cannot_be_started_or_learned_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for model, more, said in (
        (
            {**COPY, "fit": "no-such-program {training_set} {model}"},
            {},
            r"^model\.fit: there is no program 'no-such-program'; name one that ",
        ),
        (
            {**COPY, "sample": "./not-here {model} {samples} {n} {seed}"},
            {},
            r"^model\.sample: there is no program '\./not-here'; name one ",
        ),
        (COPY, {"dataset": "gaussian"}, r"^model 'command' learns pictures; for a world of points use gaussian, gmm or bootstrap$"),
        (COPY, {"init": "previous"}, r"^init: model\.fit has no \{previous\}, the folder of the model to begin with; put it where "),
        (
            {**COPY, "fit": fitting("true")},
            {"init": "folder:."},
            r"^init: model 'command' has no weights that a folder could hold; name the ",
        ),
        (COPY, {"regime": {"kind": "replace", "stream": True}}, r"^regime\.stream: model 'command' learns from a whole set at once"),
        ({**COPY, "files": ["train.py"]}, {}, r"^model\.files: there is no file 'train\.py' in /.*; name one that is there$"),
    ):
        with pytest.raises(Problem, match=said):
            made(tmp_path / "run", model, **more)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataProblem, match=r"^model 'command' learns pictures"):
        command().fit(points(5), 0)


# --- what goes in and comes out


@pytest.mark.parametrize("layout", ["npz", "zip", "imagefolder", "folder"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7)])
def test_every_layout_gives_back_what_it_was_given(layout: str, shape: tuple[int, int, int]) -> None:
    """Pictures and classes, in their order; of twelve classes, whose names would sort 10 before 2 were they not of one length."""
    images = pictures(24, shape)
    images = ImageSet.of(images.pixels, torch.arange(24).flip(0) % 12)
    drawn = command(training_set=layout, samples=layout).for_world(shape, 12).fit(images, 0).sample(24, 0)
    assert torch.equal(drawn.pixels, images.pixels)
    assert drawn.labels.tolist() == ([UNLABELLED] * 24 if layout == "folder" else images.labels.tolist())
    plain = command(training_set=layout, samples=layout).for_world(shape, 12).fit(ImageSet.of(images.pixels), 0).sample(24, 0)
    assert torch.equal(plain.pixels, images.pixels) and set(plain.labels.tolist()) == {UNLABELLED}


def test_some_without_a_class_and_grey_ones_in_three_channels() -> None:
    images = pictures(6)
    some = ImageSet.of(images.pixels, torch.tensor([1, -1, 0, -1, 1, 0]))
    assert (
        command(training_set="imagefolder", samples="imagefolder").for_world((1, 8, 8), 2).fit(some, 0).sample(6, 0).digest()
        == some.digest()
    )
    wide = ImageSet.of(images.pixels.expand(-1, 3, -1, -1).contiguous())
    fitted = command().for_world((1, 8, 8), 2).fit(wide, 0)
    fitted._shape = (1, 8, 8)
    assert torch.equal(fitted.sample(6, 0).pixels, images.pixels)
    fitted = command().for_world((1, 8, 8), 2).fit(images, 0)
    fitted._shape = (3, 8, 8)
    assert torch.equal(fitted.sample(6, 0).pixels, wide.pixels)


def array(made: str) -> str:
    """A line that writes that: `x` are 8 grey pictures of 8x8."""
    script = f"import sys, numpy as np; x = np.zeros((8, 8, 8, 1), np.uint8); np.savez(sys.argv[2], {made})"
    return shlex.join([sys.executable, "-c", script, "{model}", "{samples}", "{n}", "{seed}"])


@pytest.mark.parametrize(
    ("sample", "more", "said"),
    [
        (array("x[:5]"), {}, r"samples\.npz: holds 5 pictures, and 8 were asked for \(\{n\}\); write as many"),
        (array("np.concatenate([x, x])"), {}, r"samples\.npz: holds 16 pictures, and 8 were asked for"),
        (array("x[:, :4]"), {}, r"samples\.npz: its pictures are 8x4 pixels, the real ones 8x8; draw that size"),
        (array("x / 255"), {}, r"samples\.npz: arr_0 is float64; write the pixels 0 \.\.\. 255 as uint8"),
        (array("x.reshape(8, 64) / 255"), {}, r"samples\.npz: holds numbers of points; write pictures, uint8 \[N, H, W, C\]"),
        (array("x.astype(int)"), {}, r"samples\.npz: arr_0 is int64; write the pixels 0 \.\.\. 255 as uint8"),
        (
            array("np.arange(1536, dtype=np.uint8).reshape(8, 8, 8, 3)"),
            {},
            r"npz: 8 of its 8 pictures are in colour, the real ones are grey",
        ),
        (array("x, np.full(8, 2)"), {}, r"samples\.npz: a picture is of class 2, and there are 2 classes, 0 to 1; give it one of these"),
        (array("x, np.zeros(7, int)"), {}, r"samples\.npz: arr_1 is int64 \[7\]; write the class of each picture"),
        (array("x, np.zeros(8)"), {}, r"samples\.npz: arr_1 is float64 \[8\]; write the class of each picture"),
        (array("images=x"), {}, r"samples\.npz: holds images; write the pictures as arr_0"),
        (drawing("true"), {}, r"samples\.npz: nothing was written there \(\{samples\}\); write 8 pictures, as model\.samples says: npz"),
        (drawing('head -c 999 /dev/urandom > "$2"'), {}, r"samples\.npz: .*; it is cut, or no \.npz of plain arrays"),
        (drawing("true"), {"samples": "folder"}, r"/samples: nothing was written there"),
        (drawing('touch "$2/words.txt"'), {"samples": "folder"}, r"/samples: holds no pictures, but 1 \.txt; write png files there"),
        (
            drawing('mkdir "$2/cats"; cp "$1"/set/00000.png "$2/cats"'),
            {"samples": "imagefolder", "training_set": "folder"},
            r"/samples/cats: is not a ",
        ),
        (
            drawing('cp -r "$1"/set/. "$2"; cp "$1"/set/0/* "$2"'),
            {"samples": "imagefolder", "training_set": "imagefolder"},
            r"lie beside the ",
        ),
        (drawing('mkdir "$2"'), {"samples": "zip"}, r"/samples\.zip: nothing was written there"),
        (drawing('mkdir "$2"; cp "$1"/set "$2"'), {"samples": "zip"}, r"/samples\.zip: is a folder, and model\.samples is zip"),
    ],
)
def test_what_was_not_asked_for_is_said_and_kept_to_be_looked_at(sample: str, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    fitted = command(sample=sample, **more).for_world((1, 8, 8), 2).fit(pictures(8), 0)
    with programs.working_in(tmp_path / "run"), pytest.raises(ProgramProblem, match=r"^model\.sample: .*" + said) as found:
        fitted.sample(8, 0)
    said = str(found.value)
    assert f"(what it printed: {tmp_path / 'run' / 'sample.log'}); fix it, then run the same command again" in said and "\n" not in said
    assert (tmp_path / "run/sample/model/set").exists()
    assert (tmp_path / "run/sample.log").read_text().startswith(f"$ {line.split(sample)[0]} ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('rm "$2/set"', r"left nothing in \{model\}; let it write there what the program of model\.sample reads; what it printed is in /"),
        ('rm "$2/set"; mkdir "$2/empty"', r"left nothing in \{model\}"),
        ('ln -s "$1" "$2/link"', r"left a link in \{model\} \('link'\), and only files can be kept; copy what it stands for"),
        ('mkdir "$2/a"; ln -s / "$2/a/root"', r"left a link in \{model\} \('a/root'\)"),
        ('mkfifo "$2/pipe"', r"left no file and no folder in \{model\} \('pipe'\)"),
        ('touch "$2/imgcollapse.json"', r"left a file imgcollapse\.json in \{model\}, a name that is taken; give it another"),
        (
            "echo first; echo 'no luck' >&2; exit 3",
            r"exit code 3, its last line: 'no luck'; see /.*fit\.log; fix it, then run the same command",
        ),
        ("exit 3", r"exit code 3, without a word; see /"),
        ("kill -SEGV $$", r"ended by SIGSEGV, without a word; see /"),
        ("kill -KILL $$", r"ended by SIGKILL, perhaps because the memory was full, without a word; see /"),
    ],
)
def test_a_fit_that_fails_or_leaves_what_cannot_be_kept(script: str, said: str) -> None:
    with pytest.raises(ProgramProblem, match=r"^model\.fit: " + said):
        command(fit=fitting(script)).fit(pictures(8), 0)


def test_what_a_program_prints_is_kept_as_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    odd = r"\033]0;title\007\033[2J\377\376\000caf\303\251\342\200\256\tx\r1\n"
    binary = f'printf "{odd}"; head -c 3000 /dev/urandom; printf "\\nend" >&2; exit 1'
    with programs.working_in(tmp_path / "run"), pytest.raises(ProgramProblem, match=r"^model\.fit: exit code 1, its last line: 'end'; see"):
        command(fit=fitting(binary)).fit(pictures(8), 0)
    said = (tmp_path / "run/fit.log").read_bytes().decode()
    assert "\\x1b]0;title\\x07\\x1b[2J\\xff\\xfe\\x00café\\u202e\tx\r1\n" in said
    assert all(letter in "\n\t\r" or ord(letter) >= 32 for letter in said) and said.splitlines()[-1].startswith("# exit code 1, its last ")
    assert capfd.readouterr() == ("", ""), "nothing of it reaches the terminal"


def test_a_log_has_a_bound(tmp_path: Path) -> None:
    log = supervisor.Log(str(tmp_path / "log"))
    log._left = 10
    for printed in (b"12345", b"6789012345", b"never"):
        log.add(printed)
    assert (tmp_path / "log").read_text() == "123456789012345" + supervisor.CUT


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    ear, log = Ear(), tmp_path / "log"
    log.symlink_to("/dev/full")
    with progress.watched_by(ear), pytest.raises(OSError):
        programs.run("model.fit", ["true"], 0, log, None)
    unkept = supervisor.Log("/dev/full")
    unkept.add(b"lost")
    assert unkept.error and unkept._file is None


# --- how it is started, and how it ends


def test_what_a_program_finds_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LOCAL_SETTING", "mine")
    (tmp_path / "here").mkdir()
    script = fitting('env > "$2/env"; pwd > "$2/pwd"; cat > "$2/stdin"; ls -a "$2" > "$2/ls"')
    with devices.use(Machine(device="cpu", folder=tmp_path / "here")):
        fitted = command(fit=script).fit(pictures(8), 2**40 + 77)
    model = fitted._there()
    found = dict(one.split("=", 1) for one in (model / "env").read_text().splitlines() if "=" in one)
    assert found["IMGCOLLAPSE_SEED"] == found["PYTHONHASHSEED"] == "77" and found["IMGCOLLAPSE_DEVICE"] == "cpu"
    assert (
        found["CUDA_VISIBLE_DEVICES"] == ""
        and found["OMP_NUM_THREADS"] == str(torch.get_num_threads())
        and found["LOCAL_SETTING"] == "mine"
    )
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"} & set(found)
    assert (model / "pwd").read_text().strip() == str(tmp_path / "here") and (model / "stdin").read_text() == ""
    assert programs._visible(1, None) == "1" and programs._visible(1, "4, 6") == "6"


def test_what_works_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = fitting(f"sleep 100 & echo $! $$ > {shlex.quote(str(tmp_path / 'processes'))}; sleep 100")
    began = time.monotonic()
    with pytest.raises(
        ProgramProblem, match=r"^model\.fit: had not ended after 0\.5 s \(model\.timeout\), and was ended; see /.*; give it more "
    ):
        command(fit=script, timeout=0.5).fit(pictures(8), 0)
    assert time.monotonic() - began < 5
    assert all(ends(int(one), 2) for one in (tmp_path / "processes").read_text().split())


def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    command(fit=fitting(f"(sleep 100; echo never) & echo $! > {shlex.quote(str(tmp_path / 'process'))}")).fit(pictures(8), 0)
    assert ends(int((tmp_path / "process").read_text()), 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_ends_with_whoever_started_it(number: int, tmp_path: Path) -> None:
    """Killed: nobody is left to end it but the supervisor."""
    mark = tmp_path / "processes"
    words = [sys.executable, "-I", "-S", supervisor.__file__, str(tmp_path / "log"), "sh", "-c", f"sleep 100 & echo $! $$ > {mark}; wait"]
    script = f"import subprocess; subprocess.Popen({words!r}, stdin=subprocess.PIPE, start_new_session=True).wait()"
    starter = subprocess.Popen([sys.executable, "-I", "-S", "-c", script])
    processes = [int(one) for one in appears(mark).split()]
    assert all(map(is_alive, processes))
    starter.send_signal(number)
    starter.wait()
    assert all(ends(one) for one in processes)


def test_an_interrupt_ends_the_program_and_the_same_command_goes_on(tmp_path: Path) -> None:
    mark, go, own = tmp_path / "process", tmp_path / "go", quick(tmp_path)
    start = own["sample"].removesuffix("sample {model} {samples} {n} {seed}")
    own["sample"] = drawing(
        f'[ -e {go} ] || {{ echo $$ > {mark}; kill -INT {os.getpid()}; sleep 100; }}; exec {start} sample "$1" "$2" $3 $4'
    )
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "run", own, gens=1)
    assert ends(int(mark.read_text()), 2) and store.finished(tmp_path / "run") == []
    go.touch()
    assert store.finished(made(tmp_path / "run", own, gens=1)) == [0]


# --- in the loop


@pytest.mark.parametrize(
    ("regime", "more"),
    [
        ({"kind": "retain", "real_fraction": 0.5}, {"gates": [{"kind": "curate", "keep": 0.5}]}),
        ("accumulate", {"keep": {"models": "last"}}),
        ("teacher", {"judge": {"extractors": ["pixels"], "metrics": ["memorisation"]}}),
    ],
    ids=str,
)
def test_under_every_kind_of_regime_a_run_that_fails_goes_on_where_it_was_and_finds_the_same(
    regime: Any, more: dict[str, Any], tmp_path: Path
) -> None:
    own = quick(tmp_path)
    plain = made(tmp_path / "plain", own, regime=regime, **more)
    (tmp_path / "own.py").rename(tmp_path / "aside.py")
    broken = f"import os, sys\nif os.path.exists({str(tmp_path / 'broken')!r}) and 'gen_001' in sys.argv[2]: sys.exit('broken')\n"
    (tmp_path / "own.py").write_text(broken + (tmp_path / "aside.py").read_text())
    (tmp_path / "broken").touch()
    with pytest.raises(ProgramProblem, match=r"^model\.fit: exit code 1, its last line: 'broken'; see .*/programs/gen_001/fit\.log; "):
        made(tmp_path / "run", own, regime=regime, **more)
    assert store.finished(tmp_path / "run") == [0]
    before = files(tmp_path / "run" / "gen_000")
    (tmp_path / "broken").unlink()
    made(tmp_path / "run", own, regime=regime, **more)
    assert files(tmp_path / "run" / "gen_000").items() >= {n: c for n, c in before.items() if regime != "accumulate"}.items()
    assert generations(tmp_path / "run") == generations(plain)
    assert [path.name for path in sorted((tmp_path / "run/programs/gen_001").iterdir())] == ["fit.log", "sample.log"]
    assert all(store.misfit(tmp_path / "run", g, weights=True) is None for g in (0, 1))


@pytest.mark.parametrize(("init", "lines"), [("scratch", [1, 1, 1]), ("previous", [1, 2, 3]), ("base", [1, 2, 2])])
def test_a_program_begins_with_the_model_that_it_is_handed(init: str, lines: list[int], tmp_path: Path) -> None:
    """Each fit adds a line to the history of the model that it began with."""
    fit = fitting('[ -z "$3" ] || cat "$3/deep/history" > "$2/before"; mkdir "$2/deep"; cat "$2/before" 2>/dev/null > "$2/deep/history"; '
                  'echo fitted >> "$2/deep/history"; [ -z "$3" ] || rm -r "$3"; mv "$2/set" "$2/set.npz"')  # fmt: skip
    run = made(tmp_path / "run", quick(tmp_path, fit=fit), gens=3, init=init)
    assert [len((run / f"gen_{g:03d}/model/deep/history").read_text().splitlines()) for g in range(3)] == lines
    starts = [store.read_json(run / f"gen_{g:03d}/MANIFEST.json")["made_by"]["start"] for g in range(3)]
    assert [start and start["generation"] for start in starts] == {"scratch": [None] * 3, "previous": [None, 0, 1], "base": [None, 0, 0]}[
        init
    ]


def test_a_sample_that_fails_costs_no_fit(tmp_path: Path) -> None:
    count, broken = tmp_path / "count", tmp_path / "broken"
    own = quick(tmp_path)
    start = own["fit"].removesuffix("fit {training_set} {model} {seed}")
    fit = shell(f'echo fit >> {count}; exec {start} fit "$1" "$2" 0', "training_set", "model")
    sample = drawing(f'[ -e {broken} ] && exit 9; exec {start} sample "$1" "$2" $3 $4')
    broken.touch()
    for _ in range(2):
        with pytest.raises(ProgramProblem, match=r"^model\.sample: exit code 9, without a word; see "):
            made(tmp_path / "run", {"fit": fit, "sample": sample}, gens=1)
    assert count.read_text() == "fit\n"
    with (tmp_path / "run/programs/gen_000/fitted/model/set.npz").open("ab") as damaged:
        damaged.write(b"x")
    broken.unlink()
    made(tmp_path / "run", {"fit": fit, "sample": sample}, gens=1)
    assert count.read_text() == "fit\nfit\n", "what was changed meanwhile is fitted again"
    made(tmp_path / "run", {"fit": fit, "sample": sample}, gens=1)
    assert count.read_text() == "fit\nfit\n"


def test_studies_that_differ_in_how_they_draw_fit_once(tmp_path: Path) -> None:
    count, own = tmp_path / "count", quick(tmp_path)
    start = own["fit"].removesuffix("fit {training_set} {model} {seed}")
    fit = shell(f'echo fit >> {count}; exec {start} fit "$1" "$2" 0', "training_set", "model")
    for number, script in enumerate(('exec {} sample "$1" "$2" $3 $4', 'exec {} sample "$1" "$2" $3 1$4')):
        run = made(tmp_path / str(number), {"fit": fit, "sample": drawing(script.format(start))}, tmp_path / "shared", gens=1)
        kept = json.loads((run / "gen_000/model/imgcollapse.json").read_text())["options"]
        assert kept["sample"] == drawing(script.format(start)), "a model says how it drew itself"
    assert count.read_text() == "fit\n"
    assert files(tmp_path / "0/gen_000")["samples.npz"] != files(tmp_path / "1/gen_000")["samples.npz"]
    assert (
        "sample" not in learning({"model": command().model_dump()})["model"]
        and "fit" in learning({"model": command().model_dump()})["model"]
    )


def test_an_edited_script_or_another_version_is_another_study_and_another_time_limit_is_not(tmp_path: Path) -> None:
    own = quick(tmp_path)
    run = made(tmp_path / "run", own, gens=1)
    written = store.read_json(run / "gen_000/MANIFEST.json")["written"], (run / "gen_000/samples.npz").stat().st_mtime_ns
    made(run, {**own, "timeout": 600}, gens=1)
    assert (
        "timeout: 600.0" in (run / "study.yaml").read_text()
        and "timeout" not in store.read_json(run / "gen_000/MANIFEST.json")["made_by"]["model"]
    )
    made(run, own, gens=2)
    assert written == (store.read_json(run / "gen_000/MANIFEST.json")["written"], (run / "gen_000/samples.npz").stat().st_mtime_ns)
    with pytest.raises(OtherStudyProblem, match=r"/run: holds another study \(model\.version '', now '2'\); choose another --out$"):
        made(run, {**own, "version": "2"})
    script = tmp_path / "own.py"
    before = script.read_text()
    script.write_text(before + "# edited\n")
    with pytest.raises(
        OtherStudyProblem, match=r"/run: holds another study \(model\.sha256\.\S*own\.py '\w+', now '\w+'\); choose another --out$"
    ):
        made(run, own, gens=3)
    with pytest.raises(
        DataProblem, match=r"^model\.sha256: '\S*own\.py' is not the file that this study began with \(\w{12}\.\.\., now \w{12}"
    ):
        models.load(run / "gen_001/model").sample(3, 0)
    script.unlink()
    done("judge", run, "--extractor", "pixels")  # what was drawn is judged without the program
    script.write_text(before)
    made(run, own, gens=3)
    assert store.finished(run) == [0, 1, 2]


def test_the_manual_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(block("python"))
    (tmp_path / "own.yaml").write_text(block("yaml"))
    assert len(block("python").splitlines()) <= 15
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')  # the one that has NumPy
    (tmp_path / "bin/python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    done("run", "--config", "own.yaml", "--gens", "2", "--samples", "60", "--extractor", "pixels", "--out", "out")
    with np.load("out/gen_000/model/gaussian.npz") as model, np.load("out/gen_001/samples.npz") as drawn:
        assert drawn["pixels"].shape == (60, 1, 8, 8) and model["root"].shape == (64, 64)
    done("card", "out", "--out", "card")
    assert "To draw executes the command line `model.sample` of `study.yaml`" in (tmp_path / "card/model/README.md").read_text()
    monkeypatch.chdir(tmp_path / "bin")  # a folder in which there is no such script
    failed = call("run", "--config", "../own.yaml", "--samples", "60", "--extractor", "pixels", "--out", "other")
    assert failed.exit_code == 9 and "model.fit: exit code 2, its last line: " in failed.output and "can't open file" in failed.output


@pytest.mark.parametrize("number", [2, 3])
def test_the_lines_of_others_in_the_manual_are_lines(number: int) -> None:
    """They are not executed: that they can be read, and name all that they must, is looked at."""
    own: Any = build(Study, read_value(block("yaml", number), "manual")).model
    words = line.filled(own.model_dump()["sample"], {"model": "/m m", "samples": "/s", "n": 64, "seed": 7, "classes": 10})
    assert words[:2] == ["sh", "-c"] and words[3:] == ["sh", "/m m", "/s", "7", "64"] and own.samples == "folder"
    said = subprocess.run(["sh", "-c", words[2].replace("python", "echo"), *words[3:]], capture_output=True, text=True)
    assert said.stdout.split(" --seeds=")[1].split()[0] == "7-70"


# --- slow: whole processes, engines, a network


def terminal(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "imgcollapse", *map(str, arguments)]


def in_yaml(own: dict[str, Any], path: Path, **more: Any) -> Path:
    path.write_text(json.dumps({**TINY, "model": own, **more}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_in_the_middle_of_a_fit_leaves_nobody_behind_and_goes_on(number: int, tmp_path: Path) -> None:
    own, mark = quick(tmp_path), tmp_path / "mark"
    plain = made(tmp_path / "plain", own)
    script = f"import os, sys, time\nif sys.argv[1] == 'fit' and 'gen_001' in sys.argv[2] and not os.path.exists({str(mark)!r}):\n"
    script += f"    open({str(mark)!r}, 'w').write(str(os.getpid()))\n    time.sleep(300)\n"
    (tmp_path / "own.py").write_text(script + (tmp_path / "own.py").read_text())
    again = terminal("run", "--config", in_yaml(own, tmp_path / "own.yaml"), "--out", tmp_path / "run")
    running = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    program = int(appears(mark))
    running.send_signal(number)
    said = running.communicate()[1]
    assert running.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert ends(program) and store.finished(tmp_path / "run") == [0]
    subprocess.run(again, check=True, capture_output=True)
    assert generations(tmp_path / "run") == generations(plain)


@pytest.mark.slow
def test_of_two_processes_the_first_starts_the_program_alone(tmp_path: Path) -> None:
    own = quick(tmp_path)
    arguments = ["run", f"--config={in_yaml(own, tmp_path / 'own.yaml')}", f"--out={tmp_path / 'two'}"]
    codes, said = launch(imgcollapse, *arguments).end()
    assert codes == [0, 0], said
    assert generations(tmp_path / "two") == generations(made(tmp_path / "one", own))
    assert (tmp_path / "two/programs/gen_000/fit.log").read_text().count("\n$ ") == 0
    broken = {**own, "fit": fitting("exit 4")}
    codes, said = launch(imgcollapse, "run", f"--config={in_yaml(broken, tmp_path / 'broken.yaml')}", f"--out={tmp_path / 'broken'}").end()
    assert codes[0] == 9 and "model.fit: exit code 4" in said[0], said


@pytest.mark.slow
def test_an_ablation_with_it_and_the_null_models(tmp_path: Path) -> None:
    own = relative(tmp_path)
    grid = {"base": {**TINY, "model": own}, "arms": {"none": {"regime": "replace"}, "all": {"regime": "accumulate"}}, "seeds": 1}
    (tmp_path / "grid.yaml").write_text(json.dumps(grid))
    done("ablate", "grid.yaml", "--jobs", "2", "--out", "out")
    plan = json.loads((tmp_path / "out/plan.json").read_text())["runs"]
    runs = {one["arm"]: tmp_path / "out/runs" / one["run"] for one in plan if one["null"] is None}
    assert {one["null"] for one in plan} == {None, "bootstrap", "smooth"}
    for arm, regime in (("none", "replace"), ("all", "accumulate")):
        assert generations(runs[arm]) == generations(made(tmp_path / regime, own, regime=regime))
    (tmp_path / "own.py").write_text((tmp_path / "own.py").read_text() + "# edited\n")
    said = done("ablate", "grid.yaml", "--jobs", "2", "--out", "out", "--no-nulls").output
    assert (
        "arm 'none' is not what it was (model.sha256.own.py '" in said
        and "): 2 runs have other settings now and are made again; the old ones stay in out/runs" in said
    )


def relative(folder: Path) -> dict[str, Any]:
    """Lines that name the script as it is seen from its folder."""
    return {option: value.replace(str(folder / "own.py"), "own.py") for option, value in quick(folder).items()}


@pytest.mark.slow
def test_workers_of_ray_start_it_where_the_ablation_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    own, here = relative(tmp_path), Machine(device="cpu", precision="float32")
    chosen = study.prepare(build(Study, {**TINY, "model": own}))[0]
    run = tmp_path / "out/runs" / chosen.name()
    worker.lay_out(run, chosen, Resources.of(here, 1, tmp_path / "out/shared"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ray([run], EngineConfiguration(jobs=1, threads=1, options={}), lambda: None)
    assert worker.read_failure(run) is None, worker.read_failure(run)
    monkeypatch.chdir(tmp_path)
    assert generations(run) == generations(made(tmp_path / "plain", own))


NETWORK = """
import os, sys, numpy as np, torch
from torch import nn

task, *paths, seed = sys.argv[1:]
torch.manual_seed(int(seed))
torch.use_deterministic_algorithms(True)
net = nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 64), nn.Sigmoid())
if task == "fit":
    if len(paths) > 2 and paths[2]:
        net.load_state_dict(torch.load(paths[2] + "/net.pt", weights_only=True))
    x = torch.from_numpy(np.load(paths[0])["arr_0"]).flatten(1) / 255
    codes = (x - x.mean(0)) @ torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][:8].T
    codes = codes / codes.std(0)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(150):
        loss = (net(codes) - x).square().mean()
        optimiser.zero_grad(); loss.backward(); optimiser.step()
    print(f"loss {loss.item():.4f}")
    os.mkdir(paths[1] + "/more")
    torch.save(codes.std(0), paths[1] + "/more/spread.pt")
    torch.save(net.state_dict(), paths[1] + "/net.pt")
else:
    net.load_state_dict(torch.load(paths[0] + "/net.pt", weights_only=True))
    with torch.no_grad():
        x = net(torch.randn(int(paths[2]), 8))
    np.savez(paths[1], (x * 255).round().byte().reshape(-1, 8, 8, 1).numpy())
"""


@pytest.mark.slow
def test_a_network_of_ones_own_that_is_killed_and_goes_on_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    start = shlex.join([sys.executable, str(tmp_path / "net.py")])
    own = {
        "kind": "command",
        "fit": f"{start} fit {{training_set}} {{model}} {{previous}} {{seed}}",
        "sample": f"{start} sample {{model}} {{samples}} {{n}} {{seed}}",
    }
    plain = made(tmp_path / "plain", own, init="previous", samples=200, dataset="digits")
    loss = [float((plain / f"programs/gen_{g:03d}/fit.log").read_text().split("loss ")[1].split()[0]) for g in range(2)]
    real = study.prepare(build(Study, TINY))[1].train.pixels.double() / 255
    assert loss[0] < 0.8 * float(real.var(0).mean()), "it has learned: the mean alone has that loss"
    again = terminal(
        "run", "--config", in_yaml(own, tmp_path / "own.yaml", init="previous", samples=200, dataset="digits"), "--out", tmp_path / "run"
    )
    running = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    appears(tmp_path / "run/programs/gen_001/fit.log")
    running.kill()
    running.wait()
    assert store.finished(tmp_path / "run") == [0]
    subprocess.run(again, check=True, capture_output=True)
    assert generations(tmp_path / "run") == generations(plain)
