"""What a mean over pixels cannot see: lesions that a synthetic PET lost, and hot spots that it invented.

All take SUV images as arrays of any number of axes, a single slice or a volume, with the ``spacing_mm`` of each axis.
Two standard limits say what is hot:

* SUV 2.5, the fixed threshold of many PET studies, above normal liver and blood pool (e.g. Freudenberg et al. 2004);
* 41 % of the maximum, the isocontour of the EANM guideline 2.0 (Boellaard et al. 2015), here of the *contrast*: the
  maximum above what surrounds it, so that a lesion in the liver is not found because the liver is warm.

A PET encoded with a window of SUV 0 to 5 has no lesion above 5: prepare with ``windows={"PET": (0, 20)}`` for these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsynth_lib.errors import InputError

HOT_SUV = 2.5
ISOCONTOUR = 0.41
#: Hot spots closer than this to true uptake belong to it: about the resolution (FWHM) of a clinical PET.
RESOLUTION_MM = 8.0
#: The surroundings of a lesion: from a resolution away from it, this far outwards.
SHELL_MM = 12.0
#: Smaller hot spots are noise: about a ball of one resolution across.
SMALLEST_ML = 0.3


@dataclass(frozen=True)
class Spot:
    """A region of uptake: its highest SUV, its contrast (that minus the median of its surroundings), place and size.

    ``centre`` is in pixels, ``volume_ml`` in mL where there are three axes and the area in cm² where there are two.
    """

    suv_max: float
    contrast: float
    centre: tuple[float, ...]
    volume_ml: float


@dataclass(frozen=True)
class LesionScore:
    """One true lesion: what the real and the synthetic PET show at its place."""

    real: Spot
    fake: Spot

    @property
    def visible(self) -> bool:
        """Whether the real PET shows it: hotter than SUV 2.5. What is not there cannot be lost."""
        return self.real.suv_max >= HOT_SUV

    @property
    def found(self) -> bool:
        """Whether the synthetic PET shows it too: above SUV 2.5, and 41 % of its real contrast."""
        return self.fake.suv_max >= HOT_SUV and self.fake.contrast >= ISOCONTOUR * self.real.contrast

    @property
    def suv_max_error(self) -> float:
        """SUVmax of the synthetic minus that of the real PET: negative where uptake was lost."""
        return self.fake.suv_max - self.real.suv_max


@dataclass(frozen=True)
class LesionReport:
    """A synthetic PET against the real one: every true lesion, and the hot spots that the real one does not have."""

    lesions: tuple[LesionScore, ...]
    hallucinated: tuple[Spot, ...]

    @property
    def visible(self) -> int:
        return sum(one.visible for one in self.lesions)

    @property
    def erased(self) -> int:
        """Lesions that the real PET shows and the synthetic one does not."""
        return sum(one.visible and not one.found for one in self.lesions)

    def record(self) -> dict[str, float]:
        """The report as a record for ``metrics.report``: NaN where there is no visible lesion to find.

        ``lesion_recall``, ``suvmax_error`` (mean over visible lesions, signed), ``suvmax_mae`` (of its size), the
        counts ``lesions``, ``erased`` and ``hallucinated``.
        """
        errors = [one.suv_max_error for one in self.lesions if one.visible]
        return {
            "lesion_recall": 1 - self.erased / self.visible if errors else math.nan,
            "suvmax_error": float(np.mean(errors)) if errors else math.nan,
            "suvmax_mae": float(np.mean(np.abs(errors))) if errors else math.nan,
            "lesions": float(self.visible),
            "erased": float(self.erased),
            "hallucinated": float(len(self.hallucinated)),
        }


def compare_lesions(
    fake_suv: np.ndarray, real_suv: np.ndarray, lesions: Sequence[np.ndarray], spacing_mm: Sequence[float]
) -> LesionReport:
    """Every lesion of ``lesions`` in both images, and the hot spots of ``fake_suv`` that ``real_suv`` has not.

    :param fake_suv: SUV, any number of axes.
    :param real_suv: the same shape.
    :param lesions: one bool mask per true lesion, the same shape; ``hot_spots(real_suv, spacing_mm)`` gives candidates
        for scans without known lesions. A mask without pixels (a lesion between two planes) is left out.
    :param spacing_mm: of each axis.
    :raises InputError: if shapes differ, or a pixel is not finite.
    """
    _check(fake_suv, real_suv, *lesions, spacing_mm=spacing_mm)
    scores = [
        LesionScore(real=_spot(real_suv, mask, spacing_mm), fake=_spot(fake_suv, mask, spacing_mm))
        for mask in lesions
        if mask.any()
    ]
    return LesionReport(tuple(scores), hallucinated(fake_suv, real_suv, spacing_mm))


def hallucinated(fake_suv: np.ndarray, real_suv: np.ndarray, spacing_mm: Sequence[float]) -> tuple[Spot, ...]:
    """Hot spots of ``fake_suv`` that ``real_suv`` does not explain, hottest first.

    A hot spot is a connected region of ``fake_suv`` ≥ 2.5, farther than ``RESOLUTION_MM`` from every pixel of
    ``real_suv`` ≥ 2.5 and at least ``SMALLEST_ML`` large. It is explained if the real image has 41 % of its contrast at
    its place: a liver of 2.6 where the real one is of 2.4 is no invention.
    """
    _check(fake_suv, real_suv, spacing_mm=spacing_mm)
    hot = real_suv >= HOT_SUV
    far = ndimage.distance_transform_edt(~hot, sampling=spacing_mm) > RESOLUTION_MM if hot.any() else ~hot
    found = []
    for mask in hot_spots(np.where(far, fake_suv, 0), spacing_mm):
        fake = _spot(fake_suv, mask, spacing_mm)
        if _spot(real_suv, mask, spacing_mm).contrast < ISOCONTOUR * fake.contrast:
            found.append(fake)
    return tuple(sorted(found, key=lambda spot: -spot.suv_max))


def hot_spots(suv: np.ndarray, spacing_mm: Sequence[float], threshold: float = HOT_SUV) -> list[np.ndarray]:
    """Bool masks of the connected regions (diagonals included) of ``suv`` ≥ ``threshold`` and ≥ ``SMALLEST_ML``.

    Of a real PET these are lesions and normal uptake alike: bladder, kidneys and brain are hotter than most tumours.
    A slice has areas: there the limit is that of the same ball's section.
    """
    labelled, count = ndimage.label(suv >= threshold, np.ones((3,) * suv.ndim))
    sizes = np.bincount(labelled.ravel(), minlength=count + 1)[1:] * _pixel(spacing_mm)
    return [labelled == index for index, size in enumerate(sizes, start=1) if size >= _smallest(suv.ndim)]


def _spot(suv: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float]) -> Spot:
    reach = RESOLUTION_MM + SHELL_MM
    box = tuple(
        slice(max(0, int(places.min() - reach // mm - 1)), int(places.max() + reach // mm + 2))
        for places, mm in zip(np.nonzero(mask), spacing_mm, strict=True)
    )
    inside, values = mask[box], suv[box]
    distance = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    shell = (distance > RESOLUTION_MM) & (distance <= reach)
    highest = float(values[inside].max())
    around = float(np.median(values[shell])) if shell.any() else 0.0
    centre = tuple(float(place.mean()) for place in np.nonzero(mask))
    return Spot(highest, highest - around, centre, float(mask.sum() * _pixel(spacing_mm)))


def _pixel(spacing_mm: Sequence[float]) -> float:
    """Of three axes in mL, of two in cm²."""
    return math.prod(mm / 10 for mm in spacing_mm)


def _smallest(axes: int) -> float:
    radius_cm = (SMALLEST_ML * 3 / (4 * math.pi)) ** (1 / 3)
    return SMALLEST_ML if axes == 3 else math.pi * radius_cm**2


def _check(*images: np.ndarray, spacing_mm: Sequence[float]) -> None:
    shapes = {image.shape for image in images}
    if len(shapes) > 1 or any(len(shape) != len(spacing_mm) or len(shape) not in (2, 3) for shape in shapes):
        rule = "one shape of two or three axes, and a spacing for each"
        raise InputError("images and lesions do not fit", rule=rule, seen=f"{sorted(shapes)}, {tuple(spacing_mm)} mm")
    if not all(np.isfinite(image).all() for image in images):
        raise InputError("a pixel is NaN or infinite", rule="every pixel finite")
