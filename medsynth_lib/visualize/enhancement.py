"""Contrast agent on the screen: images through one reading window, and changes as signed maps in HU."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.slices import ERROR_CMAP

#: Changes are shown on ± this part of the window's width, so that a HU has the same weight in both kinds of picture.
CHANGE_PART = 0.3


def linked_window(
    images: Mapping[str, np.ndarray], changes: Mapping[str, np.ndarray], level_hu: float, width_hu: float
) -> Figure:
    """Images ``(H, W)`` in HU through one window above changes between them, in HU, on a map whose white is 0.

    Blue is less dense than before, red denser. The changes' scale moves with the window's width: ± ``CHANGE_PART`` of
    it. A window that hides a change in one row hides it in the other.

    Args:
        images: title → slice.
        changes: title → difference of two slices; its mean absolute value is written beside the title.
        level_hu, width_hu: middle and size of the window.

    Raises:
        MedSynthError: no image, or a width that is not positive.
    """
    if not images or not width_hu > 0:
        raise MedSynthError(
            "a window shows images", rule="at least one image, a width above 0 HU", seen=f"{len(images)}, {width_hu} HU"
        )
    columns = max(len(images), len(changes))
    figure, axes = plt.subplots(
        2 if changes else 1,
        columns,
        figsize=(2.6 * columns + 0.8, 2.75 * (2 if changes else 1)),
        squeeze=False,
        layout="constrained",
    )
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    for axis in axes.flat:
        axis.set_axis_off()
    low, high, limit = level_hu - width_hu / 2, level_hu + width_hu / 2, CHANGE_PART * width_hu
    _row(figure, axes[0], images, "gray", (low, high), "HU")
    if changes:
        titled = {f"{name}: mean |Δ| {np.abs(one).mean():.1f} HU": one for name, one in changes.items()}
        _row(figure, axes[1], titled, ERROR_CMAP, (-limit, limit), "change, HU")
    return figure


def _row(
    figure: Figure,
    axes: np.ndarray[Axes],
    images: Mapping[str, np.ndarray],
    cmap: str,
    limits: tuple[float, float],
    unit: str,
) -> None:
    """One image per axis, all on the same limits, and one colour bar at the end of the row."""
    for axis, (title, image) in zip(axes, images.items(), strict=False):
        shown = axis.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1])
        axis.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=list(axes), shrink=0.8, label=unit)
