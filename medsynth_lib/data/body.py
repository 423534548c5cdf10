"""Which pixels are patient: the body mask, and with it the removal of table, clothing and cables."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from medsynth_lib.conventions import AIR_HU, MODALITIES
from medsynth_lib.data.volume import Volume

#: 003 §3.1: grey level 45 of 255. On the CT window [-1000, 1000] HU that is -647 HU: above air, below skin and fat.
ARTEFACT_LEVEL_HU = -1000.0 + 2000.0 * 45 / 255
#: 003 §3.1: components of up to 1000 pixels of a 256x256 image are artefacts.
ARTEFACT_AREA = 1000 / 256**2
#: Table boards and cables are thinner than this, limbs and fingers are not.
THIN_MM = 6.0
#: PET background outside the body is scatter and noise below this SUV; resting muscle is about 0.5.
BODY_SUV = 0.15


def body_level(volume: Volume) -> float:
    """Value above which a voxel counts as patient: a constant, but for MR half of Otsu's threshold."""
    if volume.unit == "HU":
        return ARTEFACT_LEVEL_HU
    if volume.unit == "SUVbw":
        return BODY_SUV
    if volume.unit == "label":
        return 0.5  # class 0 is background
    return 0.5 * float(threshold_otsu(volume.array))


def background(modality: str) -> float:
    """What lies outside the patient: air in CT, nothing elsewhere."""
    return AIR_HU if MODALITIES[modality] == "HU" else 0.0


def remove_artefacts(volume: Volume) -> tuple[Volume, np.ndarray]:
    """The volume with everything outside its body mask set to background, and that mask."""
    body = body_mask(volume)
    outside = np.asarray(background(volume.modality), volume.array.dtype)
    return volume.with_array(np.where(body, volume.array, outside)), body


def clean_source(volume: Volume) -> Volume:
    """A source as networks see it: a CT without table and clothing, by its own outline; PET and MR as they are.

    Never by the target's outline: at inference there is no target, and its outline is part of the answer.
    """
    return remove_artefacts(volume)[0] if volume.unit == "HU" else volume


def body_mask(volume: Volume) -> np.ndarray:
    """True inside the patient, ``(X, Y, Z)``, plane by plane (003 §3.1, there on 8-bit slices).

    Threshold; an opening that cuts thin boards and cables loose; 4-connected components; those larger than
    ``ARTEFACT_AREA`` of the slice stay, grown back to their thresholded outline, their holes (lungs, gas) filled.
    """
    above = volume.array > body_level(volume)
    pixels = max(1, round(THIN_MM / 2 / min(volume.spacing_mm[:2])))
    smallest = ARTEFACT_AREA * above.shape[0] * above.shape[1]
    return np.stack([_plane_mask(above[:, :, z], pixels, smallest) for z in range(above.shape[2])], axis=-1)


def _plane_mask(above: np.ndarray, radius: int, smallest: float) -> np.ndarray:
    core = ndimage.binary_erosion(above, iterations=radius, border_value=1)
    opened = ndimage.binary_dilation(core, iterations=radius, mask=above)
    labels, count = ndimage.label(opened)  # the default structure is 4-connectivity
    if count == 0:
        return np.zeros_like(above)
    sizes = np.bincount(labels.ravel())
    keep = sizes > smallest
    keep[0] = False
    return ndimage.binary_fill_holes(keep[labels])
