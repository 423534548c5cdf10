"""Label maps on their way to a batch: only ever the class numbers that were there, at the nearest voxel."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medsynth_lib.data.datasets import Augmentation, PairedSlices, UnpairedSlices, class_numbers
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.data.slices import BODY
from medsynth_lib.errors import InputError
from tests.data.cohort_factory import BODY_MM, LUNG_AT_MM, ct, inside, pet, plane_mm, write_patient

LUNG, LIVER, FAT = 8, 4, 29
CONFIG = PrepareConfig(source="LABELS", target="CT", size=64, test=0.0)


def labels(scale: float = 1.0, spacing_mm: float = 3.0):
    """Fat around liver and two lungs: numbers far apart, whose means would be other organs."""
    volume = ct(scale=scale, spacing_mm=spacing_mm)
    x, y = plane_mm(volume.shape, volume.affine)
    plane = np.zeros(volume.shape[:2], np.uint8)
    plane[inside(x, y, scale)] = FAT
    plane[inside(x, y, 0.85 * scale)] = LIVER
    plane[np.hypot(abs(x) - LUNG_AT_MM, y) <= 30] = LUNG
    array = np.repeat(plane[:, :, None], volume.shape[2], axis=2)
    return replace(volume, array=array, modality="LABELS", unit="label")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("labels")
    for index, scale in enumerate((1.0, 0.95, 0.9)):
        write_patient(root, f"P{index}", labels(scale), ct(scale=scale), pet(scale=scale))
    return root


@pytest.fixture(scope="module")
def store(cohort, tmp_path_factory):
    return prepare(cohort, tmp_path_factory.mktemp("store") / "store", CONFIG)


def test_prepared_labels_are_the_ones_that_were_there(store):
    assert set(np.unique(store["LABELS"][:])) == {0, LUNG, LIVER, FAT}
    lung = store["LABELS"][:] == LUNG
    assert lung.any()
    assert (store["CT"][:][lung] < -300).mean() > 0.95  # on the same pixels as the image
    assert ((store["LABELS"][:] > 0) ^ store[BODY][:]).mean() < 0.01  # but for a rim of mixed pixels


def test_a_batch_gives_class_numbers_back_exactly(store):
    batch = next(PairedSlices(store).in_order(len(store)))
    assert batch.source.min() >= -1
    assert batch.source.max() <= 1
    assert np.array_equal(class_numbers(batch.source)[:, 0].numpy(), store["LABELS"][:])


def test_all_class_numbers_survive_the_encoding(store):
    window = store.window("LABELS")
    every = torch.arange(38.0)[None, None]
    assert torch.equal(class_numbers(window.encode(every)), every.to(torch.uint8))


def test_augmentation_invents_no_class(store):
    data = PairedSlices(store, augmentation=Augmentation(rotation_deg=40, zoom=0.3, source_gain=0.5))
    shown = torch.cat([class_numbers(data.batch(step, 6).source) for step in range(6)])
    assert set(shown.unique().tolist()) == {0, LUNG, LIVER, FAT}
    encoded = torch.cat([data.batch(step, 6).source for step in range(6)])
    exact = store.window("LABELS").encode(shown.float())
    torch.testing.assert_close(encoded, exact, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [PairedSlices, UnpairedSlices])
def test_labels_beside_a_pair_move_with_the_target(cohort, tmp_path, kind):
    config = PrepareConfig(source="PET", target="CT", size=64, test=0.0, also=("LABELS",))
    store = prepare(cohort, tmp_path / "store", config)
    assert store.modalities == ("PET", "CT", "LABELS")
    data = kind(store, augmentation=Augmentation(rotation_deg=40, zoom=0.2))
    for step in range(4):
        batch = data.batch(step, 6)
        assert batch.labels.dtype == torch.uint8
        lung = batch.labels == LUNG
        assert lung.any()
        assert (batch.target[lung] < -0.3).float().mean() > 0.9  # −800 HU is −0.8; borders are mixed
        assert (batch.target[batch.labels == LIVER] > -0.3).float().mean() > 0.9


def test_numbers_that_are_no_class_are_told(tmp_path):
    strange = labels()
    strange.array[strange.array == LIVER] = 90
    write_patient(tmp_path / "cohort", "P0", strange, ct())
    with pytest.raises(InputError, match=r"90|no patient could be prepared"):
        prepare(tmp_path / "cohort", tmp_path / "store", CONFIG)


def test_a_patient_without_the_further_modality_is_skipped(cohort, tmp_path):
    for key in ("P0", "P1"):
        write_patient(tmp_path / "cohort", key, ct(), pet(), *([labels()] if key == "P1" else []))
    config = PrepareConfig(size=64, test=0.0, also=("LABELS",))
    store = prepare(tmp_path / "cohort", tmp_path / "store", config)
    assert [patient.key for patient in store.patients] == ["P1"]
    assert dict(store.skipped) == {"P0": "no LABELS that belongs to the PET"}


@pytest.mark.parametrize(
    "changes", [{"also": ("CT",)}, {"also": ("BONE",)}, {"windows": {"LABELS": (0, 5)}},
                {"also": ("PET",), "pairing": "position"}]
)  # fmt: skip
def test_impossible_settings_are_told(changes):
    with pytest.raises(InputError):
        replace(CONFIG, **changes)


def test_outside_the_source_s_field_of_view_nothing_is_asked_or_scored(tmp_path):
    """An MR that shows the right half of the patient: the CT's other half is air, and no body."""
    source = pet()
    half = source.shape[0] // 2
    matrix = source.affine.copy()
    matrix[0, 3] += half * source.spacing_mm[0]
    mr = replace(source, array=source.array[half:], affine=matrix, modality="MR", unit="a.u.")
    write_patient(tmp_path / "cohort", "P0", ct(), mr)
    config = PrepareConfig(source="MR", target="CT", size=64, fov_mm=2 * BODY_MM[0] + 40, test=0.0)
    store = prepare(tmp_path / "cohort", tmp_path / "store", config)
    body, image = store[BODY][:], store["CT"][:]
    assert image[~body].max() == -1000
    spacing = store.patients[0].spacing_mm[0]
    seen_mm = body.any(axis=(0, 1)).sum() * spacing
    assert seen_mm == pytest.approx(BODY_MM[0], abs=2 * spacing + source.spacing_mm[0])
