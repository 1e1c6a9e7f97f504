"""YAML 1.2 to plain values and back: the one place that reads and writes it, so that a text means the same wherever it is given.

What a plain scalar stands for is decided here, by the core schema (https://yaml.org/spec/1.2.2/#103-core-schema): `010` is 10, `1e-4` a
number; `no`, `1:30`, `1_000` and dates are text. PyYAML, which follows YAML 1.1, only takes the text apart and puts it together.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from imgcollapse.errors import SettingsProblem, brief

MOST = 1_000_000  # characters of a text, and of what it stands for with its aliases written out, where every value counts for ten more
DEEPEST = 50  # levels of nesting
DIGITS = 40  # of a whole number; a seed of 128 bits has 39
TAG = "tag:yaml.org,2002:"


class YamlProblem(SettingsProblem):
    """A text that cannot be read. `line` counts from 1; `syntax`: whether it is no YAML at all."""

    def __init__(self, line: int, reason: str, syntax: bool = False) -> None:
        super().__init__(reason)
        self.line, self.syntax = line, syntax


def load(text: str) -> Any:
    """The value of a text: None, booleans, numbers, text, lists, and dictionaries with the keys as they are written. Raises YamlProblem."""
    if len(text) > MOST:
        raise YamlProblem(1, f"holds more than {MOST:,} characters, too many for settings; leave out what is none")
    try:
        reader = _Reader(text)
    except yaml.reader.ReaderError as error:
        character = text[error.position]
        line = 1 + text.count("\n", 0, error.position)
        raise YamlProblem(line, f"not YAML (the character {character!a} may not stand in it); fix that line", True) from None
    try:
        return reader.document()
    except YamlProblem:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        tab = "\\t" in (error.problem or "")
        reason = "a tab where only spaces may stand" if tab else brief(error.problem or error.context, quoted=False)
        raise YamlProblem(mark.line + 1 if mark else 1, f"not YAML ({reason}); fix that line", True) from None
    except (OverflowError, ValueError):  # PyYAML's, of an escape such as "\UFFFFFFFF"
        raise YamlProblem(reader.loader.line + 1, "not YAML (an escape names no character); fix that line", True) from None


def plain(text: str) -> Any:
    """The value of a plain scalar. Raises ValueError for a number that is too large."""
    return CORE[_kind(text)][1](text)


def is_text(text: str) -> bool:
    """Whether a plain scalar is text: no number, boolean or null."""
    return _kind(text) == "str"


def _kind(text: str) -> str:
    return next(kind for kind, (pattern, _) in CORE.items() if pattern.match(text))


def dump(value: Any, *, flow: bool = False, only_ascii: bool = False) -> str:
    """The text that `load` reads as this value, and programs that follow YAML 1.1 as well; `flow`: on one line, without a line end."""
    form: dict[str, Any] = {"default_flow_style": True, "width": 10**9} if flow else {"default_flow_style": False}
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=not only_ascii, sort_keys=False, **form)
    return text.removesuffix("\n").removesuffix("\n...") if flow else text


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    if len(text.lstrip("+-0ox")) > DIGITS:
        raise ValueError(f"{brief(text, quoted=False)} is too large a number; take one of at most {DIGITS} digits, or put text in quotes")
    return int(text if base == 10 else text[2:], base)


def _real(text: str) -> float:
    if "n" in text.lower():  # .inf and .nan
        return float(text.replace(".", ""))
    if math.isinf(value := float(text)):
        raise ValueError(f"{brief(text, quoted=False)} is too large a number; take a smaller one, or put text in quotes")
    return value + 0.0  # there is one zero


CORE: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda text: None),
    "bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text.lower() == "true"),
    "int": (re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), _whole),
    "float": (
        re.compile(r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
        _real,
    ),
    "str": (re.compile(r""), str),
}
"""The core schema: a plain scalar is the first of these whose pattern it matches."""

NUMBER = CORE["float"][0]


def _called(name: str, text: str) -> Any:
    pattern, read = CORE[name]
    if not pattern.match(text):
        raise ValueError(f"{brief(text)} is no {name}; write the value without a tag")
    return read(text)


class _Reader:
    """Builds the value while PyYAML parses."""

    def __init__(self, text: str) -> None:
        self.loader = yaml.BaseLoader(text)
        self.events: Iterator[Any] = iter(self.loader.get_event, None)
        self.anchors: dict[str, tuple[Any, int]] = {}  # value, and its size with its aliases written out
        self.size = 0

    def document(self) -> Any:
        next(self.events)  # the stream begins
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        value = self.value(next(self.events), 1)
        next(self.events)  # the document ends
        if not isinstance(after := next(self.events), yaml.StreamEndEvent):
            raise _problem(after, "a second document begins here; keep one, and no line `---` after its first")
        return value

    def value(self, event: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise _problem(event, f"lies more than {DEEPEST} levels deep; no setting does")
        before = self.size
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _problem(event, f"*{brief(event.anchor, quoted=False)} stands for no value before it; write &NAME before that value")
            value, size = self.anchors[event.anchor]
            self.grow(event, size)
            return value
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        elif event.tag not in (None, "!", TAG + ("map" if isinstance(event, yaml.MappingStartEvent) else "seq")):
            raise _unknown(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self.mapping(depth)
        else:
            value = [self.value(one, depth + 1) for one in self.until(yaml.SequenceEndEvent)]
        self.grow(event, 10)
        if event.anchor is not None:
            self.anchors[event.anchor] = value, self.size - before
        return value

    def scalar(self, event: Any) -> Any:
        text, tag = _characters(event), event.tag
        self.grow(event, len(text))
        if tag == "!" or (tag is None and not event.implicit[0]):  # quoted, or called text
            return text
        if tag is not None and tag.removeprefix(TAG) not in CORE:
            raise _unknown(event)
        try:
            return plain(text) if tag is None else _called(tag.removeprefix(TAG), text)
        except ValueError as error:
            raise _problem(event, str(error)) from None

    def mapping(self, depth: int) -> dict[str, Any]:
        """Keys are text. `<<: *NAME` puts the entries of other mappings under it, as YAML 1.1 has it and many files use it."""
        own: dict[str, Any] = {}
        under: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for event in self.until(yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _problem(event, "a key must be text; put it in quotes")
            if event.tag not in (None, "!", TAG + "str"):
                raise _unknown(event)
            key = _characters(event)
            if key in lines:
                raise _problem(event, f"{brief(key)} is given twice, first in line {lines[key]}; keep one, or give one another name")
            lines[key] = _line(event)
            self.grow(event, 10 + len(key))
            value = self.value(next(self.events), depth + 1)
            if key == "<<" and event.implicit[0]:
                under = _merged(event, value)
            else:
                own[key] = value
        return under | own

    def until(self, end: type[Any]) -> Iterator[Any]:
        while not isinstance(event := next(self.events), end):
            yield event

    def grow(self, event: Any, size: int) -> None:
        self.size += size
        if self.size > MOST:
            raise _problem(event, f"stands for more than {MOST:,} characters with its aliases written out; write less")


def _merged(event: Any, value: Any) -> dict[str, Any]:
    """The entries of one mapping or of several, of which the first decides."""
    merged: dict[str, Any] = {}
    for one in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(one, dict):
            raise _problem(event, f"<< takes mappings, not {brief(one)}; write for example `<<: *NAME`")
        merged |= one
    return merged


def _characters(event: Any) -> str:
    """The text of a scalar, in which two escapes of JSON stand for one character beyond U+FFFF.

    A half alone is left where it stands for a byte of a file name that is no text (PEP 383), which `dump` writes so.
    """
    text = PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), event.value)
    if half := HALF.search(text):
        raise _problem(event, f"the escape \\u{ord(half[0]):x} is half of a character; write the whole one")
    return text


PAIR, HALF = re.compile("[\ud800-\udbff][\udc00-\udfff]"), re.compile("[\ud800-\udc7f\udd00-\udfff]")


def _problem(event: Any, reason: str) -> YamlProblem:
    return YamlProblem(_line(event), reason)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _unknown(event: Any) -> YamlProblem:
    tag = event.tag.replace(TAG, "!!")
    return _problem(event, f"the tag {brief(tag, quoted=False)} is not known here; write plain values")


class _Dumper(yaml.SafeDumper):
    """Puts quotes around text that YAML 1.1 or the core schema would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> Any:
        """PyYAML adds spaces after these line ends unless it escapes them."""
        return self.represent_scalar(TAG + "str", text, style='"' if set(text) & set("\x85\u2028\u2029") else None)


_Dumper.add_representer(str, _Dumper.text)
for _name, _first in (("int", "-+0123456789"), ("float", "-+.0123456789")):
    _Dumper.add_implicit_resolver(TAG + _name, CORE[_name][0], list(_first))
_Dumper.add_implicit_resolver(TAG + "bool", re.compile(r"[yYnN]\Z"), list("yYnN"))  # of YAML 1.1, though not of PyYAML
