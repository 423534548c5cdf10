"""A cascade looked at stage by stage, and a lesion whose uptake is turned while its CT stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medsynth_lib.visualize.curves import COLOURS
from medsynth_lib.visualize.slices import ERROR_CMAP, LOOKS

_BORDER = "#e69f00"


def stage_browser(
    source: np.ndarray,
    made: Sequence[np.ndarray],
    target: np.ndarray,
    stage: int,
    position: float = 1.0,
    *,
    error_limit: float = 1.5,
) -> Figure:
    """One slice on its way through a cascade, CT→PET: above, the source, what ``stage`` made (right of the border the
    real image) and its signed error; below, the mean absolute error of every stage, the chosen one marked.

    Args:
        source, target: ``(H, W)`` in HU and SUV.
        made: ``(H, W)`` in SUV for every stage.
        stage: which to show, from 1.
        position: the border, as a part of the width; 1 shows the stage alone.
    """
    fake, ct, pet = made[stage - 1], LOOKS["CT"], LOOKS["PET"]
    cut = round(position * target.shape[1])
    figure, axes = plt.subplot_mosaic(
        [["source", "made", "error"], ["bars", "bars", "bars"]],
        figsize=(8, 4), height_ratios=(3, 1), layout="constrained",
    )  # fmt: skip
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    axes["source"].imshow(source, cmap=ct.cmap, vmin=ct.low, vmax=ct.high)
    axes["source"].set_title("source: CT", fontsize=10)
    mixed = np.concatenate([fake[:, :cut], target[:, cut:]], axis=1)
    shown = axes["made"].imshow(mixed, cmap=pet.cmap, vmin=pet.low, vmax=pet.high)
    figure.colorbar(shown, ax=axes["made"], shrink=0.8, label=pet.unit)
    axes["made"].set_title(f"stage {stage}" + (" | real PET" if cut < target.shape[1] else ""), fontsize=10)
    if cut < target.shape[1]:
        axes["made"].axvline(cut - 0.5, color=_BORDER, linewidth=1)
    error = axes["error"].imshow(fake - target, cmap=ERROR_CMAP, vmin=-error_limit, vmax=error_limit)
    figure.colorbar(error, ax=axes["error"], shrink=0.8, label=pet.unit)
    axes["error"].set_title("stage − real", fontsize=10)
    for name in ("source", "made", "error"):
        axes[name].set_axis_off()
    _error_bars(axes["bars"], [float(np.abs(one - target).mean()) for one in made], stage, pet.unit)
    return figure


def uptake_panel(
    ct: np.ndarray,
    pets: Sequence[np.ndarray],
    fake: np.ndarray,
    uptakes: Sequence[float],
    chosen: int,
    lesion: np.ndarray,
    *,
    low: float = 0.0,
    high: float = 10.0,
) -> Figure:
    """A plane through a lesion: its CT, its PET with the uptake ``uptakes[chosen]``, and what a network drew from the
    CT; at the right, SUVmax inside the lesion for all uptakes, real and synthetic.

    Args:
        ct: ``(H, W)`` in HU; pets: one for each uptake, in SUV; fake: the network's PET, in SUV.
        lesion: ``(H, W)`` bool.
        low, high: of the PET's display, in SUV.
    """
    look = LOOKS["CT"]
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained", width_ratios=(1, 1, 1, 1.1))
    plt.close(figure)
    axes[0].imshow(ct, cmap=look.cmap, vmin=look.low, vmax=look.high)
    axes[0].set_title("CT: the same for all", fontsize=10)
    pictures = ((pets[chosen], f"real PET, lesion of SUV {uptakes[chosen]:g}"), (fake, "drawn from this CT"))
    for axis, (image, title) in zip(axes[1:], pictures, strict=False):
        shown = axis.imshow(image, cmap=LOOKS["PET"].cmap, vmin=low, vmax=high)
        axis.set_title(title, fontsize=10)
    figure.colorbar(shown, ax=axes[2], shrink=0.8, label=LOOKS["PET"].unit)
    for axis in axes[:3]:
        axis.contour(lesion, levels=[0.5], colors=_BORDER, linewidths=1)
        axis.set_axis_off()
    real = [float(pet[lesion].max()) for pet in pets]
    axes[3].plot(uptakes, real, "o-", color=COLOURS[0], label="real PET")
    axes[3].axhline(float(fake[lesion].max()), color=COLOURS[1], linestyle="--", label="drawn from the CT")
    axes[3].plot(uptakes[chosen], real[chosen], "o", color=_BORDER, markersize=11, zorder=0)
    axes[3].set(xlabel="uptake of the lesion, SUV", ylabel="SUVmax in the image", ylim=(0, None))
    axes[3].legend(frameon=False, fontsize=8)
    axes[3].spines[["top", "right"]].set_visible(False)
    return figure


def _error_bars(axis: plt.Axes, errors: Sequence[float], stage: int, unit: str) -> None:
    stages = np.arange(1, len(errors) + 1)
    colours = [COLOURS[1] if number == stage else "#999999" for number in stages]
    bars = axis.bar(stages, errors, color=colours, width=0.6)
    axis.bar_label(bars, [f"{error:.3f}" for error in errors], fontsize=8)
    axis.set(xticks=stages, xlabel="stage", ylabel=f"MAE,\n{unit}", ylim=(0, 1.25 * max(errors)))
    axis.spines[["top", "right"]].set_visible(False)
