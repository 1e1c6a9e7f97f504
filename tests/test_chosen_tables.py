"""Tables of chosen scores, generations and arms, in LaTeX and on a terminal."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pages import HOSTILE
from terminal import call, done

import imgcollapse as ic
from imgcollapse import reports
from imgcollapse.ablation.summary import named, spanned
from imgcollapse.errors import SettingsProblem
from imgcollapse.judges.titles import REAL
from imgcollapse.reports.chosen import Choice, ChosenTable, Row, tables
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.latex import escaped, latex

NAMES = ["10 % real", "a_b & c", "[x] first", "* star", r"\end{table} \input{x}", "cost $5 #1", "~^|<>\"`'--", "猫 é √n ± ∞", HOSTILE]


def typeset(text: str) -> list[list[str]]:
    """The cells of the rows of all tables; asserts that what it reads is whole: groups, environments, formulas and columns."""
    text = re.sub(r"(?<!\\)%.*", "", text)
    assert text.isprintable() or set(filter(lambda one: not one.isprintable(), text)) == {"\n"}
    plain = re.sub(r"\\[\\{}$&%#_]", lambda found: {r"\\": "\0"}.get(found.group(), "x"), text)
    depth, open_, rows = 0, list[str](), list[list[str]]()
    for word in re.findall(r"\\(?:begin|end)\{\w+\}|[{}]", plain):
        if word.startswith("\\begin"):
            open_.append(word[7:-1])
        elif word.startswith("\\end"):
            assert open_.pop() == word[5:-1]
        else:
            depth += 1 if word == "{" else -1
            assert depth >= 0
    assert depth == 0 and not open_
    known = "begin end centering caption label toprule midrule bottomrule addlinespace textit footnotesize downarrow uparrow infty times pm"
    known += " leq geq rightarrow surd textbackslash textasciitilde textasciicircum textless textgreater textbar"
    assert set(re.findall(r"\\([a-zA-Z]+)", plain)) <= set(known.split())
    for table in re.findall(r"\\begin\{tabular\}\{@\{\}(l+r*)@\{\}\}(.*?)\\end\{tabular\}", plain, re.S):
        columns, body = table
        for line in filter(None, (re.sub(r"\\(top|mid|bottom)rule|\\addlinespace", "", row).strip() for row in body.split("\0"))):
            cells = line.split("&")
            assert len(cells) == len(columns) and all(cell.count("$") % 2 == 0 for cell in cells), line
            assert not line.startswith(("[", "*")), "it would be read as an argument of the line's end before it"
            rows.append([cell.strip() for cell in cells])
    assert not re.search(r"[#~^_\"|<>]", re.sub(r"@\{\}|\\label\{[a-z0-9:-]*\}", "", plain))
    return rows


def test_names_are_text_wherever_they_stand() -> None:
    assert escaped("10 % real") == r"10 \% real" and escaped("a\n--b") == "a -{}-b" and escaped(r"\x") == r"\textbackslash{}x"
    rows = [Row(kind, [name, "-0.50 [-1.0, 2.0]"], apart=True) for name in NAMES for kind in ("real", "arm", "null")]
    table = ChosenTable("scores " + HOSTILE, " ".join(NAMES), ["arm", NAMES[1]], [None, "lower"], 1, rows)
    found = typeset(latex([table, table], "\n".join(NAMES)))
    assert len(found) == 2 * (1 + len(rows))
    assert found[1][1] == "x-x0.50 {".replace("x", "$") + r"\footnotesize [$-$1.0, 2.0]}"
    assert found[3] == [rf"\textit{{{found[2][0]}}}", rf"\textit{{{found[2][1]}}}"]


@pytest.fixture(scope="module")
def findings(grid: Path) -> Findings:
    return reports.read([grid])


def test_every_number_is_the_summary_s(findings: Findings) -> None:
    arms = {named(arm["arm"], arm["null"]): arm for arm in findings.summary["arms"]}
    # the reference is "none": of the chosen arms there is none that adds to it
    (shown,) = tables(findings, Choice(["recall", "fd"], ["0", "last"], ["half, null model smooth, none"]))
    wanted = []
    for name in ("half, null model smooth", "none"):
        metrics = arms[name]["extractors"]["classifier"]
        for g in (0, 2):
            cells = [spanned(metrics[one]["by_generation"][g], one, "", 1) for one in ("recall", "fd")]
            wanted.append([name, str(g), "2", *cells])
    real = [REAL, "", "", *(spanned(metrics[one]["real"], one) for one in ("recall", "fd"))]
    assert [list(row.cells) for row in shown.rows] == [real, *wanted]
    assert [row.kind for row in shown.rows] == ["real", "null", "null", "arm", "arm"]
    assert shown.better == [None, None, None, "higher", "lower"] and shown.first == 3


def test_what_arms_add_to_the_reference(findings: Findings) -> None:
    (_, apart) = tables(findings, Choice(["recall"]))
    one = next(one for one in findings.summary["differences"] if one["arm"] == "half" and one["null"] is None)
    span = one["extractors"]["classifier"]["recall"]["last"]
    assert list(apart.rows[0].cells) == ["half", "2", "2", spanned(span, "recall", "+", 1)]
    assert [row.cells[0] for row in apart.rows] == ["half", "everything kept"]
    typeset(latex([apart], "x"))


def test_of_one_arm_its_generations(findings: Findings) -> None:
    one, model = tables(findings, Choice(arms=["everything kept"]))
    assert [row.cells[0] for row in one.rows] == [REAL, "0", "1", "2"] and one.headings[:2] == ["generation", "seeds"]
    assert model.key == "scores model" and "bits/dim" in model.headings
    (last,) = tables(findings, Choice(["recall"], ["last"], ["everything kept"]))
    assert [row.cells[0] for row in last.rows] == [REAL, "2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"metrics": "recal"}, "--metrics: 'recal' is not measured; did you mean 'recall'? there are: fd, "),
        ({"gens": "0,3"}, "--gens: generation 3 has no such scores; there are: 0, 1, 2"),
        ({"gens": "two"}, "--gens: 'two' is not a generation; write numbers with commas, such as 0,5,9, or all, or last"),
        ({"arms": "half, halve"}, "--arms: there is no 'halve'; did you mean 'half'? there are: none; "),
        ({"metrics": ""}, "--metrics: is empty; name what is to be shown, or leave it out"),
    ],
)
def test_bad_names_get_a_line_with_what_there_is(findings: Findings, words: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsProblem, match=f"^{re.escape(said)}"):
        tables(findings, Choice.of(**words))
    empty = replace(findings, summary={**findings.summary, "arms": []})
    with pytest.raises(SettingsProblem, match="nothing has been judged yet"):
        tables(empty)


def test_it_is_written_and_never_over_what_is_not_ours(grid: Path) -> None:
    said = done("report", grid, "--latex", "--arms", "none, half", "--gens", "all")
    assert said.stdout == f"{grid / 'report.tex'}: 4 tables\n"
    text = (grid / "report.tex").read_text()
    assert len(typeset(text)) == 2 * (1 + 1 + 6 + 1 + 1)
    assert ic.report(grid, latex=True, gens=[0, 2], metrics=["recall"], arms="none", quiet=True) == grid / "report.tex"
    now = (grid / "report.tex").read_text()
    assert now != text, "our own is replaced"
    Path("mine.tex").write_text(now.replace("0.", "1."))
    refused = call("report", grid, "--latex", "-o", "mine.tex")
    assert refused.exit_code == 5 and refused.stderr.startswith("imgcollapse: mine.tex: is not a file of tables that imgcollapse wrote")
    (grid / "report.tex").write_text("mine")
    ic.report(grid, latex=True, quiet=True)
    assert [path.read_text() for path in (grid / "set_aside").glob("report.tex*")] == ["mine"]
    for words in (["--latex", "--open"], ["--latex", "-o", "a.html"], ["--metrics", "recal"]):
        before = {path: path.stat().st_mtime_ns for path in grid.rglob("*")}
        assert call("report", grid, *words).exit_code == 2 and before == {path: path.stat().st_mtime_ns for path in grid.rglob("*")}


def test_without_latex_the_tables_are_printed(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "beside", lambda found, page: [])  # films and figures take long
    said = done("report", grid, "--metrics", "recall", "--gens", "0", "--arms", "none").stdout
    assert re.search(r"│ 0 +│ 2 +│ +0\.\d\d and 0\.\d\d │\n", said) and "report.html: " in said
    found = json.loads(done("report", grid, "--latex", "--metrics", "recall", "--json").stdout)["tables"]
    assert [table["headings"][-1] for table in found] == ["recall", "recall"]
