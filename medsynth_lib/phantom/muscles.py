"""The muscles with classes of their own: erector spinae (Autochthon) and iliopsoas; and quadratus lumborum."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, ellipsoid, mirrored, rotation, tube_region
from medsynth_lib.phantom.skeleton import spine_y

_PSOAS = mirrored(
    [[26, -40, 300], [34, -40, 250], [44, -42, 200], [50, -36, 150], [60, -20, 100], [74, 10, 50], [88, 26, 10],
     [100, 14, -30], [104, -12, -68]], [7, 13, 18, 22, 22, 19, 17, 14, 8], smooth=3,
)  # fmt: skip
_ILIACUS = mirrored([[94, -26, 130], [92, -22, 95], [88, 4, 55], [94, 22, 15]], [10, 17, 16, 12], smooth=2)
_BEFORE = ("fat", "muscle", "iliopsoas", "bowel wall", "bowel content", "bowel gas")


def paint_back_muscles(plane: Plane) -> None:
    """Erector spinae beside the spinous processes, psoas beside the lumbar bodies, iliacus on the iliac wing."""
    for pipes in (_ILIACUS, _PSOAS):
        plane.paint(tube_region(plane, pipes), (-1.2, "fat"), (0, "iliopsoas"), over=_BEFORE)
    for side in (-1, 1):
        if plane.z_mm > 75:
            _paint_erector(plane, side)
        if 150 < plane.z_mm < 290:
            lumbar = ellipsoid(plane, (side * 58, spine_y(plane.z_mm) - 24, plane.z_mm), (17, 9, 1e4))
            plane.paint(lumbar, (0, "muscle"), over=("fat",))


def _paint_erector(plane: Plane, side: int) -> None:
    z = plane.z_mm
    size = np.interp(z, [60, 110, 200, 320, 480, 560, 620], [0.55, 0.95, 1.05, 0.9, 0.62, 0.55, 0.6])
    back = spine_y(max(z, 80)) - np.interp(z, [60, 115, 300, 420, 560, 640], [32, 42, 38, 34, 30, 30])
    centre = (side * 32 * size, back - 8 * size, z)
    long = ellipsoid(plane, centre, (29 * size, 19 * size, 1e4), rotation(side * -8), power=2.4)
    plane.paint(long, (-1.8, "fat"), (0, "autochthon"))
