"""What parts promise of what they give, looked at when they give it: a plug-in hears which promise it breaks."""

import re
from collections.abc import Mapping
from typing import Any

from imgcollapse.errors import ProgramProblem, brief
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet


def pictures(found: Any, n: int, like: ImageSet, who: str) -> ImageSet:
    """`n` pictures of the size of these. Raises ProgramProblem that names `who` (`model 'mine': sample`)."""
    kind = "points" if like.are_points else "pictures"
    if not isinstance(found, ImageSet):
        raise ProgramProblem(
            f"{who} gave {type(found).__name__}; it must give an imgcollapse.images.ImageSet (ImageSet.of(pixels, labels))"
        )
    if len(found) != n:
        raise ProgramProblem(f"{who} gave {len(found)} {kind}; it was asked for {n}, and must give as many")
    if found.shape != like.shape or found.pixels.dtype != like.pixels.dtype:
        wanted = f"{_plain(like.pixels)} [N, {', '.join(map(str, like.shape))}]"
        raise ProgramProblem(f"{who} gave {_plain(found.pixels)} {list(found.pixels.shape)}; it must give {wanted}, as the real {kind} are")
    if like.are_points and not bool(found.pixels.isfinite().all()):
        raise ProgramProblem(f"{who} gave points that are NaN or infinite")
    return found


def mask(found: Any, n: int, who: str) -> Tensor:
    """Yes or no for each of n pictures. Raises ProgramProblem."""
    if not isinstance(found, torch.Tensor) or found.dtype != torch.bool or found.shape != (n,):
        raise ProgramProblem(f"{who} gave {_shown(found)}; it must say yes or no to each of {n} pictures: a bool tensor [{n}]")
    return found


def count(found: Any, n: int, who: str) -> int:
    """A whole number of pictures, asked for n of them. Raises ProgramProblem."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ProgramProblem(f"{who} gave {brief(found)} for {n} pictures; it must give a whole number")
    return found


def features(found: Any, n: int, who: str) -> Tensor:
    """Features of n pictures. Raises ProgramProblem."""
    if not isinstance(found, torch.Tensor) or found.dtype != torch.float32 or found.ndim != 2 or len(found) != n:
        raise ProgramProblem(f"{who} gave {_shown(found)}; it must give a float32 tensor [{n}, D], a row for each picture")
    if not bool(found.isfinite().all()):
        raise ProgramProblem(f"{who} gave features that are NaN or infinite")
    return found


def values(found: Any, scores: Mapping[str, Any], who: str) -> dict[str, float]:
    """A number for scores that the metric has. Raises ProgramProblem."""
    if not isinstance(found, dict) or not all(isinstance(value, (int, float)) for value in found.values()):
        raise ProgramProblem(f"{who} gave {brief(found)}; it must give a dict of the names of its scores and plain numbers")
    if unknown := [name for name in found if re.sub(r"_\d+$", "", name) not in scores]:  # that of one class ends with its number
        raise ProgramProblem(
            f"{who} gave {brief(unknown[0])}, which is none of its scores; name it in Metric(scores=...): {', '.join(scores)}"
        )
    return found


def _plain(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shown(found: Any) -> str:
    return f"{_plain(found)} {list(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__
