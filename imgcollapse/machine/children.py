"""Processes that this one starts for itself."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

MAIN = "__main__"
_one_at_a_time = threading.Lock()


@contextmanager
def without_script() -> Iterator[None]:
    """A process that is started inside the block (by `multiprocessing`) does not import the script that this one executes.

    It would execute it once more, up to where it is now, and nothing that is started here needs it. So a script may call the package's
    functions anywhere, and needs no `if __name__ == "__main__":`.
    """
    with _one_at_a_time:
        script = sys.modules[MAIN]
        sys.modules[MAIN] = ModuleType(MAIN)  # one of no file
        try:
            yield
        finally:
            sys.modules[MAIN] = script
