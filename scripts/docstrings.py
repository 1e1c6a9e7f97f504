"""How the site shows docstrings: the lines `name: what it is` as a list, and sessions of Python as such. mkdocstrings loads it."""

import inspect
import re
from typing import Any

import griffe

ARGUMENT = re.compile(r"^((?:\w+(?: \([^)]*\))?)(?:, (?:\w+(?: \([^)]*\))?))*): +(.*)$")
MOST = 110  # characters of names before the colon; longer ones are sentences


def shown(docstring: str) -> str:
    """A docstring of this package as Markdown."""
    return "\n\n".join(_block(block) for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)))


def _block(block: str) -> str:
    lines = block.splitlines()
    if lines[0].startswith(">>>"):
        return "```pycon\n" + block + "\n```"
    found: list[str] = []
    for line in lines:
        argument = ARGUMENT.match(line)
        if argument and len(argument[1]) <= MOST and argument[1][:1].islower():
            names = re.sub(r"\w+(?=,|$| \()", r"`\g<0>`", argument[1])
            found.append(f"- {names}: {argument[2]}")
        elif found and line.startswith(" "):
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    return "\n".join(
        f"\n{line}" if line.startswith("- ") and not (i and found[i - 1].startswith("- ")) else line for i, line in enumerate(found)
    )


class Shown(griffe.Extension):
    """Every docstring as `shown` has it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Once, when griffe has read the object."""
        if obj.docstring:
            obj.docstring.value = shown(obj.docstring.value)
