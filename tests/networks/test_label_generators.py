"""What both label-to-image generators promise: published counts, and what an image must and must not depend on."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.oasis import OasisGenerator
from medsynth_lib.networks.wavelet import WaveletGenerator
from medsynth_lib.systems.models import multiply_accumulates

CLASSES, NOISE = 4, 6


@dataclass(frozen=True)
class Published:
    """One generator, what Table 3.1 of 003 says of it for three channels and for one, and its least image side."""

    network: type[nn.Module]
    parameters: dict[int, int]
    multiply_accumulates: float
    least_side: int


PUBLISHED = {
    "oasis": Published(OasisGenerator, {3: 71_190_467, 1: 71_189_313}, 160e9, 4),
    "wavelet": Published(WaveletGenerator, {3: 55_803_884, 1: 55_803_364}, 44e9, 16),
}


@pytest.fixture(params=PUBLISHED)
def published(request) -> Published:
    return PUBLISHED[request.param]


@pytest.fixture
def narrow(published):
    def make(**changes) -> nn.Module:
        torch.manual_seed(0)
        settings = {"base_channels": 2, "noise_channels": NOISE, "blocks": 3, "hidden_channels": 8} | changes
        return published.network(CLASSES, 1, **settings)

    return make


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.one_hot(labels, CLASSES).movedim(-1, 1).float()


@pytest.fixture
def labels():
    return one_hot(torch.randint(0, CLASSES, (2, 16, 32), generator=torch.Generator().manual_seed(1)))


@pytest.fixture
def noise():
    return torch.randn(2, NOISE, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("channels", [3, 1])
def test_parameter_count_is_that_of_the_thesis(published, channels):
    with torch.device("meta"):
        for spectral_norm in (True, False):
            network = published.network(38, channels, spectral_norm=spectral_norm)
            assert count(network) == published.parameters[channels]


def test_multiply_accumulates_of_the_paper_size(published):
    with torch.device("meta"):
        found = multiply_accumulates(published.network(), torch.empty(1, 38, 256, 256))
    assert found == pytest.approx(published.multiply_accumulates, rel=0.03)


def test_output_is_an_image_of_the_labels_size_within_tanh(narrow, labels):
    network = narrow()
    with torch.no_grad():
        network.last.weight.mul_(100)
    fake = network(labels)
    assert fake.shape == (2, 1, 16, 32)
    assert 0.9 < fake.abs().max() <= 1


def test_same_noise_same_image_other_noise_other_image(narrow, labels, noise):
    network = narrow().eval()
    assert torch.equal(network(labels, noise), network(labels, noise))
    assert (network(labels, noise) - network(labels, noise.flip(0))).abs().mean() > 1e-3


def test_noise_is_redrawn_when_none_is_given(narrow, labels):
    network = narrow().eval()
    assert not torch.equal(network(labels), network(labels))
    without = narrow(noise_channels=0).eval()
    assert torch.equal(without(labels), without(labels))


def test_labels_reach_the_image_through_spade_alone(narrow, labels, noise):
    """With the entry made blind, only γ and β know the labels: another permutation of them is another image."""
    network = narrow().eval()
    nn.init.zeros_(network.first.weight)
    permuted = labels[:, [1, 2, 3, 0]]
    assert (network(labels, noise) - network(permuted, noise)).abs().mean() > 1e-3


def test_every_parameter_learns(narrow, labels, noise):
    network = narrow()
    network(labels, noise).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters() if parameter.dim() > 1)


def test_statistics_come_from_the_whole_batch_in_training_and_from_the_buffers_in_evaluation(narrow, labels, noise):
    network = narrow()
    with torch.no_grad():
        together, alone = network(labels, noise)[:1], network(labels[:1], noise[:1])
        assert not torch.allclose(together, alone)
        network.eval()
        torch.testing.assert_close(network(labels, noise)[:1], network(labels[:1], noise[:1]))


def test_sides_must_be_multiples(published, narrow):
    side = published.least_side
    with pytest.raises(MedSynthError, match=f"multiples of {side}"):
        narrow()(torch.zeros(1, CLASSES, 16, 16 + side // 2))
