"""A head: scalp, skull, brain with folded cortex and ventricles, orbits, sinuses, face and vessels.

z = 0 is the orbitomeatal plane. Sizes follow ICRP Publication 89 (2002) and the usual dimensions of the adult head
(breadth 15 cm, length 19 cm; ventricles that widen with age).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medsynth_lib.phantom import face
from medsynth_lib.phantom.lesions import paint, place
from medsynth_lib.phantom.shapes import (
    Plane,
    Region,
    Tube,
    bundle,
    ellipsoid,
    mirrored,
    smooth_union,
    tube,
    tube_region,
)
from medsynth_lib.phantom.waves import Waves

HEAD_Z_MM = (-78.0, 124.0)
_SULCUS_MM = 2.7  # mm of distance per unit of the folding field: its wavelength / 2 pi
_BRAIN = ("white matter", "grey matter", "cerebrospinal fluid", "brainstem", "deep grey matter")


@dataclass(frozen=True)
class HeadPatient:
    """One head: overall scales, thickness of scalp fat in mm, bone density, and how wide the ventricles are."""

    sex: str
    height: float
    breadth: float
    depth: float
    fat_mm: float
    bone_density: float
    ventricles: float
    seed: int

    @classmethod
    def random(cls, seed: int) -> HeadPatient:
        """Draw a head; its scales vary by 4 % (Farkas, Anthropometry of the Head and Face, 1994)."""
        rng = np.random.default_rng([seed, 11])
        sex = "F" if rng.random() < 0.5 else "M"
        scales = np.clip(rng.normal(1.0 if sex == "M" else 0.96, 0.035, 3), 0.85, 1.1)
        return cls(
            sex, *(float(one) for one in scales), fat_mm=float(rng.uniform(2.0, 6.0)),
            bone_density=float(np.clip(rng.normal(1.05, 0.12), 0.75, 1.4)), ventricles=float(rng.uniform(0.75, 1.7)),
            seed=seed,
        )  # fmt: skip

    @property
    def weight_kg(self) -> float:
        """Body weight of an average person of this sex (ICRP 89): the head does not tell."""
        return 73.0 if self.sex == "M" else 60.0


class Head:
    """Vertex to chin of one person; the interface of ``anatomy.Torso``."""

    region = "head"
    fov_mm = 256.0

    def __init__(self, seed: int, lesions: int = 0):
        self.patient, self.lesions = HeadPatient.random(seed), ()
        rng = np.random.default_rng([seed, 12])
        self.bend = [Waves(rng, 260, 4) for _ in range(3)]
        self.fold, self.fold2, self.septa = Waves(rng, 17, 24), Waves(rng, 40, 8), Waves(rng, 34, 8)
        wide = self.patient.ventricles
        self.ventricles = bundle([one for side in (-1, 1) for one in _lateral_ventricle(side, wide)])
        scales = np.array([self.patient.breadth, self.patient.depth, self.patient.height])
        self.lesions = place(self.region, self.tissue, scales, lesions, np.random.default_rng([seed, 13]))

    def extent_mm(self) -> tuple[float, float]:
        """Lowest and highest z in mm."""
        return HEAD_Z_MM[0] * self.patient.height, HEAD_Z_MM[1] * self.patient.height

    def tissue(self, x_mm: np.ndarray, y_mm: np.ndarray, z_mm: float, sink_mm: float = 0.0) -> np.ndarray:
        """Tissue codes ``(X, Y)`` on the plane ``z_mm``; a head does not breathe, so ``sink_mm`` changes nothing."""
        p = self.patient
        x, y, z = (x_mm / p.breadth).astype(np.float32), (y_mm / p.depth).astype(np.float32), z_mm / p.height
        axes = (x[:, None], y[None, :], np.float32(z))
        plane = Plane(x, y, z, np.stack([axis + 1.6 * w(x, y, z) for axis, w in zip(axes, self.bend, strict=True)]))
        skin = face.skin_depth(plane, p.fat_mm)
        face.paint_rest(plane, skin)
        outside = plane.tissue.copy()
        self._paint(plane, skin, {name: getattr(self, name)(x, y, z) for name in ("fold", "fold2", "septa")})
        plane.close(skin, 1.8, outside)
        paint(plane.tissue, self.lesions, x_mm, y_mm, z_mm)
        return plane.tissue

    def _paint(self, plane: Plane, skin: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        inner = cranial_depth(plane)
        face.paint_soft_tissue(plane, skin, inner, fields["septa"], self.patient.fat_mm)
        plane.paint(plane.whole(inner), (-7, "Skull cortex"), (-5.4, "Skull marrow"), (-1.6, "Skull cortex"))
        face.paint_bones(plane)
        face.paint_air(plane)
        face.paint_orbits(plane)
        self._paint_brain(plane, inner, fields)
        _paint_brainstem(plane, inner)
        _paint_vessels(plane)

    def _paint_brain(self, plane: Plane, inner: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        plane.paint(plane.whole(inner), (0, "dura"), (0.8, "cerebrospinal fluid"))
        to_fluid = _distance_to_fluid(plane, inner, fields)
        plane.paint(plane.whole(to_fluid), (0, "grey matter"), (3.2, "white matter"))
        for side in (-1, 1):
            for centre, radii in (
                ((11, -13, 38), (10, 16, 10)),
                ((24, 4, 34), (7.5, 18, 11)),
                ((15, 30, 42), (6, 9, 9)),
            ):
                nucleus = ellipsoid(plane, (side * centre[0], *centre[1:]), radii)
                plane.paint(nucleus, (0, "deep grey matter"), over=("white matter", "grey matter"))
            caudate = tube([[side * 15, 30, 44], [side * 16, 4, 54], [side * 20, -22, 54]], [5.5, 4, 2.5])
            plane.paint(tube_region(plane, caudate), (0, "deep grey matter"), over=("white matter",))
        plane.paint(tube_region(plane, self.ventricles), (-1.2, "white matter"), (0, "ventricle"), over=_BRAIN)
        wide = self.patient.ventricles
        plane.paint(ellipsoid(plane, (0, -8, 33), (2.2 * wide, 17, 9), power=3), (0, "ventricle"), over=_BRAIN)


def cranial_depth(plane: Plane) -> np.ndarray:
    """Depth inside the skull: a vault over a floor of three steps, the fossae."""
    level = np.sqrt((plane.x / 67) ** 2 + ((plane.y + 8) / 86) ** 2 + ((plane.z - 30) / 85) ** 2)
    vault = (1 - level) * 76
    x, y = np.abs(plane.x), plane.y
    roof = 13 + 11 * np.exp(-(((x - 31) / 17) ** 2))  # over the orbits; the cribriform plate between lies lower
    # Behind the curved sphenoid wing the floor falls to the bowls of the middle fossae, behind the petrous ridge again.
    middle = np.clip((42 - 0.022 * (x - 38) ** 2 - y) / 9, 0, 1)
    bowl = -12 + 0.016 * ((x - 38) ** 2 + (y - 8) ** 2)
    back = np.clip((-16 - 0.25 * x - y) / 10, 0, 1)
    basin = -36 + 0.010 * (x**2 + (y + 42) ** 2)
    saddle = np.exp(-((x / 14) ** 2)) * np.clip((y + 12) / 12, 0, 1) * 12
    floor = roof + middle * (np.minimum(bowl, 14) + saddle - roof)
    floor = floor + back * (basin - floor)
    return -smooth_union(-vault, (floor - plane.z) * 0.8, 6).astype(np.float32)


def _distance_to_fluid(plane: Plane, inner: np.ndarray, fields: dict[str, np.ndarray]) -> np.ndarray:
    """Distance in mm from the surface of the cerebrum, sulci included: grey matter is where it is small."""
    x, y, z = plane.x, plane.y, plane.z
    surface = inner - 2.6
    sulci = np.abs(fields["fold"]) * _SULCUS_MM - 0.55
    buried = np.hypot(np.maximum(sulci, 0), np.maximum(surface - 13 - 3 * fields["fold2"], 0))
    buried = np.where((sulci < 0) & (surface < 13 + 3 * fields["fold2"]), sulci, buried)
    body = 1 - np.hypot((y - 2) / 40, (z - 38) / 27)  # callosum and what lies below it bridge the hemispheres
    fissure = np.maximum(np.abs(x) - 1.0, body * 24)
    lateral = np.abs(z - 20 - 0.30 * (y + 5) - 0.1 * np.abs(x) + 3 * fields["fold2"]) - 1.1
    sylvian = np.maximum.reduce([lateral, 34 - np.abs(x), np.abs(y - 6) - 24])
    tentorium = (z - 15.5 + 0.0075 * x**2 - fields["fold2"]) * 0.9 + np.clip(y + 16, 0, 40)
    cistern = np.sqrt((x / 17) ** 2 + ((y + 2) / 24) ** 2 + ((z - 8) / 17) ** 2) * 17 - 17
    return np.minimum.reduce([surface, buried, fissure, sylvian, tentorium, cistern]).astype(np.float32)


def _lateral_ventricle(side: int, wide: float):
    s = np.array([side, 1, 1])
    body = np.array([[6, 36, 36], [8, 26, 44], [9, 4, 52], [13, -20, 52], [22, -36, 44], [20, -52, 38]]) * s
    horn = np.array([[22, -36, 44], [31, -24, 26], [33, -6, 14], [29, 4, 10]]) * s
    return (
        tube(body, np.array([4, 6, 5, 4.5, 6.5, 3]) * wide**0.8, smooth=3),
        tube(horn, np.array([5, 3, 2.2, 1.5]) * wide, smooth=3),
    )


def _paint_brainstem(plane: Plane, inner: np.ndarray) -> None:
    if plane.z_mm > 36:
        return
    over = ("cerebrospinal fluid", "grey matter", "white matter", "dura", "brainstem")
    for side in (-1, 1):
        lobe = ellipsoid(plane, (side * 23, -50, -9), (34, 33, 27), power=3.4)
        if lobe is not None:
            lobe = lobe.within(np.minimum(inner - 2, 14.5 - 0.0075 * plane.x**2 - plane.z))
            plane.paint(lobe, (0, "grey matter"), over=over)
            # Folia: leaves of white matter that run parallel to the surface.
            leaves = np.cos(np.hypot(plane.y[lobe.window] + 30, plane.z[lobe.window] + 2) * (2 * np.pi / 6.5))
            plane.paint(Region(lobe.window, np.minimum(lobe.depth - 2, leaves - 0.55)), (0, "white matter"), over=over)
            core = ellipsoid(plane, (side * 17, -44, -8), (14, 11, 9))
            plane.paint(core, (0, "white matter"), over=over)
    stem = tube(
        [[0, -10, 26], [0, -14, 12], [0, -16, -4], [0, -24, -22], [0, -30, -45], [0, -32, -90]],
        [13, 14, 13.5, 9, 6.5, 5.5],
        smooth=3,
    )
    plane.paint(
        tube_region(plane, stem),
        (-4.5, "dura"),
        (-4, "cerebrospinal fluid"),
        over=("fat", "muscle", "Skull cortex", "Skull marrow"),
    )
    plane.paint(tube_region(plane, stem), (0, "brainstem"))
    plane.paint(ellipsoid(plane, (0, -37, -6), (7, 5, 11)), (0, "ventricle"))
    plane.paint(ellipsoid(plane, (0, -25, 14), (1.6, 2, 12)), (0, "ventricle"))


def _pipes(name: str, *lines) -> tuple[str, Tube]:
    return name, bundle([mirrored(points, radii, smooth=3) for points, radii in lines])


_VESSELS = (
    _pipes(
        "vein",
        ([[0, 78, 72], [0, 40, 102], [0, -10, 113], [0, -60, 95], [0, -88, 50], [0, -88, 12]],
        [2, 3, 3.6, 4, 4.2, 4.2]),
        ([[0, -88, 12], [34, -76, 8], [54, -52, 4], [52, -34, -14], [34, -16, -26], [30, -10, -90]],
        [4, 4, 4, 4.5, 5, 5.5]),
        ([[0, -22, 24], [0, -44, 34], [0, -80, 18]], [2, 2.2, 2.5]),
    ),
    _pipes(
        "artery",
        ([[28, 4, -90], [27, 2, -34], [20, 6, -16], [10, 16, -2], [9, 26, 4], [10, 18, 14]],
        [3.2, 2.8, 2.5, 2.4, 2.2, 2.2]),
        ([[10, 18, 14], [30, 14, 15], [42, 2, 24], [48, -14, 32]], [1.9, 1.7, 1.5, 1.2]),
        ([[10, 18, 14], [2.5, 30, 18], [2.5, 50, 38], [2.5, 34, 64], [2.5, 0, 70]], [1.6, 1.5, 1.4, 1.2, 1.0]),
        ([[22, -22, -60], [14, -20, -34], [0, -6, -18], [0, -1, 8], [14, -10, 14], [20, -32, 16]],
        [2, 1.9, 2, 1.9, 1.4, 1.2]),
        ([[32, 12, -90], [38, 14, -50], [44, 10, -20]], [2.6, 2.2, 1.8]),
    ),
)  # fmt: skip


def _paint_vessels(plane: Plane) -> None:
    for name, pipes in _VESSELS:
        plane.paint(tube_region(plane, pipes), (0, name))
