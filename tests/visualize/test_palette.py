"""Label colours: classes that touch in a body are told apart by eyes with three cones, and by those with two."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from medsynth_lib.data.classes import HEAD_CLASSES, class_number
from medsynth_lib.data.nifti import read_nifti
from medsynth_lib.errors import MedSynthError
from medsynth_lib.phantom.cohort import default_cohort
from medsynth_lib.visualize import palette

TABLE = np.array([to_rgb(palette.CLASS_COLOURS[name]) for name in HEAD_CLASSES])
#: Pixel pairs in a whole cohort from which on two classes count as neighbours.
FEW = 3


def differences(table: np.ndarray) -> np.ndarray:
    """CIEDE2000 between any two colours, the smallest over all visions."""
    seen = [rgb2lab(palette.as_seen(table, vision)[None])[0] for vision in palette.VISIONS]
    return np.min([deltaE_ciede2000(lab[:, None], lab[None]) for lab in seen], axis=0)


def borders(region: str) -> np.ndarray:
    """How often two classes are neighbours within a plane, in the smoke cohort of the phantom."""
    count = np.zeros((len(HEAD_CLASSES),) * 2, int)
    for path in default_cohort(region, "smoke").glob("P*/LABELS.nii.gz"):
        labels = read_nifti(path, "LABELS").array.astype(int)
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            np.add.at(count, (a.ravel(), b.ravel()), 1)
    return np.triu(count + count.T, 1)


@pytest.mark.parametrize("region", ["head", "torso"])
def test_classes_that_touch_are_told_apart_in_every_vision(region):
    neighbours = np.argwhere(borders(region) >= FEW)
    assert len(neighbours) > 20
    found = differences(TABLE)
    close = {(HEAD_CLASSES[a], HEAD_CLASSES[b]): found[a, b] for a, b in neighbours if found[a, b] < 14}
    assert not close


def test_any_two_classes_have_colours_of_their_own_in_every_vision():
    assert (differences(TABLE) + 99 * np.eye(len(TABLE))).min() > 3


def test_the_measure_catches_colours_that_only_three_cones_tell_apart():
    liver_and_muscle = np.array([to_rgb("#c0504d"), to_rgb("#6a8a2f")])
    three_cones = rgb2lab(liver_and_muscle[None])[0]
    assert deltaE_ciede2000(*three_cones) > 40
    assert differences(liver_and_muscle)[0, 1] < 14


def test_grey_looks_grey_to_everyone_and_red_darkens_without_long_wave_cones():
    greys = np.linspace(0, 1, 5)[:, None].repeat(3, axis=1)
    for vision in palette.VISIONS:
        np.testing.assert_allclose(palette.as_seen(greys, vision), greys, atol=1e-4)
    red = palette.as_seen(np.array([1.0, 0.0, 0.0]), "protanopia")
    assert rgb2lab(red[None, None])[0, 0, 0] < 45 < rgb2lab(np.array([[[1.0, 0.0, 0.0]]]))[0, 0, 0]
    with pytest.raises(MedSynthError, match="vision"):
        palette.as_seen(greys, "tetrachromacy")


def test_a_panel_shows_class_colours_only_and_the_legend_names_them():
    labels = np.array([[0, class_number("Liver")], [class_number("Lung"), 0]])
    figure, axis = plt.subplots()
    palette.label_panel(axis, labels, "two organs")
    shown = axis.images[0].get_array()
    np.testing.assert_allclose(shown[0, 1], to_rgb(palette.CLASS_COLOURS["Liver"]))
    assert axis.images[0].get_interpolation() == "nearest"
    palette.class_legend(figure, np.unique(labels))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Background", "Liver", "Lung"]
    plt.close(figure)


def test_one_panel_for_each_vision():
    figure = palette.seen_by_all(np.array([[0, 4], [8, 29]]))
    assert [axis.get_title() for axis in figure.axes] == list(palette.VISIONS)
