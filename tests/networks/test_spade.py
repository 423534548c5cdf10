"""SPADE against numpy and SciPy, and the tensor that conditions it."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import nn

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.spade import Spade, at_height, condition_map, tapering_widths


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return nn.functional.one_hot(labels, classes).movedim(-1, 1).double()


def convolve(image: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """A 3x3 convolution with a border of zeros, by SciPy."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    planes = [[correlate(one, kernel, mode="valid")[0] for kernel in weight] for one in padded]
    return np.array(planes) + bias[:, None, None]


def test_equals_batch_norm_then_scale_and_shift_from_the_condition():
    torch.manual_seed(0)
    spade = Spade(3, 5, hidden=4).double()
    features = 2 + 3 * torch.randn(2, 3, 6, 8, dtype=torch.float64)
    condition = torch.randn(2, 5, 6, 8, dtype=torch.float64)
    h = features.numpy()
    mean, variance = (statistic(h, axis=(0, 2, 3), keepdims=True) for statistic in (np.mean, np.var))
    maps = convolve(np.maximum(convolve(condition.numpy(), spade.embed), 0), spade.modulate)
    expected = maps[:, :3] * (h - mean) / np.sqrt(variance + 1e-5) + maps[:, 3:]
    np.testing.assert_allclose(spade(features, condition).detach().numpy(), expected, atol=1e-12)


def test_one_class_everywhere_is_one_affine_map_per_channel():
    torch.manual_seed(0)
    spade = Spade(4, 3, hidden=8).double()
    features = torch.randn(2, 4, 9, 9, dtype=torch.float64)
    condition = one_hot(torch.ones(2, 9, 9, dtype=torch.long), 3)
    # Two 3x3 convolutions see the border of zeros up to two pixels inside.
    inside = (..., slice(2, -2), slice(2, -2))
    normalised, output = (image[inside].transpose(0, 1).flatten(1) for image in (features, spade(features, condition)))
    for x, y in zip(normalised, output, strict=True):
        slope, offset = np.polyfit(x, y.detach(), 1)
        np.testing.assert_allclose(slope * x + offset, y.detach(), atol=1e-10)
        assert abs(slope) > 0.1


def test_two_classes_scale_and_shift_their_own_regions():
    torch.manual_seed(0)
    spade = Spade(1, 2, hidden=8).double()
    labels = torch.zeros(1, 12, 12, dtype=torch.long)
    labels[..., 6:] = 1
    features = torch.randn(1, 1, 12, 12, dtype=torch.float64)
    output = spade(features, one_hot(labels, 2)).detach()
    lines = [
        np.polyfit(features[0, 0, 2:-2, columns].flatten(), output[0, 0, 2:-2, columns].flatten(), 1)
        for columns in (slice(2, 4), slice(8, 10))
    ]
    assert np.abs(lines[0] - lines[1]).min() > 1e-3


def test_starts_near_plain_normalisation():
    torch.manual_seed(0)
    features, condition = torch.randn(2, 16, 16, 16), one_hot(torch.randint(0, 4, (2, 16, 16)), 4).float()
    spade = Spade(16, 4)
    with torch.no_grad():
        change = spade(features, condition) - spade.normalise(features)
    assert 0.001 < change.std() < 0.3


def test_condition_is_labels_beside_one_noise_vector_per_image():
    labels = one_hot(torch.randint(0, 3, (2, 4, 6)), 3)
    noise = torch.randn(2, 5)
    condition = condition_map(labels, noise, 5)
    assert torch.equal(condition[:, :3], labels)
    assert torch.equal(condition[:, 3:], noise.double()[:, :, None, None].expand(2, 5, 4, 6))


def test_condition_has_the_format_and_layout_of_the_convolutions_to_come():
    labels = one_hot(torch.randint(0, 3, (2, 4, 6)), 3).contiguous()
    assert condition_map(labels, None, 5).is_contiguous()
    with torch.autocast("cpu", torch.bfloat16):
        condition = condition_map(labels.to(memory_format=torch.channels_last), None, 5)
    assert condition.dtype is torch.bfloat16
    assert torch.equal(condition[:, :3].double(), labels)
    for height in (4, 2):
        assert at_height(condition, height).is_contiguous(memory_format=torch.channels_last)


def test_noise_is_drawn_anew_each_time_and_repeatable():
    labels = torch.zeros(1000, 1, 1, 1)
    torch.manual_seed(0)
    first, second = condition_map(labels, None, 8), condition_map(labels, None, 8)
    torch.manual_seed(0)
    assert torch.equal(first, condition_map(labels, None, 8))
    assert not torch.equal(first, second)
    assert abs(first[:, 1:].mean()) < 0.05
    assert abs(first[:, 1:].std() - 1) < 0.05


def test_without_noise_the_condition_is_the_labels():
    labels = one_hot(torch.randint(0, 3, (2, 4, 6)), 3)
    assert torch.equal(condition_map(labels, None, 0), labels)


@pytest.mark.parametrize("shape", [(2, 4), (1, 5), (2, 5, 1)])
def test_noise_of_another_shape_is_refused(shape):
    with pytest.raises(MedSynthError, match="one vector per image"):
        condition_map(torch.zeros(2, 3, 4, 4), torch.zeros(shape), 5)


def test_smaller_condition_is_torchs_nearest_neighbour_and_stays_one_hot():
    labels = one_hot(torch.randint(0, 3, (2, 16, 24)), 3)
    for height in (16, 8, 2):
        smaller = at_height(labels, height)
        step = 16 // height
        torch.testing.assert_close(smaller, nn.functional.interpolate(labels, scale_factor=1 / step, mode="nearest"))
        assert (smaller.sum(1) == 1).all()


def test_widths_are_the_last_of_the_papers():
    assert tapering_widths(16, 6) == [16 * factor for factor in (16, 16, 16, 8, 4, 2, 1)]
    assert tapering_widths(4, 1) == [8, 4]
    with pytest.raises(MedSynthError, match="at least one block"):
        tapering_widths(16, 0)
