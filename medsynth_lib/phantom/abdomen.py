"""Organs of abdomen and pelvis. Each is drawn inside ``fields["belly"]``: under the diaphragm, within the wall."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.shapes import Plane, Region, Tube, ellipsoid, rotation, smooth_union, tube, tube_region
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


class Gut:
    """Stomach, duodenum, small bowel and colon as bent tubes with wall, content and gas that has risen to the front."""

    def __init__(self, rng: np.random.Generator):
        self.gas = rng.uniform(0.1, 1.0, 3) ** [1.0, 1.5, 1.0]
        fill = rng.uniform(0.75, 1.2)
        self.stomach = tube(
            # Down the back of the body and up again in front of it: a cross-section longer than it is wide.
            [[-58, -38, 360], [-60, -16, 352], [-48, 14, 342], [-64, -6, 320], [-42, 30, 306], [-58, 18, 294], [-38, 46, 280],
             [-8, 52, 266], [24, 40, 268]],
            np.array([28, 30, 24, 28, 23, 22, 20, 16, 9]) * fill, smooth=4,
        )  # fmt: skip
        self.duodenum = tube(
            [[24, 40, 268], [38, 22, 268], [42, 4, 250], [40, -4, 222], [26, -2, 206], [0, 6, 204], [-24, 6, 214], [-30, 14, 226]],
            10.0, smooth=3,
        )  # fmt: skip
        sag, flex = rng.normal(0, 14), rng.normal(0, 8)
        colon = np.array([
            [84, 14, 92], [90, 12, 112], [94, 8, 140], [96, 2, 180], [94, 0, 215], [86, 8, 236 + flex], [66, 40, 228],
            [34, 60, 212 + sag], [0, 66, 204 + sag], [-36, 62, 216 + sag], [-66, 46, 250], [-84, 34, 290], [-98, 10, 300],
            [-106, -6, 276], [-104, -14, 230], [-102, -10, 180], [-96, 4, 130], [-84, 12, 100], [-56, 14, 78], [-26, 4, 86],
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
            [[32, 14, 236], [28, 14, 256], [14, 20, 268], [-8, 20, 278], [-36, 6, 290], [-62, -18, 300], [-80, -32, 308]],
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
            top = self.kidneys[side][0] + [-side * 18, 4, 52]
            for points in (
                [top + [side * 2, -14, 4], top, top + [-side * 4, 12, 0]],
                [top + [side * 12, -16, 0], top + [-side * 2, 8, 0]],
            ):
                gland = tube_region(plane, tube([points[0], points[-1]], [3.0, 4.4]), organ=True)
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
        sinus = ellipsoid(plane, centre + [-side * 18, 9, 0], np.array([21, 13, 30]) * size, axes, organ=True)
        plane.paint(bean, (0, "renal cortex"))
        # Pyramids: the medulla is cut into lobes by columns of cortex.
        angle = np.arctan2(plane.y[bean.window] - centre[1], plane.x[bean.window] - centre[0])
        lobes = np.cos(6 * angle + plane.organ_z[bean.window] / 6) * 3 + 3
        plane.paint(Region(bean.window, bean.depth - 7 - lobes), (0, "renal medulla"))
        plane.paint(sinus, (0, "fat"), over=("renal cortex", "renal medulla", "fat"))
        pelvis = ellipsoid(plane, centre + [-side * 19, 9, 0], np.array([12, 6, 14]) * size, axes, organ=True)
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


def paint_vessels(plane: Plane, kidneys: dict) -> None:
    """Caval vein, iliac and femoral vessels, renal vessels, coeliac, mesenteric, splenic and portal vessels."""
    if plane.z_mm > 400:
        return
    for points, radii, name in (
        (
            [[26, -8, 400], [24, -14, 360], [20, -12, 300], [19, -10, 240], [18, -12, 190], [14, -16, 158]],
            [12, 12, 11, 10.5, 10, 9.5],
            "vein",
        ),
        ([[0, -4, 262], [-4, 16, 248], [2, 24, 210], [6, 26, 180]], [3.6, 3.6, 3.4, 2.6], "artery"),
        ([[14, 18, 262], [12, 28, 240], [12, 28, 200], [14, 30, 175]], [6, 5.5, 5, 3.5], "portal vein"),
        ([[14, 16, 262], [16, 16, 280], [22, 8, 312]], [7, 7, 7], "portal vein"),
        ([[14, 14, 266], [-20, 6, 278], [-60, -22, 298], [-84, -36, 312]], [5, 4.5, 4.5, 4], "portal vein"),
        ([[-8, -2, 286], [-6, 14, 290]], [3.6, 3.2], "artery"),
    ):
        plane.paint(tube_region(plane, tube(points, radii, smooth=2)), (0, name))
    for side in (-1, 1):
        hilum = kidneys[side][0] + [-side * 22, 8, 0]
        plane.paint(tube_region(plane, tube([hilum, [side * 16, -10, 258]], [4, 4.5])), (0, "vein"))
        plane.paint(
            tube_region(plane, tube([hilum + [0, -5, 2], [-4, -12, 256]], [2.6, 3])), (0, "artery"), over=("fat",)
        )
        s = np.array([side, 1, 1])
        artery = np.array(
            [[0, -10, 170], [22, -18, 140], [44, -16, 100], [66, 12, 60], [80, 40, 15], [84, 36, -40], [80, 24, -130]]
        )
        vein = artery + [-6, -9, 0]
        vein[0] = [14 * side, -16, 160]
        plane.paint(tube_region(plane, tube(vein * s, [8, 7, 7, 7, 6.5, 6, 5.5], smooth=3)), (-1.5, "fat"), (0, "vein"))
        plane.paint(
            tube_region(plane, tube(artery * s, [7.5, 6.5, 6, 5.5, 5, 4.8, 4.2], smooth=3)),
            (-1.5, "fat"),
            (0, "artery"),
        )


def paint_back_muscles(plane: Plane, patient: Patient) -> None:
    """Erector spinae beside the spinous processes, psoas beside the lumbar bodies, iliacus on the iliac wing."""
    z = plane.z_mm
    if z > 60:
        rise = np.interp(z, [60, 110, 200, 320, 480, 560, 620], [0.55, 0.95, 1.05, 0.9, 0.62, 0.55, 0.6])
        back = spine_y(max(z, 80)) - np.interp(z, [60, 115, 300, 420, 560, 640], [32, 42, 38, 34, 30, 30])
        for side in (-1, 1):
            long = ellipsoid(
                plane,
                (side * 32 * rise, back - 8 * rise, z),
                (29 * rise, 19 * rise, 1e4),
                rotation(side * -8),
                power=2.4,
            )
            if z > 75:
                plane.paint(long, (-1.8, "fat"), (0, "autochthon"))
    if -70 < z < 300:
        for side in (-1, 1):
            s = np.array([side, 1, 1])
            psoas = tube(
                np.array([[26, -40, 300], [34, -40, 250], [44, -42, 200], [50, -36, 150], [60, -20, 100], [74, 10, 50], [88, 26, 10],
                          [100, 14, -30], [104, -12, -68]]) * s, [7, 13, 18, 22, 22, 19, 17, 14, 8], smooth=3,
            )  # fmt: skip
            iliacus = tube(
                np.array([[94, -26, 130], [92, -22, 95], [88, 4, 55], [94, 22, 15]]) * s, [10, 17, 16, 12], smooth=2
            )
            for one in (iliacus, psoas):
                plane.paint(
                    tube_region(plane, one),
                    (-1.2, "fat"),
                    (0, "iliopsoas"),
                    over=("fat", "muscle", "iliopsoas", *_SOFT[2:]),
                )
    if 150 < z < 290:  # quadratus lumborum
        for side in (-1, 1):
            plane.paint(ellipsoid(plane, (side * 58, spine_y(z) - 24, z), (17, 9, 1e4)), (0, "muscle"), over=("fat",))
