"""Solid shapes, evaluated on one axial plane at a time.

Every shape answers with a ``Region``: a window of the plane and a ``depth`` there, roughly in millimetres, positive
inside. Windows keep a plane of some two hundred structures at a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from medsynth_lib.phantom.tissues import CODE

Window = tuple[slice, slice]
#: Patients are bent smoothly by a few millimetres; windows leave this much room for it.
BEND_MARGIN_MM = 14.0


@dataclass
class Region:
    """Depth below a surface inside ``window`` of a plane, in mm, positive inside."""

    window: Window
    depth: np.ndarray

    def within(self, field: np.ndarray) -> Region:
        """The part of the region where a whole-plane ``field`` of depths is positive too."""
        return Region(self.window, np.minimum(self.depth, field[self.window]))

    def carve(self, field: np.ndarray) -> Region:
        """The part of the region where ``field`` is not positive."""
        return Region(self.window, np.minimum(self.depth, -field[self.window]))


def _border(inside: np.ndarray) -> np.ndarray:
    """Pixels inside that touch one outside by an edge."""
    all_round = inside.copy()
    all_round[1:] &= inside[:-1]
    all_round[:-1] &= inside[1:]
    all_round[:, 1:] &= inside[:, :-1]
    all_round[:, :-1] &= inside[:, 1:]
    return inside & ~all_round


@cache
def _members(names: tuple[str, ...]) -> np.ndarray:
    """Tissue code -> whether it is one of ``names``."""
    table = np.zeros(256, dtype=bool)
    table[[CODE[name] for name in names]] = True
    return table


class Plane:
    """One axial plane of a patient while it is painted, tissue over tissue.

    Args:
        x_mm, y_mm: ``(X,)`` and ``(Y,)`` ascending coordinates of the pixel centres in the reference body.
        z_mm: height of the plane in the reference body.
        bent: ``(3, X, Y)`` the coordinates after the patient's smooth bending.
        sink_mm: how far breathing has moved the organs below down, at every pixel (``(X, Y)`` or 0).
    """

    def __init__(self, x_mm, y_mm, z_mm: float, bent: np.ndarray, sink_mm: np.ndarray | float = 0.0):
        self.x_mm, self.y_mm, self.z_mm = x_mm, y_mm, z_mm
        self.x, self.y, self.z = bent
        self.organ_z = self.z + np.float32(sink_mm)
        self.tissue = np.zeros(self.x.shape, dtype=np.uint8)
        self.reach_mm = BEND_MARGIN_MM + (float(np.max(sink_mm)) if np.size(sink_mm) else 0.0)

    def window(self, x_low: float, x_high: float, y_low: float, y_high: float) -> Window | None:
        """Slices that cover a box in mm (bending included); ``None`` where it misses the plane."""
        i = np.searchsorted(self.x_mm, (x_low - BEND_MARGIN_MM, x_high + BEND_MARGIN_MM))
        j = np.searchsorted(self.y_mm, (y_low - BEND_MARGIN_MM, y_high + BEND_MARGIN_MM))
        if i[0] == i[1] or j[0] == j[1]:
            return None
        return slice(int(i[0]), int(i[1])), slice(int(j[0]), int(j[1]))

    def whole(self, depth: np.ndarray) -> Region:
        """A region over the whole plane."""
        return Region((slice(None), slice(None)), depth)

    def paint(self, region: Region | None, *layers: tuple[float, str], over: Sequence[str] | None = None) -> None:
        """Fill a region from the outside in with ``(depth at which it starts, tissue)``; ``over`` limits it."""
        if region is None:
            return
        target = self.tissue[region.window]
        allowed = None if over is None else _members(tuple(over))[target]
        for start, name in layers:
            mask = region.depth > start
            if allowed is not None:
                mask &= allowed
            np.copyto(target, np.uint8(CODE[name]), where=mask)

    def close(self, skin: np.ndarray, thickness_mm: float, outside: np.ndarray) -> None:
        """Put back what lies ``outside`` the ``skin`` depth, and skin all round the body, a pixel thick at least."""
        inside = skin > 0
        self.tissue[(inside & (skin <= thickness_mm)) | _border(inside)] = CODE["skin"]
        np.copyto(self.tissue, outside, where=~inside)


def rotation(about_z_deg: float = 0.0, about_x_deg: float = 0.0, about_y_deg: float = 0.0) -> np.ndarray:
    """Rotation matrix ``(3, 3)`` whose rows are a tilted shape's own axes."""
    turn = np.eye(3)
    for axis, degrees in ((2, about_z_deg), (0, about_x_deg), (1, about_y_deg)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        i, j = [k for k in range(3) if k != axis]
        one = np.eye(3)
        one[i, i], one[i, j], one[j, i], one[j, j] = c, s, -s, c
        turn = one @ turn
    return turn


def ellipsoid(
    plane: Plane, centre, radii, axes: np.ndarray | None = None, *, organ: bool = False, power: float = 2.0
) -> Region | None:
    """Superellipsoid sum |u_i/r_i|^p < 1 (Barr, IEEE CG&A 1:11, 1981); ``organ`` makes it move with breathing."""
    reach = np.asarray(radii) if axes is None else np.sqrt((axes**2 * np.asarray(radii)[:, None] ** 2).sum(axis=0))
    if abs(plane.z_mm - centre[2]) > reach[2] + plane.reach_mm:
        return None
    window = plane.window(centre[0] - reach[0], centre[0] + reach[0], centre[1] - reach[1], centre[1] + reach[1])
    if window is None:
        return None
    z = plane.organ_z if organ else plane.z
    offset = [plane.x[window] - centre[0], plane.y[window] - centre[1], z[window] - centre[2]]
    if axes is not None:
        offset = [a[0] * offset[0] + a[1] * offset[1] + a[2] * offset[2] for a in axes.astype(np.float32)]
    if power == 2:
        level = np.sqrt(sum((one / np.float32(r)) ** 2 for one, r in zip(offset, radii, strict=True)))
    else:
        level = sum(np.abs(one / np.float32(r)) ** power for one, r in zip(offset, radii, strict=True)) ** (1 / power)
    return Region(window, (1 - level) * np.float32(min(radii)))


class Tube:
    """A bent tube, or several: straight pieces from ``starts`` to ``ends`` (``(n, 3)`` mm), radii linear along each."""

    def __init__(self, starts: np.ndarray, ends: np.ndarray, start_radii: np.ndarray, end_radii: np.ndarray):
        self.starts, self.ends, self.start_radii, self.end_radii = starts, ends, start_radii, end_radii
        widest = np.maximum(start_radii, end_radii)[:, None]
        self.low, self.high = np.minimum(starts, ends) - widest, np.maximum(starts, ends) + widest


def tube(points, radii, *, smooth: int = 0) -> Tube:
    """A tube through points; ``smooth`` > 0 puts that many points of a Catmull-Rom curve between each two."""
    points = np.asarray(points, dtype=float)
    radii = np.broadcast_to(np.asarray(radii, dtype=float), len(points))
    both = np.column_stack([points, radii])
    if smooth:
        padded = np.vstack([2 * both[0] - both[1], both, 2 * both[-1] - both[-2]])
        t = np.linspace(0, 1, smooth + 1, endpoint=False)[:, None]
        p0, p1, p2, p3 = (padded[k : len(padded) - 3 + k, None] for k in range(4))
        bend = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * (p1 - p2) + p3 - p0) * t**3
        curve = 0.5 * (2 * p1 + (p2 - p0) * t + bend)
        both = np.vstack([curve.reshape(-1, 4), both[-1:]])
    return Tube(both[:-1, :3], both[1:, :3], both[:-1, 3], both[1:, 3])


