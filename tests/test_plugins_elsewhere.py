"""Parts of a file in what goes beyond one process and one run: sent to another process, and in the recipe by which runs share."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from engine_runs import QUICK, lay_out, outcome, plainly

import imgcollapse
from imgcollapse import datasets
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.ablation.engines.ray import ray
from imgcollapse.settings import build
from imgcollapse.store.npz import read_images
from imgcollapse.store.past import Past
from imgcollapse.study import Study, prepare

SOURCE = '''
from typing import ClassVar, Literal

import torch

from imgcollapse.settings import Settings


class Brighten(Settings):
    """Publishes pictures that are moved."""

    kind: Literal["brighten"] = "brighten"
    changes: ClassVar[bool] = True

    def title(self):
        return "brighten"

    def candidates(self, n):
        return n

    def publish(self, drawn, seed):
        return drawn

    def admit(self, offered, real, past, seed):
        return torch.ones(len(offered), dtype=torch.bool)


GATES = {"brighten": Brighten}
'''


def study(file: Path) -> Study:
    values = {"dataset": {"kind": "gaussian", "size": 60}, "model": "gaussian", "gates": ["brighten"], "gens": 1, "plugins": [str(file)]}
    return build(Study, values)


@pytest.mark.slow  # starts two processes
def test_a_part_that_was_sent_to_another_process_is_known_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    (tmp_path / "sent").write_bytes(pickle.dumps(study(file).gates[0]))
    opens = "import pickle, sys, imgcollapse.study; print(pickle.load(open(sys.argv[1], 'rb')).title())"
    root = Path(imgcollapse.__file__).parent.parent
    there = [sys.executable, "-c", opens, str(tmp_path / "sent")]
    told = subprocess.run(there, cwd=root, capture_output=True, text=True, check=False)
    assert told.stdout == "brighten\n", told.stderr
    file.write_text(SOURCE + "# edited\n")
    told = subprocess.run(there, cwd=root, capture_output=True, text=True, check=False)
    assert f"ImportError: {file}: was changed since the run was begun" in told.stderr


@pytest.mark.slow  # starts a launcher and three programs
def test_processes_that_were_launched_together_read_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    root = Path(imgcollapse.__file__).parent.parent
    made = []
    for size in ("1", "2"):
        launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_machines=1", "--mixed_precision=no"]
        launcher += ["--dynamo_backend=no", f"--num_processes={size}", f"--main_process_port={29600 + os.getpid() % 300}"]
        command = [
            *launcher,
            "-m",
            "imgcollapse",
            "run",
            "--plugin=mine.py",
            "--model=vae",
            "--set=model.steps=5",
            "--set=gates=[brighten]",
        ]
        command += ["--gens=2", "--samples=50", "--extractor=pixels", f"--out={size}"]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        made.append(read_images(tmp_path / size / "gen_001" / "samples.npz").pixels.int())
    assert ((made[0] - made[1]).abs() <= 1).float().mean() > 0.99  # gradients are summed in another order


@pytest.mark.slow  # starts a cluster
def test_a_worker_of_ray_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "mine.py").write_text(SOURCE)
    values = {**QUICK, "gates": ["brighten"], "plugins": [str(tmp_path / "mine.py")]}
    run = lay_out(tmp_path / "out", values)
    ray([run], EngineConfiguration(1, 1, {}), lambda: None)
    assert worker.read_failure(run) is None
    assert outcome(run) == plainly(tmp_path / "plain", values)


def test_an_edited_gate_that_changes_pictures_makes_another_recipe(tmp_path: Path) -> None:
    """Runs of an ablation share generations by their recipe: none may take what an older content of the gate has published."""

    def recipe(text: str) -> dict[str, Any]:
        file = tmp_path / "mine.py"
        file.write_text(text)
        chosen, world, _ = prepare(study(file), datasets.load(study(file).dataset, 0))
        past = Past(tmp_path, 0, Path)
        return chosen.recipe(chosen.identity(0, world), past, {"training_set": "", "made_of": {}}, None)

    assert recipe(SOURCE) == recipe(SOURCE) != recipe(SOURCE + "# edited\n")
