"""Identifiers planted in 30 tags, in sequences, private tags and file names: no command writes or prints any."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import re
import shutil
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from medsynth_lib.cli import main
from medsynth_lib.data.dicom import find_series, read_series
from medsynth_lib.data.identifiers import folder_identifiers
from medsynth_lib.data.privacy import _pattern, format_findings, search
from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError, shown_path
from medsynth_lib.phantom.cohort import make_cohort
from tests.data.dicom_factory import make_series, save

NAME, NUMBER, BIRTH, DAY = "Mustermann^Erika", "4711-0815", "19630417", "19871105"
#: 30 tags of names, numbers, places and free text; each value has a secret of its own.
TAGS = re.findall(r"\w+", """
    OtherPatientNames PatientBirthName PatientMotherBirthName ReferringPhysicianName PerformingPhysicianName
    OperatorsName PhysiciansOfRecord NameOfPhysiciansReadingStudy RequestingPhysician OtherPatientIDs
    AccessionNumber StudyID InstitutionName InstitutionAddress InstitutionalDepartmentName StationName
    DeviceSerialNumber PatientAddress PatientTelephoneNumbers MedicalRecordLocator PatientComments StudyDescription
    SeriesDescription ProtocolName ImageComments AdditionalPatientHistory AdmissionID Occupation MilitaryRank
    RequestedProcedureDescription
