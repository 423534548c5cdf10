"""How weights start: as in the pix2pix and CycleGAN papers, or scaled to each layer where nothing normalises."""

from __future__ import annotations

import math

from torch import nn


def normal_init(network: nn.Module, std: float = 0.02) -> nn.Module:
    """Convolutions ~ N(0, std), biases 0, batch-norm scales ~ N(1, std); returns the network.

    Source: Isola et al. 2017, appendix 6.2 ("weights were initialized from a Gaussian distribution with mean 0 and
    standard deviation 0.02").
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
    return network


def he_init(network: nn.Module, slope: float = 0.0) -> nn.Module:
    """Convolutions ~ N(0, sqrt(2 / (N (1 + slope²)))) with N the inputs of one output, biases 0; returns the network.

    A ReLU halves the mean square of what passes, one that leaks by ``slope`` takes less; the factor keeps it level
    through the depth (He et al. 2015, eq. 10 and 15). A 2x2 up of stride 2 gives each output one input pixel, so its N
    is its input channels alone. Its four weights start equal, as a nearest-neighbour up: drawn apart they start as a
    checkerboard, which takes long to unlearn (Aitken et al. 2017).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            inputs = module.in_channels * (math.prod(module.kernel_size) if isinstance(module, nn.Conv2d) else 1)
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (inputs * (1 + slope**2))))
            if isinstance(module, nn.ConvTranspose2d):
                module.weight.data.copy_(module.weight.data[..., :1, :1].expand_as(module.weight))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
