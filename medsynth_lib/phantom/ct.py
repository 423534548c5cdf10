"""CT and contrast-enhanced CT of a plane of tissues: CT numbers, partial volume, blur and the noise of filtered
back-projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsynth_lib.conventions import CT_RANGE_HU
from medsynth_lib.errors import InputError
from medsynth_lib.phantom.attenuation import hounsfield, linear_attenuation
from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.tissues import TISSUES

#: Contrast phase -> the column of the tissue table it reads.
PHASES = ("none", "arterial", "portal")
#: Line integral through 28 cm of water at 70 keV, an average abdomen: where ``noise_hu`` is stated.
REFERENCE_PATH = 28 * linear_attenuation("water")


@dataclass(frozen=True)
class CTScanner:
    """A CT scanner and its protocol.

    Args:
        noise_hu: sd of quantum noise in the middle of an average abdomen, in pixels too small to average over it; 10 to
            15 HU in diagnostic scans (McCollough et al., RadioGraphics 26:503, 2006),
            up to twice that in the low-dose CT
            of PET/CT.
        cutoff_per_mm: where the reconstruction kernel's Hann window reaches zero; 0.7 per mm for a body kernel.
        blur_mm: FWHM of the in-plane point spread of that kernel.
        modulation: how much of the change in attenuation the tube current makes good: 0 nothing, 1 all (Kalra et al.,
            Radiology 233:649, 2004).
        offset_hu: calibration error of this scanner.
    """

    noise_hu: float = 14.0
    cutoff_per_mm: float = 0.7
    blur_mm: float = 1.3
    modulation: float = 0.7
    offset_hu: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator, region: str = "torso") -> CTScanner:
        """A scanner from the spread of clinical protocols; a head gets three times the dose and a sharper pixel."""
        return cls(
            noise_hu=float(rng.uniform(6, 32) if region == "torso" else rng.uniform(6, 12)),
            cutoff_per_mm=float(rng.uniform(0.55, 0.9)),
            blur_mm=float(rng.uniform(1.5, 2.5) if region == "torso" else rng.uniform(1.0, 1.6)),
            offset_hu=float(rng.normal(0, 2)),
        )


def ct_numbers(patient: Patient, phase: str = "none") -> np.ndarray:
    """HU of every tissue code in this patient, without noise: HU(mu), the patient's own deviation, enhancement.

    Raises:
        InputError: an unknown contrast phase.
    """
    if phase not in PHASES:
        raise InputError("unknown contrast phase", rule=f"one of {', '.join(PHASES)}", seen=phase)
    rng = np.random.default_rng([patient.seed, 3])
    deviation = rng.normal(0, 1, len(TISSUES))
    uptake = np.clip(np.random.default_rng([patient.seed, 4]).normal(1, 0.2), 0.5, 1.6)
    base = np.array([hounsfield(linear_attenuation(t.material, density=t.density)) for t in TISSUES])
    bone = np.array(
        [("bone" in t.name or "cortex" in t.name or "marrow" in t.name) and t.spread_hu > 0 for t in TISSUES]
    )
    # Mineral makes the difference between bone and water: it scales trabecular bone, and cortex less (Pickhardt et al.,
    # Ann Intern Med 158:588, 2013: L1 at 150 HU with an sd of some 30 %).
    mineral = np.array([patient.bone_density if t.t2_ms > 2 else 1 + 0.4 * (patient.bone_density - 1) for t in TISSUES])
    values = np.where(bone, base * mineral, base + deviation * [t.spread_hu for t in TISSUES])
    if phase != "none":
        values = values + uptake * np.array([getattr(t, phase) for t in TISSUES])
    return values.astype(np.float32)


TEXTURE_HU = np.array([t.texture_hu for t in TISSUES], dtype=np.float32)


def clean_ct(samples: list[np.ndarray], numbers: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """HU before blur and noise: the mean over the samples inside each voxel (partial volume), with organ texture.

    ``samples`` are tissue maps ``(X, Y)``; ``texture`` a unit-variance field ``(X, Y)``.
    """
    total = np.zeros(samples[0].shape, dtype=np.float32)
    for tissue in samples:
        total += numbers[tissue]
    total /= len(samples)
    return total + TEXTURE_HU[samples[len(samples) // 2]] * texture


def scan(clean: np.ndarray, pixel_mm: float, scanner: CTScanner, rng: np.random.Generator) -> np.ndarray:
    """What the scanner shows of ``clean`` ``(X, Y)`` HU: blurred, noisy, within the range of CT; int16."""
    image = ndimage.gaussian_filter(clean, scanner.blur_mm / 2.355 / pixel_mm, mode="nearest", truncate=3)
    noise = fbp_noise(image.shape, pixel_mm, scanner.cutoff_per_mm, rng)
    image += noise * noise_sd(clean, pixel_mm, scanner) + scanner.offset_hu
    return np.clip(np.rint(image), *CT_RANGE_HU).astype(np.int16)


def fbp_noise(shape: tuple[int, int], pixel_mm: float, cutoff_per_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with the power spectrum of filtered back-projection, of unit variance before pixels average over it.

    White noise in the projections is filtered by the ramp f A(f); back-projection divides the power by f, so

        NPS(f) ~ f A(f)^2,   A(f) = (1 + cos(pi f / f_cut)) / 2 below f_cut

    (Riederer, Pelc & Chesler, Phys Med Biol 23:446, 1978), times the square of sinc for the average over a pixel.
    """
    fx, fy = np.fft.fftfreq(shape[0], pixel_mm)[:, None], np.fft.rfftfreq(shape[1], pixel_mm)[None, :]
    amplitude = np.sqrt(_nps(np.hypot(fx, fy), cutoff_per_mm)) * np.sinc(fx * pixel_mm) * np.sinc(fy * pixel_mm)
    white = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    # The whole spectrum has 2 pi times the integral of f NPS(f); white noise spreads over the area 1 / pixel^2.
    f = np.linspace(0, cutoff_per_mm, 500)
    total = 2 * np.pi * np.trapezoid(f * _nps(f, cutoff_per_mm), f) * pixel_mm**2
    return np.fft.irfft2(white * (amplitude / np.sqrt(total)).astype(np.float32), shape).astype(np.float32)


