"""The ResNet generator of CycleGAN."""

from __future__ import annotations

from torch import Tensor, nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.initialise import normal_init
from medsynth_lib.networks.instance_norm import InstanceNorm


class ResNetGenerator(nn.Module):
    """Down by 4, residual blocks, up by 4: no skips from input to output, so all is redrawn from the features.

    c7s1-64, d128, d256, nine residual blocks R256, u128, u64, c7s1-1, tanh: outputs lie in [-1, 1]. Every convolution
    but the last is followed by instance norm without scale, all have biases; stride-1 convolutions see the image
    mirrored at its border instead of zeros.

    Source: Zhu et al. 2017 (CycleGAN), appendix 7.2, from Johnson et al. 2016; ConvTranspose 3x3 for "fractional stride
    1/2". 11,365,633 parameters for 1→1 channels at the default width and depth.

    Args:
        in_channels, out_channels: image channels.
        base_channels: width of the first convolution; the residual blocks are 4 x as wide.
        blocks: residual blocks: nine for 256x256, six for 128x128 in the paper.

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, H, W)``; H and W multiples of 4, at least 8.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, *, base_channels: int = 64, blocks: int = 9):
        super().__init__()
        narrow, middle, wide = base_channels, 2 * base_channels, 4 * base_channels
        self.model = nn.Sequential(
            *_normed(nn.Conv2d(in_channels, narrow, 7, padding=3, padding_mode="reflect")),
            *_normed(nn.Conv2d(narrow, middle, 3, stride=2, padding=1)),
            *_normed(nn.Conv2d(middle, wide, 3, stride=2, padding=1)),
            *(ResidualBlock(wide) for _ in range(blocks)),
            *_normed(nn.ConvTranspose2d(wide, middle, 3, stride=2, padding=1, output_padding=1)),
            *_normed(nn.ConvTranspose2d(middle, narrow, 3, stride=2, padding=1, output_padding=1)),
            nn.Conv2d(narrow, out_channels, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )
        normal_init(self)

    def forward(self, image: Tensor) -> Tensor:
        sides = image.shape[-2:]
        if any(side % 4 or side < 8 for side in sides):
            raise MedSynthError(
                "a ResNet generator halves the image twice",
                rule="sides that are multiples of 4, at least 8",
                seen=tuple(sides),
                fix="choose another size in `prepare`",
            )
        return self.model(image)


class ResidualBlock(nn.Module):
    """``x + f(x)`` with f two 3x3 convolutions of the same width; no ReLU after the sum (Zhu et al. 2017, 7.2)."""

    def __init__(self, channels: int):
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect") for _ in range(2))
        self.change = nn.Sequential(*_normed(first), second, InstanceNorm())

    def forward(self, features: Tensor) -> Tensor:
        return features + self.change(features)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, InstanceNorm(), nn.ReLU()]
