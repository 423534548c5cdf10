"""The explorer shows what the metrics say of the slice it draws, and each distortion is what its name says."""

import numpy as np
import pytest

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.distortion import distort, scores_of, under_distortion

WINDOW = {"low": -1000.0, "high": 1000.0}


@pytest.fixture
def slice_hu():
    rng = np.random.default_rng(0)
    image = np.full((64, 64), -1000.0)
    image[16:48, 16:48] = 40 + 60 * rng.standard_normal((32, 32))
    return image


def test_without_a_distortion_nothing_changes(slice_hu):
    np.testing.assert_array_equal(distort(slice_hu, **WINDOW), slice_hu)


def test_a_shift_moves_and_air_comes_in(slice_hu):
    moved = distort(slice_hu, shift_px=5, **WINDOW)
    np.testing.assert_array_equal(moved[:, 5:], slice_hu[:, :-5])
    assert (moved[:, :5] == -1000).all()


def test_blur_keeps_the_mean_and_noise_has_the_sd_asked_for(slice_hu):
    assert distort(slice_hu, blur_px=2, **WINDOW).mean() == pytest.approx(slice_hu.mean(), abs=0.5)
    flat = np.zeros((64, 64))
    assert distort(flat, noise=30, **WINDOW).std() == pytest.approx(30, rel=0.05)
    np.testing.assert_array_equal(distort(flat, noise=30, **WINDOW), distort(flat, noise=30, **WINDOW))


def test_contrast_keeps_air_and_stays_in_the_window(slice_hu):
    stronger = distort(slice_hu, contrast=2.0, **WINDOW)
    assert (stronger[0] == -1000).all()
    assert stronger.max() <= 1000


def test_negative_distortions_are_refused(slice_hu):
    with pytest.raises(MedSynthError, match="0 or more"):
        distort(slice_hu, blur_px=-1, **WINDOW)


def test_the_bars_are_the_metrics_of_the_slice_shown(slice_hu):
    body = slice_hu > -500
    before = slice_hu.copy()
    figure = under_distortion(slice_hu, body, 3, 1.0, 20.0, 0.9)
    np.testing.assert_array_equal(slice_hu, before)
    fake = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(np.asarray(figure.axes[1].images[0].get_array()), fake - slice_hu)
    scores = scores_of(fake, slice_hu, body, 2000.0)
    names = [label.get_text() for label in figure.axes[2].get_xticklabels()]
    bars = [[bar.get_height() for bar in axis.patches] for axis in figure.axes[2:5]]
    assert bars[0][names.index("SSIM")] == pytest.approx(max(0, scores["ssim"]))
    assert bars[0][len(names) + names.index("SSIM")] == pytest.approx(max(0, scores["ssim_body"]))
    assert bars[1] == pytest.approx([scores["psnr"], scores["psnr_body"]])
    assert bars[2] == pytest.approx([scores["mae"], scores["mae_body"]])


def test_the_same_image_has_an_endless_psnr_and_still_a_picture(slice_hu):
    figure = under_distortion(slice_hu, slice_hu > -500)
    assert figure.axes[3].texts[0].get_text() == "inf"
