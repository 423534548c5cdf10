"""Spatially-adaptive normalisation (SPADE), and the tensor that conditions it: labels beside noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medsynth_lib.errors import MedSynthError


class Spade(nn.Module):
    """Batch normalisation whose scale and shift are images made from the condition.

    ``γ(m)·(h - μ)/σ + β(m)``: h ``features``, m ``condition``, μ and σ the channel's mean and deviation over batch and
    space; γ and β are one 3x3 convolution of ``relu(embed(m))``. γ starts around one.

    Source: Park et al. 2019 (SPADE), equations 1 and 2; 003 section 3.1.1 and figure 3.2.

    Args:
        channels: of ``features``.
        condition_channels: of ``condition`` (classes and noise channels).
        hidden: channels of the embedding.

    Shape: features ``(B, channels, H, W)``, condition ``(B, condition_channels, H, W)`` → ``(B, channels, H, W)``.
    """

    def __init__(self, channels: int, condition_channels: int, hidden: int = 128):
        super().__init__()
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.embed = nn.Conv2d(condition_channels, hidden, 3, padding=1)
        self.modulate = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        with torch.no_grad():
            self.modulate.bias[:channels] = 1.0
            self.modulate.bias[channels:] = 0.0

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(functional.relu(self.embed(condition))).chunk(2, dim=1)
        return torch.addcmul(shift, self.normalise(features), scale)


def condition_map(labels: Tensor, noise: Tensor | None, noise_channels: int) -> Tensor:
    """One-hot labels beside one noise vector per image, the same at every pixel (003 section 3.1.1).

    Args:
        labels: one-hot, ``(B, classes, H, W)``.
        noise: ``(B, noise_channels)``; ``None`` draws a new one from N(0, 1).
        noise_channels: 0 for a generator without noise (003 table 4.4).

    Returns:
        ``(B, classes + noise_channels, H, W)``, in the number format and memory layout of the convolutions to come:
        they are many, and each would convert it again.

    Raises:
        MedSynthError: the noise has another shape.
    """
    batch, classes, height, width = labels.shape
    if noise is None:
        noise = torch.randn(batch, noise_channels, dtype=labels.dtype, device=labels.device)
    if noise.shape != (batch, noise_channels):
        expected = f"({batch}, {noise_channels}): one vector per image"
        raise MedSynthError("noise of another shape", rule=expected, seen=tuple(noise.shape))
    kind = labels.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        labels = labels.to(torch.get_autocast_dtype(kind))
    layout = torch.contiguous_format if labels.is_contiguous() else torch.channels_last
    shape = (batch, classes + noise_channels, height, width)
    condition = torch.empty(shape, dtype=labels.dtype, device=labels.device, memory_format=layout)
    condition[:, :classes] = labels
    condition[:, classes:] = noise[:, :, None, None]
    return condition


def at_height(condition: Tensor, height: int) -> Tensor:
    """``condition`` at a smaller size: nearest neighbour, so that one-hot stays one-hot.

    >>> at_height(torch.arange(16.0).reshape(1, 1, 4, 4), 2).flatten().tolist()
    [0.0, 2.0, 8.0, 10.0]
    """
    step = condition.shape[-2] // height
    return condition[..., ::step, ::step].clone() if step > 1 else condition


def check_sides(labels: Tensor, step: int, blocks: int) -> None:
    """Raise a MedSynthError unless both image sides are multiples of ``step``."""
    if labels.shape[-1] % step or labels.shape[-2] % step:
        raise MedSynthError(
            f"a generator of {blocks} blocks needs image sides that are multiples of {step}",
            seen=tuple(labels.shape[-2:]),
            fix="choose another size in `prepare`, or fewer blocks",
        )


def tapering_widths(base_channels: int, blocks: int) -> list[int]:
    """Widths before, between and after ``blocks`` residual blocks: the last ones of 16, 16, 16, 8, 4, 2, 1 x base.

    Source: 003 section 3.1.1 and table 3.1.

    >>> tapering_widths(64, 3)
    [512, 256, 128, 64]
    """
    if blocks < 1:
        raise MedSynthError("a generator needs at least one block", where="blocks", seen=blocks)
    return [base_channels * min(2**level, 16) for level in reversed(range(blocks + 1))]
