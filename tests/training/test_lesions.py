"""Lesions of a phantom, from cohort.json to a table: looked for where they are, in every method's PET."""

import json

import numpy as np
import pytest
import torch

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.cohort import COHORT_FILE
from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from medsynth_lib.training.lesions import evaluate_lesions, lesion_mask
from tests.data.cohort_factory import affine, ct, inside, write_patient

#: In front on the left, behind on the right, and between the planes above; (x, y, z) in mm, RAS+.
LESIONS = [
    {"kind": "liver lesion", "centre_mm": [-70.0, 40.0, 10.0], "radius_mm": 14.0},
    {"kind": "sarcoma", "centre_mm": [60.0, -30.0, 20.0], "radius_mm": 16.0},
    {"kind": "lung nodule", "centre_mm": [0.0, 0.0, 90.0], "radius_mm": 10.0},
]
SUV = (9.0, 12.0, 7.0)


def pet(lesions, shape=(100, 75, 10), spacing_mm=(4.0, 4.0, 4.0)):
    """SUV 0.8 in the body, and the lesions, on the CT's grid."""
    matrix = affine(spacing_mm, shape)
    x, y, z = np.meshgrid(*(matrix[i, 3] + matrix[i, i] * np.arange(shape[i]) for i in range(3)), indexing="ij")
    values = np.where(inside(x, y), 0.8, 0.0)
    for lesion, suv in zip(lesions, SUV, strict=True):
        cx, cy, cz = lesion["centre_mm"]
        values[(x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= lesion["radius_mm"] ** 2] = suv
    return Volume(values.astype(np.float32), matrix, "PET", MODALITIES["PET"])


def write_phantom(root, lesions=LESIONS):
    seen = pet(lesions)  # another patient's, or the same scan would be trained and tested on
    write_patient(root, "P0", ct(planes=10, gap_mm=4.0, scale=0.99), seen.with_array(seen.array * np.float32(0.99)))
    write_patient(root, "P1", ct(planes=10, gap_mm=4.0), pet(lesions))
    content = {"name": "test", "license": "CC0-1.0", "synthetic": True, "modalities": ["CT", "PET"]}
    truth = {key: {"lesions": lesions} for key in ("P0", "P1")}
    (root / COHORT_FILE).write_text(json.dumps({**content, "patients": ["P0", "P1"], "phantom": {"truth": truth}}))
    return root


CONFIG = PrepareConfig(source="CT", target="PET", size=64, test=("P1",), windows={"PET": (0, 20)})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantom")
    return write_phantom(root)


@pytest.fixture(scope="module")
def store(cohort, tmp_path_factory):
    return prepare(cohort, tmp_path_factory.mktemp("store") / "store", CONFIG)


@pytest.fixture
def real(store):
    """The real PET, batch after batch, as a method that starts anew at each evaluation."""
    targets = [batch.target for batch in PairedSlices(store, "test").in_order(patient=store.split("test")[0])]
    return lambda change=lambda one: one: iter([change(one) for one in targets])


def test_masks_cover_the_lesions_and_nothing_else(store):
    patient = store.split("test")[0]
    slices = store["PET"][patient.start : patient.stop]
    hot = slices > 4
    masks = [lesion_mask(patient, store.size, lesion) for lesion in LESIONS]
    assert not masks[2].any()  # above the highest plane
    for mask, suv in zip(masks[:2], SUV, strict=False):
        assert slices[mask].max() == pytest.approx(suv)
        assert np.median(slices[mask]) > 0.9 * suv
        centre = np.argwhere(mask).mean(axis=0)
        side = (np.arange(64) < 32) == (centre[2] < 32)
        assert np.allclose(np.argwhere(hot & side).mean(axis=0), centre, atol=0.3)  # pixels
    both = masks[0] | masks[1]
    assert (hot & both).sum() / (hot | both).sum() > 0.75
    assert np.argwhere(masks[0])[:, 1].mean() < 32 < np.argwhere(masks[1])[:, 1].mean()  # in front is on top


def test_every_method_is_scored_at_the_true_places(store, cohort, real):
    whole = real()
    level = 2 * 0.8 / 20 - 1
    erased = real(lambda one: one.clamp(max=level))
    found = evaluate_lesions(
        {"real": lambda _: next(whole), "erased": lambda _: next(erased)}, store, cohort, device="cpu"
    )
    assert found.totals("real") == {"lesions": 2, "erased": 0, "hallucinated": 0}
    assert found.totals("erased") == {"lesions": 2, "erased": 2, "hallucinated": 0}
    assert found.summaries["real"]["lesion_recall"].mean == 1
    assert found.summaries["real"]["suvmax_error"].mean == 0
    assert found.summaries["erased"]["suvmax_error"].mean == pytest.approx(0.8 - np.mean(SUV[:2]), abs=1e-4)
    assert "SUVmax error [SUVbw]" in found.table()


def test_what_is_painted_in_is_counted(store, cohort, real):
    def painted(batch):
        batch = batch.clone()
        batch[:, :, 28:34, 28:34] = 0.0  # SUV 10 in the middle, on every plane
        return batch

    images = real(painted)
    found = evaluate_lesions({"painted": lambda _: next(images)}, store, cohort, device="cpu")
    assert found.totals("painted") == {"lesions": 2, "erased": 0, "hallucinated": 1}
    (spot,) = found.reports["painted"]["P1"].hallucinated
    assert spot.suv_max == pytest.approx(10, abs=1e-4)
    assert np.allclose(spot.centre[1:], 30.5, atol=0.01)


def test_what_cannot_be_scored_is_refused(store, cohort, tmp_path):
    methods = {"empty": lambda source: -torch.ones_like(source)}
    other = prepare(cohort, tmp_path / "ct", PrepareConfig(source="PET", target="CT", size=64))
    with pytest.raises(InputError, match="for synthetic PET"):
        evaluate_lesions(methods, other, cohort)
    with pytest.raises(InputError, match="has no lesions"):
        evaluate_lesions(methods, store, _without_lesions(tmp_path / "none"))
    with pytest.raises(InputError, match="does not say where its lesions"):
        evaluate_lesions(methods, store, tmp_path)


def _without_lesions(root):
    root.mkdir()
    truth = {key: {"lesions": []} for key in ("P0", "P1")}
    (root / COHORT_FILE).write_text(json.dumps({"phantom": {"truth": truth}}))
    return root
