"""A StyleGAN2 discriminator that reads the Haar bands of the image at every scale."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.haar import haar, inverse_haar
from medsynth_lib.precision import full_precision


class WaveletDiscriminator(nn.Module):
    """One verdict per image, from its Haar bands at every scale.

    At each scale a 1x1 convolution of the bands is added to the trunk; a 3x3 and a stride-2 3x3 convolution follow, the
    second after a blur where ``antialias`` is set. The bands of the next scale are ``haar(blur(inverse_haar(bands)))``.
    At 4x4: minibatch deviation, a 3x3 convolution, two linear layers. Every layer has an equalised learning rate and,
    but for the last, a LeakyReLU.

    Source: 003 section 3.1.2, after Gal et al. 2021 (SWAGAN) section 3.2 and Karras et al. 2020 (StyleGAN2).
    26,211,073 parameters for three channels at 256 (003 table 3.1: 26.2 M).

    Args:
        image_channels: channels judged.
        size: side of the square image, a power of two from 16.
        multiplier: width of the fine scales: ``multiplier · 2 ** 14 / side`` for a side of the image, up to
            ``max_channels``.
        max_channels: width of the coarse scales.
        antialias: blur features before every stride, as StyleGAN2 does. Without it a discriminator of small images
            learns much sooner; why is not known (docs/results.md). Images are blurred for the next scale in any case.

    Shape: ``(B, image_channels, size, size)`` → logits ``(B, 1)``.

    Raises:
        MedSynthError: ``size`` is not a power of two from 16.
    """

    def __init__(
        self,
        image_channels: int = 3,
        size: int = 256,
        *,
        multiplier: float = 2,
        max_channels: int = 512,
        antialias: bool = True,
    ):
        super().__init__()
        scales = int(math.log2(size)) - 3  # bands are halved from size / 2 to 4
        if scales < 1 or 2 ** (scales + 3) != size:
            raise MedSynthError("a wavelet discriminator's size is a power of two from 16", where="size", seen=size)
        sides = [size, *(size >> (scale + 2) for scale in range(scales))]
        widths = [min(max_channels, int(multiplier * 2**14 / side)) for side in sides]
        pairs = pairwise(widths)
        self.from_bands = nn.ModuleList(EqualisedConv(4 * image_channels, width, 1) for width in widths)
        self.downs = nn.ModuleList(
            nn.Sequential(EqualisedConv(a, a), EqualisedConv(a, b, stride=2, antialias=antialias)) for a, b in pairs
        )
        self.mix = EqualisedConv(widths[-1] + 1, max_channels)
        self.hidden = EqualisedLinear(16 * max_channels, max_channels)
        self.verdict = EqualisedLinear(max_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        bands = haar(image)
        trunk = self.from_bands[0](bands)
        for from_bands, down in zip(self.from_bands[1:], self.downs, strict=True):
            bands = haar(blur(inverse_haar(bands), stride=2, padding=1))
            trunk = down(trunk) + from_bands(bands)
        code = self.mix(torch.cat([trunk, minibatch_deviation(trunk)], dim=1))
        return self.verdict(math.sqrt(2) * functional.leaky_relu(self.hidden(code.flatten(1)), 0.2))


class EqualisedConv(nn.Module):
    """Convolution, bias and LeakyReLU whose weights are N(0, 1) and scaled at run time, so all learn at one rate.

    ``√2 · leaky(w / √fan_in * x + b)``. With ``stride=2``, ``antialias`` first blurs the input.
    Source: Karras et al. 2018, section 4.1 (equalised learning rate); Karras et al. 2020.
    """

    def __init__(self, entering: int, leaving: int, kernel: int = 3, *, stride: int = 1, antialias: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(leaving))
        self.stride, self.padding, self.antialias = stride, kernel // 2, antialias
        self.gain = 1 / math.sqrt(entering * kernel**2)

    def forward(self, features: Tensor) -> Tensor:
        padding = self.padding
        if self.antialias:
            features, padding = blur(features, stride=1, padding=2), 0
        # √2 · leaky(x) = leaky(√2 · x): it is cheaper on the weights than on the image.
        weight, bias = math.sqrt(2) * self.gain * self.weight, math.sqrt(2) * self.bias
        return functional.leaky_relu(functional.conv2d(features, weight, bias, self.stride, padding), 0.2)


class EqualisedLinear(nn.Module):
    """``w / √fan_in · x + b``, w ~ N(0, 1) (Karras et al. 2018, section 4.1)."""

    def __init__(self, entering: int, leaving: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering))
        self.bias = nn.Parameter(torch.zeros(leaving))
        self.gain = 1 / math.sqrt(entering)

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, self.gain * self.weight, self.bias)


def blur(image: Tensor, *, stride: int, padding: int) -> Tensor:
    """Convolution of each channel with the separable filter ``[1, 3, 3, 1] / 8``, beyond the border zero."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=image.device, dtype=image.dtype) / 8
    kernel = torch.outer(taps, taps).expand(image.shape[1], 1, 4, 4)
    return functional.conv2d(image, kernel, stride=stride, padding=padding, groups=image.shape[1])


def minibatch_deviation(features: Tensor, group: int = 4) -> Tensor:
    """How much the images of a batch differ: one number, repeated over space, as a channel.

    The standard deviation over a group of images, averaged over channels and pixels. Groups of ``group`` images where
    they divide the batch, else the whole batch is one; a single image differs from nothing.
    Source: Karras et al. 2018, section 3.

    Args:
        features: ``(B, C, H, W)``.

    Returns:
        ``(B, 1, H, W)``.
    """
    batch, _, height, width = features.shape
    members = group if batch % group == 0 else batch
    grouped = full_precision(features).reshape(members, batch // members, *features.shape[1:])
    # The root has no slope at zero: a small variance keeps the gradient of identical images finite.
    deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.to(features.dtype).repeat(members)[:, None, None, None].expand(-1, 1, height, width)
