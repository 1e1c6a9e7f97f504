"""The command line as a user meets it: its words, its exit codes, and that help says what the code does."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from terminal import call

import imgcollapse
from imgcollapse.ablation.engines import ENGINES
from imgcollapse.cli import about
from imgcollapse.cli import main as cli
from imgcollapse.cli.options import WEIGHTS
from imgcollapse.extractors import EXTRACTORS, with_weights
from imgcollapse.interface import console
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.likelihood import LIKELIHOOD
from imgcollapse.metrics.scores import SCORES
from imgcollapse.models import MODELS
from imgcollapse.regimes import REGIMES
from imgcollapse.regimes.pool_bias import PoolBias
from imgcollapse.study import Study
from imgcollapse.track import TRACKERS

ROOT = Path(imgcollapse.__file__).parent.parent
TOY = ["--dataset", "grid25", "--model", "gmm", "--set", "dataset.size=400", "--set", "model.components=5"]


def dry(*arguments: str, env: dict[str, str] | None = None) -> dict[str, object]:
    result = call("run", "--dry-run", "--json", *arguments, env=env)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout)["study"])


def test_help_imports_neither_torch_nor_anything_else_heavy() -> None:
    code = (
        "import sys; from imgcollapse.cli.main import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'pydantic', 'rich', 'sklearn', 'matplotlib', 'yaml'} & set(sys.modules)\n"
        "print('heavy:', heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.rstrip().endswith("heavy: set()"), done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("command", [["list", "ddpm"], ["status", "nowhere"], ["run", "--model", "gan"]], ids=" ".join)
def test_what_computes_nothing_imports_no_library_that_only_computing_needs(command: list[str]) -> None:
    code = (
        f"import sys; from imgcollapse.cli.main import main\n"
        f"try: main({command!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'scipy', 'sklearn', 'matplotlib', 'diffusers', 'transformers', 'accelerate', 'torchvision', 'ray'} & set(sys.modules)\n"
        "print('heavy:', heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.rstrip().endswith("heavy: set()"), done.stdout[-300:] + done.stderr


def test_a_run_prints_lines_then_a_table_with_real_vs_real_first_and_where_the_pictures_are(tmp_path: Path) -> None:
    result = call("run", *TOY, "--gens", "2", "--out", "here")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert lines[0] == "here: gmm on grid25, replace, seed 0, 2 generations" and " to learn from, " in lines[1] and len(lines) == 4
    assert [line.split()[1] for line in lines[2:]] == ["0", "1"]
    assert all(line.startswith("generation ") and " left)" in line and "classes alive" in line for line in lines[2:])
    heads = [line.split("│")[1].strip() for line in result.stdout.splitlines() if line.startswith("│")]
    assert [head for head in heads if head] == ["real vs real", "0", "1"] * 2, "of features and of likelihoods; a cell may take two lines"
    header = " ".join(line for line in result.stdout.splitlines() if line.startswith("┃")).split()  # a title may take two lines
    assert {"FD", "precision", "recall", "coverage", "min(recall,", "alive"} <= set(header)
    assert "here/curves.png" in result.stdout and Path("here/curves.png").is_file()
    with Image.open("here/grid_001.png") as grid, Image.open("here/grid_000.png") as first:
        assert grid.size == first.size
    again = call("run", *TOY, "--gens", "2", "--out", "here")
    assert again.stderr.splitlines() == [lines[0], "here: 2 of 2 generations are there; going on from here", lines[1]]
    assert again.stdout == result.stdout


def test_json_is_json_alone_on_stdout() -> None:
    result = call("run", *TOY, "--gens", "1", "--json")
    record = json.loads(result.stdout)
    assert re.fullmatch(r"runs/grid25-gmm-replace-seed0-[0-9a-f]{6}", record["run"]) and Path(record["run"]).is_dir()
    assert record["scores"][0]["sources"]["pixels"]["fd"]["value"] > 0
    assert [Path(path).name for path in record["pictures"]] == ["curves.png"]


def test_a_run_says_which_classes_are_lost_since_when() -> None:
    result = call("run", *TOY, "--gens", "2", "--out", "here")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("lost: ")]
    lost = json.loads(call("run", *TOY, "--gens", "2", "--out", "here", "--json").stdout)["lost"]["pixels"]
    names = json.loads(Path("here/data.json").read_text())["classes"]
    told = {name: int(part.partition(" at generation ")[2]) for part in line[6:].split("; ") for name in names if name in part}
    assert told == {names[int(c)]: generation for c, generation in lost.items()} and set(told.values()) == {0, 1}
    digits = [str(c) for c in range(10)]
    assert console.lost({7: 4, 1: 6, 3: 6}, digits) == "lost: class 7 at generation 4; class 1, class 3 at generation 6"
    assert console.lost({1: 6}, ["cat", "dog"]) == "lost: dog at generation 6"
    keeping = ["run", "--dataset", "grid25", "--set", "dataset.size=1000", "--model", "bootstrap", "--gens", "1", "--out", "kept"]
    kept = call(*keeping)
    assert kept.exit_code == 0 and "lost: " not in kept.stdout, "nothing where none was lost"
    assert json.loads(call(*keeping, "--json").stdout)["lost"] == {"pixels": {}}


def test_pictures_of_a_run_on_digits() -> None:
    quick = ["--set", "dataset.subset=200", "--set", "judge.extractors=[classifier]"]
    assert call("run", "--model", "bootstrap", "--gens", "2", "--out", "here", *quick).exit_code == 0
    with (
        Image.open("here/grid_000.png") as first,
        Image.open("here/grid_001.png") as second,
        Image.open("here/grid_all.png") as page,
    ):
        assert first.size == second.size and first.width > 600 and page.width > 600


@pytest.mark.usefixtures("unmeasured")
def test_flag_over_environment_over_file_over_default() -> None:
    Path("study.yaml").write_text("gens: 3\nseed: 3\nsamples: 3\n")
    env = {"IMGCOLLAPSE_GENS": "2", "IMGCOLLAPSE_SEED": "2"}
    study = dry("--config", "study.yaml", "--gens", "1", env=env)
    assert (study["gens"], study["seed"], study["samples"]) == (1, 2, 3)
    assert dry(env={"IMGCOLLAPSE_MODEL": "vae"})["model"]["kind"] == "vae"  # type: ignore[index]
    assert dry("--set", "gens=7", "--gens", "5", env=env)["gens"] == 7


SAME_NUMBER: dict[str, int | None] = {
    "010": 10,
    "+10": 10,
    " 10 ": 10,
    "0x10": 16,
    "0o10": 8,
    "10 # ten": 10,
    **dict.fromkeys(("1_0", "1e1", "10.0", "١٠", "'10'", "true", "yes", "1:30", "[10]", "null", "ten", "{", "a\nb", "9" * 99, "1e400")),
}


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("text", "value"), SAME_NUMBER.items())
def test_a_number_is_the_same_by_flag_environment_assignment_file_and_list(text: str, value: int | None) -> None:
    Path("study.yaml").write_text(f"gens: {text}\n")
    Path("grid.yaml").write_text(f"seeds: {text}\nbase:\n  gens: {text}\n")
    ways: list[tuple[list[str], dict[str, str]]] = [
        (["--gens", text], {}),
        ([], {"IMGCOLLAPSE_GENS": text}),
        (["--set", f"gens={text}"], {}),
        (["--config", "study.yaml"], {}),
    ]
    results = [call("run", "--dry-run", "--json", *arguments, env=env) for arguments, env in ways]
    if text != "[10]":  # a list of seeds may be written with its brackets
        results += [call("ablate", "--dry-run", "--json", "--seeds", text), call("ablate", "grid.yaml", "--dry-run", "--json")]
    for result in results:
        if value is None:
            assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and len(result.stderr) < 400, result.output
        else:
            record = json.loads(result.stdout)
            assert record["study"]["gens"] == value if "study" in record else record["arms"][0]["seeds"] == list(range(value))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "--gens", ""], "--gens: '' is no whole number; write for example 10"),
        (["run", "--real-fraction", "yes"], "--real-fraction: 'yes' is no number; write for example 0.5"),
        (["run", "--real-fraction", ".nan"], "--real-fraction: '.nan' is no number; write for example 0.5"),
        (["run", "--gens", "{a: 1, a: 2}"], "--gens: '{a: 1, a: 2}' cannot be used: 'a' is given twice, first in line 1; "),
        (["ablate", "--jobs", "0"], "--jobs: '0' is too small; give at least 1"),
        (["ablate", "--threads", "true"], "--threads: 'true' is no whole number; write for example 10"),
        (["ablate", "--samples", "{a: 1, a: 2}"], "--samples: '{a: 1, a: 2}' cannot be used: 'a' is given twice, first in line 1; "),
        (["ablate", "--axis", "samples=5,6", "--axis", "samples=7"], "--axis: 'samples' is given twice; name all its values at one place"),
        (["ablate", "--axis", "samples=5,6", "--samples", "7,8"], "--axis: 'samples' is given twice; "),
        (["ablate", "--engine-option", "a=1", "--engine-option", "a=2"], "--engine-option: 'a' is given twice; "),
        (["report", "x", "--budget", ".inf"], "--budget: '.inf' is no number; write for example 0.5"),
        (["report", "x", "--budget", "-0.5"], "--budget: '-0.5' is too small; give at least 0"),
        (["score", "x", "--against", "digits", "--n", "1_0"], "--n: '1_0' is no whole number; write for example 10"),
        (["card", "x", "--gen", "last"], "--gen: 'last' is no whole number; write for example 10"),
    ],
)
def test_a_flag_that_is_no_number_is_one_line(arguments: list[str], text: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and result.stderr.startswith(f"imgcollapse: {text}"), result.output
    assert len(result.stderr.splitlines()) == 1
    env = call("run", env={"IMGCOLLAPSE_SEED": "one"})
    assert env.stderr == "imgcollapse: IMGCOLLAPSE_SEED: 'one' is no whole number; write for example 10\n"


@pytest.mark.usefixtures("unmeasured")
def test_a_dry_run_writes_nothing_and_shows_every_default() -> None:
    result = call("run", "--dry-run", "--real-fraction", "0.1", "--pool", "fixed")
    assert result.exit_code == 0 and list(Path.cwd().iterdir()) == []
    assert "  pool: fixed\n" in result.stdout and "  imbalance: 1.0\n" in result.stdout
    Path("study.yaml").write_text(result.stdout)
    assert dry("--config", "study.yaml") == dry("--real-fraction", "0.1", "--pool", "fixed")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--model", "gan"], 2, "imgcollapse: model: 'gan' is unknown; there are: ddpm, vae, gmm, gaussian, bootstrap, smooth"),
        (["--gens", "0"], 2, "imgcollapse: gens: 0 cannot be used; it should be greater than 0"),
        (["--device", "gpu"], 2, "imgcollapse: --device: 'gpu' is not a device; use auto, cpu, cuda, cuda:N or mps"),
        (["--dataset", "folder:nowhere"], 3, "imgcollapse: nowhere: "),
        (["--dataset", "grid25", "--model", "ddpm"], 3, "imgcollapse: model 'ddpm' learns pictures; for a world of points use "),
        (
            ["--config", "none.yaml"],
            2,
            "imgcollapse: none.yaml: there is no such file, nor a configuration of that name in the package; ",
        ),
        (["--out", "full"], 5, "imgcollapse: full: this folder holds other files"),
        (["--model", "vae", "--set", "model.learning_rate=1e30", "--set", "judge.extractors=[]"], 6, "imgcollapse: vae: the loss became "),
    ],
)
def test_an_error_is_one_line_with_its_own_exit_code(arguments: list[str], code: int, text: str) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    result = call("run", *arguments)
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("imgcollapse: ")]
    assert line.startswith(text), line
    assert "Traceback" not in result.output


def test_an_unexpected_error_is_one_line_too_and_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*arguments: object) -> None:
        raise KeyError("no\nluck")

    monkeypatch.setattr(about, "list_tables", breaks)
    result = call("list")
    assert result.exit_code == 1
    assert result.stderr == "imgcollapse: 'no\\nluck' (KeyError; `imgcollapse --debug ...` shows where)\n"
    assert isinstance(call("--debug", "list").exception, KeyError)


def test_the_folder_in_use_has_its_own_exit_code() -> None:
    from imgcollapse.store import run_folder

    with run_folder.opened(Path("here"), "x: 1"):
        (Path("here") / "study.yaml").unlink()
        result = call("run", *TOY, "--out", "here")
    assert result.exit_code == 4 and "another process is writing this run" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_cleanly_and_says_how_to_resume(number: int, code: int) -> None:
    """A chain far too long to end by itself; it is stopped once its first generation is there."""
    command = [sys.executable, "-m", "imgcollapse", "run", *TOY, "--gens", "9000", "--out", "here"]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}
    )
    until = time.monotonic() + 120
    while not Path("here/gen_001").exists() and time.monotonic() < until:
        time.sleep(0.05)
    started.send_signal(number)
    _, said = started.communicate(timeout=60)
    assert started.returncode == code, said
    last = said.strip().splitlines()[-1]
    assert re.fullmatch(
        r"[0-9: -]{19}  stopped; \d+ of 9000 generations are finished and kept in here\. To go on, run the same command again\.", last
    ), said
    assert "Traceback" not in said
    assert not list(Path("here").glob("*.draft")) and Path("here/curves.png").is_file()


def test_list_names_every_entry_of_every_table_and_the_options_of_each() -> None:
    shown = call("list").stdout
    for table in about.TABLES.values():
        for name, entry in table.items():
            assert re.search(rf"^ *{re.escape(name)}  +\S", shown, re.M), name
            one = call("list", name)
            assert one.exit_code == 0
            for option, field in getattr(entry, "model_fields", {}).items():
                assert option == "kind" or ((field.alias or option) in one.stdout and field.description), (name, option)
    assert "sampling.steps = 0  " in call("list", "ddpm").stdout, "a part's options stand there as they are set"
    for name in about.STUDY_PARTS:
        assert re.search(rf"^ *{name}  +\S", shown, re.M) and call("list", name).exit_code == 0
    assert "folder:PATH" in call("list", "init").stdout and "mix = 'all'  " in call("list", "ensemble").stdout
    assert all(f"pool_bias.{option} = " in call("list", "retain").stdout for option in PoolBias.model_fields)
    wrong = call("list", "gan")
    assert wrong.exit_code == 2 and wrong.stderr == "imgcollapse: list: there is no 'gan'; `imgcollapse list` shows all names\n"


def test_doctor_says_what_is_there(tmp_path: Path) -> None:
    result = call("doctor", "--data-dir", str(tmp_path / "data"))
    assert result.exit_code == 0, result.output
    for word in ("torchvision", "device", "precision", "threads", "data folder", "mnist", "not there", "GiB free", "nothing to fix"):
        assert word in result.stdout, word
    assert not (tmp_path / "data").exists()


def test_every_flag_of_run_is_a_setting_or_known_not_to_be() -> None:
    flags = {parameter.name for parameter in cli.run.params}
    machine = {"device", "precision", "judge_beside", "data_dir"} | {f"{kind}_weights" for kind in WEIGHTS}
    assert (
        flags
        == (set(Study.model_fields) - {"judge", "gates", "init", "correction", "ensemble", "keep"})
        | {
            "real_fraction",
            "pool",
            "extractor",
            "config",
            "assignments",
            "out",
            "track",
            "dry_run",
            "as_json",
            "until",
            "log_json",
            "checkpoint_every",
        }
        | machine
    )


def test_every_extractor_with_published_weights_has_an_option_for_them() -> None:
    assert set(WEIGHTS) == set(with_weights())
    for kind, extractor in with_weights().items():
        assert extractor.published().kind == kind


def test_the_help_names_every_entry_of_the_tables_that_it_reads_without_importing_them() -> None:
    helps = {kind: re.sub(r"(?<=\w-) (?=\w)", "", " ".join(call(kind, "--help").stdout.split())) for kind in ("run", "ablate")}
    for command, flag, table in [("run", "model", MODELS), ("run", "regime", REGIMES), ("ablate", "engine", ENGINES)]:
        assert re.search(rf"--{flag} TEXT [^:]+: {', '.join(table)}\.", helps[command]), flag
    for text in helps.values():
        assert f"with commas: {', '.join(EXTRACTORS)} (inception: FID)." in text and f"as well: {', '.join(TRACKERS)};" in text


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_understood_and_opens_with_its_question(path: Path) -> None:
    if "\nbase:" in path.read_text():
        plan = call("ablate", str(path), "--dry-run", "--json")
        assert plan.exit_code == 0 and len(json.loads(plan.stdout)["arms"]) >= 2, plan.output
    else:
        dry("--config", str(path))
    head = path.read_text().splitlines()
    assert (
        head[0].startswith("# Question: ")
        and any(line.startswith("# Cost: ") for line in head)
        and any(line.startswith("# Expect: ") for line in head)
    )


def test_the_page_of_metrics_names_every_score_and_the_figure_is_of_all_failures() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in SCORES:
        assert f"`{name}`" in page, name
    record = json.loads((ROOT / "docs" / "planted.json").read_text())
    assert len(record["planted"]) == 10 and all(scores.keys() == record["real"].keys() for scores in record["planted"].values())
    asked_for = {name for metric in METRICS.values() if not metric.default or metric.of == "gate" for name in metric.scores}
    left_out = {name for name in SCORES if name.startswith("own_")} | asked_for | LIKELIHOOD.keys()
    assert record["real"].keys() == SCORES.keys() - left_out, "every default score"


def test_ctrl_c_before_the_work_begins_says_so_and_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imgcollapse.machine.busy.wait_asleep_if_busy", stop)
    ended = call("run", *TOY)
    assert ended.exit_code == 130 and ended.stderr.startswith("imgcollapse: stopped; ") and "Aborted" not in ended.output
