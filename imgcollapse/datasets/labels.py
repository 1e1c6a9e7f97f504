"""Of which class each listed picture is: a dataset.json says it, or the folder in which it lies, or nothing."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PureWindowsPath
from typing import Any

from imgcollapse.datasets.dataset import problems_at
from imgcollapse.datasets.listing import INDEX, Entry, Listing
from imgcollapse.datasets.names import PARTS, SUFFIXES, in_words, same, shown
from imgcollapse.errors import DataProblem

Key = int | str | None  # the number of a class, its name, or nothing where pictures have no classes
ALONE = "0"  # the class of pictures without classes
BESIDE = "pictures beside the class folders"
SHARD = re.compile(r"\d{5}/img\d{8}\.\w+")


@dataclass(frozen=True)
class Classed:
    """The pictures of a listing with their classes.

    listing: where they lie
    entries: the pictures
    keys:    the class of each
    beside:  pictures that lie beside the class folders, and are passed over
    """

    listing: Listing
    entries: list[Entry]
    keys: Sequence[Key]
    beside: int = 0

    def __iter__(self) -> Iterator[tuple[Entry, Key]]:
        return zip(self.entries, self.keys, strict=True)


def classed(whole: Listing) -> Classed:
    """The classes of a listing's pictures.

    By the dataset.json where there is one (NVlabs' dataset_tool): numbers, or none where it says `"labels": null`. Else by the folders at
    the top, in which all must hold pictures, at any depth. Without any folder, the pictures have no classes; nor do the folders 00000,
    00001, ... mean any in which that tool puts a thousand pictures each. Raises DataProblem where that does not fit.
    """
    whole = _settled(whole)
    listing = whole if whole.index else _unwrapped(whole)
    folders, depth = listing.first(), len(listing.below)
    if not listing.pictures and (whole.index or not folders):
        wrong = f"holds no class folders and {_nothing(listing).removeprefix('holds ')}"
        raise DataProblem(f"{listing}: {wrong}; put the pictures into {listing.at('CLASS')}")
    if whole.index is not None:
        return _by_index(whole, whole.index)
    if not folders or all(SHARD.fullmatch("/".join(entry.parts[depth:])) for entry in listing.pictures):
        return Classed(whole, listing.pictures, [None] * len(listing.pictures))
    inside = [entry for entry in listing.pictures if len(entry.parts) > depth + 1]
    inside.sort(key=lambda entry: same(entry.parts[depth]))  # class by class; within each they stay in order
    keys = [same(entry.parts[depth]) for entry in inside]
    for folder in folders:
        if same(folder) not in keys:
            part = listing.inside(folder)
            raise DataProblem(f"{part}: {_nothing(part)}; add some, or move the folder elsewhere")
    return Classed(whole, inside, keys, len(listing.pictures) - len(inside))


def parted(whole: Listing) -> tuple[Classed, Classed | None]:
    """The training and the held-out part, where the folders at the top are so called; else all in one. Raises DataProblem for more."""
    whole = _settled(whole)
    listing = whole if whole.index else _unwrapped(whole)
    train = [name for name in listing.first() if name.lower() in PARTS[0]]
    others = [name for name in listing.first() if name.lower() in PARTS[1]]
    if whole.index or len(train) != 1 or len(train + others) < len(listing.first()):
        return classed(whole), None
    if not others:  # a training part alone, if it has classes
        return classed(listing.inside(train[0]) if listing.inside(train[0]).first() else whole), None
    if len(others) > 1:
        there = f"{train[0]}, {', '.join(others[:-1])} and {others[-1]}"
        cure = "set path to the training part and held_out to one of the others, each a folder or archive of its own"
        raise DataProblem(f"{whole}: holds {there}; {cure}")
    one, other = classed(listing.inside(train[0])), classed(listing.inside(others[0]))
    beside = len(listing.pictures) - sum(len(listing.inside(name).pictures) for name in (train[0], others[0]))
    return Classed(one.listing, one.entries, one.keys, one.beside + beside), other


def classes_of(train: Sequence[Classed], held_out: Sequence[Classed]) -> list[Key]:
    """All classes in order: by number, or by name. Raises DataProblem for parts that do not have the same, or not by the same rule."""
    first, *others = [*train, *held_out]
    for other in others:
        if type(other.keys[0]) is not type(first.keys[0]):
            kinds = f"{_kind(other.keys[0])}, {first.listing} {_kind(first.keys[0])}"
            raise DataProblem(f"{other.listing}: has {kinds}; give all parts their classes in the same way")
    if first.keys[0] is None:
        return [None]
    if isinstance(first.keys[0], int):
        return list(range(_highest(train, held_out) + 1))
    found = [sorted({str(key) for part in parts for key in part.keys}) for parts in (train, held_out)]
    if held_out and found[0] != found[1]:
        odd = shown(min(set(found[0]) ^ set(found[1])))
        raise DataProblem(f"{held_out[0].listing}: has other classes than {train[0].listing} ('{odd}'); give both the same folders")
    return list(found[0])


def passed_over(parts: Sequence[Classed]) -> Counter[str]:
    """How many files all parts together pass over, by the reason."""
    found = Counter({BESIDE: sum(part.beside for part in parts)})
    for listing in {part.listing.place: part.listing for part in parts}.values():  # two parts can lie in one place
        found += listing.reasons()
    return +found


def _highest(train: Sequence[Classed], held_out: Sequence[Classed]) -> int:
    every = [(int(key or 0), entry) for part in (*train, *held_out) for entry, key in part]
    pictures = sum(len(part.keys) for part in train)
    top, entry = max(every, key=lambda one: one[0])
    if top >= pictures:  # before a table of that many classes is made
        raise DataProblem(f"{entry.place}: label {top} is out of range for {pictures} pictures; number the classes 0, 1, 2, ...")
    absent = set(range(top + 1)).difference(*(part.keys for part in train))
    if absent:
        cure = "number the classes without gaps, or add pictures"
        raise DataProblem(f"{train[0].listing}: the training part has no picture of class '{min(absent)}'; {cure}")
    return top


def _settled(listing: Listing) -> Listing:
    """Without a dataset.json that is another program's: in a folder, many are called so."""
    if listing.index is None or listing.archive:
        return listing
    with suppress(ValueError, TypeError, OSError, RecursionError):
        if "labels" in dict(json.loads(listing.index.read())):
            return listing
    return replace(listing, index=None, below=(), others=[*listing.others, (listing.index.parts, ".json")])


def _by_index(listing: Listing, index: Entry) -> Classed:
    with problems_at(index.place, "make the archive again"):
        labels = _labels(json.loads(index.read()))
    if labels is None:
        return Classed(listing, listing.pictures, [None] * len(listing.pictures))
    names = [same("/".join(entry.parts[len(listing.below) :])) for entry in listing.pictures]
    for name, entry in zip(names, listing.pictures, strict=True):
        if name not in labels:
            cure = "list it there with its class, or make the archive again without it"
            raise DataProblem(f"{entry.place}: is not listed in {INDEX}; {cure}")
    if absent := labels.keys() - set(names):
        raise DataProblem(f"{listing.at(shown(min(absent)))}: is listed in {INDEX}, but not there; add it, or take it off the list")
    return Classed(listing, listing.pictures, [labels[name] for name in names])


def _labels(index: Any) -> dict[str, int] | None:
    """Class of each member, None for `"labels": null`. Raises ValueError for anything but `{"labels": [[member, class], ...]}`."""
    listed = index.get("labels", ()) if isinstance(index, dict) else ()
    if listed is None:
        return None
    if not listed:
        raise ValueError("it holds no labels")
    labels: dict[str, int] = {}
    for pair in listed:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(f"{pair!r} is not a pair of a picture and its class")
        member, label = same("/".join(PureWindowsPath(pair[0]).parts)), pair[1]
        if type(label) is not int or label < 0:
            raise ValueError(f"the label {label!r} of {shown(member)} is not a class number (0, 1, 2, ...)")
        if member in labels:
            raise ValueError(f"{shown(member)} is listed twice")
        labels[member] = label
    return labels


def _unwrapped(listing: Listing) -> Listing:
    """Where all class folders lie in one folder, that folder, as programs that pack a folder put its name before everything."""
    while len(listing.first()) == 1:
        inside = listing.inside(listing.first()[0])
        deep = all(len(entry.parts) > len(inside.below) + 1 for entry in inside.pictures)
        if not deep or len(inside.pictures) < len(listing.pictures) or not inside.first():
            break
        listing = inside
    return listing


def _nothing(listing: Listing) -> str:
    depth = len(listing.below)
    passed = Counter(reason for parts, reason in listing.others if parts[:depth] == listing.below)
    return f"holds no pictures ({', '.join(SUFFIXES)})" + (f", but {in_words(passed)}" if passed else "")


def _kind(key: Key) -> str:
    return "no classes" if key is None else f"class numbers in {INDEX}" if isinstance(key, int) else "class folders"
