"""Names from elsewhere: shown as they are on terminals, in pictures and in tables, and nothing in them is executed."""

import csv
import io
import json
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.table import Table

from imgcollapse import grids, store
from imgcollapse.ablation.summary import COLUMNS, write_csv
from imgcollapse.ablation.summary.table import harmless
from imgcollapse.files import write_text
from imgcollapse.grids import lettering
from imgcollapse.images import ImageSet
from imgcollapse.interface import console
from imgcollapse.machine import streams
from imgcollapse.reports import ablation_figures, figures, panels, pictures, shares
from imgcollapse.reports.whole import template
from imgcollapse.settings import build, to_yaml
from imgcollapse.store import npz
from imgcollapse.study import Study

pytestmark = pytest.mark.figures

HOSTILE = "[red]x[/red] :smile: \x1b[31m\x1b]0;title\x07\r\n\u202egnp.exe\u2066 \u2028\x9b2J\x00 [link=http://x]y[/] 猫 é \udce9"


# --- on terminals


def test_nothing_in_a_name_steers_a_terminal() -> None:
    said = streams.shown(HOSTILE)
    assert said.isprintable() and said.startswith("[red]x[/red] :smile: \\x1b[31m\\x1b]0;title\\x07\\r\\n\\u202egnp.exe")
    assert said.endswith("[link=http://x]y[/] 猫 é \\xe9") and "\\x9b2J\\x00" in said
    for same in ("plain", "", "C:\\new\\table", "سلام", "می\u200cخواهم", "👩\u200d🚀", "a\u00a0b", "東京\u3000タワー"):
        assert streams.shown(same) == same
    assert streams.shown("é猫", "cp1252") == "é\\u732b" and streams.shown("é", "ascii") == "\\xe9"


@pytest.mark.parametrize("colour", [False, True])
def test_names_are_text_in_every_part_of_a_table(colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = console._Shown(file=io.StringIO(), width=400, force_terminal=colour)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    out.print(table)
    out.print(HOSTILE)
    said = out.file.getvalue()
    assert said.count(streams.shown(HOSTILE)) == 4
    assert "\x07" not in said and "\u202e" not in said and "\x9b" not in said and "\x1b[31m" not in said


def test_lines_beside_the_results_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console.Plain(1).say(HOSTILE)
    streams.out(HOSTILE)
    said = capsys.readouterr()
    assert said.err == said.out == streams.shown(HOSTILE) + "\n"


# --- in pictures


def test_names_have_the_letters_that_the_font_has() -> None:
    assert lettering.drawn(["a", "é", "ü", "ж", "λ", "e\u0301", "שלום"]) == ["a", "é", "ü", "ж", "λ", "é", "שלום"]
    assert lettering.drawn(["猫", "a", "cat 猫", "", "한국어", "\x1b", "a\u202eb"]) == ["#0", "a", "#2 cat", "#3", "#4", "#5", "#6 ab"]
    assert lettering.drawn(["lat\udce9n", "latn", " a \n b "]) == ["#0 latn", "latn", "a b"], "two names are never drawn as one"
    assert lettering.can_draw("λ") and not lettering.can_draw("猫")


def marks(text: str, font: Any) -> bytes:
    return bytes(font.getmask(text))


@pytest.mark.parametrize("text", ["é", "ü", "ж", "λ", "β → ∞"])
def test_no_letter_is_a_box(text: str) -> None:
    font = lettering.font(grids.TEXT, text)
    assert all(marks(letter, font) != marks("\ue000", font) for letter in text if letter != " ")
    assert marks("plain", lettering.font(grids.TEXT, "plain")) != marks("plain", font), "what is ASCII looks as it always did"


def by_class(names: list[str], side: int = 8, n: int = 60) -> Image.Image:
    pixels = torch.full((n, 1, side, side), 128, dtype=torch.uint8)
    return grids.by_class("title", ImageSet.of(pixels), grids.first_of_each(torch.arange(n) % len(names), len(names)), names)


def test_a_grid_is_bounded_and_the_rest_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[list[str], str]] = []
    before = grids.sheet
    monkeypatch.setattr(
        grids, "sheet", lambda title, rows, note="": said.append(([label for label, _ in rows], note)) or before(title, rows, note)
    )
    many = by_class([f"class {c}" for c in range(1000)])
    labels, note = said.pop()
    assert many.height < 16_000 and len(labels) == grids.ROWS
    assert labels[0].startswith("class 0 ") and labels[-2].startswith("class 999 ") and labels[-1].startswith("none ")
    assert note.endswith("these are 119 classes, evenly spaced in their order, and there are 881 more classes")
    again = by_class([f"class {c}" for c in range(1000)])
    assert again.size == many.size and said.pop()[0][:-1] == labels[:-1], "the same in every generation"
    by_class(["猫", "b"])
    labels, note = said.pop()
    assert labels[0].startswith("#0 ") and note.endswith(grids.NUMBERED)
    by_class(["a", "b"])
    assert said.pop()[1] == "row: class found by the judge and its share of 60 samples; none: not confident of any class"


