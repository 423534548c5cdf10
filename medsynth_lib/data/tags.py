"""DICOM tags as plain numbers and words, with one clear error when they are missing or damaged."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medsynth_lib.errors import InputError


def text(tags: Dataset, keyword: str) -> str:
    """The value as one word, empty when missing."""
    value = tags.get(keyword)
    return "" if value is None else str(value).strip()


def study_of(tags: Dataset) -> str:
    """What tells a study from others, or at least the series: all there is where PatientID tells nothing."""
    return text(tags, "StudyInstanceUID") or text(tags, "SeriesInstanceUID")


def number(tags: Dataset, keyword: str, *, default: float | None = None) -> float:
    """The value as a finite number; ``default`` when the tag is missing or empty.

    Raises:
        InputError: missing (and no ``default``), or not one finite number.
    """
    if default is not None and text(tags, keyword) == "":
        return default
    return float(numbers(tags, keyword, 1)[0])


def numbers(tags: Dataset, keyword: str, count: int) -> np.ndarray:
    """The value as ``count`` finite numbers.

    Raises:
        InputError: missing, another count, or not finite.
    """
    value = tags.get(keyword)
    if value is None or text(tags, keyword) == "":
        raise InputError(f"the tag {keyword} is missing", fix="export the series again with complete headers")
    try:
        found = np.atleast_1d(np.asarray(value, dtype=float))
    except (TypeError, ValueError, OverflowError):
        found = np.array([np.nan])
    if found.shape != (count,) or not np.isfinite(found).all():
        raise InputError(
            f"the tag {keyword} is damaged",
            rule=f"{count} finite number{'s' * (count > 1)}, with a decimal point",
            seen=text(tags, keyword),
            fix="correct the tag, or export the series again",
        )
    return found