""")  # fmt: skip
SECRETS = {f"secret{index:02d}" for index in range(len(TAGS))} | {"nested77", "private88", "filename99"}
WORDS = sorted(SECRETS | {"mustermann", "erika", NUMBER, BIRTH, DAY})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Three phantoms as a hospital would export them: identified in headers and in the names of folders and files."""
    made, root = tmp_path_factory.mktemp("made") / "cohort", tmp_path_factory.mktemp("identified") / "export"
    make_cohort(made, patients=3, size=64, slices=6, format="dicom", modalities=("CT", "PET"))
    for patient in sorted(folder.name for folder in made.iterdir() if folder.is_dir()):
        for path in sorted((made / patient).rglob("*.dcm")):
            file = pydicom.dcmread(path)
            plant(file, patient)
            name = f"Mustermann_Erika_{NUMBER}_{patient}/{DAY}/{path.parent.name}-filename99/{path.stem} Mustermann.dcm"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            file.save_as(root / name)
    (root / "Mustermann Erika damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 50)
    shutil.rmtree(made)
    return root


def plant(file, patient):
    for index, keyword in enumerate(TAGS):
        setattr(file, keyword, f"{NAME} secret{index:02d}"[:60] if index < 9 else f"secret{index:02d}")
    file.PatientName, file.PatientID, file.PatientBirthDate = NAME, f"{NUMBER}-{patient}", BIRTH
    file.StudyDate = file.SeriesDate = file.AcquisitionDate = file.ContentDate = DAY
    item = Dataset()
    item.PatientID, item.TypeOfPatientID, item.PatientName = "nested77", "TEXT", NAME
    deeper = Dataset()
    deeper.CodeMeaning, deeper.LongCodeValue = "nested77 of Mustermann", "nested77"
    item.IssuerOfPatientIDQualifiersSequence = [deeper]
    file.OtherPatientIDsSequence = [item]
    if "RadiopharmaceuticalInformationSequence" in file:  # inside a sequence that is kept
        drug = file.RadiopharmaceuticalInformationSequence[0]
        drug.Radiopharmaceutical, drug.RadiopharmaceuticalStartDateTime = "for Mustermann nested77", DAY + "100000.00"
        drug.private_block(0x0041, "ACME nested77", create=True).add_new(1, "LO", "private88")
    block = file.private_block(0x0009, "ACME private88", create=True)
    block.add_new(0x01, "LO", NAME)
    block.add_new(0x02, "UN", b"private88 Mustermann")
    inner = Dataset()
    inner.PatientName = NAME
    block.add_new(0x03, "SQ", [inner])
    file.file_meta.SourceApplicationEntityTitle = "secret00"
    file.preamble = b"Mustermann".ljust(128, b"\0")
    file.Manufacturer = "Built for Mustermann"  # a tag that is kept


def spoken(capfd):
    captured = capfd.readouterr()
    return captured.out + captured.err


@pytest.fixture(scope="module")
def outputs(cohort, tmp_path_factory):
    """Every command that reads patients, its files and what it said."""
    out = tmp_path_factory.mktemp("outputs")
    patient = next(one for one in sorted(cohort.iterdir()) if one.name.endswith("P002"))
    pet = next(patient.rglob("PET-*"))
    store, run = str(out / "store"), str(out / "run")
    commands = [
        ["inspect", str(cohort)], ["inspect", str(cohort), "--json"], ["inspect", str(patient), "--no-voxels"],
        ["convert", str(pet), "--out", str(out / "PET.nii.gz"), "--json"],
        ["convert", str(patient), "--out", str(out / "x.nii.gz")],  # several images: an error that lists them
        ["convert", str(cohort / "Mustermann Erika damaged.dcm"), "--out", str(out / "y.nii.gz")],
        ["prepare", str(cohort), "--out", store, "--size", "64"],
        ["train", "pix2pix", "--data", store, "--out", run, "--profile", "smoke", "--steps", "2", "--amp", "off",
         "--metrics-every", "2"],
        ["evaluate", run, "--data", store, "--json"], ["evaluate", run, "--data", store],
        ["translate", run, "--input", str(pet), "--out", str(out / "synthetic.nii.gz"), "--json"],
        ["translate", run, "--input", str(pet), "--out", str(out / "synthetic")],
        ["phantom", "report", str(cohort), "--out", str(out / "report")],  # no labels: refused
        ["export", run, "--out", str(out / "exported"), "--data", store],
        ["deidentify", str(cohort), "--out", str(out / "deidentified")],
        ["privacy-check", str(cohort), "--from", str(cohort)],
    ]  # fmt: skip
    codes = {}
    for index, command in enumerate(commands):
        log = out / "logs" / f"{index:02d} {command[0]}.txt"
        log.parent.mkdir(exist_ok=True)
        codes[log.stem] = said_into(log, command)
    return out, codes


def said_into(log, command):
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        code = main(command)
    # What the user typed is his own; the folder he named is not our output.
    text = stream.getvalue()
    for word in sorted(command, key=len, reverse=True):
        text = text.replace(word, "<argument>") if "/" in word else text
    log.write_text(text)
    return code


def test_every_command_did_what_it_should(outputs):
    _, codes = outputs
    failed = {"04 convert": 2, "05 convert": 2, "12 phantom": 2, "15 privacy-check": 1}
    assert {name: code for name, code in codes.items() if code != failed.get(name, 0)} == {}


def test_no_planted_identifier_survives_anywhere(outputs):
    """By plain search, without the library's: bytes and names of all files, unpacked where they are packed."""
    found = []
    for path in sorted(outputs[0].rglob("*")):
        content = [path.name.encode()]
        if path.is_file():
            content.append(path.read_bytes())
            if path.name.endswith(".gz"):
                content.append(gzip.decompress(content[1]))
            if zipfile.is_zipfile(path):
                content += [zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()]
        text = b"\n".join(content).lower()
        found += [(path.name, word) for word in WORDS if word.encode() in text]
    assert found == []


def test_our_own_search_agrees_and_finds_them_all_in_the_source(outputs, cohort, tmp_path, capfd):
    listed = tmp_path / "identifiers.txt"
    listed.write_text("\n".join(["# planted", *WORDS]))
    assert main(["privacy-check", str(outputs[0]), "--identifiers", str(listed)]) == 0
    capfd.readouterr()
    assert main(["privacy-check", str(cohort), "--identifiers", str(listed), "--json"]) == 1
    told = spoken(capfd)
    assert {one["identifier"] for one in json.loads(told)["findings"]} == {f"line {n + 2}" for n in range(len(WORDS))}
    assert not any(word in told.lower() for word in WORDS if word != "identified")
    assert set(folder_identifiers(cohort)[0]) >= {"Mustermann", "Erika", f"{NUMBER}-P001", BIRTH, DAY, "nested77"}
    assert main(["privacy-check", str(outputs[0] / "deidentified"), "--from", str(cohort)]) == 0


def test_deidentified_images_are_the_same_images(outputs, cohort):
    """Voxels, SUV, geometry and who shares a space with whom; everything else is new, and the same everywhere."""
    before = {(one.patient, one.modality): one for one in find_series(cohort)}
    after = find_series(outputs[0] / "deidentified")
    assert len(after) == len(before) == 6
    by_voxels = {hash(read_series(one).array.tobytes()): one for one in after}
    uids = {one.planes[0].tags.SeriesInstanceUID for one in before.values()}
    frames = {}
    for (patient, _), one in before.items():
        old, twin = read_series(one), by_voxels[hash(read_series(one).array.tobytes())]
        assert np.array_equal(read_series(twin).affine, old.affine)
        assert twin.planes[0].tags.SeriesInstanceUID not in uids
        frames.setdefault(patient, set()).add((twin.patient, twin.frame_of_reference))
    assert all(len(one) == 1 for one in frames.values())
    assert len({one for found in frames.values() for one in found}) == 3
    report = json.loads((outputs[0] / "deidentified" / "deidentification.json").read_text())
    assert report["files"] == 36
    assert report["patients"] == 3
    assert report["removed"]["PatientComments"] == 36
    assert report["removed"]["private tag"] >= 72
    assert report["named"] == {"Manufacturer": 36}
    assert sum(report["left_out"].values()) == 1  # the damaged one
    file = pydicom.dcmread(next((outputs[0] / "deidentified").rglob("*.dcm")))
    assert file.PatientIdentityRemoved == "YES"
    assert str(file.PatientID) == str(file.PatientName) == Path(file.filename).parts[-3]


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda path: path.write_text("dear Erika, hello"), 1),
        (lambda path: path.write_text("a generikale word, Mustermanns"), 1),  # only short ones must stand alone
        (lambda path: path.write_text("a Doel"), 0),
        (lambda path: path.write_text("Mrs Doe"), 1),
        (lambda path: path.write_bytes(gzip.compress(b"x" * 99 + b" DOE^J"))  , 1),
        (lambda path: path.write_bytes(b"\1\2doe\3\4" * 50), 0),  # three letters in binary data
        (lambda path: path.write_text(json.dumps({"name": "M\u00fcller"})), 1),
        (lambda path: path.write_bytes("Müller".encode("latin-1")), 1),
        (lambda path: path.write_bytes("Müller".encode("utf-16")), 1),
        (lambda path: path.write_text("MÜLLER, ÉMILE"), 2),
        (lambda path: path.write_text("Émile Muller, or Mueller"), 2),
        (lambda path: path.write_text(unicodedata.normalize("NFD", "dear Émile")), 1),
        (lambda path: path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"Erika")), 1),
        (lambda path: path.write_bytes(gzip.compress(b"Erika")[:-4]), 1),  # cut off
        (lambda path: path.write_text("born 1963-04-17, 17.04.1963 or 04/17/1963"), 1),
        (lambda path: path.write_text("1963-04-18 1.7.04.1963"), 0),
        (lambda path: path.write_text("from Wu, Li"), 1),
        (lambda path: path.write_text("<li>wu, liwuli</li>"), 0),
        (lambda path: path.write_text("患者李伟，男"), 1),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"k\0\0" + zlib.compress(b"Erika"))), 1),
    ],
)  # fmt: skip
def test_the_search_finds_what_is_there_and_no_more(tmp_path, write, found):
    write(tmp_path / "file")
    wanted = {"Erika": "first", "Doe": "last", "Müller": "other", "Mustermann": "maiden", "éMILE": "second",
              "19630417": "birth", "Li^Wu": "short", "李^伟": "Chinese"}  # fmt: skip
    assert len(search(tmp_path, wanted)[0]) == found


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_pictures_in_notebooks_and_archives_are_looked_into(tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"Erika " * 30)) + b"\0" * 60
    cell = {"outputs": [{"data": {"image/png": base64.encodebytes(png).decode()}}]}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.nii.gz", gzip.compress(b"x" * 400 + b" Erika"))
    assert {one.path for one in search(tmp_path, {"Erika": "first"})[0]} == {"a.ipynb", "b.zip"}


