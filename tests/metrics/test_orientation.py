"""Polarity and handedness: signs that turn exactly when an image is inverted or mirrored, and nothing else."""

import numpy as np
import pytest
import torch

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.orientation import handedness, polarity


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 1, 24, 20, generator=generator, dtype=torch.float64)
    return target + 0.3 * torch.rand(target.shape, generator=generator, dtype=torch.float64), target


@pytest.fixture
def mask():
    return torch.rand(3, 1, 24, 20, generator=torch.Generator().manual_seed(1)) < 0.6


def test_polarity_is_numpys_correlation(images, mask):
    fake, target = images
    expected = [
        np.corrcoef(f[m], t[m])[0, 1] for f, t, m in zip(*(x.numpy() for x in (fake, target, mask)), strict=True)
    ]
    assert polarity(fake, target, mask=mask).tolist() == pytest.approx(expected)
    whole = [np.corrcoef(f.ravel(), t.ravel())[0, 1] for f, t in zip(fake.numpy(), target.numpy(), strict=True)]
    assert polarity(fake, target).tolist() == pytest.approx(whole)


def test_polarity_turns_with_the_intensities_and_knows_no_unit(images, mask):
    fake, target = images
    straight = polarity(fake, target, mask=mask)
    assert straight.min() > 0.5
    assert torch.allclose(polarity(-fake, target, mask=mask), -straight)
    assert torch.allclose(polarity(1000 * fake - 300, target, mask=mask), straight)
    assert torch.allclose(polarity(target, target, mask=mask), torch.ones(3).double())


def test_polarity_looks_only_inside_the_mask(images, mask):
    fake, target = images
    other = torch.where(mask, fake, torch.full_like(fake, 7.0))
    assert torch.equal(polarity(other, target, mask=mask), polarity(fake, target, mask=mask))


def test_handedness_turns_with_the_mirror_and_nothing_else(images):
    fake, target = images
    straight = handedness(fake, target)
    assert straight.min() > 0.5
    assert torch.allclose(handedness(fake.flip(-1), target), -straight)
    assert torch.allclose(handedness(target.flip(-1), target), -torch.ones(3).double())
    assert torch.allclose(handedness(5 * fake + 2, target), straight)
    # What both have in common with their mirror images does not count, however much of it there is.
    symmetric = torch.rand_like(target)
    symmetric = 100 * (symmetric + symmetric.flip(-1))
    assert torch.allclose(handedness(fake + symmetric, target + symmetric), straight)


def test_plain_correlation_would_miss_the_mirror_of_a_nearly_symmetric_head(images):
    _, target = images
    head = 10 * (target + target.flip(-1)) + target
    assert polarity(head.flip(-1), head).min() > 0.95
    assert handedness(head.flip(-1), head).max() == pytest.approx(-1)


@pytest.mark.parametrize("score", [polarity, handedness])
def test_an_image_without_contrast_has_no_sign(score):
    constant = torch.full((2, 1, 8, 8), 0.1)
    assert score(constant, torch.rand(2, 1, 8, 8)).isnan().all()


@pytest.mark.parametrize("score", [polarity, handedness])
def test_shapes_must_agree(score):
    with pytest.raises(InputError):
        score(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 9))
