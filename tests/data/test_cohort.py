"""Cohorts: every patient is found, the right images are paired, and the report says what is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from medsynth_lib.data.cohort import discover, read_cohort_json, write_cohort_json
from medsynth_lib.data.inspect import convert, format_report, inspect
from medsynth_lib.data.nifti import modality_from_name, read_nifti, write_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from tests.data.dicom_factory import make_series, save, stored_values


def write(path, modality, *, shape=(8, 9, 6), origin=(0, 0, 0), spacing=2.0):
    rng = np.random.default_rng(len(str(path)))
    ranges = {"CT": (-1000, 1000), "CECT": (-1000, 1000), "PET": (0, 9), "MR": (0, 500), "LABELS": (0, 3)}
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = origin
    array = rng.integers(*ranges[modality], shape)
    array = array.astype(np.int32 if modality == "LABELS" else np.float32)
    return write_nifti(Volume(array, affine, modality, "label" if modality == "LABELS" else "a.u."), path)


@pytest.fixture
def cohort_folder(tmp_path):
    for patient in ("p1", "p2"):
        for modality in ("CT", "PET", "LABELS"):
            write(tmp_path / patient / f"{modality}.nii.gz", modality)
    write_cohort_json(
        tmp_path, name="tiny", license="CC0", patients=["p1", "p2"], modalities=["ct", "PET", "LABELS"], synthetic=True
    )
    return tmp_path


def test_the_canonical_layout(cohort_folder):
    cohort = discover(cohort_folder)
    assert (cohort.name, cohort.license, cohort.synthetic) == ("tiny", "CC0", True)
    assert [patient.key for patient in cohort.patients] == ["p1", "p2"]
    assert set(cohort.patients[0].modalities) == {"CT", "PET", "LABELS"}
    assert cohort.skipped == ()
    assert [(pair.patient, pair.source.modality) for pair in cohort.pairs("PET", "CT")] == [
        ("p1", "PET"),
        ("p2", "PET"),
    ]
    assert cohort.pairs("PET", "CT")[0].source.read().array.max() <= 9


def test_missing_and_unlisted_patients_are_reported(cohort_folder):
    shutil.rmtree(cohort_folder / "p2")
    write(cohort_folder / "p3" / "CT.nii.gz", "CT")
    cohort = discover(cohort_folder)
    assert "1 patients without images: p2" in cohort.problems[0]
    assert [(path.parent.name, reason) for path, reason in cohort.skipped] == [
        ("p3", "its patient is not listed in cohort.json")
    ]


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"patients": 3}', '{"patients": ["../x"]}', '{"patients": [], "modalities": ["XRAY"]}', "[" * 100000],
)
def test_a_damaged_description_is_refused(cohort_folder, content):
    (cohort_folder / "cohort.json").write_text(content)
    with pytest.raises(InputError):
        discover(cohort_folder)


def test_descriptions_round_trip(cohort_folder):
    assert read_cohort_json(cohort_folder / "cohort.json")["modalities"] == ["CT", "PET", "LABELS"]
    with pytest.raises(InputError, match="unknown modality"):
        write_cohort_json(cohort_folder, name="x", license="x", patients=[], modalities=["XRAY"])


def test_folders_that_only_name_a_modality_are_not_patients(tmp_path):
    write(tmp_path / "sub-01" / "ses-1" / "anat" / "T1w.nii.gz", "MR")
    write(tmp_path / "sub-01" / "pet" / "pet.nii.gz", "PET")
    write(tmp_path / "sub-02" / "CT" / "CT image.nii.gz", "CT")
    assert [patient.key for patient in discover(tmp_path).patients] == ["sub-01", "sub-02"]


def test_of_several_the_most_overlapping_is_paired_and_told(tmp_path):
    write(tmp_path / "p" / "CT.nii.gz", "CT")
    write(tmp_path / "p" / "PET_far.nii.gz", "PET", origin=(0, 0, 8))
    write(tmp_path / "p" / "PET_near.nii.gz", "PET", origin=(0, 0, 2))
    (pair,) = discover(tmp_path).pairs("PET", "CT")
    assert pair.source.path.name == "PET_near.nii.gz"
    assert "2 PET images" in pair.problems[0]
    assert discover(tmp_path).patients[0].modalities["PET"].path.name == "PET_near.nii.gz"


def test_images_apart_are_no_pair(tmp_path):
    write(tmp_path / "p" / "CT.nii.gz", "CT")
    write(tmp_path / "p" / "PET.nii.gz", "PET", origin=(0, 0, 500))
    cohort = discover(tmp_path)
    assert "do not overlap" in cohort.unpaired("PET", "CT")["p"]
    with pytest.raises(InputError, match="do not overlap"):
        cohort.pairs("PET", "CT")


def test_dicom_pairs_share_a_frame_of_reference(tmp_path):
    frame, stored = "1.2.840.1", stored_values()
    save(make_series("CT", stored, FrameOfReferenceUID=frame), tmp_path / "a")
    save(make_series("PT", stored, FrameOfReferenceUID=frame), tmp_path / "b")
    save(make_series("PT", stored, FrameOfReferenceUID="1.2.840.2"), tmp_path / "c")
    (pair,) = discover(tmp_path).pairs("PET", "CT")
    assert pair.source.path.name == "b"
    shutil.rmtree(tmp_path / "b")
    assert "frame of reference" in next(iter(discover(tmp_path).unpaired("PET", "CT").values()))


def keys(root):
    return [patient.key for patient in discover(root).patients]


@pytest.mark.parametrize(
    "folders",
    [("study_001", "study_002"), ("20230115", "20230116"), ("Pat 1", "Pat_1", "Pat@1"), ("A/1", "A-1"),
     ("CT/study_001", "CT/study_002")],
)  # fmt: skip
def test_folders_of_different_people_are_different_patients(tmp_path, folders):
    for folder in folders:
        write(tmp_path / folder / "CT.nii.gz", "CT")
        write(tmp_path / folder / "PET.nii.gz", "PET")
    pairs = discover(tmp_path).pairs("PET", "CT")
    assert len(set(keys(tmp_path))) == len(folders)
    assert sorted(pair.source.path.parent for pair in pairs) == sorted(tmp_path / folder for folder in folders)
    assert all(pair.source.path.parent == pair.target.path.parent for pair in pairs)


def test_a_folder_keeps_its_name_when_another_comes_to_the_same(tmp_path):
    write(tmp_path / "Pat_1" / "CT.nii.gz", "CT")
    assert keys(tmp_path) == ["Pat_1"]
    write(tmp_path / "Pat 1" / "CT.nii.gz", "CT")
    assert "Pat_1" in keys(tmp_path)


@pytest.mark.parametrize(
    ("names", "people"),
    [
        (("CT", "PET", "tumor_mask"), 1),
        (("P1_CT", "P1_PET", "P1_tumor_seg", "P2_CT", "P2_PET", "P2_tumor_seg"), 2),
        (("CT_P1", "PET_P1", "CT_P2", "PET_P2"), 2),
        (("P1-CT", "P1-PET", "P2-CT", "P2-PET"), 2),
        (("imagesTr/CHUM-001__CT", "imagesTr/CHUM-001__PT", "imagesTr/CHUM-002__CT", "imagesTr/CHUM-002__PT"), 2),
        (("CT/CT_P1", "PET/PET_P1", "CT/CT_P2", "PET/PET_P2"), 2),
        (("train/study_1/CT", "train/study_1/PET", "train/study_2/CT", "train/study_2/PET"), 2),
        (("data/10023451/CT", "data/10023451/PET", "data/10023452/CT", "data/10023452/PET"), 2),
        (("PETCT_1/03-23-2003-NA-PET-CT/CT", "PETCT_1/03-23-2003-NA-PET-CT/PET", "PETCT_1/05-01-2004-NA/PET"), 1),
    ],
)
def test_layouts_of_others_keep_a_persons_images_together_and_people_apart(tmp_path, names, people):
    for name in names:
        write(tmp_path / f"{name}.nii.gz", modality_from_name(Path(f"{name}.nii.gz")))
    found = discover(tmp_path).patients
    assert len(found) == people
    assert all({"CT", "PET"} <= set(patient.modalities) for patient in found)


def test_files_in_one_folder_are_told_apart_by_what_their_names_say_beside_the_modality(tmp_path):
    for name, modality in (("P0_CT", "CT"), ("P1_ses-1_PET", "PET"), ("P1_ses-2_CT", "CT"), ("P0_x_CT_seg", "LABELS")):
        write(tmp_path / f"{name}.nii.gz", modality)
    found = {patient.key: sorted(patient.modalities) for patient in discover(tmp_path).patients}
    assert found == {"P0": ["CT", "LABELS"], "P1": ["CT", "PET"]}


def test_one_patient_s_own_folder_is_one_patient(tmp_path):
    for name, modality in (("CT", "CT"), ("PET_near", "PET"), ("CT_mask", "LABELS")):
        write(tmp_path / f"{name}.nii.gz", modality)
    assert keys(tmp_path) == [tmp_path.name]


def test_images_of_one_visit_are_paired_and_so_are_those_beside_them(tmp_path):
    """Across the visits the boxes lie on each other best: PET 1 with CT 2 and labels 1."""
    depths = {"visit1": {"PET": 8, "CT": 5, "LABELS": 8}, "visit2": {"PET": 5, "CT": 8, "LABELS": 5}}
    for visit, images in depths.items():
        for modality, depth in images.items():
            write(tmp_path / "p" / visit / f"{modality}.nii.gz", modality, shape=(8, 9, depth))
    cohort = discover(tmp_path)
    (pair,) = cohort.pairs("PET", "CT", ("LABELS",))
    assert len({image.path.parent for image in (pair.source, pair.target, *pair.also)}) == 1
    (tmp_path / "p" / "visit1" / "LABELS.nii.gz").unlink()
    (pair,) = discover(tmp_path).pairs("PET", "CT", ("LABELS",))
    assert {image.path.parent.name for image in (pair.source, pair.target, *pair.also)} == {"visit2"}
    (tmp_path / "p" / "visit2" / "PET.nii.gz").unlink()
    (pair,) = discover(tmp_path).pairs("PET", "CT")
    assert pair.target.path.parent.name == "visit1"
    (tmp_path / "p" / "visit1" / "CT.nii.gz").unlink()
    (pair,) = discover(tmp_path).pairs("PET", "CT")
    assert pair.problems == ("PET and CT are of different visits",)
    (pair,) = discover(tmp_path).pairs("PET", "CT", ("LABELS",))  # of one of the two
    assert pair.also[0].path.parent.name == "visit2"


def save_study(folder, number, identifier, frame, *modalities):
    tags = {"PatientID": identifier, "StudyInstanceUID": f"1.2.{number}", "FrameOfReferenceUID": frame}
    for modality in modalities:
        save(make_series(modality, stored_values(), **tags), folder / str(number) / modality)


@pytest.mark.parametrize("placeholder", ["ANONYMOUS", ""])
def test_people_under_one_placeholder_are_told_apart(tmp_path, placeholder):
    save_study(tmp_path, 1, placeholder, "1.9.1", "CT", "PT")
    save_study(tmp_path, 2, placeholder, "1.9.2", "CT", "PT")
    save_study(tmp_path, 3, placeholder, "1.9.2", "MR")  # registered to the second: the same person
    cohort = discover(tmp_path)
    assert sorted(len(patient.images) for patient in cohort.patients) == [2, 3]
    assert len(cohort.pairs("PET", "CT")) == 2
    assert "several people" in cohort.problems[0]
    assert "ANONYMOUS" not in "".join(keys(tmp_path))


def test_two_studies_of_one_identifier_are_one_patient(tmp_path):
    for number in (1, 2):
        save_study(tmp_path, number, "4711", f"1.9.{number}", "CT", "PT")
    assert len(keys(tmp_path)) == 1


@pytest.mark.parametrize("identifier", ["4711", "ANONYMOUS"])
def test_without_a_frame_of_reference_only_images_of_one_study_are_paired(tmp_path, identifier):
    save_study(tmp_path, 1, identifier, "", "CT")
    save_study(tmp_path, 2, identifier, "", "PT")
    with pytest.raises(InputError, match="belong together"):
        discover(tmp_path).pairs("PET", "CT")
    save_study(tmp_path, 2, identifier, "", "CT")
    (pair,) = discover(tmp_path).pairs("PET", "CT")
    assert pair.target.path.parent.name == "2"


def test_of_equals_the_image_as_it_was_taken_is_chosen(tmp_path):
    """A coronal reformat of the same box, and a derived axial copy: more planes, none of them measured."""
    tags = {"FrameOfReferenceUID": "1.9.1", "PixelSpacing": [2.0, 2.0]}
    stored = stored_values(4, 8, 8)
    axial = make_series("CT", stored, gap_mm=4.0, origin=(0, 0, 0), **tags)
    derived = make_series("CT", np.repeat(stored, 2, axis=0), gap_mm=2.0, origin=(0, 0, -1), **tags)
    coronal = make_series(
        "CT", np.zeros((8, 8, 8), np.int16), gap_mm=2.0, orientation=(1, 0, 0, 0, 0, -1), origin=(0, 0, 13), **tags
    )
    for dataset in derived:
        dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    save(make_series("PT", stored, gap_mm=4.0, origin=(0, 0, 0), **tags), tmp_path / "pet")
    for name, series in (("a_coronal", coronal), ("b_derived", derived), ("c_axial", axial)):
        save(series, tmp_path / name)
    cohort = discover(tmp_path)
    (pair,) = cohort.pairs("PET", "CT")
    boxes = {image.path.name: image.overlap(pair.source) for image in cohort.patients[0].images}
    assert min(boxes.values()) > 0.999  # else nothing is tied
    assert pair.target.path.name == "c_axial"
    assert cohort.patients[0].modalities["CT"].path.name == "c_axial"
    shutil.rmtree(tmp_path / "c_axial")
    for path in (tmp_path / "a_coronal").iterdir():
        dataset = dcmread(path)
        dataset.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
        dataset.save_as(path)
    assert discover(tmp_path).pairs("PET", "CT")[0].target.path.name == "b_derived"


def test_no_identifier_is_in_cohort_or_report(tmp_path):
    save(make_series(), tmp_path / "a")
    cohort, report = discover(tmp_path), inspect(tmp_path)
    assert cohort.patients[0].key.startswith("P-")
    told = f"{cohort} {json.dumps(report)} {format_report(report)}"
    assert not any(word in told for word in ("Secret", "4711", "19500607"))


def test_inspect_lists_images_problems_and_skips(tmp_path):
    datasets = make_series()
    del datasets[3]
    save(datasets, tmp_path / "gap")
    save(make_series(Modality="RTSTRUCT"), tmp_path / "contours")
    write(tmp_path / "p" / "CT.nii.gz", "CT")
    (tmp_path / "p" / "MR.nii.gz").write_bytes(b"")
    np.savez(tmp_path / "p" / "scan.npz", volume=np.zeros((3, 4, 5)))
    (tmp_path / "notes.txt").write_text("hello")
    report = inspect(tmp_path, show_paths=True)
    found = {entry["path"]: entry for entry in report["images"]}
    assert found["p/CT.nii.gz"]["shape"] == [8, 9, 6]
    assert found["p/CT.nii.gz"]["readable"]
    assert "planes are missing" in found["gap"]["problems"][0]
    assert not found["p/MR.nii.gz"]["readable"]
    assert found["p/scan.npz"]["shape"] == [3, 4, 5]
    assert "no geometry" in found["p/scan.npz"]["problems"][0]
    assert {one["reason"] for one in report["skipped"]} == {"not an image", "DICOM RTSTRUCT: contours"}
    assert "planes are missing" in format_report(report)
    json.dumps(report)


def test_numpy_files_amid_dicom_tell_no_more_than_dicom_does(tmp_path):
    """A hospital called the folder after its patient, whatever else lies in it."""
    save(make_series(), tmp_path / "Secret Jane" / "CT")
    np.savez(tmp_path / "Secret Jane" / "scan.npz", volume=np.zeros((3, 4, 5)))
    (tmp_path / "Secret Jane" / "Secret.npz").write_bytes(b"PK, but no archive")
    (tmp_path / "Secret Jane" / "Secret.json").write_text("{}")
    report = inspect(tmp_path)
    assert "Secret" not in json.dumps(report) + format_report(report)
    series, scan = report["images"][0], next(one for one in report["images"] if one["path"].endswith("/scan.npz"))
    assert scan["patient"] == scan["path"].split("/")[0] == series["path"].split("/")[0]
    assert inspect(tmp_path, show_paths=True)["images"][-1]["path"] == "Secret Jane/scan.npz"
    write(tmp_path / "P001" / "CT.nii.gz", "CT")
    np.savez(tmp_path / "P001" / "more.npz", volume=np.zeros((3, 4, 5)))
    beside = inspect(tmp_path)["images"]
    assert {one["path"] for one in beside if one["patient"] == "P001"} == {"P001/CT.nii.gz", "P001/more.npz"}


def test_convert_takes_a_folder_or_any_file_of_a_series(tmp_path):
    save(make_series(), tmp_path / "both")
    save(make_series("PT"), tmp_path / "both", [f"pet{index}" for index in range(8)])
    with pytest.raises(InputError, match="several images"):
        convert(tmp_path / "both", tmp_path / "x.nii.gz")
    report = convert(tmp_path / "both" / "pet3", tmp_path / "PET.nii.gz")
    assert (report["modality"], report["unit"]) == ("PET", "SUVbw")
    assert read_nifti(tmp_path / "PET.nii.gz").shape == (10, 12, 8)


def test_convert_never_writes_over_what_it_reads(tmp_path):
    write(tmp_path / "p" / "CT.nii.gz", "CT")
    before = (tmp_path / "p" / "CT.nii.gz").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "p")
    for source in (tmp_path / "p" / "CT.nii.gz", tmp_path / "p"):
        with pytest.raises(InputError, match="the output is the input"):
            convert(source, tmp_path / "link" / "CT.nii.gz")
    assert (tmp_path / "p" / "CT.nii.gz").read_bytes() == before


def test_convert_evens_out_planes_and_says_so(tmp_path):
    datasets = make_series()
    datasets[-1].ImagePositionPatient[2] += 1
    report = convert(save(datasets, tmp_path / "s"), tmp_path / "CT.nii")
    assert report["problems"][-1] == "interpolated onto 8 evenly spaced planes"


@pytest.mark.realdata
def test_every_real_patient_is_found_with_its_problems(realdata):
    report = inspect(realdata, show_paths=True)
    found = {entry["path"]: entry for entry in report["images"]}
    readable = [entry for entry in report["images"] if entry["readable"]]
    assert len([path for path in found if path.startswith("sts-nifti/")]) == 42
    assert len([path for path in found if path.startswith("sts-dicom/")]) == 6
    assert all(entry["shape"] and entry["spacing_mm"] and entry["unit"] for entry in readable)
    assert "uneven gaps: 5 of 266" in found["sts001-fdgpet-raw-dicom/FDG_PET/image"]["problems"][0]
    assert "padding (-3024 HU)" in found["crlm1004-cect-dicom/CRLM-CT-1004/image"]["problems"][0]
    assert found["brain-t1-labels-voxelmorph/test_scan.npz"]["shape"] == [160, 192, 224]
    assert sum("RTSTRUCT" in one["reason"] for one in report["skipped"]) == 7
    assert len(discover(realdata / "sts-nifti").pairs("PET", "CT")) == 7


def test_convert_tells_of_planes_it_could_not_use(tmp_path):
    folder = save(make_series(), tmp_path / "s")
    (folder / "0001.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("hello")
    report = convert(folder, tmp_path / "CT.nii")
    assert report["shape"] == [10, 12, 7]
    assert report["problems"] == ["1 files were passed over: named .dcm but without the mark of a DICOM file"]


def test_the_attenuation_corrected_pet_is_paired_whatever_lies_beside_it(tmp_path):
    shared = {"FrameOfReferenceUID": "1.2.3"}
    save(make_series("CT", **shared), tmp_path / "CT")
    # With more planes it would be the one to take; its header alone tells that it is not corrected.
    raw = make_series("PT", stored_values(planes=9), CorrectedImage=["DECY", "NORM"], **shared)
    save(raw, tmp_path / "A")
    (refused,) = [image for image in inspect(tmp_path, read_voxels=False)["images"] if image["modality"] == "PET"]
    assert (refused["readable"], "not corrected for attenuation" in refused["problems"][0]) == (False, True)
    with pytest.raises(InputError, match="no usable PET: PET voxels are not corrected for attenuation"):
        discover(tmp_path).pairs("PET", "CT")
    save(make_series("PT", CorrectedImage=["DECY", "NORM", "ATTN"], **shared), tmp_path / "B")
    (pair,) = discover(tmp_path).pairs("PET", "CT")
    assert pair.source.path == tmp_path / "B"
