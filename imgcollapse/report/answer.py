"""What was found, in one plain sentence, and the command that finds it again."""

import json
import shlex
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.ablation.grid import ABLATION
from imgcollapse.ablation.summary import Record, spanned
from imgcollapse.ablation.worker import WORKER
from imgcollapse.grids.lettering import shortened
from imgcollapse.judge.titles import REAL, metric_title
from imgcollapse.metrics.classes import CLASSES_ALIVE
from imgcollapse.metrics.scores import SCORES, most_prominent
from imgcollapse.report.findings import Findings
from imgcollapse.report.panels import NULL, judged
from imgcollapse.settings import Settings
from imgcollapse.settings.yaml12 import YamlProblem, dump, load
from imgcollapse.store.records import read_sealed
from imgcollapse.study import Study

FLAGS = ("gens", "samples", "seed")  # fields of a study with a flag of their own, beside its parts
MENTIONED = 8  # arms whose differences the answer spells out


def answer(findings: Findings) -> str:
    """What came out, in one sentence of plain text, with 95 % intervals over seeds.

    Several arms: the headline of the reference (the most prominent score that has a half-life, else the most prominent one) at its last
    generation, what the others add to it, and the most prominent score. One arm: how far they fell. Begins with `So far` while runs are
    not finished; says so where nothing has been judged.
    """
    arms = judged(findings.summary, findings.extractor, None) if findings.extractor else []
    states = [one.state for one in findings.statuses]
    if not arms:
        asked, done = sum(one.run.study.gens for one in findings.statuses), sum(one.done for one in findings.statuses)
        why = "No generation has been judged yet" if done < asked else _unjudged(findings)
        parts = [f"{why}: {done} of {asked} generations are finished"]
    else:
        parts = (_compared if findings.is_ablation else _alone)(findings, arms)
        if all(_metrics(findings, arm)[_headline(findings, arm)]["last"]["n"] == 1 for arm in arms):
            parts.append("one seed, so no interval")
        if not findings.comparable:
            parts.append("not all of it was judged by one reference, so these numbers must not be compared")
    if failed := states.count("failed"):
        parts.append(f"{failed} of {len(states)} runs failed")
    message = "; ".join(parts)
    return (f"So far, {message}" if arms and set(states) != {"done"} else message[0].upper() + message[1:]) + "."


def reproduce(findings: Findings) -> str:
    """The command that finds the same again: of a run, one that needs no file; of an ablation, one for its own `ablation.yaml`.

    A line for each folder that was asked for.
    """
    return "\n".join(_run_again(findings, place) if (place / store.STUDY).is_file() else _ablate_again(place) for place in findings.places)


def _unjudged(findings: Findings) -> str:
    if any(reference["judge"]["extractors"] for reference in findings.references.values()):
        return "Nothing was measured, for the study names no metric that its extractors can measure"
    return "Nothing was judged, for the study names no extractors"


def _compared(findings: Findings, arms: list[Record]) -> list[str]:
    """Parts of the sentence for several arms."""
    summary = findings.summary
    first = next((arm for arm in arms if arm["arm"] == summary["reference"]), arms[0])
    name, metrics = _headline(findings, first), _metrics(findings, first)
    last = metrics[name]["last"]
    beside = _beside(findings, first, name, last["generation"])
    value = f"{_short_title(findings, name)} is {_value_text(last, name)}"
    parts = [f"at generation {last['generation']}, {value} with {_quoted(first['arm'])}{beside}"]
    apart = [
        (one["arm"], one["extractors"][findings.extractor][name]["last"])
        for one in summary["differences"]
        if (one["against"], one["null"], one["against_null"]) == (first["arm"], None, None)
        and name in one["extractors"].get(findings.extractor, {})
    ]
    if apart:
        first_verb, next_verb = ("adds ", "") if all(span["mean"] >= 0 for _, span in apart) else ("changes it by ", "by ")
        messages: list[str] = []
        for arm, span in apart[:MENTIONED]:
            when = "" if span["generation"] == last["generation"] else f" (at generation {span['generation']})"
            messages.append(f"{_quoted(arm)} {next_verb if messages else first_verb}{_value_text(span, name, '+')}{when}")
        if more := len(apart) - len(messages):
            messages.append(f"and {more} more arm{'s' * (more > 1)} not named here")
        parts.append(", ".join(messages))
    first_of_all = most_prominent(metrics)
    if first_of_all is not None and first_of_all != name:
        parts.append(_best(findings, arms, first, first_of_all))
    missing = [arm for arm in findings.arms if arm not in {one["arm"] for one in arms}]
    over = {arm for arm in missing if all(one.state == "done" for one in findings.statuses if (one.run.arm, one.run.null) == (arm, None))}
    parts += _without("not judged yet", [arm for arm in missing if arm not in over])
    return parts + _without("nothing was measured with", [arm for arm in missing if arm in over])


