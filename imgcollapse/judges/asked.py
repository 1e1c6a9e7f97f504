"""What is measured beside features: of the likelihoods that models know, and of what gates did."""

from collections.abc import Callable, Mapping
from typing import Protocol, Self

from imgcollapse.heavy import Tensor
from imgcollapse.judges.real import measured, over_splits
from imgcollapse.metrics import METRICS, Evidence, Metric
from imgcollapse.metrics.record import RealVsReal, Value, what_of

IN_EVIDENCE = {"model": "likelihoods", "gate": "gated"}  # the field of Evidence in which it stands


class Said(Protocol):
    """What a model, or a gate, says of samples and of held-out pictures."""

    @property
    def of_held_out(self) -> Tensor | None:
        """[held out], of all held-out pictures; None: nothing, and there is no real-vs-real value."""

    def compared(self, n: int) -> Self:
        """What is compared, N = n."""

    def between_real(self, samples: Tensor, held_out: Tensor) -> Self:
        """With these held-out pictures (rows) in place of samples, and those in place of the held-out ones."""


class Asked:
    """Measures what is said: of models by the metrics that the judge names, of gates by all that there are.

    metrics: those of the judge
    n:       pictures compared
    """

    def __init__(self, metrics: Mapping[str, Metric], n: int) -> None:
        of_models = [metric for metric in metrics.values() if metric.of == "model"]
        self._metrics = {"model": of_models, "gate": [metric for metric in METRICS.values() if metric.of == "gate"]}
        self._n = n
        self._real: dict[str, tuple[Tensor, dict[str, RealVsReal]]] = {}  # by source: of what it said, and what of real vs real is of that

    def __call__(self, source: str, said: Said, drawn: int, evidence: Callable[..., Evidence]) -> dict[str, Value]:
        """The values of a source. drawn: pictures in all; `evidence(likelihoods=...)`, `evidence(gated=...)` adds what is said to it."""
        of = what_of(source)
        field, found = IN_EVIDENCE[of], dict[str, Value]()
        real = self._real_vs_real(source, said, lambda one: evidence(**{field: one}))
        for metric in self._metrics[of]:
            n = drawn if metric.of_all else self._n
            found |= {
                name: Value(value, real.get(name), n) for name, value in metric.measure(evidence(**{field: said.compared(self._n)})).items()
            }
        return found

    def _real_vs_real(self, source: str, said: Said, evidence: Callable[[Said], Evidence]) -> dict[str, RealVsReal]:
        first = said.of_held_out
        if first is None:
            return {}
        if source not in self._real or first is not self._real[source][0]:  # of models the same for all generations of a run
            metrics = [metric for metric in self._metrics[what_of(source)] if metric.real]
            over = over_splits(
                len(first), self._n, lambda a, b, _: measured(metrics, evidence(said.between_real(a, b))), f"real vs real ({source})"
            )
            self._real[source] = first, over
        return self._real[source][1]