def _nps(f: np.ndarray, cutoff_per_mm: float) -> np.ndarray:
    return f * np.where(f < cutoff_per_mm, 0.5 * (1 + np.cos(np.pi * f / cutoff_per_mm)), 0) ** 2


def noise_sd(clean: np.ndarray, pixel_mm: float, scanner: CTScanner, angles: int = 12) -> np.ndarray:
    """sd of the noise in HU at every pixel ``(X, Y)``.

    A projection with line integral p arrives with variance ~ exp(p) (Poisson counts); back-projection averages it over
    the angles: sd^2(x, y) = noise_hu^2 * mean_angle exp(p(angle, s(x, y)) - p_ref), less tube-current modulation.
    """
    coarse = 4
    mu = (clean[::coarse, ::coarse] / 1000 + 1) * linear_attenuation("water")
    step_cm = coarse * pixel_mm / 10
    x, y = np.meshgrid(np.arange(mu.shape[0]), np.arange(mu.shape[1]), indexing="ij")
    variance = np.zeros(mu.shape)
    for angle in np.arange(angles) * np.pi / angles:
        s = np.rint(x * np.cos(angle) + y * np.sin(angle)).astype(int)
        s -= s.min()
        # Every pixel adds its mu over a cell of the coarse grid to its ray: sum(mu) * area / ray width.
        path = np.bincount(s.ravel(), mu.ravel()) * step_cm
        variance += np.exp(ndimage.gaussian_filter1d(path, 1.0))[s]
    ratio = (variance / angles / np.exp(REFERENCE_PATH)) ** (0.5 * (1 - scanner.modulation))
    sd = scanner.noise_hu * np.clip(ratio, 0.25, 3)
    return ndimage.zoom(sd.astype(np.float32), coarse, order=1, grid_mode=True, mode="nearest")[
        : clean.shape[0], : clean.shape[1]
    ]
