"""One place in several modalities at once: linked slices, a display window, a cursor that reads every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medsynth_lib.conventions import axial_slice
from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.palette import class_colours
from medsynth_lib.visualize.slices import LOOKS

CURSOR_COLOUR = "#e69f00"


def linked_slices(
    volumes: Mapping[str, Volume],
    plane: int,
    level_hu: float = 100.0,
    width_hu: float = 800.0,
    cursor: tuple[float, float] = (0.5, 0.5),
) -> Figure:
    """The same plane of each volume with one cursor; below it the value there, with its unit.

    Args:
        volumes: modality → volume; all on one grid, RAS+.
        plane: index along z.
        level_hu, width_hu: middle and width of the CT's display window; grey runs from level − width/2 to
            level + width/2.
        cursor: where the cross is, as parts of the picture's width and height from the upper left corner.

    Raises:
        MedSynthError: the volumes are on different grids, or the window has no width.
    """
    first = next(iter(volumes.values()))
    if any(one.shape != first.shape or not np.allclose(one.affine, first.affine) for one in volumes.values()):
        raise MedSynthError("linked slices need one grid", fix="put them on one grid: volume.resample_to(other.grid)")
    if width_hu <= 0:
        raise MedSynthError("a display window needs a width above 0 HU", seen=width_hu)
    figure, axes = plt.subplots(1, len(volumes), figsize=(2.7 * len(volumes), 3.2), squeeze=False, layout="constrained")
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    for axis, (name, volume) in zip(axes[0], volumes.items(), strict=True):
        image = axial_slice(volume.array, plane)
        column, row = (round(part * (size - 1)) for part, size in zip(cursor, image.shape[::-1], strict=True))
        axis.imshow(image, **_shown_as(volume, level_hu, width_hu))
        axis.axvline(column, color=CURSOR_COLOUR, linewidth=0.8)
        axis.axhline(row, color=CURSOR_COLOUR, linewidth=0.8)
        axis.set_title(f"{name}: {_value(volume, image[row, column])}", fontsize=10)
        axis.set_axis_off()
    figure.suptitle(f"z = {first.z_mm()[plane]:.0f} mm", fontsize=10)
    return figure


def _shown_as(volume: Volume, level_hu: float, width_hu: float) -> dict:
    if volume.unit == "label":
        return {"cmap": class_colours(), "vmin": -0.5, "vmax": len(HEAD_CLASSES) - 0.5, "interpolation": "nearest"}
    look = LOOKS[volume.modality]
    if volume.unit == "HU":
        look = replace(look, low=level_hu - width_hu / 2, high=level_hu + width_hu / 2)
    if volume.modality == "MR":  # no absolute unit: its own range
        look = replace(look, high=float(np.percentile(volume.array, 99.5)))
    return {"cmap": look.cmap, "vmin": look.low, "vmax": look.high}


def _value(volume: Volume, value: float) -> str:
    if volume.unit == "label":
        return HEAD_CLASSES[int(value)]
    return f"{value:.1f} SUV" if volume.unit == "SUVbw" else f"{value:.0f} {volume.unit}"
