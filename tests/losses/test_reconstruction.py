"""L1, SSIM and gradient-difference losses: exact gradients, zeros where they must be, masks, and half precision."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from medsynth_lib.errors import InputError
from medsynth_lib.losses.reconstruction import gradient_difference, l1, l2, ssim_loss

LOSSES = [l1, l2, ssim_loss, gradient_difference]


def random_pair(size: int = 24, seed: int = 0, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    fake, target = (torch.rand(2, 1, size, size, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(2))
    return fake.to(dtype), target.to(dtype)


@pytest.mark.parametrize("loss", LOSSES)
def test_identical_images_cost_nothing(loss):
    image, _ = random_pair()
    assert loss(image, image.clone()).item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_exact(loss):
    fake, target = random_pair(size=13)
    assert torch.autograd.gradcheck(lambda image: loss(image, target), (fake.requires_grad_(),))


def test_l1_is_the_mean_absolute_difference():
    fake, target = random_pair()
    assert l1(fake, target).item() == pytest.approx(np.abs(fake.numpy() - target.numpy()).mean(), rel=1e-14)


def test_l2_is_the_mean_squared_difference():
    fake, target = random_pair()
    assert l2(fake, target).item() == pytest.approx(((fake.numpy() - target.numpy()) ** 2).mean(), rel=1e-14)


def test_ssim_loss_is_one_minus_scikit_images_ssim():
    fake, target = random_pair()
    settings = {"data_range": 2.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = zip(fake[:, 0].numpy(), target[:, 0].numpy(), strict=True)
    expected = 1 - np.mean([structural_similarity(one, other, **settings) for one, other in pairs])
    assert ssim_loss(fake, target).item() == pytest.approx(expected, abs=1e-12)


def test_descending_the_ssim_loss_raises_ssim():
    fake, target = random_pair(dtype=torch.float32)
    fake.requires_grad_()
    optimizer = torch.optim.Adam([fake], lr=0.1)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        losses.append(ssim_loss(fake, target))
        losses[-1].backward()
        optimizer.step()
    assert losses[0].item() > 0.9
    assert losses[-1].item() < 0.2


def test_gradient_difference_by_hand():
    target = torch.tensor([[0.0, 1.0], [3.0, 3.0]], dtype=torch.float64)[None, None]
    fake = torch.tensor([[0.0, -2.0], [1.0, 1.0]], dtype=torch.float64)[None, None]
    # down: |3−0|−|1−0| = 2, |3−1|−|1+2| = −1; right: |1|−|−2| = −1, 0−0 = 0
    assert gradient_difference(fake, target).item() == pytest.approx((2 + 1) / 2 + (1 + 0) / 2)
    assert gradient_difference(fake, target, power=2).item() == pytest.approx((4 + 1) / 2 + (1 + 0) / 2)


def test_gradient_difference_sees_blur_and_neither_offset_nor_inversion():
    image, _ = random_pair()
    blurred = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
    assert gradient_difference(image + 0.3, image).item() == pytest.approx(0, abs=1e-14)
    assert gradient_difference(-image, image).item() == pytest.approx(0, abs=1e-14)
    assert gradient_difference(blurred, image).item() > 0.3


@pytest.mark.parametrize("loss", LOSSES)
def test_full_mask_changes_nothing_and_empty_mask_teaches_nothing(loss):
    fake, target = random_pair()
    full, empty = torch.ones(2, 1, 24, 24, dtype=torch.bool), torch.zeros(2, 1, 24, 24, dtype=torch.bool)
    assert loss(fake, target, mask=full).item() == pytest.approx(loss(fake, target).item(), rel=1e-12)
    fake.requires_grad_()
    nothing = loss(fake, target, mask=empty)
    nothing.backward()
    assert nothing.item() == 0
    assert fake.grad.eq(0).all()


@pytest.mark.parametrize(("loss", "reach"), [(l1, 0), (ssim_loss, 5), (gradient_difference, 0)])
def test_pixels_beyond_the_masks_reach_are_ignored(loss, reach):
    noise, target = random_pair()
    fake = target + 0.1 * noise
    mask = torch.zeros(2, 1, 24, 24, dtype=torch.bool)
    mask[..., 6:10, 6:10] = True
    changed = fake.clone()
    changed[..., 10 + reach :, :] = 50
    changed[..., 10 + reach :] = 50
    assert loss(changed, target, mask=mask).item() == pytest.approx(loss(fake, target, mask=mask).item(), rel=1e-12)
    changed[..., 8, 8] = 50
    assert loss(changed, target, mask=mask).item() > loss(fake, target, mask=mask).item()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_images_are_computed_in_float32(loss, dtype):
    fake, target = random_pair(dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(fake, target)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(fake.double(), target.double()).item(), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_different_shapes_are_refused_not_broadcast(loss):
    with pytest.raises(InputError, match=r"\(2, 1, 24, 24\) and \(1, 1, 24, 24\)"):
        loss(torch.zeros(2, 1, 24, 24), torch.zeros(1, 1, 24, 24))
