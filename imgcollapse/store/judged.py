"""What judges found: `scores/JUDGE/gen_NNN.json` beside the judge's `reference.json`, each by samples that lie in the run as they were."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse import files, progress
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.files import digest, first_difference, stamp
from imgcollapse.metrics.record import MODEL as MODEL_SOURCE
from imgcollapse.metrics.record import Of, Scores, Value, what_of
from imgcollapse.store.checks import finished, settings, sound
from imgcollapse.store.layout import DATA, MENDS, MODEL, REFERENCE, SAMPLES, SCORES, UNMARKED, generation_folder
from imgcollapse.store.manifest import MANIFEST, made_by, part_digest
from imgcollapse.store.records import plain, readable, write_sealed

Record = dict[str, Any]
PART: dict[Of, str] = {"features": "extractors", "model": "models", "gate": "gates"}  # of the record of a run's judges, by what is in it
NOT_JUDGE = ("every",)  # of a judge's settings: which generations it looks at, not what it finds


def judge_name(judge: Mapping[str, Any]) -> str:
    """The folder of a judge, the same for the same settings (plain values, with every choice made): its extractors and a digest."""
    kinds = [one if isinstance(one, str) else str(one.get("kind")) for one in judge.get("extractors") or ()]
    what = {name: value for name, value in judge.items() if name not in NOT_JUDGE}
    return f"{'-'.join(re.sub(r'[^A-Za-z0-9_]+', '-', kind) for kind in kinds)[:60] or 'none'}-{digest(plain(what))[:6]}"


def own_judge(run: Path) -> str:
    """The folder of the judge that the run's study names."""
    return judge_name(settings(run)["judge"])


def judges(run: Path) -> dict[str, Record]:
    """Every judge of the run -> the record of its reference, the study's own first. What cannot be read is reported, and left out."""
    there = sorted(path.parent.name for path in run.glob(f"{SCORES}/*/{REFERENCE}"))
    own = own_judge(run)
    found = {}
    for name in sorted(there, key=lambda name: name != own):
        if (record := readable(run / SCORES / name / REFERENCE, quiet=True)) is not None:
            found[name] = record["judge"]
    return found


def reference(run: Path) -> Record | None:
    """The run's record of its real pictures (`data`) and of its judges (`judge`); None where there is none yet, or where it is damaged.

    Extractors of further judges stand beside the own ones, each under the name that `sources` gives it, with its `judge`, n, k and metrics;
    so do in `models` those that ask the models themselves, and in `gates` those that look at what gates did.
    """
    data, known = readable(run / DATA, quiet=True), judges(run)
    if data is None:
        return None
    passed_over = data.pop("passed_over", {})
    own: Record = known.get(own_judge(run)) or {"n": None, "drawn": None, "metrics": {}, "extractors": {}}
    named: dict[str, Record] = {part: {} for part in PART.values()}
    for (name, source), label in sources(known).items():
        further = {} if name == own_judge(run) else {"judge": name, **_told(known[name])}
        named[PART[what_of(source)]].setdefault(label, {**_sources(known[name])[source], **further})
    return {"data": data, "judge": {**own, **named}, **({"passed_over": passed_over} if passed_over else {})}


def known_reference(run: Path) -> Record:
    """The same, where it must be there. Raises DataProblem where it is not."""
    if (found := reference(run)) is None:
        raise DataProblem(f"{run / DATA}: cannot be read; {MENDS}")
    return found


def _told(judge: Record) -> Record:
    return {name: value for name, value in judge.items() if name != "extractors"}


def _apart(judge: Record) -> Record:
    """What a reader wants to know of two judges with one extractor."""
    return {name: value for name, value in _told(judge).items() if not isinstance(value, dict)}


def _sources(judge: Record) -> dict[str, Record]:
    """What a judge finds scores by, and its record: extractors, where it asks for likelihoods the models themselves, and gates."""
    return {**judge["extractors"], **({MODEL_SOURCE: judge[MODEL_SOURCE]} if MODEL_SOURCE in judge else {}), **judge.get("gates", {})}


def sources(known: Mapping[str, Record]) -> dict[tuple[str, str], str]:
    """(judge, source) -> the name under which its scores stand beside those of the others: the source's own where it is the first.

    Else what tells its judge from the first that has this source (`classifier (n 500)`), or the judge's folder where that is not told.
    What two judges find alike, such as the models' own likelihoods, are the same numbers: they have one name.
    """
    found: dict[tuple[str, str], str] = {}
    first: dict[str, Record] = {}
    for name, judge in known.items():
        for extractor in _sources(judge):
            if extractor not in first:
                first[extractor], label = judge, extractor
            else:
                other = first[extractor]
                if what_of(extractor) != "gate" and _alike(judge, other, extractor):
                    found[name, extractor] = extractor
                    continue
                difference = ", ".join(f"{key} {value}" for key, value in _apart(judge).items() if value != other.get(key)) or name
                label = f"{extractor} ({difference})"
                label = f"{extractor} ({name})" if label in found.values() else label
            found[name, extractor] = label
    return found


def _alike(one: Record, other: Record, source: str) -> bool:
    """Whether two judges find the same by this source: of as many pictures, with the same weights, by the same definitions."""
    (a, b) = ({name: value for name, value in _sources(judge)[source].items() if name != "real"} for judge in (one, other))
    same = a == b and _apart(one) == _apart(other)
    return same and all(other["metrics"].get(name, version) == version for name, version in one["metrics"].items())


