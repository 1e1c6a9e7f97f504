"""What docs/security.md promises of files that come from elsewhere; every promise there names a test."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from own_generator import quick
from terminal import call, done
from test_command import made

from imgcollapse import models
from imgcollapse.errors import DataProblem
from imgcollapse.models.weights import TENSORS

ROOT = Path(__file__).parent.parent


class Planted:
    """What an unpickler that opens it executes: it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_every_promise_of_the_page_has_its_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    promised = page.split("## Not trusted")[1].split("\n\n")[1].splitlines()[2:]
    there = {name for file in (ROOT / "tests").glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.M)}
    assert len(promised) >= 9
    for row in promised:
        named = re.findall(r"`(test_\w+)`", row)
        assert named and set(named) <= there, row


def test_an_object_in_an_array_is_not_unpickled(tmp_path: Path) -> None:
    file, planted = tmp_path / "a.npz", tmp_path / "ran"
    labels = np.array([Planted(planted)] * 4, dtype=object)
    np.savez(file, pixels=np.zeros((4, 1, 8, 8), np.uint8), labels=labels, born=np.zeros(4, np.int64))
    said = call("score", file, "--against", "digits", "--extractor", "pixels")
    assert said.exit_code == 3 and said.stderr.splitlines()[-1].startswith(f"imgcollapse: {file}: "), said.stderr
    assert not planted.exists()
    pickle.loads(pickle.dumps(labels))
    assert planted.exists(), "what is planted does go off"


def test_a_pickle_in_the_place_of_weights_is_not_opened(tmp_path: Path) -> None:
    run, planted = tmp_path / "run", tmp_path / "ran"
    done("run", "--model", "gmm", "--gens", 1, "--set", "judge.extractors=[]", "--out", run)
    weights = run / "gen_000" / "model" / TENSORS
    weights.write_bytes(pickle.dumps(Planted(planted)))
    with pytest.raises(DataProblem, match="cannot be read"):
        models.load(weights.parent)
    assert not planted.exists()


def test_looking_at_a_run_starts_none_of_its_programs(tmp_path: Path) -> None:
    log = tmp_path / "started"
    model = quick(tmp_path)
    with (tmp_path / "own.py").open("a") as script:
        script.write(f"open({str(log)!r}, 'a').write('x')\n")
    run = made(tmp_path / "run", model)
    assert log.read_text().count("x") >= 4, "going on with it does start them"
    log.unlink()
    done("status", run)
    done("judge", run, "--extractor", "pixels")
    done("report", run)
    done("export", run, "--to", "folder", "--out", tmp_path / "out")
    done("card", run, "--out", tmp_path / "card")
    assert not log.exists()
