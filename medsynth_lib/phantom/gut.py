"""Stomach, duodenum, small bowel and colon."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, Region, Tube, tube, tube_region

# Caecum to anus: x, y, z and radius in mm; then how far a sagging transverse colon and a high flexure move each point.
_COLON = np.array([
    [84, 14, 92, 24, 0, 0], [90, 12, 112, 25, 0, 0], [94, 8, 140, 24, 0, 0], [96, 2, 180, 23, 0, 0],
    [94, 0, 215, 22, 0, 0], [86, 8, 236, 21, 0, 1], [66, 40, 228, 20, 0, 0], [34, 60, 212, 20, 1, 0],
    [0, 66, 204, 20, 1, 0], [-36, 62, 216, 19, 1, 0], [-66, 46, 250, 18, 0, 0], [-84, 34, 290, 17, 0, 0],
    [-98, 10, 300, 17, 0, 0], [-106, -6, 276, 16, 0, 0], [-104, -14, 230, 15, 0, 0], [-102, -10, 180, 14.5, 0, 0],
    [-96, 4, 130, 14.5, 0, 0], [-84, 12, 100, 14.5, 0, 0], [-56, 14, 78, 14.5, 0, 0], [-26, 4, 86, 15, 0, 0],
    [0, -14, 96, 15, 0, 0], [12, -32, 86, 14, 0, 0], [4, -46, 68, 15, 0, 0], [0, -48, 40, 17, 0, 0],
    [0, -42, 15, 17, 0, 0], [0, -46, -12, 13, 0, 0], [0, -52, -36, 9, 0, 0],
])  # fmt: skip


class Gut:
    """Stomach, duodenum, small bowel and colon as bent tubes with wall, content and gas that has risen to the front."""

    def __init__(self, rng: np.random.Generator):
        self.gas = rng.uniform(0.1, 1.0, 3) ** [1.0, 1.5, 1.0]
        fill = rng.uniform(0.75, 1.2)
        self.stomach = tube(
            # Down the back of the body and up again in front of it: a cross-section longer than it is wide.
            [[-58, -38, 360], [-60, -16, 352], [-48, 14, 342], [-64, -6, 320], [-42, 30, 306], [-58, 18, 294],
             [-38, 46, 280], [-8, 52, 266], [24, 40, 268]],
            np.array([28, 30, 24, 28, 23, 22, 20, 16, 9]) * fill, smooth=4,
        )  # fmt: skip
        self.duodenum = tube(
            [[24, 40, 268], [38, 22, 268], [42, 4, 250], [40, -4, 222], [26, -2, 206], [0, 6, 204], [-24, 6, 214],
             [-30, 14, 226]], 10.0, smooth=3,
        )  # fmt: skip
        self.colon = _colon(rng)
        self.small = _loops(rng)

    def paint_small_bowel(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """Loops first: everything else lies over them."""
        if not 10 < plane.z_mm < 265:
            return
        room = np.minimum(fields["belly"] - 3, fields["cage"] - 6)
        region = tube_region(plane, self.small, organ=True)
        if region is None:
            return
        region = region.within(room)
        plane.paint(region, (-2.5, "fibrous fat"), (0, "bowel wall"), (2.2, "bowel content"))
        bubbles = (fields["wobble2"][region.window] - 2.5 + self.gas[2]) * 8
        plane.paint(Region(region.window, np.minimum(region.depth - 4, bubbles)), (0, "bowel gas"))

    def paint(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """Colon, duodenum and stomach."""
        self._paint_tube(plane, fields, self.colon, "colon wall", "stool", "colon gas", 2.4, self.gas[0], speckled=True)
        duodenum = tube_region(plane, self.duodenum, organ=True)
        if duodenum is not None:
            plane.paint(duodenum.within(fields["belly"]), (0, "duodenum wall"), (2.4, "duodenum content"))
            bubbles = (fields["wobble2"][duodenum.window] - 2.2 + self.gas[2]) * 8
            plane.paint(Region(duodenum.window, np.minimum(duodenum.depth - 4, bubbles)), (0, "duodenum gas"))
        self._paint_tube(
            plane, fields, self.stomach, "stomach wall", "stomach content", "stomach gas", 4.0, self.gas[1]
        )

    def _paint_tube(self, plane, fields, pipe, wall, content, gas, wall_mm, amount, speckled=False):
        region = tube_region(plane, pipe, organ=True)
        if region is None:
            return
        region = region.within(fields["belly"])
        plane.paint(region, (0, wall), (wall_mm, content))
        inside = region.depth > wall_mm
        if not inside.any():
            return
        y = plane.y[region.window]
        top, bottom = y[inside].max(), y[inside].min()
        level = y - (top - (top - bottom) * 0.45 * amount)  # gas rises to the front of a patient on the back
        if speckled:
            level = np.maximum(level * 0.2 - 1, fields["grain"][region.window] * 3 - 4.2 + 1.2 * amount)
        plane.paint(Region(region.window, np.minimum(region.depth - wall_mm, level)), (0, gas))


def _colon(rng: np.random.Generator) -> Tube:
    """The colon's course and width in this patient, drawn in by its haustra."""
    centre = _COLON[:, :3].copy()
    centre[:, 2] += _COLON[:, 4] * rng.normal(0, 14) + _COLON[:, 5] * rng.normal(0, 8)
    centre[:18] += rng.normal(0, 3, (18, 3))
    smooth = tube(centre, _COLON[:, 3] * rng.uniform(0.85, 1.12), smooth=6)
    haustra = 1 - 0.13 * np.cos(np.arange(len(smooth.starts) + 1) * 1.9) ** 2
    return Tube(smooth.starts, smooth.ends, smooth.start_radii * haustra[:-1], smooth.end_radii * haustra[1:])


def _loops(rng: np.random.Generator) -> Tube:
    """One long small-bowel tube: columns that climb and fall through the middle of the belly, wandering sideways."""
    spots = [(x, y) for y in (50, 26, 4) for x in np.arange(-66, 67, 22.0) if abs(x) < (70 if y > 10 else 74)]
    points = []
    for number, (x, y) in enumerate(spots):
        low, high = (48 if y > 0 else 70) + rng.normal(0, 14), rng.normal(222 if x > -20 else 255, 12)
        heights = np.linspace(low, high, 6)
        for z in heights if number % 2 else heights[::-1]:
            points.append(np.array([x, y, z]) + rng.normal(0, (13, 9, 6)))
    return tube(points, rng.uniform(9.0, 13.5, len(points)), smooth=3)
