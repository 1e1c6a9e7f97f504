"""Flags that take one value or several, with commas."""

import re
from contextlib import suppress
from typing import Any

from imgcollapse.errors import SettingsProblem, brief
from imgcollapse.settings import read_list, read_value
from imgcollapse.settings.yaml12 import load

NUMBERS = {"real_fraction", "samples"}
CLOSING = {"{": "}", "[": "]", "'": "'", '"': '"'}


def read_several(name: str, text: str) -> list[Any]:
    """`real_fraction`, `0,0.5` -> [0, 0.5]; `model`, `ddpm,vae` -> ["ddpm", "vae"]. Raises SettingsProblem that begins with the flag."""
    flag = "--" + name.replace("_", "-")
    return read_list(text, flag) if name in NUMBERS else _texts(text, flag)


def _texts(text: str, place: str) -> list[Any]:
    """`ddpm,vae` -> ["ddpm", "vae"], each as it is, so that it means what it does where one alone is given. Raises SettingsProblem.

    A part that begins with a bracket or quote is read as YAML, and commas inside it do not part.
    """
    if "," not in text and text.lstrip()[:1] not in CLOSING:
        return [text]
    found, rest = list[Any](), text
    while True:
        part, comma, rest = _first_part(rest.strip())
        if not part:
            raise SettingsProblem(f"{place}: {brief(text)} has nothing where a value belongs; write quotes around text with commas")
        found.append(read_value(part, f"{place}: {brief(part)}") if part[0] in CLOSING else part.rstrip())
        if not comma:
            return found


def _first_part(text: str) -> tuple[str, str, str]:
    """The text to the first comma that is not inside quotes or brackets, the comma, and the rest."""
    closing = CLOSING.get(text[:1])
    if closing is None:
        return text.partition(",")
    for end in re.finditer(rf"{re.escape(closing)}\s*,", text):
        with suppress(SettingsProblem):
            load(text[: end.start() + 1])
            return text[: end.start() + 1], ",", text[end.end() :]
    return text, "", ""
