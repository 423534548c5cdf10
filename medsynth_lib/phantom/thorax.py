"""Lungs with their vessels, heart, great vessels, airway, gullet, and the neck."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, Region, Tube, ellipsoid, rotation, tube, tube_region
from medsynth_lib.phantom.skeleton import spine_y

#: Highest point of each dome of the diaphragm at mid breath: T9/T10 on the right, 15 mm lower on the left.
DOME_MM = {1: 398.0, -1: 383.0}


def diaphragm(plane: Plane) -> np.ndarray:
    """Height of the diaphragm over every pixel ``(X, Y)``: two domes that fall steeply to the ribs, most at the back."""
    edge = 322 + 0.32 * plane.y
    right = np.where(plane.x > 0, DOME_MM[1], DOME_MM[-1]) - edge
    ratio = ((np.abs(plane.x) - 58) / 64) ** 2 + ((plane.y - 4) / 88) ** 2
    middle = np.clip(1 - np.abs(plane.x) / 30, 0, 1) * 12  # the central tendon under the heart lies lower
    return edge + right * np.sqrt(np.clip(1 - ratio, 0, 1)) - middle


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
        self.vessels: list[Tube] = []
        self.bronchi: list[Tube] = []
        for side in (-1, 1):
            hilum = np.array([side * 34, -12, 474 + 4 * side], dtype=float)
            for _ in range(20):
                self._grow(rng, hilum, _direction(rng, side), rng.uniform(3.4, 5.0), 4)
            for _ in range(5):
                way = _direction(rng, side)
                self.bronchi.append(tube([hilum, hilum + way * 18, hilum + way * 42], [3.6, 2.6, 1.4]))

    def _grow(self, rng, start, way, radius, generations):
        end = start + way * rng.uniform(18, 34)
        thin = radius * 0.72
        self.vessels.append(tube([start, end], [radius, thin]))
        if generations:
            for _ in range(2):
                turn = way + rng.normal(0, 0.42, 3)
                self._grow(rng, end, turn / np.linalg.norm(turn), thin, generations - 1)

    def paint(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """Parenchyma, then its tree."""
        if not 270 < plane.z_mm < 600:
            return
        plane.paint(plane.whole(fields["lung"]), (0, "lung"))
        for one in self.vessels:
            plane.paint(tube_region(plane, one, organ=True), (0, "lung vessel"), over=("lung",))
        for one in self.bronchi:
            plane.paint(
                tube_region(plane, one, organ=True),
                (-1.2, "lung vessel"),
                (0, "bronchus"),
                over=("lung", "lung vessel"),
            )


def _direction(rng: np.random.Generator, side: int) -> np.ndarray:
    way = np.array([side * rng.uniform(0.35, 1), rng.uniform(-0.8, 0.8), rng.normal(-0.15, 0.75)])
    return way / np.linalg.norm(way)


class Heart:
    """Four chambers in their fat, tilted as in the chest, and the vessels that leave and enter them."""

    def __init__(self, rng: np.random.Generator, size: float):
        self.size = size * rng.normal(1, 0.05)
        self.axes = rotation(about_z_deg=-42 + rng.normal(0, 5), about_x_deg=0, about_y_deg=-24)
        self.centre = np.array([-20, 24, 428]) + rng.normal(0, 3, 3)
        self.arch = tube(
            [[-6, 16, 455], [16, 26, 470], [20, 28, 495], [12, 14, 518], [-8, -12, 523], [-22, -34, 512], [-24, -48, 485],
             [-22, -46, 420], [-16, -32, 350], [-10, -12, 290]],
            np.array([14, 15, 15, 14, 13, 12.5, 12, 11.5, 11, 10.5]), smooth=4,
        )  # fmt: skip
        self.aorta = tube([[-10, -12, 290], [-7, -8, 240], [-4, -8, 200], [0, -10, 167]], [10.5, 9.5, 9, 8.5], smooth=3)

    def _at(self, right: float, front: float, up: float) -> np.ndarray:
        return self.centre + np.array([right, front, up]) * self.size

    def paint(self, plane: Plane) -> None:
        """Pericardial fat, myocardium, blood."""
        if not 340 < plane.z_mm < 520:
            return
        s, a = self.size, self.axes
        fat = ellipsoid(plane, self.centre, np.array([66, 50, 54]) * s, a, organ=True)
        plane.paint(fat, (0, "fat"), over=("lung", "lung vessel", "fat", "bronchus", "liver", "muscle"))
        for centre, radii, wall in (
            (self._at(-22, -8, -6), (46, 31, 32), 10.0),  # left ventricle: thick
            (self._at(8, 18, -12), (44, 24, 32), 3.5),  # right ventricle, in front
        ):
            region = ellipsoid(plane, centre, np.array(radii) * s, a, organ=True)
            plane.paint(region, (0, "myocardium"), (wall, "heart blood"))
        lv = ellipsoid(plane, self._at(-22, -8, -6), np.array([46, 31, 32]) * s, a, organ=True)
        plane.paint(lv, (0, "myocardium"), (10, "heart blood"))
        for centre, radii in ((self._at(34, 2, -4), (24, 24, 32)), (self._at(8, -34, 18), (34, 18, 24))):
            region = ellipsoid(plane, centre, np.array(radii) * s, organ=True)
            plane.paint(
                region, (0, "myocardium"), (2.2, "heart blood"), over=("fat", "lung", "lung vessel", "myocardium")
            )

    def paint_vessels(self, plane: Plane) -> None:
        """Pulmonary trunk and arteries, pulmonary veins, caval veins, aorta with its arch and the branches to the neck."""
        for points, radii, name in (
            ([[-16, 34, 452], [-20, 28, 474], [-16, 6, 486]], [14, 14, 13], "pulmonary artery"),
            ([[-16, 6, 486], [4, -10, 484], [40, -14, 478]], [12, 10.5, 9], "pulmonary artery"),
            ([[-16, 6, 486], [-32, -14, 488], [-48, -18, 482]], [12, 10.5, 9], "pulmonary artery"),
            ([[14, -22, 450], [44, -16, 458], [60, -8, 462]], [8, 7, 6], "lung vessel"),
            ([[-10, -24, 450], [-44, -24, 456], [-60, -18, 460]], [8, 7, 6], "lung vessel"),
            ([[36, 6, 440], [32, 6, 480], [30, 10, 510], [30, 14, 532]], [10, 10, 9.5, 9], "vein"),
            ([[30, 14, 530], [44, 4, 556], [40, -6, 600], [38, -8, 680]], [8, 6.5, 6.5, 6], "vein"),
            (
                [[28, 18, 528], [0, 30, 532], [-40, 10, 552], [-40, -6, 600], [-38, -8, 680]],
                [7, 7, 6.5, 6.5, 6],
                "vein",
            ),
            ([[44, 6, 554], [90, -8, 560], [150, -10, 600]], [6.5, 6, 5], "vein"),
            ([[-42, 6, 554], [-90, -8, 560], [-150, -10, 600]], [6.5, 6, 5], "vein"),
            ([[10, 14, 520], [18, 6, 548], [26, -8, 600], [26, -10, 680]], [6.5, 5.5, 4, 3.8], "artery"),
            ([[18, 6, 546], [60, -14, 562], [140, -20, 590]], [5, 4.5, 4], "artery"),
            ([[-2, 2, 523], [-16, -2, 548], [-26, -10, 600], [-26, -12, 680]], [4.5, 4, 3.8, 3.6], "artery"),
            ([[-12, -14, 523], [-26, -18, 548], [-60, -20, 562], [-140, -22, 590]], [5, 4.5, 4.5, 4], "artery"),
            ([[8, -50, 500], [8, -48, 400], [6, -36, 300]], [3.2, 3, 2.6], "vein"),
        ):
            plane.paint(tube_region(plane, tube(points, radii, smooth=3)), (0, name))
        plane.paint(tube_region(plane, self.arch), (0, "artery"))
        plane.paint(tube_region(plane, self.aorta), (0, "artery"))


def paint_airway(plane: Plane, gas_in_gullet: bool) -> None:
    """Windpipe to the main bronchi, gullet behind it, thyroid and neck muscles in fat."""
    z = plane.z_mm
    if z > 555:
        _paint_neck(plane)
    gullet = tube(
        [[2, spine_y(640) + 20, 660], [-3, spine_y(560) + 24, 560], [-2, spine_y(500) + 24, 500], [-4, spine_y(440) + 26, 440],
         [-8, spine_y(390) + 32, 390], [-22, -2, 352]], 8.0, smooth=3,
    )  # fmt: skip
    lumen = 5.0 if gas_in_gullet and 470 < z < 540 else 9.0
    plane.paint(tube_region(plane, gullet), (0, "oesophagus"), (lumen, "oesophagus air"))
    for points, radii in (
        ([[0, 14, 690], [0, 10, 640], [0, -4, 560], [1, -12, 495]], [9, 9.5, 10, 10]),
        ([[1, -12, 497], [18, -14, 482], [36, -14, 472]], [8.5, 8, 7]),
        ([[1, -12, 497], [-20, -18, 478], [-42, -20, 466]], [8.5, 7, 6.2]),
    ):
        plane.paint(tube_region(plane, tube(points, radii, smooth=2)), (-2.0, "airway wall"), (0, "airway"))


def _paint_neck(plane: Plane) -> None:
    for side in (-1, 1):
        sterno = tube([[side * 18, 38, 545], [side * 40, 16, 600], [side * 50, -14, 680]], [8, 12, 12])
        plane.paint(tube_region(plane, sterno), (-1.5, "fat"), (0, "muscle"))
        lobe = ellipsoid(plane, (side * 18, 6, 588), (10, 13, 24))
        plane.paint(lobe, (-1.5, "fat"), (0, "thyroid"))
    plane.paint(ellipsoid(plane, (0, 18, 582), (16, 5, 8)), (0, "thyroid"))


def above_diaphragm(region: Region, fields: dict[str, np.ndarray]) -> Region:
    """The part of a region over the diaphragm."""
    return region.within(fields["dome"])
