"""NIfTI: what is written is read back, and what no image can be is refused before it costs memory."""

from __future__ import annotations

import gzip
import itertools

import nibabel
import numpy as np
import pytest

from medsynth_lib.data.nifti import modality_from_name, read_header, read_nifti, write_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -1.5, 0, 40], [0, 0, 3, -100], [0, 0, 0, 1]])


def ct_values(shape=(6, 7, 5)):
    return np.random.default_rng(3).integers(-1000, 1500, shape).astype(np.float32)


def save(path, array, affine=AFFINE, **header):
    image = nibabel.Nifti1Image(array, affine)
    for field, value in header.items():
        image.header[field] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("CT.nii.gz", "CT"),
        ("ct_image.nii", "CT"),
        ("STS-CECT.nii.gz", "CECT"),
        ("PET_image.nii.gz", "PET"),
        ("fdg_pt.nii.gz", "PET"),
        ("MR_T1_image.nii.gz", "MR"),
        ("sub-01_T2w.nii.gz", "MR"),
        ("CT_mask.nii.gz", "LABELS"),
        ("training_seg_01.nii.gz", "LABELS"),
        ("labels.nii.gz", "LABELS"),
    ],
)
def test_the_name_tells_the_modality(name, modality):
    assert modality_from_name(name) == modality


@pytest.mark.parametrize("name", ["image.nii.gz", "doctor.nii.gz", "pet_ct.nii.gz"])
def test_a_name_that_does_not_tell_is_refused(name):
    with pytest.raises(InputError, match="modalit"):
        modality_from_name(name)


def test_every_orientation_reads_as_nibabel_canonical(tmp_path):
    for axes, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = np.diag([2.0, 1.5, 3.0])[:, axes] * np.array(signs)
        path = save(tmp_path / "CT.nii", ct_values(), affine)
        found, expected = read_nifti(path), nibabel.as_closest_canonical(nibabel.load(path))
        assert np.array_equal(found.array, expected.get_fdata())
        assert np.allclose(found.affine, expected.affine)


@pytest.mark.parametrize("code", [0, 1], ids=["no codes", "qform"])
@pytest.mark.parametrize(("index", "factor"), [(0, 0), (1, -1), (2, -1), (3, -1)])
def test_odd_voxel_sizes_read_as_nibabel_reads_them_never_mirrored(tmp_path, code, index, factor):
    image = nibabel.Nifti1Image(ct_values(), None)
    image.set_qform(np.abs(AFFINE) * np.sign(np.diag([1, 1, -1, 1])), code=code)
    image.set_sform(None, code=0)
    content = bytearray(image.to_bytes())
    sizes = np.frombuffer(content, "<f4", 8, offset=76)  # pixdim
    sizes[index] *= factor
    path = tmp_path / "CT.nii"
    path.write_bytes(content)
    found, expected = read_nifti(path), nibabel.as_closest_canonical(nibabel.load(path))
    assert np.array_equal(found.array, expected.get_fdata())
    assert np.allclose(found.affine, expected.affine)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_written_volumes_read_back_exactly_and_bytes_repeat(tmp_path, ending):
    for name, array, unit in (
        ("CT", ct_values(), "HU"),
        ("PET", np.abs(ct_values()) / 300, "SUVbw"),
        ("LABELS", np.arange(210).reshape(6, 7, 5) * 300, "label"),
    ):
        affine = np.abs(AFFINE) * [[1], [1], [1], [1]]
        volume = Volume(array, affine, name, unit)
        first, second = write_nifti(volume, tmp_path / f"{name}{ending}"), tmp_path / f"again_{name}{ending}"
        write_nifti(volume, second)
        found = read_nifti(first)
        assert first.read_bytes() == second.read_bytes()
        assert np.array_equal(found.array, array.astype(found.array.dtype))
        assert np.allclose(found.affine, affine, atol=1e-5)
        assert found.modality == name
        assert found.unit == unit


def test_whole_hu_are_stored_as_16_bit(tmp_path):
    path = write_nifti(Volume(ct_values(), np.eye(4), "CT", "HU"), tmp_path / "CT.nii.gz")
    assert nibabel.load(path).get_data_dtype() == np.int16


