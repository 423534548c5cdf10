"""One virtual patient, cut into planes: which tissue is where.

Structures are painted one over the other, so every pixel holds exactly one tissue: organs can touch but never overlap,
and nothing is left empty inside the skin.
"""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom import abdomen, body, skeleton, thorax
from medsynth_lib.phantom.body import Patient
from medsynth_lib.phantom.gut import Gut
from medsynth_lib.phantom.lesions import paint, place
from medsynth_lib.phantom.muscles import paint_back_muscles
from medsynth_lib.phantom.pelvis import paint_pelvis
from medsynth_lib.phantom.shapes import Plane
from medsynth_lib.phantom.tissues import TISSUES
from medsynth_lib.phantom.vessels import paint_vessels
from medsynth_lib.phantom.waves import Waves

#: Class number of each tissue code: ``LABEL_OF[tissue_map]`` is the label map.
LABEL_OF = np.array([tissue.number for tissue in TISSUES], dtype=np.uint8)


class Torso:
    """Neck to upper thigh of one patient.

    Args:
        seed: the same seed is the same patient, to the last voxel.
        lesions: how many to place.
    """

    region = "torso"
    fov_mm = 500.0

    def __init__(self, seed: int, lesions: int = 0):
        self.patient, self.lesions = Patient.random(seed), ()
        rng = np.random.default_rng([seed, 2])
        self.bend = [Waves(rng, 320, 4) for _ in range(3)]
        self.wobble, self.wobble2, self.septa = Waves(rng, 70), Waves(rng, 40), Waves(rng, 62, 8)
        self.grain = Waves(rng, 9, 16)
        self.lungs, self.heart = thorax.Lungs(rng), thorax.Heart(rng, rng.normal(1.0, 0.05))
        self.liver, self.gut = abdomen.Liver(rng, 1.0), Gut(rng)
        self.viscera = abdomen.Viscera(rng, self.patient)
        self.gas_in_gullet = bool(rng.random() < 0.6)
        scales = np.array([self.patient.breadth, self.patient.depth, self.patient.height])
        self.lesions = place(self.region, self.tissue, scales, lesions, np.random.default_rng([seed, 13]))

    def extent_mm(self) -> tuple[float, float]:
        """Lowest and highest z of the patient's torso in mm."""
        low, high = body.TORSO_Z_MM
        return low * self.patient.height, high * self.patient.height

    def tissue(self, x_mm: np.ndarray, y_mm: np.ndarray, z_mm: float, sink_mm: float = 0.0) -> np.ndarray:
        """Tissue codes ``(X, Y)`` on the plane ``z_mm``; breathing in has pushed the dome down by ``sink_mm``."""
        p = self.patient
        x, y, z = (x_mm / p.breadth).astype(np.float32), (y_mm / p.depth).astype(np.float32), z_mm / p.height
        bent = np.stack(
            [
                axis + 3.0 * wave(x, y, z)
                for axis, wave in zip((x[:, None], y[None, :], np.float32(z)), self.bend, strict=True)
            ]
        )
        plane = Plane(x, y, z, bent, _breath(bent[2], sink_mm))
        fields = {
            "wobble": self.wobble(x, y, z),
            "wobble2": self.wobble2(x, y, z),
            "septa": self.septa(x, y, z),
            "grain": self.grain(x, y, z),
        }
        fields |= body.envelope(plane, p)
        self._paint(plane, fields)
        paint(plane.tissue, self.lesions, x_mm, y_mm, z_mm + (plane.organ_z - plane.z) * p.height)
        return plane.tissue

    def _paint(self, plane: Plane, fields: dict[str, np.ndarray]) -> None:
        thorax.lung_fields(plane, fields)
        abdomen.belly_field(plane, fields)
        body.paint_outside(plane, self.patient, self._back_mm(), fields["skin"])
        outside = plane.tissue.copy()
        body.paint_envelope(plane, fields, self.patient)
        self.lungs.paint(plane, fields)
        abdomen.paint_diaphragm(plane, fields)
        self.gut.paint_small_bowel(plane, fields)
        self.gut.paint(plane, fields)
        self.liver.paint(plane, fields)
        self.viscera.paint(plane, fields)
        self.heart.paint(plane)
        self.viscera.paint_pelvis(plane, fields)
        paint_back_muscles(plane)
        paint_vessels(plane, {side: centre for side, (centre, _) in self.viscera.kidneys.items()})
        thorax.paint_airway(plane, self.gas_in_gullet)
        skeleton.paint_ribs(plane, fields)
        skeleton.paint_sternum(plane, fields)
        skeleton.paint_shoulders(plane)
        paint_pelvis(plane)
        skeleton.paint_spine(plane)
        # Nothing reaches out of the body or through the skin.
        plane.close(fields["skin"], 2.2, outside)

    def _back_mm(self) -> float:
        return -118.0 - self.patient.fat_mm * 1.2


def _breath(z: np.ndarray, sink_mm: float) -> np.ndarray | float:
    """Displacement in mm: ``sink_mm`` at the dome, fading to lung apex and pelvis (Keall et al., AAPM TG-76)."""
    if not sink_mm:
        return 0.0
    return np.float32(sink_mm) * np.interp(z, [90, 230, 330, 410, 560], [0, 0.7, 1, 1, 0]).astype(np.float32)
