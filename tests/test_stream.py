"""Real pictures in a stream: what every batch holds, what provenance counts, and what goes on after a kill."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from imgcollapse import seeds, store
from imgcollapse.ablation.grid import Ablation
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import REAL, ImageSet
from imgcollapse.models.stream import MixedStream, ModelStream
from imgcollapse.models.vae import VAE
from imgcollapse.regimes import Real, Retain
from imgcollapse.settings import build
from imgcollapse.study import Study, run
from imgcollapse.training import Stream, Training

SHAPE = (1, 4, 4)
VAE_OPTIONS = {"kind": "vae", "steps": 30, "batch": 16, "width": 8, "prior": "normal"}
STUDY: dict[str, Any] = {"dataset": "digits", "model": VAE_OPTIONS, "samples": 100, "gens": 3, "judge": {"extractors": []}}


class Grey:
    """Draws pictures of one value, each with noise of its own."""

    def sample(self, n: int, seed: int) -> ImageSet:
        return ImageSet.of(torch.randint(200, 256, (n, *SHAPE), generator=seeds.torch_generator(seed), dtype=torch.uint8))


def numbered(n: int) -> ImageSet:
    """Real pictures that carry their own number; of three classes."""
    return ImageSet.of(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, *SHAPE), torch.arange(n) % 3)


def stream(real: int, samples: int, rows: int, seed: int = 0) -> MixedStream:
    return MixedStream(ModelStream(Grey(), SHAPE, False, 4, "digest"), numbered(real), samples, rows, seed)


@pytest.mark.parametrize(("real", "samples", "rows"), [(10, 90, 32), (7, 5, 9), (3, 997, 50), (40, 1, 16)])
def test_every_batch_holds_its_share_of_real_pictures_and_each_of_them_comes_equally_often(real: int, samples: int, rows: int) -> None:
    mixed, steps, share = stream(real, samples, rows), 60, real / (real + samples)
    batches = [mixed.batch(rows, step, step * rows) for step in range(steps)]
    is_real = torch.stack([one.born == REAL for one in batches])
    assert ((is_real.sum(1) - share * rows).abs() < 1).all() and abs(is_real.sum().item() - share * steps * rows) <= 0.5
    assert set(torch.cat([one.born for one in batches]).tolist()) <= {REAL, 4}
    numbers = [int(picture[0, 0, 0]) for one in batches for picture in one.pixels[one.born == REAL]]
    times = Counter(numbers)
    assert max(times.values()) - min(times.get(number, 0) for number in range(real)) <= 1, "by permutations, one after the other"
    classes = Counter(str(number % 3) for number in numbers)
    drawn = steps * rows - len(numbers)
    expected = {"real": {"pictures": len(numbers), "classes": dict(classes)}, "generation 4": {"pictures": drawn, "classes": {}}}
    assert mixed.consumed(steps * rows, ("0", "1", "2")) == expected
    whole = torch.cat([one.pixels for one in batches])[~is_real.flatten()].flatten(1)
    assert len(whole.unique(dim=0)) == len(whole), "no sample comes twice"


def test_real_pictures_lie_anywhere_in_a_batch() -> None:
    """Else each would always meet the same levels of noise, which are stratified over a batch."""
    mixed, steps, rows = stream(25, 75, 20), 2000, 20
    where = torch.stack([mixed.batch(rows, step, step * rows).born == REAL for step in range(steps)]).double().mean(0)
    assert (where - 0.25).abs().max() < 4.5 * (0.25 * 0.75 / steps) ** 0.5


def test_several_batches_at_once_have_the_real_pictures_of_single_ones_and_a_resumed_stream_goes_on() -> None:
    mixed = stream(10, 30, 8)
    alone = [mixed.batch(8, step, step * 8) for step in range(6)]
    at_once = mixed.batch(48, 0, 0)
    for step, one in enumerate(alone):
        there = at_once[slice(8 * step, 8 * step + 8)]
        assert torch.equal(there.born, one.born) and torch.equal(there.pixels[there.born == REAL], one.pixels[one.born == REAL])
    part = mixed.batch(21, 0, 13)  # from anywhere
    assert torch.equal(part.born, at_once.born[13:34])
    assert torch.equal(part.pixels[part.born == REAL], at_once[slice(13, 34)].pixels[at_once.born[13:34] == REAL])
    source = Stream(mixed, lambda images: (images.pixels, images.labels))
    options, here = Training(steps=700, batch=8), torch.device("cpu")
    whole = list(source.batches(options, 1, slice(None), here))
    for first in (1, 511, 512, 600):  # 512 batches are drawn at once
        again = list(source.batches(options, 1, slice(None), here, first))
        assert all(torch.equal(a[0], b[0]) for a, b in zip(again, whole[first:], strict=True))
    assert len(mixed.batch(0, 0)) == 0


def records(folder: Path) -> list[dict[str, Any]]:
    return [store.read_json(place / store.PROVENANCE) for place in sorted(folder.glob("gen_*"))]


def made(folder: Path, regime: dict[str, Any], **more: Any) -> Path:
    run(build(Study, {**STUDY, "regime": regime, **more}), folder)
    return folder


def samples(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("gen_*/samples.npz"))]


@pytest.mark.parametrize("pool", [pytest.param("fixed", marks=pytest.mark.slow), "resample", pytest.param("fresh", marks=pytest.mark.slow)])
def test_provenance_counts_what_a_network_consumed(pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcollapse.training.sources.DRAWN_AT_ONCE", 64)
    consumed: list[ImageSet] = []
    own = MixedStream.batch

    def spied(self: MixedStream, n: int, seed: int, first: int = 0) -> ImageSet:
        assert n <= 64, "no more than a few batches lie in memory"
        consumed.append(own(self, n, seed, first))
        return consumed[-1]

    monkeypatch.setattr(MixedStream, "batch", spied)
    regime = {"kind": "retain", "real_fraction": 0.1, "pool": pool, "stream": True, "pool_bias": {"classes": (2, 5)}}
    folder = made(tmp_path / "run", regime)
    calls = iter(consumed)
    for generation, record in enumerate(records(folder)[1:], 1):
        there = [next(calls) for _ in range(-(-30 * 16 // 64))]
        born, labels = torch.cat([one.born for one in there]), torch.cat([one.labels for one in there])
        assert record["size"] == len(born) == 480 and record["pool_bias"]["classes"] == [2, 5]
        of_class = Counter(map(str, labels[born == REAL].tolist()))
        assert record["made_of"]["real"] == {"pictures": 48, "classes": of_class} and set(of_class) == {"2", "5"}
        assert record["made_of"][f"generation {generation - 1}"]["pictures"] == int((born == generation - 1).sum()) == 432
    digests = [record["stream"]["real"]["sha256"] for record in records(folder)[1:]]
    assert (digests[0] == digests[1]) == (pool == "fixed")
    again = made(tmp_path / "again", regime)
    assert samples(again) == samples(folder) and records(again) == records(folder)


def test_without_real_pictures_it_is_the_stream_of_replace_and_without_samples_a_set(tmp_path: Path) -> None:
    streams = [{"kind": "replace", "stream": True}, {"kind": "retain", "real_fraction": 0.0, "stream": True}]
    one, other = (made(tmp_path / regime["kind"], regime, gens=2) for regime in streams)
    assert samples(one) == samples(other) and records(one) == records(other)
    sets = [{"kind": "retain", "real_fraction": 1.0, "stream": both} for both in (True, False)]
    one, other = (made(tmp_path / str(regime["stream"]), regime, gens=2) for regime in sets)
    assert samples(one) == samples(other) and records(one) == records(other)


def test_a_stream_has_the_real_pictures_of_the_set_it_stands_for() -> None:
    real = Real(numbered(50), numbered(60)[slice(50, 60)])
    past = [ImageSet.of(torch.full((50, *SHAPE), 99, dtype=torch.uint8), born=0)] * 2
    for pool in ("fixed", "resample", "fresh"):
        regime = build(Retain, {"pool": pool, "stream": True})
        pictures, beside = regime.beside(real, 2, 50, 3)
        whole = regime(real, past, 50, 3)
        assert beside == 45 and torch.equal(pictures.pixels, whole.pixels[whole.born == REAL])
        assert regime.title() == f"retain 10 % real ({pool}, stream)"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": "gmm"}, r"^regime\.stream: model 'gmm' learns from a whole set at once; set it to false, or take a network"),
        ({"gates": ["curate"]}, r"^gates: a stream has no set of samples that a gate could look at; set regime\.stream to false"),
        (
            {"regime": {"kind": "retain", "stream": True, "refill": True}},
            r"^regime: refill stands in for samples that gates turn away, and a",
        ),
        ({"regime": {"kind": "retain", "stream": True, "pool": "fresh"}, "samples": 1198}, r"^regime\.pool: fresh real pictures will not"),
    ],
)
def test_what_cannot_stream_is_refused_before_anything_is_written(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match=said):
        run(build(Study, {**STUDY, "regime": {"kind": "retain", "stream": True}, **values}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_chain_with_a_mixed_stream_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regime = {"kind": "retain", "stream": True}
    whole = made(tmp_path / "whole", regime)
    made(tmp_path / "part", regime, gens=2)
    fits: list[object] = []
    own = VAE.fit
    monkeypatch.setattr(VAE, "fit", lambda self, *args, **more: fits.append(self) or own(self, *args, **more))
    assert samples(made(tmp_path / "part", regime)) == samples(whole) and len(fits) == 1


def test_the_null_models_of_an_ablation_learn_from_the_set_that_a_stream_stands_for() -> None:
    arms = {kind: {"regime": {"kind": kind, "stream": True}} for kind in ("retain", "replace")}
    studies = list(build(Ablation, {"base": {"dataset": "digits", "model": VAE_OPTIONS}, "arms": arms}).studies())
    assert [(arm, null, own.regime.streams) for arm, null, own in studies] == [
        (arm, null, null is None) for arm in arms for null in (None, "bootstrap", "smooth")
    ]
    assert {own.regime.kind for arm, _, own in studies if arm == "retain"} == {"retain"}
