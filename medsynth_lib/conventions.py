"""THE page on shapes, axes, value ranges, units and names; everything else follows it.

**Volumes** (``data.Volume``): numpy, axes ``(X, Y, Z)`` in RAS+ order: x grows to the patient's right, y to the front
(anterior), z to the head (superior). Physical units: CT in HU, PET in SUVbw (g/mL), MR in arbitrary units, labels as
integers. The affine maps voxel indices to millimetres, as in NIfTI.

**Slices**: numpy ``(H, W)``, as a radiologist looks at them: row 0 is the front of the patient, column 0 the patient's
right (which is the left of the picture). ``axial_slice`` and ``volume_from_slices`` are the only places that turn one
into the other.

**Network tensors**: torch ``(B, C, H, W)``, float, values in [-1, 1]. ``data.intensity`` converts both ways.

**Names**: ``source``, ``target``, ``fake_target``, ``recovered_source``; never A and B. Units are suffixes: ``te_ms``,
``spacing_mm``, ``window_hu``. Modalities are the words in ``MODALITIES``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

#: Modality word -> the unit its volumes are in.
MODALITIES = {"CT": "HU", "CECT": "HU", "PET": "SUVbw", "MR": "a.u.", "LABELS": "label"}

AIR_HU = -1000.0
#: Lowest and highest CT value we keep: padding (-2000, -3024) is air, metal saturates at the 12-bit limit.
CT_RANGE_HU = (-1024.0, 3071.0)

#: One training phase's losses by name, each a scalar that already carries its weight: their sum is what is minimised.
LossTerms = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """What a system trains on.

    ``source`` and ``target`` are ``(B, C, H, W)`` in [-1, 1]; ``body`` is ``(B, 1, H, W)`` bool, true in the patient;
    ``labels`` is ``(B, 1, H, W)`` integer. ``names`` says which slice each item is, for error messages.
    """

    source: Tensor
    target: Tensor
    body: Tensor | None = None
    labels: Tensor | None = None
    names: tuple[str, ...] = ()

    def to(self, device: torch.device | str, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """The same batch on ``device``; image tensors take ``memory_format``."""
        to_gpu = torch.device(device).type == "cuda"  # the other way, not waiting would read what has not yet arrived
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                layout = memory_format if value.is_floating_point() else torch.preserve_format
                moved[field.name] = value.to(device, non_blocking=to_gpu, memory_format=layout)
        return replace(self, **moved)

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which a GPU copies while the CPU goes on."""
        pinned = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{key: one.pin_memory() if isinstance(one, Tensor) else one for key, one in pinned.items()})

    def __len__(self) -> int:
        return len(self.source)


def axial_slice(array: np.ndarray, index: int) -> np.ndarray:
    """Slice ``index`` along z of an ``(X, Y, Z)`` RAS+ array, as ``(H, W)``: front on top, patient's right at left."""
    return array[::-1, ::-1, index].T


def volume_from_slices(slices: Iterable[np.ndarray]) -> np.ndarray:
    """Stack ``(H, W)`` slices (feet first) back into an ``(X, Y, Z)`` RAS+ array; the inverse of ``axial_slice``."""
    return np.stack([np.asarray(one).T[::-1, ::-1] for one in slices], axis=-1)
