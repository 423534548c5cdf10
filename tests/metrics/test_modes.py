"""Mode coverage against counting by hand and against what chance gives; the copy test against planted copies."""

import math

import numpy as np
import pytest
import torch

from medsynth_lib.data.toy import RingOfGaussians
from medsynth_lib.errors import InputError
from medsynth_lib.metrics.memorisation import nearest_distances
from medsynth_lib.metrics.modes import mode_coverage

CENTRES = torch.tensor([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5]])


def test_samples_count_for_the_nearest_mode_within_three_standard_deviations():
    samples = torch.tensor([[-0.5, 0.0], [-0.5, 0.0299], [-0.5, 0.0301], [0.52, 0.02], [0.0, 0.0]])
    found = mode_coverage(samples, CENTRES, 0.01)
    assert found.counts == (2, 1, 0)
    assert (found.covered, found.high_quality) == (2, 3 / 5)
    assert found.balance == pytest.approx(math.exp(-2 / 3 * math.log(2 / 3) - 1 / 3 * math.log(1 / 3)))


def test_where_modes_overlap_a_sample_counts_once():
    found = mode_coverage(torch.tensor([[0.1, 0.0], [-0.3, 0.0]]), CENTRES, std=1.0)
    assert sum(found.counts) == 2
    assert found.counts == (1, 1, 0)


def test_samples_far_from_every_mode_cover_none():
    found = mode_coverage(torch.full((7, 2), 9.0), CENTRES, 0.01)
    assert (found.covered, found.high_quality, found.balance) == (0, 0.0, 0.0)


def test_the_true_distribution_covers_all_modes_and_scores_as_the_normal_law_says():
    ring = RingOfGaussians(seed=3)
    points = ring.batch(0, 20_000).target.flatten(1)
    found = mode_coverage(points, ring.centres, ring.std)
    expected = 1 - math.exp(-9 / 2)  # a Rayleigh variable stays below 3
    assert found.covered == 8
    assert found.high_quality == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 20_000) ** 0.5)
    assert found.balance == pytest.approx(8, abs=0.02)


@pytest.mark.parametrize("samples", [torch.zeros(0, 2), torch.zeros(5, 3), torch.zeros(5, 2, 1, 1)])
def test_what_is_not_points_of_the_plane_is_refused(samples):
    with pytest.raises(InputError, match="points in the space of the modes"):
        mode_coverage(samples, CENTRES, 0.01)


def test_nearest_distance_is_the_smallest_rms_difference_and_a_copy_has_none():
    rng = np.random.default_rng(0)
    references = rng.uniform(-1, 1, (5, 1, 6, 6))
    images = np.concatenate([references[[3]], rng.uniform(-1, 1, (4, 1, 6, 6))])
    apart = np.sqrt(((images[:, None] - references[None]) ** 2).mean(axis=(2, 3, 4)))
    distances, index = nearest_distances(torch.from_numpy(images), torch.from_numpy(references))
    np.testing.assert_allclose(distances.numpy(), apart.min(axis=1), atol=1e-12)
    np.testing.assert_array_equal(index.numpy(), apart.argmin(axis=1))
    assert (distances[0], index[0]) == (0, 3)


def test_distances_need_references_of_the_same_shape():
    for references in (torch.zeros(0, 1, 4, 4), torch.zeros(3, 1, 8, 8)):
        with pytest.raises(InputError, match="one shape"):
            nearest_distances(torch.zeros(2, 1, 4, 4), references)
