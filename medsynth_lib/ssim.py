"""The structural similarity of two images: one differentiable definition, shared by the loss and by the metric.

The definition is Wang et al. 2004 in scikit-image's Gaussian form (``gaussian_weights=True, sigma=1.5,
use_sample_covariance=False``): an 11×11 Gaussian window, and only windows that lie wholly inside the image. Libraries
that pad the border first give another number (0.5127 instead of 0.5146 on one image), so a score needs its definition.
"""

from __future__ import annotations

import math

from torch import Tensor

from medsynth_lib.errors import InputError
from medsynth_lib.precision import full_precision

WINDOW_SIZE = 11
#: Pixels the window cannot reach at each border: a map of SSIM is this much smaller than its image on every side.
BORDER = WINDOW_SIZE // 2
SIGMA = 1.5
K1, K2 = 0.01, 0.03


def gaussian_window(size: int, sigma: float) -> tuple[float, ...]:
    """The ``size`` weights, summing to 1, of a centred Gaussian of ``sigma`` pixels; a 2-D window is their product."""
    weights = [math.exp(-0.5 * ((index - (size - 1) / 2) / sigma) ** 2) for index in range(size)]
    return tuple(weight / sum(weights) for weight in weights)


def windowed_mean(images: Tensor, window: tuple[float, ...]) -> Tensor:
    """The weighted mean around every pixel whose window lies inside the image.

    :param images: ``(..., H, W)``.
    :param window: 1-D weights, applied along H and along W.
    :returns: ``(..., H − n + 1, W − n + 1)`` for a window of n weights.
    """
    # Shifted sums rather than a convolution: faster on a CPU, and neither autocast nor TF32 (10 bits, the default of
    # convolutions on a GPU) can round them, which would leave nothing of a variance computed as E[x²] − E[x]².
    for dim in (-2, -1):
        length = images.shape[dim] - len(window) + 1
        total = images.narrow(dim, 0, length) * window[0]
        for shift, weight in enumerate(window[1:], start=1):
            total.add_(images.narrow(dim, shift, length), alpha=weight)
        images = total
    return images


def windowed_moments(x: Tensor, y: Tensor, window: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Local means μx, μy, variances σx², σy² and covariance σxy under ``window`` (population form, as Σw = 1)."""
    mean_x, mean_y = windowed_mean(x, window), windowed_mean(y, window)
    variance_x = windowed_mean(x * x, window) - mean_x * mean_x
    variance_y = windowed_mean(y * y, window) - mean_y * mean_y
    covariance = windowed_mean(x * y, window) - mean_x * mean_y
    return mean_x, mean_y, variance_x, variance_y, covariance


def ssim_maps(x: Tensor, y: Tensor, *, data_range: float) -> tuple[Tensor, Tensor]:
    """SSIM, and its contrast-structure factor alone, around every pixel.

    luminance l = (2·μx·μy + C1) / (μx² + μy² + C1), contrast-structure cs = (2·σxy + C2) / (σx² + σy² + C2),
    SSIM = l·cs, with C1 = (0.01·R)², C2 = (0.03·R)² and R = ``data_range``.
    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 13(4), 2004, eq. 6, 9, 10 and 13.

    Half-precision images are computed in float32; float64 stays float64.

    :param x: ``(B, C, H, W)``, any unit; each channel on its own.
    :param y: the same shape and unit.
    :param data_range: highest minus lowest value the images *could* have, in their unit (2 for [-1, 1]).
    :returns: two maps ``(B, C, H − 10, W − 10)`` in [-1, 1].
    :raises InputError: on differing shapes, a side below 11 pixels, or a ``data_range`` that is not a positive number.
    """
    check_pair(x, y)
    check_size(x, WINDOW_SIZE, "SSIM")
    check_data_range(data_range)
    window = gaussian_window(WINDOW_SIZE, SIGMA)
    mean_x, mean_y, variance_x, variance_y, covariance = windowed_moments(full_precision(x), full_precision(y), window)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    contrast_structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance * contrast_structure, contrast_structure


def ssim_map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    """SSIM around every pixel, ``(B, C, H − 10, W − 10)`` in [-1, 1]: the first of ``ssim_maps``, same arguments."""
    return ssim_maps(x, y, data_range=data_range)[0]


def crop_to_map(mask: Tensor) -> Tensor:
    """The part of a ``(B, C, H, W)`` mask that an SSIM map covers: 5 pixels less on every side."""
    return mask[..., BORDER:-BORDER, BORDER:-BORDER]


def check_pair(x: Tensor, y: Tensor) -> None:
    """Refuse two images that cannot be compared pixel by pixel."""
    if x.ndim != 4 or x.shape != y.shape or not x.numel():
        raise InputError(
            "Two images to compare have different shapes, are not batches, or are empty",
            rule="both (B, C, H, W), equal, at least one pixel",
            seen=f"{tuple(x.shape)} and {tuple(y.shape)}",
            fix="add batch and channel axes (image[None, None]), or resample one image to the other's grid",
        )


def check_size(images: Tensor, minimum: int, measure: str, fix: str = "compare larger images, or leave it out") -> None:
    """Refuse images with a side below ``minimum`` pixels, the smallest that ``measure`` is defined on."""
    if min(images.shape[-2:]) < minimum:
        height, width = images.shape[-2:]
        raise InputError(
            f"Images are too small for {measure}", rule=f"each side ≥ {minimum} px", seen=f"{height}×{width}", fix=fix
        )


def check_data_range(data_range: float) -> None:
    """Refuse a ``data_range`` that is not a positive, finite number."""
    if not (isinstance(data_range, int | float) and 0 < data_range < math.inf):
        raise InputError(
            "data_range is not a positive number",
            rule="highest minus lowest value the images could have, in their unit",
            seen=repr(data_range),
            fix="2 for [-1, 1], 2000 for a window of [-1000, 1000] HU",
        )
