"""Fidelity metrics against scikit-image, MONAI or a reference written from the paper, and against what must hold."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.signal import correlate2d
from skimage import metrics as skimage_metrics

from medsynth_lib.errors import InputError
from medsynth_lib.metrics import fidelity

WITHOUT_RANGE = [fidelity.mae, fidelity.mse, fidelity.rmse]
WITH_RANGE = [fidelity.psnr, fidelity.ssim, fidelity.ms_ssim, fidelity.vif]
GAUSSIAN_SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@pytest.fixture(scope="module")
def pair_hu(image, degraded, tensor):
    """Three 176×192 pairs in HU, window [-1000, 1000]: ``fake``, ``target``, ``body``, as (B, 1, H, W)."""
    targets = [image((176, 192), seed) for seed in range(3)]
    fakes = [degraded(target, seed) for seed, target in enumerate(targets)]
    return tensor(*fakes) * 2000 - 1000, tensor(*targets) * 2000 - 1000, tensor(*targets) > 0


def call(metric, fake, target, data_range=2000.0, **options):
    return metric(fake, target, **({} if metric in WITHOUT_RANGE else {"data_range": data_range}), **options)


def slices(fake, target):
    return list(zip(fake[:, 0].numpy(), target[:, 0].numpy(), strict=True))


# --- references ------------------------------------------------------------------------------------------------------


def test_pixel_errors_equal_scikit_image(pair_hu):
    fake, target, _ = pair_hu
    for index, (one, other) in enumerate(slices(fake, target)):
        mse = skimage_metrics.mean_squared_error(other, one)
        assert fidelity.mse(fake, target)[index].item() == pytest.approx(mse, rel=1e-13)
        nrmse = skimage_metrics.normalized_root_mse(other, one, normalization="min-max")
        assert fidelity.rmse(fake, target)[index].item() == pytest.approx(nrmse * np.ptp(other), rel=1e-13)
        psnr = skimage_metrics.peak_signal_noise_ratio(other, one, data_range=2000)
        assert fidelity.psnr(fake, target, data_range=2000)[index].item() == pytest.approx(psnr, rel=1e-13)
        assert fidelity.mae(fake, target)[index].item() == pytest.approx(np.abs(one - other).mean(), rel=1e-13)


def test_masked_pixel_errors_use_the_masked_pixels_only(pair_hu):
    fake, target, body = pair_hu
    for index, (one, other) in enumerate(slices(fake, target)):
        inside = body[index, 0].numpy()
        mse = skimage_metrics.mean_squared_error(other[inside], one[inside])
        psnr = skimage_metrics.peak_signal_noise_ratio(other[inside], one[inside], data_range=2000)
        mae = np.abs(one[inside] - other[inside]).mean()
        assert fidelity.mae(fake, target, mask=body)[index].item() == pytest.approx(mae, rel=1e-13)
        assert fidelity.mse(fake, target, mask=body)[index].item() == pytest.approx(mse, rel=1e-13)
        assert fidelity.rmse(fake, target, mask=body)[index].item() == pytest.approx(math.sqrt(mse), rel=1e-13)
        found = fidelity.psnr(fake, target, data_range=2000, mask=body)[index].item()
        assert found == pytest.approx(psnr, rel=1e-13)


def test_ssim_equals_scikit_image_and_its_masked_form_the_mean_of_its_map(pair_hu):
    fake, target, body = pair_hu
    whole = fidelity.ssim(fake, target, data_range=2000)
    masked = fidelity.ssim(fake, target, data_range=2000, mask=body)
    for index, (one, other) in enumerate(slices(fake, target)):
        mean, full = skimage_metrics.structural_similarity(one, other, data_range=2000, full=True, **GAUSSIAN_SSIM)
        assert whole[index].item() == pytest.approx(mean, abs=1e-12)
        inside = body[index, 0].numpy()[5:-5, 5:-5]
        assert masked[index].item() == pytest.approx(full[5:-5, 5:-5][inside].mean(), abs=1e-12)


def test_ssim_equals_monai(pair_hu):
    regression = pytest.importorskip("monai.metrics.regression")
    fake, target, _ = pair_hu
    metric = regression.SSIMMetric(spatial_dims=2, data_range=2000.0, reduction="none")
    expected = metric(fake.float(), target.float()).flatten()
    torch.testing.assert_close(fidelity.ssim(fake, target, data_range=2000), expected.double(), rtol=0, atol=2e-5)


@pytest.mark.parametrize("scales", [2, 3, 4, 5])
def test_ms_ssim_equals_monai(pair_hu, scales):
    regression = pytest.importorskip("monai.metrics.regression")
    fake, target, _ = pair_hu
    total = 1 if scales == 5 else sum(MS_WEIGHTS[:scales])
    weights = [weight / total for weight in MS_WEIGHTS[:scales]]
    metric = regression.MultiScaleSSIMMetric(spatial_dims=2, data_range=2000.0, weights=weights, reduction="none")
    found = fidelity.ms_ssim(fake, target, data_range=2000, scales=scales)
    expected = metric(fake.float(), target.float()).flatten().double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def reference_ms_ssim(fake, target, data_range):
    """Wang 2003, with the border of its authors' code: mirrored 2×2 mean, every second pixel kept."""
    score = 1.0
    for scale, weight in enumerate(MS_WEIGHTS, start=1):

        def blur(values):
            return gaussian_filter(values, 1.5, truncate=3.5)[5:-5, 5:-5]

        mean, _ = skimage_metrics.structural_similarity(fake, target, data_range=data_range, full=True, **GAUSSIAN_SSIM)
        variances = blur(fake**2) - blur(fake) ** 2 + blur(target**2) - blur(target) ** 2
        covariance = blur(fake * target) - blur(fake) * blur(target)
        c2 = (0.03 * data_range) ** 2
        contrast_structure = ((2 * covariance + c2) / (variances + c2)).mean()
        score *= (mean if scale == 5 else contrast_structure) ** weight
        fake, target = (uniform_filter(values, 2, origin=-1)[::2, ::2] for values in (fake, target))
    return score


