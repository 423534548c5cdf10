"""Weight initialisation of the pix2pix and CycleGAN papers."""

from __future__ import annotations

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
