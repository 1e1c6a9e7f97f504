"""Tidy rows as the tables of other packages, where those are installed."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from imgcollapse.errors import SettingsProblem, brief

Rows = list[dict[str, Any]]


def _pandas(package: Any, columns: Mapping[str, list[Any]]) -> Any:
    return package.DataFrame(dict(columns))


def _polars(package: Any, columns: Mapping[str, list[Any]]) -> Any:
    return package.DataFrame(dict(columns), strict=False)


FRAMES: dict[str, Callable[[Any, Mapping[str, list[Any]]], Any]] = {"pandas": _pandas, "polars": _polars}


def as_asked(rows: Rows, columns: Sequence[str], frame: str | None) -> Any:
    """The rows as they are, or the frame of that package with these columns, one row each.

    Raises SettingsProblem for a package that is unknown or not installed.
    """
    if frame is None:
        return rows
    if frame not in FRAMES:
        raise SettingsProblem(f"frame: {brief(frame)} is unknown; there are: {', '.join(FRAMES)}; leave it out for a list of dicts")
    try:
        package = import_module(frame)
    except ImportError:
        raise SettingsProblem(f"frame: {frame} is not installed; run: pip install {frame}, or leave it out for a list of dicts") from None
    return FRAMES[frame](package, {name: [row[name] for row in rows] for name in columns})
