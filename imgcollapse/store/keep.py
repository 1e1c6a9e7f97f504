"""What of a generation stays on the disk once nothing needs it any more."""

from typing import Any, Literal

from pydantic import Field, PositiveInt

from imgcollapse.errors import SettingsProblem
from imgcollapse.settings import Settings
from imgcollapse.store.layout import MODEL, SAMPLES, UNMARKED
from imgcollapse.store.run_folder import RunFolder

Rule = Literal["all", "last"] | PositiveInt


class Keep(Settings):
    """What of generations stays on the disk: provenance, scores, digests and a few pictures of equal noise always do."""

    samples: Rule = Field("all", description="samples that stay: all; last; or K: those of every K-th generation, and the last")
    models: Rule | Literal["none"] = Field(
        "all", description="weights that stay: all; last; none; or K: those of every K-th generation, and the last"
    )

    def refuse(self, init: str, regime: Any) -> None:
        """Raises SettingsProblem where later generations need what these rules throw away: under that regime, and to begin from."""
        if regime.needs_all_samples and self.samples != "all":
            raise SettingsProblem(f"keep.samples: regime '{regime.kind}' learns from the samples of every generation; set it to all")
        if self.models in ("last", "none") and init == "base":
            raise SettingsProblem(
                "keep.models: init 'base' begins every generation with the weights of generation 0; set it to all, or to K"
            )
        if self.models in ("last", "none") and regime.from_teacher:
            raise SettingsProblem(
                f"keep.models: under regime '{regime.kind}' generation 0 draws for every later one; set it to all, or to K"
            )

    def thin(self, kept: RunFolder, newest: int, gens: int, gated: bool = False) -> None:
        """Throws away what these rules do not keep, now that a generation has landed; what the next one may need stays until then.

        Model and samples of generation 0 stay until the last one has landed: every generation's samples are judged by the one, and gates
        may learn from the others. `gated`: there are gates; its samples then stay for good, as the run could not be extended without them.
        """
        over = newest == gens - 1
        for generation in sorted({newest - 1, *((0, newest) if over else ())} - {-1}):
            samples = "all" if gated and generation == 0 else self.samples
            of_first = ((SAMPLES, samples), (MODEL, self.models)) if generation > 0 or over else ()
            rules = ((UNMARKED, self.samples), *of_first)
            kept.throw_away(generation, *(part for part, rule in rules if not keeps(rule, generation, generation == newest)))


def keeps(rule: str | int, generation: int, last: bool) -> bool:
    """Whether such a rule keeps that generation, which is the last one or is not."""
    return rule == "all" or (last and rule != "none") or (isinstance(rule, int) and generation % rule == 0)