def test_a_found_file_name_is_not_repeated(tmp_path):
    (tmp_path / "Erika.txt").write_text("hello")
    (finding,) = search(tmp_path, {"Erika": "first"})[0]
    assert (finding.path[0], len(finding.path), finding.part) == ("~", 5, "name")


def test_a_name_that_is_not_utf_8_is_searched_and_told(tmp_path):
    """As Windows shares give them: Latin-1, or bytes of no meaning."""
    for name in (b"M\xfcller.txt", b"\xff\xfe.txt"):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_text("Erika")
    found = search(tmp_path, {"MÜLLER": "last", "Erika": "first"})[0]
    assert sorted((one.part, one.identifier) for one in found) == [("content", "first")] * 2 + [("name", "last")]
    assert any(one.path == r"\xff\xfe.txt" for one in found)
    assert format_findings(found, 2, 2, {}).encode()  # can be printed


def test_values_that_are_too_short_are_counted_not_told(tmp_path, capfd):
    save(make_series(PatientName="Li^Xiaoming", PatientID="123", StudyID="")[:2], tmp_path / "scan")
    (tmp_path / "out").mkdir()
    assert main(["privacy-check", str(tmp_path / "out"), "--from", str(tmp_path / "scan")]) == 0
    told = spoken(capfd)
    assert "1 of PatientID, 1 of PatientName" in told
    assert not any(word in told for word in ("Li^", "Xiaoming", "123"))
    assert main(["privacy-check", str(tmp_path / "out"), "--from", str(tmp_path / "scan"), "--json"]) == 0
    assert json.loads(spoken(capfd))["too_short"] == {"PatientID": 1, "PatientName": 1}


