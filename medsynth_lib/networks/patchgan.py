"""PatchGAN discriminator: one verdict per overlapping patch."""

from __future__ import annotations

from torch import Tensor, nn

from medsynth_lib.networks.initialise import he_init, normal_init
from medsynth_lib.networks.instance_norm import InstanceNorm


class PatchGAN(nn.Module):
    """Convolutional discriminator whose every output logit sees one patch of the image (70x70 by default).

    C64-C128-C256-C512-C1, all 4x4: stride 2 for the first ``layers`` convolutions, 1 for the last two; LeakyReLU(0.2).
    Source: Isola et al. 2017, appendix 6.1.2. 2,764,609 parameters for two input channels; 2,762,689 for one and
    instance norm (Zhu et al. 2017, appendix 7.2).

    Args:
        in_channels: channels judged together; for a conditional GAN, source and target channels.
        base_channels: width of the first convolution; doubles up to 8 x.
        layers: stride-2 convolutions; receptive field 16, 34, 70, 142, 286 for 1 ... 5.
        norm: ``"batch"`` (pix2pix), ``"instance"`` (CycleGAN; no scale, and biases in the convolutions), or ``"none"``
            (biases in the convolutions, and weights scaled to each layer: from N(0, 0.02) a narrow discriminator that
            nothing normalises starts with logits of a thousandth, and stays at chance for hundreds of steps).

    Shape: ``(B, in_channels, H, W)`` → logits ``(B, 1, h, w)``, h = 30 for H = 256.
    """

    def __init__(self, in_channels: int = 2, *, base_channels: int = 64, layers: int = 3, norm: str = "batch"):
        super().__init__()
        normalise = {"batch": nn.BatchNorm2d, "instance": lambda channels: InstanceNorm(), "none": nn.Identity}[norm]
        widths = [base_channels * min(2**level, 8) for level in range(layers + 1)]
        blocks: list[nn.Module] = [nn.Conv2d(in_channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for level in range(1, layers + 1):
            stride = 2 if level < layers else 1
            convolution = nn.Conv2d(widths[level - 1], widths[level], 4, stride, 1, bias=norm != "batch")
            blocks += [convolution, normalise(widths[level]), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        if norm == "none":
            he_init(self, slope=0.2)
        else:
            normal_init(self)

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image)


def receptive_field(layers: int = 3) -> int:
    """Side in pixels of the patch that one PatchGAN logit sees.

    From the last layer back: ``r ← (r - 1) * stride + kernel`` with kernel 4.

    >>> [receptive_field(n) for n in (1, 2, 3, 4, 5)]
    [16, 34, 70, 142, 286]
    """
    field = 1
    for stride in [1, 1] + [2] * layers:
        field = (field - 1) * stride + 4
    return field
