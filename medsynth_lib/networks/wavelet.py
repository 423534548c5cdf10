"""The residual wavelet generator: convolutions work on Haar bands, SPADE on the image they stand for."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from medsynth_lib.networks.haar import haar, inverse_haar
from medsynth_lib.networks.spade import Spade, at_height, check_sides, condition_map, tapering_widths
from medsynth_lib.networks.spectral import spectral


class WaveletGenerator(nn.Module):
    """A label map and a noise vector become the Haar bands of an image, and these the image.

    A 3x3 convolution of the condition at ``H / 2 ** (blocks + 1)``; residual wavelet blocks, each doubling the size;
    LeakyReLU(0.2), a 1x1 convolution to the four bands of the image, inverse Haar, tanh.

    Source: 003 section 3.1.1. 55,803,884 parameters for 38 classes and three image channels (003 table 3.1: 55.8 M).

    Args:
        classes, image_channels, noise_channels, hidden_channels, spectral_norm: as `OasisGenerator`.
        base_channels: image-space width of the last block (its bands have 4 x as many); 16 x at the first.
        blocks: residual blocks; the image side must be a multiple of ``2 ** (blocks + 1)``.

    Shape: labels ``(B, classes, H, W)`` one-hot, noise ``(B, noise_channels)`` or ``None`` (drawn from N(0, 1)) →
    ``(B, image_channels, H, W)`` in [-1, 1].
    """

    def __init__(
        self,
        classes: int = 38,
        image_channels: int = 3,
        *,
        base_channels: int = 16,
        noise_channels: int = 64,
        blocks: int = 6,
        hidden_channels: int = 128,
        spectral_norm: bool = True,
    ):
        super().__init__()
        self.noise_channels = noise_channels
        widths = tapering_widths(base_channels, blocks)
        condition = classes + noise_channels
        self.first = nn.Conv2d(condition, 4 * widths[0], 3, padding=1)
        pairs = pairwise(widths)
        self.blocks = nn.ModuleList(WaveletBlock(a, b, condition, hidden_channels, spectral_norm) for a, b in pairs)
        self.last = nn.Conv2d(4 * widths[-1], 4 * image_channels, 1)

    def forward(self, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        halvings = len(self.blocks) + 1
        check_sides(labels, 2**halvings, len(self.blocks))
        condition = condition_map(labels, noise, self.noise_channels)
        sizes = [at_height(condition, labels.shape[-2] >> halving) for halving in range(halvings + 1)]
        bands = self.first(sizes.pop())
        for block in self.blocks:
            small = sizes.pop()
            bands = block(bands, small, sizes[-1])
        return torch.tanh(inverse_haar(self.last(functional.leaky_relu(bands, 0.2))))


class WaveletBlock(nn.Module):
    """A SPADE residual block on Haar bands that doubles the size of the image they stand for.

    ``skip(x) + conv(act(H spade(↑ H⁻¹ conv(act(H spade(H⁻¹ x))))))`` with H the Haar transform and ↑ bilinear doubling
    of the image; the skip is ``H ↑ H⁻¹ x``, and ``conv1x1(H spade(↑ H⁻¹ x))`` where the width changes.

    Args:
        entering, leaving: image-space widths; the bands have 4 x as many channels.

    Shape: bands ``(B, 4 · entering, h, w)``, condition at the sizes of the image before and after, ``(B, condition, 2h,
    2w)`` and ``(B, condition, 4h, 4w)`` → ``(B, 4 · leaving, 2h, 2w)``.
    """

    def __init__(self, entering: int, leaving: int, condition: int, hidden: int, spectral_norm: bool):
        super().__init__()
        middle = min(entering, leaving)
        self.spade_0, self.spade_1 = Spade(entering, condition, hidden), Spade(middle, condition, hidden)
        self.conv_0 = spectral(nn.Conv2d(4 * entering, 4 * middle, 3, padding=1), spectral_norm)
        self.conv_1 = spectral(nn.Conv2d(4 * middle, 4 * leaving, 3, padding=1), spectral_norm)
        self.spade_skip = self.conv_skip = None
        if entering != leaving:
            self.spade_skip = Spade(entering, condition, hidden)
            self.conv_skip = spectral(nn.Conv2d(4 * entering, 4 * leaving, 1, bias=False), spectral_norm)

    def forward(self, bands: Tensor, small: Tensor, large: Tensor) -> Tensor:
        image = inverse_haar(bands)
        inner = self.conv_0(functional.leaky_relu(haar(self.spade_0(image, small)), 0.2))
        inner = self.spade_1(_double(inverse_haar(inner)), large)
        inner = self.conv_1(functional.leaky_relu(haar(inner), 0.2))
        skip = _double(image)
        if self.conv_skip is None:
            return haar(skip) + inner
        return self.conv_skip(haar(self.spade_skip(skip, large))) + inner


def _double(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
