"""Figures that can be measured alike on a phantom and on a real scan, so that one can be held against the other.

Every function returns plain numbers. Images are first brought to a common pixel (``CT_PIXEL_MM``, ``PET_PIXEL_MM``): a
spectrum or a noise level means nothing beside one measured on another grid.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from medsynth_lib.conventions import axial_slice
from medsynth_lib.data.classes import TORSO_CLASSES
from medsynth_lib.data.volume import Grid, Volume

CT_PIXEL_MM, PET_PIXEL_MM = 1.953125, 5.46875
#: Side of the square in which noise is measured, in mm.
PATCH_MM = 30.0
#: Frequencies (1/mm) between which the slope of a power spectrum is fitted.
SLOPE_BAND = {"CT": (0.02, 0.2), "CECT": (0.02, 0.2), "MR": (0.02, 0.2), "PET": (0.01, 0.07)}
_FAT_HU, _MUSCLE_HU = (-130, -70), (20, 90)


def same_pixels(volume: Volume, pixel_mm: float) -> Volume:
    """The volume with square pixels of ``pixel_mm`` in its axial planes; planes stay where they are."""
    x_mm, y_mm, _ = volume.spacing_mm
    if abs(x_mm - pixel_mm) < 1e-3 and abs(y_mm - pixel_mm) < 1e-3:
        return volume
    shape = (int(volume.shape[0] * x_mm / pixel_mm), int(volume.shape[1] * y_mm / pixel_mm), volume.shape[2])
    affine = np.array(volume.affine, float)
    affine[:3, 0] *= pixel_mm / x_mm
    affine[:3, 1] *= pixel_mm / y_mm
    return volume.resample_to(Grid(shape, affine), fill=float(volume.array.min()))


def organ_hu(ct: Volume, labels: np.ndarray, least: int = 40) -> dict[str, tuple[float, float]]:
    """Mean and sd of HU in every class, its outer 3 mm left out, or as much as leaves a third of it.

    Classes with fewer than ``least`` voxels are skipped.
    """
    found = {}
    for number, name in enumerate(TORSO_CLASSES):
        whole = labels == number
        for rim in (round(3 / ct.spacing_mm[0]), 1, 0):
            mask = ndimage.binary_erosion(whole, np.ones((2 * rim + 1, 2 * rim + 1, 1)))
            if mask.sum() >= whole.sum() / 3:
                break
        if number and mask.sum() >= least:
            values = ct.array[mask]
            found[name] = float(values.mean()), float(values.std())
    return found


def body_mask(ct: np.ndarray) -> np.ndarray:
    """The patient in one ``(X, Y)`` slice: the largest piece above -300 HU once thin things are opened away, filled."""
    solid = ndimage.binary_opening(ct > -300, iterations=2)
    pieces, count = ndimage.label(solid)
    if not count:
        return solid
    largest = 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(pieces == largest)


def areas_cm2(ct: Volume, planes: Iterable[int]) -> list[tuple[float, float]]:
    """Area of body and of bone (above 200 HU, lightly smoothed) in each of ``planes``."""
    pixel_cm2 = np.prod(ct.spacing_mm[:2]) / 100
    found = []
    for index in planes:
        body = body_mask(ct.array[..., index])
        bone = ndimage.gaussian_filter(ct.array[..., index].astype(np.float32), 0.7) > 200
        found.append((float(body.sum() * pixel_cm2), float((bone & body).sum() * pixel_cm2)))
    return found


def radial_spectrum(image: np.ndarray, pixel_mm: float, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Radially averaged power of a slice under a Hann window: frequencies in 1/mm, and power."""
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    f = np.hypot(np.fft.fftfreq(image.shape[0], pixel_mm)[:, None], np.fft.fftfreq(image.shape[1], pixel_mm)[None])
    edges = np.linspace(0, 0.5 / pixel_mm, bins + 1)
    ring = np.digitize(f.ravel(), edges) - 1
    inside = ring < bins
    sums = np.bincount(ring[inside], power.ravel()[inside], bins)
    counts = np.maximum(np.bincount(ring[inside], minlength=bins), 1)
    return (edges[1:] + edges[:-1]) / 2, sums / counts


