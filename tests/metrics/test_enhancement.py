"""Enhancement: the mask by an independent convolution, signed errors by hand, and what the scores must tell apart."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d, gaussian_filter

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.enhancement import THRESHOLD_HU, enhanced, enhancement_scores, mean_error

SIZE = 48


@pytest.fixture
def scene():
    """``(ct, cect, body, vessels)``: a body, a vessel with agent and one without, 8 HU of noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    body = np.hypot(y - 24, x - 24) < 22
    vessel, occluded = np.hypot(y - 18, x - 18) < 5, np.hypot(y - 32, x - 32) < 4
    clean = np.where(body, 40.0, -1000.0)
    noise = 8 * rng.standard_normal((2, SIZE, SIZE))
    ct, cect = clean + noise[0], clean + 120.0 * vessel + noise[1]
    return tuple(torch.from_numpy(one)[None, None] for one in (ct, cect, body, vessel | occluded))


def test_the_mask_is_a_thresholded_gaussian_of_the_difference():
    one, other = 60 * np.random.default_rng(1).standard_normal((2, 3, SIZE, 40))
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    smooth = one - other
    for axis in (1, 2):
        smooth = convolve1d(smooth, kernel / kernel.sum(), axis=axis, mode="nearest")
    expected = np.abs(smooth) > 10
    assert 0.1 < expected.mean() < 0.9
    found = enhanced(torch.from_numpy(one)[:, None], torch.from_numpy(other)[:, None], threshold_hu=10)
    assert np.array_equal(found[:, 0].numpy(), expected)


def test_the_mask_finds_the_vessel_and_not_the_noise(scene):
    ct, cect, _, _ = scene
    for pair in ((ct, cect), (cect, ct)):
        found = enhanced(*pair)[0, 0].numpy()
        y, x = np.mgrid[:SIZE, :SIZE]
        distance = np.hypot(y - 18, x - 18)
        assert found[distance < 4].all()
        assert not found[distance > 9].any()
    noise = (ct - cect).abs() > THRESHOLD_HU
    assert noise[..., 30:, :20].any()  # without the Gaussian, noise would have counted


def test_noise_is_divided_by_five():
    noise = np.random.default_rng(2).standard_normal((400, 400))
    assert gaussian_filter(noise, 1.5).std() == pytest.approx(1 / 5.3, rel=0.02)


def test_mean_error_is_signed_and_stays_inside_the_mask():
    target = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    fake = torch.tensor([[10.0, -4.0], [1e6, 0.0]], dtype=torch.float64).expand(2, 1, 2, 2)
    mask = torch.tensor([[[[True, True], [False, False]]], [[[False, False], [False, False]]]])
    found = mean_error(fake, target, mask=mask)
    assert found[0].item() == 3.0
    assert found[1].isnan()
    assert mean_error(target, fake, mask=mask)[0].item() == -3.0


def test_leaving_the_vessels_out_is_seen(scene):
    """An image that never took the agent out: blameless outside, wrong by all the agent inside."""
    ct, cect, body, vessels = scene
    scores = {name: one.item() for name, one in enhancement_scores(cect, cect, ct, body, vessels).items()}
    assert scores["outside_mae_hu"] == pytest.approx(
        8 * 2 / np.sqrt(np.pi), rel=0.35
    )  # mean |difference of two noises|
    enhanced_vessel = np.pi * 5**2 / (np.pi * 5**2 + np.pi * 4**2)  # the label does not know that one was not reached
    assert scores["vessels_error_hu"] == pytest.approx(120 * enhanced_vessel, rel=0.05)
    assert scores["enhanced_error_hu"] > 60
    perfect = enhancement_scores(ct, cect, ct, body, vessels)
    assert all(value.item() == 0 for value in perfect.values())


def test_a_change_outside_is_seen_there_alone(scene):
    ct, cect, body, vessels = scene
    where = enhanced(cect, ct) & body
    fake = torch.where(body & ~where, ct + 30, ct)
    scores = enhancement_scores(fake, cect, ct, body, vessels)
    assert scores["outside_mae_hu"].item() == pytest.approx(30)
    assert scores["enhanced_mae_hu"].item() == 0


def test_a_slice_without_contrast_has_no_score_inside(scene):
    ct, _, body, vessels = scene
    scores = enhancement_scores(ct + 1, ct, ct, body, torch.zeros_like(vessels))
    assert scores["outside_mae_hu"].item() == pytest.approx(1)
    assert all(value.isnan().all() for name, value in scores.items() if name != "outside_mae_hu")


def test_without_labels_vessels_are_not_scored(scene):
    ct, cect, body, _ = scene
    assert list(enhancement_scores(ct, cect, ct, body)) == ["outside_mae_hu", "enhanced_mae_hu", "enhanced_error_hu"]


@pytest.mark.parametrize("threshold_hu", [0.0, -5.0, float("nan")])
def test_a_threshold_that_is_not_positive_is_refused(scene, threshold_hu):
    with pytest.raises(InputError, match="not positive"):
        enhanced(scene[0], scene[1], threshold_hu=threshold_hu)
