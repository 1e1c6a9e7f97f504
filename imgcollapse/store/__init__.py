"""All that must survive a kill: run folders, what runs share, arrays on the disk. Readers stand here; `run_folder` writes."""

from pathlib import Path
from typing import Any

from imgcollapse.files import locks
from imgcollapse.store import manifest
from imgcollapse.store.begun import parsed
from imgcollapse.store.checks import check, chosen, finished, misfit, numbers, sound
from imgcollapse.store.judged import is_judged, known_reference, landed, reference, scores, scores_of, unjudged
from imgcollapse.store.layout import (
    DATA,
    ENVIRONMENT,
    LATENTS,
    LOCK,
    MENDS,
    MODEL,
    PROGRAMS,
    PROVENANCE,
    REFERENCE,
    SAMPLES,
    SCORES,
    START,
    STUDY,
    UNMARKED,
    chain_folder,
    generation_folder,
    grid,
    origin_folder,
)
from imgcollapse.store.npz import read_images, read_pixels
from imgcollapse.store.past import kept_model
from imgcollapse.store.records import read_json, read_sealed, readable

__all__ = [
    "DATA",
    "ENVIRONMENT",
    "LATENTS",
    "LOCK",
    "MENDS",
    "MODEL",
    "PROGRAMS",
    "PROVENANCE",
    "REFERENCE",
    "SAMPLES",
    "SCORES",
    "START",
    "STUDY",
    "UNMARKED",
    "chain_folder",
    "check",
    "chosen",
    "classes",
    "finished",
    "generation_folder",
    "grid",
    "has",
    "in_use",
    "is_judged",
    "kept_model",
    "known_reference",
    "landed",
    "misfit",
    "numbers",
    "origin_folder",
    "parsed",
    "read_images",
    "read_json",
    "read_pixels",
    "readable",
    "reference",
    "scores",
    "scores_of",
    "sessions",
    "sound",
    "unjudged",
    "whole",
]


def in_use(run: Path) -> bool:
    """Whether a process is writing this run now."""
    return locks.is_locked(run / LOCK)


def has(run: Path, generation: int | str, part: str) -> bool:
    """Whether a part of a finished generation (SAMPLES, UNMARKED, MODEL) is kept, and has not been thrown away on purpose.

    generation: its number, or as `origin_folder` has it.
    """
    return manifest.has(origin_folder(run, str(generation)), part)


def classes(run: Path) -> list[str]:
    """The names of the classes; labels index them. Raises DataProblem where the record of them is damaged."""
    return list(read_sealed(run / DATA)["classes"])


def sessions(run: Path) -> list[dict[str, Any]]:
    """With what versions and hardware each session of the run worked, in order; none where that is not known."""
    return list((readable(run / ENVIRONMENT, quiet=True) or {}).get("sessions", []))


def whole(run: Path) -> bool:
    """Whether nothing is left to mend or to judge: the run's own records can be read, and what was to be judged is."""
    return all(readable(run / name, quiet=True) is not None for name in (DATA, ENVIRONMENT)) and not unjudged(run)
