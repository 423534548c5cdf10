"""Physical units to the networks' [-1, 1], and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.errors import InputError


@dataclass(frozen=True)
class IntensityWindow:
    """Linear map of ``[low, high]`` (physical units) onto [-1, 1]; values outside are clipped.

    ``encode(v) = 2 (clip(v, low, high) - low) / (high - low) - 1`` and ``decode`` is its inverse on [-1, 1].
    One class serves CT (a HU window), PET (0 to an SUV ceiling) and MR (percentiles of the volume).
    Works on numpy arrays and torch tensors alike.
    """

    low: float
    high: float
    unit: str

    def __post_init__(self):
        if not (np.isfinite([self.low, self.high]).all() and self.high > self.low):
            raise InputError("an intensity window needs low < high", seen=f"[{self.low}, {self.high}] {self.unit}")

    def encode(self, values):
        return (values.clip(self.low, self.high) - self.low) * (2.0 / (self.high - self.low)) - 1.0

    def decode(self, values):
        return (values + 1.0) * ((self.high - self.low) / 2.0) + self.low

    @property
    def range(self) -> float:
        """``data_range`` for PSNR and SSIM in physical units."""
        return self.high - self.low

    def to_dict(self) -> dict[str, float | str]:
        return asdict(self)


#: Windows used where the user names none. CT: everything between air and dense bone that PET→CT papers show. SUV: above
#: nearly all tissue but brain, heart and bladder, which saturate, so that lung and fat stay apart. LABELS: class
#: numbers, evenly spaced, so that ``decode`` and rounding give them back exactly.
DEFAULT_WINDOWS = {
    "CT": IntensityWindow(-1000.0, 1000.0, "HU"),
    "CECT": IntensityWindow(-1000.0, 1000.0, "HU"),
    "PET": IntensityWindow(0.0, 5.0, "SUVbw"),
    "LABELS": IntensityWindow(0.0, len(HEAD_CLASSES) - 1.0, "label"),
}


def percentile_window(volume: np.ndarray, low: float = 0.5, high: float = 99.5) -> IntensityWindow:
    """Window of an MR volume: its own percentiles over voxels above the mean, since MR has no absolute unit.

    Percentiles of all voxels would depend on how much air surrounds the patient, so only voxels above the volume's
    mean, which are mostly tissue, set the ceiling; the floor is the percentile of all voxels.
    """
    tissue = volume[volume > volume.mean()]
    if tissue.size == 0:
        raise InputError("the MR volume is constant: there is nothing to scale", seen=float(volume.flat[0]))
    return IntensityWindow(float(np.percentile(volume, low)), float(np.percentile(tissue, high)), "a.u.")
