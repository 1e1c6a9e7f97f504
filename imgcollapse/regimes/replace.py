"""Learn from samples alone: those of the newest generation, or of generation 0 for ever."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from imgcollapse.images import ImageSet
from imgcollapse.regimes.regime import Have, Plan, Real
from imgcollapse.settings import Settings


class Replace(Settings):
    """Learn from the newest samples only: the fully synthetic loop."""

    kind: Literal["replace"] = "replace"
    stream: bool = Field(
        False, description="draw every batch anew from the newest model, in place of a fixed set; only networks can learn so"
    )
    needs_all_samples: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = False

    @property
    def streams(self) -> bool:
        """As asked for."""
        return self.stream

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The newest samples."""
        return past[-1][:n] if past else real.seen

    def title(self) -> str:
        """Its name."""
        return f"{self.kind} (stream)" if self.stream else self.kind

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0 alone."""
        return Plan(seen=min(n, have.pictures), unseen=0)


class Teacher(Settings):
    """Learn from new samples of generation 0 in every generation: synthetic data without a loop, a control.

    Nothing is handed on from one to the next, so it is the control for "is it the loop, or is it synthetic data?".
    """

    kind: Literal["teacher"] = "teacher"
    needs_all_samples: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = True
    streams: ClassVar[bool] = False

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """What generation 0 drew for this one; past: what it drew for each generation so far."""
        return past[-1][:n] if past else real.seen

    def title(self) -> str:
        """Its name."""
        return self.kind

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0 alone."""
        return Plan(seen=min(n, have.pictures), unseen=0)
