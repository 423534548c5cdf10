"""R1 against analytic gradients and double-precision autograd, under autocast and under torch.compile."""

import pytest
import torch
from torch import nn

from medsynth_lib.losses.gradient_penalty import r1_penalty


def quadratic(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A symmetric matrix A of D(x) = ½ xᵀAx over 12 pixels, and three images."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(12, 12, dtype=torch.float64, generator=generator)
    return (matrix + matrix.T), torch.randn(3, 1, 3, 4, dtype=torch.float64, generator=generator)


def test_a_linear_discriminator_pays_half_gamma_times_its_squared_weights():
    judge = nn.Linear(12, 1, bias=True).double()
    found = r1_penalty(lambda x: judge(x.flatten(1)), quadratic()[1], weight=10.0)
    torch.testing.assert_close(found, 5 * judge.weight.square().sum())


def test_value_and_gradient_of_a_quadratic_discriminator():
    """∇_x ½xᵀAx = Ax, so R1 = γ/2·E|Ax|², whose derivative by A is γ·E[(Ax)xᵀ] (taken by entries, A not tied)."""
    matrix, images = quadratic()
    weights, flat = matrix.clone().requires_grad_(), images.flatten(1)

    def judge(x):
        x = x.flatten(1)
        return 0.25 * (x @ (weights + weights.T) * x).sum(dim=1)

    penalty = r1_penalty(judge, images, weight=3.0)
    torch.testing.assert_close(penalty, 1.5 * (flat @ matrix).square().sum(dim=1).mean())
    (found,) = torch.autograd.grad(penalty, weights)
    by_entries = 3.0 * torch.einsum("bi,bj->ij", flat @ matrix, flat) / len(flat)
    torch.testing.assert_close(found, (by_entries + by_entries.T) / 2)


def test_float32_agrees_with_double_precision():
    torch.manual_seed(0)
    judge = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(4 * 4 * 4, 1))
    images = torch.randn(2, 1, 6, 6)
    found = r1_penalty(judge, images)
    found.backward()
    gradients = [weight.grad.double() for weight in judge.parameters() if weight.grad is not None]
    judge.zero_grad()
    exact = r1_penalty(judge.double(), images.double())
    exact.backward()
    assert found.item() == pytest.approx(exact.item(), rel=1e-5)
    for one, weight in zip(gradients, [w for w in judge.parameters() if w.grad is not None], strict=True):
        torch.testing.assert_close(one, weight.grad, rtol=1e-4, atol=1e-6)


def test_the_penalty_can_be_differentiated_again():
    torch.manual_seed(0)
    images = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    weight = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    softplus, convolve = nn.functional.softplus, nn.functional.conv2d
    assert torch.autograd.gradcheck(lambda w: r1_penalty(lambda x: softplus(convolve(x, w)), images), weight)


def test_autocast_changes_nothing():
    torch.manual_seed(0)
    judge, images = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)), torch.randn(2, 1, 4, 4)
    outside = r1_penalty(judge, images)
    with torch.autocast("cpu", torch.bfloat16):
        assert r1_penalty(judge, images) == outside
        assert r1_penalty(judge, images.bfloat16()).dtype == torch.float32


def test_a_compiled_discriminator_is_differentiated_twice():
    """Compiled, PyTorch refuses: "torch.compile with aot_autograd does not currently support double backward"."""
    torch.manual_seed(0)
    judge, images = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)), torch.randn(2, 1, 4, 4)
    expected = r1_penalty(judge, images)
    judge.compile(backend="aot_eager")
    judge(images)
    found = r1_penalty(judge, images)
    found.backward()
    torch.testing.assert_close(found, expected)


def test_the_images_keep_no_gradient_and_the_caller_no_flag():
    judge, images = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), torch.randn(2, 1, 4, 4)
    r1_penalty(judge, images).backward()
    assert not images.requires_grad
    assert images.grad is None


def test_every_weight_gets_a_gradient_if_only_zero():
    """``DistributedDataParallel`` waits for them all."""
    judge, images = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), torch.randn(2, 1, 4, 4)
    r1_penalty(judge, images).backward()
    assert judge[1].bias.grad.item() == 0
    assert judge[1].weight.grad.abs().sum() > 0
