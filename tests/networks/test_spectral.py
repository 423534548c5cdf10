"""Spectral normalisation against PyTorch's and a singular value decomposition."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from medsynth_lib.networks.spectral import as_matrix, spectral


def largest(weight: torch.Tensor) -> float:
    return torch.linalg.matrix_norm(weight.detach().flatten(1), 2).item()


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return spectral(nn.Conv2d(6, 5, 3).double())


def test_largest_singular_value_becomes_one(layer):
    for _ in range(50):
        _ = layer.weight
    assert largest(layer.weight) == pytest.approx(1, abs=1e-6)


def test_weight_and_gradient_are_pytorchs(layer):
    theirs = parametrizations.spectral_norm(nn.Conv2d(6, 5, 3).double())
    with torch.no_grad():
        theirs.parametrizations.weight.original.copy_(layer.parametrizations.weight.original)
    target = torch.randn(5, 6, 3, 3, dtype=torch.float64)
    gradients = []
    for one in (layer, theirs):
        for _ in range(300):
            _ = one.weight
        (gradient,) = torch.autograd.grad((one.weight * target).sum(), one.parametrizations.weight.original)
        gradients.append(gradient)
    torch.testing.assert_close(layer.weight, theirs.weight)
    torch.testing.assert_close(*gradients)


def test_start_is_already_near(layer):
    assert 0.9 < largest(layer.eval().weight) < 1.2


def test_vectors_move_in_training_only(layer):
    norm = layer.parametrizations.weight[0]
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.randn(5, 6, 3, 3))
    before = norm.u.clone()
    _ = layer.eval().weight
    assert torch.equal(norm.u, before)
    _ = layer.train().weight
    assert not torch.equal(norm.u, before)


def test_two_forwards_before_one_backward(layer):
    image = torch.randn(1, 6, 4, 4, dtype=torch.float64)
    (layer(image) - layer(2 * image)).square().sum().backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weight_is_never_copied_and_keeps_its_layout(layer, layout):
    before = layer.eval().weight.detach()
    layer.to(memory_format=layout)
    original = layer.parametrizations.weight.original
    assert layer.weight.is_contiguous(memory_format=layout)
    assert as_matrix(original, original).data_ptr() == original.data_ptr()
    torch.testing.assert_close(layer.weight.detach(), before)


def test_layouts_learn_alike(layer):
    """The vectors of a checkpoint mean the same, however the weight that reads them lies in memory."""
    other = spectral(nn.Conv2d(6, 5, 3).double())
    other.load_state_dict(layer.state_dict())
    other.to(memory_format=torch.channels_last)
    image = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    for one in (layer, other):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            one(image).square().mean().backward()
            optimizer.step()
    for name, value in layer.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)


def test_vectors_are_saved_and_are_no_parameters(layer):
    assert sum(parameter.numel() for parameter in layer.parameters()) == 5 * 6 * 9 + 5
    torch.manual_seed(1)
    other = spectral(nn.Conv2d(6, 5, 3).double())
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.eval().weight, layer.eval().weight)


def test_can_be_switched_off():
    plain = nn.Conv2d(6, 5, 3)
    assert spectral(plain, enabled=False) is plain
    assert isinstance(plain.weight, nn.Parameter)
