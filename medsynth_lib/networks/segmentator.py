"""The U-Net segmentator: which class each pixel of an image shows, or that it is not of the label map at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.spectral import spectral


class Segmentator(nn.Module):
    """A U-Net of residual blocks with ``classes + 1`` outputs per pixel: the classes, and one more ("fake").

    Residual downs (average pooling) of 128, 128, 256, 256, 512, 512; as many residual ups (nearest neighbour), each on
    the previous one beside the down of its size; a 1x1 convolution.

    Source: 003 section 3.1.3 (after the OASIS discriminator, Sushko et al. 2021). 22,251,559 parameters for 38 classes
    and three image channels (003 table 3.1: 22.3 M).

    Args:
        image_channels: of the input.
        classes: of the label map.
        base_channels: width of the first down; the last up has half of it.
        depth: number of downs; the image side must be a multiple of ``2 ** depth``.
        spectral_norm: divide the blocks' convolutions by their largest singular value.

    Shape: ``(B, image_channels, H, W)`` → logits ``(B, classes + 1, H, W)``; logit k of class k, the last one fake.
    """

    def __init__(
        self,
        image_channels: int = 3,
        classes: int = 38,
        *,
        base_channels: int = 128,
        depth: int = 6,
        spectral_norm: bool = True,
    ):
        super().__init__()
        if depth < 1:
            raise MedSynthError("a segmentator needs at least one down", where="depth", seen=depth)
        widths = [base_channels * min(2 ** (level // 2), 4) for level in range(depth)]
        entering = [image_channels, *widths[:-1]]
        self.downs = nn.ModuleList(
            ResidualBlock(a, b, first=level == 0, spectral_norm=spectral_norm)
            for level, (a, b) in enumerate(zip(entering, widths, strict=True))
        )
        leaving = [base_channels // 2, *widths[:-1]]
        self.ups = nn.ModuleList(
            ResidualBlock(widths[level] * (1 if level == depth - 1 else 2), leaving[level], spectral_norm=spectral_norm)
            for level in reversed(range(depth))
        )
        self.last = nn.Conv2d(leaving[0], classes + 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        step = 2 ** len(self.downs)
        if image.shape[-1] % step or image.shape[-2] % step:
            raise MedSynthError(
                f"a segmentator of depth {len(self.downs)} needs image sides that are multiples of {step}",
                seen=tuple(image.shape[-2:]),
                fix="choose another size in `prepare`, or a smaller depth",
            )
        skips = []
        for down in self.downs:
            image = functional.avg_pool2d(down(image), 2)
            skips.append(image)
        image = skips.pop()
        for index, up in enumerate(self.ups):
            if index:
                image = torch.cat([image, skips.pop()], dim=1)
            image = up(image, upsample=True)
        return self.last(image)


class ResidualBlock(nn.Module):
    """``skip(x) + conv(act(conv(↑ act(x))))``; the skip is a 1x1 convolution where the width changes, and ↑ x.

    Nearest-neighbour doubling copies pixels, so the 1x1 convolution of the skip comes before it, at a quarter of the
    price. ``first``: the input is an image, which no activation may cut.
    """

    def __init__(self, entering: int, leaving: int, *, first: bool = False, spectral_norm: bool = True):
        super().__init__()
        self.first = first
        self.conv_0 = spectral(nn.Conv2d(entering, leaving, 3, padding=1), spectral_norm)
        self.conv_1 = spectral(nn.Conv2d(leaving, leaving, 3, padding=1), spectral_norm)
        wider = entering != leaving
        self.skip = spectral(nn.Conv2d(entering, leaving, 1), spectral_norm) if wider else nn.Identity()

    def forward(self, features: Tensor, *, upsample: bool = False) -> Tensor:
        inner = features if self.first else functional.leaky_relu(features, 0.2)
        skip = self.skip(features)
        if upsample:
            inner, skip = (functional.interpolate(image, scale_factor=2) for image in (inner, skip))
        return skip + self.conv_1(functional.leaky_relu(self.conv_0(inner), 0.2))
