"""The original U-Net, and a cascade of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.initialise import he_init
from medsynth_lib.networks.instance_norm import InstanceNorm


class RonnebergerUNet(nn.Module):
    """Two 3x3 convolutions per level; max pooling halves the image and doubles the width, 2x2 ups undo both.

    ``block``: twice Conv 3x3 → (norm) → ReLU; ``down``: max pooling 2x2; ``up``: ConvTranspose 2x2 stride 2 to half the
    channels, joined with the block of the same size. The head is a 1x1 convolution. Convolutions are padded, so the
    image keeps its size; the paper's shrink it.

    Source: Ronneberger et al. 2015, §2; weights ~ N(0, sqrt(2 / fan-in)), §3. 31,031,875 parameters for 3→3 channels at
    the default width and depth, 48,484,563 with ``base_channels=80``.

    Args:
        in_channels, out_channels: image channels.
        base_channels: width of the first level; doubles at each of the next.
        depth: number of levels; image sides must be multiples of ``2 ** (depth - 1)``.
        norm: ``"none"`` (the paper), ``"instance"`` (no scale or shift: as many parameters), or ``"batch"``.
        output: ``"linear"`` (the paper: any number), or ``"clip"`` (``Clip``); then the head's bias starts at -1, the
            window's lower end, where most of a slice lies. Adam moves a bias by its rate at most: from 0, hundreds of
            steps would go by until the air is right.

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, H, W)``.

    Raises:
        MedSynthError: fewer than two levels, or an image side that cannot be halved that often.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        base_channels: int = 64,
        depth: int = 5,
        norm: str = "none",
        output: str = "linear",
    ):
        super().__init__()
        if depth < 2:
            raise MedSynthError("a U-Net needs at least two levels", where="depth", seen=depth)
        widths = [base_channels * 2**level for level in range(depth)]
        entering = [in_channels, *widths[:-1]]
        self.depth = depth
        self.encoder = nn.ModuleList(_block(a, b, norm) for a, b in zip(entering, widths, strict=True))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in reversed(widths[:-1]))
        self.decoder = nn.ModuleList(_block(2 * width, width, norm) for width in reversed(widths[:-1]))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], out_channels, 1)
        self.output = {"linear": nn.Identity, "clip": Clip}[output]()
        he_init(self)
        if output == "clip":
            nn.init.constant_(self.head.bias, -1)

    def forward(self, image: Tensor) -> Tensor:
        self._check_sides(image)
        skips = []
        for level, block in enumerate(self.encoder):
            image = block(self.pool(image) if level else image)
            skips.append(image)
        image = skips.pop()
        for up, block in zip(self.ups, self.decoder, strict=True):
            image = block(torch.cat([skips.pop(), up(image)], dim=1))
        return self.output(self.head(image))

    def _check_sides(self, image: Tensor) -> None:
        step, sides = 2 ** (self.depth - 1), image.shape[-2:]
        if any(side % step for side in sides):
            raise MedSynthError(
                f"a U-Net of {self.depth} levels needs image sides that are multiples of {step}",
                seen=tuple(sides),
                fix="choose another size in `prepare`, or a smaller depth",
            )


class Clip(nn.Module):
    """Values clipped to [-1, 1], whose gradient passes as if they were not.

    ŷ = min(max(z, -1), 1), ∂ŷ/∂z = 1. The squared error then moves z by 2 (ŷ - y): not at all where z lies beyond the
    window on the same side as y, and back towards y wherever ŷ is wrong. The derivative of clipping itself is 0 out
    there: a network whose every output has fallen below -1 would stay, and without a norm the first steps do that.
    """

    def forward(self, image: Tensor) -> Tensor:
        return image.clamp(-1, 1).detach() + (image - image.detach())  # exact: the bracket is 0


class RonnebergerCascade(nn.Module):
    """U-Nets in a row: the first sees the source, each of the others the source and what the one before it made.

    ŷ_1 = U_1(x), ŷ_k = U_k(x ‖ ŷ_{k-1}). Source: 001 §1 and §2 ("multiple simple encoder-decoder structures"), which
    draws no wiring; joining with the source follows stacked networks in general.

    Args:
        in_channels, out_channels: channels of source and target.
        stages: how many U-Nets (001 names 1 to 6).
        base_channels, depth, norm, output: of each ``RonnebergerUNet``.

    Shape: ``(B, in_channels, H, W)`` → a list of ``stages`` images ``(B, out_channels, H, W)``, the last one last.

    Raises:
        MedSynthError: no stage, or as ``RonnebergerUNet``.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, *, stages: int = 1, **unet: object):
        super().__init__()
        if stages < 1:
            raise MedSynthError("a cascade needs at least one stage", where="stages", seen=stages)
        entering = [in_channels] + [in_channels + out_channels] * (stages - 1)
        self.stages = nn.ModuleList(RonnebergerUNet(channels, out_channels, **unet) for channels in entering)

    def forward(self, source: Tensor) -> list[Tensor]:
        made: list[Tensor] = []
        for stage in self.stages:
            made.append(stage(torch.cat([source, *made[-1:]], dim=1)))
        return made


def _block(entering: int, leaving: int, norm: str) -> nn.Sequential:
    return nn.Sequential(*_convolution(entering, leaving, norm), *_convolution(leaving, leaving, norm))


def _convolution(entering: int, leaving: int, norm: str) -> list[nn.Module]:
    norms = {"none": [], "instance": [InstanceNorm()], "batch": [nn.BatchNorm2d(leaving)]}
    # Batch norm's own shift replaces the bias; instance norm has none, and a bias in its place, as in PatchGAN.
    return [nn.Conv2d(entering, leaving, 3, padding=1, bias=norm != "batch"), *norms[norm], nn.ReLU()]