@pytest.mark.parametrize(("names", "side"), [(["a" * 5000, "b"], 8), (["a", "b"], 1024), ([f"{c}" for c in range(1000)], 300)])
def test_a_grid_is_never_larger_than_can_be_looked_at(names: list[str], side: int) -> None:
    page = by_class(names, side, 20)
    assert page.width <= 4000 and page.height <= 16_000


def test_flat_pictures_stay_pictures() -> None:
    small = grids.smaller(torch.full((3, 1, 1, 4000), 7, dtype=torch.uint8), 128)
    assert small.shape == (3, 1, 1, 128) and bool((small == 7).all())
    assert grids.smaller(small, 128) is small


def test_many_arms_and_many_generations_are_bounded_too(tmp_path: Path) -> None:
    cell = torch.full((1, 164, 205), 9, dtype=torch.uint8)
    page = grids.table("title", [f"arm {n}" for n in range(500)], ["generation 0"], {("arm 0", "generation 0"): cell})
    assert page.height <= 16_000
    study = build(Study, {"gens": 400})
    write_text(tmp_path / store.STUDY, to_yaml(study))
    for generation in range(400):
        place = store.generation_folder(tmp_path, generation)
        place.mkdir()
        npz.write_images(place / store.LATENTS, ImageSet.of(torch.full((2, 1, 4, 4), generation % 256, dtype=torch.uint8)))
    with Image.open(io.BytesIO(figures._grid_all(tmp_path, list(range(400))) or b"")) as drawn:
        assert drawn.height <= 16_000
    assert grids.spaced(400, 3) == [0, 200, 399] and grids.spaced(2, 3) == [0, 1]


def test_a_row_of_the_largest_pictures_is_no_wider_than_webp_can_be() -> None:
    huge = torch.zeros((20, 3, 1, 2000), dtype=torch.uint8).numpy()
    assert pictures._mosaic(huge, 20, 50).width == 20 * 513 - 1


def summary_of(names: list[str], question: str = "") -> dict[str, Any]:
    span = {"generation": 1, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 2, "values": [], "unit": "recall", "scale": "log"}
    half = {"generation": None, "within": 1, "reached": 0, "of": 2, "words": "not within 1 generation"}
    points = [{"generation": g, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 2, "values": []} for g in range(2)]
    metric = {
        "real": {"mean": 0.9, "low": 0.85, "high": 0.95},
        "by_generation": points,
        "last": span,
        "slope": span,
        "area": span,
        "half": half,
    }
    arms = [{"arm": name, "null": None, "seeds": [0, 1], "extractors": {"pixels": {"recall": metric, "fd": metric}}} for name in names]
    return {"question": question, "arms": arms, "reference": names[0], "differences": [], "method": "95 % intervals by t"}


