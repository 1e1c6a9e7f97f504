"""How runs were made: data, versions, hardware, settings, and what a reader must know before comparing them."""

from collections.abc import Iterable, Mapping
from typing import Any

from imgcollapse import store
from imgcollapse.ablation.grid import ABLATION
from imgcollapse.ablation.summary import endpoint_text, named
from imgcollapse.datasets.names import in_words, shortened
from imgcollapse.extractors.classifier import distrust
from imgcollapse.judges.titles import counted, definitions, judges_of, neighbours
from imgcollapse.reports.findings import Findings, sessions
from imgcollapse.settings import to_yaml


def notes(findings: Findings) -> list[str]:
    """What is unfinished, what failed, and whether the runs can be compared at all; a sentence each."""
    messages = []
    if not findings.comparable:
        messages.append("These runs were not judged by one reference (data, N or features differ): do not compare their numbers.")
    extractors = [about for one in findings.references.values() for about in one["judge"]["extractors"].values()]
    for warning in dict.fromkeys(distrust(about["held_out_accuracy"]) for about in extractors if "held_out_accuracy" in about):
        messages += [f"The classifier that judges: {warning}."] if warning else []
    stops = findings.stops
    if len(stops) <= stops[-1]:
        messages.append(
            f"Of {stops[-1] + 1:,} generations this page shows some, evenly spaced: the slider stops at {len(stops)}, pictures and tables "
            "show these alone, and curves go through the least and the greatest value of each stretch. All numbers are in "
            f"{findings.all_numbers}."
        )
    undone = [one for one in findings.statuses if one.state != "done"]
    if undone:
        states = {state: sum(one.state == state for one in undone) for state in ("running", "waiting", "failed")}
        words = ", ".join(f"{count} {state}" for state, count in states.items() if count)
        finished, asked = sum(one.done for one in findings.statuses), sum(one.run.study.gens for one in findings.statuses)
        messages.append(f"Not finished: {finished} of {asked} generations are there ({words} of {len(findings.statuses)} runs).")
    messages += [f"{named(one.run.arm, one.run.null)}, seed {one.run.seed}: {one.ended}." for one in findings.statuses if one.ended]
    for one in findings.statuses:
        there = store.finished(one.run.folder) if (one.run.folder / store.STUDY).is_file() else []
        for generation in sorted({*there} - {*findings.there(one.run)}):
            if wrong := store.misfit(one.run.folder, generation):
                who = f"{named(one.run.arm, one.run.null)}, seed {one.run.seed}"
                messages.append(f"{who}: generation {generation} is left out: {wrong}.")
        if one.failure is not None:
            who = f"{named(one.run.arm, one.run.null)}, seed {one.run.seed}"
            messages.append(f"{who} failed in generation {one.failure['generation']}: {one.failure['message']}")
    return messages


def about_runs(findings: Findings) -> list[tuple[str, str]]:
    """Rows of the table of data, versions and hardware; where runs differ, every value once."""
    made = [session for of_run in sessions(findings) for session in of_run]
    references = list(findings.references.values())
    rows = [
        ("seeds", ", ".join(str(seed) for seed in sorted({run.seed for run in findings.runs}))),
        ("runs", str(len(findings.statuses))),
        ("data", _each(f"{one['data']['name']}, {' × '.join(map(str, one['data']['shape']))}" for one in references)),
    ]
    for part, words in (("train", "training part"), ("held_out", "held-out part")):
        rows.append(
            (words, _each(f"{one['data'][part]['pictures']:,} pictures, SHA-256 {one['data'][part]['sha256']}" for one in references))
        )
    rows.append(("split here", _each(_split(one["data"]["split"]) for one in references if one["data"].get("split"))))
    rows.append(("not read", _each(in_words(one["passed_over"]) for one in references if one.get("passed_over"))))
    judges = [judge for one in references for judge in judges_of(one["judge"])]
    rows.append(("judged", _each(f"{counted(one)}; {neighbours(one)}" for one in judges)))
    rows.append(("metrics (version of the definition)", _each(definitions(one) for one in judges)))
    rows.append(("features", _each(_extractor(name, about) for one in references for name, about in one["judge"]["extractors"].items())))
    draws = (about["latent_draws"] for one in references for about in one["judge"]["models"].values())
    rows.append(("latent codes for a picture's likelihood by a VAE", _each(draws)))
    rows += [("endpoint", endpoint_text(findings.summary["endpoint"]))] if findings.summary["endpoint"] else []
    rows.append(("intervals", findings.summary["method"]))
    for key, words in (("imgcollapse", "imgcollapse"), ("git_commit", "commit"), ("python", "Python"), ("system", "system")):
        rows.append((words, _each(one[key] for one in made)))
    rows.append(("packages", _each(", ".join(f"{name} {v}" for name, v in one["packages"].items() if v) for one in made)))
    for key in ("device_name", "precision", "threads", "processes"):
        rows.append((key.replace("_name", "").replace("_", " "), _each(one[key] for one in made)))
    return [(name, value) for name, value in rows if value]


def settings(findings: Findings) -> list[tuple[str, str]]:
    """(title, YAML) of the ablation's file where there is one, and of every arm's study."""
    found = [
        (f"{place.resolve().name}/{ABLATION}", (place / ABLATION).read_text(encoding="utf-8"))
        for place in findings.places
        if (place / ABLATION).is_file()
    ]
    return found + [
        (f"{arm}: the study with every default, seed {runs[0].seed}", to_yaml(runs[0].study)) for arm, runs in findings.arms.items()
    ]


def _split(split: Mapping[str, Any]) -> str:
    if "share" not in split:
        return f"{split['rule']}, by seed {split['seed']}"
    without = f", {shortened(split['judged_without'])} judged without (too few pictures)" if split["judged_without"] else ""
    seed = f", by seed {split['seed']}" if "seed" in split else ""
    return f"{split['rule']}, {100 * split['share']:g} % of each class held out{seed}{without}"


def _extractor(name: str, about: dict[str, Any]) -> str:
    accuracy = about.get("held_out_accuracy")
    return (
        f"{name}, {about.get('dim', '?')} dimensions"
        + (f", shipped reference {about['shipped']}" if about.get("shipped") else "")
        + (f", held-out accuracy {accuracy:.4f}" if accuracy is not None else "")
        + (f", SHA-256 {about['digest']}" if about.get("digest") else "")
    )


def _each(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values if value is not None))
