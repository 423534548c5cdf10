"""Lesion metrics on a warm liver with hot balls: what is painted out is erased, what is painted in is hallucinated."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.lesion import compare_lesions, hallucinated, hot_spots

SPACING_MM = (5.0, 4.0, 4.0)
SHAPE = (24, 40, 40)
#: Place (pixels) and radius (mm) of three lesions; the second lies in the liver.
LESIONS = [((6, 10, 10), 12.0), ((12, 28, 28), 10.0), ((18, 10, 28), 14.0)]
LIVER = ((12, 28, 26), 40.0)
#: Far from all of them.
ELSEWHERE = ((18, 26, 10), 12.0)


def ball(centre, radius_mm, shape=SHAPE, spacing_mm=SPACING_MM):
    axes = np.ogrid[tuple(slice(0, length) for length in shape)]
    squares = (((axis - at) * mm) ** 2 for axis, at, mm in zip(axes, centre, spacing_mm, strict=True))
    return sum(squares) <= radius_mm**2


MASKS = [ball(*lesion) for lesion in LESIONS]


def pet(lesions=MASKS, suv=8.0):
    image = np.full(SHAPE, 0.6)
    image[ball(*LIVER)] = 2.2
    for mask in lesions:
        image[mask] = suv
    return gaussian_filter(image, 0.5) + np.random.default_rng(0).normal(0, 0.02, SHAPE)


def report(fake, real=None):
    return compare_lesions(fake, pet() if real is None else real, MASKS, SPACING_MM)


def test_the_real_image_itself_has_lost_and_invented_nothing():
    found = report(pet())
    record = found.record()
    assert record == {
        "lesion_recall": 1, "suvmax_error": 0, "suvmax_mae": 0, "lesions": 3, "erased": 0, "hallucinated": 0
    }  # fmt: skip
    assert [one.visible for one in found.lesions] == [True] * 3


@pytest.mark.parametrize("erased", [0, 1, 2])
def test_a_lesion_painted_out_is_erased_in_the_liver_too(erased):
    kept = [mask for index, mask in enumerate(MASKS) if index != erased]
    found = report(pet(kept))
    assert [one.found for one in found.lesions] == [index != erased for index in range(3)]
    assert (found.erased, found.hallucinated) == (1, ())
    assert found.record()["lesion_recall"] == pytest.approx(2 / 3)
    assert found.lesions[erased].suv_max_error < -4


def test_a_warm_organ_is_no_find():
    """Liver above SUV 2.5: where a lesion was painted out there is still SUV 3, but no contrast."""
    real = pet(suv=9.0)
    real[ball(*LIVER) & (real < 5)] = 3.0
    fake = np.where(MASKS[1], 3.0, real)
    (score,) = compare_lesions(fake, real, MASKS[1:2], SPACING_MM).lesions
    assert score.fake.suv_max == 3
    assert score.visible
    assert not score.found


def test_a_lesion_below_the_threshold_is_no_find_whatever_its_contrast():
    fake = pet(suv=2.4)
    (score,) = compare_lesions(fake, pet(suv=4.0), MASKS[:1], SPACING_MM).lesions
    assert score.fake.contrast > 0.41 * score.real.contrast
    assert score.visible
    assert not score.found


def test_blur_lowers_suvmax_first_and_recall_later():
    records = [report(gaussian_filter(pet(), sigma)).record() for sigma in (0.01, 1.0, 2.0, 4.0, 8.0)]
    recalls, errors = ([one[name] for one in records] for name in ("lesion_recall", "suvmax_error"))
    assert recalls == sorted(recalls, reverse=True)
    assert errors == sorted(errors, reverse=True)
    assert recalls[1] == 1
    assert errors[1] < -0.5
    assert recalls[-1] == 0
    assert all(one["hallucinated"] == 0 for one in records)


def test_suvmax_error_is_signed_and_in_suv():
    real = pet()
    fake = np.where(MASKS[0], real * 1.5, np.where(MASKS[2], real * 0.75, real))
    record = report(fake, real).record()
    peaks = [real[mask].max() for mask in MASKS]
    changes = np.array([0.5 * peaks[0], 0, -0.25 * peaks[2]])
    assert record["suvmax_error"] == pytest.approx(changes.mean())
    assert record["suvmax_mae"] == pytest.approx(np.abs(changes).mean())


def test_painted_hot_balls_are_counted_exactly_and_placed():
    real = pet()
    for count in (1, 2, 3):
        places = [ELSEWHERE, ((4, 30, 10), 9.0), ((20, 32, 34), 9.0)][:count]
        fake = real.copy()
        for index, place in enumerate(places):
            fake[ball(*place)] = 5 + index
        spots = report(fake, real).hallucinated
        assert [spot.suv_max for spot in spots] == [5 + index for index in reversed(range(count))]
        for spot, (centre, _) in zip(reversed(spots), places, strict=True):
            assert np.allclose(spot.centre, centre, atol=0.01)
        assert report(fake, real).record()["lesion_recall"] == 1


def test_a_hot_spot_in_the_liver_is_an_invention_and_a_warmer_liver_is_none():
    real = pet()
    spot, warmer = real.copy(), real.copy()
    spot[ball((12, 20, 20), 10.0)] = 5
    assert len(hallucinated(spot, real, SPACING_MM)) == 1
    warmer[ball(*LIVER)] *= 2.7 / 2.2
    assert hallucinated(warmer, real, SPACING_MM) == ()


def test_what_lies_within_the_resolution_of_true_uptake_belongs_to_it():
    real = pet()
    (z, y, x), radius = LESIONS[0]
    near, far = real.copy(), real.copy()
    near[ball((z, y, x), radius + 6)] = 6  # a lesion that is too large
    far[ball((z, y, x), radius + 30) & ~ball((z, y, x), radius + 12)] = 6  # a shell around it
    assert hallucinated(near, real, SPACING_MM) == ()
    assert len(hallucinated(far, real, SPACING_MM)) == 1


def test_specks_below_the_smallest_size_are_noise():
    real = pet()
    fake = real.copy()
    fake[18, 26, 10] = 9  # 0.08 mL
    assert hallucinated(fake, real, SPACING_MM) == ()
    fake[ball((18, 26, 10), 6.0)] = 9
    (spot,) = hallucinated(fake, real, SPACING_MM)
    assert spot.volume_ml == pytest.approx(ball((18, 26, 10), 6.0).sum() * 0.5 * 0.4 * 0.4)


def test_a_cold_lesion_cannot_be_lost_and_one_between_planes_is_left_out():
    cold = pet(suv=2.3)
    found = compare_lesions(cold, cold, [*MASKS, np.zeros(SHAPE, bool)], SPACING_MM)
    assert len(found.lesions) == 3
    assert found.visible == found.erased == 0
    assert math.isnan(found.record()["lesion_recall"])


def test_contrast_is_above_the_surroundings():
    real = pet()
    found = report(real)
    in_liver, in_muscle = found.lesions[1].real, found.lesions[0].real
    assert in_muscle.contrast == pytest.approx(in_muscle.suv_max - 0.6, abs=0.05)
    assert in_liver.contrast == pytest.approx(in_liver.suv_max - 2.2, abs=0.05)


def test_spacing_decides_what_is_near():
    """The same pixels, farther apart: a hot spot beside a lesion is now beyond the resolution."""
    real, fake = np.full((60, 60), 0.5), np.full((60, 60), 0.5)
    real[20:24, 20:24] = fake[20:24, 20:24] = 8
    fake[20:24, 25:28] = 5
    assert hallucinated(fake, real, (2.0, 2.0)) == ()
    assert len(hallucinated(fake, real, (9.0, 9.0))) == 1


def test_hot_spots_are_the_connected_regions():
    spots = hot_spots(pet(), SPACING_MM)
    assert len(spots) == 3
    for spot, mask in zip(spots, MASKS, strict=True):
        assert (spot & mask).sum() > 0.8 * mask.sum()


@pytest.mark.parametrize(
    ("fake", "spacing"), [(np.zeros((4, 4)), (1, 1)), (pet() * np.nan, SPACING_MM), (pet(), (4.0, 4.0))]
)
def test_what_does_not_fit_is_refused(fake, spacing):
    with pytest.raises(InputError):
        compare_lesions(fake, pet(), MASKS, spacing)
