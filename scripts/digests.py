"""The SHA-256 of the samples and of the scores of short studies, as JSON: what a change of the code must leave as it is.

OMP_NUM_THREADS=1 python scripts/digests.py before.json     before the change
OMP_NUM_THREADS=1 python scripts/digests.py after.json      after it: `cmp before.json after.json`

Every model under every regime on digits and on a toy world, judged by every metric; runs that were stopped and gone on with; an ablation
with its null models and two seeds. Four minutes on a quiet core. Digits agree on one machine with one number of threads.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from imgcollapse import store
from imgcollapse.metrics import askable
from imgcollapse.models import MODELS
from imgcollapse.settings import build
from imgcollapse.store.npz import read_images
from imgcollapse.study import Study, run

SHORT: dict[str, dict[str, Any]] = {"ddpm": {"steps": 20}, "vae": {"steps": 20}, "gmm": {"components": 3}}
PICTURES_ONLY = ("ddpm", "vae")
REGIMES: list[dict[str, Any]] = [
    {"kind": "replace"},
    {"kind": "retain", "real_fraction": 0.1},
    {"kind": "retain", "real_fraction": 0.25, "pool": "fixed"},
    {"kind": "retain", "real_fraction": 0.2, "pool": "fresh"},
    {"kind": "accumulate"},
]
ABLATION = ["--dataset", "digits", "--model", "vae", "--set", "model.steps=20", "--regime", "replace,retain", "--samples", "200"]
ABLATION += ["--gens", "2", "--seeds", "2", "--threads", "1", "--jobs", "1"]


class Stop(Exception):
    """Ends a run after a generation has landed, as a kill would."""


def stop(generation: int, *_: object) -> None:
    """Called for every generation that has landed."""
    if generation == 1:
        raise Stop


def studies() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and the settings of each."""
    for data in ("digits", "grid25"):
        for kind in (kind for kind in MODELS if data == "digits" or kind not in PICTURES_ONLY):
            for number, regime in enumerate(REGIMES):
                judge = {"metrics": askable(), **({"extractors": ["classifier", "pixels"]} if data == "digits" else {})}
                model = {"kind": kind, **SHORT.get(kind, {})}
                values = {"dataset": data, "model": model, "regime": regime, "judge": judge, "gens": 3, "samples": 200}
                yield f"{data}-{kind}-{regime['kind']}{number}", values


def digests(folder: Path) -> list[dict[str, str]]:
    """Of each generation's samples, pictures of equal noise, and scores."""
    found = []
    for generation in store.finished(folder):
        place = store.generation_folder(folder, generation)
        scores = json.dumps(store.scores_of(folder, generation).record(), sort_keys=True)
        images = {part: read_images(place / part) for part in (store.SAMPLES, store.LATENTS)}
        born = {part: hashlib.sha256(one.born.numpy().tobytes()).hexdigest()[:8] for part, one in images.items()}
        found.append({part: f"{one.digest()[:16]}-{born[part]}" for part, one in images.items()})
        found[-1]["scores"] = hashlib.sha256(scores.encode()).hexdigest()[:16]
    return found


def main(out: Path) -> None:
    """Carries all of it out in a temporary folder, and writes the digests."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, values in studies():
            study, folder = build(Study, values), Path(place) / name
            with contextlib.suppress(Stop):
                run(study, folder, stop if values["model"]["kind"] in ("vae", "gmm") else lambda *_: None)
            run(study, folder)
            found[name] = digests(folder)
            print(name, file=sys.stderr, flush=True)
        ablation = Path(place) / "ablation"
        command = [sys.executable, "-m", "imgcollapse", "ablate", *ABLATION, "--out", str(ablation)]
        subprocess.run(command, check=True, capture_output=True)
        found["ablation"] = {path.name.rpartition("-")[0]: digests(path) for path in sorted((ablation / "runs").iterdir())}
        found["ablation.csv"] = hashlib.sha256((ablation / "ablation.csv").read_bytes()).hexdigest()[:16]
    out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
