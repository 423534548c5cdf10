"""Instance norm that survives what medical slices hold: air only, and features of a single pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: A channel whose variance is below this part of eps has no contrast to normalise: rounding, not image.
NO_CONTRAST = 1e-3


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1 over its pixels; no scale, no shift, no running statistics.

    ``y = (x - E[x]) / sqrt(Var[x] + eps)``; source: Ulyanov et al. 2016, eq. 4.

    Where we depart from it: a channel with ``Var[x] < eps / 1000``, where the formula gives numbers below 0.04, comes
    out as exactly 0 and passes no gradient. The formula multiplies what is left there, which is rounding, by
    1/sqrt(eps) = 316, forwards and backwards, and twenty layers of that turn a slice of air into noise of full contrast
    and a gradient a thousand times that of a patient. A single pixel passes unchanged: its mean is itself, and
    subtracting it would erase the image.

    Shape: ``(B, C, H, W)`` → the same.
    """

    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        if height * width == 1:
            return features
        # Batch norm over one image of B·C channels is instance norm, and also returns 1/sqrt(Var + eps).
        channels = features.reshape(1, -1, height, width)
        normed, _, inverse_sd = torch.native_batch_norm(channels, None, None, None, None, True, 0.0, self.eps)
        contrast = inverse_sd**-2 > (1 + NO_CONTRAST) * self.eps
        normed = (normed * contrast.to(normed.dtype)[:, None, None]).view_as(features)
        if features.is_contiguous(memory_format=torch.channels_last):  # lost on the way through B·C channels
            return normed.contiguous(memory_format=torch.channels_last)
        return normed