def bundle(tubes: Sequence[Tube]) -> Tube:
    """Several tubes as one, so that a plane meets them all in one go."""
    parts = ("starts", "ends", "start_radii", "end_radii")
    return Tube(*(np.concatenate([getattr(one, part) for one in tubes]) for part in parts))


def mirrored(points, radii, *, smooth: int = 0) -> Tube:
    """A tube and its mirror image on the other side of the body."""
    return bundle([tube(np.asarray(points, float) * [side, 1, 1], radii, smooth=smooth) for side in (-1, 1)])


def tube_region(plane: Plane, pipe: Tube, *, organ: bool = False) -> Region | None:
    """Depth inside a tube: the radius minus the distance to the nearest piece of its centre line."""
    near = (plane.z_mm > pipe.low[:, 2] - plane.reach_mm) & (plane.z_mm < pipe.high[:, 2] + plane.reach_mm)
    pieces = np.flatnonzero(near)
    if not len(pieces):
        return None
    low, high = pipe.low[pieces], pipe.high[pieces]
    outer = plane.window(low[:, 0].min(), high[:, 0].max(), low[:, 1].min(), high[:, 1].max())
    if outer is None:
        return None
    depth = np.full(plane.x.shape, -1e3, dtype=np.float32)
    for k in pieces:
        window = plane.window(pipe.low[k, 0], pipe.high[k, 0], pipe.low[k, 1], pipe.high[k, 1])
        if window is not None:
            np.maximum(depth[window], _capsule(plane, window, pipe, k, organ), out=depth[window])
    return Region(outer, depth[outer])


def _capsule(plane: Plane, window: Window, pipe: Tube, k: int, organ: bool) -> np.ndarray:
    a, d = pipe.starts[k].astype(np.float32), (pipe.ends[k] - pipe.starts[k]).astype(np.float32)
    z = plane.organ_z if organ else plane.z
    px, py, pz = plane.x[window] - a[0], plane.y[window] - a[1], z[window] - a[2]
    t = (px * d[0] + py * d[1] + pz * d[2]) / np.float32(d @ d + 1e-6)
    np.maximum(np.minimum(t, 1, out=t), 0, out=t)
    gap = np.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2)
    radius = np.float32(pipe.start_radii[k])
    return radius + t * np.float32(pipe.end_radii[k] - radius) - gap


def superellipse(plane: Plane, half_width: float, half_depth: float, y_centre: float, power: float, x_centre=0.0):
    """Depth ``(X, Y)`` below the outline |x/a|^n + |(y-yc)/b|^n = 1 of this plane."""
    x, y = plane.x - np.float32(x_centre), plane.y - np.float32(y_centre)
    level = (np.abs(x / half_width) ** power + np.abs(y / half_depth) ** power) ** np.float32(1 / power)
    radius = np.sqrt(x**2 + y**2)
    # Along the ray from the centre the outline lies at radius / level; the small terms keep the centre finite.
    outline = (radius + 0.1) / (level + 0.2 / (half_width + half_depth))
    return ((1 - level) * outline).astype(np.float32)


def smooth_union(first: np.ndarray, second: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union of two depths with a rounded seam (Quilez's polynomial smooth maximum)."""
    h = np.clip(blend_mm - np.abs(first - second), 0, None)
    return np.maximum(first, second) + h * h / (4 * blend_mm)
