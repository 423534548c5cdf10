"""Lesson 00's exercises, its planted faults, and that the former agree with the library they stand beside."""

import math
from dataclasses import replace

import numpy as np
import pytest

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import imaging_data as exercises
from medsynth_lib.data.classes import class_number
from medsynth_lib.data.dicom import find_series, read_series
from medsynth_lib.data.framing import pair_planes
from medsynth_lib.data.intensity import IntensityWindow
from medsynth_lib.data.volume import Grid, Volume
from medsynth_lib.errors import InputError
from tests.data.dicom_factory import make_series

STEM = "00_imaging_data"
NAMES = ("hu_from_stored", "suv_from_stored", "encode_window", "pair_by_position", "leaked_patients")
EXERCISES = {name: getattr(exercises, f"check_{name}") for name in NAMES}


def suv(stored, header, *, elapsed_s=None, base=2.0, grams=1000.0, slope=None, sign=-1.0):
    """SUV with one thing changed."""
    start = header.series_s - header.injected_s if header.decay_correction == "START" else 0.0
    elapsed_s = start if elapsed_s is None else elapsed_s
    left = header.dose_bq * base ** (sign * elapsed_s / header.half_life_s)
    return stored * (header.slope if slope is None else slope) * header.weight_kg * grams / left


def nearest(source, target, limit):
    distance = np.abs(np.subtract.outer(target, source))
    return [(int(row.argmin()), j) for j, row in enumerate(distance) if row.min() < limit]


def patients(names, parts=1):
    return {"/".join(name.split("/")[:parts]) for name in names}


MUTANTS = [
    ("hu_from_stored", lambda s, m, b: s * m, "forgot the intercept"),
    ("hu_from_stored", lambda s, m, b: s + b, "forgot the slope"),
    ("hu_from_stored", lambda s, m, b: (s + b) * m, "First the slope"),
    ("hu_from_stored", lambda s, m, b: s * m - b, "own minus sign"),
    ("hu_from_stored", lambda s, m, b: s * int(m) + int(b), "cannot hold -1024"),
    ("hu_from_stored", lambda s, m, b: (s * m + b).astype(np.int32).astype(np.uint16), "wraps round"),
    ("hu_from_stored", lambda s, m, b: np.clip(s * m + b, 0, None), "should be [-1024.0"),
    ("suv_from_stored", lambda s, h: suv(s, h, elapsed_s=0.0), "No decay"),
    ("suv_from_stored", lambda s, h: suv(s, h, grams=1.0), "per gram"),
    ("suv_from_stored", lambda s, h: suv(s, replace(h, series_s=h.acquired_s)), "wrong time"),
    ("suv_from_stored", lambda s, h: suv(s, h, slope=1.0), "RescaleSlope"),
    ("suv_from_stored", lambda s, h: suv(s, h, sign=1.0), "grows"),
    ("suv_from_stored", lambda s, h: suv(s, h, base=math.e), "powers of 2"),
    ("suv_from_stored", lambda s, h: suv(s, h, elapsed_s=h.series_s - h.injected_s), "correct twice"),
    ("suv_from_stored", lambda s, h: s * h.slope * h.dose_bq * 2 ** (-3600 / h.half_life_s) / 70e3, "Upside down"),
    ("suv_from_stored", lambda s, h: s * h.slope, "Expected"),
    ("encode_window", lambda v, low, high: (v - v.min()) / (v.max() - v.min()), "own minimum"),
    ("encode_window", lambda v, low, high: 2 * (v - v.min()) / (v.max() - v.min()) - 1, "own minimum"),
    ("encode_window", lambda v, low, high: (v.clip(low, high) - low) / (high - low), "stopped at [0, 1]"),
    ("encode_window", lambda v, low, high: 2 * (v - low) / (high - low) - 1, "Outside, clip"),
    ("encode_window", lambda v, low, high: 2 * v / high - 1, "not by high"),
    ("encode_window", lambda v, low, high: 2 * v / (high - low) - 1, "must become -1"),
    ("encode_window", lambda v, low, high: v / 1000, "decode(encode(v))"),
    ("pair_by_position", lambda s, t, d: list(zip(range(len(s)), range(len(t)), strict=False)), "by index"),
    ("pair_by_position", lambda s, t, d: nearest(s, t, np.inf), "Everything has a nearest"),
    ("pair_by_position", lambda s, t, d: nearest(s, t, d), "<= and not <"),
    ("pair_by_position", lambda s, t, d: [(j, i) for i, j in exercises.pair_by_position(s, t, d)], "swapped"),
    (
        "pair_by_position",
        lambda s, t, d: [(i, j) for i in range(len(s)) for j in range(len(t)) if round(s[i]) == round(t[j])],
        "rounded",
    ),
    ("pair_by_position", lambda s, t, d: [(1, 1)], "Expected pairs"),
    ("leaked_patients", lambda train, test: set(train) & set(test), "compared slices"),
    ("leaked_patients", lambda train, test: patients(train, 2) & patients(test, 2), "Two visits"),
    ("leaked_patients", lambda train, test: {n for n in test if n[:3] in {m[:3] for m in train}}, "returned slices"),
    (
        "leaked_patients",
        lambda train, test: {p for p in patients(test) if any(p.startswith(q) for q in patients(train))},
        "three people",
    ),
    ("leaked_patients", lambda train, test: len(patients(train) & patients(test)), "Say which"),
]


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status == "misconception"
    assert hint in judgement.hint


