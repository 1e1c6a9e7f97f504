"""What `imgcollapse score` and `imgcollapse.score` do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt

from imgcollapse import datasets, plugins, progress
from imgcollapse.datasets import AnyDataset
from imgcollapse.datasets.decoder import ALPHA, Alpha
from imgcollapse.datasets.digits import Digits
from imgcollapse.errors import DataProblem, OtherStudyProblem, Problem, SettingsProblem
from imgcollapse.exchange.samples import Samples, short_names
from imgcollapse.extractors.inception import Inception
from imgcollapse.files import bytes_of, same_or_refuse, to_json, write_text
from imgcollapse.files.places import CURE, tried, unwritable
from imgcollapse.images import World
from imgcollapse.interface.common import layer, stoppable
from imgcollapse.interface.console import Plain
from imgcollapse.judges import published
from imgcollapse.judges.judge import Judge, Reference
from imgcollapse.judges.titles import NEIGHBOURS
from imgcollapse.plugins import WithPlugins
from imgcollapse.settings import build, merge
from imgcollapse.store.records import plain

Record = dict[str, Any]
MANY = 10_000  # samples from which on FID as in papers is computed too: it looks at every picture there is, too much for the sake of a few


class Scoring(WithPlugins):
    """All that decides what sets of pictures are compared with, and how."""

    dataset: AnyDataset = Field(Digits(), description="the real pictures")
    judge: Judge = Field(Judge(), description="how they are compared")
    alpha: Alpha | None = Field(None, description=f"{ALPHA}; none: as in the data set")
    seed: NonNegativeInt = Field(0, description="seed of toy data sets, which are drawn anew for each seed")


@dataclass(frozen=True)
class Scored:
    """What came of it.

    place:   the file of scores
    record:  what it holds
    failed:  why it could not be kept there
    stopped: the exit code, where it was stopped; then there is nothing else
    """

    place: Path
    record: Record
    failed: Problem | None
    stopped: list[int]


def execute(chosen: Scoring, paths: Sequence[Path], given: Mapping[str, Any], watching: Plain) -> Scored:
    """Compares the sets with the real pictures, and keeps what was found, in the place that `given` names (`out`) or one of its own."""
    tried(given.get("out") or Path("scores") / "name.json")
    place, record, failed = Path(), Record(), None
    with watching, progress.watched_by(watching), progress.beating(), stoppable() as stopped:
        place, record = scored(chosen, paths, given.get("learned_from"), given.get("out"))
        failed = _write(place, record)
    return Scored(place, record, failed, stopped)


def _write(place: Path, record: Record) -> Problem | None:
    """Keeps what was found; what is in the way, which is raised once it has been printed: so it is not lost."""
    named, place = place, place.resolve()
    try:
        _refuse_other(place, record)  # again: it may have taken minutes
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, to_json(record))
    except OtherStudyProblem as problem:
        return problem
    except OSError as error:
        return unwritable(named, error, "what was found stands above; choose another --out")
    return None


def scoring_from(given: Mapping[str, Any], changes: Sequence[str | Mapping[str, Any]]) -> Scoring:
    """What flags, --set and defaults add up to. Raises SettingsProblem."""
    judge = {name: given[flag] for name, flag in (("extractors", "extractor"), ("n", "n")) if given.get(flag) is not None}
    values: Record = {"dataset": given["against"], "judge": judge}
    values |= {} if given.get("seed") is None else {"seed": given["seed"]}
    values |= {"plugins": list(given["plugins"])} if given.get("plugins") else {}
    for one in map(layer, changes):
        values = merge(values, one)
    return build(Scoring, values)


def scored(chosen: Scoring, paths: Sequence[Path], learned_from: Path | None, out: Path | None) -> tuple[Path, Record]:
    """Compares the sets with the real pictures, all at one N, and class shares by all there are; where the record belongs, and
    the record.

    Which pictures of a larger set are compared is a random choice that is the same for ever. Raises the Problems of `imgcollapse.errors`;
    OtherStudyProblem, before the slow part, where the place holds anything but this very scoring.
    """
    names = short_names(paths)
    world = datasets.load(chosen.dataset, chosen.seed)
    fid = any(isinstance(one, Inception) for one in chosen.judge.extractors or ())
    alpha: Alpha = getattr(chosen.dataset, "alpha", "refuse") if chosen.alpha is None else chosen.alpha
    sets = {name: Samples.of(path, world, alpha=alpha) for name, path in zip(names, paths, strict=True)}
    learned = None if learned_from is None else Samples.of(learned_from, world, alpha=alpha)
    judge = _resolved(chosen, world, sets)
    about: Record = {
        "data": world.record(),
        "options": chosen.model_copy(update={"judge": judge, "alpha": alpha}).model_dump(mode="json"),
        "learned_from": None if learned is None else learned.record(),
        "samples": {name: one.record() for name, one in sets.items()},
    }
    about = plain(about)
    digest = sha256(bytes_of(to_json(about))).hexdigest()[:6]
    place = out or Path("scores") / f"{world.name}-{digest}.json"
    _refuse_other(place, about)
    reference = judge.open(world, max(one.pictures for one in sets.values()))
    about["judge"] = reference.record()
    _refuse_other(place, about)  # weights of the user's own are known only now
    found = {}
    for name, one in sets.items():
        progress.say(f"{name}: {one.pictures:,} pictures, {judge.n:,} of them compared")
        judged = reference(one.images, None if learned is None else learned.images).scores
        found[name] = {**one.record(), "sources": judged.record()["sources"]}
        if fid and one.pictures >= MANY:
            found[name] |= {"as_published": _as_published(reference, world, one)}
    passed = {world.name: world.passed_over, **{name: one.passed_over for name, one in sets.items()}}
    unread = {name: dict(files) for name, files in passed.items() if files}
    return place, {**about, "samples": found, **({"passed_over": unread} if unread else {})}


def _resolved(chosen: Scoring, world: World, sets: Mapping[str, Samples]) -> Judge:
    """The judge with its choices made for the smallest set, which decides N for all."""
    judge = chosen.judge
    if judge.extractors == ():
        raise SettingsProblem("judge.extractors: there are none, so nothing can be measured; name one, such as pixels")
    name, least = min(sets.items(), key=lambda item: item[1].pictures)
    k = max(getattr(judge, name) for name in NEIGHBOURS)
    if least.pictures <= k:
        raise DataProblem(f"{least.path}: holds {least.pictures}, but {k} neighbours are looked for; give more than {k}")
    resolved = judge.resolved(world, least.pictures, plugins.own_metrics(chosen.plugins))
    assert resolved.n is not None
    why = {
        len(world.train): f"as many as {world.name} has for training",
        len(world.held_out) // 2: f"half of what {world.name} holds out",
        least.pictures: f"as many as there are of {name}",
    }
    reason = "as asked for" if judge.n else why.get(resolved.n, "the most unless --n says otherwise")
    if any(one.pictures > resolved.n for one in sets.values()):
        progress.say(f"{resolved.n:,} of each set are compared, {reason}; chosen at random, always the same ones")
    return resolved


def _as_published(reference: Reference, world: World, one: Samples) -> Record:
    """By extractor, the Fréchet distance as papers report it; only of those whose weights were there."""
    found = {}
    for extractor in reference.extractors:
        if extractor.name in published.STATISTICS:
            progress.say(
                f"{one.path}: FID as papers report it, of all {one.pictures:,} pictures against all {len(world.train):,} for training"
            )
            found[extractor.name] = published.as_published(extractor, world, one.images.pixels)
    return found


def _refuse_other(place: Path, about: Record) -> None:
    """Raises OtherStudyProblem where the place holds anything but what an earlier call found for the same sets and options."""
    if not place.exists():
        return
    about = {name: value for name, value in about.items() if name != "passed_over"}  # what lay beside decides nothing
    try:
        before = dict(json.loads(place.read_text(encoding="utf-8") if place.is_file() else ""))
        same = _unmeasured({part: before[part] for part in about})
        if added := before.keys() - {*about, "judge", "passed_over"}:
            raise ValueError(f"somebody has added {', '.join(added)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise OtherStudyProblem(f"{place}: holds something else; {CURE}") from None
    same_or_refuse(place, same, _unmeasured(about), "holds another scoring", CURE)


def _unmeasured(record: Record) -> Record:
    """A record without what was measured, which may differ in its last digits where the rest is the same."""
    named = {**record, "samples": {name: {key: one[key] for key in Samples.KEYS} for name, one in record["samples"].items()}}
    if "judge" in record:
        extractors = {name: {**one, "real": None} for name, one in record["judge"]["extractors"].items()}
        named["judge"] = {**record["judge"], "extractors": extractors}
    return named
