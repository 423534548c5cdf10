"""The PatchGAN discriminator: the published counts, and the patch that one verdict sees, proven by its gradient."""

import pytest
import torch
from torch import nn

from medsynth_lib.networks.patchgan import PatchGAN, receptive_field


@pytest.mark.parametrize(
    ("channels", "norm", "parameters"),
    [
        (2, "batch", 2_764_609),
        (6, "batch", 2_768_705),
        (1, "instance", 2_762_689),
        (3, "instance", 2_764_737),
        (1, "none", 2_762_689),
    ],
)
def test_parameter_count_is_that_of_the_papers(channels, norm, parameters):
    with torch.device("meta"):
        network = PatchGAN(channels, norm=norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def seen_pixels(network: nn.Module, size: int) -> torch.Tensor:
    """``(size, size)`` bool: the input pixels on which the central logit depends."""
    image = torch.randn(1, network.model[0].in_channels, size, size, dtype=torch.float64, requires_grad=True)
    logits = network(image)
    height, width = logits.shape[-2:]
    (gradient,) = torch.autograd.grad(logits[0, 0, height // 2, width // 2], image)
    return (gradient != 0).any(dim=1)[0]


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_one_logit_sees_exactly_its_patch(layers, side):
    torch.manual_seed(0)
    # Batch norm in training mode couples all pixels through its mean: with fixed statistics only convolutions connect.
    network = PatchGAN(2, base_channels=2, layers=layers).double().eval()
    seen = seen_pixels(network, 3 * side // 8 * 8)
    rows, columns = torch.nonzero(seen.any(dim=1)).flatten(), torch.nonzero(seen.any(dim=0)).flatten()
    assert (len(rows), len(columns)) == (side, side)
    assert int(rows[-1] - rows[0]) + 1 == side  # in one piece
    assert int(seen.sum()) == side * side
    assert receptive_field(layers) == side


def test_a_256_image_gets_30_by_30_verdicts():
    with torch.device("meta"):
        assert PatchGAN(2)(torch.empty(1, 2, 256, 256)).shape == (1, 1, 30, 30)


def test_first_and_last_convolution_are_not_normalised():
    kinds = [type(layer) for layer in PatchGAN(2, base_channels=2).model]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *block * 3, nn.Conv2d]


def test_logits_are_not_squashed():
    network = PatchGAN(1, base_channels=2, norm="instance")
    with torch.no_grad():
        network.model[-1].bias.fill_(50.0)
    assert network(torch.randn(1, 1, 70, 70)).min() > 1


@pytest.mark.parametrize("base_channels", [8, 32])
def test_without_a_norm_features_keep_their_size_through_the_depth(base_channels):
    torch.manual_seed(0)
    features = torch.randn(4, 1, 96, 96)
    for layer in PatchGAN(1, base_channels=base_channels, norm="none").model:
        features = layer(features)
        if isinstance(layer, nn.Conv2d):
            assert 0.5 < features.square().mean() < 3
