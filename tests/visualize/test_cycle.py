"""What happens to an image on its way to the reader is exactly what is said; the picture shows the way back's error."""

import numpy as np
import pytest
from scipy.fft import fft2

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.cycle import PERTURBATIONS, cycle_strip, high_pass, perturbed


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(-1000, 1000, (64, 64)).astype(np.float32)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_no_strength_changes_nothing(image, kind):
    assert np.array_equal(perturbed(image, kind, 0.0), image)


def test_each_perturbation_is_as_strong_as_it_says(image):
    noise = perturbed(image, "noise", 10.0) - image
    assert noise.std() == pytest.approx(10, rel=0.05)
    assert abs(noise.mean()) < 1
    assert np.array_equal(perturbed(image, "noise", 10.0), perturbed(image, "noise", 10.0))
    assert not np.array_equal(perturbed(image, "noise", 10.0), perturbed(image, "noise", 10.0, seed=1))
    rounded = perturbed(image, "rounding", 20.0)
    assert np.abs(rounded - image).max() <= 10.001
    assert np.array_equal(perturbed(rounded, "rounding", 20.0), rounded)
    assert set(np.unique(rounded % 20)) == {0.0}
    np.testing.assert_allclose(perturbed(image, "offset", 7.0) - image, 7.0, atol=1e-3)


@pytest.mark.parametrize(("kind", "strength"), [("JPEG", 1.0), ("noise", -1.0)])
def test_other_perturbations_are_refused(image, kind, strength):
    with pytest.raises(MedSynthError):
        perturbed(image, kind, strength)


def test_high_pass_takes_slow_changes_away_and_keeps_fast_ones():
    column = np.arange(64)
    slow = np.tile(np.sin(2 * np.pi * column / 64), (3, 64, 1))
    fast = np.tile(np.where(column % 2, 1.0, -1.0), (3, 64, 1))
    inner = (..., slice(8, -8), slice(8, -8))
    assert np.abs(high_pass(slow)[inner]).max() < 0.02
    np.testing.assert_allclose(high_pass(fast)[inner], fast[inner], atol=0.02)
    assert np.abs(fft2(high_pass(slow + fast))[0, 0, 32]) > 0.9 * 64 * 64


def test_images_of_a_pile_are_not_blurred_into_each_other():
    pile = np.stack([np.zeros((16, 16)), np.ones((16, 16))])
    assert np.abs(high_pass(pile)).max() < 1e-6


def test_the_strip_shows_the_change_and_the_error_of_the_way_back():
    source, fake = np.full((8, 8), 0.5), np.full((8, 8), 40.0)
    figure = cycle_strip(source, fake, fake + 10, source - 0.25, change="offset 10 HU")
    shown = [axis.images[0].get_array() for axis in figure.axes[:5]]
    assert [float(image.mean()) for image in shown] == [0.5, 40.0, 10.0, 0.25, -0.25]
    titles = " ".join(axis.get_title() for axis in figure.axes)
    assert "offset 10 HU" in titles
    assert "0.250" in titles
