"""The last line of long work: results are written before they are printed, printing cannot fail, no choice of metrics leaves it empty."""

import errno
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from chains import put_scores
from PIL import Image
from rich.console import Console
from terminal import call, done

from imgcollapse import reports, store
from imgcollapse.ablation.engines import Engine
from imgcollapse.ablation.summary import headline, rows, summarise, table_lines
from imgcollapse.cli import main as cli
from imgcollapse.errors import CURES, SettingsProblem, SystemProblem
from imgcollapse.exchange.card import write as write_cards
from imgcollapse.files import locks, places, to_json, write_text
from imgcollapse.interface import console
from imgcollapse.judges.judge import Reference
from imgcollapse.machine import streams
from imgcollapse.metrics import METRICS, askable
from imgcollapse.metrics.record import Scores
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports import paper
from imgcollapse.settings import build, read_file, to_yaml
from imgcollapse.store.identity import study_digest
from imgcollapse.store.records import read_json, write_sealed
from imgcollapse.study import Study, prepare
from imgcollapse.track.tracker import scalars

pytestmark = pytest.mark.figures

QUICK = ["--model", "bootstrap", "--extractor", "pixels", "--set", "dataset.subset=60", "--gens", "2"]
AGAINST = ["--against", "digits", "--set", "dataset.subset=60", "--extractor", "pixels", "--n", "50"]
POINTS = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=100", "--gens", "2"]
ROOT = Path(cli.__file__).parent.parent


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain") / "run"
    done("run", *QUICK, "--out", folder)
    return folder


# --- streams


