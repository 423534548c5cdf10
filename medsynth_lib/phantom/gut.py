"""Stomach, duodenum, small bowel and colon."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, Region, Tube, tube, tube_region


class Gut:
    """Stomach, duodenum, small bowel and colon as bent tubes with wall, content and gas that has risen to the front."""

    def __init__(self, rng: np.random.Generator):
        self.gas = rng.uniform(0.1, 1.0, 3) ** [1.0, 1.5, 1.0]
        fill = rng.uniform(0.75, 1.2)
        self.stomach = tube(
            # Down the back of the body and up again in front of it: a cross-section longer than it is wide.
            [[-58, -38, 360], [-60, -16, 352], [-48, 14, 342], [-64, -6, 320], [-42, 30, 306], [-58, 18, 294],
            [-38, 46, 280],
             [-8, 52, 266], [24, 40, 268]],
            np.array([28, 30, 24, 28, 23, 22, 20, 16, 9]) * fill, smooth=4,
        )  # fmt: skip
        self.duodenum = tube(
            [[24, 40, 268], [38, 22, 268], [42, 4, 250], [40, -4, 222], [26, -2, 206], [0, 6, 204], [-24, 6, 214],
            [-30, 14, 226]],
            10.0, smooth=3,
        )  # fmt: skip
        sag, flex = rng.normal(0, 14), rng.normal(0, 8)
        colon = np.array([
            [84, 14, 92], [90, 12, 112], [94, 8, 140], [96, 2, 180], [94, 0, 215], [86, 8, 236 + flex], [66, 40, 228],
            [34, 60, 212 + sag], [0, 66, 204 + sag], [-36, 62, 216 + sag], [-66, 46, 250], [-84, 34, 290],
            [-98, 10, 300],
            [-106, -6, 276], [-104, -14, 230], [-102, -10, 180], [-96, 4, 130], [-84, 12, 100], [-56, 14, 78],
            [-26, 4, 86],
            [0, -14, 96], [12, -32, 86], [4, -46, 68], [0, -48, 40], [0, -42, 15], [0, -46, -12], [0, -52, -36],
        ], dtype=float)  # fmt: skip
        colon[:18] += rng.normal(0, 3, (18, 3))
        width = np.r_[
            24,
            25,
            24,
            23,
            22,
            21,
            20,
            20,
            20,
            19,
            18,
            17,
            17,
            16,
            15,
            14.5,
            14.5,
            14.5,
            14.5,
            15,
            15,
            14,
            15,
            17,
            17,
            13,
            9,
        ]
        width = width * rng.uniform(0.85, 1.12)
        smooth = tube(colon, width, smooth=6)
        haustra = 1 - 0.13 * np.cos(np.arange(len(smooth.starts) + 1) * 1.9) ** 2
        self.colon = Tube(smooth.starts, smooth.ends, smooth.start_radii * haustra[:-1], smooth.end_radii * haustra[1:])
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
