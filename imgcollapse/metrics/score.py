"""How every score is read: its name in plain words, which way is better, how its collapse is told, and how prominent it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]
Scale = Literal["linear", "log"]
Quantity = Literal["last", "slope", "area"]  # a collapse number: of the last generation, per generation, to real vs real in all of them
Axis = Literal["quality", "variety"]  # of the plane that a chain goes its way in
Counted = Literal["classes", "latents"]  # of which a study has so many
Bounds = tuple[float | None, float | None]  # the least and the greatest that a number can be; None: it has no such bound

ANY: Bounds = (None, None)
UNIT: Bounds = (0.0, 1.0)
POSITIVE: Bounds = (0.0, None)


# The scale is the one on which finite-sampling theory makes the beginning of a collapse a straight line (Shumailov et al. 2024).
# linear: FD and KID are squared distances. Estimating again and again makes the mean a random walk of uncorrelated steps, so the
#   expected square of its drift grows like t. Total variation is a distance, not squared: it grows like t while a model errs the same
#   way every time, and like sqrt(t) by chance alone, so compare it at equal t; it starts near 0, where a logarithm would see only noise.
# log: what is still there. Every generation of n draws loses the same expected share of what is left of the variance (and of the
#   heterozygosity of class shares), (1 - 1/n)^t, a straight line of its logarithm. For precision, density and confident this is an
#   analogy (the share of samples that still fit falls by a constant factor), not a theorem; effective_classes and classes_alive end at 1
#   and not at 0, so their line bends at the end.
# What is of one class (share_c, its bounds, ...) has no entry: whether a class should rise or fall is a matter of the class.


@dataclass(frozen=True)
class Score:
    """How one score is read.

    title:      its name as people write it
    meaning:    what it says, in plain words
    better:     whether lower or higher values are better
    scale:      on which its collapse is a straight line over the generations, see above
    decimals:   worth printing of a single value
    definition: how it is computed, what to beware of, and its source
    bounds:     what it can be: UNIT (0 to 1), POSITIVE (0 and more), ANY; intervals over seeds stay within
    of:         of what there cannot be more than a study has: its greatest value; None: the bounds say it
    short:      its name where there is little room; None: the title
    frechet:    whether it is a Fréchet distance: FD in its names is then what it is called with the features of an extractor, such as FID
    rank:       how prominent it is, 1 the most: what has room for k scores shows those of rank 1 to k; None: in the tables of all only
    from_zero:  whether its axis begins at 0
    halved:     whether it is told when it first fell below half of generation 0
    axis:       of the plane of quality and variety, the one that it stands for; None: neither
    panels:     its collapse numbers that are worth a panel of their own
    """

    title: str
    meaning: str
    better: Better
    scale: Scale
    decimals: int
    definition: str
    bounds: Bounds = ANY
    of: Counted | None = None
    short: str | None = None
    frechet: bool = False
    rank: int | None = None
    from_zero: bool = False
    halved: bool = False
    axis: Axis | None = None
    panels: tuple[Quantity, ...] = ()

    def bounds_in(self, there: Mapping[Counted, int]) -> Bounds:
        """Its bounds in a study that has so many of each."""
        low, high = self.bounds
        if self.of is not None:
            high = float(there[self.of]) if there.get(self.of) else None
        return low, high
