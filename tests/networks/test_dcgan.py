"""The DCGAN's networks: counts known from elsewhere, mirror images, noise in every pixel; and the perceptron."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.dcgan import DCGANDiscriminator, DCGANGenerator, side
from medsynth_lib.networks.perceptron import Perceptron


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_narrow_form_has_the_counts_of_the_widely_used_one():
    """64 channels, 4x4 kernels, three image channels: the PyTorch tutorial's 3,576,704 and 2,765,568."""
    with torch.device("meta"):
        generator = DCGANGenerator(3, base_channels=64, kernel=4)
        discriminator = DCGANDiscriminator(3, base_channels=64, kernel=4)
    assert (parameters(generator), parameters(discriminator)) == (3_576_704, 2_765_568)


def test_papers_form_has_the_layers_of_figure_1():
    """1024, 512, 256, 128 maps of 4, 8, 16, 32 pixels, 5x5 kernels: the sum, by hand."""
    widths = (1024, 512, 256, 128, 1)
    convolutions = sum(a * b * 25 for a, b in pairwise(widths))
    with torch.device("meta"):
        generator, discriminator = DCGANGenerator(), DCGANDiscriminator()
    assert parameters(generator) == 100 * 1024 * 16 + convolutions + 2 * sum(widths[:-1]) == 18_848_640
    assert parameters(discriminator) == convolutions + 2 * sum(widths[:3]) + 1024 * 16 == 17_226_368


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("depth", [1, 4, 5])
def test_depth_sets_the_size_and_both_networks_agree_on_it(depth, kernel):
    generator = DCGANGenerator(2, noise=7, base_channels=2, depth=depth, kernel=kernel)
    discriminator = DCGANDiscriminator(2, base_channels=2, depth=depth, kernel=kernel)
    sides = []
    for layer in [*generator.ups, generator.head]:
        layer.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    image = generator(torch.randn(3, 7))
    assert image.shape == (3, 2, side(depth), side(depth))
    assert sorted(set(sides)) == [4 * 2**level for level in range(1, depth + 1)]
    assert discriminator(image).shape == (3, 1, 1, 1)


def test_another_size_is_refused_by_name():
    with pytest.raises(MedSynthError, match="one size of image") as failure:
        DCGANDiscriminator(base_channels=2)(torch.zeros(1, 1, 128, 128))
    assert "64 x 64" in str(failure.value)


def test_weights_start_at_the_papers_spread_and_leave_tanh_unsaturated():
    torch.manual_seed(0)
    generator = DCGANGenerator(base_channels=32)
    for module in generator.modules():
        if isinstance(module, nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert module.bias is None
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
    assert generator(torch.randn(8, 100)).abs().max() < 0.9


@pytest.mark.parametrize("kernel", [4, 5])
def test_one_logit_sees_every_pixel_and_every_pixel_hears_every_noise(kernel):
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(base_channels=4, kernel=kernel).double().eval()
    image = torch.randn(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(discriminator(image).sum(), image)
    assert bool((seen != 0).all())
    generator = DCGANGenerator(noise=2, base_channels=4, kernel=kernel).double().eval()
    drawn = torch.randn(8, 2, dtype=torch.float64)
    for changed in range(2):
        other = drawn.clone()
        other[:, changed] += 1
        assert bool((generator(drawn) != generator(other)).any(dim=0).all())


def test_perceptron_is_its_formula():
    torch.manual_seed(0)
    network = Perceptron(2, 3, width=5, layers=2, slope=0.2, bounded=True).double()
    points = torch.randn(4, 2, 1, 1, dtype=torch.float64)
    found = network(points)
    value = points.flatten(1)
    linears = [module for module in network.model if isinstance(module, nn.Linear)]
    for linear in linears[:-1]:
        value = value @ linear.weight.T + linear.bias
        value = torch.where(value > 0, value, 0.2 * value)
    value = torch.tanh(value @ linears[-1].weight.T + linears[-1].bias)
    torch.testing.assert_close(found, value[:, :, None, None])
    torch.testing.assert_close(network(points.flatten(1)), found)
