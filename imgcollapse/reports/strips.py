"""The pictures of a page: mosaics of samples, and rows from the same noise."""

from typing import Any

from imgcollapse import store
from imgcollapse.ablation.summary import Run
from imgcollapse.judges.titles import metric_title
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.models.nulls import REDRAWN
from imgcollapse.regimes import made_of
from imgcollapse.reports import pictures, tables, thin
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.pictures import Keep, Picture
from imgcollapse.store.records import read_json

SMALL = 64  # pixels: pictures of this side or less are enlarged without smoothing
CAPTION = 3  # scores below a picture


def strips(findings: Findings, size: tuple[int, int, int], keep: Keep) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mosaics of samples, and rows from the same noise, of each arm's first run that has begun; of very many generations some."""
    strip, noise = [], []
    for number, (arm, runs) in enumerate(findings.arms.items()):
        run = tables.first_run(findings, runs)
        if run is None:
            continue
        there = findings.there(run)
        kept = [generation for generation in there if store.has(run.folder, generation, store.SAMPLES)]
        frames = [
            _frame(pictures.samples(run, g, size), keep, g, f"Samples of {arm}, generation {g}", _caption(run, g))
            for g in thin.evenly(kept, thin.STOPS)
        ]
        latents = [(g, pictures.same_noise(run, g, size)) for g in sorted({*there} & {*findings.stops})]
        rows = [_frame(same, keep, g, f"{arm}, generation {g}, from the same noise") for g, same in latents if same is not None]
        fine = store.read_pixels(store.generation_folder(run.folder, there[0]) / store.LATENTS, 1).shape[3] <= SMALL
        about = {"number": number, "name": f"{arm}, seed {run.seed}", "fine": fine}
        strip.append({**about, "frames": frames, "gone": len(kept) < len(there)})
        if rows and run.study.model.kind not in REDRAWN:  # which have no noise to start from: their seed draws training pictures
            noise.append({**about, "frames": rows})
    return strip, noise


def _frame(picture: Picture, keep: Keep, generation: int, alt: str, caption: str = "") -> dict[str, Any]:
    size = {"width": picture.width, "height": picture.height}
    return {"generation": generation, "src": keep(picture), **size, "alt": alt, "caption": caption}


def _caption(run: Run, generation: int) -> str:
    """`learned from 10 % real, 90 % generation 2; FD 9.12, recall 0.812`."""
    words = made_of(read_json(store.generation_folder(run.folder, generation) / store.PROVENANCE))
    for extractor, values in store.scores_of(run.folder, generation).sources.items():
        there = worth_showing(CAPTION, values)
        shown = [f"{metric_title(key, extractor, short=True)} {values[key].value:.{SCORES[key].decimals}f}" for key in there]
        if shown:
            return f"{words}; {', '.join(shown)}"
    return words
