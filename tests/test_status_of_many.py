"""`status` of a folder with many runs, and what the other commands say of one."""

import json
from pathlib import Path

import pytest
from terminal import call, done

TOY = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=400", "--samples", "50", "--set", "judge.extractors=[pixels]"]


@pytest.fixture
def runs() -> Path:
    done("run", *TOY, "--gens", 1, "--out", "runs/one")
    done("run", *TOY, "--gens", 2, "--out", "runs/two")
    study = Path("runs/two/study.yaml")
    study.write_text(study.read_text().replace("gens: 2", "gens: 5"))
    Path("runs/broken").mkdir()
    Path("runs/broken/study.yaml").write_text("gens: none of it")
    Path("runs/notes").mkdir()
    return Path("runs")


def test_status_has_a_line_for_each(runs: Path) -> None:
    found = {one["name"]: one for one in json.loads(done("status", runs, "--json").stdout)["inside"]}
    assert list(found) == ["broken", "one", "two"]
    assert (found["one"]["what"], found["one"]["state"], found["one"]["done"], found["one"]["generations"]) == ("run", "done", 1, 1)
    assert (found["two"]["state"], found["two"]["done"], found["two"]["generations"]) == ("waiting", 2, 5)
    assert found["broken"]["state"] == "unreadable" and found["broken"]["message"].startswith("gens: ")
    lines = done("status", runs).stdout.splitlines()
    assert lines[0].strip() == "runs" and any(line.split()[1:] and "2 of 5" in line and "two" in line for line in lines)


def test_others_say_what_to_name(runs: Path) -> None:
    for command in (["report"], ["judge"]):
        said = call(*command, runs)
        assert said.exit_code == 2
        wanted = "runs: is neither a run nor an ablation, but holds 3; name those that you mean: runs/broken runs/one ..."
        assert said.stderr == f"imgcollapse: {wanted}\n", said.stderr
    assert not Path("runs/report.html").exists()
