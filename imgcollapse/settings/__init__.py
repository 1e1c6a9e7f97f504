"""YAML to typed settings and back, and every mistake in one line that says the place, the value and the cure."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer
from pydantic.fields import FieldInfo

from imgcollapse.errors import SettingsProblem, brief, placed_at
from imgcollapse.files import NOT_THERE, open_regular
from imgcollapse.settings.kinds import expand as expand
from imgcollapse.settings.kinds import one_of as one_of
from imgcollapse.settings.mistakes import as_share, explained, sequences_as
from imgcollapse.settings.yaml12 import DEEPEST, MOST, YamlProblem, dump, load


class Settings(BaseModel):
    """The base of everything that can be set: unknown keys are errors, values never change.

    An option whose name a method has already is a field of another name, with that name as its alias.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)
    LATER: ClassVar[Sequence[str]] = ()  # options that were added when there were studies already

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Plain values, without options of `LATER` at their default: a study keeps its name, and can be gone on with, when one is added."""
        values: dict[str, Any] = plain(self)
        fields = type(self).model_fields
        kept = (name for name in values if name not in self.LATER or getattr(self, name) != fields[name].default)
        return {shown_as(name, fields[name]): values[name] for name in kept}


def shown_as(name: str, field: FieldInfo) -> str:
    """The name of an option as users know it."""
    return field.alias or name


T = TypeVar("T")


def read_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises SettingsProblem where there is none."""
    try:
        with placed_at(path), _opened(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            values = load(text.read(MOST + 1))  # of a file without an end, no more than is needed to refuse it
    except YamlProblem as problem:
        raise SettingsProblem(f"{path}:{problem.line}: {problem}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in NOT_THERE:
            raise
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or str(error)
        raise SettingsProblem(f"{path}: cannot be read ({reason}); name a YAML file") from None
    if not isinstance(values, dict):
        raise SettingsProblem(f"{path}: holds {type(values).__name__}, not settings; write lines such as `gens: 10`")
    return values


def _opened(path: Path) -> BinaryIO:
    """A regular file, or what the shell's `<(...)` gives."""
    return path.open("rb") if path.is_relative_to("/dev/fd") else open_regular(path)


def read_value(text: str, place: str) -> Any:
    """The value of a text from the command line, read as YAML. Raises SettingsProblem that begins with the place."""
    try:
        return load(text)
    except YamlProblem as problem:
        why = "is not YAML; put it in quotes" if problem.syntax else f"cannot be used: {problem}"
        raise SettingsProblem(f"{place} {why}") from None


def read_list(text: str, place: str) -> list[Any]:
    """`0,0.1,0.5` -> [0, 0.1, 0.5], each read as YAML; commas inside brackets do not part. Raises SettingsProblem."""
    try:
        found = load(f"[{text}\n]")  # a line end, for a comment would hide the bracket
    except YamlProblem as problem:
        if not problem.syntax:
            raise SettingsProblem(f"{place}: {brief(text)} cannot be used: {problem}") from None
        found = None
    if not isinstance(found, list) or not found:
        raise SettingsProblem(f"{place}: {brief(text)} is not a list of values; write them with commas, for example 0,0.1,0.5")
    return found


def read_number(text: str, kind: type[int] | type[float], least: int | None, place: str) -> int | float:
    """The number that a flag gives, read as YAML. Raises SettingsProblem that begins with the place."""
    value = read_value(text, f"{place}: {brief(text)}")
    if type(value) is not int and not (kind is float and type(value) is float and math.isfinite(value)):
        what, example = ("whole number", 10) if kind is int else ("number", 0.5)
        raise SettingsProblem(f"{place}: {brief(text)} is no {what}; write for example {example}{as_share(text) if kind is float else ''}")
    if least is not None and value < least:
        raise SettingsProblem(f"{place}: {brief(text)} is too small; give at least {least}")
    return kind(value)


def assignment(text: str) -> dict[str, Any]:
    """`"model.steps=10"` -> `{"model": {"steps": 10}}`; the value is read as YAML."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise SettingsProblem(f"--set: {brief(text)} is not PATH=VALUE; write for example --set model.steps=500")
    return nested(path.strip(), read_value(value, f"--set: the value in {brief(text)}"))


def nested(path: str, value: object) -> dict[str, Any]:
    """`"model.steps", 10` -> `{"model": {"steps": 10}}`. Raises SettingsProblem for a path with an empty part."""
    keys = path.split(".")
    if not all(key.strip() for key in keys) or len(keys) > DEEPEST:
        raise SettingsProblem(f"{brief(path)} is not the path of a setting; write for example model.steps")
    for key in reversed(keys):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def unfolded(changes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """`("regime.pool", "fixed")` -> `{"regime": {"pool": "fixed"}}`, all together. Raises SettingsProblem where two give one setting."""
    whole: dict[str, Any] = {}
    for path, value in changes:
        whole = _joined(whole, nested(path, value))
    return whole


def _joined(one: Mapping[str, Any], other: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Both together, level by level."""
    whole = dict(one)
    for key, value in other.items():
        old = expand(whole[key]) if key in whole and isinstance(value, dict) else whole.get(key)
        new = expand(value) if isinstance(old, dict) else value
        if isinstance(old, dict) and isinstance(new, dict):
            new = _joined(old, new, f"{place}{key}.")
        elif key in whole:
            raise SettingsProblem(f"{brief(place + key, quoted=False)}: is given twice; keep one of the two")
        whole[key] = new
    return whole


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with `over` on top, level by level; where `over` names another `kind`, the options of the old one go."""
    merged = dict(under)
    for key, value in over.items():
        old, new = merged.get(key), value
        if isinstance(old, dict) and "kind" in old:
            new = expand(new)
        if isinstance(new, dict):
            old = expand(old)
        if isinstance(old, dict) and isinstance(new, dict):
            new = dict(new) if new.get("kind", old.get("kind")) != old.get("kind") else merge(old, new)
        merged[key] = new
    return merged


def build(settings: type[T], values: Mapping[str, Any]) -> T:
    """The typed settings; numbers are numbers, booleans booleans. Raises SettingsProblem, one line for the first thing that is wrong."""
    assert issubclass(settings, BaseModel), settings  # a protocol may stand in for the class
    try:
        return settings.model_validate(sequences_as(tuple, dict(values)), strict=True)
    except ValidationError as error:
        raise SettingsProblem(explained(settings, error)) from None


def to_yaml(settings: BaseModel, only_ascii: bool = False) -> str:
    """Every setting spelled out, defaults too (but those of `LATER`)."""
    return dump(settings.model_dump(mode="json"), only_ascii=only_ascii)
