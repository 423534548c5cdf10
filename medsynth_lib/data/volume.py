"""``Volume``: a 3-D image with its geometry, modality, unit and history. Orientation and resampling live here only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation
from scipy import ndimage

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.errors import InputError

#: Gaps between planes may differ by this part of their median before the volume counts as unevenly spaced.
EVEN_GAP_TOLERANCE = 0.001
#: Voxel sizes of patient scanners and small-animal ones; anything else is a damaged header.
SPACING_RANGE_MM = (0.005, 100.0)
#: 1024 cubed: 4 GiB as float32. Nothing larger is allocated for a header's word alone.
MAX_VOXELS = 2**30


@dataclass(frozen=True)
class Grid:
    """Where voxels are: ``shape`` ``(X, Y, Z)`` and the 4x4 ``affine`` from voxel indices to millimetres (RAS+)."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each axis."""
        return tuple(float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))


def check_grid(grid: Grid, *, where: object = None) -> None:
    """Refuse a shape or an affine no image can have, before anything is allocated for it.

    Raises:
        InputError: not three axes, more than ``MAX_VOXELS``, an affine that is not finite, not invertible, or of a
            spacing outside ``SPACING_RANGE_MM``.
    """
    if len(grid.shape) != 3 or 0 in grid.shape:
        raise InputError("a volume needs three axes, none of them empty", where=where, seen=f"shape {grid.shape}")
    if math.prod(grid.shape) > MAX_VOXELS:
        raise InputError(
            "the image is too large", where=where, rule=f"at most {MAX_VOXELS:,} voxels", seen=f"shape {grid.shape}"
        )
    affine = np.asarray(grid.affine)
    low, high = SPACING_RANGE_MM
    usable = affine.shape == (4, 4) and np.isfinite(affine).all()
    if not usable or not all(low <= size <= high for size in grid.spacing_mm) or _flatness(affine) < 1e-3:
        raise InputError(
            "the affine does not place voxels in space",
            where=where,
            rule=f"4x4, finite, invertible, voxel sizes of {low:g} to {high:g} mm",
            seen=np.array2string(affine, precision=3).replace("\n", ""),
            fix="export the image again: its orientation or spacing is damaged",
        )


def _flatness(affine: np.ndarray) -> float:
    """Volume of a voxel as a part of the brick of the same edges: 1 when the axes are at right angles, 0 when flat."""
    return abs(np.linalg.det(affine[:3, :3])) / np.linalg.norm(affine[:3, :3], axis=0).prod()