@pytest.mark.parametrize("names", [["猫", "é", "𓀀 x", "$x$", "a\nb", "x" * 3000], [f"arm {n}" for n in range(200)], ["a"]])
def test_figures_have_no_boxes_no_warnings_and_a_bounded_size(names: list[str], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = ablation_figures.draw_ablation(tmp_path, [], summary_of(names, "猫?"))
    assert [path.name for path in made] == ["curves.png", "forest.png"]
    for path in made:
        with Image.open(path) as drawn:
            assert drawn.width < 4000 and drawn.height < 6000


def test_of_very_many_arms_the_first_and_the_reference_are_drawn_and_the_rest_is_said() -> None:
    names = [f"arm {n}" for n in range(200)]
    drawn = panels.drawable({**summary_of(names), "reference": "arm 150"})
    shown = [arm["arm"] for arm in drawn["arms"]]
    assert shown == [*names[: panels.MOST - 1], "arm 150"] and panels.left_out(drawn) == "and 160 more arms"
    few = panels.drawable(summary_of(["猫", "b"]))
    assert [arm["arm"] for arm in few["arms"]] == ["#0", "b"] and few["reference"] == "#0" and panels.left_out(few) == ""


# --- in tables for spreadsheets

DANGEROUS = [
    "=1+1",
    "+1",
    "-2+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "  =1",
    "'=1",
    "'",
    "''x",
]
FINE = ["a", "0 % real", "none, drawn anew", "a=b", "x'", " a", ""]


def read_back(text: str) -> str:
    """As the README says it."""
    return text[1:] if text.startswith("'") else text


@pytest.mark.parametrize("text", DANGEROUS + FINE)
def test_a_cell_is_shown_and_not_run_and_reads_back(text: str, tmp_path: Path) -> None:
    assert harmless(text) == (f"'{text}" if text in DANGEROUS else text)
    row = {**dict.fromkeys(COLUMNS, text), "seed": 0, "generation": 1, "value": -0.1, "real": -1e-300, "real_low": -0.2, "n": 5}
    write_csv([row], tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        (found,) = csv.DictReader(file)
    assert {name: read_back(found[name]) for name in ("arm", "model", "regime", "metric")} == dict.fromkeys(
        ("arm", "model", "regime", "metric"), text
    )
    assert (found["value"], found["real"], found["real_low"]) == ("-0.1", "-1e-300", "-0.2"), "a negative number is no formula"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_page_has_the_same_rule() -> None:
    script = template("page.js")
    part = script[script.index("const harmless") : script.index("function csv")]
    code = f"{part}; console.log(JSON.stringify(JSON.parse(process.argv[1]).map((text) => [harmless(text), copied(text), quoted(-0.5)])))"
    numbers = ["-0.12", "-0.120 [-0.300, 0.100]", "12 %", "-1,234.5", "+3"]
    texts = [text for text in DANGEROUS + FINE if text != "+1"]
    done = subprocess.run(["node", "-e", code, json.dumps([*texts, *numbers])], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one[0] for one in found[: len(texts)]] == [harmless(text) for text in texts]
    assert [one[1] for one in found] == [*map(harmless, texts), *numbers] and all(one[2] == "-0.5" for one in found)


# --- on pages


def test_a_chart_of_very_many_classes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcollapse.reports import composition

    cells = [[{"share": 0.001, "real": 0.001 * (1 + c % 7), "lost": 0, "seeds": 1, "ruled": True}] for c in range(1000)]
    shown = composition._rarest(cells, composition.ROWS)
    assert len(shown) == composition.ROWS and shown == sorted(shown) and all(c % 7 == 0 for c in shown)
    assert composition._rarest(cells[:5], composition.ROWS) == [0, 1, 2, 3, 4]
    drawn = str(shares.heat("x", "title", [str(c) for c in shown], [[(1.0, False)] for _ in shown], [0]))
    assert int(drawn.split('viewBox="0 0 400 ')[1].split('"')[0]) < 1500
