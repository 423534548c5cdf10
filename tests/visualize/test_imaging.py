"""Linked slices show one place in every modality; the MR panel shows what the signal equations say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from medsynth_lib.conventions import axial_slice
from medsynth_lib.data.classes import HEAD_CLASSES, class_number
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import MedSynthError
from medsynth_lib.phantom.mr import MRScanner
from medsynth_lib.phantom.tissues import CODE
from medsynth_lib.visualize import modalities, mr_contrast

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


def volumes():
    rng = np.random.default_rng(0)
    ct = rng.normal(0, 300, (8, 6, 4))
    labels = np.full((8, 6, 4), class_number("Liver"), np.uint8)
    return {
        "CT": Volume(ct, AFFINE, "CT", "HU"),
        "MR": Volume(np.abs(ct), AFFINE, "MR", "a.u."),
        "LABELS": Volume(labels, AFFINE, "LABELS", "label"),
    }


def test_every_panel_shows_the_same_plane_and_the_cursor_reads_it():
    stack = volumes()
    figure = modalities.linked_slices(stack, 2, cursor=(0.0, 1.0))
    for axis, volume in zip(figure.axes, stack.values(), strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), axial_slice(volume.array, 2))
    corner = axial_slice(stack["CT"].array, 2)[-1, 0]
    assert figure.axes[0].get_title() == f"CT: {corner:.0f} HU"
    assert figure.axes[2].get_title() == "LABELS: Liver"
    assert "10 mm" in figure.get_suptitle()


def test_level_and_width_set_the_ct_window_only():
    stack = volumes()
    narrow, wide = (modalities.linked_slices(stack, 0, 40, width) for width in (400, 2000))
    assert narrow.axes[0].images[0].get_clim() == (-160, 240)
    assert wide.axes[0].images[0].get_clim() == (-960, 1040)
    assert narrow.axes[1].images[0].get_clim() == wide.axes[1].images[0].get_clim()


def test_other_grids_and_empty_windows_are_refused():
    stack = volumes()
    shifted = AFFINE.copy()
    shifted[0, 3] = 1.0
    with pytest.raises(MedSynthError, match="one grid"):
        modalities.linked_slices({**stack, "CT": Volume(stack["CT"].array, shifted, "CT", "HU")}, 0)
    with pytest.raises(MedSynthError, match="width"):
        modalities.linked_slices(stack, 0, width_hu=0)


def test_each_class_has_a_colour_of_its_own():
    colours = modalities.class_colours().colors
    assert len({tuple(np.round(colour, 3)) for colour in colours}) == len(HEAD_CLASSES)
    assert tuple(colours[0]) == (0, 0, 0)


def test_contrast_is_what_the_weighting_is_named_after():
    def order(**settings):
        signals = mr_contrast.shown_signals(MRScanner(**settings))
        return sorted(signals, key=signals.get, reverse=True)

    csf, grey, white, fat = mr_contrast.SHOWN
    assert order(tr_ms=550, te_ms=12) == [fat, white, grey, csf]  # short T1 is bright
    assert order(tr_ms=4000, te_ms=100)[0] == csf  # long T2 is bright
    assert order(tr_ms=8000, te_ms=12).index(grey) < order(tr_ms=8000, te_ms=12).index(white)  # more protons


def test_the_panel_shows_the_signal_equation():
    codes = np.array([[CODE["fat"], CODE["cerebrospinal fluid"]]])
    scanner = MRScanner("spoiled gradient", te_ms=5, tr_ms=30, flip_deg=20)
    figure = mr_contrast.mr_contrast(codes, scanner)
    e1 = np.exp(-30 / 288)
    recovery = np.sin(np.radians(20)) * (1 - e1) / (1 - np.cos(np.radians(20)) * e1)
    fat = 0.9 * recovery * np.exp(-5 * (1 / 165 + 0.012))
    assert figure.axes[0].images[0].get_array()[0, 0] == pytest.approx(fat)
    recovered, left = (axis.lines[3].get_xydata() for axis in figure.axes[1:3])
    times, values = recovered.T
    e1 = np.exp(-times / 288)
    np.testing.assert_allclose(values, np.sin(np.radians(20)) * (1 - e1) / (1 - np.cos(np.radians(20)) * e1), rtol=1e-4)
    assert np.interp(5, *left.T) == pytest.approx(np.exp(-5 * (1 / 165 + 0.012)), rel=1e-3)
    assert plt.get_fignums() == []
    with pytest.raises(MedSynthError, match="tissue codes"):
        mr_contrast.mr_contrast(codes + 1000, scanner)
