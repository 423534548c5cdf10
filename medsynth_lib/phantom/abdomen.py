"""Solid organs of abdomen and pelvis, and the diaphragm.

Each is drawn inside ``fields["belly"]``: under the diaphragm, within the wall.
"""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.shapes import Plane, Region, ellipsoid, rotation, smooth_union, tube, tube_region
from medsynth_lib.phantom.skeleton import spine_y

_SOFT = ("fat", "fibrous fat", "bowel wall", "bowel content", "bowel gas")


def belly_field(plane: Plane, fields: dict[str, np.ndarray]) -> None:
    """Adds ``belly``: depth inside the cage, below the diaphragm's 3 mm of muscle, in front of the spine."""
    behind = (
        np.interp(plane.z_mm, [100, 130], [-104, spine_y(130) - 20]) if plane.z_mm < 130 else spine_y(plane.z_mm) - 20
    )
    spine = np.hypot(plane.x, plane.y - np.float32(behind)) - 34
    fields["belly"] = np.minimum.reduce([fields["cage"] - 2, -fields["dome"] - 3, spine]).astype(np.float32)


def paint_diaphragm(plane: Plane, fields: dict[str, np.ndarray]) -> None:
    """The muscle between lung and belly, and the crura in front of the aorta."""
    if not 200 < plane.z_mm < 420:
        return
    sheet = np.minimum(fields["cage"], 2.2 - np.abs(fields["dome"] + 1.2))
    plane.paint(plane.whole(sheet), (0, "muscle"), over=("fat", "lung"))
    z = plane.z_mm
    if 215 < z < 345:
        for side, low in ((1, 215), (-1, 235)):
            if z > low:
                crus = tube(
                    [[side * 20, spine_y(z) + 4, z], [side * 19, spine_y(z) + 20, z], [side * 8, spine_y(z) + 33, z]],
                    3.2,
                )
                plane.paint(tube_region(plane, crus), (0, "muscle"))


