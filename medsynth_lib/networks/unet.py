"""U-Net generators."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.initialise import normal_init


class UNetGenerator(nn.Module):
    """The pix2pix U-Net: every down halves the image, every up doubles it, skips join equals.

    ``down``: LeakyReLU(0.2) → Conv 4x4 stride 2 → BatchNorm; ``up``: ReLU → ConvTranspose 4x4 stride 2 → BatchNorm.
    No normalisation on the outermost pair nor on the innermost convolution, whose output is 1x1: normalising one number
    by its own mean would erase it. Dropout on up to three ups of full width after the innermost one. Only the last
    convolution has a bias, as in the authors' code. The last activation is tanh, so outputs lie in [-1, 1].

    Source: Isola et al. 2017, appendix 6.1.1. 54,407,809 parameters for 1→1 channels at the default width and depth.

    Args:
        in_channels, out_channels: image channels.
        base_channels: width of the first down; doubles at each of the next three, then stays at 8 x.
        depth: number of downs; the image side must be a multiple of ``2 ** depth`` (256 for 8).
        dropout: probability, 0 to switch it off.

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, H, W)``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        base_channels: int = 64,
        depth: int = 8,
        dropout: float = 0.5,
    ):
        super().__init__()
        if depth < 2:
            raise MedSynthError("a U-Net needs at least two downs", where="depth", seen=depth)
        widths = [base_channels * min(2**level, 8) for level in range(depth)]
        self.depth = depth
        pairs = enumerate(_pairs(in_channels, widths))
        self.downs = nn.ModuleList(_down(a, b, level, depth) for level, (a, b) in pairs)
        ups = []
        for level in reversed(range(1, depth)):
            entering = widths[level] if level == depth - 1 else 2 * widths[level]
            drops = depth - 4 <= level < depth - 1 and widths[level - 1] == widths[-1]
            ups.append(_up(entering, widths[level - 1], dropout if drops else 0.0))
        self.ups = nn.ModuleList(ups)
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * widths[0], out_channels, 4, 2, 1), nn.Tanh())
        normal_init(self)

    def forward(self, image: Tensor) -> Tensor:
        step = 2**self.depth
        if image.shape[-1] % step or image.shape[-2] % step:
            raise MedSynthError(
                f"a U-Net of depth {self.depth} needs image sides that are multiples of {step}",
                seen=tuple(image.shape[-2:]),
                fix="choose another size in `prepare`, or a smaller depth",
            )
        skips = []
        for down in self.downs:
            image = down(image)
            skips.append(image)
        image = skips.pop()
        for up in self.ups:
            image = torch.cat([up(image), skips.pop()], dim=1)
        return self.head(image)


def _pairs(first: int, widths: list[int]) -> list[tuple[int, int]]:
    return list(zip([first, *widths[:-1]], widths, strict=True))


def _down(entering: int, leaving: int, level: int, depth: int) -> nn.Sequential:
    outermost, innermost = level == 0, level == depth - 1
    plain = outermost or innermost
    layers = [] if outermost else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(entering, leaving, 4, 2, 1, bias=False))
    return nn.Sequential(*layers, *([] if plain else [nn.BatchNorm2d(leaving)]))


def _up(entering: int, leaving: int, dropout: float) -> nn.Sequential:
    layers = [nn.ReLU(), nn.ConvTranspose2d(entering, leaving, 4, 2, 1, bias=False), nn.BatchNorm2d(leaving)]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))
