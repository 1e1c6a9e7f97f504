"""The typed record of scores; no list of their names outside the metrics; one without real vs real added by a function and a line."""

import ast
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import imgcollapse
from imgcollapse import reports, store
from imgcollapse.ablation.summary import headline, rows, summarise, table_lines, write_csv
from imgcollapse.cli import main as cli
from imgcollapse.errors import DataProblem
from imgcollapse.exchange.card import write as write_cards
from imgcollapse.interface import console
from imgcollapse.judges.titles import counted, metric_title
from imgcollapse.metrics import METRICS, Evidence, Metric
from imgcollapse.metrics.record import RealVsReal, Scores, Value, ranged
from imgcollapse.metrics.score import Score
from imgcollapse.metrics.scores import SCORES, most_prominent, worth_showing
from imgcollapse.reports import paper
from imgcollapse.settings import build
from imgcollapse.study import Study, run
from imgcollapse.track import FOLDER
from imgcollapse.track.tracker import scalars

PACKAGE = Path(imgcollapse.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "metrics")
RANGED = r"\d\.\d+ \[\d\.\d+, \d\.\d+\]"  # as `ranged` writes it
ALSO = {  # names of scores that are a word for something else
    "precision": "of arithmetic, float32 or bfloat16: a setting of the machine",
    "density": "of real pictures about a sample: what a curator may go by",
}


