"""The baselines do what they claim: nothing that looks at one pixel's value alone can beat the look-up table."""

import numpy as np
import pytest
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.errors import InputError
from medsynth_lib.systems.baselines import LUT_BINS, Identity, LookUpTable, MeanImage


def batches(source: np.ndarray, target: np.ndarray, size: int = 4):
    """``(N, H, W)`` arrays as batches of ``size``."""
    for start in range(0, len(source), size):
        part = slice(start, start + size)
        yield Batch(*(torch.from_numpy(one[part].astype(np.float32))[:, None] for one in (source, target)))


def translated(table: LookUpTable, source: np.ndarray) -> np.ndarray:
    return table.translate(torch.from_numpy(source.astype(np.float32))).numpy()


def test_identity_is_the_source():
    source = torch.randn(2, 1, 4, 4)
    assert Identity().translate(source) is source


def test_mean_image_is_the_mean_over_slices_whatever_the_batches():
    target = np.random.default_rng(0).uniform(-1, 1, (7, 5, 6))
    mean = MeanImage(batches(target, target, size=3))
    shown = mean.translate(torch.zeros(2, 1, 5, 6))
    assert shown.shape == (2, 1, 5, 6)
    np.testing.assert_allclose(shown[1, 0].numpy(), target.mean(axis=0), atol=1e-6)


def test_look_up_table_equals_the_conditional_mean_of_discrete_values():
    """Brute force: for every source value, the mean of the targets that came with it."""
    rng = np.random.default_rng(0)
    levels = np.array([-1.0, -0.7, -0.1, 0.0, 0.4, 1.0])
    source = rng.choice(levels, (8, 16, 16), p=[0.5, 0.1, 0.1, 0.1, 0.05, 0.15])
    target = source**2 + rng.normal(0, 0.3, source.shape)
    expected = np.array([target[source == level].mean() for level in levels])
    np.testing.assert_allclose(translated(LookUpTable(batches(source, target)), levels), expected, atol=1e-6)


@pytest.mark.parametrize("levels", [[-1.0, 1.0], [0.5]])
def test_look_up_table_of_two_values_and_of_one(levels):
    source = np.resize(levels, (4, 8, 8))
    target = np.random.default_rng(1).normal(source, 0.1)
    expected = [target[source == level].mean() for level in levels]
    np.testing.assert_allclose(translated(LookUpTable(batches(source, target)), np.array(levels)), expected, atol=1e-6)


def test_look_up_table_has_the_least_squared_error_of_all_functions_of_intensity():
    """Continuous values with background and saturation, as in PET: within 1 % of the noise no function can explain,
    and better than polynomials of any degree fitted to the same pixels."""
    rng = np.random.default_rng(2)
    source = np.clip(rng.normal(-0.3, 0.8, (16, 32, 32)), -1, 1).astype(np.float32)
    noise = 0.2 * rng.normal(size=source.shape)
    target = np.where(source > 0.3, 0.8, np.sin(6 * source)) + 0.2 * (source == -1) + noise
    error = np.mean((translated(LookUpTable(batches(source, target)), source) - target) ** 2)
    assert error < 1.01 * np.mean(noise**2)
    for degree in (1, 3, 9, 15):
        fitted = np.polynomial.Chebyshev.fit(source.ravel(), target.ravel(), degree)(source)
        assert error < np.mean((fitted - target) ** 2)


def test_background_and_saturation_have_bins_of_their_own():
    rng = np.random.default_rng(3)
    source = np.clip(rng.normal(0, 1, (8, 32, 32)), -1, 1).astype(np.float32)
    target = np.where(np.abs(source) == 1, 5.0 * source, 0.0)
    np.testing.assert_allclose(translated(LookUpTable(batches(source, target)), np.array([-1.0, 1.0])), [-5, 5])


def test_look_up_table_thins_pixels_to_bound_its_memory_and_stays_the_same_function():
    rng = np.random.default_rng(4)
    source = rng.uniform(-1, 1, (64, 32, 32))
    source[:, :, :8] = source[:, :, -8:] = -1.0  # air beside the body: columns that say nothing
    target = np.cos(3 * source)
    thin = LookUpTable(batches(source, target), pixels=2_000)  # one in 32: at regular steps, column 0 alone
    assert len(thin.centres) <= LUT_BINS
    np.testing.assert_allclose(translated(thin, source), target, atol=0.05)


@pytest.mark.parametrize("baseline", [MeanImage, LookUpTable])
def test_no_training_slices_is_an_input_error(baseline):
    with pytest.raises(InputError, match="at least one training slice"):
        baseline(iter(()))
