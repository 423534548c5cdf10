"""The cascade's browser and the uptake panel draw what they are given; turning uptake changes the PET alone."""

import numpy as np
import pytest

from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.slices import StoredPatient
from medsynth_lib.errors import InputError
from medsynth_lib.phantom.anatomy import Torso
from medsynth_lib.training.lesions import lesion_mask
from medsynth_lib.training.uptake import pet_with_uptake
from medsynth_lib.visualize.stages import stage_browser, uptake_panel

SIZE = 64


@pytest.fixture(scope="module")
def slice_through_a_lesion():
    anatomy = Torso(3, 6)
    lesion = max(anatomy.lesions, key=lambda one: one.radius_mm)
    windows = {word: DEFAULT_WINDOWS[word] for word in ("CT", "PET")}
    x, y, z = lesion.centre_mm
    patient = StoredPatient("P", "test", 0, 1, (6.0, 6.0, 5.0), (z,), windows, centre_mm=(x / 2, y / 2))
    return anatomy, lesion, patient


def test_only_the_lesion_gets_hotter_and_in_its_place(slice_through_a_lesion):
    anatomy, lesion, patient = slice_through_a_lesion
    cold, hot = pet_with_uptake(anatomy, patient, 0, SIZE, lesion.kind, (1.0, 12.0))
    truth = {"centre_mm": lesion.centre_mm, "radius_mm": lesion.radius_mm}
    inside = lesion_mask(patient, SIZE, truth)[0]
    wide = lesion_mask(patient, SIZE, {**truth, "radius_mm": lesion.radius_mm + 30})[0]
    assert inside.any()
    assert hot[inside].mean() > cold[inside].mean() + 3
    weights = np.where(wide, np.clip(hot - cold, 0, None), 0)
    centre = np.argwhere(inside).mean(axis=0)
    assert np.allclose((np.argwhere(wide) * weights[wide][:, None]).sum(0) / weights.sum(), centre, atol=1.5)  # pixels
    others = [one for one in anatomy.lesions if one.kind == lesion.kind and one is not lesion]
    if not others:
        assert np.median(np.abs(hot - cold)[~wide & (hot > 0.2)]) < 0.3  # noise alone: more counts, another draw


def test_what_cannot_be_repainted_is_refused(slice_through_a_lesion):
    anatomy, _, patient = slice_through_a_lesion
    with pytest.raises(InputError, match="no such tissue"):
        pet_with_uptake(anatomy, patient, 0, SIZE, "wart", (1.0,))
    nowhere = StoredPatient("P", "test", 0, 1, (6.0, 6.0, 5.0), (0.0,), patient.windows)
    with pytest.raises(InputError, match="where its slices lie"):
        pet_with_uptake(anatomy, nowhere, 0, SIZE, "sarcoma", (1.0,))


def test_the_browser_shows_the_stage_asked_for_and_the_real_image_right_of_the_border():
    made, target = [np.full((8, 8), float(level)) for level in (1, 2, 3)], np.full((8, 8), 2.5)
    figure = stage_browser(np.zeros((8, 8)), made, target, 2, 0.25)
    axes = {axis.get_label(): axis for axis in figure.axes}
    mixed = axes["made"].images[0].get_array()
    assert (mixed[:, :2] == 2).all()
    assert (mixed[:, 2:] == 2.5).all()
    assert (axes["error"].images[0].get_array() == -0.5).all()
    assert [bar.get_height() for bar in axes["bars"].patches] == [1.5, 0.5, 0.5]
    whole = stage_browser(np.zeros((8, 8)), made, target, 3)
    assert "real" not in next(axis for axis in whole.axes if axis.get_label() == "made").get_title()


def test_the_panel_reads_suvmax_inside_the_lesion_only():
    lesion = np.zeros((8, 8), bool)
    lesion[2:4, 2:4] = True
    pets = [np.where(lesion, suv, 20.0) for suv in (1.0, 4.0)]
    figure = uptake_panel(np.zeros((8, 8)), pets, np.where(lesion, 2.0, 30.0), (1.0, 4.0), 1, lesion)
    real, drawn, marked = figure.axes[3].lines
    assert list(real.get_ydata()) == [1.0, 4.0]
    assert set(drawn.get_ydata()) == {2.0}
    assert (marked.get_xdata()[0], marked.get_ydata()[0]) == (4.0, 4.0)
    assert "SUV 4" in figure.axes[1].get_title()
