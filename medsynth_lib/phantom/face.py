"""Outside the brain: skin, scalp and muscles, the bones of face and skull base, sinuses, airway, orbits, head rest."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, Region, ellipsoid, smooth_union, superellipse, tube, tube_region


def skin_depth(plane: Plane, fat_mm: float) -> np.ndarray:
    """Depth below the skin of cranium, face, nose, ears and neck."""
    level = np.sqrt((plane.x / 77) ** 2 + ((plane.y + 6) / 97) ** 2 + ((plane.z - 28) / 96) ** 2)
    skin = ((1 - level) * 85 + (fat_mm - 4)).astype(np.float32)
    z = plane.z_mm
    if z < 40:
        a, b, yc = (np.interp(z, [-78, -60, -30, 0, 25, 40], row) for row in (
            [50, 60, 66, 66, 60, 40], [70, 76, 80, 84, 80, 60], [12, 12, 12, 10, 8, 4],
        ))  # fmt: skip
        skin = smooth_union(skin, superellipse(plane, a, b, yc, 2.2) + np.float32(fat_mm - 4), 16)
    if z < 0:
        neck = superellipse(plane, 58, 55, -30, 2.1) + np.float32(min(0, -10 - z) * 0.6 + fat_mm - 4)
        skin = smooth_union(skin, neck, 16)
    for region in (
        tube_region(plane, tube([[0, 88, 22], [0, 104, -10], [0, 106, -20], [0, 92, -28]], [5, 9, 11, 8], smooth=2)),
        *(ellipsoid(plane, (side * 78, -14, -2), (6, 14, 27)) for side in (-1, 1)),
    ):
        if region is not None:
            skin[region.window] = smooth_union(skin[region.window], region.depth, 6)
    return skin.astype(np.float32)


def paint_rest(plane: Plane, skin: np.ndarray) -> None:
    """The moulded head rest of the couch."""
    shell = np.minimum(np.abs(superellipse(plane, 96, 112, 4, 2.2) + 6) * -1 + 6, -plane.y - 30)
    plane.paint(plane.whole(np.minimum(shell, -skin - 1.5)), (0, "couch shell"), (1.6, "couch foam"))


def paint_soft_tissue(plane: Plane, skin: np.ndarray, inner: np.ndarray, septa: np.ndarray, fat_mm: float) -> None:
    """Skin, fat, and the muscles of face, temple and neck with fat between them."""
    plane.paint(plane.whole(skin), (0, "skin"), (1.8, "fat"))
    z = plane.z_mm
    deep = skin - fat_mm - 3
    if z < 45:
        temple = np.minimum.reduce([deep + 2, np.abs(plane.x) - 42, 24 - np.abs(plane.y - 14), -inner - 5])
        plane.paint(plane.whole(temple.astype(np.float32)), (0, "muscle"))
    if z < 8:
        plane.paint(plane.whole(deep - max(0, z + 6)), (0, "muscle"))
        plane.paint(plane.whole(np.minimum(deep - 1, 0.22 - np.abs(septa))), (0, "fat"))
        for side in (-1, 1):
            plane.paint(ellipsoid(plane, (side * 58, -2, -38), (11, 16, 24)), (0, "gland"))
            plane.paint(ellipsoid(plane, (side * 57, 24, -42), (8, 20, 28)), (-1.5, "fat"), (0, "muscle"))
            plane.paint(ellipsoid(plane, (side * 44, 58, -36), (14, 14, 20)), (0, "fat"))  # cheek
        plane.paint(ellipsoid(plane, (0, 42, -64), (24, 34, 18)), (-1.5, "fat"), (0, "tongue"))


def _bar(plane: Plane, points, radii, *layers, smooth: int = 3) -> None:
    for side in (-1, 1):
        pipe = tube(np.array(points, float) * [side, 1, 1], radii, smooth=smooth)
        plane.paint(tube_region(plane, pipe), *(layers or ((0, "Skull cortex"), (1.8, "Skull marrow"))))


def paint_bones(plane: Plane) -> None:
    """Skull base with petrous bones and clivus, cheek bones, jaws with teeth, atlas and axis."""
    z = plane.z_mm
    if z > 50:
        return
    for points, radii in (
        ([[0, 24, 0], [0, 10, -10], [0, -6, -28]], [11, 9, 6]),  # sphenoid body and clivus
        ([[34, 86, 27], [54, 74, 20], [57, 62, 6], [50, 64, -8], [32, 78, -9], [14, 86, 2]], [4, 4, 4, 4, 3.5, 3]),
        ([[56, 60, -8], [64, 36, -10], [67, 10, -6], [64, -2, -4]], [5.5, 3.6, 3.2, 4]),
        ([[50, 2, -10], [48, 2, -34], [47, 6, -58], [36, 44, -72], [16, 72, -76], [0, 78, -76]], [6, 5, 6, 6.5, 7, 7]),
        ([[30, 36, -44], [27, 60, -45], [14, 80, -45], [0, 85, -45]], [6, 6.5, 6, 6]),
        ([[4, 92, 16], [5, 96, 2]], [2.4, 2]),
    ):
        _bar(plane, points, radii)
    palate = ellipsoid(plane, (0, 62, -39), (26, 26, 2.6), power=4)
    plane.paint(palate, (0, "Skull cortex"))
    _bar(plane, [[14, 2, -4], [34, -12, -2], [58, -22, -2]], [8, 10, 12], (0, "Skull cortex"), (2, "dense bone"))
    _teeth(plane)
    if z < -28:
        _paint_neck_bones(plane)


def _teeth(plane: Plane) -> None:
    if not -72 < plane.z_mm < -48:
        return
    for angle in np.linspace(-80, 80, 15):
        a = np.radians(angle)
        at = [27 * np.sin(a), 50 + 34 * np.cos(a)]
        for low, high in ((-71, -62), (-59, -50)):
            plane.paint(tube_region(plane, tube([[*at, low], [*at, high]], 3.3)), (0, "tooth"))


def _paint_neck_bones(plane: Plane) -> None:
    z = plane.z_mm
    if z > -48:  # atlas: a ring
        ring = ellipsoid(plane, (0, -26, z), (21, 20, 1e4))
        plane.paint(Region(ring.window, 4.2 - np.abs(ring.depth - 4)), (0, "cortical bone"), (1.4, "red marrow bone"))
        for side in (-1, 1):
            plane.paint(
                ellipsoid(plane, (side * 22, -20, -38), (9, 9, 10)), (0, "cortical bone"), (1.5, "red marrow bone")
            )
        plane.paint(ellipsoid(plane, (0, -12, z), (5, 5, 1e4)), (0, "cortical bone"), (1.4, "red marrow bone"))
        return
    for points, radii in (
        ([[0, -11, -48], [0, -11, -90]], [9, 9.5]),
        *(
            (
                np.array([[9, -14, z], [15, -27, z], [8, -40, z], [0, -46, z], [0, -56, z]]) * [s, 1, 1],
                [5, 4, 3.2, 3.4, 3],
            )
            for s in (-1, 1)
        ),
    ):
        plane.paint(tube_region(plane, tube(points, radii)), (0, "cortical bone"), (1.5, "red marrow bone"))


_WALLED_AIR = ((-1.6, "Skull cortex"), (0, "sinus air"))
_THROAT = tube([[0, 36, -22], [0, 18, -30], [0, 8, -55], [0, 8, -95]], [9, 10, 9, 9], smooth=2)


def paint_air(plane: Plane) -> None:
    """Nose and throat, paranasal sinuses, mastoid cells and ear canals."""
    if plane.z_mm > 50:
        return
    plane.paint(tube_region(plane, _THROAT), (-2, "mucosa"), (0, "sinus air"))
    _paint_ethmoid(plane)
    plane.paint(ellipsoid(plane, (0, 31, 4), (14, 10, 9), power=2.6), *_WALLED_AIR)  # sphenoid
    for side in (-1, 1):
        plane.paint(ellipsoid(plane, (side * 31, 62, -20), (16, 18, 17), power=2.4), *_WALLED_AIR)  # maxillary
        frontal = ellipsoid(plane, (side * 13, 81, 32), (13, 4.5, 9))
        plane.paint(frontal, *_WALLED_AIR, over=("Skull cortex", "Skull marrow", "fat", "muscle", "dura"))
        _paint_ear(plane, side)
    _paint_nose(plane)


def _paint_nose(plane: Plane) -> None:
    nose = ellipsoid(plane, (0, 70, -18), (14, 27, 20), power=2.6)
    if nose is None:
        return
    plane.paint(nose, (-1.8, "mucosa"), (0, "sinus air"))
    septum = 1.1 - np.abs(plane.x[nose.window])
    plane.paint(Region(nose.window, np.minimum(nose.depth, septum)), (0, "mucosa"))
    for side in (-1, 1):
        for height in (-26, -14):  # turbinates
            plane.paint(ellipsoid(plane, (side * 8, 66, height), (3.4, 19, 4)), (0, "mucosa"))


def _paint_ethmoid(plane: Plane) -> None:
    box = ellipsoid(plane, (0, 62, 8), (13, 23, 13), power=4)
    if box is None:
        return
    cells = np.cos(plane.y[box.window] * 0.72) * np.cos((plane.z[box.window] + 3) * 0.6) * 2 + 1.5
    plane.paint(box, (-1.5, "Skull cortex"), (0, "mucosa"))
    air = np.minimum.reduce([box.depth, cells, np.abs(plane.x[box.window]) - 1.4])
    plane.paint(Region(box.window, air), (0, "sinus air"))


def _paint_ear(plane: Plane, side: int) -> None:
    mastoid = ellipsoid(plane, (side * 58, -32, -12), (9, 13, 16))
    if mastoid is not None:
        x, y, z = (axis[mastoid.window] for axis in (plane.x, plane.y, plane.z))
        cells = np.cos(x * 1.1) * np.cos(y * 1.2) * np.cos(z) * 3 + 0.6
        plane.paint(mastoid, (-2, "Skull cortex"))
        plane.paint(Region(mastoid.window, np.minimum(mastoid.depth, cells)), (0, "sinus air"))
    canal = tube_region(plane, tube([[side * 84, -8, -3], [side * 50, -10, -2]], [3, 2.6]))
    around = ("fat", "muscle", "skin", "Skull cortex", "Skull marrow", "dense bone", "gland")
    plane.paint(canal, (-1.5, "Skull cortex"), (0, "sinus air"), over=around)


def paint_orbits(plane: Plane) -> None:
    """Bony cone, fat, muscles, optic nerve, globe with lens."""
    if not -14 < plane.z_mm < 36:
        return
    for side in (-1, 1):
        s = np.array([side, 1, 1])
        cone = tube_region(plane, tube(np.array([[33, 74, 10], [30, 60, 10], [13, 32, 8]]) * s, [19, 18, 5]))
        if cone is not None:
            front = Region(cone.window, np.minimum(cone.depth + 2, 84 - plane.y[cone.window]))
            plane.paint(front, (0, "Skull cortex"), over=("muscle", "fat", "Skull cortex", "Skull marrow"))
            plane.paint(cone, (0, "fat"))
        for dx, dz in ((13, 0), (-12, 0), (0, 12), (0, -12)):
            strap = tube(
                np.array([[32 + dx * 0.85, 74, 10 + dz * 0.9], [30 + dx, 62, 10 + dz], [14, 34, 8]]) * s,
                [1.4, 2.4, 1.6],
            )
            plane.paint(tube_region(plane, strap), (0, "muscle"), over=("fat",))
        nerve = tube(np.array([[32, 68, 10], [27, 52, 11], [13, 32, 9]]) * s, 2.1, smooth=2)
        plane.paint(tube_region(plane, nerve), (0, "optic nerve"))
        plane.paint(ellipsoid(plane, np.array([33, 79, 10]) * s, (12.2, 12.2, 12.2)), (0, "sclera"), (1.2, "vitreous"))
        plane.paint(ellipsoid(plane, np.array([33, 87.5, 10]) * s, (4.8, 2.2, 4.8)), (0, "lens"))
