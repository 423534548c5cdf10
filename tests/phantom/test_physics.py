"""Each imaging model against its equation, a limit, or an independent reference."""

from __future__ import annotations

import numpy as np
import pytest

from medsynth_lib.errors import InputError
from medsynth_lib.phantom import ct, mr, pet, projection
from medsynth_lib.phantom.attenuation import ELEMENTS, ENERGIES_KEV, hounsfield, iodine_hu_per_mg_ml, linear_attenuation
from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.tissues import CODE, TISSUES


def disk(size: int, pixel_mm: float, radius_mm: float, inside: float, outside: float) -> np.ndarray:
    x = (np.arange(size) - size / 2) * pixel_mm
    return np.where(np.hypot(x[:, None], x[None]) < radius_mm, inside, outside).astype(np.float32)


def test_attenuation_equals_xraydb():
    xraydb = pytest.importorskip("xraydb")
    for element, values in ELEMENTS.items():
        reference = [xraydb.mu_elam(element, energy * 1000) for energy in ENERGIES_KEV]
        np.testing.assert_allclose(values, reference, rtol=1e-3)


def test_ct_numbers_at_their_anchors():
    assert hounsfield(linear_attenuation("water")) == 0
    assert hounsfield(linear_attenuation("air")) == -1000
    assert -115 < hounsfield(linear_attenuation("adipose")) < -85  # ICRU adipose
    assert 24 < iodine_hu_per_mg_ml() < 28  # about 25 HU for each mg/mL (Bae 2010)


def test_contrast_adds_what_the_table_says_and_nothing_to_air():
    patient = Patient.random(1)
    rise = ct.ct_numbers(patient, "portal") - ct.ct_numbers(patient)
    expected = np.array([tissue.portal for tissue in TISSUES])
    np.testing.assert_allclose(rise / rise[CODE["liver"]] * 52, expected, atol=1e-2)
    with pytest.raises(InputError, match="contrast phase"):
        ct.ct_numbers(patient, "venous")


def test_fast_noise_has_the_spectrum_it_states():
    rng, pixel, cutoff = np.random.default_rng(0), 0.5, 0.7
    power = np.mean([np.abs(np.fft.fft2(ct.fbp_noise((128, 128), pixel, cutoff, rng))) ** 2 for _ in range(40)], axis=0)
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(128, pixel),) * 2))
    rings = [power[(f > low) & (f < low + 0.02)].mean() for low in (0.1, 0.3, 0.5)]
    expected = [x * (0.5 * (1 + np.cos(np.pi * x / cutoff))) ** 2 * np.sinc(x * pixel) ** 2 for x in (0.11, 0.31, 0.51)]
    np.testing.assert_allclose(np.array(rings) / rings[0], np.array(expected) / expected[0], rtol=0.15)


def test_pixels_that_resolve_everything_keep_the_noise_and_larger_ones_average_it():
    rng = np.random.default_rng(0)
    small, large = (np.std(ct.fbp_noise((256, 256), pixel, 0.7, rng)) for pixel in (0.4, 2.0))
    assert small == pytest.approx(1, abs=0.08)
    assert large < 0.75 * small


def test_noise_grows_with_the_body_as_photons_run_out():
    scanner = ct.CTScanner(modulation=0)
    thin, thick = (ct.noise_sd(disk(128, 4, radius, 0, -1000), 4, scanner)[64, 64] for radius in (100, 140))
    assert thick / thin == pytest.approx(np.exp(linear_attenuation("water") * 8 / 2), rel=0.15)
    assert thick == pytest.approx(scanner.noise_hu, rel=0.1)  # 28 cm of water is where noise_hu is stated


def test_projection_returns_water_and_its_noise():
    pixel, water = 4.0, disk(96, 4.0, 140, 0, -1000)
    middle = (slice(40, 56), slice(40, 56))
    quiet = projection.project_and_reconstruct(water, pixel, 0, np.random.default_rng(0), angles=180)
    noisy = projection.project_and_reconstruct(water, pixel, 10, np.random.default_rng(0), angles=180)
    assert abs(quiet[middle].mean()) < 12
    assert (noisy - quiet)[middle].std() == pytest.approx(10, rel=0.35)


