"""The original U-Net and its cascade: published counts, what a pixel can see, how weights start, how stages join."""

import math

import pytest
import torch
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.ronneberger import Clip, RonnebergerCascade, RonnebergerUNet
from medsynth_lib.systems.models import multiply_accumulates


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("base_channels", "norm", "parameters", "gmac"),
    [
        (64, "none", 31_031_875, 48.2),
        (64, "instance", 31_031_875, 48.2),
        (64, "batch", 31_037_763, 48.2),  # one more for each channel of the 18 convolutions: two of BN's, less a bias
        (80, "none", 48_484_563, 75.2),
    ],
)
def test_parameters_and_multiplications_are_those_of_the_papers(base_channels, norm, parameters, gmac):
    with torch.device("meta"):
        network = RonnebergerUNet(3, 3, base_channels=base_channels, norm=norm)
        assert count(network) == parameters
        assert multiply_accumulates(network, torch.empty(1, 3, 256, 256)) / 1e9 == pytest.approx(gmac, rel=2e-3)


@pytest.mark.parametrize("norm", ["none", "instance", "batch"])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_image_keeps_its_size(norm, depth):
    network = RonnebergerUNet(2, 3, base_channels=2, depth=depth, norm=norm)
    assert network(torch.randn(2, 2, 32, 48)).shape == (2, 3, 32, 48)


@pytest.mark.parametrize("side", [8, 24, 33])
def test_side_must_be_a_multiple_of_two_to_the_depth_less_one(side):
    with pytest.raises(MedSynthError, match="multiples of 16"):
        RonnebergerUNet(base_channels=1)(torch.zeros(1, 1, 32, side))


def test_one_level_and_no_stage_are_refused():
    with pytest.raises(MedSynthError, match="two levels"):
        RonnebergerUNet(depth=1)
    with pytest.raises(MedSynthError, match="one stage"):
        RonnebergerCascade(stages=0)


def test_norm_stands_between_convolution_and_relu_everywhere_or_nowhere():
    def layers(norm):
        blocks = [*(network := RonnebergerUNet(base_channels=1, norm=norm)).encoder, *network.decoder]
        return {tuple(type(layer).__name__ for layer in block) for block in blocks}

    assert layers("none") == {("Conv2d", "ReLU") * 2}
    assert layers("instance") == {("Conv2d", "InstanceNorm", "ReLU") * 2}
    assert layers("batch") == {("Conv2d", "BatchNorm2d", "ReLU") * 2}


