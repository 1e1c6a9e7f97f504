"""What a run or an ablation costs, told before it is made."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from terminal import call

from imgcollapse import progress, store
from imgcollapse.ablation import cost, ensemble, plan
from imgcollapse.ablation.cost_shared import shared_cost
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.status import account, run_statuses
from imgcollapse.interface import cost_lines, long, planning, running
from imgcollapse.machine import timing
from imgcollapse.models import costs
from imgcollapse.settings import build
from imgcollapse.study import DEFAULT_KINDS, Study, prepare

TOY: dict[str, Any] = {"dataset": {"kind": "gaussian", "size": 100}, "model": {"kind": "gaussian"}, "gens": 3}


def study(**values: Any) -> Study:
    return build(Study, {**DEFAULT_KINDS, **values})


def test_operations_are_those_of_the_network_three_times_for_a_step() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    chosen, world, _ = prepare(study())
    net = chosen.model._network(world.train.shape)  # type: ignore[attr-defined]
    side = net.config.sample_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 1, side, side), torch.zeros(1))
    forward = counter.get_total_flops()
    found = costs.operations_of(chosen.model, world.train)
    evaluations = chosen.model.sampling.evaluations(1000)  # type: ignore[attr-defined]
    assert found.picture == pytest.approx(evaluations * forward, rel=1e-9)
    # the gradient of a layer costs two forward passes; that of the first with respect to the pictures is not needed
    assert found.step == pytest.approx(3 * chosen.model.batch * forward, rel=0.03)  # type: ignore[attr-defined]
    twice = chosen.model.model_copy(update={"batch": 2 * chosen.model.batch})  # type: ignore[attr-defined]
    assert costs.operations_of(twice, world.train).step == 2 * found.step


@pytest.mark.parametrize(
    ("regime", "expected"),
    [
        ("replace", [100] * 6),
        ("accumulate", [100, 200, 300, 400, 500, 600]),
        ("accumulate-subsample", [100] * 6),
        ({"kind": "augment", "synthetic_ratio": 0.5}, [100, 150, 150, 150, 150, 150]),
        ({"kind": "retain", "real_fraction": 0.1}, [100] * 6),
    ],
)
def test_training_sets_are_as_large_as_the_regime_makes_them(regime: Any, expected: list[int]) -> None:
    chosen, _, real = prepare(study(**{**TOY, "regime": regime, "gens": 6}))
    assert cost.sizes(chosen, real) == expected


@pytest.mark.parametrize(("model", "least"), [({"kind": "gmm", "components": 10}, 0.9), ("bootstrap", 0.7)])  # which keeps a picture once
def test_the_disk_holds_no_more_than_was_told(model: object, least: float, tmp_path: Path) -> None:
    prepared = prepare(study(**{**TOY, "dataset": "digits", "model": model, "samples": 400, "judge": {"extractors": []}}))
    found = cost.cost_of(prepared[0], prepared=prepared)
    ensemble.run(prepared[0], tmp_path / "run")
    for number, one in enumerate(found.generations):
        there = sum(file.stat().st_size for file in (tmp_path / f"run/gen_{number:03d}").rglob("*") if file.is_file())
        told = one.disk - one.own  # scores and grid lie beside it
        assert least * told < there < 1.12 * told
    first = prepare(study(**{**TOY, "keep": {"samples": "last", "models": "none"}}))
    thrifty = [one.disk for one in cost.cost_of(first[0], prepared=first).generations]
    assert thrifty[0] == thrifty[1] < thrifty[2]


def lies_in(folder: Path) -> int:
    """Bytes of its files, linked ones once, and of folders as most file systems count them."""
    places = [folder, *folder.rglob("*")]
    files = {one.stat().st_ino: one.stat().st_size for one in places if one.is_file()}
    return sum(files.values()) + 4096 * sum(one.is_dir() for one in places)


def test_records_scores_figures_and_page_are_in_the_disk_of_a_run(tmp_path: Path) -> None:
    prepared = prepare(study(**TOY))
    told = cost.cost_of(prepared[0], prepared=prepared)
    ensemble.run(prepared[0], tmp_path / "run")
    running.draw(tmp_path / "run")
    assert 1 <= told.disk / lies_in(tmp_path / "run") <= 2.5
    assert told.beside.values == len(store.scores_of(tmp_path / "run", 1).sources["pixels"]) + 5 == 25
    assert told.seconds == told.work + told.beside.seconds > told.beside.seconds > 5


@pytest.mark.slow
def test_an_ablation_makes_as_many_different_generations_and_bytes_as_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grid = {
        "base": TOY,
        "arms": {
            "replace": {},
            "half": {"regime": {"kind": "retain", "real_fraction": 0.5}},
            "wider": {"regime": {"kind": "retain", "real_fraction": 0.5}, "model": {"sampling": {"temperature": 1.1}}},
            "other judge": {"judge": {"k": 2}},
        },
        "seeds": 1,
        "nulls": False,
    }
    Path("grid.yaml").write_text(json.dumps(grid))
    told = json.loads(call("ablate", "grid.yaml", "--out", "out", "--dry-run", "--json").stdout)["cost"]
    assert not Path("out").exists() and call("ablate", "grid.yaml", "--out", "out", "--jobs", "1").exit_code == 0
    done = account(run_statuses(plan.read(Path("out"))))
    # of 12: the first generation is one for `replace`, `half` and the other judge, and the other judge shares all
    assert told["generations"] == done["generations_asked_for"] == 12
    assert told["different_generations"] == done["generations_made"] == 8
    assert 1 <= told["disk_bytes"] / lies_in(Path("out")) <= 2.5


def test_a_dry_run_shows_what_is_chosen_and_what_it_costs_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("IMGCOLLAPSE_DATA", str(data))
    few = ("--set", "model.width=8", "--gens", "3", "--samples", "200")
    shown = call("run", "--model", "vae", *few, "--dry-run").stdout
    assert "\n  steps: 0  # chosen here: 1000\n" in shown and "\n  extractors: null  # chosen here: [classifier, random]\n" in shown
    assert "generation 0 to 2, each: learns from 200, draws 200; " in shown and "in all: 3 generations, 600 pictures drawn; " in shown
    told = json.loads(call("run", "--model", "vae", *few, "--dry-run", "--json").stdout)
    assert told["chosen"]["model.latent"] == 16 and told["problem"] is None and told["cost"]["real_pictures"] == 200
    assert told["cost"]["seconds"] > sum(one["learn"] for one in told["cost"]["generations"]) > 0 < told["cost"]["memory_bytes"]
    assert not data.exists() and not Path("runs").exists()


def test_what_is_chosen_stands_beside_what_is_left_open_wherever_that_is() -> None:
    lines = ["a: 1", "model:", "  steps: 0", "  sampling:", "    steps: 0", "gates:", "- kind: x", "  steps: 3", "'n': null", "flag: null"]
    chosen = {"model.steps": 7, "model.sampling.steps": [1, 2], "n": 5, "flag": True, "models.0.steps": 9}
    assert planning.with_chosen(lines, chosen) == [
        *("a: 1", "model:", "  steps: 0  # chosen here: 7", "  sampling:", "    steps: 0  # chosen here: [1, 2]"),
        *("gates:", "- kind: x", "  steps: 3", "'n': null  # chosen here: 5", "flag: null  # chosen here: true"),
        "# chosen here: models.0.steps = 9",
    ], "what has no line of its own stands at the end"
    assert planning.with_chosen(lines, {}) == lines


def test_data_that_are_not_there_are_told_in_a_line_and_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCOLLAPSE_DATA", str(tmp_path / "data"))
    shown = call("run", "--dataset", "mnist", "--dry-run")
    last = shown.stdout.splitlines()[-1]
    assert shown.exit_code == 0 and last.startswith("# the cost on this machine is unknown: mnist: not there: the first use downloads it")
    assert not (tmp_path / "data").exists()


def test_of_a_program_nothing_is_said() -> None:
    (Path.cwd() / "a.py").write_text("")
    fit, draw = "python a.py {training_set} {model} {seed}", "python a.py {model} {samples} {n} {seed}"
    shown = call("run", "--model", "command", "--set", f"model.fit={fit}", "--set", f"model.sample={draw}", "--dry-run").stdout
    assert "cannot be known before it has run" in shown.splitlines()[-1]
    assert "\n  'n': null  # chosen here: " in shown and "# chosen here: model.sha256" not in shown


def test_generations_of_a_program_are_counted_as_they_will_be_made(tmp_path: Path) -> None:
    """Nothing is known of what they take; that generation 0 is one under every regime is known."""
    copy = {
        "kind": "command",
        "fit": "cp {training_set} {model}/set.npz",
        "sample": "sh -c 'cp $0/set.npz $1' {model} {samples} {n} {seed}",
    }
    other = {**copy, "sample": copy["sample"].replace("{n}", "-n {n}")}
    values = {
        "base": {"samples": 40, "gens": 3, "judge": {"extractors": []}},
        "models": {"a": copy, "b": other},
        "seeds": 2,
        "nulls": False,
    }
    axes = {"regime": ["replace", "accumulate"]}
    runs = [plan.runs_of(plan.resolve(build(Ablation, {**values, **more}), tmp_path), tmp_path, (0, 1)) for more in ({}, {"axes": axes})]
    told = [shared_cost(one, 2, 1) for one in runs]
    assert [(one.runs, one.asked, one.made) for one in told] == [(4, 12, 12), (8, 24, 20)] and not told[0].known
    assert cost_lines.shared_lines(told[0])[1:] == [
        "  4 runs of 12 generations, all of them different",
        "  what a program needs (model 'command') cannot be known before it has run",
    ]
    assert cost_lines.shared_record(told[1]) | {
        "different_generations": 20,
        "seconds": None,
        "disk_bytes": None,
    } == cost_lines.shared_record(told[1])
    # beside null models, of which it is known
    some = plan.runs_of(plan.resolve(build(Ablation, {**values, "models": {"a": copy}, "nulls": True}), tmp_path), tmp_path, (0, 1))
    both = shared_cost(some, 2, 1)
    assert (both.runs, both.asked, both.made) == (6, 18, 18) and both.known and both.disk > 0
    assert "  in all, without the runs whose cost is unknown: about " in "\n".join(cost_lines.shared_lines(both))


def test_a_long_run_says_so_and_what_would_make_it_shorter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard: list[str] = []

    class Listens(progress.Silent):
        def say(self, line: str) -> None:
            heard.append(line)

    prepared = prepare(study(dataset="digits", model={"kind": "vae", "width": 8, "steps": 500}, samples=300, gens=10))
    with progress.watched_by(Listens()):
        long.say_if_long(prepared, 0)
        assert heard == []
        monkeypatch.setattr(long, "LONG", 1e-6)
        long.say_if_long(prepared, 10)  # nothing is left to be done
        assert heard == []
        long.say_if_long(prepared, 0)
    (line,) = heard
    assert line.startswith("this takes about ") and "gens 5 would save" in line and "model.steps 250 would save" in line


def test_a_short_run_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("measured")

    for name in ("operations_of", "work_of"):
        monkeypatch.setattr(costs, name, refuse)
    long.say_if_long(prepare(study(dataset="digits", model={"kind": "vae", "steps": 30}, samples=300)), 0)
    long.say_if_long(prepare(study(**TOY)), 0)
    monkeypatch.undo()
    monkeypatch.setattr(long, "cost_of", refuse)
    long.say_if_long(prepare(study()), 0)  # the default run: its operations are counted, and say enough


FIVE: list[dict[str, Any]] = [
    {"model": {"kind": "ddpm", "steps": 30}, "samples": 200},
    {"model": {"kind": "vae", "steps": 200}, "samples": 600},
    {"model": "gmm"},
    {"model": "smooth", "regime": "accumulate"},
    {"model": {"kind": "vae", "steps": 60}, "regime": {"kind": "replace", "stream": True}, "samples": 300},
]


@pytest.mark.slow
@pytest.mark.skipif(
    "IMGCOLLAPSE_TEST_TIMES" not in os.environ, reason="set IMGCOLLAPSE_TEST_TIMES=1 to compare estimates with measured times"
)
@pytest.mark.parametrize("values", FIVE, ids=lambda values: str(values["model"]))
def test_a_run_takes_about_as_long_as_was_told(values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds of this process's own work, so that what else the machine does changes little; the median of up to three tries."""
    monkeypatch.setattr(timing, "clock", time.process_time)
    prepared, ratios = prepare(study(dataset="digits", gens=2, **values)), list[float]()
    ensemble.run(prepared[0], tmp_path / "before")  # what the data folder is to have, and what libraries do at first
    for attempt in range(3):
        told = cost.cost_of(prepared[0], prepared=prepared).work
        began = time.process_time()
        ensemble.run(prepared[0], tmp_path / f"run{attempt}")
        ratios.append(told / (time.process_time() - began))
        middle = sorted(ratios)[len(ratios) // 2]
        if 0.6 < middle < 1.6:
            break
    assert 0.5 < middle < 2, ratios
