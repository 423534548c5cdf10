"""What if a lesion had taken up more sugar, or less? The same patient, plane and scanner; only the uptake differs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates

from medsynth_lib.data.slices import StoredPatient
from medsynth_lib.errors import InputError
from medsynth_lib.phantom.anatomy import Torso
from medsynth_lib.phantom.imaging import Imaging
from medsynth_lib.phantom.tissues import CODE

#: Pixels of the CT that goes with the PET drawn here (which has half as many): those of the lessons' phantom.
CT_SIZE = 256


def pet_with_uptake(
    anatomy: Torso, patient: StoredPatient, plane: int, size: int, kind: str, uptakes: Sequence[float]
) -> list[np.ndarray]:
    """The PET of one slice, once for every SUV in ``uptakes`` given to the lesions of ``kind``.

    Attenuation does not enter: the CT of all of them is one and the same. The noise is drawn from the same seed.

    Args:
        anatomy: the phantom patient, as the cohort was made with: ``Torso(seed, lesions)``.
        patient, plane, size: which slice of the store, counted from the patient's first, and the store's slice size.
        kind: a tissue of the phantom, as ``"liver lesion"``.

    Returns:
        ``(size, size)`` in SUV for each uptake, on the pixels of the store.

    Raises:
        InputError: no such tissue, or a store that does not say where its slices lie.
    """
    if kind not in CODE:
        raise InputError("the phantom has no such tissue", seen=kind)
    if patient.centre_mm is None:
        raise InputError("this store does not say where its slices lie", fix="prepare it again into a new folder")
    imaging = Imaging(anatomy, CT_SIZE, np.array([patient.z_mm[plane]]), patient.spacing_mm[2], {})
    axis, pixel = imaging.axis_mm(2 * imaging.pixel_mm), 2 * imaging.pixel_mm
    # Row 0 is the front (+y), column 0 the patient's right (+x): see conventions.
    offset = (size - 1) / 2 - np.arange(size)
    columns = (patient.centre_mm[0] + offset * patient.spacing_mm[0] - axis[0]) / pixel
    rows = (patient.centre_mm[1] + offset * patient.spacing_mm[1] - axis[0]) / pixel
    where = np.meshgrid(columns, rows)
    made = []
    for suv in uptakes:
        imaging.suv[CODE[kind]] = suv
        shown = imaging.planes(0, ("PET",))["PET"]
        made.append(map_coordinates(shown, where, order=1, mode="constant").astype(np.float32))
    return made
