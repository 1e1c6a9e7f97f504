"""`report.tex`: tables for a paper, in LaTeX with booktabs; names and questions in them are text, whatever is in them."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from imgcollapse import __version__
from imgcollapse.errors import OtherStudyProblem
from imgcollapse.files import bytes_of, is_file, ledger, write_text
from imgcollapse.machine import streams
from imgcollapse.reports.chosen import ChosenTable, Row

TEX = "report.tex"
MARK = re.compile(r"% imgcollapse \S+: tables, SHA-256 ([0-9a-f]{64})\n")
ARROWS = {"lower": r" $\downarrow$", "higher": r" $\uparrow$"}
# what LaTeX would not print as it stands; brackets and stars are made text because they mean something behind the end of a line
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    **{letter: f"\\{letter}" for letter in "&%$#_"},
    "∞": r"$\infty$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "√": r"$\surd$",
    "\u00a0": "~",
}


def escaped(text: str) -> str:
    """The text so that LaTeX prints it on one line as it is. Letters of other scripts stay, and need an engine that has them (LuaLaTeX)."""
    plain = streams.shown(" ".join(text.split()))
    return "".join(SPECIAL.get(letter, letter) for letter in plain).replace("--", "-{}-")


def latex(tables: Sequence[ChosenTable], of: str) -> str:
    """All tables, a float each. `of`: what they are of, for the comment at their head."""
    head = rf"% of {streams.shown(' '.join(of.split()))}; they need \usepackage{{booktabs}}"
    return "\n\n".join([head, *map(_float, tables)]) + "\n"


def write(path: Path, text: str, aside: bool) -> None:
    """Writes them, below a line by which the file is known as ours as long as nobody has changed it.

    Something else at its place is set aside, and said (`aside`), or refused by OtherStudyProblem.
    """
    if path.is_symlink() or path.exists():
        if not _is_ours(path) and not aside:
            raise OtherStudyProblem(
                f"{path}: is not a file of tables that imgcollapse wrote, and nothing is ever overwritten; choose another -o"
            )
        if not _is_ours(path):
            ledger.clear(path, path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, f"% imgcollapse {__version__}: tables, SHA-256 {_digest(text)}\n{text}")


def _is_ours(path: Path) -> bool:
    if not is_file(path):
        return False
    text = path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    mark = MARK.match(text)
    return mark is not None and mark[1] == _digest(text[mark.end() :])


def _digest(text: str) -> str:
    return sha256(bytes_of(text)).hexdigest()


def _float(table: ChosenTable) -> str:
    columns = "l" + "r" * (len(table.headings) - 1)
    heads = [escaped(head) + ARROWS.get(better or "", "") for head, better in zip(table.headings, table.better, strict=True)]
    label = re.sub(r"[^a-z0-9]+", "-", table.key.lower()).strip("-")
    lines = [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escaped(table.caption)}}}",
        f"  \\label{{tab:{label}}}",
        f"  \\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        f"    {' & '.join(heads)} \\\\",
        r"    \midrule",
        *(line for row in table.rows for line in _row(row, table.first)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(row: Row, first: int) -> list[str]:
    cells = [*map(escaped, row.cells[:first]), *map(_value, row.cells[first:])]
    shown = [rf"\textit{{{cell}}}" if cell and row.kind == "null" else cell for cell in cells]
    return [*([r"    \addlinespace"] if row.apart else []), f"    {' & '.join(shown)} \\\\"]


def _value(cell: str) -> str:
    """`-0.45 [-0.50, -0.40]` -> a minus as of mathematics, and the interval in small letters."""
    mean, bracket, interval = cell.partition(" [")
    small = rf" {{\footnotesize [{interval}}}" if bracket else ""
    return (mean + small).replace("-", "$-$").replace("+", "$+$")