def field(first: int, last: int, levels: int) -> tuple[int, int]:
    """The pixels of an image that pixels ``first`` … ``last`` of the output can see, from the kernels alone."""
    first, last = first - 2, last + 2  # two 3x3 convolutions
    if levels > 1:
        first, last = field(first // 2, last // 2, levels - 1)  # an up gives each coarse pixel to two
        first, last = 2 * first - 2, 2 * last + 1 + 2  # a pool takes two, and two convolutions again
    return first, last


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_pixel_sees_as_far_as_the_kernels_reach_and_no_further(depth):
    torch.manual_seed(0)
    network = RonnebergerUNet(base_channels=8, depth=depth).double()
    image = torch.randn(1, 1, 144, 144, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, 72, 72].backward()
    seen = image.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == field(72, 72, depth)


def test_skips_carry_what_the_coarse_levels_cannot():
    """With the decoder blind to all but its skip of the first level, detail of one pixel still arrives."""
    torch.manual_seed(0)
    network = RonnebergerUNet(base_channels=4, depth=3).eval()
    for up in network.ups:
        nn.init.zeros_(up.weight)
    image = torch.randn(1, 1, 16, 16)
    changed = image.clone()
    changed[0, 0, 8, 8] += 1
    moved = (network(changed) - network(image)).abs()[0, 0] > 0
    rows, columns = moved.nonzero(as_tuple=True)
    assert moved.any()
    assert max(int((rows - 8).abs().max()), int((columns - 8).abs().max())) <= 4  # four 3x3 convolutions


def test_weights_start_as_the_paper_says():
    torch.manual_seed(0)
    network = RonnebergerUNet(base_channels=16, depth=4)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            weights = module.weight
            # inputs that add up to one output: a 2x2 up of stride 2 never overlaps itself
            inputs = weights.shape[0] if isinstance(module, nn.ConvTranspose2d) else weights[0].numel()
            drawn = weights.numel() // (4 if isinstance(module, nn.ConvTranspose2d) else 1)  # an up's four start equal
            # The sd of n normal numbers is known to 1/sqrt(2n): five of those.
            assert weights.std().item() == pytest.approx(math.sqrt(2 / inputs), rel=5 / math.sqrt(2 * drawn))
            assert not module.bias.any()


def test_the_signal_neither_dies_nor_explodes_at_the_start():
    """That is what the 2 in sqrt(2 / N) is for: without it each of 9 ReLUs halves the mean square."""
    torch.manual_seed(0)
    network = RonnebergerUNet(base_channels=32)
    image = torch.randn(2, 1, 64, 64)
    image /= image.square().mean().sqrt()
    with torch.no_grad():
        assert 0.05 < network(image).square().mean() < 20


def test_ups_start_without_a_checkerboard():
    """Each coarse pixel starts as four equal ones: what a constant image becomes is constant inside the border."""
    torch.manual_seed(0)
    network = RonnebergerUNet(base_channels=8, depth=3).double()
    with torch.no_grad():
        made = network(torch.ones(1, 1, 96, 96, dtype=torch.float64))[0, 0, 40:56, 40:56]
    assert made.abs().mean() > 0.01
    assert made.std() < 1e-12


def test_output_is_any_number_or_clipped():
    torch.manual_seed(0)
    linear, bounded = (RonnebergerUNet(base_channels=4, depth=2, output=output) for output in ("linear", "clip"))
    bounded.load_state_dict(linear.state_dict())
    image = 10 * torch.randn(1, 1, 16, 16)
    assert linear(image).abs().max() > 1
    assert torch.equal(bounded(image), linear(image).clamp(-1, 1))


def test_clipped_output_starts_at_the_lower_end_of_the_window():
    torch.manual_seed(0)
    bounded, linear = (RonnebergerUNet(base_channels=4, depth=2, output=output) for output in ("clip", "linear"))
    nothing = torch.zeros(1, 1, 16, 16)  # no norm, no other bias: only the head's speaks
    for network in (bounded, linear):
        for name, bias in network.named_parameters():
            if name.endswith("bias") and not name.startswith("head"):
                torch.nn.init.zeros_(bias)
    assert torch.equal(bounded(nothing), -torch.ones(1, 1, 16, 16))
    assert linear(nothing).abs().max() < 0.5


def test_every_stage_sees_the_source_and_the_image_before():
    torch.manual_seed(0)
    cascade = RonnebergerCascade(2, 1, stages=3, base_channels=2, depth=2)
    seen = []
    for stage in cascade.stages:
        stage.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    source = torch.randn(1, 2, 8, 8)
    made = cascade(source)
    assert len(made) == 3
    assert torch.equal(seen[0], source)
    for before, inputs in zip(made[:-1], seen[1:], strict=True):
        assert torch.equal(inputs, torch.cat([source, before], dim=1))


def test_a_later_stage_teaches_the_earlier_ones():
    """Nothing is detached between stages: the last image alone moves every weight."""
    torch.manual_seed(0)
    cascade = RonnebergerCascade(stages=3, base_channels=4, depth=2)
    cascade(torch.randn(2, 1, 16, 16))[-1].square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in cascade.stages[0].parameters())


def test_stages_do_not_share_weights():
    cascade = RonnebergerCascade(stages=6, base_channels=1, depth=2)
    one, two = RonnebergerUNet(1, 1, base_channels=1, depth=2), RonnebergerUNet(2, 1, base_channels=1, depth=2)
    assert count(cascade) == count(one) + 5 * count(two)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_clip_is_exact_forwards_and_unseen_backwards(dtype):
    image = (3 * torch.randn(1000)).to(dtype).requires_grad_()
    clipped = Clip()(image)
    assert torch.equal(clipped, image.detach().clamp(-1, 1))
    clipped.sum().backward()
    assert torch.equal(image.grad, torch.ones_like(image))


def test_with_instance_norm_images_of_a_batch_do_not_meet():
    """Batch statistics would mix them, and while training say which modality the batch is."""
    image, other = torch.rand(2, 1, 1, 32, 32, dtype=torch.float64)
    for norm, alone in (("instance", True), ("batch", False)):
        torch.manual_seed(0)
        network = RonnebergerUNet(base_channels=4, depth=4, norm=norm).double().train()
        together = network(torch.cat([image, 3 * other]))[:1]
        assert torch.allclose(together, network(torch.cat([image, other]))[:1], rtol=1e-9) == alone
