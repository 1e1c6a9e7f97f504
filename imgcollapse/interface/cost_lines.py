"""What a run or an ablation costs, in words and as a record, and what would make it cost less."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imgcollapse.ablation.cost import Cost, Generation
from imgcollapse.ablation.cost_shared import Shared
from imgcollapse.interface.console import duration


def amount(value: float, unit: str) -> str:
    """`1.8 TFLOP`, `790 kB`: in thousands."""
    names = ["", "k", "M", "G", "T", "P", "E"]
    while abs(value) >= 999.5 and len(names) > 1:
        value, names = value / 1000, names[1:]
    return f"{value:.3g} {names[0]}{unit}"


def cost_lines(cost: Cost) -> list[str]:
    """The cost of a run, line by line."""
    lines = [f"cost on this machine, estimated from a short trial (real pictures: {cost.real:,})"]
    made = cost.generations
    if made:
        for numbers in _groups(made):
            one, name = made[numbers[0]], f"generation {numbers[0]}" + (f" to {numbers[-1]}, each" if len(numbers) > 1 else "")
            lines.append(
                f"  {name}: learns from {one.learned:,}, draws {one.drawn:,}; {_flop(one.flop)}{duration(one.seconds)} "
                f"(learning {duration(one.learn)}, drawing and keeping {duration(one.draw)}, judging {duration(one.judge)}); "
                f"{amount(one.disk, 'B')}"
            )
        begun = f", {duration(cost.first)} of them before generation 0" if cost.first >= 1 else ""
        flop = sum(one.flop for one in made)
        lines.append(
            f"  in all: {len(made)} generations, {sum(one.drawn for one in made):,} pictures drawn; {_flop(flop)}"
            f"about {duration(cost.seconds)}{begun}, {duration(cost.beside.seconds)} for starting, figures and page; "
            f"memory {amount(cost.memory, 'B')} at the peak; disk {amount(cost.disk, 'B')}"
        )
    return lines + [f"  {line}" for line in cost.unknown]


def shared_lines(cost: Shared) -> list[str]:
    """The cost of an ablation, line by line."""
    lines = ["cost on this machine, estimated from a short trial"]
    linked = cost.asked - cost.made
    made = f", {cost.made:,} of them different: those are made, the others linked" if linked else ", all of them different"
    lines.append(f"  {cost.runs} runs of {cost.asked:,} generations{made}")
    if cost.known:
        of_jobs = f"learning {duration(cost.learn)}, drawing {duration(cost.draw)}, judging {duration(cost.judge + cost.first)} of all jobs"
        name = "in all" if all(one.generations for one in cost.costs) else "in all, without the runs whose cost is unknown"
        lines.append(
            f"  {name}: {_flop(cost.flop)}about {duration(cost.seconds)} with {cost.jobs} jobs ({of_jobs}; starting, figures and page "
            f"{duration(cost.other)}); memory {amount(cost.memory, 'B')} at the peak; disk {amount(cost.disk, 'B')}"
        )
    return lines + [f"  {line}" for line in cost.unknown]


def record(cost: Cost) -> dict[str, Any]:
    """Plain JSON values: numbers in seconds, bytes and operations; None where nothing can be said."""
    made = cost.generations
    whole = {
        "seconds": cost.seconds,
        "seconds_before": cost.first,
        "seconds_beside": cost.beside.seconds,
        "flop": sum(one.flop for one in made),
        "memory_bytes": cost.memory,
        "disk_bytes": cost.disk,
        "pictures_drawn": sum(one.drawn for one in made),
    }
    known = whole if made else dict.fromkeys(whole)
    return {"real_pictures": cost.real, **known, "generations": [asdict(one) for one in made], "unknown": list(cost.unknown)}


def shared_record(cost: Shared) -> dict[str, Any]:
    """Plain JSON values of an ablation's cost."""
    counts = {"runs": cost.runs, "generations": cost.asked, "different_generations": cost.made, "jobs": cost.jobs}
    seconds = {"seconds": cost.seconds, "seconds_beside": cost.other}
    whole = {**seconds, "flop": cost.flop, "memory_bytes": cost.memory, "disk_bytes": cost.disk}
    return {**counts, **(whole if cost.known else dict.fromkeys(whole)), "unknown": list(cost.unknown)}


def chosen(asked: Mapping[str, Any], made: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Path -> value of every setting that was chosen, where it was left open. asked, made: studies as plain values."""
    found: dict[str, Any] = {}
    for name, value in made.items():
        before = asked.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            found |= chosen(before, value, f"{place}{name}.")
        elif value != before:
            found[place + name] = value
    return found


def _groups(made: tuple[Generation, ...]) -> list[list[int]]:
    """Numbers of generations that cost the same to a hundredth, next to each other."""
    groups: list[list[int]] = []
    for number, one in enumerate(made):
        before = made[groups[-1][0]] if groups else None
        if before is not None and before.learned == one.learned and abs(one.seconds - before.seconds) <= 0.01 * before.seconds + 0.01:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups if len(groups) <= 6 else [*groups[:2], groups[-1]]


def _flop(flop: float) -> str:
    return f"{amount(flop, 'FLOP')} of networks, " if flop else ""
