"""The wavelet discriminator: the published count, equalised rates, and gradients of gradients for R1."""

import math

import numpy as np
import pytest
import pywt
import torch
from scipy.signal import correlate2d
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.wavelet_discriminator import EqualisedConv, WaveletDiscriminator, blur, minibatch_deviation
from medsynth_lib.systems.models import multiply_accumulates


def narrow(size: int = 32, channels: int = 1, *, antialias: bool = True) -> WaveletDiscriminator:
    torch.manual_seed(0)
    return WaveletDiscriminator(channels, size, max_channels=8, antialias=antialias)


@pytest.mark.parametrize(("channels", "parameters"), [(3, 26_211_073), (1, 26_189_569)])
def test_parameter_count_is_that_of_the_thesis(channels, parameters):
    """Table 3.1 says 26.2 M, for three channels."""
    with torch.device("meta"):
        network = WaveletDiscriminator(channels)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_without_antialias_the_stride_is_a_plain_convolution():
    torch.manual_seed(0)
    layer, features = EqualisedConv(3, 5, stride=2), torch.randn(2, 3, 8, 8)
    nn.init.normal_(layer.bias)
    convolved = nn.functional.conv2d(features, layer.weight / math.sqrt(27), layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(features), math.sqrt(2) * nn.functional.leaky_relu(convolved, 0.2))


def test_antialias_hides_the_finest_pattern_and_changes_no_parameter():
    layers, checkers = [], torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)[None, None]
    for antialias in (True, False):
        torch.manual_seed(0)
        layers.append(EqualisedConv(1, 4, stride=2, antialias=antialias))
    inner = [layer(checkers)[..., 1:-1, 1:-1].abs().max().item() for layer in layers]
    assert inner[0] < 1e-6
    assert inner[1] > 0.1
    networks = [narrow(64, antialias=antialias) for antialias in (True, False)]
    assert networks[0].state_dict().keys() == networks[1].state_dict().keys()
    with torch.no_grad():
        image = torch.randn(1, 1, 64, 64)
        assert abs(networks[0](image) - networks[1](image)).item() > 1e-3


def test_multiply_accumulates_of_the_paper_size():
    with torch.device("meta"):
        assert multiply_accumulates(WaveletDiscriminator(), torch.empty(1, 3, 256, 256)) == pytest.approx(
            21e9, rel=0.03
        )


@pytest.mark.parametrize("batch", [1, 3, 4, 6, 8])
@pytest.mark.parametrize("size", [16, 64])
def test_one_logit_per_image_for_any_batch(batch, size):
    with torch.no_grad():
        logits = narrow(size)(torch.randn(batch, 1, size, size))
    assert logits.shape == (batch, 1)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [8, 48, 100])
def test_other_sizes_are_refused(size):
    with pytest.raises(MedSynthError, match="power of two"):
        WaveletDiscriminator(1, size)


@pytest.mark.parametrize(("batch", "antialias"), [(1, True), (3, True), (3, False)])
def test_gradient_penalty_has_a_gradient(batch, antialias):
    """R1 = |∇D(x)|²: its own gradient by autograd is that by finite differences."""
    network = narrow(antialias=antialias).double()
    image = torch.randn(batch, 1, 32, 32, dtype=torch.float64)

    def penalty() -> torch.Tensor:
        real = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(real).sum(), real, create_graph=True)
        return gradient.square().sum()

    weight = network.downs[0][1].weight
    (slope,) = torch.autograd.grad(penalty(), weight)
    assert slope.isfinite().all()
    direction, step = torch.randn_like(weight), 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step * direction)
        values.append(penalty().item())
        with torch.no_grad():
            weight.sub_(sign * step * direction)
    assert (slope * direction).sum().item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_penalty_of_identical_images_is_finite():
    """Their minibatch deviation is zero, where a square root has no slope."""
    real = torch.ones(3, 1, 32, 32, requires_grad=True)
    network = narrow()
    (gradient,) = torch.autograd.grad(network(real).sum(), real, create_graph=True)
    gradient.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)


def test_every_parameter_learns():
    network = narrow()
    network(torch.randn(2, 1, 32, 32)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


@pytest.mark.parametrize(("batch", "groups"), [(1, 1), (3, 1), (4, 1), (6, 1), (8, 2)])
def test_minibatch_deviation_against_numpy(batch, groups):
    features = torch.randn(batch, 5, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grouped = features.numpy().reshape(batch // groups, groups, 5, 3, 2)  # members of a group are `groups` apart
    numbers = np.sqrt(grouped.var(axis=0) + 1e-8).mean(axis=(1, 2, 3))
    expected = np.broadcast_to(np.tile(numbers, batch // groups)[:, None, None, None], (batch, 1, 3, 2))
    np.testing.assert_allclose(minibatch_deviation(features).numpy(), expected, rtol=1e-12)


def test_minibatch_deviation_tells_a_collapsed_batch():
    image = torch.randn(1, 5, 4, 4)
    assert minibatch_deviation(image.repeat(4, 1, 1, 1)).max() < 2e-4
    assert minibatch_deviation(torch.randn(4, 5, 4, 4)).min() > 0.5


def test_blur_keeps_a_constant_and_removes_the_finest_pattern():
    assert torch.allclose(blur(torch.ones(1, 2, 8, 8), stride=1, padding=0), torch.ones(1, 2, 5, 5))
    checkers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    assert blur(checkers, stride=2, padding=0).abs().max() < 1e-6


def test_every_layer_keeps_the_size_of_its_input():
    """Whatever the width: weights are N(0, 1), and it is the layer that scales."""
    torch.manual_seed(0)
    features = torch.randn(4, 256, 16, 16)
    layer = EqualisedConv(256, 64)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.02)
    with torch.no_grad():
        inner = layer(features)[..., 1:-1, 1:-1]
    # E[(√2 leaky(x))²] of a standard normal x is 1 + 0.2².
    assert inner.square().mean().item() == pytest.approx(1 + 0.2**2, rel=0.1)
    assert layer.gain == pytest.approx(1 / math.sqrt(256 * 9))


def test_each_scale_of_the_image_is_heard():
    """With the trunk of the finest scale cut, coarser bands still move the verdict."""
    network = narrow(64)
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        for cut in range(len(network.downs)):
            network.from_bands[cut].weight.zero_()
            assert abs(network(image) - network(-image)).item() > 1e-4
        network.from_bands[-1].weight.zero_()
        assert abs(network(image) - network(-image)).item() == 0


def test_coarser_bands_are_those_of_the_blurred_and_halved_image():
    network = narrow(32).double()
    heard = []
    network.from_bands[1].register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0].numpy()))
    image = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        network(image)
    taps = np.array([1, 3, 3, 1]) / 8
    halved = correlate2d(np.pad(image[0, 0].numpy(), 1), np.outer(taps, taps), mode="valid")[::2, ::2]
    average, details = pywt.dwt2(halved, "haar")
    np.testing.assert_allclose(heard[0][0], np.stack([average, *details]), atol=1e-12)
