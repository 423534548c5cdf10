"""The person and the envelope: outline, subcutaneous fat, muscle wall, the cage inside it, and what lies outside.

The reference body is 175 cm tall and lies on its back; x grows to the right, y to the front, z to the head, with z = 0
at the hip joints. Levels and breadths follow the reference adults of ICRP Publication 89 (2002) and the usual surface
landmarks (suprasternal notch T2/T3, xiphoid T9, iliac crest L4; Gray's Anatomy). A patient is the reference scaled by
height and breadth, with fat laid on and everything bent by a smooth random field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medsynth_lib.phantom.shapes import Plane, Region, ellipsoid, smooth_union, superellipse, tube, tube_region

#: Lowest and highest plane of the torso in the reference body: upper thigh to the middle of the neck.
TORSO_Z_MM = (-115.0, 625.0)

# z, half-width, half-depth, y of the centre, power: the outer surface of the muscles.
_WALL = np.array([
    [-115, 150, 60, -30, 2.4], [-60, 160, 78, -22, 2.4], [-30, 166, 88, -16, 2.4], [0, 168, 92, -12, 2.4],
    [40, 160, 92, -10, 2.4], [80, 148, 90, -5, 2.4], [120, 138, 86, 0, 2.3], [160, 132, 85, 2, 2.3],
    [200, 131, 87, 2, 2.3], [250, 134, 93, 2, 2.3], [300, 138, 98, 0, 2.3], [350, 143, 102, -2, 2.3],
    [400, 149, 105, -4, 2.3], [450, 154, 106, -6, 2.4], [500, 160, 103, -10, 2.5], [530, 165, 96, -15, 2.5],
    [550, 158, 86, -20, 2.4], [570, 120, 75, -22, 2.2], [590, 78, 66, -20, 2.0], [610, 60, 60, -14, 2.0],
    [660, 56, 60, -8, 2.0],
])  # fmt: skip

# The same for the inside of ribs, abdominal wall and pelvis.
CAGE = np.array([
    [-45, 16, 14, -8, 2.0], [-30, 34, 34, -8, 2.0], [-10, 52, 52, -6, 2.1], [10, 62, 62, -5, 2.2], [40, 80, 68, 0, 2.2],
    [80, 104, 72, 4, 2.3], [120, 114, 72, 8, 2.3], [160, 114, 73, 8, 2.3], [200, 114, 75, 7, 2.3],
    [250, 117, 81, 5, 2.3], [300, 122, 87, 2, 2.3], [340, 126, 92, -1, 2.3], [380, 127, 94, -4, 2.3],
    [420, 125, 93, -7, 2.3], [460, 119, 89, -10, 2.3], [500, 109, 82, -14, 2.3], [520, 98, 72, -19, 2.3],
    [540, 80, 58, -25, 2.2], [560, 50, 42, -32, 2.0], [578, 22, 22, -38, 2.0], [585, 4, 4, -38, 2.0],
])  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """What makes one virtual patient different from the next.

    ``height``, ``breadth``, ``depth`` scale the reference body; ``fat_mm`` is subcutaneous fat at the flank;
    ``visceral`` swells the belly; ``bone_density`` scales mineral; ``filling`` (0 to 1) is how
    full the bladder is.
    """

    sex: str
    height: float
    breadth: float
    depth: float
    fat_mm: float
    visceral: float
    bone_density: float
    filling: float
    arm_down: int
    seed: int

    @classmethod
    def random(cls, seed: int) -> Patient:
        """Draw a patient. Heights: 176 ± 7 cm and 163 ± 7 cm (ICRP 89); fat widely, so that no scan is out of reach."""
        rng = np.random.default_rng([seed, 1])
        sex = "F" if rng.random() < 0.5 else "M"
        height = rng.normal(176 if sex == "M" else 163, 6.5) / 175
        fat = float(np.clip(rng.gamma(4.0, 3.6 if sex == "M" else 5.0), 4, 42))
        breadth = rng.normal(1.0 if sex == "M" else 0.93, 0.04)
        return cls(
            sex=sex, height=float(np.clip(height, 0.84, 1.13)), breadth=float(np.clip(breadth, 0.82, 1.12)),
            depth=float(np.clip(rng.normal(breadth, 0.05), 0.82, 1.15)), fat_mm=fat,
            visceral=float(np.clip(rng.normal(0.04 + 0.004 * fat, 0.05), 0, 0.25)),
            bone_density=float(np.clip(rng.normal(0.95, 0.28), 0.4, 1.7)), filling=float(rng.uniform(0.1, 1.0)),
            arm_down=int(rng.choice([0, 0, 0, 1, -1])), seed=seed,
        )  # fmt: skip

    @property
    def weight_kg(self) -> float:
        """Body weight: a body-mass index of 17 kg/m² without fat, 0.45 more for every mm of it."""
        lean = 17 * self.breadth * self.depth / 0.93
        return (lean + 0.45 * self.fat_mm + 10 * self.visceral) * (1.75 * self.height) ** 2


def level_at(table: np.ndarray, z_mm: float) -> np.ndarray:
    """Columns 1 onwards of a table whose first column is z, interpolated at ``z_mm``."""
    return np.array([np.interp(z_mm, table[:, 0], column) for column in table[:, 1:].T])


def _belly(z_mm: float) -> float:
    """How much of ``visceral`` shows at a height: all of it around the navel, none above the chest or in the hips."""
    return float(np.exp(-(((z_mm - 190) / 95) ** 2)))


def envelope(plane: Plane, patient: Patient) -> dict[str, np.ndarray]:
    """Whole-plane depths in mm: ``skin`` below the body surface, ``wall`` below the muscle surface, ``cage`` inside."""
    z, swell = plane.z_mm, patient.visceral * _belly(plane.z_mm)
    a, b, yc, power = level_at(_WALL, z)
    wall = superellipse(plane, a * (1 + swell), b * (1 + swell), yc + b * swell * 0.8, power)
    fat = patient.fat_mm
    thin = np.interp(z, [-115, 0, 60, 200, 300, 450, 540, 580, 625], [0.9, 1.1, 1.2, 1.1, 0.8, 0.55, 0.5, 0.35, 0.25])
    front, back, side = fat * thin * 0.9 + 2, fat * thin * (1.25 if z < 90 else 0.8) + 3, fat * thin + 2.5
    skin = superellipse(
        plane, a * (1 + swell) + side, b * (1 + swell) + (front + back) / 2,
        yc + b * swell * 0.8 + (front - back) / 2, power,
    )  # fmt: skip
    if z < 75:
        wall, skin = _hips(plane, wall, skin, fat)
    if z > 470:
        wall, skin = _shoulders(plane, wall, skin, patient)
    if patient.sex == "F" and 380 < z < 500:
        skin = _breasts(plane, skin, fat)
    a, b, yc, power = level_at(CAGE, z)
    cage = superellipse(plane, a * (1 + swell), b * (1 + swell), yc + b * swell * 0.8, power)
    return {"skin": skin, "wall": np.minimum(wall, skin - 2.5), "cage": cage}


def _hips(plane: Plane, wall: np.ndarray, skin: np.ndarray, fat: float) -> tuple[np.ndarray, np.ndarray]:
    """Thighs that part below the crotch, and buttocks with the cleft between them."""
    z = plane.z_mm
    layer = fat * 0.8 + 3
    thighs, thick = (
        np.maximum(*(superellipse(plane, width, 84 + more, -14, 2.1, side * 90) for side in (-1, 1)))
        for width, more in ((76, 0), (min(76 + layer, 88.5), layer))
    )
    sink = np.float32(np.interp(z, [-80, -20, 40, 75], [28, 2, 4, 30]))
    buttocks = np.maximum(*(superellipse(plane, 84, 62, -62, 2.2, side * 80) for side in (-1, 1))) - sink
    fade, above = np.float32(np.clip((-45 - z) / 25, 0, 1) * 400), np.float32(max(z, 0) * 1.2)
    wall = smooth_union(smooth_union(wall - fade, thighs - above, 14), buttocks, 6)
    skin = smooth_union(smooth_union(skin - fade, thick - above, 14), buttocks + np.float32(fat * 0.9 + 3), 6)
    floor = np.float32(np.interp(z, [-70, -40, 0, 40, 75], [-40, -55, -78, -98, -140]))
    cleft = np.abs(plane.x) - np.sqrt(np.maximum(floor - plane.y, 0)) * 1.1
    return wall, np.where(plane.y < floor, np.minimum(skin, cleft), skin)


def _shoulders(plane: Plane, wall: np.ndarray, skin: np.ndarray, patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """Shoulders, and the upper arms stretched up past the head as in a PET/CT scan, but for one that is down."""
    layer = 3 + patient.fat_mm * 0.3
    for side in (-1, 1):
        points = [[side * 140, -24, 525], [side * 168, -22, 560], [side * 205, -8, 700]]
        if side == patient.arm_down:
            points = [[side * 140, -24, 535], [side * 168, -22, 528], [side * 200, -22, 478]]
        region = tube_region(plane, tube(points, [44, 46, 38]))
        if region is None:
            continue
        for field, extra in ((wall, 0.0), (skin, layer)):
            target = field[region.window]
            target[...] = smooth_union(target, region.depth + np.float32(extra), 16)
    return wall, skin


def _breasts(plane: Plane, skin: np.ndarray, fat: float) -> np.ndarray:
    size = 0.75 + fat / 60
    for side in (-1, 1):
        region = ellipsoid(plane, (side * 78, 92, 432), (62 * size, 42 * size, 55 * size))
        if region is not None:
            target = skin[region.window]
            target[...] = smooth_union(target, region.depth, 10)
    return skin


def paint_envelope(plane: Plane, fields: dict[str, np.ndarray], patient: Patient) -> None:
    """Skin, fat with its septa, the muscle wall with the fat planes between muscles, and the fat inside the cage."""
    skin, wall, cage, septa = fields["skin"], fields["wall"], fields["cage"], fields["septa"]
    plane.paint(plane.whole(skin), (0, "skin"), (2.2, "fat"))
    plane.paint(plane.whole(np.minimum(skin - 5, 0.06 - np.abs(fields["wobble2"]))), (0, "fibrous fat"))
    if patient.sex == "F" and 385 < plane.z_mm < 490:
        gland = np.minimum.reduce([skin - 9, -wall - 3, fields["wobble2"] * 9 + 1, plane.y - 60])
        plane.paint(plane.whole(gland), (0, "breast gland"))
    plane.paint(plane.whole(wall), (0, "muscle"))
    if plane.z_mm > 470 or plane.z_mm < 110:  # bundles of muscle in fat, at the shoulders and the hips
        gap = np.clip(0.03 + 0.09 * fields["wobble"], 0, 0.16) - np.abs(septa)
        plane.paint(plane.whole(np.minimum(wall - 4, gap)), (0, "fat"))
        if plane.z_mm < 70:
            _paint_buttock_planes(plane, wall)
    elif plane.z_mm < 330:  # the flat muscles of the belly
        sheet = np.minimum(wall - 3, 1.0 - np.abs(cage + 8.5))
        plane.paint(plane.whole(np.minimum.reduce([sheet, plane.y + 40, np.abs(plane.x) - 52])), (0, "fat"))
        midline = np.minimum.reduce([wall - 1, -cage, 1.6 - np.abs(plane.x), plane.y])  # linea alba
        plane.paint(plane.whole(midline), (0, "fibrous fat"))
    else:  # latissimus and serratus over the ribs
        plane.paint(plane.whole(np.minimum(wall - 3, 1.6 - np.abs(cage + 13.5))), (0, "fat"))
    plane.paint(plane.whole(np.minimum(cage, wall - 4)), (0, "fat"))


def _paint_buttock_planes(plane: Plane, wall: np.ndarray) -> None:
    """Fat between gluteus maximus and medius, beside the rectum, and around the femoral vessels in the groin."""
    for side in (-1, 1):
        x, y = plane.x * side, plane.y
        sheet = 2.0 - np.abs(np.hypot(x - 82, y + 2) - np.float32(np.interp(plane.z_mm, [-60, 60], [64, 72])))
        sheet = np.minimum.reduce([sheet, wall - 6, x - 20, -y - 0.45 * (x - 82), np.full_like(y, plane.z_mm + 70)])
        plane.paint(plane.whole(sheet), (0, "fat"))
        plane.paint(ellipsoid(plane, (side * 32, -54, -22), (22, 28, 34)), (0, "fat"))
        plane.paint(ellipsoid(plane, (side * 80, 44, 0), (24, 17, 60)), (0, "fat"), over=("muscle",))


def paint_outside(plane: Plane, patient: Patient, back_mm: float, skin: np.ndarray) -> None:
    """What artefact removal must take away: couch, blanket, and an arm along the body where one is down."""
    outside = np.minimum(-skin - 3, 0)
    y, x = plane.y_mm[None, :], plane.x_mm[:, None]
    bow = (x / 220.0) ** 2 * 26  # the couch is a shallow trough
    under = y - (back_mm - 16 + bow)
    couch = np.where(np.abs(x) < 215, 11 - np.abs(under + 11), -1.0).astype(np.float32)
    plane.paint(plane.whole(np.minimum(couch, 9 + outside)), (0, "couch shell"), (2.5, "couch foam"))
    blanket = np.minimum(1.3 - np.abs(skin + 7), y - back_mm * 0.4 + 10)
    if plane.z_mm < 300:
        plane.paint(plane.whole(blanket.astype(np.float32)), (0, "cloth"))
    if patient.arm_down and plane.z_mm < 470:
        _paint_arm(plane, patient, skin)


def _paint_arm(plane: Plane, patient: Patient, skin: np.ndarray) -> None:
    side, gap = patient.arm_down, 12 + patient.fat_mm
    points = np.array([[168, -20, 540], [184, -22, 480], [196, -25, 270], [206, 0, 120], [212, 25, 10], [205, 35, -80]])
    points = points * [side, 1, 1] + [side * gap, 0, 0]
    region = tube_region(plane, tube(points, [46, 44, 40, 34, 25, 30], smooth=3))
    bone = tube_region(plane, tube(points[1:], [11, 11, 9, 8, 7], smooth=3))
    if region is None:
        return
    clear = Region(region.window, np.minimum(region.depth, -skin[region.window] - 4))
    plane.paint(clear, (0, "arm skin"), (2, "arm fat"), (3 + patient.fat_mm * 0.3, "arm muscle"))
    if bone is not None:
        plane.paint(bone.carve(skin), (0, "arm cortical bone"), (4, "arm yellow marrow bone"))
