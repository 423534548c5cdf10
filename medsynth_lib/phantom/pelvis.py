"""Hip bones, sacrum and femurs."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.body import level_at
from medsynth_lib.phantom.shapes import Plane, Region, bundle, ellipsoid, mirrored, tube, tube_region
from medsynth_lib.phantom.skeleton import paint_bone

# Iliac wing: z, then x, y of the back end, the bend and the front end, and half thickness.
_ILIUM = np.array([
    [152, 92, -48, 112, -26, 118, -4, 4.5], [138, 74, -62, 108, -30, 126, 12, 4.5],
    [120, 60, -70, 100, -36, 129, 24, 4.5],
    [90, 47, -76, 90, -40, 127, 36, 4.8], [60, 50, -72, 80, -36, 112, 28, 6.0], [42, 64, -56, 80, -28, 104, 20, 8.5],
    [24, 72, -38, 80, -12, 98, 18, 11.0],
])  # fmt: skip


_ISCHIUM_AND_PUBIS = bundle([mirrored(points, radii) for points, radii in (
    ([[80, -22, 0], [72, -36, -25], [62, -42, -55], [58, -38, -66]], [15, 14, 15, 10]),
    ([[76, 16, 4], [48, 34, -4], [18, 46, -16]], [9, 7.5, 8.5]),
    ([[11, 46, -14], [12, 44, -32]], [9, 8]),
    ([[14, 42, -34], [32, 10, -50], [54, -28, -60]], [6.5, 6, 8]),
)])  # fmt: skip
_NECK = mirrored([[88, 2, 0], [112, -4, -22], [128, -10, -42]], [19, 16.5, 17])
_SHAFT = mirrored([[126, -12, -48], [118, -6, -90], [110, 2, -220]], [19, 15, 14])


def paint_pelvis(plane: Plane) -> None:
    """Iliac wings, acetabula, ischia, pubic bones, sacrum and coccyx, and the femurs."""
    if plane.z_mm > 170:
        return
    _sacrum(plane)
    for side in (-1, 1):
        _hip(plane, side)
    paint_bone(plane, tube_region(plane, _ISCHIUM_AND_PUBIS), "Hips", 1.2)
    _femurs(plane)
    gap = ellipsoid(plane, (0, 46, -22), (2.5, 14, 20), power=4)
    plane.paint(gap, (0, "costal cartilage"), over=("Hips cortex", "Hips marrow"))


def _hip(plane: Plane, side: int) -> None:
    z = plane.z_mm
    if 24 <= z <= 155:
        x0, y0, x1, y1, x2, y2, half = level_at(_ILIUM[::-1], z)
        wing = tube(
            [[side * x0, y0, z], [side * x1, y1, z], [side * x2, y2, z]], [half * 1.5, half, half * 1.35], smooth=5
        )
        paint_bone(plane, tube_region(plane, wing), "Hips", 1.2)
    cup = ellipsoid(plane, (side * 88, 2, 2), (35, 35, 36))
    if cup is not None:
        # The socket holds the head from above, inside, front and back, and opens outwards and down.
        facing = (plane.x[cup.window] * side - 88) * 0.85 - (plane.z[cup.window] - 2) * 0.5
        paint_bone(plane, Region(cup.window, np.minimum(cup.depth, 10 - facing)), "Hips", 1.2)


def _femurs(plane: Plane) -> None:
    heads = [ellipsoid(plane, (side * 88, 2, 0), (24, 24, 24)) for side in (-1, 1)]
    for head in heads:
        if head is not None:  # the joint: cartilage and fluid between head and socket
            joint = Region(head.window, head.depth + 2.5)
            plane.paint(joint, (0, "soft tissue"), over=("Hips cortex", "Hips marrow", "muscle", "fat"))
    paint_bone(plane, tube_region(plane, _NECK), "Femur", 1.8)
    for side in (-1, 1):
        paint_bone(plane, ellipsoid(plane, (side * 135, -18, -22), (14, 18, 30)), "Femur", 1.2)
    paint_bone(plane, tube_region(plane, _SHAFT), "Femur", 4.5)
    for head in heads:
        paint_bone(plane, head, "Femur", 1.0)


_SACRUM = np.array([
    [-8, 4, -62, 4], [10, 8, -70, 5], [25, 17, -77, 8], [40, 28, -81, 11], [60, 42, -78, 14], [80, 50, -70, 17],
    [100, 55, -60, 20], [118, 50, -50, 20], [126, 28, -44, 18],
])  # fmt: skip


def _sacrum(plane: Plane) -> None:
    z = plane.z_mm
    if not -8 < z < 126:
        return
    half, yc, depth = level_at(_SACRUM, z)
    block = ellipsoid(plane, (0, yc, z), (half, depth, 1e4), power=2.6)
    if block is not None and z > 20:  # wings lie behind the body
        bend = (plane.x[block.window] / half) ** 2 * depth * 0.55
        level = ((plane.x[block.window] / half) ** 2) ** 1.3 + ((plane.y[block.window] - yc + bend) / depth) ** 2
        block = Region(block.window, (1 - np.sqrt(level)) * min(half, depth))
    paint_bone(plane, block, "Sacrum", 1.0)
    if z > 25:
        crest = tube([[0, yc - depth * 0.8, z], [0, yc - depth - 6, z]], [4, 3])
        paint_bone(plane, tube_region(plane, crest), "Sacrum", 1.0)
        plane.paint(
            ellipsoid(plane, (0, yc - depth * 0.55, z), (9 if z > 70 else 6, 4.5, 1e4)),
            (0, "epidural fat"),
            (2, "spinal fluid"),
        )
    for level_z in (42, 62, 83, 104):
        for side in (-1, 1):
            hole = ellipsoid(plane, (side * half * 0.45, yc + depth * 0.35, level_z), (4.5, 7, 6))
            plane.paint(hole, (0, "fat"))
