"""`imgcollapse ablate` as a user meets it: a grid of studies, each generation made once, resumable, the same for any number of jobs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from chains import scores_in
from click.testing import Result
from terminal import call
from test_split import class_folders

from imgcollapse import store
from imgcollapse.ablation import grid, plan, worker
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.status import RunStatus, run_statuses, seconds_left
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface import planning
from imgcollapse.interface.ablating import AXES, ablation_from
from imgcollapse.machine.devices import Machine
from imgcollapse.settings import build, read_file
from imgcollapse.store import history
from imgcollapse.study import Study

ARMS: dict[str, Any] = {
    "replace": {"regime": "replace"},
    "none real": {"regime": {"kind": "retain", "real_fraction": 0}},
    "half real": {"regime.kind": "retain", "regime.real_fraction": 0.5},
}
GRID: dict[str, Any] = {
    "question": "Does it collapse?",
    "base": {"dataset": {"kind": "grid25", "size": 200}, "model": {"kind": "gmm", "components": 5}, "gens": 3},
    "arms": ARMS,
    "seeds": 2,
}


def ablate(values: dict[str, Any], out: str, *more: str) -> Result:
    Path("grid.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return call("ablate", "grid.yaml", "--out", out, *more)


def status(folder: str) -> dict[str, Any]:
    return dict(json.loads(call("status", folder, "--json").stdout))


def outcome(folder: Path) -> dict[str, bytes]:
    """What an ablation found, byte for byte."""
    names = (*(f"gen_*/{name}" for name in (store.SAMPLES, store.LATENTS, store.PROVENANCE)), "scores/*/gen_*.json", "grid_*.png")
    files = {str(path.relative_to(folder)): path.read_bytes() for name in names for path in folder.glob(f"runs/*/{name}")}
    return files | {grid.CSV: (folder / grid.CSV).read_bytes()}


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("runs/*/gen_*/MANIFEST.json")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    place = tmp_path_factory.mktemp("ablation")
    before = Path.cwd()
    os.chdir(place)
    try:
        return place / "out", ablate(GRID, "out", "--jobs", "2")
    finally:
        os.chdir(before)


def test_every_arm_and_null_model_runs_with_every_seed(whole: tuple[Path, Result]) -> None:
    folder, result = whole
    assert result.exit_code == 0, result.output
    runs = plan.read(folder)
    assert len(runs) == 3 * 4 * 2 and {run.null for run in runs} == {None, "bootstrap", "smooth", "gaussian"}
    assert all(store.finished(run.folder) == [0, 1, 2] for run in runs)
    assert {one.name for one in (folder / "runs").iterdir()} == {run.folder.name for run in runs}
    with (folder / grid.CSV).open() as file:
        rows = list(csv.DictReader(file))
    places = {(row["arm"], row["null"], row["seed"], row["generation"]) for row in rows}
    assert len(places) == 3 * 4 * 2 * 3
    one = next(run for run in runs if (run.arm, run.null, run.seed) == ("half real", None, 1))
    for row in rows:
        if (row["arm"], row["null"], row["seed"]) == ("half real", "", "1"):
            value = store.scores_of(one.folder, int(row["generation"])).sources[row["extractor"]][row["metric"]]
            assert (float(row["value"]), int(row["n"])) == (value.value, value.n)
            real = ("", "", "") if value.real is None else tuple(str(part) for part in asdict(value.real).values())
            assert (row["real"], row["real_low"], row["real_high"]) == real


def test_each_distinct_generation_is_made_once(whole: tuple[Path, Result]) -> None:
    """`replace` and `retain` with no real pictures are one chain; all regimes have generation 0 in common."""
    folder, _ = whole
    keys = [line["key"] for run in (folder / "runs").iterdir() for line in history.lines(run) if line["how"] == "made"]
    assert len(keys) == len(set(keys))
    # per seed and model: the chain that two arms share (3), and generations 1 and 2 of "half real"
    assert len(keys) == 2 * 4 * 5
    account = status(str(folder))["account"]
    assert (account["generations_asked_for"], account["generations_made"], account["generations_linked"]) == (72, 40, 32)
    summary = json.loads((folder / grid.SUMMARY).read_text())
    assert summary["account"] == account and summary["question"] == "Does it collapse?"
    runs = {(run.arm, run.null, run.seed): run.folder for run in plan.read(folder)}
    first = [runs[arm, None, 0] / "gen_000" / store.SAMPLES for arm in ARMS]
    assert len({path.stat().st_ino for path in first}) == 1  # one file, three names
    grids = [runs[arm, None, 0] / store.grid(2) for arm in ("replace", "half real")]
    assert grids[0].read_bytes() != grids[1].read_bytes()


def test_arms_share_their_random_streams(whole: tuple[Path, Result]) -> None:
    folder, _ = whole
    runs = {(run.arm, run.seed): run.folder for run in plan.read(folder) if run.null is None}
    scores = {key: (scores_in(place) / "gen_002.json").read_bytes() for key, place in runs.items()}
    assert scores["replace", 0] == scores["none real", 0] != scores["half real", 0]
    assert scores["replace", 0] != scores["replace", 1]


@pytest.mark.slow  # several processes
def test_one_job_finds_what_two_find(whole: tuple[Path, Result], tmp_path: Path) -> None:
    assert ablate({**GRID, "seeds": 1, "nulls": False}, "again", "--jobs", "1").exit_code == 0
    again, all_found = outcome(tmp_path / "again"), outcome(whole[0])
    assert set(again.pop(grid.CSV).splitlines()) < set(all_found.pop(grid.CSV).splitlines())
    assert again.items() < all_found.items() and len({name.split("/")[1] for name in again}) == 3


def test_the_end_says_what_was_found_and_what_was_saved(whole: tuple[Path, Result]) -> None:
    _, result = whole
    assert "24 runs (24 done); 72 of 72 generations: 40 made" in result.stdout and "32 linked, which saved" in result.stdout
    assert (
        "half real" in result.stdout
        and "Cannot tell with 2 seeds: min(recall, coverage) at" in " ".join(result.stdout.split())
        and "out/ablation.csv" in result.stdout
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("[")]
    assert len(lines) == 72 and sum(line.endswith("(shared)") for line in lines) == 32
    assert lines[-1].startswith("[72/72]")


@pytest.mark.usefixtures("unmeasured")
def test_the_folder_is_named_by_what_all_arms_have_in_common() -> None:
    def folder(*more: str) -> str:
        return call("ablate", "--dataset", "grid25", "--dry-run", *more).stdout.splitlines()[0]

    assert folder("--model", "gmm,gaussian").startswith("# runs/ablation-grid25-models-"), "none of them is the one"
    assert folder("--model", "gmm") == folder("--model", "gmm", "--seeds", "5", "--samples", "50,60")
    assert folder("--model", "gmm").startswith("# runs/ablation-grid25-gmm-") and folder("--model", "gmm") != folder("--model", "gaussian")


@pytest.mark.slow
def test_running_it_again_does_what_is_missing_only(tmp_path: Path) -> None:
    small = {**GRID, "seeds": 1, "nulls": False, "arms": {"replace": ARMS["replace"]}}
    assert ablate(small, "out").exit_code == 0
    before = times(tmp_path / "out")
    result = ablate(small, "out")
    assert (
        result.exit_code == 0 and "1 runs of 3 generations; 3 generations are there" in result.stderr and times(tmp_path / "out") == before
    )
    result = ablate({**small, "seeds": [0, 5], "arms": {name: ARMS[name] for name in ("replace", "half real")}}, "out")
    assert result.exit_code == 0, result.output
    after = times(tmp_path / "out")
    assert after.items() >= before.items() and len(after) == 4 * 3
    longer = {**small, "base": {**GRID["base"], "gens": 5}}
    assert ablate(longer, "out").exit_code == 0
    (run,) = plan.read(tmp_path / "out")
    assert [line["how"] for line in history.lines(run.folder)] == ["made"] * 5


def test_a_run_that_has_lost_its_study_gets_it_back(tmp_path: Path) -> None:
    small = {**GRID, "seeds": 1, "nulls": False, "arms": {"replace": ARMS["replace"]}}
    assert ablate(small, "out").exit_code == 0
    before, (run,) = times(tmp_path / "out"), plan.read(tmp_path / "out")
    study = (run.folder / store.STUDY).read_bytes()
    (run.folder / store.STUDY).unlink()
    other = ablate(small, "out", "--threads", "2")  # its generations are there all the same, and were made by other threads
    assert other.exit_code == 5 and "was begun with --threads 1, now 2; add --threads 1" in other.stderr, other.output
    again = ablate(small, "out")
    assert again.exit_code == 0 and "3 generations are there" in again.stderr, again.output
    assert (run.folder / store.STUDY).read_bytes() == study and times(tmp_path / "out") == before


def test_flags_alone_make_an_ablation() -> None:
    result = call(
        *("ablate", "--dataset", "gaussian", "--model", "gaussian", "--gens", "2", "--real-fraction", "0,0.5,1", "--seeds", "2"),
        *("--set", "dataset.size=100", "--json"),
    )
    assert result.exit_code == 0, result.output
    folder = Path(json.loads(result.stdout)["ablation"])
    assert folder.parent == Path("runs") and folder.name.startswith("ablation-gaussian-gaussian-")
    runs = plan.read(folder)
    assert list(dict.fromkeys(run.arm for run in runs)) == ["real_fraction 0", "real_fraction 0.5", "real_fraction 1"]
    assert {run.study.regime.kind for run in runs} == {"retain"} and all(run.null is None for run in runs)
    more = call(
        *("ablate", "--dataset", "gaussian", "--model", "gaussian", "--gens", "2", "--real-fraction", "0,1", "--seeds", "0,2", "--dry-run"),
        *("--set", "dataset.size=100"),
    )
    assert more.stdout.splitlines()[0] == f"# {folder}"


NAMES = ["0.1", "no", "2026-01-01", "a", "a ", "caf\u00e9", "the\u0301"]
MORE_NAMES = [
    *NAMES,
    "010",
    "null",
    "1e3",
    "A",
    "[bold]a",
    "a, b",
    "x" * 300,
    "x" * 299 + "y",
    "a\nb",
    "\u202ea",
    "null model bootstrap",
    "~",
]


def test_an_arm_is_called_what_its_key_says(tmp_path: Path) -> None:
    """Through to plan, page, table and summary: no name is lost, none becomes another one."""
    keys = [name if name[:1].isalnum() and name.strip() == name else json.dumps(name) for name in NAMES]
    base = "base: {dataset: {kind: gaussian, size: 0100}, model: gaussian, gens: 1}"
    arms = [f"  {key}: {{samples: {50 + place}}}" for place, key in enumerate(keys)]
    Path("grid.yaml").write_text("\n".join([base, "nulls: false", "seeds: 1", "reference: 'no'", "arms:", *arms]), encoding="utf-8")
    result = call("ablate", "grid.yaml", "--out", "out")
    assert result.exit_code == 0, result.output
    runs = plan.read(tmp_path / "out")
    assert [(run.arm, run.study.samples) for run in runs] == [(name, 50 + place) for place, name in enumerate(NAMES)]
    summary = json.loads((tmp_path / "out" / grid.SUMMARY).read_text(encoding="utf-8"))
    assert [arm["arm"] for arm in summary["arms"]] == NAMES and summary["reference"] == "no"
    assert [one["arm"] for one in summary["differences"]] == [name for name in NAMES if name != "no"]
    with (tmp_path / "out" / grid.CSV).open(encoding="utf-8", newline="") as file:
        assert list(dict.fromkeys(row["arm"] for row in csv.DictReader(file))) == NAMES


def test_every_name_is_kept_by_plan_and_file(tmp_path: Path) -> None:
    base = {"dataset": {"kind": "gaussian", "size": 100}, "model": "gaussian", "gens": 1}
    chosen = build(Ablation, {"base": base, "arms": {name: {} for name in MORE_NAMES}, "reference": MORE_NAMES[-1], "seeds": [7]})
    plan.make(chosen, plan.resolve(chosen, tmp_path / "out"), tmp_path / "out", Resources.of(Machine(), 1, tmp_path / "out" / "shared"))
    assert build(Ablation, read_file(tmp_path / "out" / grid.ABLATION)) == chosen
    found = [(run.arm, run.null) for run in plan.read(tmp_path / "out")]
    assert found == list(dict.fromkeys(found)) and list(dict.fromkeys(arm for arm, _ in found)) == MORE_NAMES


def test_arms_of_axes_are_told_apart_by_their_whole_values() -> None:
    values = [
        1,
        1.0,
        True,
        "1",
        "1.0",
        "true",
        None,
        "null",
        "None",
        0.1,
        0.10000001,
        1e-05,
        "1e-05",
        "a",
        "a, b",
        " a",
        "a ",
        "",
        [1],
        [1.0],
        "[1]",
    ]
    values += [{"a": 1}, {"a": 1.0}, '{"a": 1}', "x" * 99, "x" * 99 + "y", "caf\u00e9", "the\u0301", "A", 123456.789, 123456.7891]
    named = build(Ablation, {"axes": {"model.x": values}}).named()
    assert len(named) == len(values) and list(named)[:10] == [
        *("x 1", "x 1.0", "x true", 'x "1"', 'x "1.0"', 'x "true"', "x null", 'x "null"', "x None", "x 0.1"),
    ]
    crossed = build(Ablation, {"arms": {"a": {}, "a, w b": {}}, "axes": {"m.w": ["b", "b, w b", 'b", w "b']}}).named()
    assert len(crossed) == 2 * 3


WRONG: dict[str, str] = {
    "base: digits": "base: 'digits' cannot be used; it should be a mapping, such as {key: value}",
    "base: [1]": "base: [1] cannot be used; it should be a mapping, such as {key: value}",
    "arms: [a, b]": "arms: ['a', 'b'] cannot be used; it should be a mapping, such as {key: value}",
    "arms: {a: digits}": "arms.a: 'digits' cannot be used; it should be a mapping, such as {key: value}",
    "arms: {a: null}": "arms.a: None cannot be used; it should be a mapping, such as {key: value}",
    "arms:\n  a: {}\n  b: {}\n  a: {gens: 3}": "grid.yaml:4: 'a' is given twice, first in line 2; keep one, or give one another name",
    "arms: {0.1: {}, '0.1': {}}": "grid.yaml:1: '0.1' is given twice, first in line 1; keep one, or give one another name",
    "arms: {'': {}}": "arms: an arm has the name '', in which nothing can be seen; give it another",
    'arms: {" \\u200b": {}}': "arms: an arm has the name ' \\u200b', in which nothing can be seen; give it another",
    "arms: {x: {}, 'x, null model bootstrap': {}}": "arms: 'x, null model bootstrap' is how the null model of the arm 'x' is called; ",
    "arms: {caf\u00e9: {}, a: {}, cafe\u0301: {}}": r"arms: 'caf\xe9' and 'cafe\u0301' look alike; rename one",
    "axes: {model.x: [\u00c5, A\u030a, \u212b]}": r"arms: 'x \xc5' and 'x A\u030a' look alike; rename one",
    "arms: {a: {regime.pool: fixed, regime: {kind: retain, pool: fresh}}}": "arm 'a': regime.pool: is given twice; keep one of the two",
    "arms: {a: {samples: 5}}\naxes: {samples: [6, 7]}": "arm 'a, samples 6': samples: is given twice; keep one of the two",
    "arms: {a: {gens: yes}}": "arm 'a': gens: 'yes' cannot be used; it should be a valid integer",
    "arms: {a: {stepz: 1}}": f"arm 'a': stepz: there is no such setting; there are: {', '.join(sorted(Study.model_fields))}",
    "axes: 3": "axes: 3 cannot be used; it should be a mapping, such as {key: value}",
    "axes: {model.steps: 300}": "axes.model.steps: 300 cannot be used; it should be a list, such as [a, b]",
    "axes: {model..steps: [1]}": "axes.model..steps: is not the path of a setting; write for example axes: {model.steps: [300, 600]}",
    "axes: {samples: [50, 50]}": "axes.samples: has the value 50 2 times; give each value once",
    "axes: {sample: [50]}": "arm 'sample 50': sample: there is no such setting; did you mean 'samples'? ",
    "axes: {a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], b: *a, c: *a, d: *a, e: *a}": "arms, models, axes and seeds cross to more than ",
    "seeds: -1": "seeds: -1 cannot be used; name how many, 1 to 100,000, or a list",
    "seeds: 1000000000000": "seeds: 1000000000000 cannot be used; name how many, 1 to 100,000, or a list",
    "seeds: true": "seeds: True cannot be used; it should be a list, such as [a, b]",
    "question: 3": "question: 3 cannot be used; it should be text; put it in quotes",
    "arms: {0.1: {}}\nreference: 0.1": "reference: 0.1 cannot be used; it should be text; put it in quotes",
    "nulls: no": "nulls: 'no' cannot be used; it should be true or false",
    "base: {dataset: 3}": "arm 'base': dataset: 3 cannot be used; it should be a mapping, such as {key: value}",
    "base: {dataset: {kind: [1]}}": "arm 'base': dataset: '[1]' is unknown; there are: digits, ",
    "base: {judge: 3}": "arm 'base': judge: 3 cannot be used; it should be a mapping, such as {key: value}",
    "- 1": "grid.yaml: holds list, not settings; write lines such as `gens: 10`",
    "": "grid.yaml: holds NoneType, not settings; write lines such as `gens: 10`",
    f"arms: {{{'a' * 500}: {{gens: 0}}}}": f"arm '{'a' * 59}... (502 characters): gens: 0 cannot be used; it should be greater than 0",
    'arms: {"a\\nb": {"c\\nd": 3}}': "arm 'a\\nb': 'c\\nd': there is no such setting; there are: correction, dataset, ",
}


@pytest.mark.parametrize(("content", "text"), WRONG.items())
def test_a_file_of_a_wrong_shape_is_one_line(content: str, text: str) -> None:
    Path("grid.yaml").write_text(content)
    result = call("ablate", "grid.yaml", "--dry-run")
    assert result.exit_code == 2 and result.stderr.startswith(f"imgcollapse: {text}"), result.output
    assert len(result.stderr.splitlines()) == 1


def test_what_a_setting_is_comes_before_its_options_in_whatever_order_they_are_named() -> None:
    one = {"arms": {"a": {"regime.pool": "fixed", "regime": "retain"}, "b": {"regime": {"pool": "fixed"}, "regime.kind": "retain"}}}
    other = {"arms": {"a": {"regime": {"pool": "fixed"}}}, "axes": {"regime.real_fraction": [0.5], "regime": ["retain"]}}
    for values in (one, other):
        for changes in build(Ablation, values).named().values():
            assert changes["regime"].items() >= {("kind", "retain"), ("pool", "fixed")}


def dataset_of(text: str) -> Any:
    """What `ablate --dataset TEXT` studies."""
    return ablation_from({"dataset": text}, (), ()).base["dataset"]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "digits",
            "folder:pics #1",
            "folder:a: b",
            "folder:[x]",
            "folder:{a}",
            "folder:a\tb",
            "folder:#",
            "folder:it's",
            "folder:- a",
            "null",
        ),
        *(
            'folder:"a"',
            "folder:a ",
            "folder:&a",
            "folder:*",
            "folder:!x",
            "folder:%",
            "folder:`",
            "folder:C:\\new",
            "folder:a\nb",
            "1e3",
            "zip:~",
        ),
        *(
            "folder:a\\u00e9",
            "folder:😀",
            "folder:caf\udce9",
            "folder:x}",
            "folder:x]",
            "? x",
            "- x",
            "#",
            "&a digits",
            "*a",
            "!!str a",
            "|",
            "%a",
        ),
    ],
)
def test_a_text_means_to_ablate_what_it_means_to_run(text: str) -> None:
    assert dataset_of(text) == text
    several = ablation_from({"dataset": f"{text.strip()}, mnist"}, (), ()).axes["dataset"]
    assert several == (text.strip(), "mnist")
    for flag in ("dataset", "model", "regime", "pool"):
        assert ablation_from({flag: "a #1,b: c"}, (), ()).axes == {AXES[flag]: ("a #1", "b: c")}


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("{kind: digits, subset: 100},mnist", ({"kind": "digits", "subset": 100}, "mnist")),
        (
            "mnist , {kind: folder, path: 'a},b', alpha: white} ,digits",
            ("mnist", {"kind": "folder", "path": "a},b", "alpha": "white"}, "digits"),
        ),
        ("'folder:a, b',digits", ("folder:a, b", "digits")),
        ("'it''s, a', \"b\\u00e9, c\" ,d", ("it's, a", "b\u00e9, c", "d")),
        ("folder:it's,folder:[a,b]", ("folder:it's", "folder:[a", "b]")),
        ("a,[1, [2, 3]],b", ("a", (1, (2, 3)), "b")),
        ("{a: b}\t,\tc", ({"a": "b"}, "c")),
    ],
)
def test_commas_part_texts_but_not_in_quotes_and_brackets_at_their_head(text: str, several: tuple[Any, ...]) -> None:
    assert ablation_from({"dataset": text}, (), ()).axes["dataset"] == several


def test_one_text_in_quotes_or_brackets() -> None:
    assert dataset_of("'folder:a, b'") == "folder:a, b" and dataset_of(' "digits" ') == "digits"
    assert dataset_of("{kind: digits, subset: 100}") == {"kind": "digits", "subset": 100}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (text, f"{text!r} has nothing where a value belongs; write quotes around text with commas")
            for text in ("a,", ",a", "a, ,b", ",")
        ),
        ("{kind: digits", "'{kind: digits' is not YAML; put it in quotes"),
        ("mnist,'digits", '"\'digits" is not YAML; put it in quotes'),
        ("{a: 1} x,b", "'{a: 1} x,b' is not YAML; put it in quotes"),
        ("{a: 1, a: 2},b", "'{a: 1, a: 2},b' cannot be used: 'a' is given twice, first in line 1; "),
    ],
)
def test_a_text_that_cannot_be_parted(text: str, reason: str) -> None:
    result = call("ablate", "--dataset", text, "--dry-run")
    assert result.exit_code == 2 and result.stderr.startswith(f"imgcollapse: --dataset: {reason}"), result.output


def test_run_and_ablate_say_the_same_of_a_folder_with_a_mark_of_comments(tmp_path: Path) -> None:
    class_folders(tmp_path / "pics", {0: 16, 1: 16})
    class_folders(tmp_path / "pics #1", {0: 33, 1: 36})
    common = ("--dataset", "folder:pics #1", "--model", "bootstrap", "--gens", "1", "--extractor", "pixels", "--json")
    assert call("run", *common, "--out", "run").exit_code == 0
    assert call("ablate", *common, "--seeds", "1", "--no-nulls", "--out", "grid").exit_code == 0
    (one,) = plan.read(tmp_path / "grid")
    worlds = [json.loads((folder / store.DATA).read_text()) for folder in (tmp_path / "run", one.folder)]
    assert worlds[0] == worlds[1] and worlds[0]["name"] == "folder-pics #1"


def test_axes_cross_with_each_other_and_with_arms() -> None:
    values = {**GRID, "axes": {"samples": [50, 100], "model.components": [2, 3]}}
    named = build(Ablation, values).named()
    assert len(named) == 3 * 2 * 2
    assert named["half real, samples 50, components 3"] == {
        "regime": {"kind": "retain", "real_fraction": 0.5},
        "samples": 50,
        "model": {"components": 3},
    }
    assert list(build(Ablation, {"axes": {"a.x": [1], "b.x": [2]}}).named()) == ["a.x 1, b.x 2"]


def test_a_dry_run_shows_the_plan_and_writes_nothing() -> None:
    result = ablate(GRID, "out", "--dry-run")
    assert (
        result.exit_code == 0
        and "half real, null model gaussian: gaussian on grid25, retain 50 % real (resample); seeds 0, 1" in result.stdout
    )
    assert "24 runs" in result.stdout and not Path("out").exists()
    assert len(json.loads(ablate(GRID, "out", "--dry-run", "--json").stdout)["arms"]) == 12


def test_a_dry_run_names_and_counts_every_run_once(tmp_path: Path) -> None:
    """Null models of generators are the same runs."""
    models = {"mixture": {"kind": "gmm", "components": 2}, "of 3": {"kind": "gmm", "components": 3}}
    base = {"dataset": {"kind": "digits", "subset": 40}, "samples": 40, "gens": 1, "judge": {"extractors": ["pixels"]}}
    values = {"base": base, "models": models, "axes": {"regime": ["replace", "accumulate"]}, "seeds": 2}
    said = ablate(values, "out", "--dry-run").stdout
    assert "\n16 runs\n" in said and "  16 runs of 16 generations, 8 of them different: " in said
    assert [line.partition(":")[0] for line in said.splitlines()[1:9]] == [
        "mixture, regime replace",
        "mixture, regime replace, null model bootstrap (of 2 arms)",
        "mixture, regime replace, null model smooth (of 2 arms)",
        "mixture, regime accumulate",
        "mixture, regime accumulate, null model bootstrap (of 2 arms)",
        "mixture, regime accumulate, null model smooth (of 2 arms)",
        *(f"of 3, regime {regime}" for regime in ("replace", "accumulate")),
    ]
    told = json.loads(ablate({**values, "axes": {}}, "out", "--dry-run", "--json").stdout)
    nulls = [("mixture", "bootstrap"), ("mixture", "smooth")]
    assert [(one["arm"], one["null"]) for one in told["arms"]] == [("mixture", None), *nulls, ("of 3", None)]
    assert told["cost"]["runs"] == 2 * len(told["arms"]) and set(told["arms"][0]) == {"arm", "null", "study", "seeds", "chosen"}


def test_a_dry_run_says_in_a_word_where_all_arms_choose_the_same(tmp_path: Path) -> None:
    values = {"base": {"judge": {"extractors": ["pixels"]}}, "models": ["gmm", "vae", "ddpm"], "axes": {"samples": [40, 50]}, "seeds": 1}
    asked = build(Ablation, values)
    resolved = plan.resolve(asked, tmp_path / "out")
    planned = planning.PlannedAblation(None, {(arm, null): own for arm, null, own in resolved})
    lines = planned.chosen_lines(planning.once(asked.studies()))
    assert lines[0].startswith("chosen in all arms and null models: judge.metrics = ") and "judge.n" not in lines[0]
    (of_vae,) = (line for line in lines if "model.latent" in line)
    assert of_vae.startswith("chosen in vae, samples 40; vae, samples 50: model.")
    of_40 = "gmm, samples 40; gmm, samples 40, null model bootstrap (of 3 arms); gmm, samples 40, null model smooth (of 3 arms)"
    assert f"chosen in {of_40}; vae, samples 40; ddpm, samples 40: judge.n = 40" in lines
    more = build(Ablation, {**values, "axes": {**values["axes"], "regime": ["replace", "accumulate"]}})
    planned = planning.PlannedAblation(None, {(arm, null): own for arm, null, own in plan.resolve(more, tmp_path / "out")})
    first = [line for line in planned.chosen_lines(planning.once(more.studies())) if line.endswith("judge.n = 40")]
    assert len(first) == 1 and first[0].count(";") == 3 and first[0].endswith("; and 7 more: judge.n = 40")


DIVERGES: dict[str, Any] = {
    "base": {"dataset": "digits", "model": {"kind": "vae", "steps": 30, "width": 8}, "gens": 2, "judge": {"extractors": []}},
    "arms": {"sound": {}, "too fast": {"model": {"learning_rate": 1e30, "clip": 1e30}}},
    "nulls": False,
    "seeds": 1,
}


def test_a_run_that_diverges_is_recorded_and_does_not_stop_the_others(tmp_path: Path) -> None:
    result = ablate(DIVERGES, "out")
    assert result.exit_code == 7, result.output
    assert "failed: too fast, seed 0, generation 0: vae: the loss became NaN or infinite" in result.stdout
    sound, fast = run_statuses(plan.read(tmp_path / "out"))
    assert (sound.state, sound.done, fast.state, fast.done) == ("done", 2, "failed", 0)
    assert fast.failure is not None and fast.failure["kind"] == "DivergedProblem" and fast.failure["exit_code"] == 6
    again = ablate(DIVERGES, "out")
    assert again.exit_code == 7 and "not tried again, unless with --retry" in again.stdout
    assert worker.read_failure(fast.run.folder) == fast.failure
    assert ablate(DIVERGES, "out", "--retry").exit_code == 7
    later = worker.read_failure(fast.run.folder)
    assert later is not None and later["when"] >= fast.failure["when"]
    table = call("status", "out").stdout
    assert "failed" in table and "the loss became NaN" in table


def test_a_failure_that_is_mended_is_forgotten(tmp_path: Path) -> None:
    small = {**GRID, "seeds": 1, "nulls": False, "arms": {"replace": {}}}
    assert ablate(small, "out").exit_code == 0
    (run,) = plan.read(tmp_path / "out")
    worker.record_failure(run.folder, "SIGKILL", "the process was ended by SIGKILL", 137)
    assert status("out")["runs"][0]["state"] == "failed"
    assert ablate(small, "out").exit_code == 0
    assert status("out")["runs"][0]["state"] == "done" and not (run.folder / worker.FAILED).exists()


LONG: dict[str, Any] = {
    "base": {"dataset": "digits", "model": {"kind": "vae", "steps": 150, "width": 8}, "gens": 3, "judge": {"extractors": []}},
    "arms": {"replace": {}, "half": {"regime": {"kind": "retain", "real_fraction": 0.5}}},
    "nulls": False,
    "seeds": 1,
}


def begin(*more: str) -> "subprocess.Popen[str]":
    Path("grid.yaml").write_text(yaml.safe_dump(LONG))
    command = [sys.executable, "-m", "imgcollapse", "ablate", "grid.yaml", "--out", "out", *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(what: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.slow  # two ablations each
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_keeps_what_is_finished_and_going_on_ends_where_an_uninterrupted_one_does(tmp_path: Path, number: int) -> None:
    process = begin("--jobs", "2")
    wait_for(lambda: any(Path("out").glob("runs/*/gen_000")))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "stopped; what is finished is kept in out. To go on, run the same command again." in said
    assert not any(store.in_use(run) for run in Path("out/runs").iterdir())
    assert not any(Path("out/runs").glob("*/*.draft"))
    before = times(tmp_path / "out")
    assert 1 <= len(before) < 6
    assert ablate(LONG, "out").exit_code == 0
    assert times(tmp_path / "out").items() >= before.items()
    if number == signal.SIGTERM:
        return  # the comparison below is needed once
    assert ablate(LONG, "uninterrupted", "--jobs", "1").exit_code == 0
    samples = [
        {path.name: (path / store.SAMPLES).read_bytes() for path in sorted(Path(out).glob("runs/*/gen_*"))}
        for out in ("out", "uninterrupted")
    ]
    assert samples[0] == samples[1]


@pytest.mark.slow  # several processes
def test_a_worker_that_is_killed_is_recorded_and_takes_no_other_run_with_it(tmp_path: Path) -> None:
    process = begin("--jobs", "1")
    wait_for(lambda: any(Path("out").glob("runs/*/gen_000")))
    (victim,) = [run for run in Path("out/runs").iterdir() if store.in_use(run)]
    workers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _holds(path, (victim / store.LOCK).resolve())]
    assert len(workers) == 1
    os.kill(workers[0], signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 7, said
    failure = worker.read_failure(victim)
    assert failure is not None and failure["kind"] == "SIGKILL" and failure["exit_code"] == 137 and "fewer --jobs" in failure["message"]
    assert sorted(one["state"] for one in status("out")["runs"]) == ["done", "failed"]
    assert ablate(LONG, "out").exit_code == 0
    assert [one["state"] for one in status("out")["runs"]] == ["done", "done"]


def _holds(process: Path, file: Path) -> bool:
    """Whether that process has the file open."""
    try:
        return str(file) in {os.readlink(handle) for handle in (process / "fd").iterdir()}
    except OSError:
        return False


@pytest.mark.slow  # two processes
def test_the_worker_command_executes_one_run_and_can_be_repeated(tmp_path: Path) -> None:
    small = {**GRID, "seeds": 1, "nulls": False, "arms": {"replace": {}}}
    assert ablate(small, "out").exit_code == 0
    (run,) = plan.read(tmp_path / "out")
    before = outcome(tmp_path / "out")
    for generation in ("gen_002", "gen_001"):
        for path in sorted((run.folder / generation).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (run.folder / generation).rmdir()
    for _ in range(2):
        done = subprocess.run([sys.executable, "-m", "imgcollapse", "worker", str(run.folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "out") == before
    nothing = call("worker", "nowhere")
    assert nothing.exit_code == 3 and "nowhere: is not a run of an ablation (worker.json is missing)" in nothing.stderr


def test_status_tells_a_single_run_too(tmp_path: Path) -> None:
    toy = ("--dataset", "gaussian", "--model", "gaussian", "--set", "dataset.size=60", "--gens", "2", "--out", "one")
    assert call("run", *toy).exit_code == 0
    found = status("one")
    assert found["runs"][0]["state"] == "done" and found["runs"][0]["generations"] == 2
    missing = call("status", "nowhere")
    assert missing.exit_code == 2 and "nowhere: holds no ablation (plan.json is missing)" in missing.stderr


def test_the_time_left_waits_until_every_model_has_been_timed(whole: tuple[Path, Result]) -> None:
    runs = plan.read(whole[0])
    done = [RunStatus(run, "done", 3, (2.0, 4.0, 6.0), 0, None) for run in runs[:1]]
    assert seconds_left(done, 1) == 0
    same = next(run for run in runs[1:] if run.study.model.kind == runs[0].study.model.kind)
    other = next(run for run in runs if run.study.model.kind == "bootstrap")
    assert seconds_left([*done, RunStatus(same, "running", 1, (), 1, None)], 2) == pytest.approx(2 * 4 / 2)
    assert seconds_left([*done, RunStatus(other, "waiting", 0, (), 0, None)], 2) is None
    assert seconds_left([*done, RunStatus(other, "failed", 0, (), 0, {})], 2) == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seeds": []}, "seeds: [] cannot be used; name different seeds of at least 0, or how many"),
        ({"seeds": [1, 1]}, "seeds: [1, 1] cannot be used; name different seeds of at least 0, or how many"),
        ({"seeds": [-1]}, "seeds: [-1] cannot be used; name different seeds of at least 0, or how many"),
        ({"base": {"seed": 3}}, "seed: an ablation runs every arm with every seed; name them under `seeds`, not in base, axes or arms"),
        ({"axes": {"samples": []}}, "axes.samples: has no values; give at least one"),
        ({"reference": "nobody"}, "reference: there is no arm 'nobody'; there are: replace, none real, half real"),
        (
            {"arm": {}},
            "arm: there is no such setting; did you mean 'arms'? "
            "there are: arms, axes, base, endpoint, half_width, models, nulls, question, reference, seeds",
        ),
    ],
)
def test_an_ablation_that_cannot_be_is_said(change: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        build(Ablation, {**GRID, **change})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("values", "more", "code", "text"),
    [
        ({"arms": {"a": {"model.steps": 3}}}, (), 2, "arm 'a': model.steps: there is no such setting;"),
        (
            {"arms": {"a": {"regime": {"kind": "retain", "pool": "fresh"}}}, "base": {"dataset": "digits", "model": "gaussian"}},
            (),
            2,
            "arm 'a': regime.pool: fresh real pictures will not last",
        ),
        ({}, ("--engine", "cloud"), 2, "--engine: 'cloud' is unknown; there are: local, slurm, ray"),
        ({}, ("--engine-option", "a=1"), 2, "--engine-option: the engine local has no options ('a' was given); leave it out"),
        ({}, ("--engine-option", "a"), 2, "--engine-option: 'a' is not KEY=VALUE"),
        ({}, ("--axis", "samples"), 2, "--axis: 'samples' is not PATH=VALUE,VALUE,...; write for example --axis model.steps=300,600"),
        ({}, ("--samples", "[1"), 2, "'[1' is not a list of values; write them with commas, for example 0,0.1,0.5"),
    ],
)
def test_what_cannot_be_executed_is_one_line_before_anything_is_written(
    values: dict[str, Any], more: tuple[str, ...], code: int, text: str
) -> None:
    result = ablate({**GRID, **values}, "out", *more)
    *before, error = result.stderr.strip().splitlines()
    assert result.exit_code == code and text in error, result.output
    assert all(line.startswith("out: ") for line in before) and len(before) <= 1, "what is to be done"
    assert not Path("out/runs").exists()


def test_a_folder_with_something_else_in_it_is_refused() -> None:
    small = {**GRID, "seeds": 1, "nulls": False, "arms": {"replace": {}}}
    assert ablate(small, "out").exit_code == 0
    other = ablate({**small, "base": {**GRID["base"], "samples": 100}}, "out")
    assert other.exit_code == 5 and "out: holds another ablation (base.samples None, now 100); choose another --out" in other.stderr
    threads = ablate(small, "out", "--threads", "2")
    assert threads.exit_code == 5 and "was begun with --threads 1, now 2; add --threads 1, or choose another --out" in threads.stderr
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("x")
    mine = ablate(small, "mine")
    assert (
        mine.exit_code == 5 and "mine: this folder holds other files, and nothing is ever overwritten; choose another --out" in mine.stderr
    )
