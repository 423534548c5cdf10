"""The pictures of lesson 06: bands that add up again, and noise that obeys its interval."""

import math

import numpy as np
import pytest
import pywt
import torch
from scipy import stats

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize import truncation, wavelet_bands

IMAGE = np.random.default_rng(0).uniform(-1, 1, (16, 24))


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("kept", [("LL",), ("LL", "LH"), ("LH", "HL", "HH"), ("HH",), wavelet_bands.BANDS, ()])
def test_bands_and_what_is_left_of_the_image_are_those_of_pywavelets(level, kept):
    average, *details = pywt.wavedec2(IMAGE, "haar", level=level)
    coarse = tuple(band * (name in kept) for name, band in zip(("LH", "HL", "HH"), details[0], strict=True))
    thrown = [average * ("LL" in kept), coarse, *details[1:]]
    bands, rebuilt = wavelet_bands.keep_bands(IMAGE, level, kept)
    np.testing.assert_allclose(bands, np.stack([average, *details[0]]), atol=1e-12)
    np.testing.assert_allclose(rebuilt, pywt.waverec2(thrown, "haar"), atol=1e-12)


def test_unknown_bands_and_levels_are_refused():
    for level, kept in ((0, ("LL",)), (1, ("LL", "XX"))):
        with pytest.raises(MedSynthError, match="no such bands"):
            wavelet_bands.keep_bands(IMAGE, level, kept)
    with pytest.raises(MedSynthError, match="even"):
        wavelet_bands.keep_bands(IMAGE, 5, ("LL",))


def test_the_panel_says_what_was_thrown_away():
    whole, part = (wavelet_bands.band_panel(IMAGE, 1, kept) for kept in (wavelet_bands.BANDS, ("LL", "LH")))
    assert [len(axis.lines) for axis in whole.axes[1:5]] == [0, 0, 0, 0]
    assert [len(axis.lines) for axis in part.axes[1:5]] == [0, 0, 1, 1]
    assert "RMS 0.000" in whole.axes[6].get_title()
    shares = [float(axis.get_title().split(", ")[1].split("%")[0]) for axis in whole.axes[1:5]]
    assert sum(shares) == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize("limit", [0.5, 2.0, math.inf])
def test_truncated_noise_has_the_distribution_that_scipy_has(limit):
    noise = truncation.truncated_noise(torch.rand(4000, generator=torch.Generator().manual_seed(0)), limit)
    assert float(noise.abs().max()) <= limit
    assert stats.kstest(noise.numpy(), stats.truncnorm(-limit, limit).cdf).pvalue > 0.01


def test_the_same_draw_moves_outwards_with_the_limit():
    uniform = torch.tensor([1e-6, 0.2, 0.5, 0.9, 1 - 1e-6])
    rows = torch.stack([truncation.truncated_noise(uniform, limit) for limit in (0.001, 1.0, 3.0, math.inf)])
    assert (rows.abs().diff(dim=0)[:, [0, 1, 3, 4]] > 0).all()
    assert (rows[:, 2].abs() < 1e-6).all()
    assert torch.isfinite(rows).all()
    with pytest.raises(MedSynthError, match="above 0"):
        truncation.truncated_noise(uniform, 0.0)


def test_the_panel_draws_from_the_noise_it_is_asked_for():
    seen = []

    def draw(noise):
        seen.append(noise)
        return noise[:, :1, None].expand(-1, 4, 4).numpy()

    uniform = torch.rand(6, 3, generator=torch.Generator().manual_seed(1))
    labels = np.zeros((4, 4), int)
    figures = [truncation.truncation_panel(draw, labels, uniform, limit, shown=2) for limit in (0.1, math.inf)]
    assert [len(noise) for noise in seen] == [6, 6]
    assert float(seen[0].abs().max()) <= 0.1 < float(seen[1].abs().max())
    spreads = [float(figure.axes[3].get_title().split("RMS ")[1]) for figure in figures]
    assert spreads[0] < spreads[1]
    assert spreads[1] == pytest.approx(float(seen[1][:, 0].std()), abs=1e-3)
    assert [figure.get_suptitle() for figure in figures] == ["noise in [−0.1, 0.1]", "all of N(0, 1)"]
