"""How far a generated image is from the real one, pixel by pixel or window by window: terms for paired training.

Images are ``(B, C, H, W)``, as a rule in [-1, 1]; half precision is computed in float32. An optional ``mask``
``(B, 1, H, W)``, bool or weights ≥ 0, restricts each mean to the patient; a batch whose mask is empty gives 0, so that
blank slices teach nothing instead of stopping the training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medsynth_lib.precision import full_precision
from medsynth_lib.ssim import check_pair, crop_to_map, ssim_map


def l1(fake: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference, E|target − fake|, a scalar in the images' unit (Isola et al. 2017, eq. 3).

    :raises InputError: if the shapes differ.
    """
    check_pair(fake, target)
    return _mean((full_precision(target) - full_precision(fake)).abs(), mask)


def l2(fake: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference, E(target − fake)², a scalar in the images' unit squared (001 §4: "MSE loss").

    :raises InputError: if the shapes differ.
    """
    check_pair(fake, target)
    return _mean((full_precision(target) - full_precision(fake)) ** 2, mask)


def ssim_loss(fake: Tensor, target: Tensor, *, data_range: float = 2.0, mask: Tensor | None = None) -> Tensor:
    """1 − mean SSIM: a scalar in [0, 2], 0 for identical images; SSIM is that of ``medsynth_lib.ssim``.

    :param data_range: highest minus lowest possible value; 2 for images in [-1, 1].
    :raises InputError: if the shapes differ, a side is below 11 pixels, or ``data_range`` is not positive.
    """
    similarity = ssim_map(fake, target, data_range=data_range)
    return _mean(1 - similarity, None if mask is None else crop_to_map(mask))


def gradient_difference(fake: Tensor, target: Tensor, *, power: float = 1.0, mask: Tensor | None = None) -> Tensor:
    """Difference of edge strengths: punishes blur, which L1 forgives.

    L = E| |∂y target| − |∂y fake| |^α + E| |∂x target| − |∂x fake| |^α, with ∂ the difference of neighbouring pixels.
    Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016, eq. 6; a mean
    here, a sum there. It sees neither a constant offset nor an inverted image (only the size of an edge counts): use it
    beside L1.

    :param power: α ≥ 1.
    :param mask: a difference counts where both its pixels do.
    :returns: a scalar, in the images' unit to the power α.
    :raises InputError: if the shapes differ.
    """
    check_pair(fake, target)
    fake, target = full_precision(fake), full_precision(target)
    total = fake.new_zeros(())
    for dim in (-2, -1):
        difference = (target.diff(dim=dim).abs() - fake.diff(dim=dim).abs()).abs() ** power
        total = total + _mean(difference, None if mask is None else _both_neighbours(mask, dim))
    return total


def _both_neighbours(mask: Tensor, dim: int) -> Tensor:
    length = mask.shape[dim] - 1
    return mask.narrow(dim, 0, length) * mask.narrow(dim, 1, length)


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.mean()
    weights = mask.to(values.dtype).expand_as(values)
    return (values * weights).sum() / weights.sum().clamp_min(torch.finfo(values.dtype).tiny)
