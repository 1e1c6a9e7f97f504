"""Regimes: of what a generation's training set is made. To add one, write a class and add its line to the table."""

from typing import TYPE_CHECKING

from imgcollapse.regimes.accumulate import Accumulate, AccumulateSubsample, Augment
from imgcollapse.regimes.provenance import generations_in, made_of, of_chain, origins, provenance
from imgcollapse.regimes.regime import Have, Mixing, Plan, Real, Regime
from imgcollapse.regimes.replace import Replace, Teacher
from imgcollapse.regimes.retain import Retain
from imgcollapse.settings import one_of

__all__ = [
    "REGIMES",
    "Accumulate",
    "AccumulateSubsample",
    "AnyRegime",
    "Augment",
    "Have",
    "Mixing",
    "Plan",
    "Real",
    "Regime",
    "Replace",
    "Retain",
    "Teacher",
    "generations_in",
    "made_of",
    "of_chain",
    "origins",
    "provenance",
]

REGIMES: dict[str, type[Regime]] = {
    "replace": Replace,
    "retain": Retain,
    "augment": Augment,
    "accumulate": Accumulate,
    "accumulate-subsample": AccumulateSubsample,
    "teacher": Teacher,
}

if TYPE_CHECKING:
    AnyRegime = Regime
else:
    AnyRegime = one_of(REGIMES)  # built from the table, which a type checker cannot follow
