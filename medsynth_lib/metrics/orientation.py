"""Two ways in which an unpaired translation can be wrong and yet look right: intensities inverted, image mirrored.

An adversarial loss sees only whether images look real, a cycle loss only whether they can be undone. A generator that
swaps bone with air, or left with right, may please both, if its partner swaps them back. Images are ``(B, C, H, W)``;
both functions compute in float64, return ``(B,)`` in [-1, 1], and do not depend on unit, gain or offset.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medsynth_lib.ssim import check_pair


def polarity(fake: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Pearson's correlation of the pixels: 1 for a faithful image, −1 for its negative, about 0 for an unrelated one.

    ``r = Σ (f − f̄)(t − t̄) / √(Σ (f − f̄)² Σ (t − t̄)²)``, sums over the pixels of an image.

    :param mask: ``(B, 1, H, W)`` bool: which pixels count. Take the body: the air around it agrees in any case.
    :returns: NaN for an image that is constant inside the mask.
    :raises InputError: if the shapes differ.
    """
    check_pair(fake, target)
    fake, target = fake.double(), target.double()
    weights = torch.ones_like(fake) if mask is None else mask.double().expand_as(fake)
    return _cosine(_centred(fake, weights), _centred(target, weights))


def handedness(fake: Tensor, target: Tensor) -> Tensor:
    """Correlation of what is not left-right symmetric: 1 for a faithful image, −1 for its mirror image, 0 for one whose
    asymmetries have nothing to do with the target's.

    ``h = ⟨f − Mf, t − Mt⟩ / (‖f − Mf‖ ‖t − Mt‖)`` with M the mirror along the last axis. M changes the sign exactly; a
    plain correlation hardly would, since a head resembles its mirror image.

    :returns: NaN where either image is its own mirror image.
    :raises InputError: if the shapes differ.
    """
    check_pair(fake, target)
    fake, target = fake.double(), target.double()
    return _cosine(fake - fake.flip(-1), target - target.flip(-1))


def _centred(image: Tensor, weights: Tensor) -> Tensor:
    dims = (1, 2, 3)
    return weights * (image - (image * weights).sum(dims, keepdim=True) / weights.sum(dims, keepdim=True))


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    dims = (1, 2, 3)
    # 0/0 is NaN; rounding must not lift a constant image above it, nor a perfect score above 1.
    sizes = one.square().sum(dims) * other.square().sum(dims)
    cosine = (one * other).sum(dims) / sizes.sqrt()
    return torch.where(sizes > 1e-20, cosine.clamp(-1, 1), torch.nan)
