"""Spectral normalisation, where a network is asked for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.utils import parametrize

FIRST_ITERATIONS = 15


def spectral(layer: nn.Conv2d, enabled: bool = True) -> nn.Conv2d:
    """``layer`` with its weight W divided by its largest singular value: ``W / σ(W)``, or as it is.

    W is taken as a matrix of one row per output channel. Every training forward first takes one step of power
    iteration, ``v ← normalise(Wᵀu)``, ``u ← normalise(W v)``, then ``σ = uᵀ W v``; u and v are buffers, not parameters.

    Source: Miyato et al. 2018, equation 8 and algorithm 1. PyTorch's own copies a channels-last weight at each forward,
    and passes over it seven times in backward; this one passes twice.
    """
    if enabled:
        parametrize.register_parametrization(layer, "weight", _DividedByLargestSingularValue(layer.weight))
    return layer


class _DividedByLargestSingularValue(nn.Module):
    """``u`` is ``(out, )``; ``v`` is kept as ``(1, in, kernel, kernel)`` to follow the weight's memory layout."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.register_buffer("u", functional.normalize(weight.new_empty(len(weight)).normal_(), dim=0))
        self.register_buffer("v", weight.new_empty(1, *weight.shape[1:]).normal_())
        for _ in range(0 if weight.is_meta else FIRST_ITERATIONS):
            self._iterate(weight.detach())

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast("cuda", enabled=False):  # on a CPU no autocast touches these operations
            if self.training:
                self._iterate(weight.detach())
            # Copies: the next forward changes u and v in place, and this one's backward needs them.
            return _Divide.apply(weight, self.u.clone(), self.v.clone())

    @torch.no_grad()
    def _iterate(self, weight: Tensor) -> None:
        matrix = as_matrix(weight, weight)
        v = functional.normalize(torch.mv(matrix.T, self.u), dim=0)
        self.v.copy_(_like(v, self.v, weight))
        self.u.copy_(functional.normalize(torch.mv(matrix, v), dim=0))


class _Divide(torch.autograd.Function):
    """``W / σ`` with ``σ = uᵀ W v``; the gradient G of the output becomes ``(G - ⟨G, W⟩/σ · u vᵀ) / σ``."""

    @staticmethod
    def forward(ctx, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        sigma = torch.dot(u, torch.mv(as_matrix(weight, weight), as_matrix(v, weight)[0]))
        ctx.save_for_backward(weight, u, v, sigma)
        return weight / sigma

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        weight, u, v, sigma = ctx.saved_tensors
        along, matrix, v = (as_matrix(tensor, weight) for tensor in (weight, gradient, v))
        share = torch.dot(matrix.flatten(), along.flatten()) / sigma
        return _like(torch.addr(matrix, share * u, v[0], alpha=-1).div_(sigma), weight, weight), None, None


def as_matrix(tensor: Tensor, layout: Tensor) -> Tensor:
    """``(rows, in · kernel²)``, with columns in the order in which the weight ``layout`` lies in memory: no copy."""
    return (tensor if layout.is_contiguous() else tensor.permute(0, 2, 3, 1)).flatten(1)


def _like(matrix: Tensor, shape: Tensor, layout: Tensor) -> Tensor:
    """The inverse of `as_matrix`: a tensor of ``shape``'s shape."""
    rows, columns, height, width = shape.shape
    if layout.is_contiguous():
        return matrix.reshape(shape.shape)
    return matrix.reshape(rows, height, width, columns).permute(0, 3, 1, 2)
