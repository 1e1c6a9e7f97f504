"""The contract tests of imgcollapse's own parts, for the parts of others: call them in your own tests.

    from imgcollapse.testing import check_model
    from mine import Noisy

    def test_noisy() -> None:
        check_model(Noisy())

Each raises an AssertionError that names the line of the contract that the part breaks.
"""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from imgcollapse import datasets
from imgcollapse.datasets.dataset import Dataset
from imgcollapse.errors import ProgramProblem
from imgcollapse.extractors import Extractor
from imgcollapse.gates import Gate
from imgcollapse.images import REAL, UNLABELLED, ImageSet, World, promises
from imgcollapse.metrics import Evidence, FeatureSet, Metric
from imgcollapse.models import Model
from imgcollapse.plugins.parts import lacking
from imgcollapse.regimes import Real, Regime
from imgcollapse.regimes.regime import Have
from imgcollapse.settings import Settings, build

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["check_dataset", "check_extractor", "check_gate", "check_metric", "check_model", "check_regime", "pictures"]


def pictures(n: int = 48, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> ImageSet:
    """n pictures of (C, H, W), bright squares on dark in two places: two classes that every model can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    pixels = torch.randint(0, 40, (n, *shape), generator=generator, dtype=torch.uint8)
    half = shape[1] // 2
    pixels[labels == 0, :, :half] += 200
    pixels[labels == 1, :, half:] += 200
    return ImageSet.of(pixels, labels)


def _told(check: Callable[P, T]) -> Callable[P, T]:
    """Whatever else the part raises is a broken contract as well."""

    @wraps(check)
    def told(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return check(*arguments, **named)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error

    return told


@_told
def check_model(model: Model, images: ImageSet | None = None) -> None:
    """The contract of `imgcollapse.models.Model`, of a model that was not fitted, with options that make it quick.

    images: what it is to learn; two classes of 8x8 pictures where none are given
    """
    images, before = pictures() if images is None else images, torch.random.get_rng_state()
    _options(model, Model)
    classes = int(images.labels.max()) + 1
    chosen = model.for_world(images.shape, classes, images.are_points)
    _holds(_plain(chosen.for_world(images.shape, classes, images.are_points)) == _plain(chosen), "Model.for_world: what is chosen stays")
    fitted = chosen.fit(images, 5)
    _holds(fitted is not chosen, "Model.fit: a fitted copy; the model itself stays as it is")
    drawn = _promised(promises.pictures, fitted.sample(20, 9), 20, images, "Model.sample")
    labels = set(drawn.labels.tolist())
    _holds(labels <= {UNLABELLED, *range(classes)}, f"Model.sample: labels are classes it has learned, or {UNLABELLED}: {sorted(labels)}")
    _holds(_same(drawn, fitted.sample(20, 9)), "Model.sample: a function of the seed")
    _holds(not _same(drawn, fitted.sample(20, 10)), "Model.sample: another seed draws other pictures")
    _holds(_same(drawn, chosen.fit(images, 5).sample(20, 9)), "Model.fit: a function of pictures and seed")
    with TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        fitted.save(place)
        _holds(place.is_dir() and any(place.iterdir()), "Model.save: writes into the folder, which it makes")
        opened = chosen.load(place)
        _holds(_plain(opened) == _plain(fitted), "Model.load: its options are those that were saved")
        _holds(_same(drawn, opened.sample(20, 9)), "Model.load: what was saved draws the same pictures")
    _holds(torch.equal(before, torch.random.get_rng_state()), "Model: torch's global generator is left alone; use imgcollapse.seeds")


@_told
def check_regime(regime: Regime, n: int = 40) -> None:
    """The contract of `imgcollapse.regimes.Regime`, with n real pictures and three generations of n samples."""
    _options(regime, Regime)
    plan = regime.plan(n, 4, Have(10 * n, train=pictures(10 * n)))
    all_real = pictures(10 * n)
    _holds(plan.seen >= 1 and plan.unseen >= 0 and sum(plan) <= len(all_real), f"Regime.plan: no more real pictures than there are: {plan}")
    real = Real(seen=all_real[: plan.seen], unseen=all_real[plan.seen :])
    first = regime(real, [], n, 7)
    _holds(first.digest() == real.seen.digest(), "Regime.__call__: the training set of generation 0 is `real.seen`, whole")
    past = [pictures(n, seed=g + 1).born_in(g) for g in range(3)]
    made = regime(real, past, n, 3)
    _holds(isinstance(made, ImageSet) and len(made) > 0, "Regime.__call__: a training set")
    _holds(set(made.born.tolist()) <= {REAL, 0, 1, 2}, "Regime.__call__: who made each picture (`born`) is kept")
    _holds(made.digest() == regime(real, past, n, 3).digest(), "Regime.__call__: a function of the seed")
    newest = {REAL, 2}
    _holds(regime.needs_all_samples or set(made.born.tolist()) <= newest, "Regime.needs_all_samples: false, but it takes older ones")
    _holds(bool(regime.title()), "Regime.title: a few words")


@_told
def check_gate(gate: Gate, images: ImageSet | None = None) -> None:
    """The contract of `imgcollapse.gates.Gate`. images: of which half are real, and half are samples; at least 40."""
    _options(gate, Gate)
    images = pictures(400) if images is None else images
    half = len(images) // 2
    real, drawn = Real(seen=images[:half], unseen=images[:0]), images[half:].born_in(0)
    _holds(_promised(promises.count, gate.candidates(half), half, "Gate.candidates") >= half, "Gate.candidates: n or more")
    public = _promised(promises.pictures, gate.publish(drawn, 3), len(drawn), drawn, "Gate.publish")
    _holds(_same(public, gate.publish(drawn, 3)), "Gate.publish: a function of the seed")
    _holds(torch.equal(public.born, drawn.born), "Gate.publish: who made each picture (`born`) is kept")
    _holds(gate.changes or _same(public, drawn), "Gate.changes: false, but publish changes pictures")
    for offered in (public, real.seen):
        past: Sequence[ImageSet] = [] if offered is public else [public]
        mask = _promised(promises.mask, gate.admit(offered, real, past, 3), len(offered), "Gate.admit")
        _holds(torch.equal(mask, gate.admit(offered, real, past, 3)), "Gate.admit: a function of pictures and seed")
    _promised(promises.mask, gate.admit(public[:0], real, [], 3), 0, "Gate.admit, of no picture")
    _holds(bool(gate.title()), "Gate.title: a few words")


@_told
def check_dataset(dataset: Dataset) -> World:
    """The contract of `imgcollapse.datasets.dataset.Dataset`; returns the world of seed 1."""
    _options(dataset, Dataset)
    world = datasets.load(dataset, seed=1)
    train, held_out = world.train, world.held_out
    _holds(world.name.startswith(dataset.kind), f"Dataset.read: the world's name begins with the kind: {world.name}")
    _holds((train.shape, train.are_points) == (held_out.shape, held_out.are_points), "Dataset.read: both parts are of one size and type")
    for part in (train, held_out):
        _holds(part.pixels.is_contiguous() and part.pixels.device.type == "cpu", "Dataset.read: pixels are contiguous, on the CPU")
        _holds(set(part.labels.tolist()) == set(range(len(world.classes))), "Dataset.read: every class is in both parts, and no other")
        _holds(bool((part.born == REAL).all()), "Dataset.read: real pictures are born REAL")
    shape = train.shape
    fits = shape[:2] == (1, 1) if train.are_points else shape[0] in (1, 3) and float(train.pixels.float().std()) > 0
    _holds(fits, f"Dataset.read: pictures have 1 or 3 channels and differ, points are [N, 1, 1, D]: {shape}")
    again = datasets.load(dataset, seed=1)
    _holds(_same(again.train, train) and _same(again.held_out, held_out), "Dataset.read: the same for ever")
    other = datasets.load(dataset, seed=2, extra=7)
    if train.are_points:
        more = datasets.load(dataset, seed=1, extra=7)
        new = not _same(other.train, train) and len(other.train) == len(train) + 7
        _holds(new, "Dataset.read: a toy world is new for every seed")
        _holds(_same(more.train[: len(train)], train) and _same(more.held_out, held_out), "Dataset.read: `extra` points come last")
    elif dataset.shared_by_seeds:
        _holds(_same(other.train, train) and _same(other.held_out, held_out), "Dataset.read: the same for every seed (split: fixed)")
    return world


@_told
def check_extractor(extractor: Extractor, world: World | None = None) -> None:
    """The contract of `imgcollapse.extractors.Extractor`.

    world: what it is fitted to; two classes of 8x8 pictures where none is given
    """
    _options(extractor, Extractor)
    world = World("digits", pictures(200), pictures(90, seed=1), ("up", "down")) if world is None else world
    pixels = world.held_out.pixels
    fitted = extractor.fit(world)
    found = _promised(promises.features, fitted.features(pixels), len(pixels), "FittedExtractor.features")
    _holds(found.device.type == "cpu", "FittedExtractor.features: on the CPU")
    record = fitted.record()
    _holds({"digest", "dim"} <= set(record), f"FittedExtractor.record: has `digest` and `dim`: {sorted(record)}")
    _holds(record["dim"] == found.shape[1], f"FittedExtractor.record: dim is {record['dim']}, and there are {found.shape[1]} features")
    one = fitted.features(pixels[7:9])
    _holds(torch.allclose(one, found[7:9], rtol=1e-4, atol=1e-5), "FittedExtractor.features: of each picture by itself")
    again = extractor.fit(world).features(pixels)
    _holds(torch.allclose(again, found, rtol=1e-4, atol=1e-5), "Extractor.fit: a function of the world")
    sure = fitted.probabilities(found)
    if sure is not None:
        form, wanted = (sure.dtype, tuple(sure.shape)), (torch.float32, (len(pixels), len(world.classes)))
        _holds(form == wanted, f"FittedExtractor.probabilities: float32 [N, classes]: {form}")
        _holds(torch.allclose(sure.sum(1), torch.ones(len(sure)), atol=1e-4), "FittedExtractor.probabilities: they add up to 1")
    _holds(bool(fitted.name), "FittedExtractor.name: a word")


@_told
def check_metric(metric: Metric, evidence: Callable[[Tensor, Tensor], Evidence] | None = None) -> None:
    """The contract of `imgcollapse.metrics.Metric`, of one that looks at features.

    evidence: makes what it needs of two sets of features, held out and generated, each float64 [N, 4]; those alone where none is given
    """
    _holds(isinstance(metric, Metric), f"{type(metric).__name__}: it is no Metric(measure, {{name: Score(...)}}); give METRICS['mine']")
    _holds(bool((metric.measure.__doc__ or "").strip()), "Metric.measure: has a first line of documentation, for `imgcollapse list`")
    generator = torch.Generator().manual_seed(0)
    real, other = (torch.randn(200, 4, generator=generator, dtype=torch.float64) for _ in range(2))

    def measured(made: Tensor) -> dict[str, float]:
        of = evidence(real, made) if evidence else Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made))
        found: dict[str, float] = _promised(promises.values, metric.measure(of), metric.scores, "Metric.measure")
        return found

    near, far, one = measured(other), measured(4 * other + 3), measured(other[:1].expand(200, -1).contiguous())
    _holds(set(metric.scores) <= set(near), f"Metric.measure: gives every score: {sorted(set(metric.scores) - set(near))} not")
    _holds(measured(other) == near, "Metric.measure: a function of the evidence")
    for name, score in metric.scores.items():
        low, high = score.bounds
        for found in (near, far, one):
            value = found.get(name, math.nan)
            inside = math.isnan(value) or ((low is None or value >= low) and (high is None or value <= high))
            _holds(inside, f"Score.bounds of '{name}': {value:g} is not within {score.bounds}")


def _options(part: Any, contract: Any) -> None:
    """What all parts with options have in common: they are whole, come back from their plain values, and say what each option is."""
    kind = type(part)
    _holds(not isinstance(part, type), f"{getattr(part, '__name__', part)}: a class; give what it makes, with its options: check(Mine())")
    _holds(isinstance(part, Settings), f"{kind.__name__}: its options are an imgcollapse.settings.Settings")
    _holds(not (missing := lacking(kind, contract)), f"{kind.__name__} {missing}")
    _holds("kind" in kind.model_fields, f"{kind.__name__}.kind: its name in the table is a field, kind: Literal['mine'] = 'mine'")
    _holds(kind.model_fields["kind"].default == part.kind, f"{kind.__name__}.kind: its name in the table")
    _holds(bool((kind.__doc__ or "").strip()), f"{kind.__name__}: has a sentence of documentation, for `imgcollapse list`")
    plain = part.model_dump(mode="json")
    _holds(_plain(build(kind, plain)) == plain, f"{kind.__name__}: its options can be written down and read again")
    for name, field in kind.model_fields.items():
        _holds(name == "kind" or bool(field.description), f"{kind.__name__}.{name}: an option has a description, for `imgcollapse list`")


def _plain(part: Any) -> dict[str, Any]:
    return dict(part.model_dump(mode="json"))


def _same(one: ImageSet, other: ImageSet) -> bool:
    return one.digest() == other.digest()


def _promised(promise: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return promise(*arguments)
    except ProgramProblem as problem:
        raise AssertionError(str(problem)) from None


def _holds(true: bool, line: str) -> None:
    if not true:
        raise AssertionError(line)
