"""Volumes: turning axes never moves a voxel, resampling reproduces what is linear, labels stay labels."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest

from medsynth_lib.conventions import axial_slice, volume_from_slices
from medsynth_lib.data.volume import Grid, Volume
from medsynth_lib.errors import InputError

SHAPE = (5, 6, 7)


def orientations():
    for axes, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = np.diag([2.0, 1.5, 3.0])[:, axes] * np.array(signs)
        affine[:3, 3] = (10, -20, 30)
        yield affine


def values(shape=SHAPE):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def ramp(grid, offsets=None):
    """``2x - 3y + 5z + 1`` of each voxel's true position in millimetres: linear, so interpolation must reproduce it."""
    index = np.indices(grid.shape).astype(float)
    if offsets is not None:
        index[2] = (offsets / grid.spacing_mm[2])[None, None, :]
    x, y, z = np.einsum("ij,j...->i...", grid.affine[:3, :3], index) + grid.affine[:3, 3, None, None, None]
    return (2 * x - 3 * y + 5 * z + 1).astype(np.float32)


def test_every_orientation_turns_as_nibabel_turns_it():
    for affine in orientations():
        found = Volume(values(), affine, "MR", "a.u.").to_ras()
        expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(values(), affine))
        assert np.array_equal(found.array, expected.get_fdata().astype(np.float32))
        assert np.allclose(found.affine, expected.affine)


def test_uneven_planes_keep_their_true_positions_in_every_orientation():
    for affine, plane_axis in itertools.product(orientations(), range(3)):
        offsets = np.cumsum([0.0, *np.random.default_rng(2).uniform(1, 2, SHAPE[plane_axis] - 1)])
        volume = Volume(values(), affine, "MR", "a.u.", plane_offsets_mm=offsets, plane_axis=plane_axis)
        turned = volume.to_ras()
        assert position_of_each_value(volume) == pytest.approx(position_of_each_value(turned), abs=1e-6)


def position_of_each_value(volume):
    """World coordinates of all voxels, in the order of their (distinct) values."""
    index = np.indices(volume.shape).reshape(3, -1).astype(float)
    offsets = volume.plane_offsets_mm / volume.spacing_mm[volume.plane_axis]
    index[volume.plane_axis] = offsets[index[volume.plane_axis].astype(int)]
    world = volume.affine[:3, :3] @ index + volume.affine[:3, 3:]
    return world[:, np.argsort(volume.array.ravel())]


def test_resampling_onto_the_own_grid_changes_nothing():
    volume = Volume(values(), next(orientations()), "MR", "a.u.")
    assert np.array_equal(volume.resample_to(volume.grid).array, volume.array)


def test_a_linear_ramp_is_reproduced_on_any_finer_grid():
    grid = Grid((12, 14, 10), np.diag([2.0, 1.5, 3.0, 1.0]))
    volume = Volume(ramp(grid), grid.affine, "MR", "a.u.")
    turn = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.1, 0.05, -0.08) * 1.1, (8, 7, 10))
    target = Grid((6, 5, 7), turn)
    assert np.allclose(volume.resample_to(target).array, ramp(target), atol=1e-3)


def test_a_linear_ramp_is_reproduced_from_uneven_planes():
    offsets = np.array([0, 3, 6, 9.7, 12.7, 15.6, 18.6])
    grid = Grid((8, 9, 7), np.diag([2.0, 1.5, 3.0, 1.0]))
    volume = Volume(ramp(grid, offsets), grid.affine, "MR", "a.u.", plane_offsets_mm=offsets)
    even = volume.to_even_planes()
    assert even.plane_offsets_mm is None
    assert even.shape == (8, 9, 7)
    assert np.allclose(even.array, ramp(even.grid), atol=1e-3)
    assert np.allclose(volume.z_mm(), offsets)
    misread = Volume(volume.array, grid.affine, "MR", "a.u.").resample_to(even.grid).array
    assert np.abs(misread - ramp(even.grid)).max() > 2  # the test would see offsets that are ignored


def test_outside_is_filled_beyond_half_a_voxel():
    volume = Volume(np.full((4, 4, 4), 5.0, np.float32), np.eye(4), "MR", "a.u.")
    line = Grid((4, 4, 8), np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, -1.0], [0, 0, 0, 1]]))
    assert volume.resample_to(line, fill=-1).array[0, 0].tolist() == [-1, 5, 5, 5, 5, 5, 5, 5]


def test_outside_of_uneven_planes_is_filled_too():
    values = np.full((4, 4, 4), 5.0, np.float32)
    volume = Volume(values, np.eye(4), "MR", "a.u.", plane_offsets_mm=np.array([0, 1, 2.5, 3.5]))
    line = Grid((4, 4, 14), np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, -1.0], [0, 0, 0, 1]]))
    assert volume.resample_to(line, fill=-1).array[0, 0].tolist() == [-1] + [5] * 10 + [-1] * 3


def test_losing_resolution_averages_instead_of_aliasing():
    stripes = np.zeros((32, 32, 32), np.float32)
    stripes[::2] = 1
    coarse = Grid((8, 8, 8), np.diag([4.0, 4.0, 4.0, 1.0]))
    found = Volume(stripes, np.eye(4), "MR", "a.u.").resample_to(coarse).array[1:-1, 1:-1, 1:-1]
    assert np.abs(found - 0.5).max() < 0.05


def test_labels_never_gain_a_class():
    labels = np.random.default_rng(5).choice([0, 3, 40], (9, 8, 7)).astype(np.int32)
    volume = Volume(labels, np.diag([2.0, 2.0, 2.0, 1.0]), "LABELS", "label")
    fine = volume.resample_to(Grid((20, 20, 20), np.diag([0.7, 0.7, 0.7, 1.0])), order=0)
    assert set(np.unique(fine.array)) == {0, 3, 40}
    assert fine.array.dtype == labels.dtype
    with pytest.raises(InputError, match="order=0 only"):
        volume.resample_to(volume.grid)


def test_slices_and_volumes_invert_each_other_and_face_the_reader():
    array = values()
    assert np.array_equal(volume_from_slices(axial_slice(array, z) for z in range(SHAPE[2])), array)
    marked = np.zeros(SHAPE)
    marked[-1, -1, 3] = 1  # the patient's right, front
    assert axial_slice(marked, 3)[0, 0] == 1


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.diag([np.nan, 1, 1, 1]), np.diag([1e-6, 1, 1, 1]), np.diag([5e3, 1, 1, 1]), np.ones((4, 4))],
)
def test_affines_that_place_nothing_are_refused(affine):
    with pytest.raises(InputError, match="does not place voxels"):
        Volume(values(), affine, "MR", "a.u.")


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3), (2, 2, 2, 1)])
def test_three_axes_none_empty(shape):
    with pytest.raises(InputError, match="three axes"):
        Volume(np.zeros(shape), np.eye(4), "MR", "a.u.")
