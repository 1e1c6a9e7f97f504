"""What every page is made of: a template, its style, and a policy by which nothing else may style or move it."""

import base64
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any


def rendered(name: str, **values: Any) -> str:
    """The template of that name, filled; all text is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template(name)).render(**values)


@cache
def template(name: str) -> str:
    """The text of a file beside the templates."""
    return (files("imgcollapse.reports") / "templates" / name).read_text(encoding="utf-8")


def policy(style: str, script: str | None = None) -> str:
    """A Content-Security-Policy under which this style and this script are all that a page may use, and pictures in it or beside it."""
    moved = f"script-src '{_hash(script)}'; " if script is not None else ""
    return f"default-src 'none'; img-src data: 'self' file:; {moved}style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
