"""What was found: in one plain sentence, and in a few more what it follows from."""

from imgcollapse.ablation.summary import Record, comparisons, quoted, short_answer, spanned
from imgcollapse.ablation.summary.sentence import MENTIONED
from imgcollapse.judges.titles import REAL, metric_title
from imgcollapse.metrics.classes import CLASSES_ALIVE
from imgcollapse.metrics.scores import SCORES, most_prominent
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.panels import NULL, judged

FEW = 3  # arms whose differences of a second score have room in the first sentence; of more, they are in the table


def answer(findings: Findings) -> str:
    """What came out, in one sentence of plain text that begins with the answer in the form that the question asks for.

    Several arms: whether any differs from the reference by the endpoint, or which generator ranks first. One arm: whether it is worse than
    at generation 0 (`summary.short_answer`). Begins with `So far` while runs are not finished; says so where nothing has been judged.
    """
    arms = judged(findings.summary, findings.extractor, None) if findings.extractor else []
    states = [one.state for one in findings.statuses]
    if not arms:
        asked, done = sum(one.run.study.gens for one in findings.statuses), sum(one.done for one in findings.statuses)
        why = "No generation has been judged yet" if done < asked else _unjudged(findings)
        parts = [f"{why}: {done} of {asked} generations are finished"]
    else:
        parts = [short_answer(findings.summary, findings.question)]
        if not findings.comparable:
            parts.append("not all runs were judged by one reference, so these numbers must not be compared")
    if failed := states.count("failed"):
        parts.append(f"{failed} of {len(states)} runs failed")
    message = "; ".join(parts)
    return (f"So far, {message}" if arms and set(states) != {"done"} else message[0].upper() + message[1:]) + "."


def details(findings: Findings, spelled: bool = True) -> list[str]:
    """What the answer follows from, in sentences: every comparison of the endpoint with its 95 % interval over seeds (`spelled`; several
    arms have a table of them too), what it is with the reference, and the most prominent score that reads the other way; of one arm, both
    at either end."""
    arms = judged(findings.summary, findings.extractor, None) if findings.extractor else []
    parts = (_compared if findings.is_ablation else _alone)(findings, arms) if arms else []
    parts = parts if spelled or not findings.is_ablation else parts[1:]
    return [f"{part[0].upper()}{part[1:]}." for part in parts if part]


def _unjudged(findings: Findings) -> str:
    if any(reference["judge"]["extractors"] for reference in findings.references.values()):
        return "Nothing was measured, because the study names no metric that its extractors can measure"
    return "Nothing was judged, because the study names no extractors"


def _compared(findings: Findings, arms: list[Record]) -> list[str]:
    """Parts of the sentence for several arms."""
    endpoint = findings.summary["endpoint"]
    parts = [comparisons(findings.summary)]
    first = next((arm for arm in arms if arm["arm"] == findings.summary["reference"]), arms[0])
    last = _metrics(findings, first).get(endpoint["metric"], {}).get("last")
    if last is not None and endpoint["quantity"] == "last":
        beside = _beside(findings, first, endpoint["metric"], last["generation"])
        title = f"{_short_title(findings, endpoint['metric'])} with {quoted(first['arm'])}"
        parts.append(f"{title} is {_value_text(last, endpoint['metric'])}{beside}")
    if (other := _other(findings, first)) is not None:
        parts.append(_differences(findings, first, other))
    missing = [arm for arm in findings.arms if arm not in {one["arm"] for one in arms}]
    over = {arm for arm in missing if all(one.state == "done" for one in findings.statuses if (one.run.arm, one.run.null) == (arm, None))}
    parts += _without("not judged yet", [arm for arm in missing if arm not in over])
    return parts + _without("nothing was measured with", [arm for arm in missing if arm in over])