def test_scaling_in_the_header_is_applied(tmp_path):
    stored = ct_values().astype(np.int16)
    path = save(tmp_path / "CT.nii.gz", stored)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:120] = np.array([0.5, -400], "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    assert np.allclose(read_nifti(path).array[::-1, ::-1], stored * 0.5 - 400)


def test_ct_is_clipped_and_counted(tmp_path):
    array = ct_values()
    array[0, 0, :2], array[1, 1, 0] = -3024, 9000
    volume = read_nifti(save(tmp_path / "CT.nii.gz", array))
    assert (volume.array.min(), volume.array.max()) == (-1024, 3071)
    assert "2 voxels" in volume.problems[0]
    assert "-3024" in volume.problems[0]
    assert "1 voxels" in volume.problems[1]


def test_a_trailing_axis_of_one_is_dropped(tmp_path):
    assert read_nifti(save(tmp_path / "CT.nii", ct_values()[..., None])).shape == (6, 7, 5)


def test_an_unknown_orientation_is_reported(tmp_path):
    path = save(tmp_path / "CT.nii", ct_values())
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)
    path.write_bytes(content)
    assert "guess" in read_nifti(path).problems[0]


def nan_voxel(array):
    array[1, 1, 1] = np.nan
    return array


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("CT", nan_voxel(ct_values()), "not finite"),
        ("CT", np.abs(ct_values()), "not in HU"),
        ("CT", (ct_values() + 1000) / 2500, "scaled to [0, 1]?"),
        ("CT", np.where(ct_values() < -900, -2000, np.abs(ct_values())), "not in HU"),  # stored values, padded
        ("PET", ct_values() * 100, "not SUV"),
        ("PET", np.minimum(ct_values(), 0), "no activity"),
        ("MR", np.full((4, 4, 4), 7.0), "same value"),
        ("LABELS", ct_values() / 7, "whole numbers"),
        ("LABELS", ct_values() - 5, "whole numbers"),
        ("MR", np.zeros((4, 4, 4, 3)), "three-dimensional"),
        ("MR", np.zeros((4, 4)), "three-dimensional"),
        ("MR", np.ones((4, 4, 4), np.complex64), "single numbers"),
    ],
)
def test_implausible_images_are_refused_by_name(tmp_path, name, array, words):
    with pytest.raises(InputError) as caught:
        read_nifti(save(tmp_path / f"{name}.nii.gz", array))
    assert words in caught.value.what
    assert None not in (caught.value.where, caught.value.fix)


def test_other_units_are_refused_with_what_to_do(tmp_path):
    path = save(tmp_path / "CT.nii", ct_values(), xyzt_units=3)  # micrometres
    with pytest.raises(InputError, match="millimetres") as caught:
        read_nifti(path)
    assert caught.value.fix


def test_a_header_cannot_promise_what_its_file_cannot_hold(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header.set_data_dtype(np.float32)
    path = tmp_path / "CT.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    with pytest.raises(InputError, match="too large"):
        read_header(path)
    header.set_data_shape((900, 900, 900))
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    with pytest.raises(InputError, match="more voxels than the file can hold"):
        read_nifti(path)


def test_a_bomb_is_read_no_further_than_its_header_says(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((8, 8, 8))
    header.set_data_dtype(np.float32)
    header["vox_offset"] = 352
    path = tmp_path / "CT.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(50_000_000)))
    with pytest.raises(InputError, match="do not fill the header's shape exactly"):
        read_nifti(path)


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.98])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_truncated_files_are_refused(tmp_path, keep, ending):
    path = save(tmp_path / f"CT{ending}", ct_values((20, 20, 20)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(InputError):
        read_nifti(path)


def test_uneven_planes_are_not_written_as_if_even(tmp_path):
    volume = Volume(ct_values(), np.eye(4), "CT", "HU", plane_offsets_mm=np.array([0, 1, 2, 3.5, 4.5]))
    with pytest.raises(InputError, match="unevenly"):
        write_nifti(volume, tmp_path / "CT.nii.gz")
    assert write_nifti(volume.to_even_planes(), tmp_path / "CT.nii.gz").is_file()


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match="ends in"):
        write_nifti(Volume(ct_values(), np.eye(4), "CT", "HU"), tmp_path / "CT.png")
    assert list(tmp_path.iterdir()) == []