@pytest.mark.parametrize("size", [161, (163, 191), 176])
def test_ms_ssim_equals_a_reference_from_the_paper_at_odd_sizes_too(image, degraded, tensor, size):
    target = image(size, 7)
    fake = degraded(target, 7)
    found = fidelity.ms_ssim(tensor(fake), tensor(target), data_range=1.0).item()
    assert found == pytest.approx(reference_ms_ssim(fake, target, 1.0), abs=1e-10)


def reference_vif(fake, target):
    """VIFp at 8 bits, after the pseudo-code of Sheikh & Bovik's vifp_mscale: 2-D windows, one formula per line."""
    numerator = denominator = 0.0
    for scale in range(1, 5):
        size = 2 ** (4 - scale + 1) + 1
        offsets = np.arange(size) - size // 2
        window = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * (size / 5) ** 2))
        window /= window.sum()

        def local_mean(values, window=window):
            return correlate2d(values, window, mode="valid")

        if scale > 1:
            fake, target = local_mean(fake)[::2, ::2], local_mean(target)[::2, ::2]
        var_target = np.maximum(local_mean(target**2) - local_mean(target) ** 2, 0)
        var_fake = np.maximum(local_mean(fake**2) - local_mean(fake) ** 2, 0)
        covariance = local_mean(fake * target) - local_mean(fake) * local_mean(target)
        gain = covariance / (var_target + 1e-10)
        noise = var_fake - gain * covariance
        gain[var_target < 1e-10] = 0
        noise[var_target < 1e-10] = var_fake[var_target < 1e-10]
        var_target[var_target < 1e-10] = 0
        gain[var_fake < 1e-10] = 0
        noise[var_fake < 1e-10] = 0
        noise[gain < 0] = var_fake[gain < 0]
        gain[gain < 0] = 0
        noise[noise <= 1e-10] = 1e-10
        numerator += np.log10(1 + gain**2 * var_target / (noise + 2.0)).sum()
        denominator += np.log10(1 + var_target / 2.0).sum()
    return numerator / denominator


