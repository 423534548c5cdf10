"""The ResNet generator: the published counts, its border, and slices on which instance norm could break."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.instance_norm import InstanceNorm
from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.networks.resnet import ResidualBlock, ResNetGenerator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("channels", "parameters"), [(1, 11_365_633), (3, 11_378_179)])
def test_parameter_count_is_that_of_cyclegan(channels, parameters):
    with torch.device("meta"):
        assert count(ResNetGenerator(channels, channels)) == parameters


def test_cost_at_256_is_that_of_the_paper():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        ResNetGenerator()(torch.empty(1, 1, 256, 256))
    assert counter.get_total_flops() / 2e9 == pytest.approx(48.7, abs=0.05)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ResNetGenerator(2, 1, base_channels=4, blocks=3)


def test_output_is_an_image_of_the_same_size_within_tanh(network):
    fake = network(100 * torch.randn(2, 2, 32, 20))
    assert fake.shape == (2, 1, 32, 20)
    assert fake.abs().max() <= 1


@pytest.mark.parametrize("side", [4, 10, 33])
def test_side_must_be_a_multiple_of_four_from_eight(network, side):
    with pytest.raises(MedSynthError, match="halves the image twice"):
        network(torch.zeros(1, 2, 32, side))


def test_every_convolution_but_the_last_is_normalised(network):
    layers = [layer for layer in network.modules() if not list(layer.children())]
    after = {layer: following for layer, following in pairwise(layers) if hasattr(layer, "weight")}
    assert [type(following) for following in after.values()] == [InstanceNorm] * (len(after) - 1) + [nn.Tanh]
    assert all(layer.bias is not None for layer in after)


def test_blocks_change_their_input_by_a_sum():
    block = ResidualBlock(3)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    features = torch.randn(1, 3, 6, 6)
    assert torch.equal(block(features), features)


def test_a_generator_that_mirrors_its_border_does_not_see_it():
    """Zero padding would draw a frame: a mirrored border continues a constant image beyond its edge."""
    layer = ResNetGenerator(base_channels=4, blocks=1).model[0]
    with torch.no_grad():
        features = layer(torch.full((1, 1, 16, 16), 0.7))
    assert torch.allclose(features, features[..., :1, :1].expand_as(features), atol=1e-6)


def test_weights_start_as_the_paper_says():
    torch.manual_seed(0)
    for module in ResNetGenerator(base_channels=16).modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=5 / (2 * module.weight.numel()) ** 0.5)
            assert not module.bias.any()


def trained_weights(network: nn.Module) -> nn.Module:
    """Weights as large as training makes them: with those of the start, what breaks later is still too small to see."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
            else:
                parameter.normal_(0, 0.1)
    return network


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("size", [8, 64])
def test_a_slice_of_air_gives_a_plain_image_and_no_exploding_gradient(size, amp):
    """1/sqrt(eps) twenty times over would make of rounding an image of full contrast, and huge gradients."""
    torch.manual_seed(0)
    network = trained_weights(ResNetGenerator(base_channels=8))
    largest = {}
    for name, image in {"air": torch.full((1, 1, size, size), -1.0), "patient": torch.rand(1, 1, size, size)}.items():
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            fake = network(image).float()
        if name == "air":
            assert float(fake.detach().amax() - fake.detach().amin()) < 0.01
        (fake - torch.randn_like(fake)).abs().mean().backward()
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
        largest[name] = max(float(parameter.grad.abs().max()) for parameter in network.parameters())
    assert largest["air"] < 3 * largest["patient"]


def test_an_air_slice_does_not_touch_its_neighbours_in_the_batch(network):
    image = torch.randn(1, 2, 16, 16)
    together = network(torch.cat([torch.full_like(image, -1), image]))
    assert torch.allclose(together[1:], network(image), atol=1e-5)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_patchgan_on_small_images_keeps_what_it_sees(size):
    """At 16 and 24 pixels its last normalised features are a single pixel or a few."""
    torch.manual_seed(0)
    judge = PatchGAN(1, base_channels=4, layers=2 if size == 16 else 3, norm="instance")
    logits = [judge(torch.full((1, 1, size, size), -1.0)), judge(torch.randn(1, 1, size, size))]
    assert all(one.isfinite().all() for one in logits)
    assert not torch.equal(*logits)
