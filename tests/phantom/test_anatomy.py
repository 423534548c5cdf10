"""The anatomy: complete, closed, inside the skin, where it belongs, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medsynth_lib.data.classes import HEAD_CLASSES, TORSO_CLASSES, class_number
from medsynth_lib.phantom.anatomy import LABEL_OF, Torso
from medsynth_lib.phantom.head import Head
from medsynth_lib.phantom.lesions import Lesion
from medsynth_lib.phantom.tissues import CODE, TISSUES


def labels_of(anatomy, planes: int, size: int = 128) -> np.ndarray:
    axis = (np.arange(size) - (size - 1) / 2) * anatomy.fov_mm / size
    low, high = anatomy.extent_mm()
    heights = np.linspace(low + 2, high - 2, planes)
    return np.stack([LABEL_OF[anatomy.tissue(axis, axis, z)] for z in heights], axis=-1)


def check_closed(labels: np.ndarray) -> None:
    """No hole in the body, and nothing but skin at its border: so nothing lies outside it."""
    skin = class_number("Skin")
    for index in range(labels.shape[2]):
        body = labels[..., index] > 0
        holes = ndimage.binary_fill_holes(body) & ~body
        pieces, count = ndimage.label(holes)
        sizes = ndimage.sum_labels(holes, pieces, range(1, count + 1))
        # Between the thighs, or an arm and the neck, air may be walled in by touching skins: that is outside.
        walled_in = [ndimage.binary_dilation(pieces == k + 1) & body for k in range(count)]
        assert all((labels[..., index][rim] == skin).all() for rim in walled_in), f"hole of {max(sizes)} pixels"
        rim = body & ~ndimage.binary_erosion(body, border_value=1)
        assert (labels[..., index][rim] == skin).all()


@pytest.mark.parametrize("seed", range(4))
def test_every_torso_is_closed(seed):
    check_closed(labels_of(Torso(seed), 12))


def test_a_small_cohort_shows_all_31_classes():
    found = set()
    for seed in range(3):
        found |= set(np.unique(labels_of(Torso(seed), 40)))
    assert {TORSO_CLASSES[number] for number in found} == set(TORSO_CLASSES)


def test_every_head_is_closed_and_holds_its_classes():
    labels = labels_of(Head(0), 24)
    check_closed(labels)
    names = {HEAD_CLASSES[number] for number in np.unique(labels)}
    assert names >= {
        "Skull",
        "Grey Matter",
        "White Matter",
        "CSF",
        "Ventricles",
        "Eyes",
        "Air Spaces",
        "Vessels",
        "Skin",
    }


def test_organs_lie_where_they_do_in_a_body():
    labels = labels_of(Torso(5), 60)
    centre = {
        name: np.array(ndimage.center_of_mass(labels == class_number(name)))
        for name in ("Liver", "Spleen", "Heart", "Urinary Bladder", "Vertebrae", "Stomach", "Gallbladder", "Trachea")
    }
    middle = labels.shape[0] / 2
    assert centre["Liver"][0] > middle > centre["Spleen"][0]  # x grows to the patient's right
    assert centre["Heart"][0] < middle
    assert centre["Stomach"][0] < middle < centre["Gallbladder"][0]
    assert centre["Vertebrae"][1] < centre["Heart"][1]  # y grows to the front
    heights = [centre[name][2] for name in ("Urinary Bladder", "Gallbladder", "Liver", "Heart", "Trachea")]
    assert heights == sorted(heights)


def test_ribs_are_separate_arcs_and_the_spine_has_a_canal():
    torso = Torso(2)
    axis = (np.arange(256) - 127.5) * 500 / 256
    tissue = torso.tissue(axis, axis, 430 * torso.patient.height)
    _, ribs = ndimage.label(LABEL_OF[tissue] == class_number("Ribs"))
    assert 8 <= ribs <= 20
    canal = np.argwhere(np.isin(tissue, [CODE["cord"], CODE["spinal fluid"]]))
    spine = np.argwhere(LABEL_OF[tissue] == class_number("Vertebrae"))
    assert len(canal) > 20
    near = spine[np.abs(spine[:, 0] - canal[:, 0].mean()) < 4]
    assert near[:, 1].max() > canal[:, 1].max() + 8  # the body lies before the canal
    assert near[:, 1].min() < canal[:, 1].min() - 5  # and the spinous process behind it


def test_same_seed_same_patient_and_another_seed_another():
    axis = (np.arange(64) - 31.5) * 8
    first, again, other = (Torso(seed).tissue(axis, axis, 200.0) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_breathing_moves_the_liver_and_not_the_hips():
    torso, axis = Torso(1), (np.arange(128) - 63.5) * 4
    for z, moves in ((330, True), (-20, False)):
        height = z * torso.patient.height
        assert (torso.tissue(axis, axis, height) != torso.tissue(axis, axis, height, 15.0)).any() == moves


def test_lesions_are_where_the_truth_says():
    torso = Torso(11, lesions=3)
    assert len(torso.lesions) == 3
    for lesion in torso.lesions:
        assert isinstance(lesion, Lesion)
        x, y, z = lesion.centre_mm
        steps = np.linspace(-1.3, 1.3, 27) * lesion.radius_mm
        ball = torso.tissue(x + steps, y + steps, z) == CODE[lesion.kind]
        step_mm2 = (steps[1] - steps[0]) ** 2
        assert ball.sum() * step_mm2 == pytest.approx(np.pi * lesion.radius_mm**2, rel=0.06)


def test_table_is_complete():
    assert len({tissue.name for tissue in TISSUES}) == len(TISSUES) < 256
    assert {tissue.label for tissue in TISSUES} == set(HEAD_CLASSES)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_hundred_seeds_in_a_row():
    found = set()
    for seed in range(1000, 1100):
        labels = labels_of(Torso(seed), 24)
        check_closed(labels)
        found |= set(np.unique(labels))
    assert len(found) == 31
