"""The silhouette of an image, as basic image processing finds it, with a gradient; and the loss on it (003 §3.1.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.errors import TrainingError
from medsynth_lib.precision import full_precision
from medsynth_lib.ssim import check_pair


@dataclass(frozen=True)
class MaskExtractor:
    """E(x): Gaussian blur, soft threshold, opening, hole filling; ``(B, C, H, W)`` → the same shape in [0, 1].

    A mask is σ((blur(x) − threshold) / softness), σ the logistic function, then opened (erosion, dilation) and its
    holes filled by the max and min of neighbouring pixels. All of these keep the order of grey values, so
    E(x) > ½ is *exactly* the mask that a hard threshold and binary morphology give (tested against ``scipy.ndimage``).

    Where we depart from thesis 003, §3.1.5: its public implementation rounds the mask to whole numbers, whose gradient
    is zero, so its mask loss taught the generator nothing. This one passes a gradient, to the pixels that decide the
    silhouette: contour, background and gaps in the contour. Pixels inside a filled hole get none; what is inside does
    not matter.

    Args:
        threshold: of the blurred image, in the image's unit; the thesis names none.
        sigma: of the blur, in pixels.
        radius: of the opening: a square of ``2·radius + 1`` pixels; 0 leaves it out. Structures thinner than the square
            vanish. What lies beyond the image border counts as whatever fits best, so that a body cut by it stays.
        softness: the threshold's width, in the image's unit. Far from it (a few widths) the gradient fades.

    Raises:
        TrainingError: a setting that cannot be.
    """

    threshold: float = 0.5
    sigma: float = 1.0
    radius: int = 1
    softness: float = 0.1

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.softness <= 0 or self.radius < 0:
            raise TrainingError("impossible mask extractor", rule="sigma, softness > 0, radius ≥ 0", seen=self)

    def __call__(self, images: Tensor) -> Tensor:
        blurred = gaussian_blur(full_precision(images), self.sigma)
        return fill_holes(opening(torch.sigmoid((blurred - self.threshold) / self.softness), self.radius))


def mask_loss(mask: Tensor, fake_mask: Tensor) -> Tensor:
    """L_mask = (1/N) ‖E(m) − E(G(m))‖², the mean over N pixels: a scalar in [0, 1] (003, eq. 3.7).

    :param mask: E of the label map's foreground, ``(B, 1, H, W)`` in [0, 1].
    :param fake_mask: E of the generated image, of the same shape.
    :raises InputError: if the shapes differ.
    """
    check_pair(fake_mask, mask)
    return (mask - fake_mask).square().mean()


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Convolution with a Gaussian of ``sigma`` pixels, cut at 4 sigma; beyond the image is 0."""
    reach = int(4 * sigma + 0.5)
    kernel = [math.exp(-0.5 * (shift / sigma) ** 2) for shift in range(-reach, reach + 1)]
    for dim in (-2, -1):  # shifted sums rather than a convolution, which autocast would compute in half precision
        padding = (0, 0, reach, reach) if dim == -2 else (reach, reach)
        padded, length = F.pad(images, padding), images.shape[dim]
        images = sum(tap / sum(kernel) * padded.narrow(dim, shift, length) for shift, tap in enumerate(kernel))
    return images


def opening(mask: Tensor, radius: int) -> Tensor:
    """Erosion, then dilation, by a square of ``2·radius + 1`` pixels: removes what the square does not fit into."""
    side = 2 * radius + 1
    eroded = -F.max_pool2d(-mask, side, stride=1, padding=radius)
    return F.max_pool2d(eroded, side, stride=1, padding=radius)


def fill_holes(mask: Tensor) -> Tensor:
    """Grey values of ``(B, C, H, W)`` in [0, 1] with every dip that the border cannot reach raised to its rim.

    The background 1 − mask is flooded from the image border through the four neighbours, geodesic dilation
    o ← min(background, dilate(o)) until nothing changes; what is not outside is filled: 1 − o. (Vincent, "Morphological
    grayscale reconstruction", IEEE TIP 1993.) The gradient goes to pixels that the flood reaches at full height, not
    through the flood itself: that would be a chain as long as the longest way in.
    """
    background = 1 - mask
    with torch.no_grad():
        outside = _flooded(background)
    return 1 - torch.where(outside < background, outside, background)


def _flooded(background: Tensor) -> Tensor:
    outside = F.pad(torch.zeros_like(background[..., 1:-1, 1:-1]), (1, 1, 1, 1), value=1.0) * background
    inner, up, down = (background[..., 1:-1, 1:-1], outside[..., :-2, 1:-1], outside[..., 2:, 1:-1])
    here, left, right = (outside[..., 1:-1, 1:-1], outside[..., 1:-1, :-2], outside[..., 1:-1, 2:])
    while True:
        before = here.clone()
        for _ in range(8):  # looking whether it changed makes a GPU wait: not at every pixel of the way
            around = torch.maximum(torch.maximum(up, down), torch.maximum(left, right))
            torch.maximum(here, torch.minimum(inner, around), out=here)
        if outside.is_meta or torch.equal(before, here):  # meta: shapes without numbers, nothing to compare
            return outside
