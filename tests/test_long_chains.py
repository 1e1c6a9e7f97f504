"""Chains of very many generations: judged now and then, samples thrown away, and shown on a page that stays small."""

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from chains import put_scores
from terminal import call, done

from imgcollapse import progress, reports, store
from imgcollapse.ablation import plan
from imgcollapse.ablation.status import run_statuses
from imgcollapse.errors import DataProblem
from imgcollapse.exchange import samples
from imgcollapse.exchange.card import Subject
from imgcollapse.files import append_line, write_text
from imgcollapse.images import ImageSet
from imgcollapse.interface.ablation_progress import AblationProgress
from imgcollapse.interface.console import Lines
from imgcollapse.reports import charts, composition, movie, thin
from imgcollapse.reports.charts import Line
from imgcollapse.settings import build, to_yaml
from imgcollapse.store import history, npz
from imgcollapse.store.manifest import write_manifest
from imgcollapse.store.records import write_sealed
from imgcollapse.study import Study

GENS = 640
KEPT = ["--set", "keep.samples=2", "--set", "keep.models=none", "--set", "judge.every=2"]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of GENS generations of points that accumulates, judged at every 20th; samples of every 100th are there."""
    folder = tmp_path_factory.mktemp("long") / "run"
    folder.mkdir()
    settings = {"dataset": "grid25", "model": "gmm", "regime": "accumulate", "gens": GENS, "judge": {"every": 20}}
    write_text(folder / store.STUDY, to_yaml(build(Study, settings)))
    real = {"pictures": 1000, "sha256": "0" * 64}
    classes = [str(c) for c in range(25)]
    write_sealed(folder / store.DATA, {"name": "grid25", "shape": [1, 1, 2], "classes": classes, "train": real, "held_out": real})
    judge = {"n": 1000, "k": 5, "drawn": 1000, "metrics": {}, "extractors": {"pixels": {"dim": 2, "digest": "0" * 12, "real": {}}}}
    points = ImageSet.of(torch.zeros(20, 1, 1, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        for generation in range(GENS):
            place = store.generation_folder(folder, generation)
            place.mkdir()
            npz.write_images(place / store.LATENTS, points)
            if generation % 100 == 0:
                npz.write_images(place / store.SAMPLES, points)
            origins = ["real", *(f"generation {g}" for g in range(generation))]
            made_of = {origin: {"pictures": 1000, "classes": {}} for origin in origins}
            made = {"generation": generation, "size": 1000 * len(origins), "training_set": "", "made_of": made_of}
            write_text(place / store.PROVENANCE, json.dumps(made))
            write_manifest(place)
            if generation % 20 == 0 or generation == GENS - 1:
                values = {"fd": 1 + generation / 100, "recall": 0.9 - generation / 1000}
                values |= {f"share_{c}": 0.04 for c in range(25)} | {f"share_alive_{c}": float(generation < 100) for c in range(25)}
                alive, other = ({"mean": mean, "low": mean, "high": mean} for mean in (1.0, 0.04))
                found = {name: {"value": value, "real": alive if "alive" in name else other, "n": 1000} for name, value in values.items()}
                put_scores(folder, generation, {"generation": generation, "sources": {"pixels": found}}, judge)
    return folder


# --- what is left of many


@pytest.mark.parametrize("count", [1, 60, 61, 100, 640, 2000, 12345])
def test_generations_are_thinned_evenly_to_round_numbers_with_both_ends(count: int) -> None:
    found = thin.evenly(range(count), 60)
    assert found[0] == 0 and found[-1] == count - 1 and found == sorted(set(found))
    assert len(found) == count if count <= 60 else 15 <= len(found) <= 60
    assert len({b - a for a, b in pairwise(found[:-1])}) <= 1, "equally far from each other, but for the last"


def test_what_has_no_round_numbers_is_thinned_all_the_same() -> None:
    found = thin.evenly([7 * place + 3 for place in range(500)], 60)
    assert found[0] == 3 and found[-1] == 3496 and 15 <= len(found) <= 60


def test_a_thinned_curve_keeps_its_ends_and_its_extremes() -> None:
    points = [{"generation": g, "mean": 0.5, "low": None, "high": None} for g in range(2000)]
    points[777]["mean"], points[778]["mean"] = 9.0, -9.0
    found = thin.curve(points)
    assert len(found) <= thin.POINTS and found[0] == points[0] and found[-1] == points[-1]
    assert points[777] in found and points[778] in found
    assert [one["generation"] for one in found] == sorted({one["generation"] for one in found})
    assert thin.curve(points[:200]) == points[:200]


def test_long_lines_are_drawn_with_few_points_and_fewer_markers() -> None:
    points = [{"generation": g, "mean": 0.5, "low": 0.4, "high": 0.6, "values": []} for g in range(2000)]
    real = {"mean": 0.6, "low": 0.55, "high": 0.65}
    drawn = str(charts.curves("x", "x", [Line(0, "a", points)], [real], 1999))
    (line,) = re.findall(r'<polyline class="line" points="([^"]*)"', drawn)
    assert len(line.split()) <= thin.POINTS and 10 <= drawn.count('class="mark"') <= 15
    assert re.findall(r'text-anchor="middle">(\d+)<', drawn) == [str(g) for g in range(0, 2000, 200)]
    assert str(charts.curves("x", "x", [Line(0, "a", points[:30])], [real], 29)).count('class="mark"') == 30


# --- the page


@pytest.mark.slow
def test_the_page_of_a_long_chain_is_small_and_says_what_it_leaves_out(long: Path, tmp_path: Path) -> None:
    findings = reports.read([long])
    assert findings.stops[:3] == [0, 20, 40] and findings.stops[-2:] == [620, 639]
    written = reports.write(findings, tmp_path / "page.html")
    text = written.page.read_text()
    assert written.size < 1e6
    assert "Of 640 generations this page shows some" in text and "judged every 20 generations, and the last" in text
    assert "All numbers are in scores/." in text and "are no longer kept (keep.samples, or imgcollapse prune)" in text
    assert re.findall(r'<div data-g="(\d+)"', text) == ["0", "100", "200", "300", "400", "500", "600"]
    assert "100 at the latest" in text, "when classes were lost"


def test_origins_of_long_chains_are_in_groups(long: Path) -> None:
    (chart,) = composition.origins(reports.read([long]))
    headings = list(chart.table.headings)
    assert headings[:4] == ["generation", "pictures", "real", "generations 0 to 39"] and len(headings) <= 3 + thin.GROUPS
    assert len(chart.table.rows) <= thin.BARS and "of 640 generations" in chart.table.caption
    last = [one for one in chart.table.records if one["generation"] == 639]
    assert sum(one["pictures"] for one in last) == last[0]["of"] == 640_000
    assert next(one for one in last if one["origin"] == "generations 0 to 39")["pictures"] == 40_000


def test_class_charts_of_long_chains_are_of_some_judged_generations(long: Path) -> None:
    (chart,) = composition.class_charts(reports.read([long]))
    assert (
        chart.table.headings[2:5] == ["0", "20", "40"] and chart.table.headings[-1] == "639" and len(chart.table.headings) <= 2 + thin.BARS
    )


def test_the_movie_leaves_out_what_was_thrown_away_and_says_so(long: Path, tmp_path: Path) -> None:
    findings = reports.read([long])
    (place,) = movie._places(findings)
    assert sorted(place.there) == list(range(0, GENS, 100)) and place.missing(1) == "no longer kept"
    assert "no longer kept are left out" in movie._about([place], 0)
    assert [path.name for path in movie.movie(findings, tmp_path)] == ["collapse.gif", "collapse.webp"]


@pytest.mark.slow
def test_a_long_chain_has_figures_and_a_text(long: Path, tmp_path: Path) -> None:
    assert [path.name for path in reports.draw(long)] == ["curves.png"]
    findings = reports.read([long])
    reports.write(findings, tmp_path / "page.html")
    made = reports.beside(findings, tmp_path / "page.html")
    text = next(path for path in made if path.name == "report.md").read_text()
    assert "639" in text and any(path.name == "curves.svg" for path in made)


# --- samples and weights that were thrown away


def test_what_was_thrown_away_cannot_be_exported_scored_or_made_a_card_of(tmp_path: Path) -> None:
    short = ["--dataset", "gaussian", "--set", "dataset.size=60", "--model", "gaussian", "--gens", 4, "--out", tmp_path / "run"]
    done("run", *short, *KEPT)
    assert samples.generation(tmp_path / "run")[0] == 3 and samples.generation(tmp_path / "run", 2)[0] == 2
    wrong = "gen_001: its samples are no longer kept (keep.samples, or imgcollapse prune); choose a generation that has them: 0, 2, 3"
    for command in (["export", tmp_path / "run", "--to", "npz", "--gen", 1], ["score", tmp_path / "run/gen_001", "--against", "gaussian"]):
        result = call(*command)
        assert result.exit_code == 3 and wrong in result.stderr, result.output
    with pytest.raises(
        DataProblem, match=r"gen_003: its weights are no longer kept \(keep\.models, or imgcollapse prune\); no generation has them$"
    ):
        Subject.of(tmp_path / "run")
    page = (tmp_path / "run" / reports.PAGE).read_text()
    assert re.findall(r'<div data-g="(\d+)"', page) == ["0", "2", "3"]


# --- a look costs what is new


def test_only_what_is_new_of_a_history_is_read(tmp_path: Path) -> None:
    assert history.since(tmp_path, 0) == ([], 0) and history.size(tmp_path) == 0
    line = {"generation": 0, "how": "made", "seconds": 1.5}
    append_line(tmp_path / history.HISTORY, line)
    found, read = history.since(tmp_path, 0)
    assert found == [line] and read == history.size(tmp_path)
    with (tmp_path / history.HISTORY).open("ab") as file:
        file.write(b'damaged\n{"generation": 1, "how": "shared", "seconds": 0.5}\n{"generation": 2, "ho')
    found, later = history.since(tmp_path, read)
    assert [one["generation"] for one in found] == [1] and later < history.size(tmp_path), "half a line waits for its end"
    with (tmp_path / history.HISTORY).open("ab") as file:
        file.write(b'w": "made", "seconds": 2}\n')
    assert [one["generation"] for one in history.since(tmp_path, later)[0]] == [2]


def test_the_watch_counts_what_lands_without_looking_at_what_was_there(
    long: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan.run_at(long)
    (before,) = run_statuses([run])
    early = type(before)(run, "waiting", 638, (), 0, None)
    watch = AblationProgress([early], 1)
    monkeypatch.setattr(store, "finished", lambda folder: pytest.fail("all generations are looked at again"))
    lines: list[dict[str, Any]] = [{"generation": g, "how": "made", "seconds": 2.0} for g in (638, 639)]
    for line in lines:
        append_line(long / history.HISTORY, line)
    with progress.watched_by(Lines()):
        watch.end()
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1].split("  ")[0] for line in told] == ["generation 638", "generation 639"]
    assert all(line.startswith("[640/640]  gmm on grid25") for line in told), "counted once a look"
    assert (watch.now[long].done, watch.now[long].state, watch.now[long].made) == (640, "done", (2.0, 2.0))
