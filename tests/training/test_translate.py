"""A synthetic series beside its source: the same place, its own identity, and marks that nobody can miss."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from medsynth_lib.cli import main
from medsynth_lib.data.dicom import find_series, read_series
from medsynth_lib.data.inspect import convert
from medsynth_lib.data.nifti import read_nifti
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.errors import InputError, StorageError, TrainingError
from medsynth_lib.phantom.cohort import make_cohort
from medsynth_lib.training import translate
from medsynth_lib.training.run import evaluate_run, train_run
from medsynth_lib.training.translate import translate_file, translate_volume

NAME = "Doe^Jane"
#: Synthetic Data (0008,001C) is younger than the checker; PET images of the standard are PRIMARY, ours must not be.
ON_PURPOSE = ("(0x0008,0x001c)", "<SECONDARY> for value 2")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("dicom") / "cohort"
    make_cohort(root, patients=3, size=64, slices=6, format="dicom", modalities=("CT", "PET", "MR"))
    for path in (root / "P002" / "PET").glob("*.dcm"):
        file = pydicom.dcmread(path)
        file.PatientName, file.PatientID, file.InstitutionName = NAME, "4711-0815", "Secret Hospital"
        file.save_as(path)
    return root


def trained(cohort, folder, source, target, **options):
    store = prepare(cohort, folder / "store", PrepareConfig(source, target, size=64))
    train_run("pix2pix", store.path, folder / "run", "smoke", steps=2, amp="off", **options)
    return folder / "run"


@pytest.fixture(scope="module")
def run(cohort, tmp_path_factory):
    return trained(cohort, tmp_path_factory.mktemp("ct"), "PET", "CT")


@pytest.fixture(scope="module")
def fake(run, cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "synthetic"
    translate_file(run, cohort / "P002" / "PET", out)
    return out


def files(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def test_it_lies_where_its_source_lies(fake, cohort):
    source, made = read_series(find_series(cohort / "P002" / "PET")[0]), read_series(find_series(fake)[0])
    np.testing.assert_allclose(made.z_mm(), source.z_mm(), atol=1e-3)
    originals = {file.SOPInstanceUID: file for file in files(cohort / "P002" / "PET")}
    assert len(files(fake)) == len(originals)
    for file in files(fake):
        original = originals[file.SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert file.FrameOfReferenceUID == original.FrameOfReferenceUID
        assert file.ImagePositionPatient[2] == pytest.approx(original.ImagePositionPatient[2], abs=1e-3)


def test_nobody_can_take_it_for_an_acquired_one(fake):
    for file in files(fake):
        assert file.SyntheticData == "YES"
        assert file.ImageType[:2] == ["DERIVED", "SECONDARY"]
        for text in (file.SeriesDescription, file.StudyDescription, file.ImageComments, file.DerivationDescription):
            assert "NOT FOR DIAGNOSIS" in text
        equipment = file.ContributingEquipmentSequence[0]
        assert equipment.ManufacturerModelName == "pix2pix"
        assert equipment.SoftwareVersions[1].startswith("weights ")


def test_its_identity_is_new_and_its_patient_a_pseudonym(fake, cohort):
    originals = files(cohort / "P002" / "PET")
    tags = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    used = {file[tag].value for file in originals for tag in tags}
    made = files(fake)
    assert not used & {file[tag].value for file in made for tag in tags}
    assert len({file.SOPInstanceUID for file in made}) == len(made)
    assert len({file.SeriesInstanceUID for file in made}) == 1
    content = b"".join(path.read_bytes() for path in fake.glob("*"))
    assert not any(word in content for word in (b"Doe", b"4711", b"Secret", b"Phantom"))
    assert {str(file.PatientID) for file in made} == {find_series(cohort / "P002" / "PET")[0].patient}


def test_values_are_those_of_the_nifti_file(run, fake, cohort, tmp_path):
    translate_file(run, cohort / "P002" / "PET", tmp_path / "fake.nii.gz")
    made, expected = read_series(find_series(fake)[0]), read_nifti(tmp_path / "fake.nii.gz", "CT")
    np.testing.assert_allclose(made.array, expected.array, atol=0.5)
    np.testing.assert_allclose(made.affine, expected.affine, atol=1e-4)


def test_pet_is_written_in_suv_and_mr_as_whole_numbers(cohort, tmp_path):
    for target, tolerance in (("PET", 1e-3), ("MR", 0.5)):
        folder = tmp_path / target
        folder.mkdir()
        run = trained(cohort, folder, "CT", target)
        for out in ("made", "made.nii.gz"):
            translate_file(run, cohort / "P002" / "CT", folder / out)
        made, expected = read_series(find_series(folder / "made")[0]), read_nifti(folder / "made.nii.gz", target)
        assert made.unit == expected.unit
        assert expected.array.max() > 10 * tolerance
        np.testing.assert_allclose(made.array, expected.array, atol=tolerance)


def test_uneven_planes_stay_where_they_were_measured(run, cohort, tmp_path):
    shutil.copytree(cohort / "P002" / "PET", tmp_path / "uneven")
    for path in sorted((tmp_path / "uneven").glob("*.dcm"))[4:]:
        file = pydicom.dcmread(path)
        file.ImagePositionPatient[2] += 3.0
        file.save_as(path)
    source = read_series(find_series(tmp_path / "uneven")[0])
    assert source.plane_offsets_mm is not None
    translate_file(run, tmp_path / "uneven", tmp_path / "made")
    np.testing.assert_allclose(read_series(find_series(tmp_path / "made")[0]).z_mm(), source.z_mm(), atol=1e-3)
    notes = translate_file(run, tmp_path / "uneven", tmp_path / "made.nii.gz")["notes"]
    assert any("evenly spaced" in note for note in notes)


def check_other_readers(folder):
    sitk, highdicom = pytest.importorskip("SimpleITK"), pytest.importorskip("highdicom")
    made = read_series(find_series(folder)[0])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert image.GetSize() == made.shape
    lps = np.array(sitk.GetArrayFromImage(image)).transpose(2, 1, 0)
    np.testing.assert_allclose(lps[::-1, ::-1], made.array, atol=1e-3)
    volume = highdicom.image.get_volume_from_series(files(folder))
    assert volume.spatial_shape == made.shape[::-1]
    assert volume.frame_of_reference_uid == files(folder)[0].FrameOfReferenceUID


def check_conformance(folder):
    """``dciodvfy`` (David Clunie's dicom3tools) finds no error but ``ON_PURPOSE``."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (package dicom3tools) is not installed")
    for path in folder.glob("*.dcm"):
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
        assert not [line for line in errors if not any(known in line for known in ON_PURPOSE)]


def test_other_readers_agree(fake):
    check_other_readers(fake)


@pytest.mark.parametrize("target", ["CT", "PET", "MR"])
def test_it_conforms_to_the_standard(target, cohort, run, tmp_path):
    source = "PET" if target == "CT" else "CT"
    model = run if target == "CT" else trained(cohort, tmp_path, source, target)
    translate_file(model, cohort / "P001" / source, tmp_path / "made")
    check_conformance(tmp_path / "made")


def test_the_same_again_has_the_same_uids_and_other_weights_others(run, cohort, fake, tmp_path):
    source = cohort / "P002" / "PET"
    translate_file(run, source, tmp_path / "again")
    train_run("pix2pix", run.parent / "store", tmp_path / "longer", "smoke", steps=3, amp="off")
    translate_file(tmp_path / "longer", source, tmp_path / "different")
    uids = [[file.SOPInstanceUID for file in files(one)] for one in (fake, tmp_path / "again", tmp_path / "different")]
    assert uids[0] == uids[1]
    assert not set(uids[0]) & set(uids[2])


def test_nothing_that_is_there_is_written_over_and_that_is_told_before_the_work(run, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(translate, "_translated", lambda *_: pytest.fail("translated"))
    series = shutil.copytree(cohort / "P002" / "PET", tmp_path / "PET")
    before = {path.name: path.read_bytes() for path in series.iterdir()}
    with pytest.raises(StorageError, match="not empty"):
        translate_file(run, series, series)
    assert {path.name: path.read_bytes() for path in series.iterdir()} == before
    convert(series, tmp_path / "PET.nii.gz")
    with pytest.raises(InputError, match="output is the input"):
        translate_file(run, tmp_path / "PET.nii.gz", tmp_path / "PET.nii.gz")


def test_nifti_cannot_become_dicom(run, cohort, tmp_path, capsys):
    translate_file(run, cohort / "P002" / "PET", tmp_path / "fake.nii.gz")
    shutil.copy(tmp_path / "fake.nii.gz", tmp_path / "PET.nii.gz")
    with pytest.raises(InputError, match="from a DICOM series only"):
        translate_file(run, tmp_path / "PET.nii.gz", tmp_path / "folder")
    assert main(["translate", str(run), "--input", str(tmp_path / "fake.nii.gz"), "--out", str(tmp_path / "x")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "folder").exists()


def test_a_real_pet_series(realdata, run, tmp_path):
    """The second one has uneven gaps, which highdicom does not read as a volume."""
    for name, even in (("sts-dicom/STS_002/PET", True), ("sts001-fdgpet-raw-dicom/FDG_PET", False)):
        source, out = realdata / name, tmp_path / Path(name).parts[0]
        translate_file(run, source, out)
        original, made = read_series(find_series(source)[0]), read_series(find_series(out)[0])
        np.testing.assert_allclose(made.z_mm(), original.z_mm(), atol=1e-3)
        assert {file.FrameOfReferenceUID for file in files(out)} == {find_series(source)[0].frame_of_reference}
        check_conformance(out)
        if even:
            check_other_readers(out)


# Neighbouring planes


@pytest.fixture(scope="module")
def run_of_three(cohort, tmp_path_factory):
    """Trained, scored while training, and reported to TensorBoard on three planes at once."""
    return trained(cohort, tmp_path_factory.mktemp("three"), "PET", "CT", context=3, metrics_every=1)


@pytest.mark.parametrize("planes_at_once", [1, 4, 8])
def test_a_plane_is_made_from_itself_and_its_neighbours(run_of_three, cohort, monkeypatch, planes_at_once):
    seen = []
    monkeypatch.setattr(
        "medsynth_lib.systems.pix2pix.Pix2Pix.translate", lambda self, source: seen.append(source) or source[:, :1]
    )
    monkeypatch.setattr("medsynth_lib.training.translate.PLANES", planes_at_once)
    volume = read_series(find_series(cohort / "P002" / "PET")[0])
    translate_volume(run_of_three, volume)
    below, plane, above = torch.cat(seen).unbind(dim=1)
    assert len(plane) == volume.shape[2]
    assert torch.equal(below, torch.cat([plane[:1], plane[:-1]]))
    assert torch.equal(above, torch.cat([plane[1:], plane[-1:]]))


def test_baselines_do_not_profit_from_neighbours(run_of_three, run):
    store = run_of_three.parent / "store"
    three, one = evaluate_run(run_of_three, store), evaluate_run(run, run.parent / "store")
    for name in ("identity", "mean image", "look-up table"):
        assert three.summaries[name] == one.summaries[name]


@pytest.mark.parametrize("system", ["cyclegan", "medusis", "dcgan"])
def test_systems_that_cannot_use_neighbours_say_so(cohort, tmp_path, system):
    store = prepare(cohort, tmp_path / "store", PrepareConfig("PET", "CT", size=64))
    with pytest.raises(TrainingError, match="pix2pix, unet_cascade"):
        train_run(system, store.path, tmp_path / "run", "smoke", context=3)
