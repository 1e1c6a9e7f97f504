"""`import imgcollapse`: the functions, and that they do what the commands do, to the byte."""

import doctest
import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_runs import outcome
from terminal import call, done

import imgcollapse as ic
from imgcollapse import errors, progress, store
from imgcollapse.interface import notebook, opened
from imgcollapse.interface.told import in_keywords
from imgcollapse.metrics.record import Scores

POINTS: dict[str, Any] = {"dataset": "gaussian", "model": "gaussian", "gens": 2, "set": {"dataset.size": 60}}
SAME = ["--dataset", "gaussian", "--model", "gaussian", "--gens", "2", "--set", "dataset.size=60"]
TIMES = ("MANIFEST.json", "environment.json", "history.jsonl", "report.html", "ledger.jsonl", "log.txt")


def python(code: str, *arguments: str, **more: Any) -> str:
    """What a program prints."""
    asked = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, **more)
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


# --- what is there, and what it costs to import it


def test_the_import_is_instant_and_brings_nothing_heavy() -> None:
    code = "import sys; old = set(sys.modules); import imgcollapse; print(*{name.partition('.')[0] for name in set(sys.modules) - old})"
    came = set(python(code).split())
    assert not came - {*sys.stdlib_module_names, "imgcollapse"}, "the standard library alone: neither torch, numpy, pydantic nor click"


def test_public_names_are_there_with_types_and_docstrings() -> None:
    assert {name for name in vars(errors) if name.endswith("Problem")} <= set(ic.__all__), "every error that a call may raise"
    for name in set(ic.__all__) - {"__version__"}:
        public = getattr(ic, name)
        assert inspect.getdoc(public), name
        if inspect.isfunction(public):
            assert all(one.annotation is not one.empty for one in inspect.signature(public).parameters.values()), name
            assert inspect.signature(public).return_annotation is not inspect.Signature.empty and ">>>" in str(public.__doc__), name
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        ic.rum  # noqa: B018


@pytest.mark.parametrize("where", [ic, opened], ids=lambda one: one.__name__)
def test_examples_in_docstrings(where: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcollapse.reports.beside", lambda found, page: [])  # films and figures take long
    found = [one for one in doctest.DocTestFinder().find(where) if one.examples]
    for number, one in enumerate(found):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        assert doctest.DocTestRunner().run(one).failed == 0, one.name
    assert len(found) >= 4


def test_functions_have_the_words_of_the_commands() -> None:
    """A flag of a command is an argument of its function, but for those that only a terminal has."""
    from imgcollapse.cli.main import main
    from imgcollapse.extractors import with_weights

    called = {"assignments": "set", "engine_options": "engine_options", "page": "out", "paths": "samples", "places": "folders"}
    terminal = {"dry_run", "as_json", "log_json", "watch", "show", *(f"{kind}_weights" for kind in with_weights())}
    for name in ("run", "ablate", "score", "judge", "report"):
        flags = {called.get(str(one.name), one.name) for one in main.commands[name].params} - terminal
        arguments = set(inspect.signature(getattr(ic, name)).parameters) - {"quiet", "weights"}
        assert flags == arguments, name


def test_the_manual_names_every_function_argument_and_attribute() -> None:
    manual = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
    for name in ic.__all__:
        assert name == "__version__" or f"`{name}`" in manual or f"ic.{name}(" in manual, name
    for public in (ic.Run, ic.Ablation, ic.Scored):
        for name in (one for one in dir(public) if not one.startswith("_") and one != "COLUMNS"):
            assert f".{name}" in manual, f"{public.__name__}.{name}"
    with_row = {name: line for line in manual.splitlines() for name in ("run", "ablate", "score") if line.startswith(f"| `ic.{name}(")}
    for name, line in with_row.items():
        machine = {"device", "precision", "data_dir", "weights", "track", "quiet", "extractor"}
        assert all(argument in line for argument in inspect.signature(getattr(ic, name)).parameters if argument not in machine), name
    assert len(with_row) == 3


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(ic.__file__).parent / "py.typed").is_file()
    settings = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert '"imgcollapse" = ["py.typed"]' in settings, "setuptools leaves out what is no Python unless it is told"


