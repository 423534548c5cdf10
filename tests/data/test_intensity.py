"""Windows go both ways, and an MR window does not depend on how much air surrounds the patient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medsynth_lib.data.intensity import DEFAULT_WINDOWS, IntensityWindow, percentile_window
from medsynth_lib.errors import InputError


@given(low=st.floats(-3000, 3000), width=st.floats(0.1, 5000), part=st.floats(0, 1))
def test_a_value_in_the_window_comes_back(low, width, part):
    window = IntensityWindow(low, low + width, "a.u.")
    value = np.array(low + part * width)
    encoded = window.encode(value)
    assert -1 - 1e-9 <= encoded <= 1 + 1e-9
    assert abs(window.decode(encoded) - value) <= 1e-6 * width


@pytest.mark.parametrize("window", DEFAULT_WINDOWS.values(), ids=DEFAULT_WINDOWS)
def test_float32_round_trip_is_within_a_millionth_of_the_window(window):
    values = np.linspace(window.low, window.high, 10_001, dtype=np.float32)
    np.testing.assert_allclose(window.decode(window.encode(values)), values, atol=1e-6 * window.range)


def test_ends_middle_and_beyond():
    window = IntensityWindow(-1000.0, 1000.0, "HU")
    np.testing.assert_allclose(window.encode(np.array([-3024.0, -1000, 0, 1000, 3071])), [-1, -1, 0, 1, 1])
    assert window.range == 2000


def test_torch_and_numpy_agree():
    window, values = IntensityWindow(0.0, 7.0, "SUVbw"), np.linspace(-1, 9, 50)
    np.testing.assert_allclose(window.encode(torch.from_numpy(values)).numpy(), window.encode(values))


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_window_that_is_none(low, high):
    with pytest.raises(InputError, match="low < high"):
        IntensityWindow(low, high, "HU")


def head(air: int) -> np.ndarray:
    """Tissue of 100 to 900 in a cube, dark noise in ``air`` voxels on each side of it."""
    rng = np.random.default_rng(0)
    tissue = rng.uniform(100, 900, (16, 16, 16))
    volume = np.abs(rng.normal(0, 5, (16 + 2 * air,) * 3))
    volume[air : 16 + air, air : 16 + air, air : 16 + air] = tissue
    return volume


def test_mr_window_does_not_follow_the_field_of_view():
    windows = [percentile_window(head(air)) for air in (2, 6, 14)]
    highs = [window.high for window in windows]
    assert max(highs) - min(highs) < 0.02 * 800
    everything = [np.percentile(head(air), 99.5) for air in (2, 6, 14)]
    assert max(everything) - min(everything) > 0.1 * 800  # percentiles of all voxels would
    assert all(window.low < 100 for window in windows)


def test_mr_window_is_its_percentiles_and_spikes_do_not_set_it():
    volume = head(2)
    window = percentile_window(volume)
    assert window.low == pytest.approx(np.percentile(volume, 0.5))
    assert window.high == pytest.approx(np.percentile(volume[volume > volume.mean()], 99.5))
    volume[0, 0, 0] = 1e6
    assert percentile_window(volume).high < 1000


def test_a_constant_volume_has_no_window():
    with pytest.raises(InputError, match="constant"):
        percentile_window(np.full((3, 3, 3), 7.0))
