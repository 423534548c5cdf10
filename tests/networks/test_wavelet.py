"""The residual wavelet generator's block; what it shares with the OASIS generator is in test_label_generators.py."""

import numpy as np
import pywt
import torch
from torch import nn

from medsynth_lib.networks.wavelet import WaveletBlock

CLASSES = 4


def test_skip_doubles_the_image_and_not_the_bands():
    """With the residual silenced and no change of width, a block is bilinear doubling in image space."""
    block = WaveletBlock(2, 2, CLASSES, hidden=8, spectral_norm=False).double()
    nn.init.zeros_(block.conv_1.weight)
    nn.init.zeros_(block.conv_1.bias)
    bands = torch.randn(1, 8, 4, 4, dtype=torch.float64)
    average, *details = np.split(bands.numpy(), 4, axis=1)
    image = torch.from_numpy(pywt.idwt2((average, tuple(details)), "haar", axes=(-2, -1)))
    doubled = nn.functional.interpolate(image, scale_factor=2, mode="bilinear")
    average, details = pywt.dwt2(doubled.numpy(), "haar", axes=(-2, -1))
    with torch.no_grad():
        output = block(bands, *(torch.zeros(1, CLASSES, side, side, dtype=torch.float64) for side in (8, 16)))
    np.testing.assert_allclose(output.numpy(), np.concatenate([average, *details], axis=1), atol=1e-12)