# --- the same as the command line


def made(folder: Path) -> dict[str, bytes]:
    """All that lies there but what tells of times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMES)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_run_makes_the_folder_that_the_command_makes() -> None:
    done("run", *SAME, "--out", "a/run")
    chain = ic.run(**POINTS, out="b/run", quiet=True)
    assert chain.folder == Path("b/run") and made(Path("a")) == made(Path("b")) != {}
    assert {path.relative_to("a") for path in Path("a").rglob("*")} == {path.relative_to("b") for path in Path("b").rglob("*")}


def test_the_folder_has_the_name_that_the_command_gives_it() -> None:
    told = json.loads(done("run", *SAME, "--dry-run", "--json").stdout)
    assert str(ic.run(**POINTS, quiet=True).folder) == told["run"]


def test_every_way_to_name_a_setting_is_the_same_study(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dataset: {kind: gaussian, size: 60}\nmodel: gaussian\ngens: 1\n")
    ways: list[dict[str, Any]] = [
        {"config": "a.yaml"},
        {"config": Path("a.yaml")},
        {"config": {"dataset": {"kind": "gaussian", "size": 60}, "model": "gaussian", "gens": 1}},
        {"config": "a.yaml", "gens": 1, "set": {"dataset": {"size": 60}}},
        {"dataset": {"kind": "gaussian", "size": 60}, "model": {"kind": "gaussian"}, "gens": 1},
        {"dataset": "gaussian", "model": "gaussian", "gens": 7, "set": {"dataset.size": 60, "gens": 1}},
    ]
    studies = [ic.run(**way, out=f"{number}", quiet=True).study.model_dump() for number, way in enumerate(ways)]
    assert all(one == studies[0] for one in studies)
    retained = ic.run(**POINTS, real_fraction=0.5, out="retained", quiet=True).study
    assert retained.regime.kind == "retain" and retained.regime.real_fraction == 0.5  # type: ignore[attr-defined]


def test_ablate_makes_the_folder_that_the_command_makes() -> None:
    given = ["--seeds", "1", "--no-nulls", "--jobs", "1", "--set", "dataset.size=60"]
    done("ablate", "--dataset", "gaussian", "--model", "gaussian,bootstrap", "--gens", "2", *given, "--out", "a")
    words = {**POINTS, "model": ["gaussian", "bootstrap"]}
    before = dict(os.environ)
    grid = ic.ablate(**words, seeds=1, nulls=False, jobs=1, out="b", quiet=True)
    assert dict(os.environ) == before, "what workers need in their environment stays theirs"
    runs = [path.name for path in Path("a/runs").iterdir()]
    assert len(runs) == 2 and sorted(runs) == sorted(path.name for path in Path("b/runs").iterdir())
    for run in runs:
        assert outcome(Path("a/runs") / run) == outcome(Path("b/runs") / run) != {}
    for name in ("ablation.yaml", "ablation.csv"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert [run.arm for run in grid.runs] == ["model gaussian", "model bootstrap"] == [arm["arm"] for arm in grid.summary()["arms"]]
    assert json.loads(Path("b/summary.json").read_text()) == json.loads(json.dumps(grid.summary()))
    assert "model bootstrap" in grid._repr_html_() and "2 done" in grid._repr_html_()
    with pytest.raises(ic.SettingsProblem, match=r"^b: has no run 'model gaussian, seed 3'; there are: model gaussian, seed 0; model boot"):
        grid.run("model gaussian", 3)
    same = ic.ablate({"base": {"dataset": {"kind": "gaussian", "size": 60}, "gens": 2}, "seeds": 1, "nulls": False,
                      "axes": {"model": ["gaussian", "bootstrap"]}}, jobs=1, out="c", quiet=True)  # fmt: skip
    assert same.scores() == grid.scores()


def test_judge_report_and_score_write_what_the_commands_write(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr("imgcollapse.reports.beside", lambda found, page: drawn.append(page) or [])  # films and figures take long
    for folder in ("a", "b"):
        ic.run(**POINTS, out=folder, quiet=True)
    done("judge", "a", "--set", "judge.n=20")
    (judge,) = ic.judge(ic.open("b"), set={"judge.n": 20}, quiet=True).values()
    assert made(Path("a")) == made(Path("b")) and (Path("b/scores") / judge).is_dir()
    done("report", "a")
    assert ic.report("b", quiet=True) == Path("b/report.html")
    assert made(Path("a")).keys() == made(Path("b")).keys()
    assert ic.open("b").report(out="mine.html") == Path("mine.html")
    assert list(map(str, drawn)) == ["a/report.html", "b/report.html", "mine.html"]
    few = {"dataset.size": 200, "judge.metrics": ["frechet_distance"]}
    done("score", "a", "--against", "gaussian", "--set", "dataset.size=200", "--set", "judge.metrics=[frechet_distance]", "--out", "x.json")
    found = ic.score("a", against="gaussian", set=few, out="y.json", quiet=True)
    assert Path("x.json").read_bytes() == Path("y.json").read_bytes() and os.fspath(found) == "y.json"
    assert found.record == json.loads(Path("y.json").read_text()) and "FD" in found._repr_html_()


ALIKE: list[tuple[list[str], str, dict[str, Any]]] = [
    (["run", "--model", "dppm"], "run", {"model": "dppm"}),
    (["run", "--set", "model.stepz=3"], "run", {"set": {"model.stepz": 3}}),
    (["run", "--gens", "0"], "run", {"gens": 0}),
    (["run", "--device", "cuda:99"], "run", {"device": "cuda:99"}),
    (["run", "--config", "none.yaml"], "run", {"config": "none.yaml"}),
    (["run", "--track", "paper"], "run", {"track": "paper"}),
    (["run", "--dataset", "folder:none"], "run", {"dataset": "folder:none"}),
    (["ablate", "--engine", "cloud"], "ablate", {"engine": "cloud"}),
    (["ablate", "--engine-option", "a=1"], "ablate", {"engine_options": {"a": 1}}),
    (["ablate", "--seeds", "0"], "ablate", {"seeds": 0}),
    (["score", "none", "--against", "digits"], "score", {"samples": "none", "against": "digits"}),
    (["report", "none"], "report", {}),
    (["judge", "none"], "judge", {}),
]


@pytest.mark.parametrize(("command", "function", "given"), ALIKE, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_errors_are_alike_and_leave_nothing(command: list[str], function: str, given: dict[str, Any]) -> None:
    said = call(*command)
    with pytest.raises(ic.Problem) as caught:
        getattr(ic, function)(*(["none"] if not given else []), **given, quiet=True)
    assert in_keywords(said.stderr.splitlines()[-1]) == f"imgcollapse: {caught.value}" and said.exit_code == caught.value.exit_code
    assert list(Path.cwd().iterdir()) == []


def test_what_the_system_refuses_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **more: object) -> None:
        raise OSError(28, "No space left on device", "runs/a/samples.npz")

    monkeypatch.setattr("imgcollapse.ablation.ensemble.run", full)
    with pytest.raises(ic.SystemProblem, match=r"^runs/a/samples.npz: No space left on device; make room there") as caught:
        ic.run(**POINTS, out="a", quiet=True)
    assert isinstance(caught.value.__cause__, OSError)


def test_runs_that_failed_are_raised_and_what_is_there_is_kept() -> None:
    words = {"dataset": "gaussian", "model": ["gaussian", "vae"], "gens": 1, "set": {"dataset.size": 60}}
    with pytest.raises(ic.DataProblem, match=r"^arm 'model vae': "):
        ic.ablate(**words, seeds=1, nulls=False, jobs=1, out="grid", quiet=True)
    grid = ic.ablate(**{**words, "model": "gaussian"}, seeds=1, nulls=False, jobs=1, out="grid", quiet=True)
    from imgcollapse.ablation import worker
    from imgcollapse.interface.calls import _refuse_unfinished

    worker.record_failure(grid.runs[0].folder, "DivergedProblem", "the loss is nan", 6)
    with pytest.raises(ic.UnfinishedProblem, match=r"^grid: 1 of 1 runs are not finished; base, seed 0: the loss is nan; what is there"):
        _refuse_unfinished(grid.folder, grid.statuses)
    assert "failed: base, seed 0: the loss is nan" in grid._repr_html_()


def test_words_that_only_python_has_are_looked_at() -> None:
    for given, said in (
        ({"set": ["model.steps=3"]}, r"^set: \['model.steps=3'\] cannot be used; it should be a mapping"),
        ({"set": {3: 4}}, r"^set: 3 is not the path"),
        ({"out": 7}, r"^7 is not a file or folder"),
        ({"weights": {"vgg": "a"}}, r"^weights: 'vgg' is unknown; there are: inception, dinov2"),
    ):
        with pytest.raises(ic.SettingsProblem, match=said):
            ic.run(**given, quiet=True)  # type: ignore[arg-type]
    with pytest.raises(ic.SettingsProblem, match=r"^\.: is neither a run nor an ablation"):
        ic.open(".")
    with pytest.raises(ic.SettingsProblem, match=r"^Tensor: is in memory; write pictures to an \.npz"):
        ic.score(torch.zeros(3, 1, 8, 8), against="digits", quiet=True)  # type: ignore[arg-type]
    assert list(Path.cwd().iterdir()) == []


def test_the_machine_may_stand_in_the_environment_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCOLLAPSE_DEVICE", "cuda:99")
    with pytest.raises(ic.SettingsProblem, match=r"^device: .*cuda:99"):
        ic.run(**POINTS, quiet=True)
    monkeypatch.delenv("IMGCOLLAPSE_DEVICE")
    monkeypatch.setenv("IMGCOLLAPSE_JUDGE_BESIDE", "perhaps")
    with pytest.raises(ic.SettingsProblem, match=r"^IMGCOLLAPSE_JUDGE_BESIDE: 'perhaps' cannot be used"):
        ic.run(**POINTS, quiet=True)
    monkeypatch.setenv("IMGCOLLAPSE_JUDGE_BESIDE", "off")
    monkeypatch.setenv("IMGCOLLAPSE_SEED", "5")
    assert ic.run(**POINTS, quiet=True).seed == 0


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("runs/a: holds something else; choose another --out", "runs/a: holds something else; choose another out="),
        ("--gens: 'x' is not a number", "gens: 'x' is not a number"),
        ("use --device cpu, or --no-judge-beside", "use device='cpu', or judge_beside=False"),
        ("choose another -o", "choose another out="),
        ("-o: end it in .html, for example -o both.html", "out: end it in .html, for example out='both.html'"),
        ("--inception-weights: w.pt: no such file", "weights: w.pt: no such file"),
        ("imgcollapse --debug ... shows where; a-o, x--out", "imgcollapse --debug ... shows where; a-o, x--out"),
    ],
)
def test_messages_name_keywords_in_place_of_flags(message: str, said: str) -> None:
    assert in_keywords(message) == said


def test_a_call_that_cannot_be_done_is_told_in_keywords() -> None:
    Path("mine").mkdir()
    Path("mine/file").touch()
    with pytest.raises(ic.OtherStudyProblem, match=r"^mine: this folder holds other files, .*; choose another out=$"):
        ic.run(**POINTS, out="mine", quiet=True)


# --- what was made, opened


def test_a_run_gives_what_lies_in_its_folder() -> None:
    chain = ic.run(dataset={"kind": "digits", "subset": 150}, model="bootstrap", gens=2, extractor="pixels", out="chain", quiet=True)
    drawn = chain.samples(1)
    assert drawn.pixels.equal(store.read_images(chain.folder / "gen_001" / store.SAMPLES).pixels) and set(drawn.born.tolist()) == {1}
    assert chain.samples().pixels.equal(drawn.pixels)
    assert len(chain.model(1).sample(7, seed=3)) == 7
    assert chain.provenance(1) == json.loads((chain.folder / "gen_001" / store.PROVENANCE).read_text())
    assert chain.summary()["arms"][0]["arm"] == chain.arm and Path(chain) == chain.folder
    html = chain._repr_html_()
    assert "generation 1" in html and html.count("<img") == 2 and "2 of 2 generations in chain" in html and "real vs real" in html
    for wrong in (chain.samples, chain.model, chain.provenance):
        with pytest.raises(ic.SettingsProblem, match=r"^generation: generation 5 of chain is not finished; choose among 0, 1"):
            wrong(5)
    whole = (chain.folder / "gen_001" / store.SAMPLES).read_bytes()
    (chain.folder / "gen_001" / store.SAMPLES).write_bytes(whole[:-9])
    with pytest.raises(ic.DataProblem, match="gen_001"):
        chain.samples(1)


@pytest.mark.parametrize("frame", ["pandas", "polars"])
def test_scores_are_frames_where_that_is_installed(frame: Any) -> None:
    chain = ic.run(**POINTS, out="chain", quiet=True)
    rows = chain.scores()
    pytest.importorskip(frame)
    found = chain.scores(frame)
    assert list(found.columns) == list(rows[0]) and len(found) == len(rows)
    assert list(found["value"]) == [row["value"] for row in rows] and list(found["metric"]) == [row["metric"] for row in rows]


def test_a_frame_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = ic.run(**POINTS, out="chain", quiet=True)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ic.SettingsProblem, match=r"^frame: polars is not installed; run: pip install polars, or leave it out"):
        chain.scores("polars")
    with pytest.raises(ic.SettingsProblem, match=r"^frame: 'arrow' is unknown; there are: pandas, polars"):
        chain.scores("arrow")  # type: ignore[call-overload]


def test_a_run_that_has_only_begun_can_be_opened() -> None:
    chain = ic.run(**POINTS, out="chain", quiet=True)
    for path in sorted(Path("chain").glob("gen_*/MANIFEST.json")):
        path.unlink()
    begun = ic.open(chain)
    assert isinstance(begun, ic.Run) and begun.generations == [] == begun.scores() and "nothing has been measured" in begun._repr_html_()


# --- stopped, resumed, beside

STOPPED = """
import os, sys, threading, time, imgcollapse as ic
def end_it():
    while not os.path.exists("here/gen_001/MANIFEST.json"): time.sleep(0.01)
    os.kill(os.getpid(), int(sys.argv[1]))