@pytest.mark.parametrize("size", [41, 64, (75, 90), 128])
def test_vif_equals_a_reference_from_the_paper_in_any_unit(image, degraded, tensor, size):
    target = image(size, 3)
    fake = degraded(target, 3)
    expected = reference_vif(255 * fake, 255 * target)
    assert 0.1 < expected < 0.9
    for data_range, offset in [(255.0, 0.0), (1.0, 0.0), (2000.0, -1000.0)]:
        one, other = (tensor(values) * data_range + offset for values in (fake, target))
        assert fidelity.vif(one, other, data_range=data_range).item() == pytest.approx(expected, rel=1e-9)


def test_vif_equals_the_reference_on_inverted_contrast(image, degraded, tensor):
    target = image(64, 4)
    fake = 1 - degraded(target, 4)
    expected = reference_vif(255 * fake, 255 * target)
    assert fidelity.vif(tensor(fake), tensor(target), data_range=1.0).item() == pytest.approx(expected, rel=1e-9)


# --- properties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "perfect"),
    [*((metric, 0) for metric in WITHOUT_RANGE), *zip(WITH_RANGE, (math.inf, 1, 1, 1), strict=True)],
)
def test_identical_images_score_perfectly_masked_or_not(pair_hu, metric, perfect):
    _, target, body = pair_hu
    for mask in (None, body):
        assert call(metric, target, target.clone(), mask=mask).tolist() == pytest.approx([perfect] * 3, abs=1e-8)


def test_constant_images():
    flat, other = torch.full((1, 1, 161, 161), -1000.0), torch.full((1, 1, 161, 161), -900.0)
    assert fidelity.ssim(flat, flat, data_range=2000).item() == 1
    assert fidelity.ms_ssim(flat, flat, data_range=2000).item() == 1
    assert fidelity.mae(flat, other).item() == 100
    assert fidelity.psnr(flat, other, data_range=2000).item() == pytest.approx(20 * math.log10(20))
    assert math.isnan(fidelity.vif(other, flat, data_range=2000).item())


def test_vif_falls_with_blur_and_noise_and_rises_with_contrast(image, tensor):
    target = image(96, 5)
    blurred = [gaussian_filter(target, sigma) for sigma in (0, 0.5, 1, 2, 4)]
    noise = np.random.default_rng(0).standard_normal(target.shape)
    noisy = [target + sigma * noise for sigma in (0, 0.01, 0.03, 0.1, 0.3)]
    for worse_and_worse in (blurred, noisy):
        scores = fidelity.vif(tensor(*worse_and_worse), tensor(*[target] * 5), data_range=1.0)
        assert scores[0].item() == pytest.approx(1, abs=1e-9)
        assert (scores.diff() < 0).all()
    assert fidelity.vif(tensor(0.5 + 1.3 * (target - 0.5)), tensor(target), data_range=1.0).item() > 1


@pytest.mark.parametrize("metric", [*WITHOUT_RANGE, *WITH_RANGE])
def test_masks_full_empty_and_one_image_at_a_time(pair_hu, metric):
    fake, target, body = pair_hu
    mask = body.clone()
    mask[0], mask[1] = True, False
    found = call(metric, fake, target, mask=mask)
    assert found[0].item() == pytest.approx(call(metric, fake, target)[0].item(), rel=1e-12)
    assert math.isnan(found[1].item())
    alone = call(metric, fake[2:], target[2:], mask=body[2:])
    assert found[2].item() == pytest.approx(alone.item(), rel=1e-12)


