"""`scores.csv` of a single run: the rows of an ablation, there while the run goes on."""

import csv
from pathlib import Path

import pytest
from terminal import done

import imgcollapse
from imgcollapse.ablation import summary
from imgcollapse.interface import running
from imgcollapse.interface.console import Plain
from imgcollapse.machine import devices

TOY = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=400", "--samples", "50", "--extractor", "pixels"]


def there(run: Path) -> list[dict[str, str]]:
    with (run / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_the_rows_that_an_ablation_has() -> None:
    done("run", *TOY, "--gens", 2, "--out", "here")
    rows = there(Path("here"))
    assert tuple(rows[0]) == summary.COLUMNS
    run = imgcollapse.open("here")
    wanted = [{name: "" if value is None else str(value) for name, value in row.items()} for row in run.scores()]
    assert rows == wanted and {row["generation"] for row in rows} == {"0", "1"}
    done("run", *TOY, "--gens", 3, "--out", "here")
    assert {row["generation"] for row in there(Path("here"))} == {"0", "1", "2"}, "a run that goes on writes it anew"
    done("judge", "here", "--set", "judge.k=3")
    assert len({row["extractor"] for row in there(Path("here"))}) == 2, "a further judge's rows stand there too"


@pytest.mark.parametrize(("spared", "seen"), [(0, [1, 2, 3]), (1e9, [1, 1, 1])])
def test_it_is_there_as_generations_land(spared: float, seen: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """After every generation where that costs little; and whole in the end, however rarely it was written."""
    monkeypatch.setattr(running, "SPARED", spared)
    found: list[int] = []

    class Watcher(Plain):
        def landed(self, generation: int, scores: object) -> None:
            found.append(len({row["generation"] for row in there(Path("here"))}))

    given = {"dataset": "grid25", "model": "bootstrap", "gens": 3, "samples": 50, "extractor": ["pixels"], "out": Path("here"), "track": []}
    with devices.use(devices.Machine(device="cpu")):
        one = running.asked(given, ["dataset.size=400"])
        assert not running.execute(one, lambda gens: Watcher(gens)).stopped
        assert found == seen
        running.draw(one.folder)
    assert len({row["generation"] for row in there(Path("here"))}) == 3
