"""What an engine is: a way to carry out run folders, here or on other machines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcollapse.settings import Settings


@dataclass(frozen=True)
class Crew:
    """How many runs are carried out at once, with how many threads each, and what else the engine is told.

    `options` are the engine's own, as the user wrote them (`--engine-option KEY=VALUE`).
    """

    jobs: int
    threads: int
    options: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """What a worker's environment must say before it imports torch or numpy, so that every library keeps to its threads."""
        return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))


CarryOut = Callable[[Sequence[Path], Crew, Callable[[], None]], None]
"""`carry_out(runs, crew, watch)` carries the runs out, at most `crew.jobs` at once, and returns when all have ended.

With no runs it only checks that it can be used. It calls `watch()` about once a second. What went wrong with a run stands in the run's
folder and is not raised. On KeyboardInterrupt it stops the runs, which keep their finished generations, and raises it again. Raises
SettingsProblem where it cannot be used at all, or does not know an option.
"""


@dataclass(frozen=True)
class Engine:
    """A way to carry out runs, and what is known of it.

    carry_out: the function that does it
    options:   what `--engine-option` can set; None: nothing
    here:      whether all its runs share the cores and the device of this machine
    """

    carry_out: CarryOut
    options: type[Settings] | None = None
    here: bool = False
