"""The OASIS generator: residual blocks that see the label map at every normalisation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from medsynth_lib.networks.spade import Spade, at_height, check_sides, condition_map, tapering_widths
from medsynth_lib.networks.spectral import spectral


class OasisGenerator(nn.Module):
    """A label map and a noise vector become an image, through SPADE residual blocks of growing size.

    A 3x3 convolution of the condition at ``H / 2 ** (blocks - 1)``; residual blocks with nearest-neighbour doubling
    between them; LeakyReLU(0.2), a 3x3 convolution and tanh. The same condition, labels beside noise, enters every
    SPADE.

    Source: 003 section 3.1.1 (after Sushko et al. 2021, OASIS, and Park et al. 2019, SPADE). 71,190,467 parameters for
    38 classes and three image channels (003 table 3.1: 71.1 M).

    Args:
        classes: of the label map.
        image_channels: of the output.
        base_channels: width of the last block; 16 x at the first.
        noise_channels: length of the noise vector; 0 for none.
        blocks: residual blocks; the image side must be a multiple of ``2 ** (blocks - 1)``.
        hidden_channels: of each SPADE's embedding.
        spectral_norm: divide the blocks' convolutions by their largest singular value (SPADE section 4).

    Shape: labels ``(B, classes, H, W)`` one-hot, noise ``(B, noise_channels)`` or ``None`` (drawn from N(0, 1)) →
    ``(B, image_channels, H, W)`` in [-1, 1].
    """

    def __init__(
        self,
        classes: int = 38,
        image_channels: int = 3,
        *,
        base_channels: int = 64,
        noise_channels: int = 64,
        blocks: int = 6,
        hidden_channels: int = 128,
        spectral_norm: bool = True,
    ):
        super().__init__()
        self.noise_channels = noise_channels
        widths = tapering_widths(base_channels, blocks)
        condition = classes + noise_channels
        self.first = nn.Conv2d(condition, widths[0], 3, padding=1)
        pairs = pairwise(widths)
        self.blocks = nn.ModuleList(SpadeBlock(a, b, condition, hidden_channels, spectral_norm) for a, b in pairs)
        self.last = nn.Conv2d(widths[-1], image_channels, 3, padding=1)

    def forward(self, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        halvings = len(self.blocks) - 1
        check_sides(labels, 2**halvings, len(self.blocks))
        condition = condition_map(labels, noise, self.noise_channels)
        features = self.first(at_height(condition, labels.shape[-2] >> halvings))
        for index, block in enumerate(self.blocks):
            if index:
                features = functional.interpolate(features, scale_factor=2)
            features = block(features, at_height(condition, features.shape[-2]))
        return torch.tanh(self.last(functional.leaky_relu(features, 0.2)))


class SpadeBlock(nn.Module):
    """``skip(x) + conv(act(spade(conv(act(spade(x))))))``; the skip is ``conv1x1(spade(x))`` where the width changes.

    Source: Park et al. 2019, figure 4 and appendix A.
    """

    def __init__(self, entering: int, leaving: int, condition: int, hidden: int, spectral_norm: bool):
        super().__init__()
        middle = min(entering, leaving)
        self.spade_0, self.spade_1 = Spade(entering, condition, hidden), Spade(middle, condition, hidden)
        self.conv_0 = spectral(nn.Conv2d(entering, middle, 3, padding=1), spectral_norm)
        self.conv_1 = spectral(nn.Conv2d(middle, leaving, 3, padding=1), spectral_norm)
        self.spade_skip = self.conv_skip = None
        if entering != leaving:
            self.spade_skip = Spade(entering, condition, hidden)
            self.conv_skip = spectral(nn.Conv2d(entering, leaving, 1, bias=False), spectral_norm)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        inner = self.conv_0(functional.leaky_relu(self.spade_0(features, condition), 0.2))
        inner = self.conv_1(functional.leaky_relu(self.spade_1(inner, condition), 0.2))
        if self.conv_skip is not None:
            features = self.conv_skip(self.spade_skip(features, condition))
        return features + inner
