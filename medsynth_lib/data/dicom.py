"""DICOM series as volumes: HU, SUVbw or MR units, sorted by geometry, padding removed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from medsynth_lib.conventions import CT_RANGE_HU, MODALITIES
from medsynth_lib.data.dicom_geometry import Stack, stack
from medsynth_lib.data.dicom_header import DicomSeries, Plane, encoded_as, scan_headers
from medsynth_lib.data.dicom_pixels import decoded
from medsynth_lib.data.located import located
from medsynth_lib.data.plausible import checked_values
from medsynth_lib.data.suv import suv_factor
from medsynth_lib.data.tags import number, text
from medsynth_lib.data.tree import files_under
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

__all__ = ["DicomSeries", "find_series", "read_series"]

#: What declared padding becomes.
OUTSIDE = {"CT": CT_RANGE_HU[0], "CECT": CT_RANGE_HU[0], "PET": 0.0, "MR": 0.0}
SPECT = "SPECT (modality NM) is not supported: its voxels are counts, not calibrated activity"


def find_series(root: str | Path) -> list[DicomSeries]:
    """Every CT, PET, MR and NM series under ``root``, found by header, whatever its files are called.

    Raises:
        InputError: there is nothing at ``root``.
    """
    series, _ = scan_headers(path for path, reason in files_under(root) if reason is None)
    return sorted(series, key=lambda one: str(min(plane.path for plane in one.planes)))


def read_series(series: DicomSeries, *, allow_missing: bool = False) -> Volume:
    """Decode a series into a RAS+ volume: CT in HU, PET in SUVbw, MR as rescaled.

    Per file ``value = RescaleSlope · stored + RescaleIntercept``. Padding (PixelPaddingValue, in CT also anything
    below -1024 HU) becomes air or no signal (``OUTSIDE``) and is counted in ``problems``, as are uneven gaps.

    Args:
        series: from ``find_series``.
        allow_missing: accept gaps where planes are missing; they are interpolated when the volume is resampled.

    Raises:
        InputError: the planes are not one image (``dicom_geometry.stack``), pixels cannot be decoded, tags are missing,
            or PET cannot become SUVbw (``suv.suv_factor``).
    """
    with located(series.folder):
        return _read(series, allow_missing).to_ras()


def _read(series: DicomSeries, allow_missing: bool) -> Volume:
    if series.modality == "NM":
        raise InputError(SPECT, fix="use a CT, PET or MR series")
    placed = stack(series, allow_missing=allow_missing)
    factor, problems = 1.0, placed.problems
    if series.modality == "PET":
        factor, noted = suv_factor([plane.tags for plane in placed.planes])
        problems += noted
    unit, outside = MODALITIES[series.modality], OUTSIDE[series.modality]
    array, padding = _pixels(placed, series.modality, factor)
    changed = padding & (array != outside)
    if changed.any():
        share = f"{changed.sum()} voxels ({100 * changed.mean():.2g} %)"
        problems += (f"{share} are padding ({array[changed].min():g} {unit}), set to {outside:g} {unit}",)
        array[changed] = outside
    array, noted = checked_values(array, series.modality, padding=padding)
    return Volume(
        array,
        placed.grid.affine,
        series.modality,
        unit,
        plane_offsets_mm=placed.offsets_mm,
        provenance={"format": "DICOM", "stored_as": encoded_as(placed.planes[0].tags).name},
        problems=problems + noted,
    )


def _pixels(placed: Stack, modality: str, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of all planes, ``(columns, rows, planes)`` float32, and where they are declared padding."""
    columns, rows, count = placed.grid.shape
    values = np.empty((count, rows, columns), np.float32)
    padding = np.zeros(values.shape, bool)
    by_syntax = defaultdict(lambda: defaultdict(list))
    for index, plane in enumerate(placed.planes):
        by_syntax[encoded_as(plane.tags)][plane.path].append((index, plane))
    for syntax, files in by_syntax.items():
        for planes, frames in zip(files.values(), decoded(list(files), syntax, (rows, columns)), strict=True):
            for index, plane in planes:
                if plane.frame >= len(frames):
                    raise InputError(
                        "a frame is missing", where=plane.path, seen=f"{len(frames)} frames", fix="copy the file again"
                    )
                stored = frames[plane.frame]
                slope, intercept = _rescale(plane, modality, blank=not stored.any())
                values[index] = (stored * slope + intercept) * factor
                padding[index] = _is_padding(stored, plane)
    return values.transpose(2, 1, 0), padding.transpose(2, 1, 0)


def _rescale(plane: Plane, modality: str, *, blank: bool) -> tuple[float, float]:
    """Slope and intercept; CT and PET mean nothing without them, MR may do without."""
    default = (1.0, 0.0) if modality == "MR" else (None, None)
    slope = number(plane.tags, "RescaleSlope", default=default[0])
    # A plane without counts is written with slope 0 by scanners that scale each plane to its own maximum.
    if (slope == 0 and not blank) or text(plane.tags, "PhotometricInterpretation") == "MONOCHROME1":
        raise InputError(
            "the values are inverted or all rescaled to one",
            where=plane.path,
            rule="MONOCHROME2, RescaleSlope not 0",
            fix="export the series again, with the values the scanner reconstructed",
        )
    return slope, number(plane.tags, "RescaleIntercept", default=default[1])


def _is_padding(stored: np.ndarray, plane: Plane) -> np.ndarray | bool:
    """Where stored values lie between PixelPaddingValue and PixelPaddingRangeLimit, both included."""
    if text(plane.tags, "PixelPaddingValue") == "":
        return False
    first = number(plane.tags, "PixelPaddingValue")
    last = number(plane.tags, "PixelPaddingRangeLimit", default=first)
    # The same bits under the other VR: some write -2000 as 63536 where pixels are signed, others the reverse.
    size = 2 ** int(number(plane.tags, "BitsAllocated"))
    lowest = -size / 2 if number(plane.tags, "PixelRepresentation") else 0
    low, high = sorted((value - lowest) % size + lowest for value in (first, last))
    return (stored >= low) & (stored <= high)
