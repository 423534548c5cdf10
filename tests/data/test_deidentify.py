"""De-identification: what it keeps is equal, what it changes is consistent, and what it cannot clean it does not write.

That no identifier survives is in tests/test_privacy.py.
"""

from __future__ import annotations

import sys

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medsynth_lib.cli import main
from medsynth_lib.data.aliases import Aliases, shifted
from medsynth_lib.data.deidentify import deidentify
from medsynth_lib.data.dicom import find_series, read_series
from medsynth_lib.errors import InputError
from tests.data.dicom_factory import enhanced, injection, make_series, save

KEY = b"a secret of sixteen bytes or more"


def read(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


@pytest.mark.parametrize(("patient_id", "people"), [("ANONYMOUS", 2), ("", 2), ("000", 2), ("4711", 1)])
def test_nobodys_number_does_not_make_two_people_one(patient_id, people):
    studies = []
    for number in (1, 2):
        tags = pydicom.Dataset()
        tags.PatientID, tags.StudyInstanceUID = patient_id, f"1.2.{number}"
        studies.append(tags)
    aliases = Aliases(KEY)
    assert len({aliases.patient(tags) for tags in studies}) == len({aliases.days(tags) for tags in studies}) == people


@pytest.mark.parametrize(
    ("drug", "tags"),
    [
        ({}, {}),
        ({"RadiopharmaceuticalStartDateTime": "20200102100000.00+0100"}, {"TimezoneOffsetFromUTC": "+0100"}),
        ({"RadiopharmaceuticalStartDateTime": "20200101233000"}, {"SeriesTime": "003000", "AcquisitionTime": "003000"}),
        ({}, {"DecayCorrection": "ADMIN"}),
    ],
    ids=["times", "datetime", "over midnight", "admin"],
)
def test_suv_is_what_it_was(tmp_path, drug, tags):
    datasets = make_series("PT", **tags)
    for dataset in datasets:
        dataset.RadiopharmaceuticalInformationSequence = [injection(**drug)]
    before = read_series(find_series(save(datasets, tmp_path / "in"))[0])
    deidentify(tmp_path / "in", tmp_path / "out")
    after = read_series(find_series(tmp_path / "out")[0])
    assert np.array_equal(before.array, after.array)
    assert before.problems == after.problems
    days = {file.SeriesDate for file in read(tmp_path / "out")}
    assert len(days) == 1
    assert "20100101" <= days.pop() < "20190103"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=lambda syntax: syntax.name)
