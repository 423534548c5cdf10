"""Pictures of slices: pure functions from arrays to a matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.errors import MedSynthError


@dataclass(frozen=True)
class Look:
    """How a modality is shown: grey map and display window in physical units."""

    cmap: str
    low: float
    high: float
    unit: str


#: Reading-room habits: CT on a soft-tissue-to-bone window, PET dark on white. None is a rainbow.
LOOKS = {
    "CT": Look("gray", -300.0, 500.0, "HU"),
    "CECT": Look("gray", -150.0, 300.0, "HU"),
    "PET": Look("gray_r", 0.0, 5.0, "SUVbw"),
    "MR": Look("gray", 0.0, 1.0, "a.u."),
}
#: Errors: blue is too low, red too high, white is right; told apart by colour-blind eyes.
ERROR_CMAP = "RdBu_r"


def _axes(rows: int, columns: int, side: float) -> tuple[Figure, np.ndarray]:
    figure, axes = plt.subplots(
        rows, columns, figsize=(side * columns, side * rows + 0.3), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.set_axis_off()
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    return figure, axes


def slice_grid(
    images: Mapping[str, tuple[str, Sequence[np.ndarray]]],
    *,
    titles: Sequence[str] = (),
    side: float = 2.0,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Rows of slices ``(H, W)`` in physical units: row label → (modality, slices)."""
    looks = {**LOOKS, **(looks or {})}
    columns = max(len(row) for _, row in images.values())
    figure, axes = _axes(len(images), columns, side)
    for axis_row, (label, (modality, row)) in zip(axes, images.items(), strict=True):
        look = looks[modality]
        for axis, image in zip(axis_row, row, strict=False):
            shown = axis.imshow(image, cmap=look.cmap, vmin=look.low, vmax=look.high)
        axis_row[0].text(-0.04, 0.5, label, transform=axis_row[0].transAxes, rotation=90, ha="right", va="center")
        figure.colorbar(shown, ax=axis_row[-1], shrink=0.8, label=look.unit)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize=9)
    return figure


def comparison(
    source: np.ndarray,
    fakes: Mapping[str, np.ndarray],
    target: np.ndarray,
    *,
    source_modality: str = "PET",
    target_modality: str = "CT",
    error_limit: float | None = None,
    side: float = 2.3,
) -> Figure:
    """One slice: source, every method's image and the real one; below each method its signed error, in the unit.

    Args:
        source, target: ``(H, W)``, physical units.
        fakes: method → ``(H, W)``.
        error_limit: colour limit of the error maps; half of the display window when not given.
    """
    look, source_look = LOOKS[target_modality], LOOKS[source_modality]
    limit = error_limit or (look.high - look.low) / 2
    figure, axes = _axes(2, 2 + len(fakes), side)
    shown = axes[0, 0].imshow(source, cmap=source_look.cmap, vmin=source_look.low, vmax=source_look.high)
    axes[0, 0].set_title(f"source: {source_modality}", fontsize=9)
    figure.colorbar(shown, ax=axes[0, 0], label=source_look.unit, shrink=0.8, location="left")
    for column, (method, fake) in enumerate(fakes.items(), start=1):
        axes[0, column].imshow(fake, cmap=look.cmap, vmin=look.low, vmax=look.high)
        axes[0, column].set_title(method, fontsize=9)
        error = axes[1, column].imshow(fake - target, cmap=ERROR_CMAP, vmin=-limit, vmax=limit)
        axes[1, column].set_title(f"MAE {np.abs(fake - target).mean():.3g} {look.unit}", fontsize=9)
    shown = axes[0, -1].imshow(target, cmap=look.cmap, vmin=look.low, vmax=look.high)
    axes[0, -1].set_title(f"real {target_modality}", fontsize=9)
    figure.colorbar(shown, ax=axes[0, -1], label=look.unit, shrink=0.8)
    figure.colorbar(error, ax=axes[1, -1], label=f"error, {look.unit}", shrink=0.8)
    return figure


def swipe(real: np.ndarray, fake: np.ndarray, position: float, *, modality: str = "CT") -> Figure:
    """Left of ``position`` (0 to 1) the real slice, right of it the synthetic one, and the error beside them."""
    if not 0 <= position <= 1:
        raise MedSynthError("the swipe position is a part of the width", rule="0 to 1", seen=position)
    look = LOOKS[modality]
    cut = round(position * real.shape[1])
    figure, axes = _axes(1, 2, 3.2)
    mixed = np.concatenate([real[:, :cut], fake[:, cut:]], axis=1)
    axes[0, 0].imshow(mixed, cmap=look.cmap, vmin=look.low, vmax=look.high)
    axes[0, 0].axvline(cut - 0.5, color="#e69f00", linewidth=1)
    axes[0, 0].set_title(f"real | synthetic {modality}", fontsize=10)
    limit = (look.high - look.low) / 2
    error = axes[0, 1].imshow(fake - real, cmap=ERROR_CMAP, vmin=-limit, vmax=limit)
    axes[0, 1].set_title("synthetic − real", fontsize=10)
    figure.colorbar(error, ax=axes[0, 1], shrink=0.8, label=MODALITIES[modality])
    return figure
