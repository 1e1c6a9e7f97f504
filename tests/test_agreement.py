"""Where extractors contradict each other, and what may be said of a score."""

from pathlib import Path
from typing import Any

import pytest
from terminal import done

from imgcollapse import reports, store
from imgcollapse.reports.agreement import agreed, disagreements, ways
from imgcollapse.store import judged
from imgcollapse.store.records import read_sealed

Series = list[tuple[float, float | None, float | None]]  # mean, low, high of each generation
SENTENCE = (
    "precision falls by random (0.800 to 0.600), rises by pixels (0.800 to 0.900): the extractors disagree, so no direction is claimed."
)


def spans(series: Series) -> list[dict[str, Any]]:
    return [{"generation": g, "mean": mean, "low": low, "high": high, "values": []} for g, (mean, low, high) in enumerate(series)]


def arm(name: str = "a", null: str | None = None, **extractors: dict[str, Series]) -> dict[str, Any]:
    """An arm of a summary, as far as it is read here."""
    found = {
        extractor: {metric: {"by_generation": spans(series), "real": None} for metric, series in own.items()}
        for extractor, own in extractors.items()
    }
    return {"arm": name, "null": null, "extractors": found}


def one_seed(*values: float) -> Series:
    return [(value, None, None) for value in values]


def directions(**extractors: Series) -> list[str]:
    return [way.direction for way in ways(arm(**{name: {"precision": series} for name, series in extractors.items()}), "precision")]


def test_a_score_goes_from_its_first_value_to_its_last() -> None:
    assert directions(x=one_seed(0.5, 0.1, 0.6), y=one_seed(0.5, 0.9, 0.4)) == ["rises", "falls"]


def test_with_intervals_a_score_moves_where_they_do_not_overlap() -> None:
    first = (0.5, 0.45, 0.55)
    assert directions(x=[first, (0.6, 0.56, 0.64)], y=[first, (0.4, 0.36, 0.44)]) == ["rises", "falls"]
    assert directions(x=[first, (0.6, 0.54, 0.66)], y=[first, (0.4, 0.34, 0.46)]) == ["stays", "stays"]


def test_with_one_seed_a_score_stays_where_it_is_the_same_as_printed() -> None:
    assert directions(x=one_seed(0.5, 0.50004), y=one_seed(0.5, 0.502)) == ["stays", "rises"]


def test_with_one_or_two_seeds_a_score_moves_by_more_than_real_pictures_do_by_chance() -> None:
    def moves(begin: list[float], end: list[float], real: tuple[float, float] = (0.85, 0.93)) -> str:
        values = [{"mean": sum(v) / len(v), "low": None, "high": None, "values": v if len(v) > 1 else []} for v in (begin, end)]
        metric = {"by_generation": values, "real": {"mean": 0.9, "low": real[0], "high": real[1]}}
        (way,) = ways({"extractors": {"x": {"precision": metric}}}, "precision")
        return way.direction

    assert (moves([0.9], [0.84]), moves([0.9], [0.81]), moves([0.81], [0.9])) == ("stays", "falls", "rises"), (
        "0.08 between two sets of real"
    )
    assert moves([0.886, 0.903], [0.906, 0.893], (0.9, 0.9)) == "stays", "their values overlap"
    assert (moves([0.9, 0.8], [0.69, 0.6]), moves([0.9, 0.8], [0.73, 0.6])) == ("falls", "stays"), "the nearest two count"


def test_one_generation_has_no_direction_and_an_extractor_without_the_score_says_nothing() -> None:
    assert directions(x=one_seed(0.5)) == []
    there = arm(x={"precision": one_seed(0.5, 0.4)}, y={"recall": one_seed(0.5, 0.6)})
    assert [way.extractor for way in ways(there, "precision")] == ["x"]
    assert agreed(there, "precision") == "falls" and agreed(there, "coverage") is None


@pytest.mark.parametrize(
    ("other", "expected"), [((0.5, 0.4), "falls"), ((0.5, 0.5), None), ((0.5, 0.6), None)], ids=["both fall", "one stays", "one rises"]
)
def test_a_score_falls_where_all_extractors_say_so(other: tuple[float, float], expected: str | None) -> None:
    both = arm(x={"precision": one_seed(0.9, 0.8)}, y={"precision": one_seed(*other)})
    assert agreed(both, "precision") == expected
    assert len(disagreements({"arms": [both]})) == (other[1] > other[0]), "only what rises contradicts what falls"


def test_each_contradiction_is_a_sentence_with_the_arm_where_there_are_several() -> None:
    contradicting = {"random": {"precision": one_seed(0.8, 0.6)}, "pixels": {"precision": one_seed(0.8, 0.9)}}
    agreeing = {name: {"precision": one_seed(0.8, 0.6)} for name in contradicting}
    null = arm("a", "bootstrap", **contradicting)
    assert disagreements({"arms": [arm("a", **contradicting), null]}) == [SENTENCE]
    assert disagreements({"arms": [arm("a", **agreeing), arm("b", **contradicting)]}) == [f"b: {SENTENCE}"]


def test_terminal_page_and_text_say_it(tmp_path: Path) -> None:
    """A run whose scores are then written by hand: precision falls in one space and rises in the other."""
    command = ["run", "--model", "bootstrap", "--gens", "2", "--out", tmp_path / "run", "--extractor", "random,pixels"]
    command += ["--set", "dataset.subset=60", "--set", "judge.metrics=[neighbourhood]"]
    assert "agree" not in done(*command).stdout
    name = judged.own_judge(tmp_path / "run")
    reference = read_sealed(tmp_path / "run" / store.SCORES / name / store.REFERENCE)
    for generation, values in enumerate(({"random": 0.8, "pixels": 0.8}, {"random": 0.6, "pixels": 0.9})):
        record = store.scores_of(tmp_path / "run", generation).record()
        for source, metrics in record["sources"].items():
            metrics["precision"]["value"] = values[source]
        judged.write(tmp_path / "run", name, generation, record, reference)
    assert SENTENCE in done(*command).stdout
    assert f'<p class="note">{SENTENCE}</p>' in (tmp_path / "run" / reports.PAGE).read_text(encoding="utf-8")
    (text,) = [path for path in reports.beside(reports.read([tmp_path / "run"]), tmp_path / "run" / reports.PAGE) if path.suffix == ".md"]
    assert SENTENCE in text.read_text(encoding="utf-8")