def test_what_a_philips_count_is_stays_and_no_other_private_tag(tmp_path, syntax):
    datasets = make_series("PT", Units="CNTS")
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.00023812345678")
        block.add_new(0x03, "ST", "secret.img")
        block.add_new(0x09, "DS", "1.25")
    before = read_series(find_series(save(datasets, tmp_path / "in"))[0])
    found = deidentify(tmp_path / "in", tmp_path / "out")
    assert found.removed["private tag"] == len(datasets)
    for file in read(tmp_path / "out"):
        assert {one.tag: str(one.value) for one in file if one.tag.is_private} == {
            0x70530010: "Philips PET Private Group", 0x70531000: "0.00023812345678", 0x70531009: "1.25"}  # fmt: skip
    after = read_series(find_series(tmp_path / "out")[0])
    assert np.array_equal(before.array, after.array)
    assert before.array.max() > 0


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless,
     JPEG2000Lossless, JPEGLSLossless],
    ids=lambda syntax: syntax.name,
)  # fmt: skip
def test_pixels_stay_encoded_as_they_were(tmp_path, syntax):
    for index, dataset in enumerate(make_series()[:2]):
        values = np.tile(dataset.pixel_array, (8, 8))  # OpenJPEG takes no tiny images
        dataset.Rows, dataset.Columns = values.shape
        dataset.PixelData = values.astype("<i2" if syntax.is_little_endian else ">i2").tobytes()
        if syntax.is_encapsulated:
            dataset.compress(syntax, values, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / "in" / f"{index}.dcm"
        path.parent.mkdir(exist_ok=True)
        how = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
        pydicom.dcmwrite(path, dataset, enforce_file_format=True, **how)
    deidentify(tmp_path / "in", tmp_path / "out")
    before, after = read(tmp_path / "in"), read(tmp_path / "out")
    assert {one.file_meta.TransferSyntaxUID for one in after} == {syntax}
    assert [one.pixel_array.tolist() for one in after] == [one.pixel_array.tolist() for one in before]


def test_contrast_agent_and_enhanced_frames_survive(tmp_path):
    save(make_series(ContrastBolusAgent="Omnipaque for Ms Secret"), tmp_path / "in" / "a")
    save([enhanced(make_series())], tmp_path / "in" / "b", ["one"])
    deidentify(tmp_path / "in", tmp_path / "out")
    found = {one.modality: one for one in find_series(tmp_path / "out")}
    assert set(found) == {"CT", "CECT"}
    assert {one.get("ContrastBolusAgent") for one in read(tmp_path / "out")} == {"YES", None}
    for one, name in (("CT", "b"), ("CECT", "a")):
        before = read_series(find_series(tmp_path / "in" / name)[0])
        assert np.array_equal(read_series(found[one]).array, before.array)


def test_an_agent_drunk_or_coded_is_the_same_before_and_after(tmp_path):
    code = Dataset()
    code.CodeMeaning = "Iohexol"
    save(make_series(ContrastBolusAgent="Gastrografin", ContrastBolusRoute="Oral"), tmp_path / "in" / "drunk")
    save(make_series(ContrastBolusAgentSequence=[code], ContrastBolusRoute="IV"), tmp_path / "in" / "coded")
    deidentify(tmp_path / "in", tmp_path / "out")
    for folder in ("in", "out"):
        assert sorted(one.modality for one in find_series(tmp_path / folder)) == ["CECT", "CT"]


def test_a_key_gives_the_same_aliases_again_and_none_gives_others(tmp_path):
    folder = save(make_series()[:2], tmp_path / "in")
    for name, key in (("a", KEY), ("b", KEY), ("c", None), ("d", None)):
        deidentify(folder, tmp_path / name, key=key)
    aliases = [[(one.PatientID, one.SOPInstanceUID, one.get("SeriesDate")) for one in read(tmp_path / name)]
               for name in "abcd"]  # fmt: skip
    assert aliases[0] == aliases[1]
    assert len({str(one) for one in aliases}) == 3
    assert find_series(tmp_path / "a")[0].patient == read(tmp_path / "a")[0].PatientID  # not hashed again


def test_text_in_pixels_and_what_is_no_image_is_left_out(tmp_path):
    good = make_series()[:2]
    burnt = make_series(BurnedInAnnotation="YES")[:1]
    screen = make_series(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")[:1]
    for name, datasets in (("good", good), ("burnt", burnt), ("screen", screen), ("us", make_series(Modality="US")[:1]),
                           ("contours", make_series(Modality="RTSTRUCT")[:1])):  # fmt: skip
        save(datasets, tmp_path / "in" / name)
    found = deidentify(tmp_path / "in", tmp_path / "out")
    assert found.files == 2
    assert sum(found.left_out.values()) == 4
    assert any("burnt into the pixels" in reason for reason in found.left_out)
    kept = deidentify(tmp_path / "in", tmp_path / "kept", keep_burned_in=True)
    assert kept.files == 4
    assert sum(kept.warnings.values()) >= 2


def test_an_identifier_equal_to_a_number_of_the_image_does_no_harm(tmp_path):
    folder = save(make_series(PatientID="1000", PatientWeight=70.0), tmp_path / "in")  # RescaleIntercept is -1000
    deidentify(folder, tmp_path / "out")
    assert np.array_equal(
        read_series(find_series(tmp_path / "out")[0]).array, read_series(find_series(folder)[0]).array
    )


@pytest.mark.parametrize("place", ["in", "in/out", "."])
def test_originals_are_never_written_to(tmp_path, place):
    save(make_series()[:2], tmp_path / "in")
    before = {path: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    with pytest.raises(InputError):
        deidentify(tmp_path / "in", tmp_path / place)
    assert {path: path.read_bytes() for path in (tmp_path / "in").iterdir()} == before


def test_a_file_that_deid_did_not_clean_is_not_written(tmp_path, monkeypatch):
    """The second look does not rest on deid: with a recipe that removes nothing, nothing gets through."""
    folder = save(make_series()[:2], tmp_path / "in")
    monkeypatch.setattr("medsynth_lib.data.deidentify._deid_parser", lambda: lambda tags, functions: tags)
    with pytest.raises(InputError, match="no image could be de-identified"):
        deidentify(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_extra_and_bad_key_are_told(tmp_path, monkeypatch, capsys):
    folder = str(save(make_series()[:2], tmp_path / "in"))
    (tmp_path / "key").write_bytes(b"short")
    out = ["--out", str(tmp_path / "out")]
    assert main(["deidentify", folder, *out, "--key-file", str(tmp_path / "key")]) == 2
    assert "at least 16" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "deid.config", None)
    assert main(["deidentify", folder, *out]) == 2
    assert "medsynth[privacy]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "expected"),
    [("20200301", "20200229"), ("2020.03.01", "20200229"), ("20200301101500.5+0100", "20200229101500.5+0100"),
     ("2020", ""), ("20201399", ""), ("", ""), ("00010101", "")],
)  # fmt: skip
def test_dates_go_back_whole_or_away(value, expected):
    assert shifted(value, 1) == expected


@pytest.mark.realdata
def test_suv_of_a_real_raw_pet_is_what_it_was(realdata, tmp_path):
    """Thirty planes of the 267: the whole series takes a minute and shows the same."""
    source = find_series(realdata / "sts001-fdgpet-raw-dicom")[0]
    planes = sorted(source.planes, key=lambda plane: plane.tags.ImagePositionPatient[2])[100:130]
    (tmp_path / "in").mkdir()
    for plane in planes:
        (tmp_path / "in" / plane.path.name).write_bytes(plane.path.read_bytes())
    found = deidentify(tmp_path / "in", tmp_path / "out")
    before, after = (read_series(find_series(tmp_path / name)[0]) for name in ("in", "out"))
    assert found.files == 30
    assert np.array_equal(before.array, after.array)
    assert np.array_equal(before.affine, after.affine)
    assert before.array.max() > 1
