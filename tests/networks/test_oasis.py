"""The OASIS generator's block; what it shares with the wavelet generator is in test_label_generators.py."""

import torch
from torch import nn

from medsynth_lib.networks.oasis import SpadeBlock

CLASSES = 4


def test_block_without_its_residual_is_the_identity():
    block = SpadeBlock(3, 3, CLASSES, hidden=8, spectral_norm=False)
    nn.init.zeros_(block.conv_1.weight)
    nn.init.zeros_(block.conv_1.bias)
    features = torch.randn(1, 3, 8, 8)
    assert torch.equal(block(features, torch.zeros(1, CLASSES, 8, 8)), features)
