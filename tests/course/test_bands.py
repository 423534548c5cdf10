"""Bands: the published t table, which way is better, what is not judged, and that outliers are found."""

import numpy as np
import pytest

from medsynth_lib.course.bands import BETTER, FLOOR, band, bands, direction, outside

# t(0.995) with n - 1 degrees of freedom, from the table in any statistics book
STUDENT = {2: 63.657, 3: 9.925, 5: 4.604, 10: 3.250}


@pytest.mark.parametrize("count", STUDENT)
def test_half_width_is_the_prediction_interval_of_one_more_seed(count):
    values = 100 + 0.2 * np.random.default_rng(count).standard_normal(count)
    found = band("brightness", values)
    half = STUDENT[count] * values.std(ddof=1) * np.sqrt(1 + 1 / count)
    half = max(half, FLOOR * values.mean())
    assert found.low == pytest.approx(values.mean() - half, rel=1e-4)
    assert found.high == pytest.approx(values.mean() + half, rel=1e-4)
    assert (found.min, found.max) == (values.min(), values.max())
    assert found.sd == pytest.approx(values.std(ddof=1))


def test_one_more_seed_is_inside_as_often_as_promised():
    """With the spread deciding (a floor of 0 would not matter here): 99 % of 4000 further draws, to sampling error."""
    draws = 100 + 10 * np.random.default_rng(0).standard_normal((4000, 6))
    inside = [one.low is None or one.low <= row[5] <= one.high for row in draws for one in [band("x", row[:5])]]
    judged = [band("x", row[:5]).low is not None for row in draws]
    assert np.mean(judged) > 0.3
    assert np.mean(inside) == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("psnr_db", 1), ("evaluation pix2pix SSIM mean", 1), ("mean_iou", 1), ("mae_hu", -1), ("variety_hu", 0),
        ("margins_over_best_baseline mae", 1), ("hue", 0), ("summary", 0), ("fid", -1),
    ],
)  # fmt: skip
def test_direction_is_read_from_whole_words(name, expected):
    assert direction(name) == expected


def test_better_reaches_further_than_worse():
    up, down, unknown = (band(name, [10.0, 10.0]) for name in ("psnr_db", "mae_hu", "x"))
    half = FLOOR * 10
    assert (up.low, up.high) == pytest.approx((10 - half, 10 + BETTER * half))
    assert (down.low, down.high) == pytest.approx((10 - BETTER * half, 10 + half))
    assert (unknown.low, unknown.high) == pytest.approx((10 - half, 10 + half))


def test_a_count_of_lesions_may_differ_by_chance_where_no_seed_did():
    found = band("lesions U-Net erased", [21, 21, 21])
    assert (found.low, found.high) == pytest.approx((21 - 21**0.5, 21 + 21**0.5))
    assert band("lesions real PET hallucinated", [0, 0, 0]).low is None
    assert band("lesions", [21, 21, 21]).low == pytest.approx(21 * (1 - FLOOR))  # how many there are is no chance


def test_negative_means_have_bands_the_right_way_round():
    found = band("x", [-10.0, -10.0])
    assert found.low < -10 < found.high


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("psnr_db", [26.0]),  # one seed says nothing of a spread
        ("steps_done", [1500, 1500]),  # a setting, no result
        ("gradient_norm", [1.0, 3.0, 9.0]),  # wider than half its mean
        ("invented_lesions", [0.0, 0.0, 0.0]),  # no scale to go by
    ],
)
def test_some_numbers_are_shown_and_not_judged(name, values):
    found = band(name, values)
    assert found.low is None
    assert found.high is None
    assert outside({name: 1e9}, {name: found}) == []


def test_what_is_no_number_or_not_in_all_runs_has_no_band():
    runs = [{"a": 1, "b": "x", "c": True, "d": [1.0], "e": 2.0, "f": None}, {"a": 1, "b": "x", "c": True, "d": [1.0]}]
    assert list(bands(runs)) == ["a"]


def test_a_number_outside_or_missing_is_named_with_its_value_and_band():
    known = bands([{"psnr_db": 26.0, "ssim": 0.8}, {"psnr_db": 26.2, "ssim": 0.8}])
    low = known["psnr_db"].low
    assert outside({"psnr_db": 26.1, "ssim": 0.8, "new": 5}, known) == []
    (fault,) = outside({"psnr_db": low - 1, "ssim": 0.8}, known)
    assert fault == f"psnr_db: {low - 1:.4g}, expected {low:.4g} to {known['psnr_db'].high:.4g}"
    assert len(outside({"psnr_db": low, "ssim": True}, known)) == 1  # a truth value is no number
    assert outside({"psnr_db": 26.1}, known)[0].startswith("ssim: not recorded")
    assert outside({"psnr_db": 26.1}, known, all_there=False) == []
