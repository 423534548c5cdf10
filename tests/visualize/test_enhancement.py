"""Images and changes share one window: what is hidden in one is hidden in the other, and no change is white."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.enhancement import CHANGE_PART, linked_window

CT = np.full((16, 16), 40.0)
CECT = CT + np.pad(np.full((4, 4), 110.0), 6)


def drawn(level, width):
    figure = linked_window({"CECT": CECT, "CT": CT}, {"CT − CECT": CT - CECT}, level, width)
    return [axis.images[0] for axis in figure.axes if axis.images and axis.get_title()]


def test_both_rows_are_on_the_same_window_and_no_change_is_white():
    for level, width in ((50.0, 500.0), (0.0, 2000.0)):
        *images, change = drawn(level, width)
        assert [image.get_clim() for image in images] == [(level - width / 2, level + width / 2)] * 2
        assert change.get_clim() == (-CHANGE_PART * width, CHANGE_PART * width)
        np.testing.assert_array_equal(change.get_array(), CT - CECT)
        assert change.cmap(change.norm(0.0))[:3] == pytest.approx((0.97, 0.97, 0.97), abs=0.03)


def test_taken_out_is_blue_and_a_wide_window_hides_it():
    colours = [one.cmap(one.norm(-110.0)) for *_, one in (drawn(50.0, 500.0), drawn(0.0, 2000.0))]
    blueness = [colour[2] - colour[0] for colour in colours]
    assert blueness[0] > 2 * blueness[1] > 0


def test_unchanged_rows_may_be_left_out_and_nothing_stays_open():
    plt.close("all")
    assert len([axis for axis in linked_window({"CT": CT}, {}, 50, 500).axes if axis.images]) == 1
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("images", "width"), [({}, 500.0), ({"CT": CT}, 0.0)])
def test_no_image_or_no_width_is_told(images, width):
    with pytest.raises(MedSynthError, match="a window shows images"):
        linked_window(images, {}, 50.0, width)