@pytest.mark.parametrize("metric", [*WITHOUT_RANGE, *WITH_RANGE])
def test_damage_outside_the_mask_does_not_count(pair_hu, metric):
    """An error out of the mask's reach (32 px at VIF's fourth scale) moves the whole slice's score only."""
    fake, target, _ = pair_hu
    mask = torch.zeros_like(target, dtype=torch.bool)
    mask[..., 40:60, 40:60] = True
    damaged = fake.clone()
    damaged[..., 160:, 160:] += torch.linspace(0, 900, 32, dtype=torch.float64)
    options = {"scales": 3} if metric is fidelity.ms_ssim else {}
    assert (call(metric, damaged, target, **options) - call(metric, fake, target, **options)).abs().min() > 0
    masked = [call(metric, values, target, mask=mask, **options) for values in (damaged, fake)]
    torch.testing.assert_close(*masked, rtol=1e-12, atol=0)


images = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).random((2, 1, 1, 41, 41)))


@settings(max_examples=20, deadline=None)
@given(pair=images, factor=st.floats(1e-3, 1e4))
def test_scaling_images_and_data_range_together_changes_no_score(pair, factor):
    fake, target = torch.from_numpy(pair)
    for metric in (fidelity.psnr, fidelity.ssim, fidelity.vif):
        expected = metric(fake, target, data_range=1.0).item()
        assert metric(fake * factor, target * factor, data_range=factor).item() == pytest.approx(expected, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(pair=images, offset=st.floats(-2000, 2000))
def test_a_common_offset_changes_no_pixel_error(pair, offset):
    fake, target = torch.from_numpy(pair)
    for metric in (fidelity.mae, fidelity.mse, fidelity.rmse, fidelity.psnr):
        expected = call(metric, fake, target, 1.0).item()
        assert call(metric, fake + offset, target + offset, 1.0).item() == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(pair=images)
def test_symmetric_and_within_bounds(pair):
    fake, target = torch.from_numpy(pair)
    for sign in (1, -1):
        score = fidelity.ssim(sign * fake, target, data_range=1.0).item()
        assert -1 <= score <= 1
        assert fidelity.ssim(target, sign * fake, data_range=1.0).item() == pytest.approx(score, abs=1e-12)
    assert fidelity.mae(fake, target).item() <= fidelity.rmse(fake, target).item()
    for metric in (fidelity.mae, fidelity.mse, fidelity.rmse, fidelity.psnr):
        assert call(metric, fake, target, 1.0).item() == pytest.approx(
            call(metric, target, fake, 1.0).item(), rel=1e-12
        )


def test_psnr_gains_20_db_per_tenfold_data_range_and_loses_20_per_tenfold_error(pair_hu):
    fake, target, _ = pair_hu
    score = fidelity.psnr(fake, target, data_range=2000)
    torch.testing.assert_close(fidelity.psnr(fake, target, data_range=20000), score + 20)
    torch.testing.assert_close(fidelity.psnr(target + 10 * (fake - target), target, data_range=2000), score - 20)


def test_ssim_with_the_range_of_8_bits_praises_unrelated_images_in_0_1(image, tensor):
    """A mistake that published tables contain: data_range 255 on images in [0, 1]."""
    rng = np.random.default_rng(0)
    one, other = tensor(rng.random((128, 128))), tensor(rng.random((128, 128)))
    assert fidelity.ssim(one, other, data_range=255.0).item() == pytest.approx(0.997, abs=5e-4)
    assert fidelity.ssim(one, other, data_range=1.0).item() == pytest.approx(0.02, abs=5e-3)
    sparse, dense = tensor(rng.random((128, 128)) ** 8), tensor(1 - rng.random((128, 128)) ** 8)
    assert fidelity.ssim(sparse, dense, data_range=255.0).item() > 0.9
    assert abs(fidelity.ssim(sparse, dense, data_range=1.0).item()) < 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_scores_are_float64_whatever_the_images_are(pair_hu, dtype):
    fake, target = (values.to(dtype) for values in pair_hu[:2])
    for metric in [*WITHOUT_RANGE, *WITH_RANGE]:
        with torch.autocast("cpu", torch.bfloat16):
            found = call(metric, fake, target)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, call(metric, fake.double(), target.double()), rtol=1e-12, atol=0)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [*WITHOUT_RANGE, *WITH_RANGE])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_pixel_is_refused_by_name_and_count(pair_hu, metric, bad):
    fake, target, _ = pair_hu
    damaged = fake.clone()
    damaged[1, 0, 3, 4:6] = bad
    with pytest.raises(InputError, match=r"(?s)where: fake.*2 pixels"):
        call(metric, damaged, target)
    with pytest.raises(InputError, match=r"where: target"):
        call(metric, target, damaged)


