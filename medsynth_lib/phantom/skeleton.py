"""Bones of the trunk: spine, ribs and sternum, shoulder girdle.

Vertebral heights are those of Panjabi et al. (Spine 16:888, 1991; 17:299, 1992), rib slopes and the sternum's levels
those of Gray's Anatomy; the rest is drawn to the reference body of ``body``.
"""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.body import CAGE, level_at
from medsynth_lib.phantom.shapes import Plane, Region, ellipsoid, tube, tube_region
from medsynth_lib.phantom.tissues import CODE

#: Lower edge of each vertebra (disc below included) from L5 up to C3, and the top of C3, in mm.
SPINE_EDGES = np.array([115, 150, 186, 221, 256, 290, 318, 345, 371, 396, 420, 444, 467, 490, 512, 533, 553, 572, 589,
                        605, 621, 637, 653], dtype=float)  # fmt: skip
_SPINE_Y = np.array([[60, -58], [115, -40], [168, -34], [205, -32], [240, -36], [275, -42], [306, -48], [360, -57],
                     [434, -63], [480, -62], [524, -56], [565, -46], [600, -34], [635, -26], [665, -24]])  # fmt: skip
_LUMBAR, _THORACIC = 5, 17  # number of edges below T12 and below C7


def spine_y(z_mm: float) -> float:
    """y of the centre of the vertebral bodies: lumbar lordosis, thoracic kyphosis, cervical lordosis."""
    return float(np.interp(z_mm, _SPINE_Y[:, 0], _SPINE_Y[:, 1]))


def paint_bone(plane: Plane, region: Region | None, name: str, cortex_mm: float = 1.1) -> None:
    plane.paint(region, (0, f"{name} cortex"), (cortex_mm, f"{name} marrow"))


def _spine_bone(plane: Plane, region: Region | None, cortex_mm: float = 0.9) -> None:
    plane.paint(region, (0, "cortical bone"), (cortex_mm, "red marrow bone"))


def paint_spine(plane: Plane) -> None:
    """Vertebral body or disc, canal with cord or roots, and the arch with its processes."""
    z = plane.z_mm
    if z < SPINE_EDGES[0] - 6:
        return
    level = int(np.clip(np.searchsorted(SPINE_EDGES, z) - 1, 0, len(SPINE_EDGES) - 2))
    low, high = SPINE_EDGES[level : level + 2]
    at = (z - low) / (high - low)  # 0 at the lower edge of the disc below, 1 at the upper end plate
    lumbar, cervical = level < _LUMBAR, level >= _THORACIC
    rise = np.interp(z, [115, 250, 300, 420, 550, 600, 650], [1.0, 0.92, 0.82, 0.68, 0.58, 0.5, 0.48])
    width, depth = 25 * rise, (17.5 if not cervical else 15) * rise + 1
    yc = spine_y(z)
    waist = 1 - 0.10 * np.sin(np.pi * np.clip((at - 0.2) / 0.8, 0, 1))
    body = ellipsoid(plane, (0, yc, z), (width * waist, depth * waist, 1e4), power=2.5)
    canal_r = np.interp(z, [115, 300, 560, 650], [11.5, 9.5, 10, 9.5])
    canal_y = yc - depth - canal_r + 3.5
    _arch(plane, at, lumbar, cervical, width, canal_y, canal_r)
    if at < 0.2:
        plane.paint(body, (0, "disc"))
    elif at < 0.27 or at > 0.94:
        plane.paint(body, (0, "cortical bone"), (4, "red marrow bone"))
    else:
        _spine_bone(plane, body)
    canal = ellipsoid(plane, (0, canal_y, z), (canal_r * 1.15, canal_r, 1e4))
    plane.paint(canal, (0, "epidural fat"), (2.2, "spinal fluid"))
    if z > 275:  # the cord ends at L1
        plane.paint(ellipsoid(plane, (0, canal_y, z), (canal_r * 0.62, canal_r * 0.5, 1e4)), (0, "cord"))


def _arch(plane: Plane, at: float, lumbar: bool, cervical: bool, width: float, canal_y: float, canal_r: float) -> None:
    z = plane.z_mm

    def bar(points, radii, cortex=1.0):
        flat = [(*point, z) for point in points]
        _spine_bone(plane, tube_region(plane, tube(flat, radii)), cortex)

    side_r = canal_r + 3.5
    long = 34 if lumbar else (15 if cervical else 24)
    # The spinous process slopes down in the chest, so every plane there meets one; lumbar ones leave gaps.
    if not lumbar or at < 0.75:
        bar([(0, canal_y - canal_r - 2), (0, canal_y - canal_r - long * (0.9 if lumbar else 1))], [3.6, 3.2])
    for side in (-1, 1):
        if at > 0.45:  # pedicles; below them the foramina stay open
            bar([(side * width * 0.62, canal_y + canal_r), (side * side_r, canal_y)], [4.6, 4.6])
        bar(
            [(side * side_r, canal_y - 2), (side * side_r * 0.6, canal_y - canal_r), (0, canal_y - canal_r - 5)],
            [4, 3.6, 3.2],
        )
        if lumbar and 0.45 < at < 0.85:
            bar([(side * side_r, canal_y), (side * 40, canal_y - 8)], [4.2, 2.8])
        elif not lumbar and not cervical and at > 0.4:
            bar([(side * side_r, canal_y - 2), (side * 30, canal_y - 16)], [4.6, 4.0])
        elif cervical:
            bar([(side * width * 0.9, canal_y + canal_r + 3), (side * (width + 5), canal_y + 4)], [3.4, 3.2])
        if at < 0.5 or at > 0.85:  # facet joints
            bar([(side * (side_r + 2), canal_y - 6), (side * (side_r + 3), canal_y - 11)], [5.2, 4.6])


