"""Did a generator learn, or copy? Distances to the nearest training image."""

from __future__ import annotations

import torch
from torch import Tensor

from medsynth_lib.errors import InputError


def nearest_distances(images: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Root mean squared difference of every image to the reference most like it, and which one that is.

    A copy has distance 0. Compare samples → training images with unseen real images → training images: a generator that
    has learnt is about as far from its training images as new real images are; one that copies is much nearer.
    Source: the nearest-neighbour test of Meehan et al. 2020 ("A three-sample test to detect data copying"), in pixels.

    Args:
        images: ``(N, C, H, W)``.
        references: ``(M, C, H, W)``, M ≥ 1.

    Returns:
        ``(N,)`` float64 distances in the images' unit, ``(N,)`` indices into ``references``.

    Raises:
        InputError: no references, or images of another shape.
    """
    if len(references) == 0 or images.shape[1:] != references.shape[1:]:
        raise InputError(
            "images and references must have one shape, and there must be references",
            rule=tuple(references.shape),
            seen=tuple(images.shape),
        )
    flat, others = images.double().flatten(1), references.double().flatten(1)
    # The expanded form |a|² + |b|² − 2ab cannot tell a copy from a near copy: differences are taken as they are.
    distances = torch.cdist(flat, others, compute_mode="donot_use_mm_for_euclid_dist")
    nearest, index = distances.min(dim=1)
    return nearest / flat.shape[1] ** 0.5, index