def scores(run: Path) -> list[Scores]:
    """The scores of all finished generations that fit and have been judged, in order."""
    known, there = judges(run), sound(run)
    judged = [generation for generation in there if any(found_by(run, name, generation) is not None for name in known)]
    return [_scores_of(run, generation, known) for generation in judged]


def scores_of(run: Path, generation: int) -> Scores:
    """The scores of one finished generation, by every judge that has judged it; of no source where none has."""
    return _scores_of(run, generation, judges(run))


def _scores_of(run: Path, generation: int, known: Mapping[str, Record]) -> Scores:
    labels, judged = sources(known), {name: found_by(run, name, generation) for name in known}
    by_all: dict[str, dict[str, Value]] = {}
    for name, one in judged.items():
        for source, values in one.sources.items() if one is not None else ():
            label = labels[name, source]
            by_all[label] = {**values, **by_all.get(label, {})}
    return Scores(generation, by_all)


def found_by(run: Path, name: str, generation: int) -> Scores | None:
    """What that judge found in a generation as it lies there; None where it has not judged it, or something else at its place.

    What is damaged is reported, and is as if it were not there.
    """
    place = run / SCORES / name
    made = (generation_folder(run, one) / MANIFEST for one in (generation, 0))
    stamps = tuple(map(stamp, (place / f"gen_{generation:03d}.json", place / REFERENCE, *made)))
    return _judged(run, name, generation, stamps)


@cache
def _judged(run: Path, name: str, generation: int, stamps: tuple[tuple[int, int], ...]) -> Scores | None:
    found = readable(score_file(run, name, generation), quiet=True)
    by = readable(run / SCORES / name / REFERENCE, quiet=True)
    return None if found is None or by is None or found.get("of") != of(run, generation, by) else Scores.of(found)


def score_file(run: Path, name: str, generation: int) -> Path:
    """Where that judge's scores of a generation lie."""
    return run / SCORES / name / f"gen_{generation:03d}.json"


def of(run: Path, generation: int, reference: Record) -> Record:
    """What scores were measured from and with: digests of samples, training set and reference, of the models that were asked, and of
    what gates were given."""
    folder = generation_folder(run, generation)
    made, by = made_by(folder) or {}, {"data": reference["data"], "judge": unmeasured(reference["judge"])}
    asked = {"model": generation, "first_model": 0} if MODEL_SOURCE in reference["judge"] else {}
    models = {name: part_digest(generation_folder(run, one), MODEL) for name, one in asked.items()}
    gated = {"first_samples": (0, SAMPLES), "unmarked": (generation, UNMARKED)} if reference["judge"].get("gates") else {}
    gates = {name: part_digest(generation_folder(run, one), part) for name, (one, part) in gated.items()}
    return {"samples": part_digest(folder, SAMPLES), "training_set": made.get("training_set"), "reference": digest(by), **models, **gates}


def unmeasured(judge: Record) -> Record:
    """A judge's record without what it measured, whose last digits may be others on another machine."""
    extractors = {name: {key: value for key, value in one.items() if key != "real"} for name, one in judge["extractors"].items()}
    return plain({**judge, "extractors": extractors})


def is_due(generation: int, every: int, gens: int) -> bool:
    """Whether a generation is to be judged: every so manieth, and the last."""
    return generation % every == 0 or generation == gens - 1


def is_judged(run: Path, generation: int) -> bool:
    """Whether any judge has judged that generation as it lies there."""
    return any(found_by(run, name, generation) is not None for name in judges(run))


def landed(run: Path, generation: int) -> bool:
    """Whether that generation is there, and judged if the study asks for it."""
    return (generation_folder(run, generation) / MANIFEST).is_file() and generation not in unjudged(run, generation)


def unjudged(run: Path, *only: int) -> list[int]:
    """The finished generations (or of these only) that the study asks to be judged and its judge has not judged as they lie there."""
    try:
        study = settings(run)
        name, every, gens = judge_name(study["judge"]), int(study["judge"].get("every", 1)), int(study["gens"])
    except (SettingsProblem, KeyError, AttributeError, TypeError, ValueError):
        return []
    there = (generation for generation in only or finished(run) if is_due(generation, every, gens))
    return [generation for generation in there if found_by(run, name, generation) is None]


def fix_reference(run: Path, name: str, judge: Record, data: str) -> Record:
    """The reference of a judge: written once, and from then on the one that is there, with the real-against-real values first found.

    judge: its record; data: the digest of the real pictures. Where the one that is there is another (other weights, other pictures), its
    scores are set aside, which is reported, and all is judged again; nothing of that decides whether a run goes on.
    """
    place = run / SCORES / name
    before, now = readable(place / REFERENCE), Record(data=data, judge=plain(judge))
    if before is not None:
        same, wanted = ({"data": one["data"], "judge": unmeasured(one["judge"])} for one in (before, now))
        if same == wanted:
            return before
        aside = files.set_aside(place, run)
        progress.say(
            f"{place}: was judged by another reference ({first_difference(same, wanted)}); judged again "
            f"(the old scores are kept as {aside.relative_to(run)})"
        )
    place.mkdir(parents=True, exist_ok=True)
    write_sealed(place / REFERENCE, now)
    return now


def write(run: Path, name: str, generation: int, found: Record, reference: Record) -> None:
    """Keeps what a judge found. What stands in its place and cannot be read is set aside, which is reported."""
    readable(score_file(run, name, generation))
    write_sealed(score_file(run, name, generation), {**found, "of": of(run, generation, reference)})
