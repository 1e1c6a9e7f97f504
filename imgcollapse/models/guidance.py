"""Classifier-free guidance (Ho & Salimans 2022): a network that knows the class draws further away from what it would draw without it."""

from collections.abc import Callable, Sequence
from typing import Any

from imgcollapse.errors import SettingsProblem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.training import BatchRandomness

USUAL = 0.1  # of condition dropout, in Ho & Salimans


def refuse(guidance: float, class_conditional: bool, dropout: float) -> None:
    """Raises SettingsProblem where there is no class to be guided by, or to be dropped."""
    if dropout and not class_conditional:
        raise SettingsProblem(
            f"model.condition_dropout: {dropout:g} is for networks that get the class; set it to 0, or model.class_conditional to true"
        )
    if guidance and not dropout:
        lacking = ["model.class_conditional to true"] * (not class_conditional) + [f"model.condition_dropout to {USUAL:g}"]
        raise SettingsProblem(
            f"model.sampling.guidance: {guidance:g} needs a network that knows pictures with and without their class; "
            f"set {', and '.join(lacking)}"
        )


def dropped(classes: Tensor, null: int, dropout: float, randomness: BatchRandomness) -> Tensor:
    """int64 [rows]: the classes, each of them `null` instead with the probability `dropout`, by the randomness of the batch."""
    return classes.masked_fill(randomness.rand() < dropout, null) if dropout else classes


def guided(net: Callable[..., Any], x: Tensor, t: Tensor, conditions: Sequence[Tensor], guidance: float, null: int) -> Tensor:
    """float32, the shape of x: what the network finds in x at level t, with w of guidance (Ho & Salimans 2022, equation 6):

        (1 + w) f(x, t, class) - w f(x, t, null)

    The same combination of scores, of noise, of v and of clean pictures, for these are linear in each other at one x and t. `conditions`:
    nothing, or int64 [N] classes. Guidance costs a second evaluation; w = 0 does not.
    """
    found: Tensor = net(x, t, *conditions, return_dict=False)[0].float()
    if not guidance:
        return found
    free: Tensor = net(x, t, torch.full_like(conditions[0], null), return_dict=False)[0].float()
    return (1 + guidance) * found - guidance * free