def _best(findings: Findings, arms: list[Record], first: Record, name: str) -> str:
    """A score of the arm `first` at its last generation, and which arm is the best by it there."""
    last = _metrics(findings, first)[name]["last"]
    there = {arm["arm"]: _metrics(findings, arm)[name]["last"] for arm in arms if name in _metrics(findings, arm)}
    reached = {arm: span for arm, span in there.items() if span["generation"] == last["generation"]}
    pick, word = (min, "lowest") if SCORES[name].better == "lower" else (max, "highest")
    best = pick(reached, key=lambda arm: reached[arm]["mean"])
    beside = _beside(findings, first, name, last["generation"])
    also = "" if best == first["arm"] else f", {word} with {_quoted(best)}: {_value_text(reached[best], name)}"
    return f"{_short_title(findings, name)} is {_value_text(last, name)}{beside}{also}"


def _without(why: str, arms: list[str]) -> list[str]:
    return [f"{why}: {', '.join(map(_quoted, arms[:MENTIONED]))}{' and others' * (len(arms) > MENTIONED)}"] if arms else []


def _alone(findings: Findings, arms: list[Record]) -> list[str]:
    """Parts of the sentence for one arm: from its first generation to its last."""
    metrics = _metrics(findings, arms[0])
    name = _headline(findings, arms[0])
    last = metrics[name]["last"]["generation"]
    messages = []
    both = dict.fromkeys((name, most_prominent(metrics) or name))
    for one in [one for one in both if one != CLASSES_ALIVE] or [name]:  # which has a sentence of its own below
        begin, end = metrics[one]["by_generation"][0], metrics[one]["by_generation"][-1]
        was, now = _value_text(begin, one), _value_text(end, one)
        way = f"stays at {now}" if was == now else f"{'rises' if end['mean'] > begin['mean'] else 'falls'} from {was} to {now}"
        messages.append(f"{_short_title(findings, one)} {way if last else f'is {now}'}{_beside(findings, arms[0], one, last)}")
    parts = [f"{f'from generation 0 to {last}' if last else 'at generation 0'}, {' and '.join(messages)}"]
    if CLASSES_ALIVE in metrics:
        alive, real = metrics[CLASSES_ALIVE]["last"], metrics[CLASSES_ALIVE]["real"]["mean"]
        count = max((len(reference["data"]["classes"]) for reference in findings.references.values()), default=round(real))
        beside = "" if round(real, 1) == count else f" ({REAL} {real:.3g})"
        left = _value_text(alive, CLASSES_ALIVE).replace(".0", "")
        parts.append(f"{left} of {count} classes {'is' if left == '1' else 'are'} alive{beside}")
    return parts


def _headline(findings: Findings, arm: Record) -> str:
    metrics = _metrics(findings, arm)
    return most_prominent(metrics, halved=True) or most_prominent(metrics) or next(iter(metrics))


def _metrics(findings: Findings, arm: Record) -> Record:
    metrics: Record = arm["extractors"][findings.extractor]
    return metrics


