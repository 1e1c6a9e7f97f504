"""Parts of a file in what goes beyond one process and one run: sent to another process, and in the recipe by which runs share."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imgcollapse
from imgcollapse import datasets
from imgcollapse.settings import build
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


def test_an_edited_gate_that_changes_pictures_makes_another_recipe(tmp_path: Path) -> None:
    """Runs of an ablation share generations by their recipe: none may take what an older content of the gate has published."""

    def recipe(text: str) -> dict[str, Any]:
        file = tmp_path / "mine.py"
        file.write_text(text)
        chosen, world, _ = prepare(study(file), datasets.load(study(file).dataset, 0))
        past = Past(tmp_path, 0, Path)
        return chosen.recipe(chosen.identity(0, world), past, {"training_set": "", "made_of": {}}, None)

    assert recipe(SOURCE) == recipe(SOURCE) != recipe(SOURCE + "# edited\n")
