"""The segmentator: the published count, one more output than classes, and a full view of the image."""

import pytest
import torch

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.segmentator import Segmentator
from medsynth_lib.systems.models import multiply_accumulates


def narrow(**changes) -> Segmentator:
    torch.manual_seed(0)
    return Segmentator(2, 5, **({"base_channels": 4, "depth": 4} | changes))


@pytest.mark.parametrize(("channels", "parameters"), [(3, 22_251_559), (1, 22_248_999)])
def test_parameter_count_is_that_of_the_thesis(channels, parameters):
    """Table 3.1 says 22.3 M, for three channels."""
    with torch.device("meta"):
        network = Segmentator(channels)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_multiply_accumulates_of_the_paper_size():
    with torch.device("meta"):
        assert multiply_accumulates(Segmentator(), torch.empty(1, 3, 256, 256)) == pytest.approx(48e9, rel=0.03)


def test_one_logit_per_class_and_one_for_fake():
    with torch.no_grad():
        logits = 100 * narrow()(torch.randn(3, 2, 32, 16))
    assert logits.shape == (3, 6, 32, 16)
    assert logits.abs().max() > 1  # not squashed


def test_one_pixels_verdict_knows_the_whole_image():
    network = narrow().double().eval()
    image = torch.randn(1, 2, 16, 16, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(image)[0, 0, 0, 0], image)
    assert (gradient != 0).all()


def test_fine_detail_survives_through_the_skips():
    """Without the joined downs, every 2x2 block of pixels would get one verdict but for its neighbours."""
    network = narrow().eval()
    image = torch.randn(1, 2, 32, 32)
    moved = image.clone()
    moved[..., 16, 16] += 1
    with torch.no_grad():
        change = (network(image) - network(moved)).abs().sum(1)[0]
    assert change[16, 16] > 3 * change.median()


def test_the_first_convolution_reads_the_image_itself():
    """An activation there would dim everything darker than zero."""
    network, read = narrow(), []
    network.downs[0].conv_0.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    image = torch.randn(1, 2, 16, 16)
    network(image)
    assert torch.equal(read[0], image)


def test_every_parameter_learns():
    network = narrow()
    network(torch.randn(2, 2, 32, 32)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_convolutions_of_the_blocks_have_singular_value_one():
    network = narrow()
    for _ in range(50):
        network(torch.zeros(1, 2, 16, 16))
    block = network.ups[1]
    for layer in (block.conv_0, block.conv_1, block.skip):
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        assert norm == pytest.approx(1, abs=0.01)
    assert not hasattr(narrow(spectral_norm=False).ups[1].conv_0, "parametrizations")


def test_wrong_sizes_are_refused():
    with pytest.raises(MedSynthError, match="multiples of 16"):
        narrow()(torch.zeros(1, 2, 32, 24))
    with pytest.raises(MedSynthError, match="at least one down"):
        Segmentator(depth=0)