@dataclass(frozen=True)
class Volume:
    """A 3-D image in RAS+ order.

    Args:
        array: ``(X, Y, Z)``, physical units.
        affine: 4x4, voxel indices to millimetres in RAS+.
        modality: a key of ``conventions.MODALITIES``, or the DICOM word of a series we do not synthesise.
        unit: ``HU``, ``SUVbw``, ``a.u.``, ``label``, or what the file said (``BQML``, ...).
        plane_offsets_mm: distance of each plane from the first along ``plane_axis``; ``None`` when evenly spaced.
            Voxels keep their measured values; only ``resample_to`` reads the true offsets.
        plane_axis: the array axis the scanner's slices are stacked along.
        provenance: where it came from and what was done, free of patient identifiers.
        problems: what a reader should know, one sentence each.
    """

    array: np.ndarray
    affine: np.ndarray
    modality: str
    unit: str
    plane_offsets_mm: np.ndarray | None = None
    plane_axis: int = 2
    provenance: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __post_init__(self):
        check_grid(self.grid)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.array.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each axis."""
        return self.grid.spacing_mm

    @property
    def grid(self) -> Grid:
        return Grid(self.array.shape, self.affine)

    def z_mm(self) -> np.ndarray:
        """World z of the centre of every axial plane, ``(Z,)``, read at the middle of the plane."""
        return self.centres_mm()[2]

    def centres_mm(self) -> np.ndarray:
        """World x, y and z of the middle of every axial plane, ``(3, Z)``."""
        x, y, depth = (self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2, self.shape[2]
        index = np.arange(depth, dtype=float)
        if self.plane_offsets_mm is not None and self.plane_axis == 2:
            index = self.plane_offsets_mm / self.spacing_mm[2]
        points = np.stack([np.full(depth, x), np.full(depth, y), index, np.ones(depth)])
        return (self.affine @ points)[:3]

    def with_array(self, array: np.ndarray, **changes: object) -> Volume:
        """The same geometry with other values."""
        if array.shape != self.shape:
            raise InputError("new values need the volume's shape", rule=self.shape, seen=array.shape)
        return replace(self, array=array, **changes)

    def to_ras(self) -> Volume:
        """Axes permuted and flipped, never interpolated, so that they run right, anterior, superior."""
        if aff2axcodes(self.affine) == ("R", "A", "S"):
            return self
        orientation = io_orientation(self.affine)
        if np.isnan(orientation).any():
            raise InputError("the affine does not say which way the axes run", seen=aff2axcodes(self.affine))
        affine = self.affine @ inv_ornt_aff(orientation, self.shape)
        offsets = self.plane_offsets_mm
        new_axis, direction = int(orientation[self.plane_axis, 0]), orientation[self.plane_axis, 1]
        if offsets is not None and direction < 0:
            # The origin moved to what is now the first plane, which sits at its true, not its even, offset.
            even = offsets[0] + np.arange(len(offsets)) * self.spacing_mm[self.plane_axis]
            affine[:3, 3] += (
                self.affine[:3, self.plane_axis] / self.spacing_mm[self.plane_axis] * (offsets[-1] - even[-1])
            )
            offsets = (offsets[-1] - offsets)[::-1]
        array = np.ascontiguousarray(apply_orientation(self.array, orientation))
        return replace(self, array=array, affine=affine, plane_offsets_mm=offsets, plane_axis=new_axis)

    def to_even_planes(self) -> Volume:
        """The same image on evenly spaced planes of the median gap, linearly interpolated where they were uneven."""
        if self.plane_offsets_mm is None:
            return self
        shape = list(self.shape)
        length = self.plane_offsets_mm[-1] - self.plane_offsets_mm[0]
        shape[self.plane_axis] = int(length / self.spacing_mm[self.plane_axis] + 1e-3) + 1
        return self.resample_to(Grid(tuple(shape), self.affine), order=0 if self.unit == "label" else 1)

    def resample_to(self, grid: Grid, *, order: int = 1, fill: float = 0.0) -> Volume:
        """Values at the voxel centres of ``grid``; ``fill`` outside this volume.

        Linear (``order=1``), or nearest neighbour (``order=0``), which labels demand: a mean of two label numbers is a
        third tissue. Axes that lose resolution are smoothed first with a Gaussian of sigma (factor - 1) / 2 voxels
        (scikit-image's rule), so fine texture does not alias. Works plane by plane, so memory is the output plus one.
        """
        if order not in (0, 1):
            raise InputError("resampling order is 0 (nearest) or 1 (linear)", seen=order)
        if self.unit == MODALITIES["LABELS"] and order != 0:
            raise InputError("label maps are resampled with order=0 only: a mean of two labels is a third", seen=order)
        to_voxel = np.linalg.inv(self.affine) @ grid.affine
        source = self.array
        if order == 1:
            step = np.abs(to_voxel[:3, :3]).max(axis=1)  # source voxels passed per output voxel, along each source axis
            sigma = np.maximum(0.0, (step - 1) / 2)
            source = source.astype(np.float32, copy=False)
            if sigma.max() > 0.05:
                source = ndimage.gaussian_filter(source, sigma, mode="nearest", truncate=3)
        out = np.empty(grid.shape, dtype=np.float32 if order == 1 else self.array.dtype)
        x, y = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
        plane = np.stack([x.ravel(), y.ravel(), np.zeros(x.size), np.ones(x.size)])
        for z in range(grid.shape[2]):
            plane[2] = z
            points = (to_voxel @ plane)[:3]
            if self.plane_offsets_mm is not None:
                points[self.plane_axis] = self._plane_index(points[self.plane_axis])
            # A voxel reaches half its width beyond its centre; further out there is no data.
            limits = np.array(self.shape)[:, None] - 1
            points = np.where((points > -0.501) & (points < limits + 0.501), np.clip(points, 0, limits), points)
            values = ndimage.map_coordinates(source, points, order=order, mode="constant", cval=fill, prefilter=False)
            out[:, :, z] = values.reshape(grid.shape[:2])
        return replace(self, array=out, affine=np.array(grid.affine, float), plane_offsets_mm=None, plane_axis=2)

    def _plane_index(self, even_index: np.ndarray) -> np.ndarray:
        """Fractional plane index at an evenly counted index, for planes that are not evenly spaced.

        Beyond the first and the last plane it goes on at the nominal gap, so the outer planes keep their thickness.
        """
        offset_mm = even_index * self.spacing_mm[self.plane_axis]
        planes = np.arange(len(self.plane_offsets_mm), dtype=float)
        index = np.interp(offset_mm, self.plane_offsets_mm, planes)
        within = np.clip(offset_mm, self.plane_offsets_mm[0], self.plane_offsets_mm[-1])
        return index + (offset_mm - within) / self.spacing_mm[self.plane_axis]
