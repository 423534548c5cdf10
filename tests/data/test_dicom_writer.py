"""Written DICOM against our reader, pydicom's strict reading, SimpleITK and nibabel."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pydicom
import pytest

from medsynth_lib.data.cohort import discover
from medsynth_lib.data.dicom import find_series
from medsynth_lib.data.dicom_derived import Maker, write_derived_series
from medsynth_lib.data.dicom_segmentation import read_segmentation
from medsynth_lib.data.dicom_writer import Protocol, Subject, make_uid, write_series
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError, StorageError
from medsynth_lib.phantom.cohort import make_cohort

IMAGES = ("CT", "CECT", "PET", "MR")


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts")
    settings = {"patients": 1, "size": 64, "slices": 12, "seed": 3}
    return {kind: make_cohort(folder / kind, format=kind, **settings) for kind in ("nifti", "dicom")}


def images(cohort):
    return {word: source.read() for word, source in discover(cohort).patients[0].modalities.items()}


def test_dicom_reads_back_as_nifti_does(cohorts):
    written, expected = images(cohorts["dicom"]), images(cohorts["nifti"])
    for word in IMAGES:
        assert not written[word].problems
        np.testing.assert_allclose(written[word].affine, expected[word].affine, atol=1e-4)
        tolerance = 1e-3 if word == "PET" else 0
        np.testing.assert_allclose(written[word].array, expected[word].array, atol=tolerance, rtol=0)


def test_segmentation_reads_back_as_the_label_map(cohorts):
    ct, expected = images(cohorts["dicom"])["CT"], images(cohorts["nifti"])["LABELS"]
    labels, names = read_segmentation(cohorts["dicom"] / "P000" / "LABELS.dcm", ct)
    assert (labels.array == expected.array).all()
    assert names[4] == "Liver"


def test_strict_reading_finds_nothing_to_warn_of(cohorts):
    files = sorted(cohorts["dicom"].rglob("*.dcm"))
    assert len(files) == 4 * 12 + 1
    mode = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for path in files:
                file = pydicom.dcmread(path)
                for element in file.iterall():
                    assert element.value is not Ellipsis  # converts it, strictly
                assert file.pixel_array.size
                assert file.SyntheticData == "YES"
                assert file.ImageType[0] == "DERIVED"
                assert file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID
    finally:
        pydicom.config.settings.reading_validation_mode = mode


def test_uids_are_unique_and_images_of_a_patient_share_a_frame(cohorts):
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in cohorts["dicom"].rglob("*.dcm")]
    assert len({file.SOPInstanceUID for file in files}) == len(files)
    assert len({file.SeriesInstanceUID for file in files}) == 5
    assert len({file.StudyInstanceUID for file in files}) == len({file.FrameOfReferenceUID for file in files}) == 1
    assert make_uid("a", "b") == make_uid("a", "b") != make_uid("ab", "")
    assert make_uid("a").is_valid


@pytest.mark.parametrize("word", IMAGES)
def test_simpleitk_sees_the_same_values_in_the_same_place(cohorts, word):
    sitk = pytest.importorskip("SimpleITK")
    ours = images(cohorts["dicom"])[word]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(cohorts["dicom"] / "P000" / word)))
    image = reader.Execute()
    assert image.GetSize() == ours.shape
    for index in ((0, 0, 0), (5, 40 % ours.shape[1], 7)):
        world = image.TransformIndexToPhysicalPoint(index)  # LPS
        voxel = np.linalg.inv(ours.affine) @ [-world[0], -world[1], world[2], 1]
        np.testing.assert_allclose(voxel[:3], np.rint(voxel[:3]), atol=1e-4)
        if word != "PET":  # SimpleITK leaves Bq/mL as they are
            assert image.GetPixel(index) == ours.array[tuple(np.rint(voxel[:3]).astype(int))]


def test_simpleitk_opens_the_segmentation_in_place(cohorts):
    sitk = pytest.importorskip("SimpleITK")
    image, ct = sitk.ReadImage(str(cohorts["dicom"] / "P000" / "LABELS.dcm")), images(cohorts["dicom"])["CT"]
    np.testing.assert_allclose(image.GetSpacing()[:2], ct.spacing_mm[:2])
    corner = ct.affine @ [ct.shape[0] - 1, ct.shape[1] - 1, 0, 1]
    np.testing.assert_allclose(np.array(image.GetOrigin())[:2], -corner[:2], atol=1e-4)


@pytest.mark.parametrize("word", IMAGES)
def test_nibabel_sees_the_same_place(cohorts, word):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "the DICOM readers are highly experimental"
        from nibabel.nicom.dicomwrappers import wrapper_from_file
    ours = images(cohorts["dicom"])[word]
    theirs = wrapper_from_file(cohorts["dicom"] / "P000" / word / "0003.dcm").affine  # rows, columns to LPS
    row, column = 5, 9
    expected = ours.affine @ [ours.shape[0] - 1 - column, ours.shape[1] - 1 - row, 3, 1]
    np.testing.assert_allclose((theirs @ [row, column, 0, 1])[:3] * [-1, -1, 1], expected[:3], atol=1e-4)


def test_only_images_with_even_planes_are_written(tmp_path):
    subject, protocol = Subject("S", "F", 60, 1.6), Protocol(5)
    labels = Volume(np.zeros((4, 4, 2), np.uint8), np.eye(4), "LABELS", "label")
    with pytest.raises(InputError, match="image series"):
        write_series(labels, tmp_path / "x", subject, protocol)
    uneven = Volume(np.zeros((4, 4, 3), np.int16), np.eye(4), "CT", "HU", plane_offsets_mm=np.array([0, 1, 2.5]))
    with pytest.raises(InputError, match="unevenly"):
        write_series(uneven, tmp_path / "x", subject, protocol)
    assert not list(tmp_path.iterdir())


def test_an_oblique_volume_comes_back_in_place(tmp_path):
    from medsynth_lib.data.dicom import find_series, read_series

    tilt = np.radians(12)
    affine = np.eye(4)
    affine[:3, :3] = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]] @ np.diag([2, 3, 4])
    affine[:3, 3] = [-7, 11, 30]
    values = np.arange(5 * 6 * 4, dtype=np.int16).reshape(5, 6, 4)
    write_series(Volume(values, affine, "MR", "a.u."), tmp_path / "s", Subject("S", "M", 70, 1.7), Protocol(4))
    (series,) = find_series(tmp_path)
    back = read_series(series)
    assert (back.array == values).all()
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)


def test_a_series_never_takes_the_place_of_another(cohorts, tmp_path):
    """Least of all of its own source, the patient's scan."""
    shutil.copytree(cohorts["dicom"] / "P000" / "CT", tmp_path / "scan")
    before = {path.name: path.read_bytes() for path in (tmp_path / "scan").iterdir()}
    source = find_series(tmp_path / "scan")[0]
    volume = images(cohorts["dicom"])["CT"]
    with pytest.raises(StorageError, match="not empty"):
        write_derived_series(volume, tmp_path / "scan", source, Maker("a model", "1", "0" * 64))
    with pytest.raises(StorageError, match="not empty"):
        write_series(volume, tmp_path / "scan", Subject("S", "M", 70, 1.7), Protocol(4))
    assert {path.name: path.read_bytes() for path in (tmp_path / "scan").iterdir()} == before
