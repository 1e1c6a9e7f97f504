"""The command that finds the same again."""

import json
import shlex
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.ablation import ensemble
from imgcollapse.ablation.grid import ABLATION
from imgcollapse.ablation.worker import WORKER
from imgcollapse.reports.findings import Findings, sessions
from imgcollapse.settings import Settings, shown_as
from imgcollapse.settings.yaml12 import YamlProblem, dump, load
from imgcollapse.store.ended import by
from imgcollapse.store.records import read_sealed
from imgcollapse.study import Study

FLAGS = ("gens", "samples", "seed")  # fields of a study with a flag of their own, beside its parts


def reproduce(findings: Findings) -> str:
    """The command that finds the same again: of a run, one that needs no file; of an ablation, one for its own `ablation.yaml`.

    A line for each folder that was asked for.
    """
    return "\n".join(_run_again(findings, place) if (place / store.STUDY).is_file() else _ablate_again(place) for place in findings.places)


def typed(findings: Findings) -> str:
    """The commands that were typed, each once in the order of the sessions, a line each; empty where none is known."""
    words = [session.get("command") for of_run in sessions(findings) for session in of_run]
    return "\n".join(dict.fromkeys(one for one in words if one))


def _run_again(findings: Findings, place: Path) -> str:
    """Every field of the study that is not its default: `identity` and what it leaves out alike, so that nothing can be forgotten."""
    chosen = ensemble.whole(next(run.study for run in findings.runs if run.folder == place))
    words, assignments = ["imgcollapse", "run"], dict[str, Any]()
    for name, field in Study.model_fields.items():
        value = getattr(chosen, name)
        if name == "plugins":
            words += [word for one in value if one.file for word in ("--plugin", Path(one.file).name)]
        elif isinstance(value, Settings) and (
            isinstance(field.default, Settings) or not hasattr(value, "kind")
        ):  # every study's, or of one kind
            words += [f"--{name}", value.kind] if hasattr(value, "kind") else []
            assignments |= _changed(value, f"{name}.")
        elif name in FLAGS:
            words += [f"--{name}", str(value)] if value is not None else []
        elif value != field.default:
            assignments[name] = _plain(value)
    if precision := _precision(place):
        words += ["--precision", precision]
    if ended := by(place):
        words += ["--until", str(ended["condition"])]
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
        found |= _changed(value, f"{place}{name}.") if isinstance(value, Settings) else {place + shown_as(name, field): _plain(value)}
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