@pytest.mark.parametrize("metric", WITH_RANGE)
def test_data_range_is_required_and_positive(pair_hu, metric):
    fake, target, _ = pair_hu
    with pytest.raises(TypeError, match="data_range"):
        metric(fake, target)
    for wrong in (0, -1.0, math.nan, math.inf, None):
        with pytest.raises(InputError, match="data_range"):
            metric(fake, target, data_range=wrong)


@pytest.mark.parametrize("metric", [*WITHOUT_RANGE, *WITH_RANGE])
def test_shapes_that_do_not_match_are_refused(pair_hu, metric):
    fake, target, body = pair_hu
    for wrong in (target[:1], target[0, 0], target[:0]):
        with pytest.raises(InputError, match="shapes"):
            call(metric, fake if len(wrong) else wrong, wrong)
    with pytest.raises(InputError, match="mask"):
        call(metric, fake, target, mask=body[:, 0])


@pytest.mark.parametrize(
    ("metric", "smallest", "options"),
    [
        (fidelity.ssim, 11, {}),
        (fidelity.ms_ssim, 161, {}),
        (fidelity.ms_ssim, 81, {"scales": 4}),
        (fidelity.ms_ssim, 41, {"scales": 3}),
        (fidelity.ms_ssim, 21, {"scales": 2}),
        (fidelity.vif, 41, {}),
    ],
)
def test_the_smallest_image_works_and_a_smaller_one_is_refused(metric, smallest, options):
    fake, target = torch.rand(2, 1, 1, smallest, smallest + 3, generator=torch.Generator().manual_seed(0))
    assert metric(fake, target, data_range=1.0, **options).isfinite().all()
    with pytest.raises(InputError, match=f"≥ {smallest} px"):
        metric(fake[..., 1:, :], target[..., 1:, :], data_range=1.0, **options)


@pytest.mark.parametrize("scales", [0, 6])
def test_ms_ssim_has_one_to_five_scales(pair_hu, scales):
    with pytest.raises(InputError, match="1 to 5"):
        fidelity.ms_ssim(*pair_hu[:2], data_range=2000, scales=scales)


def test_masked_ms_ssim_is_nan_where_no_coarse_window_fits_in_the_mask(pair_hu):
    fake, target, _ = pair_hu
    beside = torch.zeros_like(target, dtype=torch.bool)
    beside[..., 40:60, 40:60] = True  # 5 px of the fifth scale are 80 px of the image: only its middle has a value
    assert fidelity.ms_ssim(fake, target, data_range=2000, mask=beside).isnan().all()
    assert fidelity.ms_ssim(fake, target, data_range=2000, mask=beside, scales=3).isfinite().all()


def test_one_scale_is_plain_ssim(pair_hu):
    fake, target, body = pair_hu
    found = fidelity.ms_ssim(fake, target, data_range=2000, mask=body, scales=1)
    torch.testing.assert_close(found, fidelity.ssim(fake, target, data_range=2000, mask=body))