def _beside(findings: Findings, arm: Record, name: str, generation: int) -> str:
    """` (real vs real 0.95 [0.93, 0.97]; finite sampling alone 0.46 [0.22, 0.69])`: what a value is to be read by; or empty."""
    real = _metrics(findings, arm)[name]["real"]
    messages = [] if real is None else [f"{REAL} {_value_text(real, name)}"]
    for null in judged(findings.summary, findings.extractor, NULL):
        points = _metrics(findings, null).get(name, {"by_generation": []})["by_generation"]
        there = next((point for point in points if point["generation"] == generation), None)
        if null["arm"] == arm["arm"] and there is not None:
            messages.append(f"finite sampling alone {_value_text(there, name)}")
    return f" ({'; '.join(messages)})" if messages else ""


def _value_text(span: Record, name: str, sign: str = "") -> str:
    return spanned(span, name, sign, coarser=1)


def _short_title(findings: Findings, name: str) -> str:
    return metric_title(name, findings.extractor, short=True)


def _quoted(arm: str) -> str:
    """An arm's name in a sentence: short, and in quotation marks where its own commas would be taken for the sentence's."""
    name = shortened(arm, lambda text: len(text) <= 60)
    return f"“{name}”" if set(name) & set(",;:()") else name


def _run_again(findings: Findings, place: Path) -> str:
    """Every field of the study that is not its default: `identity` and what it leaves out alike, so that nothing can be forgotten."""
    chosen = next(run.study for run in findings.runs if run.folder == place)
    words, assignments = ["imgcollapse", "run"], dict[str, Any]()
    for name, field in Study.model_fields.items():
        value = getattr(chosen, name)
        if isinstance(value, Settings):
            words += [f"--{name}", value.kind] if hasattr(value, "kind") else []
            assignments |= _changed(value, f"{name}.")
        elif name in FLAGS:
            words += [f"--{name}", str(value)] if value is not None else []
        elif value != field.default:
            assignments[name] = _plain(value)
    if precision := _precision(place):
        words += ["--precision", precision]
    for path, value in assignments.items():
        words += ["--set", f"{path}={_as_yaml(value)}"]
    return shlex.join(words)


def _changed(options: Settings, place: str) -> dict[str, Any]:
    """Path -> value of all options that are not their defaults; `kind` aside."""
    found = dict[str, Any]()
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if name == "kind" or value == field.default:
            continue
        found |= _changed(value, f"{place}{name}.") if isinstance(value, Settings) else {place + name: _plain(value)}
    return found


def _plain(value: Any) -> Any:
    """A value as YAML has it; an entry of a table by its name, with what differs from its defaults."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not isinstance(value, Settings):
        return value
    changed = value.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    return {"kind": value.kind, **changed} if changed else value.kind  # type: ignore[attr-defined]


def _ablate_again(place: Path) -> str:
    words = ["imgcollapse", "ablate", ABLATION]
    orders = next(iter(sorted(place.glob(f"runs/*/{WORKER}"))), None)
    if orders is not None:
        resources = read_sealed(orders)
        words += [word for name in ("threads", "precision", "device") for word in (f"--{name}", str(resources[name]))]
    return shlex.join(words)


def _precision(place: Path) -> str | None:
    """That of the last session: `auto` would be another on other hardware."""
    past = store.sessions(place)
    return str(past[-1]["precision"]) if past else None


def _as_yaml(value: Any) -> str:
    """The value as --set reads it: as plain as possible."""
    ways = [value] if isinstance(value, str) else []
    ways += [json.dumps(value, ensure_ascii=False), dump(value, flow=True)]
    return next(text for text in ways if _reads_as(text, value))


def _reads_as(text: str, value: Any) -> bool:
    try:
        return repr(load(text)) == repr(value)  # 1, 1.0 and true are equal, but not the same
    except YamlProblem:
        return False
