"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): steps of equal size in every direction of a matrix of weights."""

from collections.abc import Iterable
from itertools import groupby

import torch
from torch import Tensor

ROUNDS = 5
A, B, C = 3.4445, -4.7750, 2.0315  # of the polynomial a x + b x^3 + c x^5, which drives singular values to about 1 in five rounds


class Muon:
    """Gradient descent with Nesterov momentum whose steps are made orthogonal, for weights of two dimensions and more.

    A convolution [out, in, k, k] is the matrix [out, in k k]. A step has the root mean square 0.2 `rate`, as one of AdamW has about (Liu et
    al. 2025, arXiv:2502.16982), so that one learning rate serves both.
    """

    def __init__(self, weights: Iterable[Tensor], momentum: float = 0.95) -> None:
        # matrices of one shape are worked on together: there are many small ones
        self.weights = sorted(weights, key=_shape)
        self._momentum = momentum
        self.moments = [torch.zeros_like(weight) for weight in self.weights]
        alike = groupby(zip(self.weights, self.moments, strict=True), key=lambda pair: _shape(pair[0]))
        self._groups = [list(zip(*pairs, strict=True)) for _, pairs in alike]

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """A step down the gradients at this learning rate; the gradients are gone then."""
        for some, moments in self._groups:
            gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in some]
            torch._foreach_mul_(moments, self._momentum)
            torch._foreach_add_(moments, gradients)
            ahead = torch._foreach_add(gradients, moments, alpha=self._momentum)
            steps = orthogonal(torch.stack([part.flatten(1) for part in ahead]))
            steps = steps * (-0.2 * max(steps.shape[1:]) ** 0.5 * rate)
            torch._foreach_add_(some, [step.view_as(weight) for step, weight in zip(steps, some, strict=True)])
            for weight in some:
                weight.grad = None


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, rows, columns] -> the same shape: each matrix with its singular values moved to 0.7 to 1.2 (Newton-Schulz iteration)."""
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = A * x + (B * square + C * square @ square) @ x
    return x.mT if is_tall else x


def _shape(weight: Tensor) -> tuple[int, ...]:
    return tuple(weight.shape)
