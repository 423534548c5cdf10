"""Colours of label maps: one per class, told apart by colour-blind eyes where classes touch."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.errors import MedSynthError

#: Colour of each class. 38 colours cannot all be far apart without red and green, so the distance is where it is
#: needed: classes that touch in a body differ by 14 or more (CIEDE2000) in every vision of ``VISIONS``, any two by 3.
#: ``tests/visualize/test_palette.py`` measures both. Bones are pale, vessels and muscle dark, fat yellow.
CLASS_COLOURS = {
    "Background": "#000000", "Kidney": "#7b394f", "Vessels": "#4f0dd3", "Gallbladder": "#4f7b39", "Liver": "#914f65",
    "Stomach": "#e991bd", "Pancreas": "#bda765", "Adrenal": "#d3bd65", "Lung": "#7bbde9", "Vertebrae": "#ffffd3",
    "Esophagus": "#916591", "Trachea": "#bdd3d3", "Heart": "#d3234f", "Pulmonary Artery": "#6591d3",
    "Small Bowel": "#e9bdbd", "Duodenum": "#a76523", "Colon": "#91a739", "Ribs": "#bdbda7", "Humerus": "#ffe9bd",
    "Scapula": "#e9d3bd", "Clavicula": "#ffe9a7", "Femur": "#d3bd91", "Hips": "#bdd3a7", "Sacrum": "#a7914f",
    "Autochthon": "#914fa7", "Iliopsoas": "#a77b91", "Urinary Bladder": "#e9d34f", "Skin": "#d37b0d",
    "Spleen": "#653991", "Fat": "#ffff0d", "Skeletal Muscle": "#a7230d", "Skull": "#bdd3ff", "Grey Matter": "#7b7b7b",
    "White Matter": "#e9e9e9", "CSF": "#657bff", "Ventricles": "#394f7b", "Eyes": "#e94fa7", "Air Spaces": "#394f4f",
}  # fmt: skip

#: How linear RGB looks to eyes without long-wave (protanopia) or middle-wave cones (deuteranopia), as the matrix whose
#: product with a colour other eyes would see so. Machado, Oliveira, Fernandes, IEEE TVCG 2009, severity 1.
VISIONS = {
    "all three cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def class_colours() -> ListedColormap:
    """A colour per class number of ``HEAD_CLASSES``; use it with ``vmin=-0.5, vmax=37.5, interpolation="nearest"``."""
    return ListedColormap(_table())


def as_seen(colours: np.ndarray, vision: str) -> np.ndarray:
    """sRGB colours ``(..., 3)`` in [0, 1] as ``vision``, a key of ``VISIONS``, sees them.

    Raises:
        MedSynthError: there is no such vision.
    """
    if vision not in VISIONS:
        raise MedSynthError("unknown vision", rule=f"one of {', '.join(VISIONS)}", seen=vision)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS[vision].T, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def label_colours(labels: np.ndarray, vision: str = "all three cones") -> np.ndarray:
    """Class numbers ``(H, W)`` → sRGB ``(H, W, 3)`` in [0, 1]."""
    return as_seen(_table(), vision)[labels.astype(int)]


def _table() -> np.ndarray:
    """sRGB of every class, ``(classes, 3)``."""
    return np.array([to_rgb(CLASS_COLOURS[name]) for name in HEAD_CLASSES])


def label_panel(axis: Axes, labels: np.ndarray, title: str = "", vision: str = "all three cones") -> None:
    """Draw a label map ``(H, W)`` of class numbers on ``axis``: a pixel has one class's colour, never a mixture."""
    axis.imshow(label_colours(labels, vision), interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


def class_legend(figure: Figure, numbers: Sequence[int], columns: int = 7) -> None:
    """Names and colours of the classes ``numbers`` below ``figure``: colour alone says nothing to some readers."""
    names = [HEAD_CLASSES[int(number)] for number in numbers]
    handles = [Patch(facecolor=CLASS_COLOURS[name], edgecolor="#666666", label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def seen_by_all(labels: np.ndarray) -> Figure:
    """The same label map ``(H, W)`` in every vision of ``VISIONS``, with the names of its classes."""
    figure, axes = plt.subplots(1, len(VISIONS), figsize=(2.6 * len(VISIONS), 3.3), layout="constrained")
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    for axis, vision in zip(axes, VISIONS, strict=True):
        label_panel(axis, labels, vision, vision)
    class_legend(figure, np.unique(labels), 5)
    return figure
