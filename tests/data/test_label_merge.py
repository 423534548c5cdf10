"""Label maps of other tools: every number has a class or a reason, tested against the tools' own lists."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from medsynth_lib.cli import main
from medsynth_lib.data.classes import HEAD_CLASSES, class_number
from medsynth_lib.data.label_merge import FAT_HU, fill_from_ct, merge_labels
from medsynth_lib.data.label_schemes import SCHEMES, TOTAL_MR_NAMES, TOTAL_NAMES, UNDIVIDED_BRAIN
from medsynth_lib.data.nifti import read_nifti, write_nifti
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from tests.data.cohort_factory import ct
from tests.data.test_labels import labels

#: The class of a TotalSegmentator structure by its name: a second way to the table, written by words, not numbers.
BY_NAME = {
    r"spinal_cord|vertebrae(_[LTC]\d+)?|intervertebral_discs": "Vertebrae", r"sacrum|vertebrae_S1": "Sacrum",
    r"kidney.*": "Kidney", r"adrenal.*": "Adrenal", r"lung.*": "Lung", r"gluteus.*": "Skeletal Muscle",
    r"rib_.*|sternum|costal_cartilages": "Ribs", r"heart|atrial_appendage_left": "Heart", r"hip_.*": "Hips",
    r"aorta|.*_(trunk|artery|vein|vena|cava)(_left|_right)?": "Vessels", r"thyroid_gland|prostate|brain": "",
    r"(humerus|scapula|clavicula|femur|autochthon|iliopsoas)_(left|right)": "*",
    r"spleen|gallbladder|liver|stomach|pancreas|esophagus|trachea|skull": "*",
    r"small_bowel|duodenum|colon|urinary_bladder": "*",
}  # fmt: skip


def class_of(structure: str) -> str:
    (found,) = [name for pattern, name in BY_NAME.items() if re.fullmatch(pattern, structure)]
    return re.sub(r"_(left|right)$", "", structure).replace("_", " ").title() if found == "*" else found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_number_has_one_class_or_one_reason(scheme):
    chosen = SCHEMES[scheme]
    mapped = [number for numbers in chosen.classes.values() for number in numbers]
    assert len(mapped) == len(set(mapped))
    assert not set(mapped) & set(chosen.unmapped)
    assert 0 not in mapped
    assert set(chosen.classes) <= set(HEAD_CLASSES[1:])
    assert not set(chosen.names) - set(mapped) - set(chosen.unmapped), "neither mapped nor listed"
    assert all(chosen.unmapped.values())


@pytest.mark.parametrize("scheme", ["totalsegmentator", "totalsegmentator-mr"])
def test_each_structure_goes_where_its_name_says(scheme):
    chosen = SCHEMES[scheme]
    table = {number: name for name, numbers in chosen.classes.items() for number in numbers}
    assert set(table) | set(chosen.unmapped) == set(chosen.names)
    assert {number: table.get(number, "") for number in chosen.names} == {
        number: class_of(structure) for number, structure in chosen.names.items()
    }


def test_the_lists_are_the_packages_own():
    package = pytest.importorskip("totalsegmentator.map_to_binary", reason="TotalSegmentator is not installed")
    assert package.class_map["total"] == dict(enumerate(TOTAL_NAMES.split(), 1))
    assert package.class_map["total_mr"] == dict(enumerate(TOTAL_MR_NAMES.split(), 1))


def test_voxels_are_replaced_counted_and_what_has_no_class_is_told():
    array = np.array([[0, 1, 5], [90, 5, 300]])
    merged, report = merge_labels(array, "totalsegmentator")
    spleen, liver = class_number("Spleen"), class_number("Liver")
    assert merged.tolist() == [[0, spleen, liver], [0, liver, 0]]
    assert report["voxels"] == {"Liver": 2, "Spleen": 1}
    assert report["unmapped"][90] == {"structure": "brain", "voxels": 1, "reason": UNDIVIDED_BRAIN}
    assert "not a number of this scheme" in report["unmapped"][300]["reason"]
    fat = class_number("Fat")
    assert merge_labels(array, "totalsegmentator", "Fat")[0].tolist() == [[0, spleen, liver], [fat, liver, fat]]


@pytest.mark.parametrize(
    ("array", "scheme", "other", "words"),
    [([600], "totalsegmentator", "Fat", "belongs to the scheme"), ([0], "totalsegmentator", "Fat", "is empty"),
     ([1], "atlas", "Fat", "unknown label scheme"),
     ([1], "synthseg", "Bone", "unknown class")],
)  # fmt: skip
def test_what_cannot_be_merged_is_told(array, scheme, other, words):
    with pytest.raises(InputError, match=words):
        merge_labels(np.array(array), scheme, other)


def test_unlabelled_tissue_is_told_by_its_hu():
    image = ct(planes=3, spacing_mm=3.0)
    lungs = np.where(image.array == -800, 10, 0)
    merged = labels().with_array(merge_labels(lungs, "totalsegmentator")[0][:, :, :1].repeat(6, axis=2))
    full = fill_from_ct(merged, ct(spacing_mm=3.0))
    inner = full.array[:, :, 1]
    values = ct(spacing_mm=3.0).array[:, :, 1]
    assert set(np.unique(full.array)) == {0, class_number("Lung"), class_number("Fat"), class_number("Skeletal Muscle")}
    assert (inner[values == 40] == class_number("Skeletal Muscle")).mean() > 0.99
    assert (inner[values == -100] == class_number("Fat")).mean() > 0.9
    assert (inner[values == 300] == 0).all()  # the table is no muscle
    assert FAT_HU[0] < -100 < FAT_HU[1]


def test_a_ct_of_another_place_is_refused():
    with pytest.raises(InputError, match="does not show what is labelled"):
        fill_from_ct(labels(), ct(spacing_mm=3.0, z_mm=500.0))


def test_segmenting_without_the_extra_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "totalsegmentator", None)
    assert main(["labels", "segment", str(tmp_path), "--out", str(tmp_path / "LABELS.nii.gz")]) == 2
    assert "medsynth[segment]" in capsys.readouterr().err


def test_segmenting_hands_over_hu_and_merges_what_comes_back(monkeypatch, tmp_path):
    """The package itself is too heavy for tests: one that writes a known map stands in for it."""

    def stand_in(source, out, ml, task, **_):
        volume = read_nifti(source, "CT")
        assert (ml, task) == (True, "total")
        write_nifti(Volume(np.where(volume.array == -800, 10, 0), volume.affine, "LABELS", "label"), out)

    module = type(sys)("totalsegmentator.python_api")
    module.totalsegmentator = stand_in
    monkeypatch.setitem(sys.modules, "totalsegmentator", type(sys)("totalsegmentator"))
    monkeypatch.setitem(sys.modules, "totalsegmentator.python_api", module)
    write_nifti(ct(spacing_mm=3.0), tmp_path / "scan.nii")
    assert main(["labels", "segment", str(tmp_path / "scan.nii"), "--out", str(tmp_path / "LABELS.nii.gz")]) == 0
    assert class_number("Lung") in read_nifti(tmp_path / "LABELS.nii.gz").array


def merged(capsys, *arguments) -> dict:
    assert main(["labels", "merge", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def prepared(cohort, store, source, target, *more):
    arguments = ["--source", source, "--target", target, "--size", "64", "--test", "0", "--out", str(store), *more]
    assert main(["prepare", str(cohort), *arguments]) == 0
    return SliceStore.open(store)


def test_real_ct_and_mr_labels_reach_a_lesson_s_data(realdata, tmp_path, capsys):
    """TotalSegmentator's own example outputs: LABELS→CT and LABELS→MR slices, and labels beside an image."""
    folder, cohort = realdata / "totalseg-ct-mr-labels", tmp_path / "cohort"
    cohort_mr = tmp_path / "cohort_mr"
    report = merged(capsys, folder / "example_seg.nii.gz", "--out", cohort / "P1" / "LABELS.nii.gz",
                    "--scheme", "totalsegmentator", "--ct", folder / "example_ct_sm.nii.gz")  # fmt: skip
    assert {"Liver", "Kidney", "Vertebrae", "Fat", "Skeletal Muscle"} <= set(report["voxels"])
    assert report["unmapped"] == {}
    write_nifti(read_nifti(folder / "example_ct_sm.nii.gz", "CT"), cohort / "P1" / "CT.nii.gz")
    report = merged(capsys, folder / "example_seg_mr.nii.gz", "--out", cohort_mr / "P2" / "LABELS.nii.gz",
                    "--scheme", "totalsegmentator-mr")  # fmt: skip
    assert {"Liver", "Autochthon", "Iliopsoas", "Vessels"} <= set(report["voxels"])
    write_nifti(read_nifti(folder / "example_mr_sm.nii.gz", "MR"), cohort_mr / "P2" / "MR.nii.gz")
    store = prepared(cohort, tmp_path / "store", "LABELS", "CT")
    liver = store["CT"][:][store["LABELS"][:] == class_number("Liver")]
    assert 0 < np.median(liver) < 150  # HU of a liver: labels and image lie on each other
    fat = store["CT"][:][store["LABELS"][:] == class_number("Fat")]
    assert -190 < np.median(fat) < -30
    capsys.readouterr()
    unmerged = read_nifti(folder / "example_seg.nii.gz", "LABELS")
    small = np.where(unmerged.array <= 37, unmerged.array, 0)
    write_nifti(replace(unmerged, array=small), cohort / "P1" / "LABELS.nii.gz")
    prepared(cohort, tmp_path / "unmerged", "LABELS", "CT")
    assert "numbers of another tool? (medsynth labels merge)" in capsys.readouterr().out
    assert prepared(cohort_mr, tmp_path / "mr", "LABELS", "MR").modalities == ("LABELS", "MR")


