"""Where a slice's pixels lie: one grid per patient around the body, planes that belong together, fields of view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medsynth_lib.data.body import background, body_mask
from medsynth_lib.data.volume import Grid, Volume
from medsynth_lib.errors import InputError

#: Air left around the patient on each side of the field of view.
MARGIN_MM = 5.0
#: What rounding of directions in a header may part two planes by at the edge of the field of view.
ROUNDING_MM = 0.1


def reference_grid(
    volume: Volume, body: np.ndarray, size: int, fov_mm: float | None = None, planes: Volume | None = None
) -> Grid:
    """The square ``size`` x ``size`` grid around the body of ``volume``, on its own planes or those of ``planes``.

    Its side is ``fov_mm``, or the larger side of the body's bounding box plus ``MARGIN_MM`` on each side.

    Raises:
        InputError: the body mask is empty.
    """
    if not body.any():
        raise InputError(
            "no patient was found in the image", rule=f"{volume.unit} values above background", seen="none"
        )
    planes = volume if planes is None else planes
    spans = [np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {axis}))) for axis in (0, 1)]
    sides = [(span[-1] - span[0] + 1) * spacing for span, spacing in zip(spans, volume.spacing_mm[:2], strict=True)]
    spacing = (fov_mm or max(sides) + 2 * MARGIN_MM) / size
    middle = volume.affine @ [*((span[0] + span[-1]) / 2 for span in spans), (volume.shape[2] - 1) / 2, 1]
    affine = planes.affine.astype(float).copy()
    affine[:3, :2] *= spacing / np.array(planes.spacing_mm[:2])
    centre = planes.affine @ [*(np.linalg.inv(planes.affine) @ middle)[:2], 0, 1]
    affine[:3, 3] = centre[:3] - affine[:3, :2].sum(axis=1) * (size - 1) / 2
    return Grid((size, size, planes.shape[2]), affine)


def shared_body(source: Volume, target: Volume) -> np.ndarray:
    """The body in the source, on the planes that the target reaches too."""
    z, reach = target.z_mm(), max(source.spacing_mm[2], target.spacing_mm[2])
    shared = (source.z_mm() >= z.min() - reach) & (source.z_mm() <= z.max() + reach)
    return body_mask(source) & shared


def on_grid(volume: Volume, grid: Grid) -> tuple[Volume, np.ndarray]:
    """The volume on ``grid``, background outside its field of view, and where that field of view is."""
    order = 0 if volume.unit == "label" else 1  # a mean of two class numbers is a third class
    placed = volume.with_array(volume.array.astype(np.float32)).resample_to(grid, order=order, fill=np.nan)
    seen = ~np.isnan(placed.array)
    return placed.with_array(np.where(seen, placed.array, np.float32(background(volume.modality)))), seen


def within(volume: Volume, seen: np.ndarray) -> Volume:
    """What lies outside the source's field of view cannot be asked of a network, nor scored: background there."""
    return volume.with_array(np.where(seen, volume.array, np.float32(background(volume.modality))))


def pair_planes(source: Volume, target: Volume, tolerance_mm: float) -> tuple[Volume, Volume, np.ndarray]:
    """The planes of both volumes whose positions along their normal differ by at most ``tolerance_mm``, and the
    target's z (mm).

    Both results share one made-up, even plane axis, so resampling them in-plane cannot mix planes.

    Raises:
        InputError: the two stacks are tilted against each other, or no two planes are that close.
    """
    _check_parallel(source, target, tolerance_mm)
    normal = _normal(target)
    source_mm, target_mm = normal @ source.centres_mm(), normal @ target.centres_mm()
    nearest = np.abs(source_mm[None, :] - target_mm[:, None]).argmin(axis=1)
    distance = np.abs(source_mm[nearest] - target_mm)
    planes = np.flatnonzero(distance <= tolerance_mm)
    if len(planes) == 0:
        raise InputError(
            "no two planes are close enough to be a pair",
            rule=f"at most {tolerance_mm} mm apart",
            seen=f"nearest {distance.min():.2f} mm",
            fix="use --pairing resample, or a larger tolerance",
        )
    source, target_z = _planes(source, nearest[planes], normal, target.affine[:3, 3]), target.z_mm()[planes]
    return source, _planes(target, planes, normal, target.affine[:3, 3]), target_z


def gap_mm(z_mm: np.ndarray, grid: Grid) -> float:
    """From plane to plane of ``grid`` along their normal, where they lie at ``z_mm``: tilted planes are closer in z."""
    upright = grid.affine[2, 2] / grid.spacing_mm[2]
    return float(np.median(np.diff(z_mm)) / upright) if len(z_mm) > 1 else grid.spacing_mm[2]


def _check_parallel(source: Volume, target: Volume, tolerance_mm: float) -> None:
    """Planes that meet in the middle must not part by more than the tolerance at the edge of the target."""
    sine = float(np.linalg.norm(np.cross(_normal(source), _normal(target))))
    edge_mm = sine * max(np.multiply(target.shape, target.spacing_mm)[:2]) / 2
    if edge_mm > max(tolerance_mm, ROUNDING_MM):
        raise InputError(
            "the planes of the two images are tilted against each other",
            rule=f"at most {tolerance_mm} mm apart from edge to edge",
            seen=f"{np.degrees(np.arcsin(min(sine, 1.0))):.2f} degrees, {edge_mm:.1f} mm at the edge",
            fix="use --pairing resample",
        )


def _normal(volume: Volume) -> np.ndarray:
    """Unit vector across the planes, headwards."""
    across = np.cross(volume.affine[:3, 0], volume.affine[:3, 1])
    return across / np.linalg.norm(across)


def _planes(volume: Volume, planes: np.ndarray, normal: np.ndarray, origin: np.ndarray) -> Volume:
    """These planes a millimetre apart from ``origin`` on, along ``normal`` and exactly across it."""
    affine = volume.affine.copy()
    affine[:3, 3] -= origin
    affine[:3] -= np.outer(normal, normal @ affine[:3])
    affine[:3, 2] = normal
    affine[:3, 3] += origin
    return replace(volume, array=volume.array[:, :, planes], affine=affine, plane_offsets_mm=None)
