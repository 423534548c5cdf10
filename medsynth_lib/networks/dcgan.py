"""The two networks of the DCGAN."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.initialise import normal_init

#: Side of the smallest feature map: where noise enters the generator, and where the discriminator decides.
SMALLEST = 4


def side(depth: int) -> int:
    """Side in pixels of a DCGAN's images: 4 doubled ``depth`` times.

    >>> side(4), side(5)
    (64, 128)
    """
    return SMALLEST * 2**depth


class DCGANGenerator(nn.Module):
    """Noise, projected to 4x4 features that every fractionally-strided convolution doubles, down to an image.

    project → BN → ReLU, then ``depth`` times ConvTranspose stride 2, with BN → ReLU after all but the last, and tanh.
    Widths halve from 8 to 1 x ``base_channels`` on the way to the image. No biases: batch norm would take them away.
    Weights ~ N(0, 0.02).

    Source: Radford, Metz, Chintala 2016, §3 and figure 1 (64x64: 1024, 512, 256, 128 channels, 5x5 kernels): 18,848,640
    parameters for one channel. ``base_channels=64, kernel=4`` is the narrower network that is widely used.

    Args:
        out_channels: image channels.
        noise: numbers of noise per image.
        base_channels: width before the image; doubles at each step away from it, up to 8 x.
        depth: number of doublings: 4 gives 64x64 images, 5 gives 128x128.
        kernel: side of the convolutions. An odd kernel with stride 2 reaches neighbouring pixels unequally often, which
            can show as a checkerboard (Odena et al. 2016); an even one does not.

    Shape: ``(B, noise)`` → ``(B, out_channels, 4·2^depth, 4·2^depth)`` in [-1, 1].
    """

    def __init__(
        self,
        out_channels: int = 1,
        *,
        noise: int = 100,
        base_channels: int = 128,
        depth: int = 4,
        kernel: int = 5,
    ):
        super().__init__()
        widths = _widths(base_channels, depth)[::-1]
        self.project = nn.Sequential(
            nn.ConvTranspose2d(noise, widths[0], SMALLEST, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        ups: list[nn.Module] = []
        for entering, leaving in pairwise(widths):
            ups += [_up(entering, leaving, kernel), nn.BatchNorm2d(leaving), nn.ReLU()]
        self.ups = nn.Sequential(*ups)
        self.head = nn.Sequential(_up(widths[-1], out_channels, kernel), nn.Tanh())
        normal_init(self)

    def forward(self, noise: Tensor) -> Tensor:
        return self.head(self.ups(self.project(noise[:, :, None, None])))


class DCGANDiscriminator(nn.Module):
    """The generator mirrored: strided convolutions halve the image down to 4x4, where one linear layer decides.

    Conv stride 2 → LeakyReLU(0.2), ``depth`` times, with BN between the two in all but the first. Weights ~ N(0, 0.02).

    Source: Radford, Metz, Chintala 2016, §3; widths and kernels as in the generator: 17,226,368 parameters for one
    channel.

    Args:
        in_channels: image channels.
        base_channels: width after the first convolution; doubles at each of the next, up to 8 x.
        depth: number of halvings: 4 for 64x64 images, 5 for 128x128.
        kernel: side of the convolutions.

    Shape: ``(B, in_channels, 4·2^depth, 4·2^depth)`` → logits ``(B, 1, 1, 1)``.

    Raises:
        MedSynthError: on images of another size.
    """

    def __init__(self, in_channels: int = 1, *, base_channels: int = 128, depth: int = 4, kernel: int = 5):
        super().__init__()
        widths = _widths(base_channels, depth)
        self.side = side(depth)
        blocks: list[nn.Module] = [_down(in_channels, widths[0], kernel), nn.LeakyReLU(0.2)]
        for entering, leaving in pairwise(widths):
            blocks += [_down(entering, leaving, kernel), nn.BatchNorm2d(leaving), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, SMALLEST, bias=False))
        normal_init(self)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2:] != (self.side, self.side):
            raise MedSynthError(
                "a DCGAN is built for one size of image",
                rule=f"{self.side} x {self.side}, 4 doubled `depth` times",
                seen=tuple(image.shape[-2:]),
                fix=f"prepare slices of size {self.side}, or choose another depth",
            )
        return self.model(image)


def _widths(base_channels: int, depth: int) -> list[int]:
    """Widths of the feature maps, from the image's side inwards."""
    if depth < 1:
        raise MedSynthError("a DCGAN needs at least one doubling", where="depth", seen=depth)
    return [base_channels * min(2**level, 8) for level in range(depth)]


def _up(entering: int, leaving: int, kernel: int) -> nn.ConvTranspose2d:
    padding = (kernel - 1) // 2
    return nn.ConvTranspose2d(entering, leaving, kernel, 2, padding, output_padding=kernel % 2, bias=False)


def _down(entering: int, leaving: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(entering, leaving, kernel, 2, (kernel - 1) // 2, bias=False)
