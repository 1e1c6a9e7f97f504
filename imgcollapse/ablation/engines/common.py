"""What the engines have in common."""

import os
from pathlib import Path
from typing import Any, TypeVar

from imgcollapse import store
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.errors import InUseProblem, SettingsProblem, brief
from imgcollapse.machine import streams
from imgcollapse.settings import Settings, build, read_file, read_value

LOG = "worker.log"  # in a run's folder: what its worker said

T = TypeVar("T", bound=Settings)


def read_options(options: type[T], configuration: EngineConfiguration) -> T:
    """The engine's options, typed: what is text (a partition `0042`, an account `no`) is taken as it is written, all else is read as YAML.

    Raises SettingsProblem that names the known ones.
    """
    texts = {name for name, field in options.model_fields.items() if field.annotation in (str, str | None)}
    values = {key: value if key in texts else option(key, value) for key, value in configuration.options.items()}
    try:
        return build(options, values)
    except SettingsProblem as error:
        raise SettingsProblem(f"--engine-option {error}") from None


def option(key: str, text: str) -> Any:
    """An engine's option, read as YAML. Raises SettingsProblem."""
    return read_value(text, f"--engine-option {key}: {brief(text)}")


def execute(run: Path) -> int:
    """Executes the run in this process, with all words in the run's log. Returns the exit code.

    Raises KeyboardInterrupt where it is stopped.
    """
    log = os.open(run / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    streams.steady()
    try:
        return worker.work(run)
    except InUseProblem as error:
        print(error, flush=True)
        return error.exit_code


def left_undone(run: Path, failure_before: dict[str, Any] | None) -> bool:
    """Whether a run that nobody executes any more is not finished and has not, since `failure_before`, said why."""
    failure = worker.read_failure(run)
    there = len(store.finished(run)) == read_file(run / store.STUDY)["gens"]
    finished = failure is None and there and not store.unjudged(run)
    return not finished and failure == failure_before and not store.in_use(run)
