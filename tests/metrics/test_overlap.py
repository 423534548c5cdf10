"""Overlap: a matrix counted by hand, MONAI, and what must hold of any two label maps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.overlap import confusion_matrix, dice, iou, mean_dice, mean_iou

#: Class 3 is nowhere; class 4 only in the prediction.
REFERENCE = torch.tensor([[0, 0, 0, 1], [0, 1, 1, 2]])
PREDICTED = torch.tensor([[0, 0, 4, 1], [0, 1, 2, 2]])


def random_maps(seed, classes=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, classes, (2, 3, 20, 20), generator=generator).unbind(0)


def test_by_hand():
    matrix = confusion_matrix(PREDICTED, REFERENCE, 5)
    assert matrix.tolist() == [[3, 0, 0, 0, 1], [0, 2, 1, 0, 0], [0, 0, 1, 0, 0], [0] * 5, [0] * 5]
    assert iou(matrix).tolist() == pytest.approx([3 / 4, 2 / 3, 1 / 2, math.nan, 0], nan_ok=True)
    assert dice(matrix).tolist() == pytest.approx([6 / 7, 4 / 5, 2 / 3, math.nan, 0], nan_ok=True)
    assert mean_iou(matrix).item() == pytest.approx((3 / 4 + 2 / 3 + 1 / 2) / 3)
    assert mean_iou(matrix, exclude=(0,)).item() == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert mean_dice(matrix).item() == pytest.approx((6 / 7 + 4 / 5 + 2 / 3) / 3)


def test_equals_monai():
    monai = pytest.importorskip("monai.metrics")
    predicted, reference = random_maps(0)
    hot = [torch.nn.functional.one_hot(labels, 6).movedim(-1, 1) for labels in (predicted, reference)]
    matrices = torch.stack([confusion_matrix(p, r, 6) for p, r in zip(predicted, reference, strict=True)])
    assert torch.allclose(iou(matrices), monai.compute_iou(*hot).double())
    assert torch.allclose(dice(matrices), monai.DiceMetric(reduction="none")(*hot).double())


def test_the_same_map_scores_one_and_disjoint_maps_zero():
    _, reference = random_maps(1)
    assert mean_iou(confusion_matrix(reference, reference, 6)) == 1
    assert mean_dice(confusion_matrix(reference, reference, 6)) == 1
    assert mean_iou(confusion_matrix((reference + 1) % 6, reference, 6)) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(6)))
def test_dice_follows_from_iou_and_class_numbers_are_names_only(seed, names):
    predicted, reference = random_maps(seed)
    matrix, names = confusion_matrix(predicted, reference, 6), torch.tensor(names)
    assert torch.allclose(dice(matrix), 2 * iou(matrix) / (1 + iou(matrix)))
    assert torch.allclose(iou(matrix.T), iou(matrix))
    renamed = confusion_matrix(names[predicted], names[reference], 6)
    assert torch.allclose(iou(renamed)[names], iou(matrix))


def test_matrices_of_slices_add_up_to_the_cohorts():
    predicted, reference = random_maps(2)
    parts = sum(confusion_matrix(p, r, 6) for p, r in zip(predicted, reference, strict=True))
    assert torch.equal(parts, confusion_matrix(predicted, reference, 6))


def test_an_absent_class_changes_no_mean():
    predicted, reference = random_maps(3)
    few, many = (mean_iou(confusion_matrix(predicted, reference, classes)).item() for classes in (6, 40))
    assert many == pytest.approx(few, rel=1e-14)
    empty = torch.zeros(5, 5, dtype=torch.long)
    assert torch.isnan(mean_iou(empty))


def test_only_the_mask_counts():
    predicted, reference = random_maps(4)
    mask = torch.zeros_like(reference, dtype=torch.bool)
    mask[..., :7] = True
    expected = confusion_matrix(predicted[..., :7], reference[..., :7], 6)
    assert torch.equal(confusion_matrix(predicted, reference, 6, mask), expected)


@pytest.mark.parametrize(
    ("predicted", "words"),
    [
        (PREDICTED + 1, "no class"),
        (PREDICTED - 1, "no class"),
        (PREDICTED.float(), "integers"),
        (PREDICTED[0], "different shapes"),
    ],
)
def test_what_is_no_label_map_is_refused(predicted, words):
    with pytest.raises(InputError, match=words):
        confusion_matrix(predicted, REFERENCE, 5)