def test_a_spectrum_cups_a_water_disk_and_one_energy_does_not():
    water, rim = disk(96, 4.0, 140, 0, -1000), disk(96, 4.0, 125, 1, 0) - disk(96, 4.0, 110, 1, 0)
    depth = []
    for hardening in (False, True):
        image = projection.project_and_reconstruct(
            water, 4.0, 0, np.random.default_rng(0), angles=180, beam_hardening=hardening
        )
        depth.append(image[rim > 0].mean() - image[40:56, 40:56].mean())
    assert abs(depth[0]) < 10
    assert depth[1] > 15


def test_spin_echo_limits():
    long = mr.MRScanner(tr_ms=1e6, te_ms=1e-3)
    assert mr.signal(900.0, 50.0, 0.8, long) == pytest.approx(0.8, rel=1e-3)  # proton density
    t1 = mr.MRScanner(tr_ms=500, te_ms=10)
    assert mr.signal(288, 165, 0.9, t1) > mr.signal(1130, 35, 0.75, t1) > mr.signal(3800, 1000, 1.0, t1)
    t2 = mr.MRScanner(tr_ms=8000, te_ms=120)
    assert mr.signal(3800, 1000, 1.0, t2) > mr.signal(1188, 95, 0.82, t2) > mr.signal(656, 72, 0.70, t2)


def test_spoiled_gradient_peaks_at_the_ernst_angle():
    t1, tr = 700.0, 30.0
    angles = np.arange(2.0, 80.0, 0.5)
    scanners = [mr.MRScanner("spoiled gradient", te_ms=3, tr_ms=tr, flip_deg=a) for a in angles]
    best = angles[np.argmax([mr.signal(t1, 60, 1, scanner) for scanner in scanners])]
    assert best == pytest.approx(np.degrees(np.arccos(np.exp(-tr / t1))), abs=0.5)
    with pytest.raises(InputError, match="sequence"):
        mr.signal(t1, 60, 1, mr.MRScanner("echo planar"))


def test_mr_noise_in_air_is_rayleigh():
    scanner = mr.MRScanner(snr=20, blur_mm=0.01)
    air = mr.scan(np.zeros((200, 200), np.float32), np.zeros((200, 200)), 1.0, 1.0, scanner, np.random.default_rng(0))
    assert air.mean() == pytest.approx(1000 / 20 * np.sqrt(np.pi / 2), rel=0.02)


def test_pet_keeps_the_mean_and_has_the_liver_noise_it_states():
    scanner = pet.PETScanner(voxel_mm=4.0, background=0)
    activity = disk(96, 4.0, 140, 2.2, 0)
    runs = np.stack([pet.scan(activity, scanner, np.random.default_rng(seed)) for seed in range(12)])
    liver = runs[:, 38:58, 38:58]
    assert liver.mean() == pytest.approx(2.2, rel=0.01)
    assert liver.std(axis=0).mean() / 2.2 == pytest.approx(scanner.liver_noise, rel=0.15)


def test_pet_blurs_a_point_to_the_stated_width():
    scanner = pet.PETScanner(voxel_mm=2.0, blur_mm=6, filter_mm=6, liver_noise=1e-4, background=0)
    point = np.zeros((64, 64), np.float32)
    point[32, 32] = 1000
    image = pet.scan(point, scanner, np.random.default_rng(0))
    x = (np.arange(64) - 32) * 2.0
    fwhm = 2.355 * np.sqrt((image * x[:, None] ** 2).sum() / image.sum())
    assert fwhm == pytest.approx(np.hypot(6, 6), rel=0.03)


def test_uptake_varies_between_patients_as_the_table_says():
    liver = [pet.uptake(Patient.random(seed))[CODE["liver"]] for seed in range(300)]
    assert np.mean(liver) == pytest.approx(2.2, rel=0.05)
    assert np.std(liver) / np.mean(liver) == pytest.approx(0.18, rel=0.2)