def test_real_brain_labels_reach_a_lesson_s_data(realdata, tmp_path, capsys):
    """A T1 with its aseg labels (axes left, inferior, anterior, as the package stores them) as a head cohort."""
    with np.load(realdata / "brain-t1-labels-voxelmorph" / "test_scan.npz", allow_pickle=False) as arrays:
        image, labels = (arrays[name].transpose(0, 2, 1)[::-1, :, ::-1] for name in ("vol", "seg"))
    part, matrix = (slice(None), slice(None), slice(90, 120, 3)), np.diag([1.0, 1.0, 3.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(labels[part].astype(np.int32), matrix), tmp_path / "aseg.nii.gz")
    cohort = tmp_path / "cohort"
    report = merged(capsys, tmp_path / "aseg.nii.gz", "--out", cohort / "P1" / "LABELS.nii.gz", "--scheme",
                    "freesurfer")  # fmt: skip
    assert {"Grey Matter", "White Matter", "Ventricles"} <= set(report["voxels"])
    assert report["unmapped"] == {}
    write_nifti(Volume((image[part] * 1000).astype(np.float32), matrix, "MR", "a.u."), cohort / "P1" / "MR.nii.gz")
    store = prepared(cohort, tmp_path / "store", "MR", "LABELS")
    means = [store["MR"][:][store["LABELS"][:] == class_number(name)].mean()
             for name in ("White Matter", "Grey Matter", "Ventricles")]  # fmt: skip
    assert means[0] > means[1] > means[2]  # T1: white matter is brightest, water darkest


def test_real_whole_head_maps_have_a_class_everywhere(realdata, tmp_path, capsys):
    path = realdata / "brain-labelmaps-synthseg" / "training_seg_02.nii.gz"
    report = merged(capsys, path, "--out", tmp_path / "LABELS.nii.gz", "--scheme", "synthseg")
    assert report["unmapped"] == {}
    assert {"Skin", "Skull", "CSF", "Eyes", "Grey Matter", "White Matter", "Ventricles", "Vessels"} <= set(
        report["voxels"]
    )
    assert report["voxels"]["Grey Matter"] + report["voxels"]["White Matter"] > 900_000  # mm³: a brain
