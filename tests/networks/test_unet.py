"""The U-Net generator: the published counts, and the places where normalisation, bias and dropout must not be."""

import math

import pytest
import torch
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.unet import UNetGenerator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("channels", "parameters"), [(1, 54_407_809), (3, 54_413_955)])
def test_parameter_count_is_that_of_pix2pix(channels, parameters):
    with torch.device("meta"):
        assert count(UNetGenerator(channels, channels)) == parameters


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UNetGenerator(2, 1, base_channels=4, depth=5)


def test_output_is_an_image_of_the_same_size_within_tanh(network):
    fake = network(100 * torch.randn(2, 2, 64, 32))
    assert fake.shape == (2, 1, 64, 32)
    assert fake.abs().max() <= 1


@pytest.mark.parametrize("side", [16, 33, 48])
def test_side_must_be_a_multiple_of_two_to_the_depth(network, side):
    with pytest.raises(MedSynthError, match="multiples of 32"):
        network(torch.zeros(1, 2, 32, side))


def test_depth_one_is_refused():
    with pytest.raises(MedSynthError, match="two downs"):
        UNetGenerator(depth=1)


def test_outermost_and_innermost_convolutions_are_not_normalised(network):
    def normed(block):
        return any(isinstance(layer, nn.BatchNorm2d) for layer in block)

    assert [normed(down) for down in network.downs] == [False, True, True, True, False]
    assert [normed(up) for up in network.ups] == [True] * 4
    assert not normed(network.head)


def test_innermost_code_survives_training_mode():
    """At the smallest size the innermost image is 1x1: a norm there would make every image's code the same."""
    torch.manual_seed(0)
    network = UNetGenerator(1, 1, base_channels=4, depth=4, dropout=0.0).train()
    codes = []
    network.downs[-1].register_forward_hook(lambda module, inputs, code: codes.append(code))
    network(torch.randn(1, 1, 16, 16))
    network(torch.randn(1, 1, 16, 16))
    assert codes[0].shape[-2:] == (1, 1)
    assert not torch.allclose(codes[0], codes[1])


def test_only_the_last_convolution_has_a_bias(network):
    biased = [module for module in network.modules() if getattr(module, "bias", None) is not None]
    convolutions = [module for module in biased if not isinstance(module, nn.BatchNorm2d)]
    assert convolutions == [network.head[1]]


@pytest.mark.parametrize(("depth", "places"), [(8, [1, 2, 3]), (7, [1, 2]), (6, [1]), (5, [])])
def test_dropout_only_on_up_to_three_full_width_ups_after_the_innermost(depth, places):
    """``depth - 5`` of them, as in the authors' code."""
    network = UNetGenerator(base_channels=1, depth=depth)
    dropping = [index for index, up in enumerate(network.ups) if any(isinstance(layer, nn.Dropout) for layer in up)]
    assert dropping == places


def test_dropout_is_the_only_randomness_and_can_be_switched_off():
    image = torch.randn(1, 1, 64, 64)
    for dropout, repeats in ((0.5, False), (0.0, True)):
        network = UNetGenerator(base_channels=4, depth=6, dropout=dropout).train()
        assert torch.equal(network(image), network(image)) == repeats
        assert torch.equal(network.eval()(image), network(image))


def test_weights_start_as_the_paper_says():
    torch.manual_seed(0)
    network = UNetGenerator(base_channels=32, depth=5)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # The sd of n normal numbers is known to 1/sqrt(2n): five of those.
            assert module.weight.std().item() == pytest.approx(0.02, rel=5 / math.sqrt(2 * module.weight.numel()))
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1.0, abs=5 * 0.02 / math.sqrt(module.weight.numel()))
            assert not module.bias.any()
    assert not network.head[1].bias.any()