def python(code: str, shell: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """A process of its own with these redirections; nothing heavy is imported."""
    command = f'exec "$0" -c "$1" {shell}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )


LINES = (
    "from imgcollapse.machine import streams; streams.steady(); [streams.out('line é ' * 100) for _ in range(1000)]; streams.err('end'); "
)


@pytest.mark.parametrize(("shell", "said"), [("| head -1 >&2", "end"), (">&-", "end"), ("2>&-", ""), (">&- 2>&-", ""), ("| true", "end")])
def test_a_reader_that_went_away_is_no_error(shell: str, said: str) -> None:
    code = LINES + "open('kept', 'w').write('whole'); import sys; sys.exit(3)"
    found = python(code, shell.replace("| ", "> >(").replace("head -1 >&2", "head -1 >/dev/null)").replace("true", "true)"))
    assert (found.returncode, found.stderr.strip()) == (3, said), found.stderr
    assert Path("kept").read_text() == "whole", "and no file takes the place of what was closed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said_once_and_the_exit_code_stays() -> None:
    found = python(LINES + "import sys; sys.exit(3)", "> /dev/full")
    assert found.returncode == 3
    first = "imgcollapse: not all of what was printed could be written (No space left on device)"
    assert found.stderr.splitlines() == [first, "end"]
    assert python(LINES, "2> /dev/full").returncode == 0


@pytest.mark.parametrize("shell", ["> /dev/full", "> >(true)", ">&-", ">&- 2>&-"])
def test_help_too(shell: str) -> None:
    found = python("from imgcollapse.cli.main import main; main(['run', '--help'])", shell)
    assert found.returncode == 0 and "Traceback" not in found.stderr and "Exception ignored" not in found.stderr


def test_a_pipe_that_does_not_block_and_is_full_gets_all_of_it() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    found = bytearray()

    def read() -> None:
        while block := os.read(reading, 4096):
            found.extend(block)

    kept = open(writing, "w", encoding="utf-8")
    stream = streams._steadied(kept, 1)
    thread = threading.Thread(target=read)
    thread.start()
    stream.write("0123456789" * 100_000)
    stream.flush()
    kept.close()
    thread.join(60)
    os.close(reading)
    assert found == b"0123456789" * 100_000
    stream.write("more")
    stream.flush()  # and what somebody has closed is no error either


@pytest.mark.parametrize("charset", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_every_console_can_show_it(charset: str, chain: Path) -> None:
    for arguments in (["list"], ["list", "frechet_infinity"], ["status", chain], ["doctor"]):
        done(*arguments, charset=charset)
    out = done("score", chain, *AGAINST, "--out", "s.json", charset=charset)
    assert Path("s.json").is_file() and "real vs real" in out.stdout
    head = next(line for line in out.stdout.splitlines() if "real vs real" in line)
    assert head[0] == ("┃" if charset == "utf-8" else "|"), "boxes of letters that the console has"
    heads = [line for line in out.stdout.splitlines() if line[:1] == head[0]]
    assert len({len(line) for line in heads}) == 1, "and the columns stand under each other"


def test_json_is_ascii_and_reads_back_as_the_same_paths(capsys: pytest.CaptureFixture[str]) -> None:
    path = os.fsdecode(b"lat\xe9n/\xe7\x1b")
    streams.out_json({"path": path, "é": "猫"})
    said = capsys.readouterr().out
    assert said.isascii() and json.loads(said) == {"path": path, "é": "猫"}


def test_a_record_with_bytes_that_are_no_text_is_written_and_read_back(tmp_path: Path) -> None:
    record = {"path": os.fsdecode(b"lat\xe9n"), "name": "猫 \\udce9"}
    write_text(tmp_path / "record.json", to_json(record))
    assert read_json(tmp_path / "record.json") == record
    assert (tmp_path / "record.json").read_bytes().decode("utf-8")


def test_a_set_with_a_path_that_is_no_text_is_scored(chain: Path, tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"lat\xe9n")
    shutil.copytree(chain, place)
    arguments = ["score", place, *AGAINST, "--out", "s.json"]
    assert "lat\\xe9n" in done(*arguments).stdout
    (one,) = read_json(Path("s.json"))["samples"].values()
    assert one["path"] == str(place), "the very path"
    assert json.loads(done(*arguments, "--json").stdout) == read_json(Path("s.json"))
    for command in (["card", place], ["export", place, "--to", "npz"], ["status", place]):
        assert "lat\\xe9n" in done(*command).stdout.replace("\n", "")  # a heading may be broken


# --- outputs are tried first


def test_a_place_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    places.tried(tmp_path / "a" / "b" / "c.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    for place in (
        tmp_path / "file" / "x",
        tmp_path / "file" / "x" / "y",
        tmp_path / ("x" * 300),
        Path("/proc/nowhere/x"),
        tmp_path / "a\0b",
    ):
        with pytest.raises(SettingsProblem, match="cannot be written"):
            places.tried(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


REFUSED = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS]


@pytest.mark.parametrize("number", REFUSED)
@pytest.mark.parametrize("where", ["write", "open", "mkdir"])
def test_what_the_system_refuses_is_no_fault_of_the_name_and_nothing_stays(
    where: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if where == "write":
            patch.setattr(locks, "mark", refuses)  # the file is there, and nothing can be written into it
        else:
            patch.setattr(Path, where, refuses)
        with pytest.raises(SystemProblem) as refused:
            places.tried(tmp_path / "a" / "b.json")
    said = f"{tmp_path}/a/b.json: {os.strerror(number)}; {CURES[number]}; choose another --out"
    assert str(refused.value) == said and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP])
def test_what_is_wrong_with_the_name_is_a_setting(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuses)
    with pytest.raises(SettingsProblem) as refused:
        places.tried(tmp_path / "x")
    assert str(refused.value) == f"{tmp_path}/x: cannot be written ({os.strerror(number)}); choose another --out"


def test_the_longest_name_that_is_tried_can_be_used(tmp_path: Path) -> None:
    longest = max(n for n in range(1, 256) if not _is_refused(tmp_path / ("x" * n)))
    assert longest > 200 and list(tmp_path.iterdir()) == []
    for _ in range(2):
        with places.placed(tmp_path / ("x" * longest), {}) as draft:
            (draft / "a").write_text("a")


def _is_refused(place: Path) -> bool:
    try:
        places.tried(place)
    except SettingsProblem:
        return True
    return False


@pytest.mark.parametrize("command", ["run", "ablate"])
def test_a_trial_that_was_killed_leaves_a_folder_that_can_be_used(command: str) -> None:
    Path("here").mkdir()
    code = "import os, signal; from pathlib import Path; from imgcollapse.files import locks, places; "
    code += "locks.mark = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL); places.tried(Path('here/study.yaml'))"
    assert python(code).returncode == -9 and len(list(Path("here").iterdir())) == 1
    grid = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=100", "--seeds", "1", "--gens", "1", "--jobs", "1"]
    done(command, *(QUICK if command == "run" else [*grid, "--set", "judge.extractors=[]", "--no-nulls"]), "--out", "here")
    assert not list(Path("here").glob(".imgcollapse-*"))


@pytest.mark.parametrize("command", ["run", "ablate", "score", "report", "card", "export"])
def test_every_output_is_tried_before_the_work(command: str, chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("mine")

    def work(*arguments: object, **more: object) -> None:
        pytest.fail("the work began")

    for place in (
        "imgcollapse.datasets.load",
        "imgcollapse.reports.read",
        "imgcollapse.exchange.card.Subject.of",
        "imgcollapse.exchange.samples.generation",
    ):
        monkeypatch.setattr(place, work)
    arguments = {
        "run": [*QUICK, "--out", "file/run"],
        "ablate": ["--dataset", "digits", "--model", "gmm", "--out", "file/run"],
        "score": [chain, "--against", "digits", "--out", "file/s.json"],
        "report": [chain, "-o", "file/page.html"],
        "card": [chain, "--out", "file/card"],
        "export": [chain, "--to", "npz", "--out", "file/x.npz"],
    }[command]
    result = call(command, *arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("imgcollapse: file/") and "cannot be written (Not a directory); choose another -" in line
    assert [path.name for path in Path.cwd().iterdir()] == ["file"]


NOBODY = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_a_folder_that_is_not_ours_is_refused_at_once(chain: Path, tmp_path: Path) -> None:
    code = "from pathlib import Path; from imgcollapse.files.places import tried; tried(Path('scores/x.json'))"
    os.chmod(tmp_path, 0o755)
    probe = subprocess.run([*NOBODY, sys.executable, "-c", "import imgcollapse"], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd="/")
    if probe.returncode:
        pytest.skip("this interpreter is closed to other users")
    found = subprocess.run(
        [*NOBODY, sys.executable, "-c", code], cwd="/usr", capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert "scores/x.json: cannot be written (Permission denied); choose another --out" in found.stderr


def test_the_card_of_a_run_that_is_read_only_is_ours(chain: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(chain, tmp_path / "own"))
    model = own / "gen_001" / store.MODEL
    for path in (*model.rglob("*"), model):
        path.chmod(0o555 if path.is_dir() else 0o444)
    write_cards(own, out=tmp_path / "card")
    for path in (tmp_path / "card" / "model").rglob("*"):
        assert path.stat().st_mode & 0o200, path
    assert (tmp_path / "card" / "model").stat().st_mode & 0o200
    assert not list(tmp_path.glob(".card*"))


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_what_cannot_be_written_after_all_is_printed(more: list[str], chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgcollapse.interface.scoring.write_text", full)
    result = call("score", chain, *AGAINST, *more)
    assert result.exit_code == 8 and ('"real": ' if more else "real vs real") in result.stdout, result.output
    line = result.stderr.splitlines()[-1]
    assert re.match(r"imgcollapse: scores/digits-\w{6}\.json: No space left on device; make room there, or ", line), line
    assert line.endswith("; what was found stands above; choose another --out")


# --- nothing is made before all that can be refused is refused


@pytest.mark.parametrize("command", ["run", "ablate"])
@pytest.mark.parametrize(
    "wrong",
    [
        ["--device", "gpu"],
        ["--device", "cuda:99"],
        ["--precision", "x"],
        ["--dataset", "nothing"],
        ["--dataset", "grid25", "--model", "ddpm"],
        ["--dataset", "grid25", "--model", "vae"],
        ["--dataset", "grid25", "--model", "gmm", "--extractor", "classifier"],
        ["--extractor", "nothing"],
        ["--extractor", "inception", "--inception-weights", "nowhere.pt"],
        ["--set", "judge.metrics=[nothing]"],
        ["--set", "judge.k=100000"],
        ["--set", "model.nothing=1"],
        ["--real-fraction", "2"],
        ["--samples", "0"],
        ["--gens", "0"],
        ["--track", "nothing"],
        ["--nothing"],
    ],
    ids=" ".join,
)
def test_a_refusal_leaves_nothing(command: str, wrong: list[str]) -> None:
    result = call(command, *wrong)
    assert result.exit_code in (2, 3), result.output
    assert "Traceback" not in result.output and list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["run", "--config", "none.yaml"], ["ablate", "none.yaml"], ["ablate", "--engine", "cloud"], ["ablate", "--engine-option", "a=1"]],
)
def test_a_refusal_of_one_command_leaves_nothing(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and list(Path.cwd().iterdir()) == [], result.output


def test_a_cluster_may_have_what_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*given: object) -> None:
        raise SettingsProblem("as far as it goes")

    monkeypatch.setattr("imgcollapse.interface.ablating.ENGINES", {"local": Engine(reached, here=True), "slurm": Engine(reached)})
    assert "'tpu' is not a device" in call("ablate", "--engine", "slurm", "--device", "tpu").stderr
    assert "'half' is none of" in call("ablate", "--engine", "slurm", "--precision", "half").stderr
    assert "as far as it goes" in call("ablate", "--engine", "slurm", "--device", "cuda:99", "--precision", "bfloat16").stderr
    assert "GPU" in (said := call("ablate", "--device", "cuda:99").stderr) or "has no 'cuda:99'" in said


def test_what_is_there_is_said_as_it_is(tmp_path: Path) -> None:
    short = [*QUICK[:-1], "1"]
    done("run", *short, "--out", "here")
    assert done("run", *short, "--out", "here").stderr.splitlines()[1] == "here: 1 of 1 generations are there; going on from here"
    more = done("run", *QUICK, "--out", "here")
    assert more.stderr.splitlines()[1] == "here: 1 of 2 generations are there; going on from here"
    fewer = done("run", *short, "--out", "here")
    assert fewer.stderr.splitlines()[1] == "here: 1 of 1 generations are there; going on from here (1 beyond them left as they are)"
    study = Path("here/study.yaml")
    study.write_text(study.read_text().replace("gens: 2", "gens: 1"))
    again = done("run", *short, "--out", "here")
    assert again.stderr.splitlines()[1] == "here: 1 of 1 generations are there; going on from here (1 beyond them left as they are)"
    (row,) = [line for line in done("status", "here").stdout.splitlines() if "bootstrap" in line]
    assert "done" in row and "1 of 1" in row
    assert json.loads(done("status", "here", "--json").stdout)["runs"][0]["generations"] == 1


# --- every choice of metrics


class Choices:
    """A run that can be had with any choice of metrics at once: each was measured alone, by every extractor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        chosen = build(Study, read_file(folder / store.STUDY))
        study, world, _ = prepare(chosen)
        self.study, self.parts = study, dict[str, list[Scores]]()
        self.references = dict[str, dict[str, Any]]()
        for name in askable():
            reference: Reference = study.judge.model_copy(update={"metrics": (name,)}).open(world, study.samples)
            samples = [store.read_images(folder / f"gen_{g:03d}" / store.SAMPLES) for g in range(study.gens)]
            self.parts[name] = [reference(drawn, learned).scores for drawn, learned in zip(samples, [world.train, *samples], strict=False)]
            self.references[name] = reference.record()
        empty = study.judge.model_copy(update={"metrics": ()}).open(world, study.samples)
        self.empty, self.record = empty(samples[0]).scores, {"data": world.record(), "judge": empty.record()}

    def with_metrics(self, names: tuple[str, ...], place: Path) -> Path:
        """The run as it is judged by these."""
        shutil.copytree(self.folder, place, ignore=shutil.ignore_patterns("*.png", "report*", "scores"))
        judge = self.study.judge.model_copy(update={"metrics": names})
        write_text(place / store.STUDY, to_yaml(self.study.model_copy(update={"judge": judge})))
        record = json.loads(to_json(self.record))
        record["judge"]["metrics"] = {name: METRICS[name].version for name in names}
        for extractor, about in record["judge"]["extractors"].items():
            about["real"] = {key: value for name in names for key, value in self.references[name]["extractors"][extractor]["real"].items()}
        begun = {"study": study_digest(read_file(place / store.STUDY)), "sessions": store.sessions(place)}
        write_sealed(place / store.ENVIRONMENT, begun)
        for generation in range(self.study.gens):
            scores = json.loads(to_json(self.empty.of_generation(generation).record()))
            for extractor, judged in scores["sources"].items():
                for name in names:
                    judged |= self.parts[name][generation].record()["sources"][extractor]
            put_scores(place, generation, scores, record["judge"])
        return place


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Choices]:
    folder = tmp_path_factory.mktemp("choices")
    judge = "judge.extractors=[pixels, classifier]"
    done("run", *QUICK[:2], *QUICK[4:], "--set", judge, "--set", "judge.metrics=[]", "--out", folder / "pictures")
    done("run", *POINTS, "--set", "judge.metrics=[]", "--out", folder / "points")
    return {name: Choices(folder / name) for name in ("pictures", "points")}


def shown_of(place: Path, names: tuple[str, ...]) -> None:
    """All that is shown of a run says something, and nothing that was not measured."""
    scores = store.scores(place)
    measured = {name for one in scores[0].sources.values() for name in one if name in SCORES}
    made = [path.name for path in reports.draw(place)]
    assert ("curves.png" in made) == bool(measured), names
    said = console.in_short(scores[0])
    assert said and (said == "nothing was measured") == (not measured)
    out = Console(file=io.StringIO(), width=200)
    judge = store.known_reference(place)["judge"]
    for extractor, table in console.tables(scores, judge).items():
        there = worth_showing(console.MOST, scores[0].sources[extractor])
        assert isinstance(table, str) == (not there) and (isinstance(table, str) or [c.header for c in table.columns[1:]])
        out.print(table)
    findings = reports.read([place])
    assert bool(findings.extractors) == bool(measured)
    page = reports.write(findings, place / "report.html").page.read_text(encoding="utf-8")
    assert ("What is lost" in page) == bool(measured)
    for name in measured:
        assert f'id="chart-{name}"' in page or f'-{name}"' in page, name
    assert ("Nothing was measured" in page) == (not measured)
    lines = table_lines(findings.summary)
    assert set(lines) == set(findings.extractors) and all(any(row[3:]) for table in lines.values() for row in table[1:])
    assert all(headline(findings.summary)) and scalars(scores[0]).keys() >= {
        f"{e}/{m}" for e, one in scores[0].sources.items() for m in one if m in SCORES
    }


def random_choices(count: int) -> list[tuple[str, ...]]:
    draws = random.Random(12)
    return [tuple(draws.sample(askable(), draws.randint(1, 4))) for _ in range(count)]


@pytest.mark.parametrize("world", ["pictures", "points"])
@pytest.mark.parametrize(
    "names", [(), ("frechet_infinity",), ("memorisation",), ("vendi_score",), ("class_variety",), *random_choices(2)], ids=" ".join
)
def test_every_choice_of_metrics_has_a_table_curves_and_a_page(
    world: str, names: tuple[str, ...], choices: dict[str, Choices], tmp_path: Path
) -> None:
    shown_of(choices[world].with_metrics(names, tmp_path / "run"), names)


# some at a time, for one alone takes seconds; that a page with a single one says something is tried above, of some
BESIDE = [*(("pictures", tuple(askable()[start::5])) for start in range(5)), *(("points", names) for names in random_choices(2))]


@pytest.mark.slow
@pytest.mark.parametrize(("world", "names"), BESIDE, ids=lambda one: one if isinstance(one, str) else " ".join(one))
def test_every_choice_of_metrics_has_all_that_lies_beside_a_page(
    world: str, names: tuple[str, ...], choices: dict[str, Choices], tmp_path: Path
) -> None:
    place = choices[world].with_metrics(names, tmp_path / "run")
    shown_of(place, names)
    found, page = reports.read([place]), place / reports.PAGE
    reports.write(found, page, aside=True)
    assert place / "report_files" / "report.md" in reports.beside(found, page)
    write_cards(place, out=tmp_path / "card")
    done("score", place, "--against", "digits", "--set", f"judge.metrics=[{','.join(names)}]", *QUICK[2:6]) if world == "pictures" else None


def test_arms_may_have_different_metrics(choices: dict[str, Choices], tmp_path: Path) -> None:
    from imgcollapse.ablation.summary import Run

    runs = []
    for names in ((), ("frechet_distance",), ("vendi_score", "memorisation"), ("class_variety", "neighbourhood"), ("frechet_infinity",)):
        arm = " ".join(names) or "nothing"
        place = choices["pictures"].with_metrics(names, tmp_path / arm.replace(" ", "_"))
        study = build(Study, read_file(place / store.STUDY))
        runs += [Run(arm, null, 0, study, place) for null in (None, "bootstrap")]
    record = {"question": "", **summarise(runs, rows(runs), runs[2].arm)}
    made = reports.draw_ablation(tmp_path, runs, record)
    assert [path.name for path in made] == ["curves.png", "forest.png", "grids.png"]
    findings = reports.read(list({run.folder: run.folder for run in runs}))
    assert {name for name, _ in paper.pages(findings)} >= {"curves", "fd", "vendi", "fd_infinity"}
    assert not any("nothing" in row for row in table_lines(record)["pixels"]), "an arm of which nothing is known has no line"
    for head, *lines in table_lines(record).values():
        assert all(len(line) == len(head) and any(line[3:]) for line in lines), "and every other one has a number"
    page = reports.write(findings, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert "What is lost" in page


@pytest.mark.slow
def test_a_few_arms_with_other_metrics_from_the_command_line(tmp_path: Path) -> None:
    arms = {
        "fd": {"judge": {"metrics": ["frechet_distance"]}},
        "none": {"judge": {"metrics": []}},
        "=1+1": {"judge": {"metrics": ["vendi_score"]}},
    }
    base = {"dataset": {"kind": "digits", "subset": 60}, "model": "bootstrap", "gens": 2, "judge": {"extractors": ["pixels"]}}
    Path("a.yaml").write_text(yaml.safe_dump({"base": base, "arms": arms, "seeds": 1}))
    said = done("ablate", "a.yaml", "--out", "out", "--jobs", "1")
    assert "nothing was measured" in said.stderr and Path("out/curves.png").is_file()
    assert "Nothing was measured with: none" in Path("out/report.html").read_text(encoding="utf-8")
    done("report", "out")
    with Image.open("out/curves.png") as curves:
        assert curves.width > 600


def test_what_was_preferred_comes_first_and_nothing_stays_empty() -> None:
    assert worth_showing(2, {"recall", "coverage", "vendi", "share_0"}) == ["coverage"], "of rank 6 and 2"
    assert worth_showing(6, {"recall", "coverage", "precision"}) == ["precision", "recall", "coverage"], "in the order of the metrics"
    assert worth_showing(2, ["own_copies", "vendi", "jsd", "share_0"]) == ["jsd", "vendi"]
    assert worth_showing(1, ["share_0"]) == []
