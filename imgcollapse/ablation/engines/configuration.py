"""What an engine is: a way to execute run folders, here or on other machines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcollapse.settings import Settings


@dataclass(frozen=True)
class EngineConfiguration:
    """How many runs are executed at once, with how many threads each, and the engine's own options.

    `options` are the engine's own, as the user wrote them (`--engine-option KEY=VALUE`).
    """

    jobs: int
    threads: int
    options: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """What a worker's environment must say before it imports torch or numpy, so that every library keeps to its threads."""
        return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))


Execute = Callable[[Sequence[Path], EngineConfiguration, Callable[[], None]], None]
"""`execute(runs, configuration, each_second)` executes the runs, at most `configuration.jobs` at once, and returns when all have ended.

With no runs it only checks that it can be used. It calls `each_second()` about once a second. What went wrong with a run stands in the
run's folder and is not raised. On KeyboardInterrupt it stops the runs, which keep their finished generations, and raises it again. Raises
SettingsProblem where it cannot be used at all, or does not know an option.
"""


@dataclass(frozen=True)
class Engine:
    """A way to execute runs, and what is known of it.

    execute: the function that does it
    options:   what `--engine-option` can set; None: nothing
    here:      whether all its runs share the cores and the device of this machine
    """

    execute: Execute
    options: type[Settings] | None = None
    here: bool = False