threading.Thread(target=end_it, daemon=True).start()
ic.run(dataset="grid25", model="gmm", set={"dataset.size": 200}, gens=int(sys.argv[2]), out="here", judge_beside=sys.argv[3] == "beside")
"""


@pytest.mark.slow  # two processes for each way to stop
@pytest.mark.slow  # starts a process each
@pytest.mark.parametrize(
    ("number", "code", "beside"),
    [(signal.SIGINT, -2, ""), (signal.SIGTERM, 143, ""), (signal.SIGKILL, -9, ""), (signal.SIGINT, -2, "beside")],
)
def test_a_run_that_was_stopped_goes_on_to_the_same(number: int, code: int, beside: str, tmp_path: Path) -> None:
    """In a script without `if __name__ == "__main__"`, which a process beside it must not execute once more."""
    (tmp_path / "script.py").write_text(STOPPED)
    ended = subprocess.run([sys.executable, "script.py", str(number), "90", beside], capture_output=True, text=True, timeout=300)
    assert ended.returncode == code, ended.stderr
    if number != signal.SIGKILL:
        assert "generations are finished and kept in here. To go on, run the same command again." in ended.stderr
        assert Path("here/report.html").exists()
    there = len(store.numbers(Path("here")))
    assert 2 <= there < 90
    words: dict[str, Any] = {"dataset": "grid25", "model": "gmm", "set": {"dataset.size": 200}, "gens": there + 1, "quiet": True}
    assert ic.run(**words, out="here").generations == list(range(there + 1))
    ic.run(**words, out="whole")
    assert outcome(Path("here")) == outcome(Path("whole"))


UNGUARDED = """
import imgcollapse as ic
print("once")
words = dict(dataset="gaussian", model="gaussian", gens=2, set={"dataset.size": 60}, quiet=True)
print(ic.run(**words, judge_beside=True, out="a").generations)
print(ic.ablate(**words, seeds=1, nulls=False, jobs=1, out="b").runs)
"""


@pytest.mark.slow  # imports torch in three processes
def test_a_script_without_a_guard_judges_beside_and_runs_an_ablation(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    ended = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert ended.stdout.splitlines()[:2] == ["once", "[0, 1]"] and len(ended.stdout.splitlines()) == 3
    ic.run(**POINTS, out="plain", quiet=True)
    assert outcome(Path("a")) == outcome(Path("plain")) != {}  # its scores are of more splits than here


def test_in_a_thread_no_signal_is_touched() -> None:
    from threading import Thread

    found: list[Any] = []
    thread = Thread(target=lambda: found.append(ic.run(**POINTS, out="chain", quiet=True)))
    thread.start()
    thread.join()
    assert found[0].generations == [0, 1]


def test_a_handler_of_the_program_stays() -> None:
    from imgcollapse.interface.common import stoppable

    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with stoppable() as stopped:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] and stopped == []


# --- what is told


def test_lines_are_told_as_on_a_pipe_or_not_at_all(capfd: pytest.CaptureFixture[str]) -> None:
    ic.run(**POINTS, out="a")
    said = capfd.readouterr()
    assert said.out == "" and [line.split("  ")[0] for line in said.err.splitlines()[2:]] == ["generation 0", "generation 1"]
    ic.run(**POINTS, out="b", quiet=True)
    ic.ablate(**POINTS, seeds=1, nulls=False, jobs=1, out="c", quiet=True)
    assert capfd.readouterr() == ("", "")


class Shown:
    """IPython's `display`, and what it was told to show."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, what: notebook.Html, display_id: bool) -> "Shown":
        self.update(what)
        return self

    def update(self, what: notebook.Html) -> None:
        self.texts.append(what._repr_html_())


