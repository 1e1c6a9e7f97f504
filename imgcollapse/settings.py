"""YAML to typed settings and back, and every mistake in one line that says the place, the value and the cure."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from imgcollapse.errors import SettingsProblem


class Settings(BaseModel):
    """The base of everything that can be set: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


T = TypeVar("T")


def one_of(table: Mapping[str, type[Any]]) -> Any:
    """The type of a setting that is one of a table's entries, told apart by `kind`.

    A plain string stands for an entry with its defaults; `kind:rest` gives its `path` as well.
    """
    entries = tuple(table.values())
    union = Annotated[Union[entries], Field(discriminator="kind")] if len(entries) > 1 else entries[0]  # noqa: UP007
    return Annotated[union, BeforeValidator(expand)]


def expand(value: object) -> object:
    """`"digits"` -> `{"kind": "digits"}`, `"zip:a.zip"` -> `{"kind": "zip", "path": "a.zip"}`; anything else as it is."""
    if not isinstance(value, str):
        return value
    kind, colon, path = value.partition(":")
    return {"kind": kind, "path": path} if colon else {"kind": kind}


def read_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises SettingsProblem where there is none."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise SettingsProblem(f"{path}: cannot be read ({reason}); give --config a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SettingsProblem(f"{place}: not YAML ({getattr(error, 'problem', None) or error}); mend that line") from None
    if not isinstance(values, dict):
        raise SettingsProblem(f"{path}: holds {type(values).__name__}, not settings; write lines such as `gens: 10`")
    return values


def assignment(text: str) -> dict[str, Any]:
    """`"model.steps=10"` -> `{"model": {"steps": 10}}`; the value is read as YAML."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise SettingsProblem(f"--set: '{text}' is not PATH=VALUE; write for example --set model.steps=500")
    try:
        return nested(path.strip(), yaml.safe_load(value))
    except yaml.YAMLError:
        raise SettingsProblem(f"--set: the value in '{text}' is not YAML; put it in quotes") from None


def nested(path: str, value: object) -> dict[str, Any]:
    """`"model.steps", 10` -> `{"model": {"steps": 10}}`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


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
    """The typed settings. Raises SettingsProblem with one line for the first thing that is wrong."""
    assert issubclass(settings, BaseModel), settings  # a protocol may stand in for the class
    try:
        return settings.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsProblem(_explain(settings, error)) from None


def to_yaml(settings: BaseModel, only_ascii: bool = False) -> str:
    """Every setting spelled out, defaults too."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=not only_ascii)


def _explain(settings: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place, inside = _place(settings, first["loc"])
    value, context = first["input"], first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            known = sorted(inside.model_fields) if inside else []
            known = [name for name in known if name != "kind"]
            close = difflib.get_close_matches(place.rpartition(".")[2], known, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            return f"{place}: there is no such setting; {hint}there are: {', '.join(known) or 'none'}"
        case "union_tag_invalid":
            known = [name.strip("' ") for name in str(context["expected_tags"]).split(",")]
            close = difflib.get_close_matches(str(context["tag"]), known, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            return f"{place}: '{context['tag']}' is unknown; {hint}there are: {', '.join(known)}"
        case "union_tag_not_found":
            return f"{place}: {value!r} names no kind; write for example `{place}: {{kind: ...}}`"
        case "missing":
            return f"{place}: is missing; give it a value"
        case "value_error":
            reason = str(context["error"])
            return f"{place}: {reason}" if place else reason
    message = first["msg"]
    cure = message.replace("Input should be", "it should be").replace("Value error, ", "")
    return f"{place}: {value!r} cannot be used; {cure[0].lower()}{cure[1:]}"


def _place(settings: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, type[BaseModel] | None]:
    """The dotted path as a user writes it, without the `kind`s that pydantic puts in, and the class that its last name is a field of."""
    names: list[str] = []
    inside: type[BaseModel] | None = None
    here: Any = settings
    for part in loc:
        classes = _classes(here)
        kinds = {one.model_fields["kind"].default: one for one in classes if "kind" in one.model_fields}
        if len(classes) > 1 and part in kinds:
            here = kinds[part]
            continue
        names.append(str(part))
        if isinstance(part, str):  # a number is a place in a list, whose entries have the list's classes
            inside = classes[0] if len(classes) == 1 else None
            field = inside.model_fields.get(part) if inside else None
            here = field.annotation if field else None
    return ".".join(names), inside


def _classes(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    return [one for part in get_args(annotation) for one in _classes(part)]
