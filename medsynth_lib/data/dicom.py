"""DICOM series as volumes: HU, SUVbw or MR units, sorted by geometry, padding removed."""

from __future__ import annotations

import math
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

    Per file ``value = RescaleSlope · stored + RescaleIntercept``. CT padding (PixelPaddingValue and anything below
    -1024 HU) becomes the lower end of ``CT_RANGE_HU`` and is counted in ``problems``, as are uneven gaps.

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
    array, padded = _pixels(placed, series.modality, factor)
    if padded:
        found = " or ".join(sorted({f"{_padding_range(plane)[0]:g}" for plane in placed.planes}))
        share = f"{padded} voxels ({100 * padded / array.size:.2g} %)"
        problems += (f"{share} are padding ({found} HU), set to {CT_RANGE_HU[0]:g} HU",)
    array, noted = checked_values(array, series.modality)
    return Volume(
        array,
        placed.grid.affine,
        series.modality,
        MODALITIES[series.modality],
        plane_offsets_mm=placed.offsets_mm,
        provenance={"format": "DICOM", "stored_as": encoded_as(placed.planes[0].tags).name},
        problems=problems + noted,
    )


def _pixels(placed: Stack, modality: str, factor: float) -> tuple[np.ndarray, int]:
    """Values of all planes, ``(columns, rows, planes)`` float32, and how many voxels are declared padding."""
    columns, rows, count = placed.grid.shape
    values = np.empty((count, rows, columns), np.float32)
    by_syntax = defaultdict(lambda: defaultdict(list))
    for index, plane in enumerate(placed.planes):
        by_syntax[encoded_as(plane.tags)][plane.path].append((index, plane))
    padded = 0
    for syntax, files in by_syntax.items():
        for planes, frames in zip(files.values(), decoded(list(files), syntax, (rows, columns)), strict=True):
            padded += sum(_fill(values[index], frames, plane, modality, factor) for index, plane in planes)
    return values.transpose(2, 1, 0), padded


def _fill(out: np.ndarray, frames: np.ndarray, plane: Plane, modality: str, factor: float) -> int:
    """Write the plane's values into ``out``; how many of them were declared padding."""
    if plane.frame >= len(frames):
        raise InputError("a frame is missing", where=plane.path, seen=f"{len(frames)} frames")
    slope, intercept = _rescale(plane, modality)
    rescaled = frames[plane.frame] * slope + intercept
    out[...] = rescaled * factor
    if modality not in ("CT", "CECT") or text(plane.tags, "PixelPaddingValue") == "":
        return 0
    low, high = _padding_range(plane)
    padding = (rescaled >= low) & (rescaled <= high)
    out[padding] = CT_RANGE_HU[0]
    return int(padding.sum())


def _rescale(plane: Plane, modality: str) -> tuple[float, float]:
    """Slope and intercept; CT and PET mean nothing without them, MR may do without."""
    default = (1.0, 0.0) if modality == "MR" else (None, None)
    slope = number(plane.tags, "RescaleSlope", default=default[0])
    if slope == 0 or text(plane.tags, "PhotometricInterpretation") == "MONOCHROME1":
        raise InputError(
            "the values are inverted or all rescaled to one", where=plane.path, rule="MONOCHROME2, RescaleSlope not 0"
        )
    return slope, number(plane.tags, "RescaleIntercept", default=default[1])


def _padding_range(plane: Plane) -> tuple[float, float]:
    """PixelPaddingValue and PixelPaddingRangeLimit in HU, lowest first."""
    first = number(plane.tags, "PixelPaddingValue")
    last = number(plane.tags, "PixelPaddingRangeLimit", default=first)
    # Some writers store -2000 under the unsigned VR, as 63536.
    wrap = 2 ** int(number(plane.tags, "BitsAllocated")) if number(plane.tags, "PixelRepresentation") else math.inf
    slope, intercept = _rescale(plane, "CT")
    low, high = sorted((value - wrap if value >= wrap / 2 else value) * slope + intercept for value in (first, last))
    return low, high
