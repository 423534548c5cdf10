"""Small cohorts of known geometry, an elliptic patient on a table with fine CT and coarse PET; and slice stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.nifti import write_nifti
from medsynth_lib.data.slices import BODY, SliceStore, storage_dtype, write_index
from medsynth_lib.data.volume import Volume

#: Semi-axes of the body, its lungs' radius and distance from the middle, in millimetres.
BODY_MM = (130.0, 90.0)
LUNG_MM, LUNG_AT_MM = 30.0, 60.0
TABLE_Y_MM = -100.0
TABLE_HU, LUNG_HU = 300.0, -800.0
#: Where PET shows activity outside the body's outline on CT.
SPOT_MM, SPOT_SUV = (0.0, 110.0), 6.0


def affine(spacing_mm: tuple[float, float, float], shape: tuple[int, int, int], z_mm: float = 0.0) -> np.ndarray:
    """Axis-aligned RAS+ affine whose image is centred on the z axis and starts at ``z_mm``."""
    matrix = np.diag([*spacing_mm, 1.0])
    matrix[:3, 3] = [-spacing_mm[0] * (shape[0] - 1) / 2, -spacing_mm[1] * (shape[1] - 1) / 2, z_mm]
    return matrix


def plane_mm(shape: tuple[int, int, int], matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World x and y of every pixel of a plane, ``(X, Y)`` each."""
    x, y = (matrix[i, 3] + matrix[i, i] * np.arange(shape[i]) for i in (0, 1))
    return np.meshgrid(x, y, indexing="ij")


def inside(x: np.ndarray, y: np.ndarray, scale: float = 1.0) -> np.ndarray:
    return (x / BODY_MM[0]) ** 2 + (y / BODY_MM[1]) ** 2 <= scale**2


def ct(planes: int = 6, spacing_mm: float = 4.0, gap_mm: float = 5.0, z_mm: float = 0.0, scale: float = 1.0) -> Volume:
    """Fat around soft tissue and two lungs, on a table that is one board of 4 mm."""
    shape = (round(400 / spacing_mm), round(300 / spacing_mm), planes)
    matrix = affine((spacing_mm, spacing_mm, gap_mm), shape, z_mm)
    x, y = plane_mm(shape, matrix)
    plane = np.full(shape[:2], -1000.0)
    plane[(abs(x) < 180) & (abs(y - TABLE_Y_MM) <= 2.0)] = TABLE_HU
    plane[inside(x, y, scale)] = -100.0
    plane[inside(x, y, 0.85 * scale)] = 40.0
    plane[np.hypot(abs(x) - LUNG_AT_MM, y) <= LUNG_MM] = LUNG_HU
    return Volume(np.repeat(plane[:, :, None], planes, axis=2).astype(np.float32), matrix, "CT", "HU")


def pet(
    planes: int = 8, spacing_mm: float = 8.0, gap_mm: float = 4.0, z_mm: float = -1.0, scale: float = 1.0
) -> Volume:
    """SUV 1 in the body, more from plane to plane, noise around it, and a spot outside the body."""
    shape = (round(480 / spacing_mm), round(400 / spacing_mm), planes)
    matrix = affine((spacing_mm, spacing_mm, gap_mm), shape, z_mm)
    x, y = plane_mm(shape, matrix)
    plane = np.where(inside(x, y, scale), 1.0, 0.02)
    values = plane[:, :, None] * (1 + np.arange(planes))
    values[np.hypot(x - SPOT_MM[0], y - SPOT_MM[1]) < 12] = SPOT_SUV
    return Volume(values.astype(np.float32), matrix, "PET", "SUVbw")


def write_cohort(root: Path, patients: int = 4) -> Path:
    """``patients`` of slightly different size, ``P1`` ..., each with CT and PET."""
    for index in range(patients):
        scale = 1 - 0.03 * index
        write_patient(root, f"P{index + 1}", ct(scale=scale), pet(scale=scale))
    return root


def write_patient(root: Path, key: str, *volumes: Volume) -> None:
    for volume in volumes:
        write_nifti(volume, root / key / f"{volume.modality}.nii")


def write_store(folder: Path, slices: dict[str, tuple[str, int]], size: int = 32, seed: int = 0) -> SliceStore:
    """A store of noise: patient → (split, number of slices)."""
    rng, total = np.random.default_rng(seed), sum(count for _, count in slices.values())
    folder.mkdir(parents=True, exist_ok=True)
    images = {
        "PET": rng.uniform(0, 12, (total, size, size)),
        "CT": rng.integers(-1100, 1100, (total, size, size)),
        BODY: rng.random((total, size, size)) < 0.5,
    }
    for modality, array in images.items():
        np.save(folder / f"{modality}.npy", array.astype(storage_dtype(modality)))
    entries, start = [], 0
    for key, (split, count) in slices.items():
        entry = {"key": key, "split": split, "start": start, "stop": start + count, "spacing_mm": [1.0, 1.0, 5.0]}
        windows = {modality: DEFAULT_WINDOWS[modality].to_dict() for modality in ("PET", "CT")}
        entries.append({**entry, "z_mm": [5.0 * z for z in range(count)], "windows": windows, "problems": []})
        start += count
    settings = {"source": "PET", "target": "CT"}
    write_index(folder, entries, modalities=["PET", "CT"], size=size, settings=settings, skipped=[], synthetic=True)
    return SliceStore.open(folder)
