"""The slow, true way to a CT slice: project, count photons, and reconstruct by filtered back-projection.

``ct.scan`` models the outcome in a hundredth of the time; this module is what it models, and what lessons on noise,
streaks and beam hardening use.
"""

from __future__ import annotations

import numpy as np
from skimage.transform import iradon, radon

from medsynth_lib.conventions import CT_RANGE_HU
from medsynth_lib.phantom.attenuation import EFFECTIVE_KEV, hounsfield, linear_attenuation
from medsynth_lib.phantom.ct import REFERENCE_PATH

#: Energy in keV -> part of the photons: a coarse 120 kVp spectrum behind 7 mm Al (shape of Boone & Seibert, Med Phys
#: 24:1661, 1997).
SPECTRUM = {40.0: 0.10, 50.0: 0.19, 60.0: 0.23, 70.0: 0.17, 80.0: 0.14, 100.0: 0.12, 120.0: 0.05}
#: Above this CT number a pixel's excess over water is taken for bone mineral.
BONE_HU = 150.0


def photons_for(noise_hu: float, pixel_mm: float, angles: int) -> float:
    """Photons per ray that give ``noise_hu`` behind ``ct.REFERENCE_PATH``.

        sd_mu^2 = k pi^2 exp(p) / (12 N0 angles pixel^2)

    (Kak & Slaney, Principles of Computerized Tomographic Imaging, 1988, sec. 5.2); k is what the Hann window leaves of
    the ramp's noise power.
    """
    f = np.linspace(0, 1, 1001)
    left = 3 * np.trapezoid((f * 0.5 * (1 + np.cos(np.pi * f))) ** 2, f)
    sd_mu = noise_hu / 1000 * linear_attenuation("water")
    return float(left * np.pi**2 * np.exp(REFERENCE_PATH) / (12 * angles * (pixel_mm / 10) ** 2 * sd_mu**2))


def project_and_reconstruct(
    clean: np.ndarray,
    pixel_mm: float,
    noise_hu: float,
    rng: np.random.Generator,
    *,
    angles: int = 360,
    beam_hardening: bool = False,
) -> np.ndarray:
    """FBP reconstruction ``(N, N)`` in HU, float32, of a square slice ``clean`` in HU.

    One energy gives p = sum mu; a spectrum gives p = -ln sum_E w_E exp(-sum mu(E)), which grows ever slower with the
    path: the reconstruction is cupped, and dark between bones. ``noise_hu`` of 0 leaves noise out.
    """
    mu = (np.clip(clean, -1000, None) / 1000 + 1) * linear_attenuation("water")
    theta = np.arange(angles) * 180 / angles
    bone = np.where(clean > BONE_HU, mu - linear_attenuation("water"), 0)
    paths = [_paths(part, pixel_mm, theta) for part in (mu - bone, bone)]
    lines = _polychromatic(*paths) if beam_hardening else sum(paths)
    if noise_hu:
        photons = photons_for(noise_hu, pixel_mm, angles)
        counts = np.maximum(rng.poisson(photons * np.exp(-lines)), 1)
        lines = np.log(photons / counts)
    image = iradon(lines / (pixel_mm / 10), theta, filter_name="hann", circle=True)
    return np.clip(hounsfield(image), *CT_RANGE_HU).astype(np.float32)


def _paths(mu: np.ndarray, pixel_mm: float, theta: np.ndarray) -> np.ndarray:
    """Line integrals; the corners outside the scanner's circle are left out."""
    x = np.arange(len(mu)) - len(mu) // 2
    circle = np.hypot(x[:, None], x[None, :]) < len(mu) // 2 - 1
    return radon(np.where(circle, mu, 0), theta, circle=True) * (pixel_mm / 10)


def _polychromatic(soft: np.ndarray, bone: np.ndarray) -> np.ndarray:
    transmitted = 0.0
    for energy, part in SPECTRUM.items():
        scale = [
            linear_attenuation(m, energy) / linear_attenuation(m, EFFECTIVE_KEV) for m in ("water", "cortical bone")
        ]
        transmitted += part * np.exp(-soft * scale[0] - bone * scale[1])
    return -np.log(transmitted)
