"""A mistake in the settings in one line: the place as a user writes it, the value, and the cure."""

import math
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError, WrapValidator

from imgcollapse.errors import brief, did_you_mean
from imgcollapse.settings.kinds import OneOf
from imgcollapse.settings.yaml12 import NUMBER


def sequences_as(kind: type[list[Any]] | type[tuple[Any, ...]], value: Any) -> Any:
    """The same value with all its lists (or tuples) of this kind: pydantic, where it is strict, takes no list for a tuple."""
    if isinstance(value, dict):
        return {key: sequences_as(kind, one) for key, one in value.items()}
    return kind(sequences_as(kind, one) for one in value) if isinstance(value, (list, tuple)) else value


def explained(settings: type[BaseModel], error: ValidationError) -> str:
    """What is wrong with what was given for these settings: the first of all mistakes."""
    first = error.errors(include_url=False)[0]
    path, inside = _place(settings, first["loc"])
    place = brief(path, quoted=False)
    value, context = sequences_as(list, first["input"]), first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            if moved := getattr(inside, "MOVED", {}).get(first["loc"][-1]):
                return f"{place}: is now {'.'.join((*path.split('.')[:-1], moved))}; set it there"
            known = sorted(field.alias or name for name, field in inside.model_fields.items()) if inside else []
            known = [name for name in known if name != "kind"]
            deeper = _deeper(inside, str(first["loc"][-1]))
            meant = f"did you mean '{deeper}'? " if deeper else did_you_mean(path.rpartition(".")[2], known)
            return f"{place}: there is no such setting; {meant}there are: {', '.join(known) or 'none'}"
        case "union_tag_invalid":
            known = [name.strip("' ") for name in str(context["expected_tags"]).split(",")]
            tag = str(value["kind"]) if isinstance(value, dict) else str(context["tag"])
            return f"{place}: {brief(tag)} is unknown; {did_you_mean(tag, known)}there are: {', '.join(known)}"
        case "union_tag_not_found":
            return f"{place}: {brief(value)} names no kind; write for example `{place}: {{kind: ...}}`"
        case "missing":
            fields = inside.model_fields.items() if inside else ()
            about = next((one.description for name, one in fields if path.rpartition(".")[2] in (name, one.alias)), None)
            return f"{place}: is missing; give it a value{f' ({about})' if about else ''}"
        case "value_error":
            reason = str(context["error"])
            return f"{place}: {reason}" if place else reason
    message = first["msg"].replace("Input should be", "it should be")
    cure = CURES.get(first["type"], f"{message[0].lower()}{message[1:]}{_as_number(first['type'], value)}")
    percentage = first["type"] == "float_type" or context.get("le") == 1 or context.get("lt") == 1
    return f"{place}: {brief(value)} cannot be used; {cure}{as_share(value) if percentage and _is_share(inside, path) else ''}"


def _deeper(inside: type[BaseModel] | None, name: str) -> str:
    """`model.steps` of `steps`; empty where no setting of these has one of that name.

    A setting that holds any mapping says in the class's HOLDS what it is of.
    """
    for outer, held in getattr(inside, "HOLDS", {}).items():
        if there := name if name in held.model_fields else _deeper(held, name):
            return f"{outer}.{there}"
    for outer, field in (inside.model_fields if inside else {}).items():
        if any(name in one.model_fields for one in _classes(Annotated[field.annotation, *field.metadata, ""]) if name != "kind"):
            return f"{outer}.{name}"
    return ""


def _is_share(inside: type[BaseModel] | None, path: str) -> bool:
    """Whether a setting is a number that 1 bounds."""
    field = inside.model_fields.get(path.rpartition(".")[2]) if inside else None
    return field is not None and any(getattr(one, "le", getattr(one, "lt", None)) == 1 for one in field.metadata)


CURES = {
    "bool_type": "it should be true or false",
    "string_type": "it should be text; put it in quotes",
    "tuple_type": "it should be a list, such as [a, b]",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "it should be a mapping, such as {key: value}"),
}


def as_share(value: object) -> str:
    """`; did you mean 0.1?` of `10%`, `"10 %"` and 10, where a share from 0 to 1 is wanted; empty for what is no percentage."""
    text = value.strip().removesuffix("%").strip() if isinstance(value, str) else str(value)
    percent = float(text) if NUMBER.match(text) and text[-1:] not in "fFnN" else math.nan  # no .inf, .nan
    written = isinstance(value, str) and value.rstrip().endswith("%")
    return f"; did you mean {percent / 100:g}?" if 0 <= percent <= 100 and (written or percent > 1) else ""


def _as_number(type: str, value: object) -> str:
    """How to write what is nearly the number that is wanted."""
    if type == "int_type" and isinstance(value, float) and value.is_integer():
        return f", written {value:.0f}"
    if type in ("int_type", "float_type") and isinstance(value, str) and NUMBER.match(value):
        return ", without quotes"
    return ""


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
            here = Annotated[field.annotation, *field.metadata, ""] if field else None  # with what pydantic has taken off it
    return ".".join(names), inside


def _classes(annotation: Any) -> list[type[BaseModel]]:
    for one in getattr(annotation, "__metadata__", ()):
        if isinstance(one, WrapValidator) and isinstance(one.func, OneOf):
            return list(one.func.table.values())
    if get_origin(annotation) is Annotated:
        return _classes(annotation.__origin__)
    if get_origin(annotation) is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    return [one for part in get_args(annotation) for one in _classes(part)]
