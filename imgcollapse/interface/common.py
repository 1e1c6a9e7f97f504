"""What several commands need."""

import math
import re
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from imgcollapse.errors import SettingsProblem, brief
from imgcollapse.extractors import fetch_weights, with_weights
from imgcollapse.machine import devices, streams
from imgcollapse.settings import assignment
from imgcollapse.study import Study


class Stopped(KeyboardInterrupt):
    """SIGTERM, which ends a run as cleanly as SIGINT does."""


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """SIGINT and SIGTERM end the block; the list then holds the exit code.

    SIGTERM only in a main thread, and where the program that this is a part of has no handler of its own for it.
    """
    code: list[int] = []

    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.getsignal(signal.SIGTERM)
    ours = threading.current_thread() is threading.main_thread() and isinstance(before, signal.Handlers)
    if ours:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield code
    except Stopped:
        code.append(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        code.append(128 + signal.SIGINT)
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def layer(change: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings that are put on top of others: of `PATH=VALUE`, as after --set, or as a mapping already."""
    return assignment(change) if isinstance(change, str) else change


def listed(values: Mapping[str, Any], name: str) -> list[Any]:
    """The list that stands under that name in a file; what is none is told when the settings are read."""
    found = values.get(name, [])
    return list(found) if isinstance(found, (list, tuple)) else [found]


def machine_from(given: Mapping[str, Any]) -> devices.Machine:
    """The machine that the flags name."""
    fields = {name: given[name] for name in ("device", "precision", "data_dir", "checkpoint_every") if given.get(name) is not None}
    weights = {kind: file for kind in with_weights() if (file := given.get(f"{kind}_weights")) is not None}
    named = devices.Machine(**fields, weights=weights)
    if "data_dir" not in fields and devices.is_homeless():
        streams.err(f"this user has no home folder: data and classifiers are kept in {named.data_dir}; --data-dir names another place")
    return named


def checked(named: devices.Machine, elsewhere: bool = False) -> devices.Machine:
    """The same, found fit for use. `elsewhere`: it is another than this one, so only the words can be checked.

    Raises SettingsProblem for a device or precision that cannot be used.
    """
    if not re.fullmatch(r"auto|(cpu|mps|cuda)(:\d+)?", named.device):
        raise SettingsProblem(f"--device: '{named.device}' is not a device; use auto, cpu, cuda, cuda:N or mps")
    if not (isinstance(named.checkpoint_every, (int, float)) and 0 <= named.checkpoint_every < math.inf):
        raise SettingsProblem(f"--checkpoint-every: {brief(named.checkpoint_every)} cannot be used; give minutes, or 0 for no checkpoints")
    if named.precision != "auto":
        named.mixed_precision()
    if not elsewhere:
        named.torch_device()
    return named


def fetch_weights_of(studies: Iterable[Study]) -> list[str]:
    """Fetches the weights that these studies' extractors need, before any run folder is made; what cannot be had, in words.

    Raises WeightsProblem where a study would have no extractor left.
    """
    messages = set()
    for one in studies:
        asked = one.judge.extractors or ()
        missing = fetch_weights(asked)
        if missing and len(missing) == len(asked):
            raise missing[0]
        messages |= {str(problem) for problem in missing}
    return sorted(messages)
