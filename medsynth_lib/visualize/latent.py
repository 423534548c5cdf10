"""Walks through the noise that a generator starts from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.slices import slice_grid

#: Below this angle, in radians, two directions are the same.
_SAME = 1e-4


def between(first: Tensor, second: Tensor, position: float) -> Tensor:
    """The noise at ``position`` (0 to 1) of the arc from ``first`` to ``second``, both ``(noise,)``.

    sin((1 − t)ω)/sin ω · first + sin(tω)/sin ω · second, with ω the angle between them. On the straight line the middle
    would be shorter than both: nearly all noise of N(0, 1) in d dimensions has a length near √d, so a shorter vector is
    one the generator never met in training. Shoemake 1985; White 2016.

    Raises:
        MedSynthError: a position outside 0 to 1.
    """
    if not 0 <= position <= 1:
        raise MedSynthError("a position on the way", rule="0 to 1", seen=position)
    cosine = torch.dot(first, second) / (first.norm() * second.norm())
    angle = torch.acos(cosine.clamp(-1, 1))
    if torch.sin(angle) < _SAME:
        return (1 - position) * first + position * second
    return (torch.sin((1 - position) * angle) * first + torch.sin(position * angle) * second) / torch.sin(angle)


def latent_walk(
    draw: Callable[[Tensor], np.ndarray], noise: Tensor, first: int, second: int, position: float, stretch: float = 1.0
) -> Figure:
    """The images of two noise vectors, and between them that of the noise on the way.

    Args:
        draw: noise ``(N, noise)`` → CT slices ``(N, H, W)`` in HU.
        noise: vectors to choose from, ``(count, noise)``.
        first, second: their numbers.
        position: how far on the way, 0 to 1.
        stretch: factor on the noise in the middle: below 1 nearer to the average, above 1 into the tails.
    """
    middle = stretch * between(noise[first], noise[second], position)
    images = draw(torch.stack([noise[first], middle, noise[second]]))
    length = float(middle.norm()) / noise.shape[1] ** 0.5
    titles = (f"noise {first}", f"{position:.0%} of the way\nlength {length:.2f} √d", f"noise {second}")
    return slice_grid({"generated": ("CT", list(images))}, titles=titles)
