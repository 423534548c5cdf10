"""The table of networks: exact counts, and multiplications counted by hand."""

import pytest
import torch
from torch import nn

from medsynth_lib.systems.models import model_table, multiply_accumulates

#: Parameters and GMAC at 256 x 256, counted from the papers' reference implementations.
EXPECTED = {("pix2pix", "generator"): (54_407_809, 5.95), ("pix2pix", "discriminator"): (2_764_609, 3.1)}


def test_every_network_has_its_count():
    found = {(row["system"], row["network"]): row for row in model_table()}
    assert set(found) == set(EXPECTED)
    for key, (parameters, gmac) in EXPECTED.items():
        assert found[key]["parameters"] == parameters
        assert found[key]["gmac"] == pytest.approx(gmac, rel=0.02)


def test_multiplications_of_one_convolution():
    convolution = nn.Conv2d(3, 5, kernel_size=4, stride=2, padding=1)
    assert multiply_accumulates(convolution, torch.empty(1, 3, 16, 16)) == 8 * 8 * 5 * 3 * 4 * 4