def spectrum_slope(image: np.ndarray, pixel_mm: float, band: tuple[float, float]) -> float:
    """Slope of log power against log frequency inside ``band``; natural images lie near -2 to -4."""
    f, power = radial_spectrum(image, pixel_mm)
    inside = (f >= band[0]) & (f <= band[1])
    return float(np.polyfit(np.log(f[inside]), np.log(power[inside] + 1e-12), 1)[0])


def patch_noise(image: np.ndarray, pixel_mm: float, allowed: np.ndarray) -> tuple[float, float, float] | None:
    """Noise in the quietest square inside ``allowed``: its sd, its mean, and the mean frequency of its spectrum.

    A plane is subtracted first. The quietest of many squares is quieter than the average one, alike in every image.
    """
    side = max(6, round(PATCH_MM / pixel_mm))
    best = None
    for i in range(0, image.shape[0] - side, side // 2):
        for j in range(0, image.shape[1] - side, side // 2):
            where = slice(i, i + side), slice(j, j + side)
            if allowed[where].all():
                rest = _without_plane(image[where])
                if best is None or rest.std() < best[0].std():
                    best = rest, float(image[where].mean())
    if best is None:
        return None
    power = np.abs(np.fft.fft2(best[0])) ** 2
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side, pixel_mm),) * 2))
    return float(best[0].std()), best[1], float((f * power).sum() / max(power.sum(), 1e-12))


def _without_plane(patch: np.ndarray) -> np.ndarray:
    x, y = np.meshgrid(np.arange(patch.shape[0]), np.arange(patch.shape[1]), indexing="ij")
    basis = np.column_stack([x.ravel(), y.ravel(), np.ones(x.size)])
    values = patch.ravel().astype(float)
    return (values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0]).reshape(patch.shape)


def texture(volume: Volume, planes: Iterable[int], limits: tuple[float, float]) -> dict[str, list[float]]:
    """Per plane: noise sd, mean of the quietest patch, its mean frequency, and the slope of the slice's spectrum."""
    pixel = volume.spacing_mm[0]
    found: dict[str, list[float]] = {"noise": [], "level": [], "frequency": [], "slope": []}
    for index in planes:
        image = axial_slice(volume.array, index).astype(float)
        noise = patch_noise(image, pixel, (image > limits[0]) & (image < limits[1]))
        if noise is not None:
            for name, value in zip(("noise", "level", "frequency"), noise, strict=True):
                found[name].append(value)
        shown = np.clip(image, -1000, 1000) if volume.unit == "HU" else image
        found["slope"].append(spectrum_slope(shown, pixel, SLOPE_BAND[volume.modality]))
    return found


def uptake(ct: Volume, pet: Volume, planes: Iterable[int], exclude: np.ndarray | None = None) -> dict[str, float]:
    """Mean SUV well inside fat and muscle, told by their CT numbers; ``exclude`` is a mask on the CT grid."""
    on_ct = pet.resample_to(ct.grid)
    smooth = ndimage.gaussian_filter(ct.array.astype(np.float32), (1.0, 1.0, 0))
    found = {}
    for name, (low, high) in (("fat", _FAT_HU), ("muscle", _MUSCLE_HU)):
        mask = (smooth > low) & (smooth < high)
        if exclude is not None:
            mask &= ~ndimage.binary_dilation(exclude, np.ones((9, 9, 3)))
        mask = ndimage.binary_erosion(mask, np.ones((5, 5, 1)))[..., list(planes)]
        if mask.sum() > 50:
            found[name] = float(on_ct.array[..., list(planes)][mask].mean())
    return found


def fat_to_muscle(mr: Volume, ct: Volume, planes: Iterable[int]) -> float | None:
    """Signal of fat over that of muscle on MR, told apart by the CT of the same patient."""
    on_ct, planes = mr.resample_to(ct.grid), list(planes)
    smooth = ndimage.gaussian_filter(ct.array.astype(np.float32), (1.0, 1.0, 0))[..., planes]
    signal = []
    for low, high in (_FAT_HU, _MUSCLE_HU):
        mask = ndimage.binary_erosion((smooth > low) & (smooth < high), np.ones((5, 5, 1)))
        values = on_ct.array[..., planes][mask]
        values = values[values > 0]
        if values.size < 50:
            return None
        signal.append(float(np.median(values)))
    return signal[0] / signal[1]
