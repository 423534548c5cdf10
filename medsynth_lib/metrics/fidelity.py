"""How faithful a synthetic image is to the real one: MAE, MSE, RMSE, PSNR, SSIM, MS-SSIM and VIF, one value per image.

All take ``fake`` and ``target`` as torch ``(B, C, H, W)`` in physical units (HU, SUVbw, …), compute in float64 and
return ``(B,)`` float64. With ``mask``, ``(B, 1, H, W)`` bool, only the pixels inside it are averaged; an image whose
mask is empty gives NaN, which ``report.summarise`` leaves out and counts. All raise ``InputError`` if shapes differ or
a pixel of either image is NaN or infinite.

**data_range** is the highest minus the lowest value the images *could* have (2000 for a window of [-1000, 1000] HU, 255
for 8 bits), never what one image happens to span. It has no default, for it sets the score: two images of pure noise in
[0, 1] have an SSIM of 0.02, but of 0.997 with ``data_range=255``. Clip both images to the window first, and print the
range beside the number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.errors import InputError
from medsynth_lib.ssim import (
    WINDOW_SIZE,
    check_data_range,
    check_pair,
    check_size,
    crop_to_map,
    gaussian_window,
    ssim_map,
    ssim_maps,
    windowed_mean,
    windowed_moments,
)

#: Exponents of the five scales, finest first: Wang, Simoncelli, Bovik 2003, §3.2.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Smallest side on which the coarsest of VIF's four scales still holds one window: 41 → 17 → 7 → 3.
VIF_MINIMUM_SIZE = 41
_VIF_WINDOWS = (17, 9, 5, 3)
_VIF_NOISE_VARIANCE = 2.0
_VIF_FLAT = 1e-10


def mae(fake: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error, E|fake − target|, in the images' unit."""
    return _each_image(lambda fake, target, weights: _mean((fake - target).abs(), weights), fake, target, mask)


