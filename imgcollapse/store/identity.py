"""Does a run folder belong to a study? By its own records and by what made its generations, not by its name or place."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgcollapse.errors import DataProblem, OtherStudyProblem
from imgcollapse.files import first_difference, write_text
from imgcollapse.store import OWN, STUDY, begun, made_by, make_way, parsed, readable, study_digest
from imgcollapse.store.records import plain


def same_study(run: Path, study: str) -> None:
    """Writes the study where there is none, or only a damaged one. Raises OtherStudyProblem where the folder was begun with another."""
    now, known = parsed(study), begun(run)
    before = readable(run / STUDY, quiet=True)
    ours = known == study_digest(now)
    damaged = before is None or (ours and study_digest(before) != known)  # the run's own record says that this study was begun
    if before != now and not damaged:
        raise OtherStudyProblem(f"{run}: holds another study ({first_difference(before, now)}); choose another --out")
    if known is not None and not ours and before == now:
        raise OtherStudyProblem(f"{run / STUDY}: was changed after the run was begun; change it back, or choose another --out")
    _fitting(run, now)
    if known is not None and not ours:
        raise OtherStudyProblem(f"{run}: was begun with another study; choose another --out")
    if not damaged:
        return
    if os.path.lexists(run / STUDY):
        make_way(run / STUDY)
    write_text(run / STUDY, study)


def _fitting(run: Path, study: dict[str, Any]) -> None:
    """Raises OtherStudyProblem where there are generations, and none of them was made by these settings."""
    there = []
    for folder in sorted(run.glob("gen_[0-9]*")):
        with suppress(DataProblem):
            there.append(made_by(folder))
    if None in there:
        older = "holds generations of an older version of imgcollapse, which kept no word of what made them"
        raise OtherStudyProblem(f"{run}: {older}; choose another --out")
    wanted = plain({name: study[name] for name in OWN if name in study})
    known = [{name: made.get(name) for name in wanted} for made in there if made]
    if known and wanted not in known:
        said = first_difference(known[0], wanted)
        raise OtherStudyProblem(f"{run}: holds generations of another study ({said}); choose another --out")
