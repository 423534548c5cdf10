"""Spectral normalisation, where a network is asked for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

FIRST_ITERATIONS = 15


def spectral(layer: nn.Conv2d, enabled: bool = True) -> nn.Conv2d:
    """``layer`` with its weight W divided by its largest singular value: ``W / σ(W)``, or as it is.

    W is taken as a matrix of one row per output channel. Every training forward first takes one step of power
    iteration, ``v ← normalise(Wᵀu)``, ``u ← normalise(W v)``, then ``σ = uᵀ W v``; u and v are buffers, not parameters.

    Source: Miyato et al. 2018, equation 8 and algorithm 1. PyTorch's own copies a channels-last weight at each forward.
    """
    if enabled:
        parametrize.register_parametrization(layer, "weight", _DividedByLargestSingularValue(layer.weight))
    return layer


class _DividedByLargestSingularValue(nn.Module):
    def __init__(self, weight: Tensor):
        super().__init__()
        matrix = as_matrix(weight.detach())
        self.register_buffer("u", functional.normalize(weight.new_empty(matrix.shape[0]).normal_(), dim=0))
        self.register_buffer("v", functional.normalize(weight.new_empty(matrix.shape[1]).normal_(), dim=0))
        for _ in range(0 if weight.is_meta else FIRST_ITERATIONS):
            self._iterate(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        matrix = as_matrix(weight)
        with torch.autocast("cuda", enabled=False):  # on a CPU no autocast touches these operations
            if self.training:
                self._iterate(matrix.detach())
            # Copies: the next forward changes u and v in place, and this one's backward needs them.
            return weight / torch.dot(self.u.clone(), torch.mv(matrix, self.v.clone()))

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.v.copy_(functional.normalize(torch.mv(matrix.T, self.u), dim=0))
        self.u.copy_(functional.normalize(torch.mv(matrix, self.v), dim=0))


def as_matrix(weight: Tensor) -> Tensor:
    """Output channels by the rest, in the order in which a channels-last weight lies in memory."""
    return weight.permute(0, 2, 3, 1).flatten(1)