# --- no list of names


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every string in it but docstrings."""
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_outside_the_metrics_names_a_score(path: Path) -> None:
    named = [(line, text) for line, text in literals(path.read_text(encoding="utf-8")) if text in SCORES and text not in ALSO]
    assert not named, "ask its entry in the table (rank, halved, panels, from_zero), or `worth_showing`"


def test_the_reader_of_literals_sees_lists_conditions_and_keys_but_no_docstrings() -> None:
    source = '"""fd"""\nA = ("recall", "kid")\ndef f(x):\n    """kid"""\n    return x["fd"] if x == "coverage" else f"{x[\'jsd\']}"'
    assert {text for _, text in literals(source) if text in SCORES} == {"recall", "kid", "fd", "coverage", "jsd"}


# --- the record


def test_scores_come_back_from_their_record_as_they_were() -> None:
    found = {"fd": Value(0.1 + 0.2, RealVsReal(1e-17, -0.1, 0.1), 60), "perplexity": Value(3.5, None, 80)}
    scores = Scores(3, {"pixels": found, "model": {}})
    record = json.loads(json.dumps(scores.record()))
    assert record["sources"]["pixels"]["perplexity"] == {"value": 3.5, "real": None, "n": 80}
    assert record["sources"]["pixels"]["fd"]["real"] == {"mean": 1e-17, "low": -0.1, "high": 0.1}
    assert Scores.of(record) == scores and list(Scores.of(record).sources) == ["pixels", "model"]
    assert Scores.of(Scores(None, {}).record()) == Scores(None, {})


BETWEEN = {"mean": 2.0, "low": 1.0, "high": 3.0}


def fd(value: object, real: object = BETWEEN, n: object = 9) -> dict[str, object]:
    """The record of a generation with that alone."""
    return {"generation": 0, "sources": {"pixels": {"fd": {"value": value, "real": real, "n": n}}}}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "holds no scores as this version writes them"),
        ({"generation": "1", "sources": {}}, "holds no scores as this version writes them"),
        ({"generation": 0, "n": 9, "extractors": {}}, "holds no scores as this version writes them"),
        ({"generation": 0, "sources": {"pixels": [1]}}, "pixels holds list, not metrics"),
        ({"generation": 0, "sources": {"pixels": {"fd": 1.0}}}, "pixels: fd is not a value, that of real vs real, and n"),
        ({"generation": 0, "sources": {"pixels": {"fd": {"value": 1.0, "n": 9}}}}, "fd is not a value, that of real vs real, and n"),
        (fd(1.0, None, 9.5), "pixels: fd is not a value"),
        (fd(1.0, 2.0), "pixels: fd: real vs real is not a mean, low and high"),
        (fd(1.0, {"mean": 2.0, "low": 1.0}), "pixels: fd: real vs real is not a mean, low and high"),
        (fd(float("nan")), "fd is nan, real vs real {'mean': 2.0, 'low': 1.0, 'high': 3.0}, which cannot be"),
        (fd(1.0, {**BETWEEN, "high": float("inf")}), "fd is 1.0, real vs real {'mean': 2.0, 'low': 1.0, 'high': inf}"),
        (fd(1.0, {**BETWEEN, "low": None}), "fd is 1.0, real vs real {'mean': 2.0, 'low': None, 'high': 3.0}"),
        (fd("1"), "fd is 1, real vs real"),
        (fd(None), "fd is None, real vs real"),
    ],
)
def test_what_is_damaged_is_said_in_one_line(record: dict[str, object], said: str) -> None:
    with pytest.raises(DataProblem) as caught:
        Scores.of(record)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_real_vs_real_is_the_mean_and_the_ends_of_all_splits() -> None:
    real = RealVsReal.of([4.0, 1.0, 4.0])
    assert real == RealVsReal(3.0, 1.0, 4.0) and ranged(real, 1) == "3.0 [1.0, 4.0]"
    assert ranged(RealVsReal(-0.001, -0.04, 1234.56), 1) == "0.0 [0.0, 1234.6]", "no negative nought"


# --- ranks


def test_the_ranks_say_what_is_shown_where_there_is_room_for_some() -> None:
    ranked = sorted((score.rank, name) for name, score in SCORES.items() if score.rank is not None)
    assert [rank for rank, _ in ranked] == list(range(1, len(ranked) + 1)), "one score a rank, from 1 on"
    for most in range(1, len(ranked) + 1):
        assert set(worth_showing(most, SCORES)) == {name for _, name in ranked[:most]}
    assert most_prominent(SCORES) == ranked[0][1]
    assert SCORES[most_prominent(SCORES, halved=True) or ""].halved
    assert most_prominent(["vendi", "jsd"]) == "jsd", "the first of the table where none has a rank"
    assert most_prominent(["fd"], halved=True) is most_prominent([]) is None


def test_only_with_published_features_has_the_frechet_distance_another_name() -> None:
    assert [
        metric_title("fd", name, short=True) for name in ("inception", "inception-legacy", "inception-other", "dinov2", "pixels", None)
    ] == [
        *("FID", "FID", "FD", "FD-DINOv2", "FD", "FD"),
    ]
    assert metric_title("fd", "inception") == "Fréchet distance (FID)" and metric_title("fd_infinity", "inception", short=True) == "FID∞"
    assert metric_title("recall", "inception", short=True) == "recall"


def test_the_number_of_pictures_is_said_for_each_value() -> None:
    judge = {"n": 100, "drawn": 2000, "extractors": {"classifier": {"real": {"fd": BETWEEN, "confident": BETWEEN}}}}
    assert counted(judge) == "N = 100; class shares of all 2,000 drawn"
    assert counted({**judge, "drawn": 100}) == "N = 100"
    assert counted({**judge, "extractors": {"pixels": {"real": {"fd": BETWEEN}}}}) == "N = 100", "which knows no classes"
    values = [Value(1.0, None, 100), Value(1.0, None, 2000)]
    assert counted(judge, values, " of them") == "N = 100 of them; class shares of all 2,000 drawn"
    assert counted(judge, values[:1], " of them") == "N = 100 of them"


# --- a metric without real vs real


def perplexity(evidence: Evidence) -> dict[str, float]:
    """Not one, but it has no real-vs-real value either."""
    return {"perplexity": 20.0 + float(evidence.generated.mean.square().sum())}


PERPLEXITY = {
    "perplexity": Score("perplexity", "how surprising the samples are", "lower", "linear", 2, "A test's.", rank=1, panels=("last", "area"))
}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "perplexity", Metric(perplexity, PERPLEXITY, real=False, version=3))


@pytest.fixture
def place(registered: None, tmp_path: Path) -> Path:
    """A finished run that it has judged."""
    study = {"dataset": {"kind": "grid25", "size": 100}, "model": "bootstrap", "gens": 2}
    run(build(Study, {**study, "judge": {"metrics": ["neighbourhood", "perplexity"]}}), tmp_path / "run")
    return tmp_path / "run"


def test_a_metric_without_real_vs_real_is_one_function_and_one_line(place: Path, tmp_path: Path) -> None:
    assert worth_showing(1, SCORES) == ["min_recall_coverage", "perplexity"] and worth_showing(1, ["recall", "perplexity"]) == [
        "perplexity"
    ]
    scores = store.scores(place)
    found = scores[1].sources["pixels"]["perplexity"]
    assert found.real is None and found.value > 20 and found.n == 50 and scores[1].sources["pixels"]["recall"].real is not None
    reference = store.reference(place)
    assert reference is not None and reference["judge"]["metrics"] == {"neighbourhood": 2, "perplexity": 3}
    assert "perplexity" not in reference["judge"]["extractors"]["pixels"]["real"]
    assert f"perplexity {found.value:.2f}" in console.in_short(scores[1])

    told = scalars(scores[1])
    assert told["pixels/perplexity"] == found.value and "pixels/perplexity_real" not in told and "pixels/recall_real" in told

    again = ["run", "--config", str(place / store.STUDY), "--out", str(place), "--track", "tensorboard"]
    said = CliRunner().invoke(cli.main, again, prog_name="imgcollapse")
    assert said.exit_code == 0, said.output
    table = said.stdout.replace("┃", "│").partition("├")[0]  # its head, and real vs real
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")]
    split = next(at for at, cells in enumerate(lines) if cells[0] == "real vs real")
    head, real = ([" ".join(filter(None, column)) for column in zip(*part, strict=True)] for part in (lines[:split], lines[split:]))
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra `tensorboard` is not installed"
    )
    logged = events.EventAccumulator(str(place / FOLDER)).Reload()
    assert [event.step for event in logged.Scalars("pixels/perplexity")] == [0, 1]
    assert "pixels/perplexity_real" not in logged.Tags()["scalars"] and "pixels/recall_real" in logged.Tags()["scalars"]
    column = head.index("perplexity")
    assert real[0] == "real vs real" and real[column] == "" and re.fullmatch(RANGED, real[head.index("coverage")])

    write_cards(place, out=tmp_path / "card")
    card = (tmp_path / "card" / "model" / "README.md").read_text(encoding="utf-8")
    assert f"| perplexity | {found.value:.2f} |  | lower |" in card and "- type: perplexity\n" in card


def test_a_metric_without_real_vs_real_has_panels_a_chart_and_a_row(place: Path, tmp_path: Path) -> None:
    assert place / "curves.png" in reports.draw(place)
    findings = reports.read([place])
    page = reports.write(findings, place / reports.PAGE).page.read_text(encoding="utf-8")
    start = page.index('<svg id="chart-perplexity"')
    assert 'class="between"' not in page[start : page.index("</svg>", start)]
    start = page.index('<svg id="chart-coverage"')
    assert 'class="between"' in page[start : page.index("</svg>", start)]
    assert "perplexity 3" in page, "the version of its definition"
    assert {name for name, _ in paper.pages(findings)} >= {"curves", "perplexity", "coverage"}
    assert [path.name for path in reports.beside(findings, place / reports.PAGE) if path.name == "report.md"]

    runs = [*findings.runs]
    runs += [type(one)("other", None, one.seed, one.study, one.folder) for one in findings.runs]
    summary = {"question": "", **summarise(runs, rows(runs))}
    metric = summary["arms"][0]["extractors"]["pixels"]["perplexity"]
    assert metric["real"] is None and "area" not in metric and metric["last"]["mean"] > 20
    assert summary["differences"][0]["extractors"]["pixels"]["perplexity"].keys() == {"last", "slope"}
    (lines,) = table_lines(summary).values()
    assert "perplexity" in lines[0] and lines[1][lines[0].index("perplexity")] == "" and headline(summary)
    assert [path.name for path in reports.draw_ablation(tmp_path, runs, summary)] == ["curves.png", "forest.png"]

    write_csv(rows(runs), tmp_path / "ablation.csv")
    with (tmp_path / "ablation.csv").open() as file:
        cells = [row for row in csv.DictReader(file) if row["metric"] == "perplexity"]
    assert len(cells) == 4 and {row[part] for row in cells for part in ("real", "real_low", "real_high")} == {""}
    assert {row["n"] for row in cells} == {"50"}


def test_where_nothing_measured_has_real_vs_real_no_row_is_of_it(registered: None, tmp_path: Path) -> None:
    study = {"dataset": {"kind": "grid25", "size": 100}, "model": "bootstrap", "gens": 2, "judge": {"metrics": ["perplexity"]}}
    run(build(Study, study), tmp_path / "run")
    scores, findings = store.scores(tmp_path / "run"), reports.read([tmp_path / "run"])
    reference = store.reference(tmp_path / "run")
    assert reference is not None
    (table,) = console.tables(scores, reference["judge"]).values()
    assert not isinstance(table, str) and table.row_count == 2
    assert [line[0] for line in next(iter(table_lines(findings.summary).values()))] == ["arm", findings.runs[0].arm]
    page = reports.write(findings, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert "Cannot tell with 1 seed: perplexity goes from" in page
    assert reports.draw(tmp_path / "run") and reports.beside(findings, tmp_path / "page.html")
