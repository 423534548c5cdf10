"""What every metric says of one image, moved, blurred, with noise or another contrast."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import ndimage

from medsynth_lib.errors import MedSynthError
from medsynth_lib.metrics.report import BODY_SUFFIX, evaluate_images, heading
from medsynth_lib.visualize.slices import ERROR_CMAP, LOOKS

#: Whole slice and body, told apart without colour too.
_WHOLE, _BODY = "#0072b2", "#e69f00"
_WITH_UNIT = ("mae", "mse", "rmse", "psnr")


def distort(
    image: np.ndarray,
    shift_px: int = 0,
    blur_px: float = 0.0,
    noise: float = 0.0,
    contrast: float = 1.0,
    *,
    low: float,
    high: float,
    seed: int = 0,
) -> np.ndarray:
    """``image`` moved to the right, blurred, with noise and its contrast changed, in that order; clipped to the window.

    Args:
        image: ``(H, W)`` in physical units.
        shift_px: what comes in at the left is ``low``.
        blur_px: sigma of a Gaussian.
        noise: sd of white noise, in the image's unit.
        contrast: factor on the distance from ``low``.
        low, high: the window.
        seed: of the noise.

    Raises:
        MedSynthError: a negative shift, blur, noise or contrast.
    """
    if min(shift_px, blur_px, noise, contrast) < 0:
        raise MedSynthError("a distortion is 0 or more", seen=(shift_px, blur_px, noise, contrast))
    found = np.full(image.shape, low, float)
    found[:, shift_px:] = image[:, : image.shape[1] - shift_px]
    if blur_px:
        found = ndimage.gaussian_filter(found, blur_px, mode="nearest")
    found = found + noise * np.random.default_rng(seed).standard_normal(found.shape)
    return np.clip(contrast * found + (1 - contrast) * low, low, high)


def scores_of(fake: np.ndarray, real: np.ndarray, body: np.ndarray, data_range: float) -> dict[str, float]:
    """Every fidelity metric of two slices ``(H, W)``, whole and in the body (``metrics.report.evaluate_images``)."""
    tensors = (torch.from_numpy(np.array(one))[None, None] for one in (fake, real, body))
    return {name: float(value) for name, value in evaluate_images(*tensors, data_range=data_range).items()}


def under_distortion(
    image: np.ndarray,
    body: np.ndarray,
    shift_px: int = 0,
    blur_px: float = 0.0,
    noise: float = 0.0,
    contrast: float = 1.0,
    *,
    modality: str = "CT",
    low: float = -1000.0,
    high: float = 1000.0,
) -> Figure:
    """The distorted slice, its error, and bars of all metrics of the whole slice and of the body alone.

    Args:
        image: the real slice ``(H, W)``, in physical units.
        body: ``(H, W)`` bool.
        shift_px, blur_px, noise, contrast: as ``distort``.
        modality: how the slice is shown.
        low, high: the window; its width is the ``data_range``.
    """
    look, real = LOOKS[modality], np.clip(np.asarray(image, float), low, high)
    fake = distort(real, shift_px, blur_px, noise, contrast, low=low, high=high)
    scores = scores_of(fake, real, body, high - low)
    figure, axes = plt.subplots(1, 5, figsize=(11.5, 2.7), layout="constrained", width_ratios=(1, 1.15, 1.2, 0.5, 0.5))
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    axes[0].imshow(fake, cmap=look.cmap, vmin=look.low, vmax=look.high)
    axes[0].set_title(f"shift {shift_px} px, blur {blur_px:g} px", fontsize=9)
    limit = (look.high - look.low) / 2
    error = axes[1].imshow(fake - real, cmap=ERROR_CMAP, vmin=-limit, vmax=limit)
    axes[1].set_title(f"noise {noise:g} {look.unit}, contrast {contrast:g}", fontsize=9)
    figure.colorbar(error, ax=axes[1], shrink=0.8, label=f"error, {look.unit}")
    for axis in axes[:2]:
        axis.set_axis_off()
    parts = [name for name in scores if name not in _WITH_UNIT and not name.endswith(BODY_SUFFIX)]
    _bars(axes[2], scores, parts, "", 1.0)
    _bars(axes[3], scores, ["psnr"], "", 50.0)
    _bars(axes[4], scores, ["mae"], look.unit, max(100.0, scores["mae"], scores["mae" + BODY_SUFFIX]))
    figure.legend(axes[2].containers[:2], ("whole slice", "body"), fontsize=8, loc="outside lower right", ncols=2)
    return figure


def _bars(axis, scores: Mapping[str, float], names: list[str], unit: str, longest: float) -> None:
    """Two bars per metric, their values above them; an infinite PSNR fills the axis."""
    for offset, suffix, colour in ((-0.2, "", _WHOLE), (0.2, BODY_SUFFIX, _BODY)):
        values = [scores[name + suffix] for name in names]
        heights = np.clip(np.nan_to_num(values, posinf=longest), 0, longest)
        axis.bar(np.arange(len(names)) + offset, heights, width=0.36, color=colour)
        for place, height, value in zip(range(len(names)), heights, values, strict=True):
            axis.text(place + offset, height, f"{value:.3g}", ha="center", va="bottom", fontsize=7)
    labels = [heading(name, unit).replace(", ", ",\n").replace(" [", "\n[") for name in names]
    axis.set_xticks(range(len(names)), labels, fontsize=8)
    axis.set(ylim=(0, 1.1 * longest), xlim=(-0.6, len(names) - 0.4))
    axis.tick_params(axis="y", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
