"""Detection without a mark: a classifier that has learned what samples of the first generation look like."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from imgcollapse.errors import DataProblem
from imgcollapse.gates.gate import kth_greatest
from imgcollapse.gates.raters import against, network_of, odds
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import CHAINS, ImageSet, World
from imgcollapse.regimes import Real
from imgcollapse.settings import Settings

if TYPE_CHECKING:
    from imgcollapse.extractors.classifier_network import ClassifierNetwork


class Detect(Settings):
    """Keep out of training sets what a real-vs-synthetic classifier takes for synthetic.

    It has learned from the samples of generation 0 alone, which themselves are let in, for there was no detector before them. Does it still
    work on those of later generations?
    """

    kind: Literal["detect"] = "detect"
    changes: ClassVar[bool] = False
    false_positives: float = Field(
        0.05, gt=0, lt=1, description="false-positive rate: share of real pictures that may be taken for synthetic"
    )

    def title(self) -> str:
        """Name and false-positive rate."""
        return f"{self.kind} ({100 * self.false_positives:g} % false positives)"

    def check(self, world: World) -> None:
        """Raises DataProblem for points."""
        if world.train.are_points:
            raise DataProblem("gates: 'detect' looks at pictures; a world of points has none")

    def candidates(self, n: int) -> int:
        """Twice as many: how many a detector lets in is not known before."""
        return 2 * n

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The same pictures."""
        return drawn

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """All that are not taken for synthetic, real or not; of generation 0, all."""
        if not len(past) or (len(offered) and int(offered.born[0]) % CHAINS == 0):
            return torch.ones(len(offered), dtype=torch.bool)
        network, threshold = _detector(real.seen, past[0], self.false_positives)
        return odds(network, offered.pixels) >= threshold

    def told_apart(self, samples: ImageSet, held_out: ImageSet, real: Real, past: Sequence[ImageSet]) -> tuple[Tensor, Tensor]:
        """The log odds of being synthetic. Of generation 0, whose samples the detector learns from, by one that has learned from every
        other sample, of the others."""
        learned, rated = (past[0], samples) if len(past) else (samples[::2], samples[1::2])
        network = _network(real.seen, learned)
        return -odds(network, rated.pixels), -odds(network, held_out.pixels)


def _network(real: ImageSet, samples: ImageSet) -> "ClassifierNetwork":
    """What has learned every other real picture against these samples."""
    return network_of(against(real[torch.arange(0, len(real), 2)], samples), 2, "detect")


@lru_cache(maxsize=1)
def _known(real: ImageSet, digest: str, false_positives: float) -> dict[str, tuple["ClassifierNetwork", float]]:
    return {}


def _detector(real: ImageSet, samples: ImageSet, false_positives: float) -> tuple["ClassifierNetwork", float]:
    """The network, and the log odds of being real below which a picture is taken for synthetic.

    It learns from every other real picture; the threshold is the k-th least log odds of the m others, k = floor(false_positives (m + 1)),
    which a new real picture falls below with probability k / (m + 1).
    """
    known = _known(real, samples.digest(), false_positives)
    if not known:
        half = torch.arange(0, len(real), 2)
        network = _network(real, samples)
        found = odds(network, real[half[: len(real) // 2] + 1].pixels)
        known["detector"] = network, -kth_greatest(-found, false_positives)
    return known["detector"]
