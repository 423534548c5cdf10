"""A multilayer perceptron, for points in the plane."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Perceptron(nn.Module):
    """``layers`` hidden layers of ``width`` with ReLU or LeakyReLU(0.2), then one linear layer.

    Args:
        in_features, out_features: numbers per item.
        width, layers: of the hidden part.
        slope: of the activation where its input is negative; 0 is ReLU.
        bounded: end in tanh, for points in [-1, 1].

    Shape: ``(B, in_features)`` or ``(B, in_features, 1, 1)`` → ``(B, out_features, 1, 1)``: points travel as images of
    one pixel, so that they pass through whatever images pass through.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int = 128,
        layers: int = 2,
        slope: float = 0.0,
        bounded: bool = False,
    ):
        super().__init__()
        widths = [in_features] + [width] * layers
        hidden: list[nn.Module] = []
        for entering, leaving in pairwise(widths):
            hidden += [nn.Linear(entering, leaving), nn.LeakyReLU(slope)]
        last = [nn.Tanh()] if bounded else []
        self.model = nn.Sequential(*hidden, nn.Linear(widths[-1], out_features), *last)

    def forward(self, points: Tensor) -> Tensor:
        return self.model(points.flatten(1))[:, :, None, None]
