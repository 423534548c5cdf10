"""Six things that real archives hold, each handled or refused by name, through the command a user would type.

Their finer points are tested in test_suv.py (clocks, units), test_dicom.py (geometry, compression) and test_damaged.py.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, generate_uid

from medsynth_lib.cli import main
from medsynth_lib.data.dicom import find_series, read_series
from medsynth_lib.data.nifti import read_nifti
from tests.data.dicom_factory import injection, make_series, save, stored_values

TC99M_S, F18_S = 21624.12, 6588.0


def converted(folder, out, capsys):
    """(exit code, what was said) of ``medsynth convert``; a refusal leaves nothing."""
    code = main(["convert", str(folder), "--out", str(out / "image.nii.gz"), "--modality", "PET"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert (out / "image.nii.gz").exists() == (code == 0)
    return code, said.out + said.err


def pet(half_life_s=F18_S, **tags):
    datasets = make_series("PT", **tags)
    for dataset in datasets:
        dataset.RadiopharmaceuticalInformationSequence = [injection(RadionuclideHalfLife=half_life_s)]
    return datasets


def test_spect_stored_as_pet_is_refused_by_name(tmp_path, capsys):
    code, said = converted(save(pet(TC99M_S), tmp_path / "s"), tmp_path, capsys)
    assert (code, "this is SPECT stored as PET" in said, "Tc-99m" in said) == (2, True, True)


def test_decay_corrected_to_the_injection_is_not_corrected_again(tmp_path):
    start, admin = (read_series(find_series(save(pet(DecayCorrection=word), tmp_path / word))[0])
                    for word in ("START", "ADMIN"))  # fmt: skip
    ratio = start.array[admin.array > 0] / admin.array[admin.array > 0]
    np.testing.assert_allclose(ratio, 2 ** (3600 / F18_S), rtol=1e-5)  # an hour between injection and scan


def test_jpeg_2000_slices_without_an_ending_are_read(tmp_path, capsys):
    datasets = make_series(stored=stored_values(rows=40, columns=36))
    expected = read_series(find_series(save(datasets, tmp_path / "plain"))[0])
    for dataset in datasets:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    folder = save(datasets, tmp_path / "packed", [f"IM{index}" for index in range(len(datasets))])
    code, _ = converted(folder, tmp_path, capsys)
    assert code == 0
    assert np.array_equal(read_nifti(tmp_path / "image.nii.gz", "CT").array, expected.array)


def test_a_localiser_in_the_series_is_left_out_and_told(tmp_path, capsys):
    datasets = make_series()
    localiser = copy.deepcopy(datasets[0])
    localiser.ImageType, localiser.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], generate_uid()
    code, said = converted(save([*datasets, localiser], tmp_path / "s"), tmp_path, capsys)
    assert (code, "1 localiser images in the series were left out" in said) == (0, True)
    assert read_nifti(tmp_path / "image.nii.gz", "CT").shape[2] == len(datasets)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "several planes lie at the same position"),  # two phases
        ({"Modality": "MR"}, "mixes 2 modalities"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "mixes 2 orientations"),
        ({"PixelSpacing": [1.0, 1.0]}, "mixes 2 pixel spacings"),
        ({"FrameOfReferenceUID": "1.2.3.4"}, "mixes 2 frames of reference"),
    ],
)
def test_two_series_of_one_uid_are_refused_by_what_differs(tmp_path, capsys, change, words):
    first = make_series()
    second = make_series(SeriesInstanceUID=first[0].SeriesInstanceUID, FrameOfReferenceUID=first[0].FrameOfReferenceUID)
    for dataset in second:
        for keyword, value in change.items():
            setattr(dataset, keyword, value)
    names = [f"{name}{index}" for name in "ab" for index in range(8)]
    code, said = converted(save([*first, *second], tmp_path / "s", names), tmp_path, capsys)
    assert (code, words in said) == (2, True)


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path, capsys):
    datasets = make_series()
    for index, dataset in enumerate(datasets):
        dataset.ImagePositionPatient[1] += index * 3 * np.tan(np.radians(15))
    code, said = converted(save(datasets, tmp_path / "s"), tmp_path, capsys)
    assert (code, "tilted gantry of 15.0 degrees" in said) == (2, True)
