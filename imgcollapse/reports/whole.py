"""What every page is made of: a template, its style, and a policy by which nothing else may style or move it."""

import base64
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from imgcollapse import __version__


def rendered(name: str, **values: Any) -> str:
    """The template of that name, filled; all text is escaped."""
    return str(_environment().get_template(name).render(version=__version__, **values))


@cache
def _environment() -> Any:
    """Keeps the templates that it has compiled."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    looked_up = FunctionLoader(template)
    return Environment(loader=looked_up, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def made() -> str:
    """When the page is made, and by which version."""
    return f"page made on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by imgcollapse {__version__}"


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
