"""How many seeds an ablation needs: the first ones, and as many more as their spread asks for (Stein's two stages, 1945)."""

from collections.abc import Sequence

from imgcollapse.ablation.comparisons import seeds_needed
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.status import run_statuses
from imgcollapse.ablation.summary import Run, rows
from imgcollapse.ablation.summary.decided import compared
from imgcollapse.ablation.summary.numbers import chains
from imgcollapse.metrics.scores import SCORES


def seeds_of(ablation: Ablation, first: Sequence[Run]) -> list[int]:
    """The seeds that every arm is to run with. `first`: the runs of the seeds that the ablation names.

    Those, and with a `half_width`, once they are all done, as many more as make the 95 % interval of every arm's difference of the endpoint
    no wider than ± that. They follow from the first seeds alone, so a call that goes on finds the same.
    """
    seeds, own = list(ablation.seeds), [run for run in first if run.null is None]
    if ablation.half_width is None or any(one.state != "done" for one in run_statuses(own)):
        return seeds
    names = list(dict.fromkeys(run.arm for run in own))
    what = compared(ablation.endpoint, names, ablation.reference or names[0], chains(own, rows(own), SCORES.__contains__))
    needed = max((seeds_needed(pilot, ablation.half_width) for pilot in (what.pilots() if what else [])), default=len(seeds))
    more = [seed for seed in range(needed) if seed not in seeds]
    return [*seeds, *more[: needed - len(seeds)]]
