"""MR of a plane of tissues: spin-echo and spoiled-gradient signal, coil shading, Rician noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsynth_lib.errors import InputError
from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.tissues import TISSUES

SEQUENCES = ("spin echo", "spoiled gradient")
#: T2* is shorter than T2 by the field's inhomogeneity: R2' of some 12 per second in tissue at 1.5 T (Haacke et al.,
#: Magnetic Resonance Imaging, 1999).
R2_PRIME_PER_S = 12.0


@dataclass(frozen=True)
class MRScanner:
    """A 1.5 T scanner and its protocol; the default is a T1-weighted spin echo.

    Args:
        snr: mean signal of fat over the sd of the noise in each of the two channels.
        shading: peak-to-peak relative change of the receive coil's sensitivity over the body.
    """

    sequence: str = "spin echo"
    te_ms: float = 12.0
    tr_ms: float = 550.0
    flip_deg: float = 90.0
    snr: float = 45.0
    shading: float = 0.35
    blur_mm: float = 1.6

    @classmethod
    def random(cls, rng: np.random.Generator) -> MRScanner:
        """T1-weighted spin echo from the spread of clinical protocols."""
        return cls(
            te_ms=float(rng.uniform(9, 16)),
            tr_ms=float(rng.uniform(450, 700)),
            snr=float(rng.uniform(25, 70)),
            shading=float(rng.uniform(0.1, 0.5)),
            blur_mm=float(rng.uniform(1.8, 3.2)),
        )


def signal(t1_ms, t2_ms, proton_density, scanner: MRScanner) -> np.ndarray:
    """Signal of a tissue, relative to a fully relaxed unit of water.

        spin echo:         S = PD (1 - exp(-TR/T1)) exp(-TE/T2)
        spoiled gradient:  S = PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE/T2*),   E1 = exp(-TR/T1)

    (Bernstein, King & Zhou, Handbook of MRI Pulse Sequences, 2004), 1/T2* = 1/T2 + R2'.

    Raises:
        InputError: an unknown sequence, or a time that is not positive.
    """
    if scanner.sequence not in SEQUENCES:
        raise InputError("unknown MR sequence", rule=f"one of {', '.join(SEQUENCES)}", seen=scanner.sequence)
    if min(scanner.te_ms, scanner.tr_ms) <= 0:
        raise InputError("TE and TR must be positive", seen=f"TE {scanner.te_ms} ms, TR {scanner.tr_ms} ms")
    e1 = np.exp(-scanner.tr_ms / np.asarray(t1_ms))
    if scanner.sequence == "spin echo":
        return proton_density * (1 - e1) * np.exp(-scanner.te_ms / np.asarray(t2_ms))
    flip = np.radians(scanner.flip_deg)
    rate = 1 / np.asarray(t2_ms) + R2_PRIME_PER_S / 1000
    return proton_density * np.sin(flip) * (1 - e1) / (1 - np.cos(flip) * e1) * np.exp(-scanner.te_ms * rate)


def signals(patient: Patient, scanner: MRScanner) -> np.ndarray:
    """Signal of every tissue code in this patient; relaxation times vary by 6 % between patients."""
    rng = np.random.default_rng([patient.seed, 6])
    t1 = np.array([t.t1_ms for t in TISSUES]) * np.clip(rng.normal(1, 0.06, len(TISSUES)), 0.8, 1.2)
    t2 = np.array([t.t2_ms for t in TISSUES]) * np.clip(rng.normal(1, 0.06, len(TISSUES)), 0.8, 1.2)
    density = np.array([t.proton_density for t in TISSUES])
    return signal(t1, t2, density, scanner).astype(np.float32)


def clean_mr(samples: list[np.ndarray], values: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """Signal before shading and noise: the mean over the samples inside each voxel, with 5 % of organ texture."""
    total = np.zeros(samples[0].shape, dtype=np.float32)
    for tissue in samples:
        total += values[tissue]
    return total / len(samples) * (1 + 0.05 * texture)


def scan(
    clean: np.ndarray,
    shading: np.ndarray,
    fat_signal: float,
    pixel_mm: float,
    scanner: MRScanner,
    rng: np.random.Generator,
) -> np.ndarray:
    """What the scanner shows: magnitude of the shaded signal plus complex noise, fat at 1000; int16.

    M = |b S + n_re + i n_im|, both parts N(0, sigma) and as coarse as the signal (images are zero-filled): Rician
    (Gudbjartsson & Patz, MRM 34:910, 1995). ``shading`` is a unit-variance smooth field ``(X, Y)``.
    """
    width = scanner.blur_mm / 2.355 / pixel_mm
    blurred = ndimage.gaussian_filter(clean, width, mode="nearest", truncate=3)
    scaled = blurred * np.exp(scanner.shading / 3 * shading) * (1000 / fat_signal)
    sigma = 1000 / scanner.snr
    noise = ndimage.gaussian_filter(rng.standard_normal((2, *clean.shape), dtype=np.float32), (0, width, width))
    real, imaginary = noise * np.float32(sigma / noise.std())
    return np.clip(np.rint(np.hypot(scaled + real, imaginary)), 0, 32767).astype(np.int16)