def _differences(findings: Findings, first: Record, name: str) -> str:
    """A score of the reference at its last generation, and what the others add to it, where they are few."""
    last = _metrics(findings, first)[name]["last"]
    spans = {
        one["arm"]: one["extractors"][findings.endpoint_extractor][name]["last"]
        for one in findings.summary["differences"]
        if (one["against"], one["null"], one["against_null"]) == (first["arm"], None, None)
        and name in one["extractors"].get(findings.endpoint_extractor, {})
    }
    texts = [f"{_value_text(span, name, '+')} with {quoted(arm)}" for arm, span in spans.items()]
    beside = _beside(findings, first, name, last["generation"])
    apart = f"; the others add {', '.join(texts)} (each alone, not adjusted)" if 0 < len(texts) <= FEW else ""
    title = f"{_short_title(findings, name)} with {quoted(first['arm'])}"
    return f"{title} is {_value_text(last, name)}{beside}{apart}"


def _without(why: str, arms: list[str]) -> list[str]:
    return [f"{why}: {', '.join(map(quoted, arms[:MENTIONED]))}{' and others' * (len(arms) > MENTIONED)}"] if arms else []


def _alone(findings: Findings, arms: list[Record]) -> list[str]:
    """Parts of the sentence for one arm: from its first generation to its last."""
    metrics = _metrics(findings, arms[0])
    shown = [findings.summary["endpoint"]["metric"], _other(findings, arms[0])]
    messages, last = list[str](), 0
    for one in [one for one in shown if one in metrics and one != CLASSES_ALIVE]:  # which has a sentence of its own below
        begin, end = metrics[one]["by_generation"][0], metrics[one]["by_generation"][-1]
        last = end["generation"]
        way = f"goes from {_value_text(begin, one)} to {_value_text(end, one)}" if last else f"is {_value_text(end, one)}"
        messages.append(f"{_short_title(findings, one)} {way}{_beside(findings, arms[0], one, last)}")
    parts = [comparisons(findings.summary)]
    parts += [f"{f'from generation 0 to {last}' if last else 'at generation 0'}, {' and '.join(messages)}"] if messages else []
    if CLASSES_ALIVE in metrics:
        alive, real = metrics[CLASSES_ALIVE]["last"], metrics[CLASSES_ALIVE]["real"]["mean"]
        count = max((len(reference["data"]["classes"]) for reference in findings.references.values()), default=round(real))
        beside = "" if round(real, 1) == count else f" ({REAL} {real:.3g})"
        left = _value_text(alive, CLASSES_ALIVE).replace(".0", "")
        parts.append(f"{left} of {count} classes {'is' if left == '1' else 'are'} alive{beside}")
    return parts


def _other(findings: Findings, arm: Record) -> str | None:
    """What stands beside the endpoint: the most prominent score that is better the other way, so that quality stands beside variety."""
    own = SCORES[findings.summary["endpoint"]["metric"]].better
    return most_prominent(name for name in _metrics(findings, arm) if SCORES[name].better != own)


def _metrics(findings: Findings, arm: Record) -> Record:
    metrics: Record = arm["extractors"].get(findings.endpoint_extractor, {})
    return metrics


def _beside(findings: Findings, arm: Record, name: str, generation: int) -> str:
    """` (real vs real 0.95 [0.93, 0.97]; null model smooth 0.46 [0.22, 0.69])`: what a value is to be read by; or empty."""
    real = _metrics(findings, arm)[name]["real"]
    messages = [] if real is None else [f"{REAL} {_value_text(real, name)}"]
    for null in judged(findings.summary, findings.endpoint_extractor, NULL):
        points = _metrics(findings, null).get(name, {"by_generation": []})["by_generation"]
        there = next((point for point in points if point["generation"] == generation), None)
        if null["arm"] == arm["arm"] and there is not None:
            messages.append(f"null model {NULL} {_value_text(there, name)}")
    return f" ({'; '.join(messages)})" if messages else ""


def _value_text(span: Record, name: str, sign: str = "") -> str:
    return spanned(span, name, sign, coarser=1)


def _short_title(findings: Findings, name: str) -> str:
    return metric_title(name, findings.endpoint_extractor, short=True)
