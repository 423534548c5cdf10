"""The residual wavelet generator: the published count, and what its output must and must not depend on."""

import numpy as np
import pytest
import pywt
import torch
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.wavelet import WaveletBlock, WaveletGenerator
from medsynth_lib.systems.models import multiply_accumulates

CLASSES, NOISE = 4, 6


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.one_hot(labels, CLASSES).movedim(-1, 1).float()


def narrow(**changes) -> WaveletGenerator:
    torch.manual_seed(0)
    settings = {"base_channels": 2, "noise_channels": NOISE, "blocks": 3, "hidden_channels": 8} | changes
    return WaveletGenerator(CLASSES, 1, **settings)


@pytest.fixture
def labels():
    return one_hot(torch.randint(0, CLASSES, (2, 16, 32), generator=torch.Generator().manual_seed(1)))


@pytest.fixture
def noise():
    return torch.randn(2, NOISE, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("channels", "parameters"), [(3, 55_803_884), (1, 55_803_364)])
def test_parameter_count_is_that_of_the_thesis(channels, parameters):
    """Table 3.1 says 55.8 M, for three channels."""
    with torch.device("meta"):
        assert count(WaveletGenerator(38, channels)) == parameters
        assert count(WaveletGenerator(38, channels, spectral_norm=False)) == parameters


def test_multiply_accumulates_of_the_paper_size():
    with torch.device("meta"):
        assert multiply_accumulates(WaveletGenerator(), torch.empty(1, 38, 256, 256)) == pytest.approx(44e9, rel=0.03)


def test_output_is_an_image_of_the_labels_size_within_tanh(labels):
    network = narrow()
    with torch.no_grad():
        network.last.weight.mul_(100)
    fake = network(labels)
    assert fake.shape == (2, 1, 16, 32)
    assert 0.9 < fake.abs().max() <= 1


def test_same_noise_same_image_other_noise_other_image(labels, noise):
    network = narrow().eval()
    assert torch.equal(network(labels, noise), network(labels, noise))
    assert (network(labels, noise) - network(labels, noise.flip(0))).abs().mean() > 1e-3


def test_noise_is_redrawn_when_none_is_given(labels):
    network = narrow().eval()
    assert not torch.equal(network(labels), network(labels))
    without = narrow(noise_channels=0).eval()
    assert torch.equal(without(labels), without(labels))


def test_labels_reach_the_image_through_spade_alone(labels, noise):
    """With the entry made blind, only γ and β know the labels: another permutation of them is another image."""
    network = narrow().eval()
    nn.init.zeros_(network.first.weight)
    permuted = labels[:, [1, 2, 3, 0]]
    assert (network(labels, noise) - network(permuted, noise)).abs().mean() > 1e-3


def test_every_parameter_learns(labels, noise):
    network = narrow()
    network(labels, noise).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters() if parameter.dim() > 1)


def test_statistics_come_from_the_whole_batch_in_training_and_from_the_buffers_in_evaluation(labels, noise):
    network = narrow()
    with torch.no_grad():
        together, alone = network(labels, noise)[:1], network(labels[:1], noise[:1])
        assert not torch.allclose(together, alone)
        network.eval()
        torch.testing.assert_close(network(labels, noise)[:1], network(labels[:1], noise[:1]))


def test_sides_must_be_multiples():
    with pytest.raises(MedSynthError, match="multiples of 16"):
        narrow()(torch.zeros(1, CLASSES, 16, 24))


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
