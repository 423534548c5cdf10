"""Whether the numbers of a label map are the course's: each class beside the HU of a CT on the same grid.

A map of another tool can hold numbers up to 37 alone and mean other organs by them. Air, bone and fat tell.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.data.volume import Volume

AIR = ("Lung", "Trachea", "Air Spaces")
BONE = ("Vertebrae", "Ribs", "Humerus", "Scapula", "Clavicula", "Femur", "Hips", "Sacrum", "Skull")
SOFT = (
    "Kidney", "Vessels", "Gallbladder", "Liver", "Pancreas", "Heart", "Pulmonary Artery", "Autochthon", "Iliopsoas",
    "Urinary Bladder", "Spleen", "Skeletal Muscle", "Grey Matter", "White Matter", "CSF", "Ventricles",
)  # fmt: skip
#: What the median of a class can be in HU, contrast agent, marrow, effusions and coarse voxels allowed for.
LIMITS_HU = {
    **dict.fromkeys(AIR, (-1100, -250)),
    **dict.fromkeys(BONE, (20, 2000)),
    **dict.fromkeys(SOFT, (-100, 500)),
    "Fat": (-300, 0),
}
#: A class of fewer voxels is mostly outline.
FEWEST = 100


def doubts(volumes: Iterable[Volume]) -> list[str]:
    """A note for the first class whose median HU it cannot have; none without a label map and a CT (one grid)."""
    arrays = {volume.modality: volume.array for volume in volumes}
    hu = arrays.get("CT", arrays.get("CECT"))
    labels = arrays.get("LABELS")
    if hu is None or labels is None:
        return []
    numbers = np.rint(labels)
    for number, name in enumerate(HEAD_CLASSES):
        here = hu[numbers == number] if name in LIMITS_HU else ()
        if len(here) >= FEWEST and not LIMITS_HU[name][0] <= np.median(here) <= LIMITS_HU[name][1]:
            return [
                f"LABELS {number}, {name} in the course's numbers, has a median of {np.median(here):.0f} HU: "
                "numbers of another tool? (medsynth labels merge)"
            ]
    return []
