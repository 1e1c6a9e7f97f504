"""Early warning: which scores leave real vs real first, arm by arm, and how long before recall halves."""

from collections.abc import Mapping

from imgcollapse.ablation.statistics import EventTime, half_life, median_time
from imgcollapse.ablation.summary.numbers import ByExtractor, Judged, Seeds
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.warning import LOOKS, Left, lead, lead_words, leaves
from imgcollapse.judges.titles import REAL, metric_title, source_title
from imgcollapse.metrics.scores import SCORES, on_axis

EVENT = on_axis("variety")  # recall; what is warned of: that it falls below half of generation 0
HALVES = f"{SCORES[EVENT].title} halves"
MENTIONED = 4  # scores that a sentence names


def early_warnings(judged: Judged) -> list[Record]:
    """`warnings` of the summary, see the head of `imgcollapse/ablation/summary/__init__.py`: an entry an arm or null model."""
    return [{"arm": arm, "null": null, **_warning(extractors)} for (arm, null), extractors in judged.items()]


def _warning(extractors: ByExtractor) -> Record:
    source = next((one for one, metrics in extractors.items() if EVENT in metrics), None)
    halves = {} if source is None else _halves(extractors[source][EVENT])
    found = []
    for extractor, metrics in extractors.items():
        own = _halves(metrics[EVENT]) if EVENT in metrics else halves
        found += [{"extractor": extractor, "metric": name, **one} for name, seeds in metrics.items() if (one := _score(seeds, name, own))]
    found.sort(key=lambda one: (one["generation"] is None, one["generation"], -one["reached"]))
    times = median_time(list(halves.values())) if halves else None
    event = None if times is None else {"extractor": source, "generation": times.generation, "words": times.words}
    return {"halves": event, "scores": found}


def _halves(seeds: Seeds) -> dict[int, EventTime | None]:
    return {seed: half_life(one.series, one.generations) for seed, one in seeds.items()}


def _score(seeds: Seeds, name: str, halves: Mapping[int, EventTime | None]) -> Record | None:
    """When a score left; None where it has no real-vs-real value in some seed, or has been seen fewer than LOOKS times."""
    left: dict[int, Left] = {}
    for seed, one in seeds.items():
        if one.real is None:
            return None
        if len(one.generations) >= LOOKS:
            left[seed] = leaves(one.series, one.generations, one.real)
    if not left:
        return None
    when = median_time([one.time for one in left.values()])
    leads = {seed: found for seed, one in left.items() if (found := lead(one.time, halves.get(seed))) is not None}
    worse = 1 if SCORES[name].better == "lower" else -1
    return {
        "generation": when.generation,
        "within": when.within,
        "reached": len(when.at),
        "of": when.of,
        "already": sum(one.already for one in left.values()),
        "worse": sum(one.side == worse for one in left.values()),
        "better": sum(one.side == -worse for one in left.values()),
        "lead": list(leads.values()),
        "words": when.words,
    }


def cell(one: Record) -> str:
    """`2 (3 of 3 seeds), 4 generations before recall halves; on the better side; already outside at generation 0 (1 of 3 seeds), ...`."""
    parts = [one["words"]]
    if one["generation"] is not None and one["lead"]:
        parts[0] += f", {lead_words(one['lead'], HALVES)}"
        parts[0] += f" (in {len(one['lead'])} of {one['reached']} seeds)" if len(one["lead"]) < one["reached"] else ""
    if one["better"]:
        parts.append("on the better side" if not one["worse"] else f"on the better side in {one['better']} of {one['reached']}")
    if one["already"]:
        counted = "" if one["of"] == 1 else f" in {one['already']} of {one['of']} seeds"
        parts.append(f"already outside at generation 0{counted}, counted from there")
    return "; ".join(parts)


def first_sentence(warning: Record) -> str:
    """`first to leave real vs real for good, at generation 1: FD (features: random) and coverage (features: random); recall (...) falls
    below half of generation 0 at generation 6 (3 of 3 seeds), 5 generations later; already outside at generation 0: 3 of 30 scores`.

    Of the scores that were inside at generation 0, in half of the seeds or more. Without a capital letter and a full stop.
    """
    inside = [one for one in warning["scores"] if 2 * one["already"] <= one["of"]]
    first = [one for one in inside if one["generation"] is not None and one["generation"] == inside[0]["generation"]]
    names = [
        f"{metric_title(one['metric'], one['extractor'])} ({source_title(one['extractor'])}"
        + (", on the better side)" if one["better"] and not one["worse"] else ")")
        for one in first[:MENTIONED]
    ]
    names += [f"{len(first) - MENTIONED} more"] if len(first) > MENTIONED else []
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    parts = [f"first to leave {REAL} for good, at generation {inside[0]['generation']}: {listed}"] if first else []
    if not first:
        parts.append(f"no score has left {REAL} for good" if inside else "no score was inside at generation 0")
    if halves := warning["halves"]:
        known = first and halves["generation"] is not None
        later = f", {_later(halves['generation'] - inside[0]['generation'])}" if known else ""
        who, words = f"{SCORES[EVENT].title} ({source_title(halves['extractor'])})", halves["words"]
        way = f"falls below half of generation 0 at generation {words}" if halves["generation"] is not None else f"below half: {words}"
        way = f"does not fall below half of generation 0 {words[4:]}" if words.startswith("not within") else way
        parts.append(f"{who} {way}{later}")
    if already := len(warning["scores"]) - len(inside):
        most = " in most seeds" if any(one["of"] > 1 for one in warning["scores"]) else ""
        parts.append(f"already outside at generation 0{most}: {already} of {len(warning['scores'])} scores")
    return "; ".join(parts)


def _later(generations: int) -> str:
    many = f"{abs(generations)} generation{'s' * (abs(generations) != 1)}"
    return "in the same generation" if not generations else f"{many} {'later' if generations > 0 else 'earlier'}"
