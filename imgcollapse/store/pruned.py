"""What of finished generations can go from the disk, and how much room that makes where files are linked into several folders."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcollapse.store import manifest
from imgcollapse.store.checks import numbers
from imgcollapse.store.keep import keeps
from imgcollapse.store.layout import MODEL, SAMPLES, UNMARKED, generation_folder

Rule = str | int
BOUND = {UNMARKED: SAMPLES}  # a part that goes with another


@dataclass(frozen=True)
class Part:
    """A part of a finished generation: SAMPLES, UNMARKED or MODEL."""

    run: Path
    generation: int
    part: str

    @property
    def place(self) -> Path:
        """Where it lies."""
        return generation_folder(self.run, self.generation) / self.part


def to_go(run: Path, rules: Mapping[str, Rule], stays: Mapping[str, int]) -> list[Part]:
    """The parts in a run that these rules (of SAMPLES, MODEL) do not keep and that are there. stays: of a part, a generation that keeps it.

    So is what was thrown away by a process that was killed before it was done.
    """
    there, found = numbers(run), list[Part]()
    for generation in there:
        for part in (SAMPLES, UNMARKED, MODEL):
            of, one = BOUND.get(part, part), Part(run, generation, part)
            kept = keeps(rules[of], generation, generation == there[-1]) or stays.get(part) == generation
            if not kept and (manifest.has(generation_folder(run, generation), part) or os.path.lexists(one.place)):
                found.append(one)
    return found


def room(places: Iterable[Path]) -> int:
    """Bytes that are free once all of these files and folders are gone: a file goes with the last of its hard links."""
    links, sizes = defaultdict[tuple[int, int], int](int), dict[tuple[int, int], tuple[int, int]]()
    for file in files_in(places):
        known = file.lstat()
        links[known.st_dev, known.st_ino] += 1
        sizes[known.st_dev, known.st_ino] = (known.st_nlink, known.st_size)
    return sum(size for key, (all_links, size) in sizes.items() if links[key] >= all_links)


def files_in(places: Iterable[Path]) -> list[Path]:
    """The files at these places, each once."""
    found = (file for place in dict.fromkeys(places) for file in ([place] if not place.is_dir() else sorted(place.rglob("*"))))
    return [file for file in found if file.is_file() and not file.is_symlink()]


def ranges(generations: Sequence[int]) -> str:
    """`0 to 3, 5`."""
    parts: list[list[int]] = []
    for g in sorted(set(generations)):
        if parts and g == parts[-1][-1] + 1:
            parts[-1].append(g)
        else:
            parts.append([g])
    return ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in parts)
