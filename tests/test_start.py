"""What computes nothing is answered without what is slow to import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import imgcollapse as ic
from imgcollapse import heavy

SLOW = ("torch", "scipy", "sklearn", "matplotlib", "diffusers", "accelerate", "torchvision", "torchmetrics", "IPython")

COMMANDS = (
    (0, ["--help"]),
    (0, ["run", "--help"]),
    (0, ["list"]),
    (0, ["list", "ddpm"]),
    (0, ["list", "recall"]),
    (0, ["list", "configs"]),
    (0, ["status", "chain"]),
    (0, ["status", "."]),
    (2, ["status", "nowhere"]),
    (2, ["report", "nowhere"]),
    (2, ["run", "--model", "gan"]),
    (2, ["run", "--set", "modle.steps=3"]),
    (2, ["run", "--set", "model.steps=many"]),
    (2, ["run", "--set", "judge.metrics=[beauty]"]),
    (2, ["run", "--config", "nowhere.yaml"]),
    (2, ["run", "--device", "gpu"]),
    (2, ["run", "--track", "paper"]),
    (2, ["ablate", "--regime", "replace,keep"]),
    (2, ["ablate", "--axis", "model.steps=10,many"]),
    (2, ["ablate", "--engine", "steam"]),
    (2, ["judge", "chain", "--set", "judge.k=0"]),
    (2, ["score", "chain", "--against", "nothing"]),
    (3, ["export", "nowhere", "--to", "npz"]),
)

EACH = """
import json, sys
from click.testing import CliRunner
from imgcollapse.cli.main import main
slow, commands = json.loads(sys.argv[1])
import imgcollapse
found = []
for words in commands:
    done = CliRunner().invoke(main, words)
    found.append([done.exit_code, [name for name in slow if name in sys.modules], done.output])
print(json.dumps(found))
"""


def test_what_computes_nothing_imports_nothing_slow() -> None:
    """One process for all, so the first command named is the one to look at."""
    few = {"dataset.subset": 20, "judge.metrics": ["frechet_distance"], "judge.extractors": ["pixels"]}
    ic.run(dataset="digits", model="bootstrap", gens=1, set=few, out="chain", quiet=True)
    asked = json.dumps([SLOW, [*(words for _, words in COMMANDS), ["report", "chain"]]])
    root = Path(ic.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", EACH, asked], env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *found, (ended, imported, said) = json.loads(done.stdout)
    assert ended == 0 and "torch" not in imported, said  # a report draws with matplotlib
    for (code, words), (ended, imported, said) in zip(COMMANDS, found, strict=True):
        assert (ended, imported) == (code, []), (words, said)


def test_what_is_imported_later_is_the_library_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heavy.torch.Tensor is torch.Tensor and heavy.nn.Module is torch.nn.Module and heavy.functional.pad is torch.nn.functional.pad
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert heavy.torch.get_num_threads() == 77, "a name is looked up whenever it is used"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        heavy.torch.nothing  # type: ignore[attr-defined]  # noqa: B018
