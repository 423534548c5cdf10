"""Could these numbers be what they claim to be? The value rules of each modality, whatever file they came from."""

from __future__ import annotations

import numpy as np

from medsynth_lib.conventions import CT_RANGE_HU
from medsynth_lib.errors import InputError

#: Every CT holds air or lung; values that never go below this are not in HU.
CT_AIR_BELOW_HU = -200.0
#: No tissue reaches this SUV, and Bq/mL images always pass it.
PET_SUV_LIMIT = 1000.0


def checked_values(
    array: np.ndarray, modality: str, *, where: object = None, padding: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """``array`` as float32 (labels: int32) within the modality's range, and what was done, one sentence each.

    Args:
        array: values of an image of any shape.
        modality: a key of ``conventions.MODALITIES``.
        where: the file or folder, for messages.
        padding: which voxels the file declares to be no measurement; they do not speak for the unit.

    Raises:
        InputError: NaN or infinite values, a CT without air, a PET beyond any SUV, labels that are not whole numbers.
    """
    finite = np.isfinite(array)
    if not finite.all():
        raise InputError(
            "voxels are not finite numbers",
            where=where,
            rule="no NaN, no infinity",
            seen=f"{array.size - int(finite.sum())} of {array.size} voxels",
            fix="replace them before, outside the patient by air or 0, or export the image again",
        )
    if modality == "LABELS":
        return _labels(array, where), ()
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise InputError("voxels do not fit a 32-bit number", where=where, fix="export in the image's own unit")
    if array.min() == array.max():
        raise InputError(
            "every voxel has the same value", where=where, seen=float(array.flat[0]), fix="export the image again"
        )
    if modality in ("CT", "CECT"):
        return _ct(array, where, padding)
    if modality == "PET":
        _check_suv(array, where)
    return array, ()


def _ct(array: np.ndarray, where: object, padding: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
    _check_air(array, where, padding)
    low, high = float(array.min()), float(array.max())
    notes = []
    for limit, outside, name in (
        (CT_RANGE_HU[0], array < CT_RANGE_HU[0], "below"),
        (CT_RANGE_HU[1], array > CT_RANGE_HU[1], "above"),
    ):
        count = int(outside.sum())
        if count:
            extreme = low if name == "below" else high
            share = 100 * count / array.size
            notes.append(f"{count} voxels ({share:.2g} %) {name} {limit:g} HU (to {extreme:g} HU) set to {limit:g} HU")
    return np.clip(array, *CT_RANGE_HU) if notes else array, tuple(notes)


def _check_air(array: np.ndarray, where: object, padding: np.ndarray | None) -> None:
    """Padding is written in stored values and in HU alike: only what was measured tells them apart."""
    measured = array >= CT_RANGE_HU[0]
    if padding is not None:
        measured &= ~padding
    high = float(array.max())
    low = float(np.min(array, where=measured, initial=high))
    if low >= CT_AIR_BELOW_HU:
        raise InputError(
            "CT values are not in HU" + (" (scaled to [0, 1]?)" if low >= 0 and high <= 1 else ""),
            where=where,
            rule=f"air in the image: values of {CT_RANGE_HU[0]:g} to {CT_AIR_BELOW_HU:g} HU that are no padding",
            seen=f"{low:g} to {high:g}",
            fix="export the CT in Hounsfield units, unscaled and with air around the patient",
        )


def _check_suv(array: np.ndarray, where: object) -> None:
    if array.max() > PET_SUV_LIMIT or array.max() <= 0:
        raise InputError(
            "PET values are not SUV (Bq/mL?)" if array.max() > 0 else "the PET has no activity",
            where=where,
            rule=f"a maximum above 0 and at most {PET_SUV_LIMIT:g} g/mL",
            seen=f"{array.min():g} to {array.max():g}",
            fix="convert to SUVbw, or give us the DICOM series, which carries dose and weight",
        )


def _labels(array: np.ndarray, where: object) -> np.ndarray:
    labels = array.astype(np.int32)
    if not np.array_equal(labels, array) or labels.min() < 0:
        raise InputError(
            "labels must be whole numbers from 0 up",
            where=where,
            seen=f"{array.min():g} to {array.max():g}, first odd value {_first_odd(array):g}",
            fix="resample label maps with nearest neighbour only",
        )
    return labels


def _first_odd(array: np.ndarray) -> float:
    odd = (array != np.floor(array)) | (array < 0) | (array > np.iinfo(np.int32).max)
    return float(array[odd].flat[0])
