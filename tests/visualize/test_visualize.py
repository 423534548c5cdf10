"""Figures are pure functions of arrays; widgets call them and raise what they raise."""

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize import curves, slices, widgets

REAL = np.linspace(-1000, 500, 64 * 64).reshape(64, 64)
FAKE = REAL[:, ::-1]


def test_swipe_shows_real_left_and_synthetic_right():
    figure = slices.swipe(REAL, FAKE, 0.25)
    shown, error = (axis.images[0].get_array() for axis in figure.axes[:2])
    np.testing.assert_array_equal(shown[:, :16], REAL[:, :16])
    np.testing.assert_array_equal(shown[:, 16:], FAKE[:, 16:])
    np.testing.assert_array_equal(error, FAKE - REAL)
    with pytest.raises(MedSynthError, match="0 to 1"):
        slices.swipe(REAL, FAKE, 1.5)


def test_comparison_shows_signed_errors_centred_on_white():
    figure = slices.comparison(REAL / 200 + 5, {"a": FAKE, "b": REAL}, REAL)
    errors = [axis.images[0] for axis in figure.axes if axis.images and axis.images[0].get_cmap().name == "RdBu_r"]
    assert len(errors) == 2
    for image, fake in zip(errors, (FAKE, REAL), strict=True):
        low, high = image.get_clim()
        assert low == -high
        np.testing.assert_array_equal(image.get_array(), fake - REAL)


def test_no_figure_stays_open():
    plt.close("all")
    slices.slice_grid({"CT": ("CT", [REAL, FAKE]), "PET": ("PET", [REAL])}, titles=["1", "2"])
    slices.swipe(REAL, FAKE, 0.5)
    curves.loss_curves([(1, {"generator/l1": 2.0, "discriminator/real": 0.3}), (2, {"generator/l1": 1.0})])
    curves.metric_curves(LOOKS)
    assert plt.get_fignums() == []


LOOKS = [
    {
        "step": 5,
        "unit": "SUVbw",
        "train": {"ssim": 0.5, "mse": 2.0, "mse_body": 3.0},
        "test": {"ssim": 0.4, "mse": 2.5},
    },
    {"step": 10, "unit": "SUVbw", "train": {"ssim": 0.7, "mse": 1.0, "mse_body": 1.5}, "test": {"ssim": 0.6}},
]


def test_scores_are_drawn_train_beside_test_with_their_units():
    figure = curves.metric_curves(LOOKS)
    drawn = {
        axis.get_ylabel(): {line.get_label(): line.get_xydata().tolist() for line in axis.lines} for axis in figure.axes
    }
    drawn.pop("", None)  # the panel left empty
    assert drawn == {
        "SSIM": {"train": [[5, 0.5], [10, 0.7]], "test": [[5, 0.4], [10, 0.6]]},
        "MSE [SUVbw²]": {"train": [[5, 2.0], [10, 1.0]], "test": [[5, 2.5]]},
    }
    (panel,) = curves.metric_curves(LOOKS, ("mse_body",)).axes
    assert panel.get_ylabel() == "MSE [SUVbw²] [body]"
    assert curves.metric_curves([]).axes  # nothing to draw is no error


def test_colours_differ_in_lightness_enough_to_be_told_apart_without_hue():
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in curves.COLOURS[:4]])
    lightness = rgb @ [0.2126, 0.7152, 0.0722]
    assert len(set(np.round(lightness, 2))) == len(lightness)


def test_explorer_draws_at_once_and_on_every_change():
    calls = []

    def render(index, position):
        calls.append((index, position))
        return slices.swipe(REAL, FAKE, position)

    box = widgets.explorer(
        render, "two halves", index=ipywidgets.IntSlider(3), position=ipywidgets.FloatSlider(0.5, max=1.0)
    )
    index, position, picture = box.children
    first = picture.value
    position.value = 0.25
    index.value = 4
    assert calls == [(3, 0.5), (3, 0.25), (4, 0.25)]
    assert index.continuous_update is False
    assert picture.value != first
    assert 'alt="two halves"' in picture.value


def test_an_error_in_render_is_not_swallowed():
    def render(index):
        if index > 1:
            raise ValueError("no such slice")
        return slices.swipe(REAL, FAKE, 0.5)

    box = widgets.explorer(render, "two halves", index=ipywidgets.IntSlider(0))
    with pytest.raises(ValueError, match="no such slice"):
        box.children[0].value = 2
