"""The contract kit: our own parts pass it (in the tests of their rooms), and a part that breaks a line is told which."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from imgcollapse import testing
from imgcollapse.datasets.dataset import Dataset
from imgcollapse.extractors.pixels import Pixels
from imgcollapse.gates.curate import Curate
from imgcollapse.images import ImageSet, World
from imgcollapse.metrics import METRICS, Evidence, Metric
from imgcollapse.metrics.score import UNIT, Score
from imgcollapse.models.nulls import Bootstrap
from imgcollapse.regimes import Real
from imgcollapse.regimes.regime import Plan
from imgcollapse.regimes.replace import Replace
from imgcollapse.settings import Settings
from imgcollapse.testing import pictures


def breaks(check: Callable[[Any], Any], part: Any, line: str) -> None:
    with pytest.raises(AssertionError, match=f"^{line}"):
        check(part)


def like(kind: type, **methods: Any) -> Any:
    """A part of a class that is derived from that one."""
    return type(kind.__name__, (kind,), {"__doc__": "Another.", "__module__": __name__, **methods})()


def test_what_is_whole_passes() -> None:
    testing.check_model(like(Bootstrap))
    testing.check_regime(like(Replace))
    testing.check_gate(like(Curate))
    testing.check_extractor(like(Pixels))


def unseeded(self: Any, n: int, seed: int) -> ImageSet:
    return Bootstrap.sample(self, n, int(torch.randint(1000, (), generator=None)))


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        ({"sample": lambda self, n, seed: Bootstrap.sample(self, n - 1, seed)}, r"Model\.sample gave 19 pictures; it was asked for 20"),
        ({"sample": lambda self, n, seed: None}, r"Model\.sample gave NoneType; it must give an imgcollapse\.images\.ImageSet"),
        ({"sample": lambda self, n, seed: Bootstrap.sample(self, n, 0)}, r"Model\.sample: another seed draws other pictures"),
        ({"sample": unseeded}, r"Model(\.sample: a function of the seed|: torch's global generator)"),
        (
            {"sample": lambda self, n, seed: ImageSet.of((one := Bootstrap.sample(self, n, seed)).pixels, one.labels + 7)},
            r"Model\.sample: labels are classes it has learned, or -1: \[7, 8\]",
        ),
        ({"fit": lambda self, images, seed, start=None: self}, r"Model\.fit: a fitted copy"),
        ({"save": lambda self, folder: None}, r"Model\.save: writes into the folder"),
        ({"load": lambda self, folder: self.fit(pictures(9), 0)}, r"Model\.load: what was saved draws the same pictures"),
    ],
)
def test_a_model_is_told_which_line_it_breaks(methods: dict[str, Any], line: str) -> None:
    breaks(testing.check_model, like(Bootstrap, **methods), line)


def swapped(self: Any, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
    return past[-1] if past else real.seen[:5]


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        ({"__call__": swapped}, r"Regime\.__call__: the training set of generation 0 is `real\.seen`, whole"),
        ({"__call__": lambda self, real, past, n, seed: past[0] if past else real.seen}, r"Regime\.needs_all_samples: false"),
        (
            {"__call__": lambda self, real, past, n, seed: past[-1].born_in(9) if past else real.seen},
            r"Regime\.__call__: who made each picture",
        ),
        (
            {"__call__": lambda self, real, past, n, seed: past[-1][torch.randperm(n)] if past else real.seen},
            r"Regime\.__call__: a function of the seed",
        ),
        ({"plan": lambda self, n, gens, have: Plan(n, 100 * n)}, r"Regime\.plan: no more real pictures than there are"),
        ({"title": lambda self: ""}, r"Regime\.title: a few words"),
    ],
)
def test_a_regime_is_told(methods: dict[str, Any], line: str) -> None:
    breaks(testing.check_regime, like(Replace, **methods), line)


def brighter(self: Any, drawn: ImageSet, seed: int) -> ImageSet:
    return ImageSet(drawn.pixels // 2, drawn.labels, drawn.born)


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        ({"candidates": lambda self, n: n - 1}, r"Gate\.candidates: n or more"),
        ({"publish": lambda self, drawn, seed: drawn[1:]}, r"Gate\.publish gave 199 pictures; it was asked for 200"),
        ({"publish": lambda self, drawn, seed: drawn.born_in(5)}, r"Gate\.publish: who made each picture"),
        ({"publish": brighter}, r"Gate\.changes: false, but publish changes pictures"),
        ({"admit": lambda self, offered, *_: torch.ones(len(offered))}, r"Gate\.admit gave float32 \[200\]"),
        ({"admit": lambda self, offered, *_: torch.rand(len(offered)) > 0.5}, r"Gate\.admit: a function of pictures and seed"),
        ({"admit": lambda self, offered, *_: torch.ones(200, dtype=torch.bool)}, r"Gate\.admit, of no picture gave bool \[200\]"),
    ],
)
def test_a_gate_is_told(methods: dict[str, Any], line: str) -> None:
    breaks(testing.check_gate, like(Curate, **methods), line)


class Few(Dataset):
    """Two classes."""

    kind: Literal["few"] = "few"

    def read(self, seed: int, extra: int) -> World:
        """200 and 90."""
        return World("few", pictures(200), pictures(90, seed=1), ("up", "down"))


def reading(train: Callable[[int], ImageSet] = lambda seed: pictures(200), name: str = "few") -> dict[str, Any]:
    return {"read": lambda self, seed, extra: World(name, train(seed), pictures(90, seed=1), ("up", "down"))}


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        (reading(name="other"), r"Dataset\.read: the world's name begins with the kind: other"),
        (reading(lambda seed: pictures(200, seed=seed)), r"Dataset\.read: the same for every seed"),
        (reading(lambda seed: pictures(200, seed=int(torch.randint(10**6, ())))), r"Dataset\.read: the same for ever"),
        (reading(lambda seed: pictures(200).born_in(3)), r"Dataset\.read: real pictures are born REAL"),
    ],
)
def test_a_data_set_is_told(methods: dict[str, Any], line: str) -> None:
    testing.check_dataset(Few())
    breaks(testing.check_dataset, like(Few, **methods), line)


class Fitted(SimpleNamespace):
    def features(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.see(pixels)
        return found

    def probabilities(self, features_ND: Tensor) -> Tensor | None:
        return None if self.sure is None else self.sure(features_ND)

    def record(self) -> dict[str, object]:
        return dict(self.about)


def flat(pixels: Tensor) -> Tensor:
    return pixels.flatten(1).float()


def fitting(see: Callable[[Tensor], Tensor] = flat, sure: Any = None, **about: Any) -> dict[str, Any]:
    fitted = Fitted(name="own", see=see, sure=sure, about={"digest": "", "dim": 64, **about})
    return {"fit": lambda self, world: fitted}


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        (fitting(lambda pixels: flat(pixels).double()), r"FittedExtractor\.features gave float64 \[90, 64\]; it must give a float32"),
        (fitting(lambda pixels: flat(pixels) / 0), r"FittedExtractor\.features gave features that are NaN or infinite"),
        (fitting(lambda pixels: flat(pixels) - flat(pixels).mean(0)), r"FittedExtractor\.features: of each picture by itself"),
        (fitting(dim=3), r"FittedExtractor\.record: dim is 3, and there are 64 features"),
        (fitting(sure=lambda found: torch.ones(90, 3)), r"FittedExtractor\.probabilities: float32 \[N, classes\]"),
        (fitting(sure=lambda found: torch.ones(90, 2)), r"FittedExtractor\.probabilities: they add up to 1"),
    ],
)
def test_an_extractor_is_told(methods: dict[str, Any], line: str) -> None:
    breaks(testing.check_extractor, like(Pixels, **methods), line)


def spread(evidence: Evidence) -> dict[str, float]:
    return {"share": float(evidence.generated.features.std())}


def scored(measure: Callable[[Any], Any], doc: str = "A share.") -> Metric:
    measure.__doc__ = doc
    return Metric(measure, {"share": Score("share", "how much", "higher", "linear", 2, "A share.", bounds=UNIT)})


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        (scored(lambda evidence: {"share": 0.5}, doc=""), r"Metric\.measure: has a first line of documentation"),
        (scored(lambda evidence: {}), r"Metric\.measure: gives every score: \['share'\] not"),
        (scored(lambda evidence: {"other": 1.0}), r"Metric\.measure gave 'other', which is none of its scores"),
        (scored(lambda evidence: [1.0]), r"Metric\.measure gave .*; it must give a dict"),
        (
            scored(spread),
            r"Score\.bounds of 'share': .* is not within \(0\.0, 1\.0\)",
        ),
        (scored(lambda evidence: {"share": float(torch.rand(()))}), r"Metric\.measure: a function of the evidence"),
    ],
)
def test_a_metric_is_told(metric: Metric, line: str) -> None:
    breaks(testing.check_metric, metric, line)


@pytest.mark.parametrize("name", ["frechet_distance", "kernel_distance", "neighbourhood", "vendi_score", "symmetric_precision_recall"])
def test_our_metrics_of_features_keep_the_contract(name: str) -> None:
    testing.check_metric(METRICS[name])


class Undescribed(Curate):
    """Another."""

    LATER: ClassVar = ()
    extra: int = 3


class Faded(Settings):
    """Lacks most of what a gate is."""

    kind: Literal["faded"] = "faded"


def test_what_is_no_part_and_what_raises_is_told_in_a_line() -> None:
    breaks(testing.check_gate, Curate, r"^Curate: a class; give what it makes, with its options")
    breaks(testing.check_gate, Faded(), r"^Faded lacks `admit`: ")
    breaks(testing.check_metric, spread, r"^function: it is no Metric")
    breaks(testing.check_metric, METRICS, r"^dict: it is no Metric")
    breaks(testing.check_metric, scored(lambda evidence: {"share": [][0]}), r"^IndexError: list index out of range$")


def test_options_are_described_and_come_back() -> None:
    breaks(testing.check_gate, Undescribed(), r"Undescribed\.extra: an option has a description")