class Liver:
    """Right and left lobe under the dome, with fissure, hepatic and portal veins, and the gallbladder below."""

    def __init__(self, rng: np.random.Generator, size: float):
        self.size = size * rng.normal(1, 0.05)
        self.tip = rng.normal(232, 12)
        self.left_reach = rng.normal(-62, 16)
        self.gallbladder = rng.normal([46, 46, 258], [5, 5, 5]), rng.uniform(0.7, 1.25)
        self.veins = [tube(p, r, smooth=2) for p, r in (
            ([[26, -16, 372], [52, -4, 362], [84, 4, 345]], [5.5, 4.5, 2.5]),
            ([[24, -14, 374], [34, 22, 358], [46, 48, 342]], [5, 4, 2.2]),
            ([[20, -12, 374], [0, 14, 366], [-22, 34, 358]], [5, 3.6, 2]),
            ([[22, 8, 312], [46, 6, 322], [72, -18, 318], [94, -34, 308]], [6.5, 5.5, 4, 2.2]),
            ([[46, 6, 322], [70, 20, 336], [88, 36, 340]], [5, 3.5, 2]),
            ([[22, 8, 312], [2, 30, 330], [-24, 42, 342]], [5.5, 4, 2]),
            ([[72, -18, 318], [90, -6, 300], [98, 4, 276]], [3.5, 2.6, 1.6]),
        )]  # fmt: skip

    def region(self, plane: Plane, fields: dict[str, np.ndarray]) -> Region:
        """Depth inside the liver: the space under the dome, cut by a lower face that rises from right to left."""
        x, y, z = plane.x, plane.y, plane.organ_z
        # The lower (visceral) face is lowest at the right flank, higher at the back over the kidney, steep on the left.
        lower = self.tip + np.clip(104 - x, 0, 220) * 0.52 + np.clip(-10 - y, 0, 60) * 0.45
        lower += np.clip(10 - x, 0, 90) * 0.35 + np.clip(y, 0, 90) * np.clip((70 - x) / 60, 0, 1) * 0.3
        # The left lobe is a wedge before the stomach that thins out to the left.
        wedge = np.minimum((y - 6 - np.clip(10 - x, 0, 90) * 0.5) * 0.8, (x - self.left_reach) * 0.6)
        hollow = np.hypot(x + 2, (y + 44) / 1.15) - 44  # room for spine, aorta and crura
        lobes = np.minimum(smooth_union((x - 12) * 0.8, wedge, 14), hollow)
        depth = -smooth_union((lower - z) * 0.7, -lobes, 12)
        depth = np.minimum(depth + fields["wobble"] * 3.0, fields["belly"] - 1)
        return plane.whole(depth.astype(np.float32))

    def paint(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """Parenchyma, fissure, vessels, gallbladder."""
        if not 190 < plane.z_mm < 415:
            return
        plane.paint(self.region(plane, fields), (0, "liver"))
        fissure = tube([[4, 60, 330], [8, 24, 322], [14, 4, 318]], [4.5, 3.5, 3])
        plane.paint(tube_region(plane, fissure, organ=True), (0, "fat"), over=("liver",))
        for vein in self.veins:
            plane.paint(tube_region(plane, vein, organ=True), (0, "liver vessel"), over=("liver",))
        centre, size = self.gallbladder
        pear = ellipsoid(plane, centre, np.array([15, 17, 32]) * size, rotation(about_x_deg=25), organ=True)
        if pear is not None:
            plane.paint(pear.within(fields["belly"]), (0, "gallbladder wall"), (1.8, "gallbladder"))


class Viscera:
    """Spleen, pancreas, adrenals, kidneys, bladder, and what differs between the sexes."""

    def __init__(self, rng: np.random.Generator, patient: Patient):
        self.sex, self.filling = patient.sex, patient.filling
        self.spleen = rng.normal([-94, -46, 322], [3, 4, 6]), rng.uniform(0.85, 1.2)
        self.kidneys = {
            side: (np.array([side * 62, -42, 262 - 8 * side]) + rng.normal(0, 4, 3), rng.uniform(0.9, 1.1))
            for side in (-1, 1)
        }
        self.pancreas = tube(
            [[32, 14, 236], [28, 14, 256], [14, 20, 268], [-8, 20, 278], [-36, 6, 290], [-62, -18, 300],
            [-80, -32, 308]],
            np.array([9, 13, 10, 9, 9.5, 9, 6]) * rng.uniform(0.85, 1.15), smooth=3,
        )  # fmt: skip

    def paint(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """All of them, back to front."""
        centre, size = self.spleen
        spleen = ellipsoid(
            plane, centre, np.array([27, 44, 56]) * size, rotation(about_z_deg=28, about_y_deg=8), organ=True
        )
        if spleen is not None:
            hilum = 30 - np.hypot(plane.x[spleen.window] + 52, plane.y[spleen.window] + 20)
            spleen = Region(spleen.window, np.minimum(spleen.depth, -hilum)).within(fields["belly"])
            plane.paint(
                spleen, (0, "spleen"), over=(*_SOFT, "liver", "stomach wall", "stomach content", "colon wall", "stool")
            )
        for side in (-1, 1):
            self._kidney(plane, fields, side)
            top = self.kidneys[side][0] + np.array([-side * 18, 4, 52])
            for back, front in (((2, -14, 4), (-4, 12, 0)), ((12, -16, 0), (-2, 8, 0))):
                ends = [top + np.array(end) * (side, 1, 1) for end in (back, front)]
                gland = tube_region(plane, tube(ends, [3.0, 4.4]), organ=True)
                plane.paint(gland, (-2.5, "fat"), (0, "adrenal"), over=(*_SOFT, "liver", "adrenal", "spleen"))
        pancreas = tube_region(plane, self.pancreas, organ=True)
        if pancreas is not None:
            lobules = Region(pancreas.window, pancreas.depth + fields["grain"][pancreas.window] * 0.9)
            plane.paint(
                lobules.within(fields["belly"]),
                (-1, "fat"),
                (0, "pancreas"),
                over=(*_SOFT, "liver", "pancreas", "spleen"),
            )

    def _kidney(self, plane: Plane, fields: dict[str, np.ndarray], side: int) -> None:
        centre, size = self.kidneys[side]
        axes = rotation(about_z_deg=side * 35, about_y_deg=side * -10)
        bean = ellipsoid(plane, centre, np.array([26, 30, 55]) * size, axes, organ=True)
        if bean is None:
            return
        plane.paint(Region(bean.window, bean.depth + 7).within(fields["belly"]), (0, "fat"))
        sinus = ellipsoid(plane, centre + np.array([-side * 18, 9, 0]), np.array([21, 13, 30]) * size, axes, organ=True)
        plane.paint(bean, (0, "renal cortex"))
        # Pyramids: the medulla is cut into lobes by columns of cortex.
        angle = np.arctan2(plane.y[bean.window] - centre[1], plane.x[bean.window] - centre[0])
        lobes = np.cos(6 * angle + plane.organ_z[bean.window] / 6) * 3 + 3
        plane.paint(Region(bean.window, bean.depth - 7 - lobes), (0, "renal medulla"))
        plane.paint(sinus, (0, "fat"), over=("renal cortex", "renal medulla", "fat"))
        pelvis = ellipsoid(plane, centre + np.array([-side * 19, 9, 0]), np.array([12, 6, 14]) * size, axes, organ=True)
        plane.paint(pelvis, (0, "renal pelvis"), over=("fat", "renal medulla"))

    def paint_pelvis(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        """Bladder, prostate or uterus, floor of the pelvis."""
        if plane.z_mm > 150:
            return
        floor = ellipsoid(plane, (0, -20, -28), (44, 44, 10))
        plane.paint(floor, (0, "muscle"), over=("fat",))
        if self.sex == "M":
            plane.paint(ellipsoid(plane, (0, 8, -12), (23, 18, 17)), (0, "soft tissue"))
            for side in (-1, 1):
                plane.paint(
                    ellipsoid(plane, (side * 18, -20, 12), (19, 6, 7), rotation(side * 15)),
                    (0, "soft tissue"),
                    over=("fat",),
                )
        else:
            plane.paint(
                ellipsoid(plane, (4, -8, 42), (27, 20, 34), rotation(about_x_deg=35)), (0, "soft tissue"), over=_SOFT
            )
            plane.paint(ellipsoid(plane, (0, -14, -8), (20, 9, 22)), (0, "soft tissue"))
            for side in (-1, 1):
                plane.paint(ellipsoid(plane, (side * 48, -10, 60), (15, 11, 16)), (0, "soft tissue"), over=_SOFT)
        swell = 0.55 + 0.45 * self.filling
        bladder = ellipsoid(plane, (0, 22, 8 + 30 * self.filling), (46 * swell, 36 * swell, 38 * swell), power=2.3)
        if bladder is not None:
            plane.paint(bladder, (-2, "fat"), (0, "bladder wall"), (3.2, "urine"))
