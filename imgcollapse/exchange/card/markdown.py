"""Markdown and YAML that no name can break out of."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from imgcollapse.settings.yaml12 import dump

MARKS = str.maketrans({**{mark: f"\\{mark}" for mark in "\\`*_[]|~#$!:"}, "<": "&lt;", ">": "&gt;", "&": "&amp;"})


def line(text: object) -> str:
    """A name on one line, without what cannot be seen (which could turn the text around); `?` where nothing is left."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split()) or "?"


def plain(text: object) -> str:
    """A name as one line of Markdown that shows it as it is: no markup, no table cells, no HTML."""
    return line(text).translate(MARKS)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; names in its cells must be `plain`."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows))


def fenced(text: str, language: str) -> str:
    """A block of code that nothing in the text can end."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text}\n{ticks}"


def card(head: dict[str, Any], blocks: Iterable[str]) -> str:
    """A README.md as the hub reads it: plain values as YAML (any version's) between two lines of dashes, then blocks of Markdown."""
    return f"---\n{dump(head)}---\n\n" + "\n\n".join(blocks) + "\n"
