"""Labels beside HU: our phantom raises no doubt, a class in the wrong place does."""

from __future__ import annotations

import numpy as np
import pytest

from medsynth_lib.data.classes import HEAD_CLASSES, class_number
from medsynth_lib.data.label_check import AIR, BONE, FEWEST, LIMITS_HU, doubts
from medsynth_lib.data.volume import Volume


def image(modality: str, array: np.ndarray) -> Volume:
    return Volume(array.astype(np.float32), np.eye(4), modality, "label" if modality == "LABELS" else "HU")


def told(name: str, hu: float, voxels: int = 1000, modality: str = "CT") -> list[str]:
    labels = np.zeros(2000)
    labels[:voxels] = class_number(name)
    values = np.where(labels > 0, hu, -1000.0)
    return doubts([image("LABELS", labels.reshape(10, 10, 20)), image(modality, values.reshape(10, 10, 20))])


@pytest.mark.parametrize(
    ("name", "hu"),
    [("Lung", -850), ("Lung", -400), ("Liver", 55), ("Liver", 110), ("Kidney", 250), ("Vertebrae", 40), ("Femur", 600),
     ("Fat", -100), ("Colon", -900), ("Stomach", 20), ("Vessels", 420)],
)  # fmt: skip
def test_what_an_organ_can_be_raises_no_doubt(name, hu):
    assert told(name, hu) == []


@pytest.mark.parametrize(("name", "hu"), [("Lung", 40), ("Liver", -850), ("Fat", 150), ("Femur", -60), ("Heart", 900)])
def test_what_it_cannot_be_is_told_with_class_and_value(name, hu):
    for modality in ("CT", "CECT"):
        (note,) = told(name, hu, modality=modality)
        assert f"{class_number(name)}, {name}" in note
        assert f"{hu} HU" in note
    assert told(name, hu, voxels=FEWEST - 1) == []


def test_without_a_ct_or_labels_there_is_nothing_to_doubt():
    assert told("Lung", 40, modality="MR") == []
    assert doubts([image("CT", np.zeros((4, 4, 4)))]) == []


def test_every_limited_class_is_one_of_the_course():
    assert set(LIMITS_HU) <= set(HEAD_CLASSES)
    assert not set(AIR) & set(BONE)
