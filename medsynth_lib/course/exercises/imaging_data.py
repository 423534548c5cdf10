"""Exercises of lesson 00: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.data.intensity import IntensityWindow

Pairs = list[tuple[int, int]]


# --- E1: from stored integers to Hounsfield units -------------------------------------------------------------------


def hu_from_stored(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``HU = RescaleSlope · stored + RescaleIntercept``, as floats (DICOM PS3.3 C.11.1.1.2)."""
    return stored.astype(float) * slope + intercept


def check_hu_from_stored(attempt: Callable[[np.ndarray, float, float], np.ndarray]) -> None:
    """A scanner with slope 1 and one with slope 2, both storing unsigned 16-bit integers."""
    stored, slope, intercept = np.array([0, 12, 512, 1512], np.uint16), 2.0, -1024.0
    try:
        found = np.asarray(attempt(stored, slope, intercept))
    except OverflowError as error:
        raise Misconception(
            "Stored values are unsigned 16-bit integers, which cannot hold -1024: turn them into floats first."
        ) from error
    known = {
        "You forgot the intercept: without it, air is 0 and water 1024.": stored * slope,
        "You forgot the slope: it is 1 on most CT scanners, but not on all.": stored + intercept,
        "First the slope, then the intercept: the intercept is already in HU.": (stored + intercept) * slope,
        "The intercept is added; it brings its own minus sign.": stored * slope - intercept,
        "You stayed in unsigned 16-bit integers, where -1024 wraps round to 64512: turn stored values into floats "
        "first.": (stored * np.uint16(slope) + np.int32(intercept)).astype(np.uint16),
    }
    for hint, value in known.items():
        if found.shape == stored.shape and np.allclose(found, value):
            raise Misconception(hint)
    expected = [-1024.0, -1000.0, 0.0, 2000.0]
    assert np.allclose(found, expected), f"Stored {stored.tolist()} should be {expected} HU, not {found.tolist()}."


# --- E2: from stored integers to SUV --------------------------------------------------------------------------------


@dataclass(frozen=True)
class PetHeader:
    """What SUV needs from a PET header; times in seconds after midnight, the slope is this plane's own."""

    slope: float
    dose_bq: float
    weight_kg: float
    half_life_s: float
    injected_s: float
    series_s: float
    acquired_s: float
    decay_correction: str


def suv_from_stored(stored: np.ndarray, header: PetHeader) -> np.ndarray:
    """``SUV = C · W / (A · 2^(−Δt/T½))``, Δt from injection to series start (START) or 0 (ADMIN); see ``data.suv``."""
    activity = stored * header.slope
    elapsed_s = header.series_s - header.injected_s if header.decay_correction == "START" else 0.0
    dose_left_bq = header.dose_bq * 2 ** (-elapsed_s / header.half_life_s)
    return activity * header.weight_kg * 1000 / dose_left_bq


#: Two hours after midnight 70 kg get 370 MBq; the scan starts after an hour, and reaches this plane 20 minutes later.
EXAMPLE = PetHeader(0.5, 370e6, 70.0, 6586.2, 7200.0, 10800.0, 12000.0, "START")


def check_suv_from_stored(attempt: Callable[[np.ndarray, PetHeader], np.ndarray]) -> None:
    """One plane of a whole-body scan, decay-corrected to the start of the series; then one corrected to injection."""
    stored = np.array([0.0, 1000.0, 20000.0])
    found = np.asarray(attempt(stored, EXAMPLE))
    right = suv_from_stored(stored, EXAMPLE)
    left = 2 ** (-3600 / EXAMPLE.half_life_s)
    known = {
        "No decay: an hour after the injection only two thirds of the dose are left, so your SUV are too low.": (
            suv_from_stored(stored, replace(EXAMPLE, decay_correction="ADMIN"))
        ),
        "SUV is per gram: the weight is in kg, so yours are 1000 times too small.": right / 1000,
        "Decayed to the wrong time: this plane was acquired 20 minutes later, but START means that the scanner has "
        "already corrected its voxels back to the start of the series.": (
            suv_from_stored(stored, replace(EXAMPLE, series_s=EXAMPLE.acquired_s))
        ),
        "You forgot this plane's RescaleSlope: stored integers are not Bq/mL.": right / EXAMPLE.slope,
        "The dose grows in your formula: less is left after an hour, so the exponent is negative.": right * left**2,
        "Half-life goes with powers of 2: exp(-t / T) would need the mean life T = half-life / ln 2.": (
            right * left / np.exp(-3600 / EXAMPLE.half_life_s)
        ),
        "Upside down: SUV is activity divided by (dose / weight).": stored * EXAMPLE.slope * EXAMPLE.dose_bq * left
        / 70_000,
    }  # fmt: skip
    for hint, value in known.items():
        if found.shape == stored.shape and np.allclose(found, value, rtol=1e-4):
            raise Misconception(hint)
    assert np.allclose(found, right, rtol=1e-6), f"Expected {right.round(3).tolist()}, not {found.tolist()}."
    to_injection = replace(EXAMPLE, decay_correction="ADMIN")
    if not np.allclose(attempt(stored, to_injection), suv_from_stored(stored, to_injection), rtol=1e-6):
        raise Misconception(
            "Right for START. With ADMIN the scanner has already corrected the voxels back to the injection: compare "
            "them with the whole dose, or you correct twice."
        )


# --- E3: a window onto [-1, 1] --------------------------------------------------------------------------------------


