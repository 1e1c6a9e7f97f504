"""The summary of an ablation: what its runs say together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imgcollapse.ablation.endpoint import NOTHING_ASKED, Asked
from imgcollapse.ablation.intervals import METHODS
from imgcollapse.ablation.summary.decided import decided
from imgcollapse.ablation.summary.early import early_warnings
from imgcollapse.ablation.summary.numbers import Key, arm_record, chains, difference_record
from imgcollapse.ablation.summary.ranking import rankings
from imgcollapse.ablation.summary.rates import rates_record
from imgcollapse.ablation.summary.table import Record, Run
from imgcollapse.errors import SettingsProblem
from imgcollapse.metrics.classes import ALIVE
from imgcollapse.metrics.scores import SCORES


def summarise(
    runs: Sequence[Run], rows: Iterable[Mapping[str, Any]], reference: str | None = None, method: str = "t", asked: Asked = NOTHING_ASKED
) -> Record:
    """The summary of an ablation, as the head of `imgcollapse/ablation/summary/__init__.py` describes it.

    `rows` are those of `rows(runs)`. The reference is the first arm where none is named. Raises SettingsProblem for a reference that is no
    arm, and for an unknown method.
    """
    planned: dict[Key, list[Run]] = {}
    for run in runs:
        planned.setdefault((run.arm, run.null), []).append(run)
    names = list(dict.fromkeys(arm for arm, _ in planned))
    reference = names[0] if reference is None and names else reference
    if method not in METHODS:
        raise SettingsProblem(f"interval: '{method}' is unknown; there are: {', '.join(METHODS)}")
    if reference not in names:
        raise SettingsProblem(f"reference: there is no arm '{reference}'; there are: {', '.join(names) or 'none'}")
    table = list(rows)
    judged, alive = chains(runs, table, SCORES.__contains__), chains(runs, table, lambda name: name.startswith(ALIVE))
    pairs: list[tuple[Key, Key]] = [((arm, None), (reference, None)) for arm in names if arm != reference]
    pairs += [((arm, None), (arm, null)) for arm, null in planned if null is not None]
    scope = _scope(runs)
    endpoint = decided(asked, names, reference, judged)
    arms = [arm_record(key, members, judged.get(key, {}), alive.get(key, {}), method) for key, members in planned.items()]
    return {
        "method": f"95 % intervals by {METHODS[method]}; differences paired by seed; {scope}",
        "scope": scope,
        "reference": reference,
        "endpoint": endpoint,
        "rates": rates_record(endpoint, judged),
        "rankings": rankings(asked, endpoint, judged, arms),
        "arms": arms,
        "differences": [difference_record(a, b, judged, method) for a, b in pairs if a in judged and b in judged],
        "warnings": early_warnings(judged),
    }


def _scope(runs: Sequence[Run]) -> str:
    """What the seeds have in common, so that their intervals say nothing of it."""
    shared = {run.study.dataset.shared_by_seeds for run in runs}
    if shared == {False}:
        return "every seed has its own split, judge and held-out set"
    some = "" if shared == {True} else " in some of the runs"
    return f"split, judge and held-out set are the same for all seeds{some}, so the intervals say nothing of others"
