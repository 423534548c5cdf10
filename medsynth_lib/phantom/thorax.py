"""Lungs with their vessels, heart, great vessels, airway, gullet, and the neck."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, Tube, bundle, ellipsoid, rotation, tube, tube_region
from medsynth_lib.phantom.skeleton import spine_y

#: Highest point of each dome of the diaphragm at mid breath: T9/T10 on the right, 15 mm lower on the left.
DOME_MM = {1: 398.0, -1: 383.0}


def diaphragm(plane: Plane) -> np.ndarray:
    """Height of the diaphragm over every pixel ``(X, Y)``: two domes that fall to the ribs, most at the back."""
    edge = 322 + 0.32 * plane.y
    peak = np.where(plane.x > 0, DOME_MM[1], DOME_MM[-1]).astype(np.float32)
    ratio = np.abs(plane.x / 122) ** 3 + np.abs((plane.y - 4) / 91) ** 2.4
    middle = np.clip(1 - np.abs(plane.x) / 45, 0, 1) * 8  # the central tendon under the heart lies lower
    return edge + (peak - edge) * np.sqrt(np.clip(1 - ratio, 0, 1)) - middle


def lung_fields(plane: Plane, fields: dict[str, np.ndarray]) -> None:
    """Adds ``dome`` (mm above the diaphragm) and ``lung`` (depth inside either lung) to ``fields``."""
    fields["dome"] = (plane.organ_z - diaphragm(plane)).astype(np.float32)
    z = plane.z_mm
    width = np.interp(z, [330, 400, 460, 490, 520, 560, 580], [30, 34, 26, 30, 27, 20, 20])
    front = np.clip((plane.y - 30) / 40, 0, 1) * (width - 10)  # the lungs nearly meet behind the sternum
    spine = 27 - np.hypot(plane.x, plane.y - spine_y(z) + 12)
    shift = np.where(plane.x < 0, 8.0, 0.0)  # the heart takes room on the left
    side = np.abs(plane.x) - (width - front + shift * np.exp(-(((z - 415) / 60) ** 2)))
    back = np.clip((-42 - plane.y) / 20, 0, 1) * (width - 16)  # and reach round the spine behind
    lung = np.minimum.reduce([fields["cage"] - 2.5, side + back, fields["dome"], -spine])
    fields["lung"] = lung.astype(np.float32)


class Lungs:
    """A tree of vessels and bronchi in each lung, drawn once for the patient."""

    def __init__(self, rng: np.random.Generator):
        vessels: list[Tube] = []
        bronchi: list[Tube] = []
        for side in (-1, 1):
            hilum = np.array([side * 34, -12, 474 + 4 * side], dtype=float)
            for _ in range(20):
                _grow(vessels, rng, hilum, _direction(rng, side), rng.uniform(2.4, 4.6), 4)
            for _ in range(5):
                way = _direction(rng, side)
                bronchi.append(tube([hilum, hilum + way * 18, hilum + way * 42], [3.6, 2.6, 1.4]))

        self.vessels, self.bronchi = bundle(vessels), bundle(bronchi)

    def paint(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """Parenchyma, then its tree."""
        if not 270 < plane.z_mm < 600:
            return
        plane.paint(plane.whole(fields["lung"]), (0, "lung"))
        plane.paint(tube_region(plane, self.vessels, organ=True), (0, "lung vessel"), over=("lung",))
        bronchi = tube_region(plane, self.bronchi, organ=True)
        plane.paint(bronchi, (-1.2, "lung vessel"), (0, "bronchus"), over=("lung", "lung vessel"))


def _grow(tree: list[Tube], rng: np.random.Generator, start, way, radius: float, generations: int) -> None:
    end = start + way * rng.uniform(18, 34)
    thin = radius * 0.72
    tree.append(tube([start, end], [radius, thin]))
    for _ in range(2 if generations else 0):
        turn = way + rng.normal(0, 0.42, 3)
        _grow(tree, rng, end, turn / np.linalg.norm(turn), thin, generations - 1)


def _direction(rng: np.random.Generator, side: int) -> np.ndarray:
    way = np.array([side * rng.uniform(0.35, 1), rng.uniform(-0.8, 0.8), rng.normal(-0.15, 0.75)])
    return way / np.linalg.norm(way)


class Heart:
    """Four chambers in their fat, tilted as in the chest."""

    def __init__(self, rng: np.random.Generator, size: float):
        self.size = size * rng.normal(1, 0.05)
        self.axes = rotation(about_z_deg=-36 + rng.normal(0, 5), about_y_deg=22)
        self.centre = np.array([-14, 20, 420]) + rng.normal(0, 3, 3)

    def _at(self, right: float, front: float, up: float) -> np.ndarray:
        return self.centre + np.array([right, front, up]) * self.size

    def paint(self, plane: Plane) -> None:
        """Pericardial fat, then atria and ventricles: myocardium around blood."""
        if not 340 < plane.z_mm < 520:
            return
        over = ("lung", "lung vessel", "fat", "bronchus", "liver", "liver vessel", "muscle", "myocardium")
        sac = ellipsoid(plane, self._at(-4, 2, 0), np.array([74, 54, 54]) * self.size, self.axes, organ=True)
        plane.paint(sac, (0, "fat"), over=over)
        for place, radii, wall, axes in (
            ((16, -34, 26), (32, 19, 22), 2.2, None),  # left atrium, at the back
            ((44, -2, 6), (24, 29, 35), 2.2, None),  # right atrium
            ((10, 22, -4), (52, 25, 34), 3.2, self.axes),  # right ventricle, in front
            ((-24, -4, -4), (50, 31, 33), 9.5, self.axes),  # left ventricle: thick
        ):
            region = ellipsoid(plane, self._at(*place), np.array(radii) * self.size, axes, organ=True)
            plane.paint(region, (0, "myocardium"), (wall, "heart blood"), over=(*over, "heart blood"))


_GULLET = tube(
    [[2, spine_y(640) + 20, 660], [-3, spine_y(560) + 24, 560], [-2, spine_y(500) + 24, 500],
     [-4, spine_y(440) + 26, 440], [-8, spine_y(390) + 32, 390], [-22, -2, 352]], 8.0, smooth=3,
)  # fmt: skip
_WINDPIPE = bundle([
    tube([[0, 14, 690], [0, 10, 640], [0, -4, 560], [1, -12, 495]], [9, 9.5, 10, 10], smooth=2),
    tube([[1, -12, 497], [18, -14, 482], [36, -14, 472]], [8.5, 8, 7], smooth=2),
    tube([[1, -12, 497], [-20, -18, 478], [-42, -20, 466]], [8.5, 7, 6.2], smooth=2),
])  # fmt: skip


def paint_airway(plane: Plane, gas_in_gullet: bool) -> None:
    """Windpipe to the main bronchi, gullet behind it, thyroid and neck muscles in fat."""
    z = plane.z_mm
    if z > 555:
        _paint_neck(plane)
    lumen = 5.0 if gas_in_gullet and 470 < z < 540 else 9.0
    plane.paint(tube_region(plane, _GULLET), (0, "oesophagus"), (lumen, "oesophagus air"))
    plane.paint(tube_region(plane, _WINDPIPE), (-1.4, "airway wall"), (0, "airway"))


def _paint_neck(plane: Plane) -> None:
    for side in (-1, 1):
        sterno = tube([[side * 18, 38, 545], [side * 40, 16, 600], [side * 50, -14, 680]], [8, 12, 12])
        plane.paint(tube_region(plane, sterno), (-1.5, "fat"), (0, "muscle"))
        lobe = ellipsoid(plane, (side * 18, 6, 588), (10, 13, 24))
        plane.paint(lobe, (-1.5, "fat"), (0, "thyroid"))
    plane.paint(ellipsoid(plane, (0, 18, 582), (16, 5, 8)), (0, "thyroid"))
