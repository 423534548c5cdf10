"""FDG PET of a plane of tissues: uptake, scanner blur, counting noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsynth_lib.phantom.attenuation import linear_attenuation
from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.tissues import TISSUES

#: Tissues in which glucose use or excretion varies most between patients: drawn log-normally.
_LOG_NORMAL = ("myocardium", "urine", "renal pelvis", "liver lesion", "lung nodule", "sarcoma", "brain metastasis")


@dataclass(frozen=True)
class PETScanner:
    """A PET scanner and its protocol.

    Args:
        voxel_mm: in-plane voxel; 3.9 to 5.5 mm in clinical scans.
        blur_mm: FWHM of the detectors' point spread, 4.5 to 6 mm in NEMA NU 2 tests of clinical scanners, 1 mm more
            off centre.
        filter_mm: FWHM of the filter after reconstruction, 5 to 8 mm (EANM guideline 2.0, Boellaard et al. 2015).
        background: scatter and random coincidences, subtracted by the reconstruction, per true one. A scatter
        fraction of
            35 % and about as many randoms are usual (NEMA NU 2).
        liver_noise: coefficient of variation of the liver at the stated count level; the EANM guideline asks < 15 %.
    """

    voxel_mm: float = 3.90625
    blur_mm: float = 5.0
    filter_mm: float = 5.0
    liver_noise: float = 0.10
    background: float = 1.0

    @classmethod
    def random(cls, rng: np.random.Generator, voxel_mm: float) -> PETScanner:
        """A scanner from the spread of clinical ones."""
        return cls(
            voxel_mm=voxel_mm,
            blur_mm=float(rng.uniform(5.0, 7.0)),
            filter_mm=float(rng.uniform(5.0, 8.0)),
            liver_noise=float(rng.uniform(0.07, 0.19)),
        )


def uptake(patient: Patient) -> np.ndarray:
    """SUVbw of every tissue code in this patient: the table's mean times a factor with the table's variation."""
    rng = np.random.default_rng([patient.seed, 5])
    values = []
    for tissue in TISSUES:
        draw = rng.normal()
        if tissue.name in _LOG_NORMAL:
            sigma = np.sqrt(np.log1p(tissue.suv_cv**2))
            factor = np.exp(sigma * draw - sigma**2 / 2)
        else:
            factor = np.clip(1 + tissue.suv_cv * draw, 0.4, 2.0)
        values.append(tissue.suv * factor)
    return np.array(values, dtype=np.float32)


def scan(activity: np.ndarray, scanner: PETScanner, rng: np.random.Generator) -> np.ndarray:
    """What the scanner shows of ``activity`` ``(X, Y)`` in SUV: float32, never negative.

    Counts per voxel are Poisson about ``k (SUV + b)``: the background ``b`` spreads over the body alike, and ``k b`` is
    subtracted, so noise stays where uptake is low. Photons are lost on the way out, so k falls with depth as
    exp(-mu(511 keV) * path), and correction for it amplifies noise in the middle of the body. A Gaussian filter of
    ``filter_mm`` follows. With white noise its variance falls by 1 / (4 pi sigma^2), sigma in voxels: that sets k from
    ``liver_noise`` at SUV 2.2.
    """
    sigma = scanner.filter_mm / 2.355 / scanner.voxel_mm
    blurred = ndimage.gaussian_filter(activity, scanner.blur_mm / 2.355 / scanner.voxel_mm, mode="nearest", truncate=4)
    smoothing = min(1.0, 1 / (4 * np.pi * sigma**2))
    counts = smoothing / (2.2 * scanner.liver_noise**2) * relative_sensitivity(activity, scanner.voxel_mm)
    body = activity > 0.02
    background = scanner.background * (float(blurred[body].mean()) if body.any() else 0.0)
    background *= ndimage.gaussian_filter(body.astype(np.float32), 15 / scanner.voxel_mm)
    noisy = rng.poisson((np.maximum(blurred, 0) + background) * counts + 0.02) / counts - background
    return np.maximum(ndimage.gaussian_filter(noisy.astype(np.float32), sigma, mode="nearest", truncate=4), 0)


def relative_sensitivity(activity: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Part of the photon pairs that leave the body from each voxel, relative to the middle of an average abdomen."""
    body = ndimage.gaussian_filter((activity > 0.02).astype(np.float32), 1) > 0.5
    x, y = np.meshgrid(*(np.arange(n) for n in activity.shape), indexing="ij")
    survival = np.zeros(activity.shape, dtype=np.float32)
    angles = np.arange(8) * np.pi / 8
    for angle in angles:
        s = np.rint(x * np.cos(angle) + y * np.sin(angle)).astype(int)
        s -= s.min()
        path_cm = np.bincount(s.ravel(), body.ravel()) * voxel_mm / 10
        survival += np.exp(-linear_attenuation("water", 511.0) * path_cm)[s]
    return np.clip(survival / len(angles) / np.exp(-linear_attenuation("water", 511.0) * 28), 0.15, 8)
