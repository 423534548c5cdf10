"""There and back: a source, what was drawn from it, and what a slight change of the drawing does to the way back."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.slices import ERROR_CMAP, LOOKS

#: What may happen to an image on its way through a hospital; the strength is in the image's own unit.
PERTURBATIONS = ("noise", "rounding", "offset")


def perturbed(image: np.ndarray, kind: str, strength: float, seed: int = 0) -> np.ndarray:
    """``image`` ``(…, H, W)`` in physical units as it might come back from an archive.

    ``noise``: N(0, ``strength``²) on every pixel; ``rounding``: to multiples of ``strength`` (DICOM stores whole HU);
    ``offset``: ``strength`` added, as by another calibration. A strength of 0 changes nothing.

    Raises:
        MedSynthError: a kind that is none of these, or a strength below 0.
    """
    if kind not in PERTURBATIONS or strength < 0:
        raise MedSynthError(
            "no such perturbation", rule=f"{', '.join(PERTURBATIONS)}; at least 0", seen=f"{kind}, {strength}"
        )
    if strength == 0:
        return image
    if kind == "noise":
        return image + strength * np.random.default_rng(seed).standard_normal(image.shape).astype(image.dtype)
    return np.round(image / strength) * strength if kind == "rounding" else image + strength


def high_pass(image: np.ndarray, sigma_px: float = 1.5) -> np.ndarray:
    """What a Gaussian blur of ``sigma_px`` takes away from each ``(…, H, W)`` image: edges and grain."""
    sigma = (0.0,) * (image.ndim - 2) + (sigma_px, sigma_px)
    return image - gaussian_filter(image, sigma)


def cycle_strip(
    source: np.ndarray, fake: np.ndarray, shown: np.ndarray, recovered: np.ndarray, *, change: str = ""
) -> Figure:
    """Source, fake, what was changed in it, the source recovered from the changed fake, and the error of that.

    Args:
        source, recovered: ``(H, W)``, as parts of their window, 0 to 1.
        fake, shown: ``(H, W)`` in HU: as drawn, and as the way back saw it.
        change: what was done, for the title.
    """
    figure, axes = plt.subplots(1, 5, figsize=(11.5, 2.5), layout="constrained")
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    for axis in axes:
        axis.set_axis_off()
    error = recovered - source
    panels = (
        (source, "source", LOOKS["MR"]),
        (fake, "fake, HU", LOOKS["CT"]),
        (recovered, "recovered source", LOOKS["MR"]),
    )
    for axis, (image, title, look) in zip(axes[[0, 1, 3]], panels, strict=True):
        axis.imshow(image, cmap=look.cmap, vmin=look.low, vmax=look.high)
        axis.set_title(title, fontsize=9)
    difference = axes[2].imshow(shown - fake, cmap=ERROR_CMAP, vmin=-20, vmax=20)
    axes[2].set_title(f"changed by: {change or 'nothing'}", fontsize=9)
    figure.colorbar(difference, ax=axes[2], shrink=0.7, label="HU")
    wrong = axes[4].imshow(error, cmap=ERROR_CMAP, vmin=-0.5, vmax=0.5)
    axes[4].set_title(f"recovered − source\nmean error {np.abs(error).mean():.3f}", fontsize=9)
    figure.colorbar(wrong, ax=axes[4], shrink=0.7)
    return figure
