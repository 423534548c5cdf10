"""The equivalence check tells equal networks from nearly equal ones."""

import pytest
import torch
from torch import nn

from medsynth_lib.course.equivalence import check_equivalent
from medsynth_lib.errors import MedSynthError

IMAGE = torch.randn(1, 1, 8, 8)


def network(*middle: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *middle, nn.Conv2d(4, 1, 3, padding=1))


def test_same_architecture_with_other_weights_is_equivalent():
    assert "equivalent: 4 tensors, 77 parameters" in check_equivalent(network(nn.ReLU()), network(nn.ReLU()), IMAGE)


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (network(), "other output"),
        (network(nn.Tanh()), "other output"),
        (network(nn.Conv2d(4, 4, 3, padding=1)), "another shape"),
        (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1)), "number of tensors"),
    ],
)
def test_each_difference_is_named(mine, words):
    with pytest.raises(MedSynthError, match=words):
        check_equivalent(mine, network(nn.ReLU()), IMAGE)