# Rib: drop from head to front end (mm), end of the bone and of its cartilage as parts of the way round, sternum level.
_RIBS = np.array([
    [38, 0.80, 0.94, 527], [58, 0.80, 0.95, 500], [78, 0.79, 0.955, 476], [95, 0.78, 0.96, 455], [108, 0.77, 0.96, 436],
    [120, 0.76, 0.96, 420], [128, 0.74, 0.95, 408], [128, 0.70, 0.90, 388], [122, 0.66, 0.86, 366],
    [112, 0.62, 0.82, 345],
    [72, 0.50, 0.50, 0], [42, 0.34, 0.34, 0],
])  # fmt: skip


def paint_ribs(plane: Plane, fields: dict[str, np.ndarray]) -> None:
    """Ribs as arcs that drop from the spine to the front, cut obliquely by the plane; cartilage on to the sternum."""
    if not 210 < plane.z_mm < 590:
        return
    a, b, yc, _ = level_at(CAGE, plane.z_mm)
    shell = np.abs(fields["cage"] + 5.0) < 6.0
    i, j = np.nonzero(shell)
    x, y, z = plane.x[i, j], plane.y[i, j], plane.z[i, j]
    across = (fields["cage"][i, j] + 5.0) / 4.2
    around = np.arctan2(np.abs(x) / a, -(y - yc) / b) / np.pi
    for number, (drop, bone_end, end, sternum) in enumerate(_RIBS):
        head = SPINE_EDGES[17 - number - 1] + 16
        path = np.clip(around / bone_end, 0, 1)
        bone_z = head - drop * path**1.15
        inside = (across**2 + ((z - bone_z) / 7.5) ** 2 < 1) & (around < bone_end) & (np.abs(x) > 22)
        core = (across / 0.82) ** 2 + ((z - bone_z) / 6.6) ** 2 < 1
        plane.tissue[i[inside], j[inside]] = CODE["Ribs cortex"]
        plane.tissue[i[inside & core], j[inside & core]] = CODE["Ribs marrow"]
        if sternum:
            rest = np.clip((around - bone_end) / (end - bone_end), 0, 1)
            gristle_z = head - drop + (sternum - head + drop) * rest**1.3
            gristle = (across**2 + ((z - gristle_z) / 7.5) ** 2 < 1) & (around >= bone_end) & (around < end)
            plane.tissue[i[gristle], j[gristle]] = CODE["costal cartilage"]


def paint_sternum(plane: Plane, fields: dict[str, np.ndarray]) -> None:
    """Manubrium and body as a plate on the front of the cage, on down to the xiphoid."""
    z = plane.z_mm
    if not 368 < z < 540:
        return
    half = np.interp(z, [368, 395, 410, 470, 488, 500, 535], [5, 8, 19, 15, 15, 27, 30])
    across = np.abs(fields["cage"] + 5.5) - 5.0
    plate = np.minimum(-across, half - np.abs(plane.x))
    plate = np.where(plane.y > 0, plate, -1)
    plane.paint(plane.whole(plate), (0, "Ribs cortex"), (1.0, "Ribs marrow"))


def paint_shoulders(plane: Plane) -> None:
    """Clavicles, scapulae and humeral heads, arms up."""
    if plane.z_mm < 400:
        return
    for side in (-1, 1):
        s = np.array([side, 1, 1])
        _scapula(plane, side)
        spine = tube(np.array([[80, -97, 528], [116, -91, 545], [146, -68, 562], [156, -42, 566]]) * s, [4, 5, 6, 6])
        paint_bone(plane, tube_region(plane, spine), "Scapula", 1.1)
        clavicle = tube(
            np.array([[16, 42, 538], [50, 44, 550], [95, 18, 562], [140, -14, 570], [152, -28, 570]]) * s,
            [8.5, 7, 6, 6, 7], smooth=4,
        )  # fmt: skip
        paint_bone(plane, tube_region(plane, clavicle), "Clavicula", 1.6)
        paint_bone(plane, ellipsoid(plane, (side * 150, -32, 548), (23, 23, 23)), "Humerus", 1.0)
        shaft = tube(np.array([[152, -30, 550], [168, -22, 585], [205, -8, 700]]) * s, [18, 12.5, 11])
        paint_bone(plane, tube_region(plane, shaft), "Humerus", 3.5)


def _scapula(plane: Plane, side: int) -> None:
    """The blade: a thin curved plate behind the ribs, and the glenoid facing the humeral head."""
    z = plane.z_mm
    if not 425 < z < 556:
        return
    lateral = np.interp(z, [425, 480, 530, 556], [100, 122, 132, 132])
    medial = np.interp(z, [425, 480, 530, 556], [86, 68, 66, 84])
    y_out, y_in = np.interp(z, [425, 556], [-86, -58]), np.interp(z, [425, 556], [-104, -104])
    middle = (lateral + medial) / 2
    plate = tube(
        [[side * medial, y_in, z], [side * middle, (y_in + y_out) / 2 - 6, z], [side * lateral, y_out, z]],
        [3.2, 2.6, 4.5],
        smooth=3,
    )  # fmt: skip
    paint_bone(plane, tube_region(plane, plate), "Scapula", 1.0)
    paint_bone(plane, ellipsoid(plane, (side * 128, -50, 540), (8, 16, 20)), "Scapula", 1.1)