def test_references_agree_with_the_library():
    values = np.linspace(-2000, 2000, 41)
    np.testing.assert_allclose(
        exercises.encode_window(values, -160, 240), IntensityWindow(-160, 240, "HU").encode(values)
    )
    source, target = (
        Volume(np.zeros((2, 2, planes)), np.diag([1, 1, gap, 1.0]), "CT", "HU")
        for planes, gap in ((40, 3.27), (60, 2.5))
    )
    pairs = exercises.pair_by_position(source.z_mm(), target.z_mm(), 0.2)
    assert 0 < len(pairs) < 40
    np.testing.assert_allclose(pair_planes(source, target, 0.2)[2], [target.z_mm()[j] for _, j in pairs])


# --- the clinic: planes in the order of InstanceNumber, and class numbers averaged ----------------------------------


def by_instance_number(headers):
    return sorted(headers, key=lambda header: int(header.InstanceNumber))


def by_position(headers):
    return sorted(headers, key=lambda header: float(header.ImagePositionPatient[2]))


def test_instance_numbers_turn_a_volume_over_and_positions_do_not(tmp_path):
    headers = make_series()  # numbered from the head, as many scanners do
    for index, header in enumerate(headers):
        header.save_as(tmp_path / f"{index}.dcm", enforce_file_format=True)
    (series,) = find_series(tmp_path)
    right = read_series(series).array
    trusted, sorted_ = (
        np.stack([one.pixel_array for one in order(headers)]) for order in (by_instance_number, by_position)
    )
    profile = right.mean(axis=(0, 1))
    assert np.corrcoef(profile, sorted_.mean(axis=(1, 2)))[0, 1] == pytest.approx(1)
    assert np.corrcoef(profile, trusted.mean(axis=(1, 2)))[0, 1] < 0


def test_linear_interpolation_of_classes_invents_a_pancreas_and_the_library_refuses_it():
    liver, lung, pancreas = (class_number(name) for name in ("Liver", "Lung", "Pancreas"))
    array = np.full((8, 8, 2), liver, np.uint8)
    array[4:] = lung
    labels = Volume(array, np.eye(4), "LABELS", "label")
    between = np.eye(4)
    between[0, 3] = 0.5
    grid = Grid((7, 8, 2), between)
    averaged = Volume(array.astype(float), np.eye(4), "CT", "HU").resample_to(grid, order=1).array
    assert pancreas in np.rint(averaged)
    assert set(np.unique(labels.resample_to(grid, order=0).array)) == {liver, lung}
    with pytest.raises(InputError, match="order=0"):
        labels.resample_to(grid, order=1)
