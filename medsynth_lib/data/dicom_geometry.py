"""Where the planes of a DICOM series lie: order, spacing, gaps, and every way they can fail to be one image.

Positions come from ImagePositionPatient and ImageOrientationPatient alone; InstanceNumber, SliceLocation and file names
are never trusted. DICOM coordinates are LPS (left, posterior, superior), ours RAS: the first two change sign.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medsynth_lib.data.dicom_header import DicomSeries, Plane
from medsynth_lib.data.located import located
from medsynth_lib.data.tags import number, numbers, text
from medsynth_lib.data.volume import EVEN_GAP_TOLERANCE, Grid, check_grid
from medsynth_lib.errors import InputError

#: A gap beyond this many median gaps means that planes are missing.
MISSING_GAP = 1.5
#: Planes closer than this are at the same position.
SAME_POSITION_MM = 0.01
#: Planes may drift sideways by this much over the whole stack: rounding of positions, no tilted gantry.
SIDEWAYS_MM = 0.5
#: Files in another orientation than the others count as localisers when they are at most this part of the series.
FEW = 0.2
#: Differences of direction cosines and of pixel sizes (mm) that come from rounding.
SAME_DIRECTION, SAME_SPACING_MM = 1e-3, 1e-4


@dataclass(frozen=True)
class Stack:
    """Planes in the order of their positions, and where their voxels lie.

    ``grid`` is for an array ``(columns, rows, planes)``; ``offsets_mm`` are the planes' distances from the first, given
    only when they are uneven.
    """

    planes: tuple[Plane, ...]
    grid: Grid
    offsets_mm: np.ndarray | None
    problems: tuple[str, ...]


def stack(series: DicomSeries, *, allow_missing: bool = False) -> Stack:
    """Sort the planes of a series by geometry and check that they make up one image.

    Raises:
        InputError: mixed patient, study, modality, orientation, size, spacing or frame of reference; several planes at
            one position; acquisitions between each other's planes; a tilted gantry; a gap above 1.5 times the median
            gap, unless ``allow_missing``.
    """
    planes, problems = _without_screenshots(series.planes)
    planes, turned = _without_localisers(planes)
    planes, copies = _without_copies(planes)
    _check_uniform(planes)
    across, down, normal = _directions(planes[0])
    positions = np.array([_numbers(plane, "ImagePositionPatient", 3) for plane in planes])
    order = np.argsort(positions @ normal, kind="stable")
    planes, positions = tuple(planes[index] for index in order), positions[order]
    offsets = (positions - positions[0]) @ normal
    gap, offsets, noted = _spacing(planes[0], positions, normal, offsets, allow_missing)
    row_mm, column_mm = numbers(planes[0].tags, "PixelSpacing", 2)
    lps = np.eye(4)
    lps[:3] = np.stack([across * column_mm, down * row_mm, normal * gap, positions[0]], axis=1)
    shape = (int(number(planes[0].tags, "Columns")), int(number(planes[0].tags, "Rows")), len(planes))
    grid = Grid(shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)
    check_grid(grid)
    return Stack(planes, grid, offsets, problems + turned + copies + _acquisitions(planes) + noted)


def _without_screenshots(planes: Sequence[Plane]) -> tuple[Sequence[Plane], tuple[str, ...]]:
    """Drop pages without a position that are of another kind than the images, such as dose reports."""
    (image, _), *_ = Counter(text(plane.tags, "SOPClassUID") for plane in planes).most_common(1)
    kept = [plane for plane in planes if text(plane.tags, "SOPClassUID") == image or _is_placed(plane)]
    dropped = len(planes) - len(kept)
    return kept, (f"{dropped} pages without a position (screenshots, reports) were left out",) if dropped else ()


def _is_placed(plane: Plane) -> bool:
    return bool(text(plane.tags, "ImagePositionPatient") and text(plane.tags, "ImageOrientationPatient"))


def _without_localisers(planes: Sequence[Plane]) -> tuple[Sequence[Plane], tuple[str, ...]]:
    """Drop scout images: named so in ImageType, or the few that lie in another orientation than all others."""
    kept = [plane for plane in planes if "LOCALIZER" not in text(plane.tags, "ImageType").upper()] or planes
    usual = _kinds(kept, _orientation, SAME_DIRECTION)[0]
    if len(usual) >= (1 - FEW) * len(kept):
        kept = usual
    dropped = len(planes) - len(kept)
    return kept, (f"{dropped} localiser images in the series were left out",) if dropped else ()


def _without_copies(planes: Sequence[Plane]) -> tuple[Sequence[Plane], tuple[str, ...]]:
    """Drop files that are byte for byte copies of another, as happens when an export is copied into itself."""
    kept: dict[tuple[str, int, bytes], Plane] = {}
    names = Counter((text(plane.tags, "SOPInstanceUID"), plane.frame) for plane in planes)
    for plane in planes:
        name = text(plane.tags, "SOPInstanceUID"), plane.frame
        content = plane.path.read_bytes() if names[name] > 1 else b""
        kept.setdefault((*name, content), plane)
    copies = len(planes) - len(kept)
    return list(kept.values()), (f"{copies} files are copies of others and were left out",) if copies else ()


def _orientation(plane: Plane) -> np.ndarray:
    return _numbers(plane, "ImageOrientationPatient", 6)


def _numbers(plane: Plane, keyword: str, count: int) -> np.ndarray:
    with located(plane.path):
        return numbers(plane.tags, keyword, count)


def _kinds(planes: Sequence[Plane], trait: Callable[[Plane], object], tolerance: float) -> list[list[Plane]]:
    """The planes by a trait, the commonest first: equal words, or numbers within ``tolerance`` of the first ones."""
    kinds: list[tuple[object, list[Plane]]] = []
    for plane in planes:
        value = trait(plane)
        for first, members in kinds:
            if value == first if isinstance(value, str) else np.abs(value - first).max() <= tolerance:
                members.append(plane)
                break
        else:
            kinds.append((value, [plane]))
    return sorted((members for _, members in kinds), key=len, reverse=True)


def _check_uniform(planes: Sequence[Plane]) -> None:
    """One image has one patient, study, modality, frame of reference, orientation, size and spacing."""
    traits: dict[str, tuple[Callable[[Plane], object], float]] = {
        "patients": (lambda plane: text(plane.tags, "PatientID"), 0),
        "studies": (lambda plane: text(plane.tags, "StudyInstanceUID"), 0),
        "modalities": (lambda plane: text(plane.tags, "Modality"), 0),
        "frames of reference": (lambda plane: text(plane.tags, "FrameOfReferenceUID"), 0),
        "orientations": (_orientation, SAME_DIRECTION),
        "image sizes": (lambda plane: np.array([number(plane.tags, word) for word in ("Rows", "Columns")]), 0),
        "pixel spacings": (lambda plane: _numbers(plane, "PixelSpacing", 2), SAME_SPACING_MM),
    }
    for name, (trait, tolerance) in traits.items():
        kinds = _kinds(planes, trait, tolerance)
        if len(kinds) > 1:
            seen = ", ".join(str(len(kind)) for kind in kinds[:5])
            raise InputError(
                f"the series mixes {len(kinds)} {name}",
                rule="one image per series",
                seen=f"{seen} planes",
                fix="separate them, or export the series again",
            )


def _acquisitions(planes: Sequence[Plane]) -> tuple[str, ...]:
    """Several acquisitions, in the order of positions, may follow one another; in a CT none lies inside another."""
    told = list(filter(None, (text(plane.tags, "AcquisitionNumber") for plane in planes)))
    count, changes = len(set(told)), sum(one != other for one, other in pairwise(told))
    if changes < max(count, 1):
        return ()
    if text(planes[0].tags, "Modality") != "CT":  # MR measures every other plane first
        return (f"planes of {count} acquisitions alternate",)
    raise InputError(
        "acquisitions lie between each other's planes",
        rule="one acquisition per series, or one after the other",
        seen=f"{count} acquisitions that alternate {changes} times along {len(planes)} planes",
        fix="separate the acquisitions (AcquisitionNumber) into a series each",
    )


def _directions(plane: Plane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (LPS) along a row, along a column, and from plane to plane."""
    across, down = numbers(plane.tags, "ImageOrientationPatient", 6).reshape(2, 3)
    lengths = np.linalg.norm([across, down], axis=1)
    if np.abs(lengths - 1).max() > 1e-3 or abs(across @ down) > 1e-3:
        raise InputError(
            "ImageOrientationPatient is damaged",
            rule="two unit vectors at right angles",
            seen=f"lengths {lengths[0]:.3f} and {lengths[1]:.3f}, product {across @ down:.3f}",
            fix="export the series again",
        )
    return across, down, np.cross(across, down)


