"""With what study a run folder was begun: by its own records and by what made its generations, not by its name or place."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import DataProblem, OtherStudyProblem
from imgcollapse.files import ASIDE, same_or_refuse, set_aside, stamp, write_text
from imgcollapse.settings import read_file
from imgcollapse.settings.yaml12 import load
from imgcollapse.store.history import HISTORY
from imgcollapse.store.identity import decided, identity, is_older, study_digest
from imgcollapse.store.layout import DATA, ENVIRONMENT, SCORES, START, STUDY, chain_folder
from imgcollapse.store.manifest import made_by
from imgcollapse.store.records import make_way, plain, readable


def parsed(study: str) -> dict[str, Any]:
    """The settings in a study's YAML."""
    return dict(load(study))


def begun(run: Path) -> str | None:
    """The digest of the study with which the run was begun, by its own record; None where that is not known."""
    found = (readable(run / ENVIRONMENT, quiet=True) or {}).get("study")
    return None if found is None else str(found)


def changed(run: Path) -> str | None:
    """What has been changed in a run's settings since it was begun, in words."""
    return _changed(run, (stamp(run / ENVIRONMENT), stamp(run / STUDY)))


@cache
def _changed(run: Path, stamps: tuple[tuple[int, int], ...]) -> str | None:
    """The same; it is asked for every generation, and the files are read once."""
    known = begun(run)
    same = known is None or known == study_digest(read_file(run / STUDY))
    return None if same else f"{STUDY} has been changed since the run was begun"


def begin(run: Path, study: str) -> None:
    """`same_study`; but where another one was begun that made nothing, its records are set aside, and this one begins.

    So what a model or a data set refuses only once the folder is there does not stand in the way of the command that was put right.
    """
    try:
        same_study(run, study)
    except OtherStudyProblem:
        if not _made_nothing(run):
            raise
        for name in (STUDY, ENVIRONMENT, DATA, START, SCORES):
            if os.path.lexists(run / name):
                set_aside(run / name)
        progress.say(f"{run}: another study was begun here and made nothing; this one begins (its records are kept as {ASIDE}/)")
        same_study(run, study)


def _made_nothing(run: Path) -> bool:
    """Whether no generation was ever made in a run, as far as its folder says; a chain's folder in it says that, too."""
    return not any(one for name in ("gen_*", f"{chain_folder(run, 0).name[:-1]}*", HISTORY) for one in run.glob(name))


def same_study(run: Path, study: str) -> None:
    """Writes the study where there is none, only a damaged one, or one of fewer generations, which goes on.

    Raises OtherStudyProblem where the folder was begun with another.
    """
    now, known = parsed(study), begun(run)
    before = readable(run / STUDY, quiet=True)
    ours = known == study_digest(now)
    damaged = before is None or (ours and study_digest(before) != known)  # the run's own record says that this study was begun
    gens = (before or now).get("gens")
    if not damaged:
        same_or_refuse(run, decided(before or {}), decided({**now, "gens": gens}), "holds another study")
        if known is not None and not ours:
            raise OtherStudyProblem(f"{run / STUDY}: was changed after the run was begun; change it back, or choose another --out")
    _fitting(run, now)
    if known is not None and not ours:
        raise OtherStudyProblem(f"{run}: was begun with another study; choose another --out")
    if damaged and os.path.lexists(run / STUDY):
        make_way(run / STUDY)
    if damaged or now["gens"] > gens or (now["gens"] == gens and now != before):
        write_text(run / STUDY, study)


def _fitting(run: Path, study: dict[str, Any]) -> None:
    """Raises OtherStudyProblem where there are generations, and none of them was made by these settings."""
    there = []
    for folder in sorted(run.glob("gen_[0-9]*")):
        with suppress(DataProblem):
            there.append(made_by(folder))
    if any(map(is_older, there)):
        older = "holds generations of an older version of imgcollapse, which kept other words of what made them"
        raise OtherStudyProblem(f"{run}: {older}; choose another --out")
    wanted = plain(identity(study))
    known = [{name: made.get(name) for name in wanted} for made in there if made]
    if known and wanted not in known:
        same_or_refuse(run, known[0], wanted, "holds generations of another study")