def mse(fake: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean squared error, E(fake − target)², in the images' unit squared."""
    return _each_image(lambda fake, target, weights: _mean((fake - target) ** 2, weights), fake, target, mask)


def rmse(fake: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Root mean squared error, √MSE of each image, in the images' unit."""
    return mse(fake, target, mask=mask).sqrt()


def psnr(fake: Tensor, target: Tensor, *, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio, 10·log10(R² / MSE), in dB, with R = ``data_range``.

    Identical images give +infinity, as in scikit-image; ``report.summarise`` leaves infinities out and counts them.
    """
    check_data_range(data_range)
    return 10 * torch.log10(data_range**2 / mse(fake, target, mask=mask))


def ssim(fake: Tensor, target: Tensor, *, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Structural similarity (Wang et al. 2004) in [-1, 1]: the mean of ``medsynth_lib.ssim.ssim_map``.

    Identical images, constant ones too, give 1. With ``mask``, the mean of the map over the mask: windows there still
    see up to 5 pixels of what lies outside it. The outermost 5 pixels of an image have no map value, masked or not.

    :raises InputError: also for a side below 11 pixels.
    """

    def measure(fake: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        return _mean(ssim_map(fake, target, data_range=data_range), crop_to_map(weights))

    return _each_image(measure, fake, target, mask)


def ms_ssim(fake: Tensor, target: Tensor, *, data_range: float, mask: Tensor | None = None, scales: int = 5) -> Tensor:
    """Multi-scale structural similarity, in [0, 1].

    MS-SSIM = SSIM_M^w_M · Π_{j<M} cs_j^w_j, with scale j + 1 the mean of 2×2 pixels of scale j, cs_j the mean
    contrast-structure factor of scale j and M = ``scales``.
    Wang, Simoncelli, Bovik, "Multiscale structural similarity", Asilomar 2003, eq. 7, with its five exponents.
    A negative mean is taken as 0, as others do: a power of it is no real number. A masked mean weighs each coarse pixel
    by the fraction of it inside the mask; 5 pixels of the fifth scale are 80 of the image, so a mask that lies wholly
    within 80 pixels of the border gives NaN.

    Only five scales, which need a side of 161 pixels, are *the* MS-SSIM. Fewer must be asked for, use the first
    exponents divided by their sum, and are another measure: print the number of scales beside the score.

    :param scales: 1 (plain SSIM) to 5.
    :raises InputError: also for a side below 10·2^(scales − 1) + 1 pixels (11, 21, 41, 81, 161).
    """
    _check_scales(fake, scales)
    exponents = _ms_ssim_exponents(scales)

    def measure(fake: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        score = fake.new_ones(())
        for scale, exponent in enumerate(exponents, start=1):
            whole, contrast_structure = ssim_maps(fake, target, data_range=data_range)
            factor = whole if scale == scales else contrast_structure
            score = score * _mean(factor, crop_to_map(weights)).clamp_min(0) ** exponent
            fake, target, weights = _halve(fake), _halve(target), _halve(weights)
        return score

    return _each_image(measure, fake, target, mask)


def ms_ssim_minimum_size(scales: int) -> int:
    """The smallest side, in pixels, on which ``ms_ssim`` has a window left at its coarsest scale."""
    return (WINDOW_SIZE - 1) * 2 ** (scales - 1) + 1


def _ms_ssim_exponents(scales: int) -> tuple[float, ...]:
    if scales == len(MS_SSIM_WEIGHTS):
        return MS_SSIM_WEIGHTS  # as published: they sum to 1.0001
    return tuple(weight / sum(MS_SSIM_WEIGHTS[:scales]) for weight in MS_SSIM_WEIGHTS[:scales])


def vif(fake: Tensor, target: Tensor, *, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Visual information fidelity in the pixel domain (VIFp): the share of the target's information in ``fake``.

    VIF = Σ log(1 + g²·σt² / (σv² + σn²)) / Σ log(1 + σt² / σn²), summed over pixels and 4 scales, where in each
    Gaussian window fake ≈ g·target + noise: g = σft/σt², σv² = σf² − g·σft, and σn² = 2 grey values² on a scale of 255
    is the noise of the eye. Images are first multiplied by 255 / R (R = ``data_range``): no unit changes the result.
    Sheikh, Bovik, "Image information and visual quality", IEEE TIP 15(2), 2006; pixel-domain form of the authors' code.

    1 for identical images, less with blur or noise, above 1 if contrast was raised; it is not symmetric. NaN where the
    target is constant: no information, no share of it. A mask is followed through the scales by its windows' centres.

    :raises InputError: also for a side below 41 pixels.
    """
    check_data_range(data_range)
    check_size(fake, VIF_MINIMUM_SIZE, "VIF at 4 scales")

    def measure(fake: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        fake, target = fake * (255 / data_range), target * (255 / data_range)
        kept = carried = fake.new_zeros(())
        for scale, size in enumerate(_VIF_WINDOWS):
            window = gaussian_window(size, size / 5)
            if scale > 0:
                fake, target = (windowed_mean(image, window)[..., ::2, ::2] for image in (fake, target))
                weights = _window_centres(weights, size)[..., ::2, ::2]
            kept_map, carried_map = _information(fake, target, window)
            inside = _window_centres(weights, size)
            kept, carried = kept + (kept_map * inside).sum(), carried + (carried_map * inside).sum()
        return kept / carried

    return _each_image(measure, fake, target, mask)


def _information(fake: Tensor, target: Tensor, window: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Information of the target that passes through the fake, and that the target holds, around each pixel."""
    _, _, variance_fake, variance_target, covariance = windowed_moments(fake, target, window)
    variance_fake, variance_target = variance_fake.clamp_min(0), variance_target.clamp_min(0)
    gain = covariance / (variance_target + _VIF_FLAT)
    noise = variance_fake - gain * covariance
    # A flat window on either side carries nothing; a negative gain (inverted contrast) counts as noise alone.
    useless = (variance_target < _VIF_FLAT) | (variance_fake < _VIF_FLAT) | (gain < 0)
    gain = gain.masked_fill(useless, 0)
    noise = torch.where(useless, variance_fake, noise).clamp_min(_VIF_FLAT)
    variance_target = variance_target.masked_fill(variance_target < _VIF_FLAT, 0)
    kept = torch.log1p(gain**2 * variance_target / (noise + _VIF_NOISE_VARIANCE))
    return kept, torch.log1p(variance_target / _VIF_NOISE_VARIANCE)


def _each_image(
    measure: Callable[[Tensor, Tensor, Tensor], Tensor], fake: Tensor, target: Tensor, mask: Tensor | None
) -> Tensor:
    """``measure(fake, target, weights)`` of each image, in float64; one at a time, so that its maps fit a cache."""
    _check_images(fake, target, mask)
    if mask is None:
        mask = torch.ones_like(fake[:, :1], dtype=torch.bool)
    images = zip(fake.split(1), target.split(1), mask.split(1), strict=True)
    return torch.stack([measure(*(part.double() for part in parts)) for parts in images])


def _check_images(fake: Tensor, target: Tensor, mask: Tensor | None) -> None:
    check_pair(fake, target)
    for where, image in (("fake", fake), ("target", target)):
        bad = int((~torch.isfinite(image)).sum())
        if bad:
            what = "An image has pixels that are NaN or infinite"
            raise InputError(what, where=where, rule="every pixel finite", seen=f"{bad} pixels are not")
    if mask is not None and mask.shape != (len(fake), 1, *fake.shape[2:]):
        rule = f"(B, 1, H, W) = {(len(fake), 1, *fake.shape[2:])}"
        raise InputError("The mask does not fit the images", where="mask", rule=rule, seen=tuple(mask.shape))


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    weights = weights.expand_as(values)
    return (values * weights).sum() / weights.sum()


def _window_centres(weights: Tensor, size: int) -> Tensor:
    border = size // 2
    return weights[..., border:-border, border:-border]


def _halve(images: Tensor) -> Tensor:
    # An odd last row or column stands alone, as the mirrored border of the paper's code makes it.
    return F.avg_pool2d(images, 2, ceil_mode=True)


def _check_scales(images: Tensor, scales: int) -> None:
    if scales not in range(1, len(MS_SSIM_WEIGHTS) + 1):
        raise InputError("MS-SSIM has no such number of scales", where="scales", rule="1 to 5", seen=scales)
    fix = "ask for fewer scales (scales=4 from 81 px, 3 from 41 px) and name their number beside the score"
    check_size(images, ms_ssim_minimum_size(scales), f"MS-SSIM with {scales} scales", fix)
