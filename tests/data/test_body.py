"""The body mask: the patient and all of the patient, not the table, not a cable."""

import numpy as np
import pytest
from scipy import ndimage

from medsynth_lib.data.body import ARTEFACT_LEVEL_HU, body_level, body_mask
from medsynth_lib.data.volume import Volume
from tests.data.cohort_factory import TABLE_Y_MM, affine, ct, inside, pet, plane_mm


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Dice coefficient."""
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("spacing_mm", [1.5, 2.0, 4.0])
def test_the_ellipse_with_its_lungs_and_without_its_table(spacing_mm):
    volume = ct(planes=1, spacing_mm=spacing_mm)
    x, y = plane_mm(volume.shape, volume.affine)
    mask = body_mask(volume)[:, :, 0]
    assert overlap(mask, inside(x, y)) > 0.995
    assert not mask[y < TABLE_Y_MM + 4].any()


def test_a_table_that_touches_the_back_is_cut_loose():
    volume = ct(planes=1, spacing_mm=2.0)
    x, y = plane_mm(volume.shape, volume.affine)
    volume.array[(abs(x) < 180) & (abs(y + 91) <= 2)] = 300.0  # overlaps the lowest point of the body
    mask = body_mask(volume)[:, :, 0]
    assert overlap(mask, inside(x, y)) > 0.98
    assert not mask[(abs(x) > 60) & (y < -89)].any()


def test_a_cable_and_a_spot_of_metal_in_air_are_no_patient():
    volume = ct(planes=1, spacing_mm=2.0)
    x, y = plane_mm(volume.shape, volume.affine)
    volume.array[np.hypot(x - 170, y - 100) < 3] = 3000.0
    volume.array[(abs(x + 170) < 1.5) & (abs(y) < 60)] = 1000.0
    mask = body_mask(volume)[:, :, 0]
    assert not mask[abs(x) > 140].any()


def test_two_legs_are_both_patient():
    shape = (100, 80, 1)
    matrix = affine((4.0, 4.0, 5.0), shape)
    x, y = plane_mm(shape, matrix)
    legs = np.hypot(abs(x) - 90, y) < 70
    volume = Volume(np.where(legs, 50.0, -1000.0)[:, :, None].astype(np.float32), matrix, "CT", "HU")
    assert overlap(body_mask(volume)[:, :, 0], legs) == 1
    assert ndimage.label(body_mask(volume)[:, :, 0])[1] == 2


def test_planes_are_judged_one_by_one():
    volume = ct(planes=3)
    volume.array[:, :, 1] = -1000.0
    assert body_mask(volume).any(axis=(0, 1)).tolist() == [True, False, True]


def test_pet_of_the_same_patient_gives_the_same_outline():
    volume = pet(planes=1, spacing_mm=4.0)
    x, y = plane_mm(volume.shape, volume.affine)
    mask = body_mask(volume)[:, :, 0]
    assert overlap(mask, inside(x, y)) > 0.99


def test_mr_outline_does_not_depend_on_its_scale():
    rng = np.random.default_rng(0)
    shape = (64, 64, 1)
    matrix = affine((4.0, 4.0, 4.0), shape)
    body = inside(*plane_mm(shape, matrix), 0.8)
    tissue, noise = rng.gamma(4, 0.2, shape[:2]) + 0.2, np.abs(rng.normal(0, 0.03, shape[:2]))
    image = np.where(body, tissue, noise)[:, :, None].astype(np.float32)
    small, large = (Volume(scale * image, matrix, "MR", "a.u.") for scale in (1, 1000))
    assert body_level(large) == pytest.approx(1000 * body_level(small), rel=1e-4)
    for volume in (small, large):
        assert overlap(body_mask(volume)[:, :, 0], body) > 0.99


def test_ct_level_is_grey_45_of_the_thesis():
    assert pytest.approx(-647, abs=0.1) == ARTEFACT_LEVEL_HU
    assert body_level(ct(planes=1)) == ARTEFACT_LEVEL_HU
