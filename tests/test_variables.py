"""Variables of the environment that change a study are said, and what could change a digit is recorded."""

import json
from pathlib import Path

import pytest
from terminal import call

from imgcollapse.machine import environment

TOY = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=400", "--samples", "50", "--set", "judge.extractors=[pixels]"]


def test_what_a_run_takes_from_the_environment_is_said_and_recorded() -> None:
    env = {"IMGCOLLAPSE_GENS": "1", "IMGCOLLAPSE_SEED": "5", "IMGCOLLAPSE_MODEL": "vae", "OMP_NUM_THREADS": "1"}
    said = call("run", *TOY, "--out", "here", env=env)
    assert said.exit_code == 0, said.output
    assert said.stderr.splitlines()[0] == "from the environment: IMGCOLLAPSE_GENS=1, IMGCOLLAPSE_SEED=5", "the model's flag goes over it"
    (session,) = json.loads(Path("here/environment.json").read_text())["sessions"]
    assert {**env, "IMGCOLLAPSE_DATA": "(a path)"}.items() <= session["variables"].items()
    assert "from the environment" not in call("run", *TOY, "--gens", 1, "--seed", 5, "--out", "here").stderr


def test_others_say_it_too() -> None:
    env = {"IMGCOLLAPSE_SEEDS": "2"}
    assert call("ablate", *TOY[:4], "--dry-run", env=env).stderr == "from the environment: IMGCOLLAPSE_SEEDS=2\n"
    assert "IMGCOLLAPSE_EXTRACTOR=pixels" in call("score", "nowhere", "--against", "grid25", env={"IMGCOLLAPSE_EXTRACTOR": "pixels"}).stderr


def test_only_our_variables_and_those_that_decide_digits_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No path, no password."""
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setenv("IMGCOLLAPSE_OUT", "/somewhere/else")
    found = environment.variables()
    assert found["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and found["IMGCOLLAPSE_OUT"] == "(a path)" and "WANDB_API_KEY" not in found
