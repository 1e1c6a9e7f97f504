"""Engines: ways to carry out many run folders. To add one, write a function that is an `Engine` and add its line to the table."""

from imgcollapse.engines.crew import Crew, Engine
from imgcollapse.engines.local import local

ENGINES: dict[str, Engine] = {
    "local": local,
}

__all__ = ["ENGINES", "Crew", "Engine"]