def encode_window(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """``2 (clip(v, low, high) − low) / (high − low) − 1``: physical units → [-1, 1]."""
    return 2 * (np.clip(values, low, high) - low) / (high - low) - 1


def check_encode_window(attempt: Callable[[np.ndarray, float, float], np.ndarray]) -> None:
    """Inside the window the library's ``decode`` must give the values back; outside they must stop at its ends."""
    inside, low, high = np.array([-160.0, -60.0, 40.0, 200.0]), -160.0, 240.0
    found = np.asarray(attempt(inside, low, high))
    right = encode_window(inside, low, high)
    scaled = (inside - inside.min()) / np.ptp(inside)
    known = {
        "You used the image's own minimum and maximum: then the same HU gets another number in every image. Use low "
        "and high.": (scaled, 2 * scaled - 1),
        "You stopped at [0, 1]: the networks of this course work in [-1, 1].": ((right + 1) / 2,),
        "Divide by the width (high - low), not by high: a window need not start at 0.": (2 * inside / high - 1,),
        "low must become -1: subtract it before you scale.": (2 * inside / (high - low) - 1,),
    }
    for hint, values in known.items():
        if any(found.shape == inside.shape and np.allclose(found, value) for value in values):
            raise Misconception(hint)
    back = IntensityWindow(low, high, "HU").decode(found)
    assert np.allclose(back, inside), f"decode(encode(v)) should be {inside.tolist()}, not {np.round(back, 1).tolist()}"
    outside = np.asarray(attempt(np.array([-1000.0, 1500.0]), low, high))
    if not np.allclose(outside, [-1, 1]):
        raise Misconception("Inside the window it is right. Outside, clip: networks end in tanh and reach ±1 only.")


# --- E4: pairs of planes by position --------------------------------------------------------------------------------


def pair_by_position(source_mm: Sequence[float], target_mm: Sequence[float], tolerance_mm: float) -> Pairs:
    """``(source index, target index)`` for each target plane whose nearest source plane is at most the tolerance away.

    001 §4 calls planes up to 0.2 mm apart a pair.
    """
    distance = np.abs(np.subtract.outer(np.asarray(target_mm, float), np.asarray(source_mm, float)))
    nearest = distance.argmin(axis=1)
    return [(int(i), j) for j, i in enumerate(nearest) if distance[j, i] <= tolerance_mm]


def check_pair_by_position(attempt: Callable[[Sequence[float], Sequence[float], float], Pairs]) -> None:
    """Planes 3.25 mm apart, feet first, against planes 2.5 mm apart, head first, as another scanner may number them."""
    source, target, tolerance = np.arange(6) * 3.25, 13.25 - np.arange(7) * 2.5, 0.25
    found = {(int(i), int(j)) for i, j in attempt(source, target, tolerance)}
    right = {(4, 0), (1, 4)}
    distance = np.abs(source[:, None] - target[None, :])
    known = {
        "You paired by index: plane 3 of one scan is elsewhere than plane 3 of the other.": (
            {(i, i) for i in range(6)},
            {(i, 5 - i) for i in range(6)},
            {(i, 6 - i) for i in range(6)},
        ),
        "Everything has a nearest plane, even far away: keep only those within the tolerance.": (
            {(int(distance[:, j].argmin()), j) for j in range(7)},
        ),
        "'At most' includes planes exactly the tolerance apart: <= and not <.": ({(1, 4)},),
        "Two of your numbers are swapped: the index of the source plane comes first.": ({(0, 4), (4, 1)},),
        "You rounded positions to whole mm: the tolerance is an argument.": (
            {(i, j) for i in range(6) for j in range(7) if round(source[i]) == round(target[j])},
        ),
    }
    for hint, values in known.items():
        if found in values:
            raise Misconception(hint)
    assert found == right, f"Expected pairs {sorted(right)} (source, target), not {sorted(found)}."


# --- E5: find the leak ----------------------------------------------------------------------------------------------


def leaked_patients(train: Iterable[str], test: Iterable[str]) -> set[str]:
    """The patients with a slice in both parts; names are ``<patient>/<visit>/<slice>``."""
    return {name.split("/")[0] for name in train} & {name.split("/")[0] for name in test}


def check_leaked_patients(attempt: Callable[[list[str], list[str]], Iterable[str]]) -> None:
    """One patient whose slices are in both parts, one whose second visit is, and two whose names begin alike."""
    train = ["P-1/visit-1/0007", "P-1/visit-1/0008", "P-2/visit-1/0001", "P-12/visit-1/0007", "P-30/visit-2/0004"]
    test = ["P-2/visit-1/0002", "P-30/visit-3/0004", "P-123/visit-1/0001", "P-44/visit-1/0007"]
    found = attempt(list(train), list(test))
    assert not isinstance(found, (bool, int, str)), "Say which patients: a set of names, as {'P-2'}."
    found, right = set(found), {"P-2", "P-30"}
    if found == set():
        raise Misconception(
            "You compared slices, and no slice is in both parts. Its neighbour is, and that is nearly the same image."
        )
    if found in ({"P-2/visit-1"}, {"P-2"}):
        raise Misconception("Two visits are one patient: P-30 came twice, and its anatomy is known from training.")
    if {name for name in found if name.count("/") == 2}:
        raise Misconception("You returned slices: a leak is a patient, so that it can be moved as a whole.")
    if found > right:
        raise Misconception("P-1, P-12 and P-123 are three people: compare whole names, not how they begin.")
    assert found == right, f"Expected {sorted(right)}, not {sorted(found)}."
