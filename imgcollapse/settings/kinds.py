"""The type of a setting that is one of a table's entries, also of those that are added to the table later."""

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import Field, SerializeAsAny, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError


def one_of(table: Mapping[str, type[Any]]) -> Any:
    """The type of a setting that is one of a table's entries, told apart by `kind`.

    A plain string stands for an entry with its defaults; `kind:rest` gives its `path` as well. What is in the table when a setting is read
    counts: a plug-in's parts come later than this type.
    """
    entries = tuple(table.values())
    union: Any = Annotated[Union[entries], Field(discriminator="kind")] if len(entries) > 1 else entries[0]  # noqa: UP007
    return Annotated[union, SerializeAsAny(), WrapValidator(OneOf(table))]  # type: ignore[type-arg]


class OneOf:
    """Reads a setting as the entry of the table that it names."""

    def __init__(self, table: Mapping[str, type[Any]]) -> None:
        self.table = table
        self._first = frozenset(table)

    def __call__(self, value: object, read: ValidatorFunctionWrapHandler) -> Any:
        """The entry. Raises pydantic's errors."""
        value = expand(value)
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        if set(self.table) == self._first or kind in self._first or not isinstance(kind, str):
            return read(value)
        if kind not in self.table:
            tags = ", ".join(f"'{name}'" for name in self.table)
            raise PydanticCustomError("union_tag_invalid", "{tag} is none of {expected_tags}", {"tag": kind, "expected_tags": tags})
        entry = self.table[kind]
        if isinstance(value, entry):
            return value
        try:
            return entry.model_validate(value, strict=True)
        except ValidationError as error:  # with the kind in its place, as pydantic has it in a union
            lines = [_again(one, kind) for one in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, lines) from None


def _again(error: Any, kind: str) -> InitErrorDetails:
    if error["type"] == "union_tag_invalid":  # of a part of this part; it may be of our own making
        made = PydanticCustomError(error["type"], error["msg"], error.get("ctx"))
        return InitErrorDetails(type=made, loc=(kind, *error["loc"]), input=error["input"])
    return InitErrorDetails(type=error["type"], loc=(kind, *error["loc"]), input=error["input"], ctx=error.get("ctx", {}))


def expand(value: object) -> object:
    """`"digits"` -> `{"kind": "digits"}`, `"zip:a.zip"` -> `{"kind": "zip", "path": "a.zip"}`; anything else as it is."""
    if not isinstance(value, str):
        return value
    kind, colon, path = value.partition(":")
    return {"kind": kind, "path": path} if colon else {"kind": kind}
