"""Class weights by hand, the loss against a loop over pixels in float64, and what balancing means."""

import math

import numpy as np
import pytest
import torch

from medsynth_lib.errors import InputError
from medsynth_lib.losses.segmentation import balanced_cross_entropy, class_counts, class_weights

#: Two maps of 2 x 4 pixels: class 0 has 10 pixels of the 16, class 1 has 5, class 2 none, class 3 one.
LABELS = torch.tensor([[[0, 0, 0, 0], [0, 0, 1, 1]], [[0, 1, 0, 3], [1, 0, 0, 1]]])


def test_weights_by_hand():
    """E_m[count] is 5, 2.5, 0 and 0.5 pixels an image; H·W is 8."""
    assert class_counts(LABELS, 4).tolist() == [10, 5, 0, 1]
    torch.testing.assert_close(class_weights(LABELS, 4), torch.tensor([8 / 5, 8 / 2.5, 0, 8 / 0.5]))


def test_equals_equation_3_3_pixel_by_pixel():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (2, 5, 2, 4))
    alpha = {0: 8 / 5, 1: 8 / 2.5, 3: 8 / 0.5}
    total = 0.0
    for image, row, column in np.ndindex(2, 2, 4):
        label = int(LABELS[image, row, column])
        scores = [math.exp(value) for value in logits[image, :, row, column]]
        total -= alpha[label] * math.log(scores[label] / sum(scores)) / 2  # the mean over the two maps
    found = balanced_cross_entropy(torch.from_numpy(logits), LABELS)
    assert found.item() == pytest.approx(total / (8 * 3), rel=1e-6)  # P: 8 pixels, 3 classes in the batch


def test_pixel_weights_average_to_one():
    """B·H·W / (n_present·count_c): knowing nothing costs log K, however unequal the classes."""
    for classes in (4, 38):
        assert balanced_cross_entropy(torch.zeros(2, classes, 2, 4), LABELS).item() == pytest.approx(math.log(classes))


def test_a_class_of_one_pixel_pulls_as_hard_as_one_of_many():
    logits = torch.zeros(2, 4, 2, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(balanced_cross_entropy(logits, LABELS), logits)
    pull = [gradient[:, c][c == LABELS].abs().sum().item() for c in (0, 1, 3)]
    assert pull == pytest.approx([pull[0]] * 3, rel=1e-6)


def test_gradient_is_exact():
    logits = torch.randn(2, 5, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: balanced_cross_entropy(x, LABELS), logits)


def test_the_extra_class_is_never_right_but_takes_part_in_the_softmax():
    logits = torch.zeros(2, 5, 2, 4)
    logits[:, 4] = 20.0
    assert balanced_cross_entropy(logits, LABELS).item() == pytest.approx(20.0, abs=1e-3)


def test_half_precision_logits_are_computed_in_float32():
    logits = torch.randn(2, 5, 2, 4, generator=torch.Generator().manual_seed(2)).bfloat16()
    assert balanced_cross_entropy(logits, LABELS) == balanced_cross_entropy(logits.float(), LABELS)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="do not fit"):
        balanced_cross_entropy(torch.zeros(2, 4, 4, 2), LABELS)
    with pytest.raises(IndexError):
        balanced_cross_entropy(torch.zeros(2, 3, 2, 4), LABELS)