def test_a_notebook_shows_bars_and_takes_them_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(notebook, "OFTEN", 0.0)
    shown = Shown()
    with notebook.Cell(2, shown) as cell, progress.watched_by(cell):
        cell.begin("fit <1>", 4)
        cell.advance()
        assert '<progress value="1" max="4"></progress> fit &lt;1&gt; 1 of 4' in shown.texts[-1]
        assert "generations 0 of 2" in shown.texts[-1]
        cell.end()
        cell.landed(0, Scores(0, {}))
        assert "generations 1 of 2" in shown.texts[-1] and "fit" not in shown.texts[-1]
    assert shown.texts[-1] == ""
    said = capsys.readouterr()
    assert said.out.startswith("generation 0  not judged") and said.err == ""


NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebooks" / "first_steps.ipynb"


@pytest.mark.slow  # starts a kernel
def test_the_notebook_can_be_executed(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra notebook")
    pytest.importorskip("ipykernel", reason="needs the extra notebook")
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output["data"].get("text/html", "") for output in outputs if "data" in output]
    assert any("generations in runs" in text for text in shown), "_repr_html_ of the run"
    assert any("real_fraction" in text for text in shown), "and of the ablation"
    assert not [output for output in outputs if output.get("name") == "stderr"], "no red lines"


def test_what_is_opened_stays_open_when_the_working_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = ic.run(**POINTS, out="chain", quiet=True)
    before = run.scores()
    assert repr(run) == "<run in chain>"
    monkeypatch.chdir("/")
    assert run.generations == [0, 1] and run.scores() == before and len(run.samples(1)) == 60 and run.folder == tmp_path / "chain"
