"""What lies where in a run folder."""

import re
from pathlib import Path

STUDY, DATA, START, ENVIRONMENT, LOCK = "study.yaml", "data.json", "start.json", "environment.json", ".lock"
ENDED = "ended.json"  # by what condition a run ended before its last generation
LOG = "log.txt"  # all that was told while the run was worked on, see `imgcollapse.store.log`
UNFINISHED = "unfinished"  # checkpoints of generations that are being made: unfinished/gen_000/fit_0.safetensors, ...
PROGRAMS = "programs"  # what programs of the user's have printed, and where they work: programs/gen_000/fit.log, ...
SCORES, REFERENCE = "scores", "reference.json"  # scores/JUDGE/: reference.json, gen_000.json, ...
SAMPLES, LATENTS, PROVENANCE, MODEL = "samples.npz", "latents.npz", "provenance.json", "model"  # in a generation's folder
UNMARKED = "drawn.npz"  # there too, where a gate changes pictures: the samples as they were drawn, before any gate did
GENERATION, GRID = re.compile(r"gen_(\d{3,})"), re.compile(r"grid_(\d{3,})\.png")
MENDS = "run the run's own command again, which repairs it"


def generation_folder(run: Path, generation: int) -> Path:
    """Where that generation lies."""
    return run / f"gen_{generation:03d}"


def grid(generation: int) -> str:
    """The name of its sample grid, in the run folder."""
    return f"grid_{generation:03d}.png"


def chain_folder(run: Path, chain: int) -> Path:
    """Where that chain of an ensemble lies, in the ensemble's folder."""
    return run / f"chain_{chain}"


def origin_folder(run: Path, origin: str) -> Path:
    """Where a generation lies whose samples a run has used: `3`, one of its own, or `3 of chain 1`, one of its ensemble's.

    The run is the ensemble itself, or one of its chains.
    """
    generation, _, chain = origin.partition(" of chain ")
    if not chain:
        return generation_folder(run, int(generation))
    inside = chain_folder(run, int(chain))
    return generation_folder(inside if inside.is_dir() else chain_folder(run.parent, int(chain)), int(generation))
