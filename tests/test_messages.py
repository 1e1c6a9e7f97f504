"""What the program says: nothing in it advises to destroy what the program did not make."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "imgcollapse"
DESTROYS = re.compile(
    r"\b(delet(e|ed|ing)|remov(e|ing)|eras(e|ing)|wip(e|ing)|discard|unlink|rm(?= )|rmdir|trash|purge|scrap|overwrit(e|ing|ten)"
    r"|throw\b.{0,30}\baway|clean (up|out)|get rid|dispose|replac(e|ing) it|(take|taking) (it|them|this|that|these|those) (out|away|off)"
    r"|(empty|clear) (the|this|that|it)|(go|goes) away|start over|start afresh|from scratch|again without|without (it|them)\b)",
    re.IGNORECASE,
)
# what matches and advises nothing of the kind, or is said of a copy of something that stays: file, piece of the text, reason
ALLOWED = [
    ("*", "nothing is ever overwritten", "says what is not done"),
    ("cli/prune.py", "(nothing was removed)", "says what is not done"),
    ("interface/ablating.py", "; going on without it", "an extractor without weights, for this run"),
    ("judges/judge.py", "; going on without it", "the same"),
    ("track/tracker.py", "the work goes on without it", "a tracker that fails"),
    ("datasets/labels.py", "or make the archive again without it", "an archive is a copy"),
    ("datasets/labels.py", "or take it off the list", "a line of a list"),
    ("datasets/listing.py", "make the archive again without it", "an archive is a copy"),
    ("datasets/listing.py", "make the archive again without a password", "an archive is a copy"),
    ("datasets/names.py", "network trash folder", "the name of a folder"),
    ("datasets/png.py", "nothing can be told without it", "says what is not known"),
    ("datasets/refused.py", "replace it by a whole copy", "of a damaged file, beside moving it elsewhere"),
    ("datasets/arrays.py", "write the set again without them", "a set that is written anew"),
]


def said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every string that is no docstring; what is put into an f-string stands as {}."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body and isinstance(node.body[0], ast.Expr)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pieces = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(pieces)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | parts):
            yield node.lineno, node.value


def advice(file: str, text: str) -> str | None:
    """The first words of the text that may advise to destroy something; None where there are none but those that are allowed."""
    for place, piece, _ in ALLOWED:
        if place in ("*", file):
            text = text.replace(piece, "")
    found = DESTROYS.search(text)
    return found.group() if found else None


@cache
def messages() -> list[tuple[str, int, str]]:
    return [
        (path.relative_to(PACKAGE).as_posix(), line, text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in said(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_no_message_advises_to_destroy_anything() -> None:
    found = [f"imgcollapse/{file}:{line}: {words!r} in {text!r}" for file, line, text in messages() if (words := advice(file, text))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "{}: holds something else; remove it, or choose another --out",
        "fetch it again, or delete it",
        "Delete {} and run again",
        "rm -r {}, then run again",
        "is damaged; throw the folder away",
        "take the cards elsewhere and empty the folder",
        "make the archive again without it",
        "5 points are not finite; take them out",
        "overwrite it with --force",
    ],
)
def test_advice_that_destroys_is_found(text: str) -> None:
    assert advice("export.py", text)


@pytest.mark.parametrize(
    "text",
    [
        "nothing is ever overwritten; move it elsewhere, or choose another --out",
        "put a whole copy in its place",
        "run the same command again, which repairs it",
        "farm -r form",
    ],
)
def test_other_advice_is_not(text: str) -> None:
    assert advice("export.py", text) is None


@pytest.mark.parametrize(("file", "piece", "reason"), ALLOWED)
def test_what_is_allowed_is_said_somewhere(file: str, piece: str, reason: str) -> None:
    assert reason and any(piece in text for place, _, text in messages() if file in ("*", place))