def test_many_identifiers_are_found_as_if_each_were_looked_for_alone(tmp_path):
    """Two hundred words of three letters, many of them alike or the start of another, in text of the same letters."""
    rng = np.random.default_rng(0)
    words = {"".join(rng.choice(list("ABc.^"), size)) for size in rng.integers(3, 9, 200)}
    text = "".join(rng.choice(list("aBC.^ "), 5000))
    forms = sorted((word.lower().encode() for word in words), key=len, reverse=True)
    expected = re.compile(b"|".join(map(re.escape, forms)), re.IGNORECASE).findall(text.encode())
    assert len(expected) > 300
    assert _pattern(set(forms)).findall(text.encode()) == expected


def test_too_short_and_missing_are_told(tmp_path, capfd):
    with pytest.raises(InputError, match="too short"):
        search(tmp_path, {"Li": "line 1"})
    assert main(["privacy-check", str(tmp_path)]) == 2
    assert main(["privacy-check", str(tmp_path), "--from", str(tmp_path)]) == 2
    assert "Traceback" not in spoken(capfd)


def test_paths_below_a_searched_folder_tell_no_name(tmp_path):
    folder = tmp_path / "Doe Jane" / "CT" / "series 2"
    folder.mkdir(parents=True)
    assert "Doe" in shown_path(folder)  # the user typed it
    (folder / "0001.dcm").write_text("")
    list(files_under(tmp_path))
    told = shown_path(folder / "0001.dcm")
    assert told.startswith(str(tmp_path))
    assert told.endswith("/CT/series 2/0001.dcm")
    assert "Doe" not in told
    assert shown_path(folder / "4711.dcm").endswith("~" + shown_path(folder / "4711.dcm")[-4:])
    assert shown_path(tmp_path / "P001" / "CT.nii.gz").endswith("P001/CT.nii.gz")
    assert "Doe" not in str(InputError("damaged", where=folder / "x"))
