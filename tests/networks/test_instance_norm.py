"""Instance norm against its formula in numpy, and where the formula would destroy a slice: air, and a single pixel."""

import numpy as np
import pytest
import torch

from medsynth_lib.networks.instance_norm import InstanceNorm


def test_it_is_the_formula_per_image_and_channel():
    features = torch.randn(3, 4, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5 + 2
    array = features.numpy()
    mean, variance = array.mean(axis=(2, 3), keepdims=True), array.var(axis=(2, 3), keepdims=True)
    assert np.allclose(InstanceNorm()(features).numpy(), (array - mean) / np.sqrt(variance + 1e-5), atol=1e-12)


def test_gradient_is_that_of_the_formula():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(InstanceNorm(), features)


def test_channels_last_stays_and_training_mode_changes_nothing():
    features, norm = torch.randn(2, 6, 8, 8), InstanceNorm()
    expected = norm.train()(features)
    assert torch.equal(norm.eval()(features), expected)
    channels_last = norm(features.to(memory_format=torch.channels_last))
    assert torch.allclose(channels_last, expected, atol=1e-6)
    assert channels_last.is_contiguous(memory_format=torch.channels_last)  # else every convolution lays it out anew


def test_it_has_no_state():
    assert not list(InstanceNorm().parameters())
    assert not InstanceNorm().state_dict()


@pytest.mark.parametrize("value", [0.0, 0.1, -1000.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_constant_channel_becomes_exactly_zero_and_passes_no_gradient(value, dtype):
    features = torch.randn(1, 2, 33, 33).to(dtype)
    features[:, 1] = value
    features.requires_grad_()
    normed = InstanceNorm()(features)
    assert not normed[:, 1].any()
    assert normed[:, 0].detach().float().std().item() == pytest.approx(1, abs=0.01)
    (normed * torch.randn(normed.shape)).sum().backward()
    assert not features.grad[:, 1].any()
    assert features.grad[:, 0].any()


@pytest.mark.parametrize(("sd", "kept"), [(1e-3, True), (2e-4, True), (5e-5, False)])
def test_faint_contrast_is_kept_down_to_the_stated_limit(sd, kept):
    """Var < eps/1000 = 1e-8, an sd of 1e-4, is no contrast."""
    checker = torch.ones(1, 1, 8, 8)
    checker[..., ::2] = -1
    assert bool(InstanceNorm()(sd * checker).any()) == kept


def test_a_single_pixel_is_not_erased():
    features = torch.randn(2, 3, 1, 1)
    assert torch.equal(InstanceNorm()(features), features)