def _spacing(
    first: Plane, positions: np.ndarray, normal: np.ndarray, offsets: np.ndarray, allow_missing: bool
) -> tuple[float, np.ndarray | None, tuple[str, ...]]:
    """The gap between planes, their offsets when uneven, and what a reader should know."""
    if len(offsets) == 1:
        keyword = "SpacingBetweenSlices" if text(first.tags, "SpacingBetweenSlices") else "SliceThickness"
        return number(first.tags, keyword), None, ("a single plane: no depth",)
    gaps = np.diff(offsets)
    _check_not_repeated(gaps)
    _check_upright(positions, normal, offsets)
    median = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - median) > EVEN_GAP_TOLERANCE * median)
    if not len(odd):
        return float(offsets[-1] / len(gaps)), None, ()
    where = ", ".join(f"{gaps[index]:.2f} mm after plane {index + 1}" for index in odd[:6])
    seen = f"{len(odd)} of {len(gaps)} gaps differ from {median:.2f} mm: {where}{', ...' if len(odd) > 6 else ''}"
    if gaps.max() > MISSING_GAP * median and not allow_missing:
        raise InputError(
            "planes are missing from the series",
            rule=f"no gap above {MISSING_GAP} times the usual one",
            seen=seen,
            fix="find the missing files (in Python, read_series(..., allow_missing=True) interpolates)",
        )
    return median, offsets, (f"uneven gaps: {seen}",)


def _check_not_repeated(gaps: np.ndarray) -> None:
    repeated = int((gaps < SAME_POSITION_MM).sum())
    if repeated:
        raise InputError(
            "several planes lie at the same position",
            rule="one plane per position",
            seen=f"{repeated} repeated positions among {len(gaps) + 1} planes",
            fix="separate the phases, echoes or time points into a series each",
        )


def _check_upright(positions: np.ndarray, normal: np.ndarray, offsets: np.ndarray) -> None:
    """Planes must be stacked along their normal; a tilted gantry shifts each one sideways by the same step."""
    sideways = positions - positions[0] - np.outer(offsets, normal)
    furthest = int(np.linalg.norm(sideways, axis=1).argmax())
    shift = float(np.linalg.norm(sideways[furthest]))
    if shift > SIDEWAYS_MM:
        steady = np.abs(sideways - np.outer(offsets / offsets[furthest], sideways[furthest])).max() < SIDEWAYS_MM
        tilt = math.degrees(math.atan2(shift, offsets[furthest]))
        raise InputError(
            f"tilted gantry of {tilt:.1f} degrees" if steady else "planes are shifted sideways",
            rule="planes stacked along their normal",
            seen=f"{shift:.2f} mm sideways",
            fix="export the series without gantry tilt (resampled by the scanner), or straighten it first",
        )
