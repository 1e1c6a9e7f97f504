"""Short studies executed, and what lies in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.settings import build
from imgcollapse.store import judged
from imgcollapse.study import Study, run


def made_when_asked(folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> Callable[[str], Path]:
    """Gives the run of that name in the folder, finished, which is made when it is first asked for."""

    def made(name: str) -> Path:
        if not (folder / name).exists():
            run(build(Study, dict(settings[name])), folder / name)
        return folder / name

    return made


def files(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def scores_in(run: Path) -> Path:
    """The folder of the only judge of a run."""
    (place,) = (run / store.SCORES).iterdir()
    return place


def put_scores(run: Path, generation: int, record: Mapping[str, Any], judge: Mapping[str, Any], name: str | None = None) -> None:
    """What a judge, that of the run's own study or one of this name, is to have found in a generation. judge: its record."""
    name = name or judged.own_judge(run)
    judged.write(run, name, generation, dict(record), judged.fix_reference(run, name, dict(judge), "data"))
