"""The great vessels of chest, belly and thighs, and the renal vessels of this patient's kidneys."""

from __future__ import annotations

import numpy as np

from medsynth_lib.phantom.shapes import Plane, bundle, mirrored, tube, tube_region


def _pipes(*lines) -> object:
    return bundle([tube(points, radii, smooth=3) for points, radii in lines])


#: Tissue -> its vessels; later ones lie over earlier ones.
_GREAT = (
    ("pulmonary artery", _pipes(
        ([[-16, 34, 452], [-20, 28, 474], [-16, 6, 486]], [14, 14, 13]),
        ([[-16, 6, 486], [4, -10, 484], [40, -14, 478]], [12, 10.5, 9]),
        ([[-16, 6, 486], [-32, -14, 488], [-48, -18, 482]], [12, 10.5, 9]),
    )),
    ("vein", _pipes(
        ([[14, -22, 450], [44, -16, 458], [60, -8, 462]], [8, 7, 6]),  # pulmonary veins
        ([[-10, -24, 450], [-44, -24, 456], [-60, -18, 460]], [8, 7, 6]),
        ([[36, 6, 440], [32, 6, 480], [30, 10, 510], [30, 14, 532]], [10, 10, 9.5, 9]),
        # upper caval vein, its branches
        ([[30, 14, 530], [44, 4, 556], [40, -6, 600], [38, -8, 680]], [8, 6.5, 6.5, 6]),
        ([[28, 18, 528], [0, 30, 532], [-40, 10, 552], [-40, -6, 600], [-38, -8, 680]], [7, 7, 6.5, 6.5, 6]),
        ([[44, 6, 554], [90, -8, 560], [150, -10, 600]], [6.5, 6, 5]),
        ([[-42, 6, 554], [-90, -8, 560], [-150, -10, 600]], [6.5, 6, 5]),
        ([[8, -50, 500], [8, -48, 400], [6, -36, 300]], [3.2, 3, 2.6]),  # azygos
        ([[26, -8, 400], [24, -14, 360], [20, -12, 300], [19, -10, 240], [18, -12, 190], [14, -16, 158]],
         [12, 12, 11, 10.5, 10, 9.5]),  # lower caval vein
    )),
    ("portal vein", _pipes(
        ([[14, 18, 262], [12, 28, 240], [12, 28, 200], [14, 30, 175]], [6, 5.5, 5, 3.5]),  # upper mesenteric
        ([[14, 16, 262], [16, 16, 280], [22, 8, 312]], [7, 7, 7]),
        ([[14, 14, 266], [-20, 6, 278], [-60, -22, 298], [-84, -36, 312]], [5, 4.5, 4.5, 4]),  # splenic
    )),
    ("artery", _pipes(
        ([[10, 14, 520], [18, 6, 548], [26, -8, 600], [26, -10, 680]], [6.5, 5.5, 4, 3.8]),  # branches of the arch
        ([[18, 6, 546], [60, -14, 562], [140, -20, 590]], [5, 4.5, 4]),
        ([[-2, 2, 523], [-16, -2, 548], [-26, -10, 600], [-26, -12, 680]], [4.5, 4, 3.8, 3.6]),
        ([[-12, -14, 523], [-26, -18, 548], [-60, -20, 562], [-140, -22, 590]], [5, 4.5, 4.5, 4]),
        ([[-6, 16, 455], [16, 26, 470], [20, 28, 495], [12, 14, 518], [-8, -12, 523], [-22, -34, 512], [-24, -48, 485],
          [-22, -46, 420], [-16, -32, 350], [-10, -12, 290], [-7, -8, 240], [-4, -8, 200], [0, -10, 167]],
         [14, 15, 15, 14, 13, 12.5, 12, 11.5, 11, 10.5, 9.5, 9, 8.5]),  # aorta
        ([[0, -4, 262], [-4, 16, 248], [2, 24, 210], [6, 26, 180]], [3.6, 3.6, 3.4, 2.6]),  # upper mesenteric
        ([[-8, -2, 286], [-6, 14, 290]], [3.6, 3.2]),  # coeliac
    )),
)  # fmt: skip
_ILIAC_VEIN = mirrored(
    [[14, -16, 160], [16, -27, 140], [38, -25, 100], [60, 3, 60], [74, 31, 15], [78, 27, -40], [74, 15, -130]],
    [8, 7, 7, 7, 6.5, 6, 5.5], smooth=3,
)  # fmt: skip
_ILIAC_ARTERY = mirrored(
    [[0, -10, 170], [22, -18, 140], [44, -16, 100], [66, 12, 60], [80, 40, 15], [84, 36, -40], [80, 24, -130]],
    [7.5, 6.5, 6, 5.5, 5, 4.8, 4.2], smooth=3,
)  # fmt: skip


def paint_vessels(plane: Plane, kidney_centres: dict[int, np.ndarray]) -> None:
    """Pulmonary, caval and portal vessels, aorta with its branches, renal vessels, iliac and femoral vessels in fat."""
    for side, centre in kidney_centres.items():
        hilum = centre + np.array([-side * 22, 8, 0])
        plane.paint(tube_region(plane, tube([hilum, [side * 16, -10, 258]], [4, 4.5])), (0, "vein"))
        artery = tube([hilum + np.array([0, -5, 2]), [-4, -12, 256]], [2.6, 3])
        plane.paint(tube_region(plane, artery), (0, "artery"), over=("fat",))
    for name, pipes in _GREAT:
        plane.paint(tube_region(plane, pipes), (0, name))
    for name, pipes in (("vein", _ILIAC_VEIN), ("artery", _ILIAC_ARTERY)):
        plane.paint(tube_region(plane, pipes), (-1.5, "fat"), (0, name))
