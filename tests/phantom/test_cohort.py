"""Cohorts: same seed, same bytes; read back by our readers; paired as asked; refused with one message."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.classes import class_number
from medsynth_lib.data.cohort import discover
from medsynth_lib.data.label_check import doubts
from medsynth_lib.errors import InputError
from medsynth_lib.phantom.cohort import default_cohort, make_cohort

SMALL = {"patients": 1, "size": 64, "slices": 12}


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = b"".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("format", ["nifti", "dicom"])
def test_same_seed_same_bytes(tmp_path, format):
    first, again, other = (
        make_cohort(tmp_path / name, seed=seed, format=format, **SMALL) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert digest(first) == digest(again) != digest(other)


def test_many_processes_make_the_same_bytes(tmp_path):
    one = make_cohort(tmp_path / "one", patients=2, size=32, slices=3)
    two = make_cohort(tmp_path / "two", patients=2, size=32, slices=3, workers=2)
    assert digest(one) == digest(two)


def test_our_reader_finds_every_image(tmp_path):
    cohort = discover(make_cohort(tmp_path / "c", patients=2, size=64, slices=4))
    assert cohort.synthetic
    assert not cohort.skipped
    for patient in cohort.patients:
        assert set(patient.modalities) == set(MODALITIES)
        ct, labels = patient.modalities["CT"].read(), patient.modalities["LABELS"].read()
        assert ct.array[labels.array == class_number("Fat")].mean() < 0
    assert len(cohort.pairs("PET", "CT")) == 2


def test_truth_lists_the_patient_and_the_lesions(tmp_path):
    out = make_cohort(tmp_path / "c", lesions=2, **SMALL)
    (truth,) = json.loads((out / "cohort.json").read_text())["phantom"]["truth"].values()
    assert len(truth["lesions"]) == 2
    assert truth["sex"] in "MF"


def test_breathing_moves_images_apart_and_exact_does_not(tmp_path):
    apart = []
    for pairing in ("exact", "breathing"):
        out = make_cohort(tmp_path / pairing, pairing=pairing, patients=1, size=64, slices=100, modalities=("CT", "MR"))
        images = discover(out).patients[0].modalities
        lung = [images["CT"].read().array < -500, images["MR"].read().array < 250]
        chest = slice(50, 75)  # the planes about the dome
        air = [ndimage.binary_opening(one[20:44, 20:44, chest], iterations=2).sum() for one in lung]
        apart.append(abs(air[0] / air[1] - 1))
    assert apart[1] > apart[0] + 0.03


def test_unpaired_patients_have_one_image_each(tmp_path):
    cohort = discover(make_cohort(tmp_path / "c", pairing="unpaired", patients=2, size=32, slices=3))
    assert len(cohort.patients) == 8
    assert all(len(set(patient.modalities) - {"LABELS"}) == 1 for patient in cohort.patients)
    with pytest.raises(InputError):
        cohort.pairs("PET", "CT")


def test_a_head_has_a_brain_that_takes_up_glucose(tmp_path):
    out = make_cohort(tmp_path / "c", region="head", patients=1, size=128, slices=20)
    images = {word: source.read() for word, source in discover(out).patients[0].modalities.items()}
    on_pet = images["LABELS"].array[::2, ::2]
    pet = images["PET"].array
    assert pet[on_pet == class_number("Grey Matter")].mean() > 2 * pet[on_pet == class_number("Fat")].mean()
    assert images["MR"].array[images["LABELS"].array == class_number("White Matter")].mean() > (
        images["MR"].array[images["LABELS"].array == class_number("Ventricles")].mean()
    )


@pytest.mark.parametrize("region", ["torso", "head"])
def test_its_labels_are_what_its_ct_and_contrast_ct_show(tmp_path, region):
    out = make_cohort(tmp_path / "c", region=region, patients=2, size=128, slices=16)
    for patient in discover(out).patients:
        images = {word: source.read() for word, source in patient.modalities.items()}
        assert [doubts([images["LABELS"], images[word]]) for word in ("CT", "CECT")] == [[], []]


@pytest.mark.parametrize(
    "wrong",
    [
        {"patients": 0}, {"size": 30}, {"size": 4096}, {"region": "leg"}, {"format": "png"}, {"pairing": "loose"},
        {"modalities": ("CT", "US")}, {"slices": 0}, {"lesions": -1}, {"region": "head", "pairing": "breathing"},
        {"spacing_mm": 0.0}, {"workers": 0}, {"seed": -1},
    ],
)  # fmt: skip
def test_wrong_settings_are_one_clear_message_and_leave_nothing(tmp_path, wrong):
    with pytest.raises(InputError):
        make_cohort(tmp_path / "c", **wrong)
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        make_cohort(tmp_path, **SMALL)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_default_cohort_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSYNTH_CACHE", str(tmp_path))
    first = default_cohort(profile="smoke")
    made = (first / "cohort.json").stat().st_mtime_ns
    assert default_cohort(profile="smoke") == first
    assert (first / "cohort.json").stat().st_mtime_ns == made
    with pytest.raises(InputError, match="profile"):
        default_cohort(profile="huge")


def test_voxels_of_all_images_lie_in_one_space(tmp_path):
    images = discover(make_cohort(tmp_path / "c", **SMALL)).patients[0].modalities
    ct, pet = images["CT"].read(), images["PET"].read()
    np.testing.assert_allclose(ct.z_mm(), pet.z_mm(), atol=1e-3)
    edges = [v.affine[:2, 3] - np.array(v.spacing_mm[:2]) / 2 for v in (ct, pet)]
    np.testing.assert_allclose(edges[0], edges[1], atol=1e-3)
