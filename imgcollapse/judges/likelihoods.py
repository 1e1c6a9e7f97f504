"""How probable pictures are to the models that a run has kept."""

from collections.abc import Callable
from functools import cached_property

from imgcollapse import progress
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor
from imgcollapse.images import ImageSet
from imgcollapse.metrics.evidence import Likelihoods
from imgcollapse.models import Coded, Likely
from imgcollapse.seeds import derive


class RunLikelihoods:
    """Likelihoods by the models of one run.

    model:    opens that of a generation. Raises DataProblem where it is not there any more, or is damaged
    held_out: all real pictures that are held out; samples are compared with as many of them, the first, as they are
    draws:    of a latent code, for models that need them
    """

    def __init__(self, model: Callable[[int], Likely], held_out: ImageSet, draws: int) -> None:
        self._model, self._held_out, self._draws = model, held_out, draws

    def __call__(self, generation: int, samples: ImageSet) -> Likelihoods:
        """Those of a finished generation's samples. What a model that is not there would have said is None, which is said once."""
        first, n = self._first, len(samples)
        if generation == 0:
            own = None if first is None else first[:n]
        else:
            own = self._found(generation, self._held_out[:n])
        of_samples = None if first is None else self._found(0, samples)
        model = None if own is None else self._model(generation)
        codes = model.codes(self._held_out[:n]) if isinstance(model, Coded) else None
        return Likelihoods(self._held_out.pixels[0].numel(), own, first, of_samples, codes)

    @cached_property
    def _first(self) -> Tensor | None:
        """Of the held-out pictures, by the model of generation 0: the same for all generations."""
        return self._found(0, self._held_out)

    def _found(self, generation: int, images: ImageSet) -> Tensor | None:
        try:
            # of one seed, for that of the study is not the judge's: pictures are as probable to a model whoever asks
            return self._model(generation).log_likelihood(images, derive(0, "likelihood"), self._draws)
        except DataProblem as problem:
            progress.say_once(f"likelihoods are left out: {problem}")
            return None
