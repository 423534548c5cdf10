"""One patient through every scanner: the volumes of a cohort folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.volume import Volume
from medsynth_lib.phantom import ct, mr, pet
from medsynth_lib.phantom.anatomy import LABEL_OF, Torso
from medsynth_lib.phantom.waves import Waves

#: Where each voxel is sampled, in parts of its size along (x, y, z): spread so that edges come out as partial volume.
_SAMPLES = ((-0.3, 0.1, -0.33), (0.1, -0.3, 0.0), (0.2, 0.3, 0.33))
#: PET integrates over quiet breathing: displacement of the dome in mm at its sampled phases (10 to 15 mm from end to
#: end, more time spent breathed out; Keall et al., AAPM TG-76, Med Phys 33:3874, 2006).
_PET_BREATHS_MM = (-2.0, 2.0, 9.0)


@dataclass(frozen=True)
class Scanners:
    """The CT, PET and MR scanner one patient went through, and the contrast phase of the enhanced CT."""

    ct: ct.CTScanner
    pet: pet.PETScanner
    mr: mr.MRScanner
    phase: str

    @classmethod
    def random(cls, seed: int, pet_voxel_mm: float, region: str) -> Scanners:
        """The scanners a patient meets, from the spread of clinical protocols."""
        rng = np.random.default_rng([seed, 7])
        phase = "portal" if rng.random() < 0.8 else "arterial"
        return cls(
            ct.CTScanner.random(rng, region), pet.PETScanner.random(rng, pet_voxel_mm), mr.MRScanner.random(rng), phase
        )


class Imaging:
    """Simulates a patient plane by plane, so memory is that of the volumes asked for.

    Args:
        anatomy: the patient.
        size: pixels along each side of CT, CECT, MR and labels; PET has half as many.
        z_mm: heights of the planes, evenly spaced, feet first.
        thickness_mm: of a slice.
        sinks_mm: modality -> how far breathing has pushed the organs down while it was scanned; 0 where not named.
    """

    def __init__(self, anatomy: Torso, size: int, z_mm: np.ndarray, thickness_mm: float, sinks_mm: dict[str, float]):
        self.anatomy, self.size, self.z_mm = anatomy, size, z_mm
        self.thickness_mm, self.sinks_mm = thickness_mm, sinks_mm
        self.pixel_mm = anatomy.fov_mm / size
        self.seed = anatomy.patient.seed
        self.scanners = Scanners.random(self.seed, 2 * self.pixel_mm, anatomy.region)
        self.shading = Waves(np.random.default_rng([self.seed, 8]), 500, 4)
        self.mr_signals = mr.signals(anatomy.patient, self.scanners.mr)
        self.fat_signal = float(mr.signal(288, 165, 0.9, self.scanners.mr))
        self.numbers = {
            "CT": ct.ct_numbers(anatomy.patient), "CECT": ct.ct_numbers(anatomy.patient, self.scanners.phase)
        }  # fmt: skip
        self.suv = pet.uptake(anatomy.patient)

    def axis_mm(self, pixel_mm: float) -> np.ndarray:
        """Centres of the pixels along x or y."""
        count = round(self.anatomy.fov_mm / pixel_mm)
        return (np.arange(count) - (count - 1) / 2) * pixel_mm

    def volumes(self, modalities: Sequence[str]) -> dict[str, Volume]:
        """Every modality asked for, by its word."""
        planes = [self.planes(index, modalities) for index in range(len(self.z_mm))]
        return {word: self._volume(word, np.stack([one[word] for one in planes], axis=-1)) for word in modalities}

    def planes(self, index: int, modalities: Sequence[str]) -> dict[str, np.ndarray]:
        """Every modality asked for at one height, ``(X, Y)``."""
        samples: dict[float, list[np.ndarray]] = {}
        made = {}
        for word in modalities:
            sink = self.sinks_mm.get(word, 0.0)
            if word != "PET" and sink not in samples:
                samples[sink] = self._samples(index, self.pixel_mm, [sink] * len(_SAMPLES))
            made[word] = getattr(self, f"_{word.lower()}")(index, samples.get(sink))
        return made

    def _samples(self, index: int, pixel_mm: float, sinks: Sequence[float]) -> list[np.ndarray]:
        axis = self.axis_mm(pixel_mm)
        return [
            self.anatomy.tissue(
                axis + dx * pixel_mm, axis + dy * pixel_mm, self.z_mm[index] + dz * self.thickness_mm, sink
            )
            for (dx, dy, dz), sink in zip(_SAMPLES, sinks, strict=True)
        ]

    def _rng(self, index: int, word: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, 9, index, list(MODALITIES).index(word)])

    def _texture(self, index: int) -> np.ndarray:
        """Organ texture, the same for every modality: unit variance, correlated over some 3 mm."""
        white = self._rng(index, "LABELS").standard_normal((self.size, self.size), dtype=np.float32)
        sigma = max(0.6, 1.5 / self.pixel_mm)
        return ndimage.gaussian_filter(white, sigma, mode="wrap") * np.float32(2 * np.sqrt(np.pi) * sigma)

    def _ct(self, index: int, samples: list[np.ndarray], word: str = "CT") -> np.ndarray:
        clean = ct.clean_ct(samples, self.numbers[word], self._texture(index))
        return ct.scan(clean, self.pixel_mm, self.scanners.ct, self._rng(index, word))

    def _cect(self, index: int, samples: list[np.ndarray]) -> np.ndarray:
        return self._ct(index, samples, "CECT")

    def _mr(self, index: int, samples: list[np.ndarray]) -> np.ndarray:
        axis = self.axis_mm(self.pixel_mm).astype(np.float32)
        clean = mr.clean_mr(samples, self.mr_signals, self._texture(index))
        shading = self.shading(axis, axis, float(self.z_mm[index]))
        return mr.scan(clean, shading, self.fat_signal, self.pixel_mm, self.scanners.mr, self._rng(index, "MR"))

    def _pet(self, index: int, _samples: object) -> np.ndarray:
        sink = self.sinks_mm.get("PET", 0.0)
        samples = self._samples(index, 2 * self.pixel_mm, [sink + breath for breath in _PET_BREATHS_MM])
        activity = np.mean([self.suv[tissue] for tissue in samples], axis=0)
        return pet.scan(activity, self.scanners.pet, self._rng(index, "PET"))

    def _labels(self, _index: int, samples: list[np.ndarray]) -> np.ndarray:
        return LABEL_OF[samples[len(samples) // 2]]

    def _volume(self, word: str, array: np.ndarray) -> Volume:
        pixel = 2 * self.pixel_mm if word == "PET" else self.pixel_mm
        gap = float(self.z_mm[1] - self.z_mm[0]) if len(self.z_mm) > 1 else self.thickness_mm
        affine = np.diag([pixel, pixel, gap, 1.0])
        affine[:3, 3] = [self.axis_mm(pixel)[0], self.axis_mm(pixel)[0], self.z_mm[0]]
        return Volume(array, affine, word, MODALITIES[word], provenance={"format": "phantom", "synthetic": True})
