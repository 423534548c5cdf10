"""Imaging Data Commons: selections on an index, and whole patients over a loopback bucket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.uid import generate_uid

from medsynth_lib import cli
from medsynth_lib.data import download
from medsynth_lib.data.cohort import discover, read_cohort_json
from medsynth_lib.data.nifti import read_nifti
from medsynth_lib.data.public import COHORTS, idc, obtain
from medsynth_lib.data.public.layout import PROVENANCE, count_pairs
from medsynth_lib.data.public.lung_selection import compare, comparison_text, pairs_text
from medsynth_lib.errors import InputError, MedSynthError, StorageError
from tests.data import dicom_factory, public_worker
from tests.data.archive_server import HTML, Archive, serving

BUCKET = "idc-open-data"
PLANES = 6


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_S", 0.0)


def row(patient: str = "S-1", modality: str = "CT", **changed: object) -> idc.IdcSeries:
    uid = generate_uid()
    given = {
        "study": f"study of {patient}",
        "date": "2010-01-01",
        "series": uid,
        "description": "",
        "instances": PLANES,
    }
    given |= {"megabytes": 1.0, "license": "CC BY 3.0", "bucket": BUCKET, "address": f"s3://{BUCKET}/{uid}/*"}
    return idc.IdcSeries(patient=patient, modality=modality, **(given | changed))


# Selections


def test_a_patient_needs_both_modalities_in_one_study():
    rows = [row("A"), row("A", "PT"), row("B"), row("C", "PT"), row("D", study="1"), row("D", "PT", study="2")]
    found = idc.select(rows, COHORTS["soft_tissue_sarcoma"], "all")
    assert [one.patient for one in found] == ["A"]
    assert {word: [one.modality for one in series] for word, series in found[0].series.items()} == {
        "CT": ["CT"],
        "PET": ["PT"],
    }


def test_of_two_visits_the_first_is_taken_with_all_its_series():
    late = [row("A", kind, study="1", date="2012-01-01") for kind in ("CT", "PT")]
    early = [row("A", kind, study="2", date="2011-01-01") for kind in ("CT", "CT", "PT", "SEG")]
    (found,) = idc.select([*late, *early], COHORTS["soft_tissue_sarcoma"], "all")
    assert sorted(one.series for one in found.all) == sorted(one.series for one in early[:3])


def test_patients_come_in_the_order_of_their_names_and_so_many():
    rows = [row(name, kind) for name in ("C", "A", "B") for kind in ("PT", "CT")]
    found = idc.select(rows, COHORTS["soft_tissue_sarcoma"], "all", 2)
    assert [one.patient for one in found] == ["A", "B"]


def test_contrast_is_told_by_the_description():
    words = ("noncontrast", "arterial", "late", "ARTERIAL SOFT")
    (found,) = idc.select([row(description=word) for word in words], COHORTS["contrast_ct"], "all")
    assert {word: sorted(one.description for one in series) for word, series in found.series.items()} == {
        "CT": ["noncontrast"],
        "CECT": ["ARTERIAL SOFT", "arterial"],
    }


def test_type_b_is_the_letter_after_the_hyphen():
    rows = [row(name, kind) for name in ("Lung_Dx-A0001", "Lung_Dx-B0001") for kind in ("CT", "PT")]
    lung = COHORTS["lung_pet_ct_dx"]
    assert [one.patient for one in idc.select(rows, lung, "type-b")] == ["Lung_Dx-B0001"]
    assert len(idc.select(rows, lung, "all")) == 2


@pytest.mark.parametrize("name", ["../evil", "/evil", "..", ""])
def test_a_patient_is_a_plain_folder(name):
    with pytest.raises(InputError, match="no plain name"):
        idc.select([row(name), row(name, "PT")], COHORTS["soft_tissue_sarcoma"], "all")


def test_another_number_than_the_papers_is_said_to_differ():
    rows = [row("Lung_Dx-B0001", kind, instances=100) for kind in ("CT", "PT")] + [row("Lung_Dx-B0002")]
    found = {one.what: one for one in compare(rows)}
    assert (found["type B patients"].found, found["type B patients"].verdict) == (2, "DIFFERS")
    assert found["their images"].found == 200
    assert "the other 1 have" in found["type B with CT and PET"].over
    assert found["images in these pairs"].verdict == "not in the index"


def test_the_bundled_index_holds_what_001_says_and_what_the_registry_says():
    pytest.importorskip("idc_index_data")
    rows = idc.read_index("lung_pet_ct_dx")
    verdicts = {one.what: one.verdict for one in compare(rows)}
    assert [what for what, verdict in verdicts.items() if verdict != "holds"] == [
        "pairs at most 0.2 mm apart",
        "images in these pairs",
    ]
    text = comparison_text(rows)
    for number in ("251,135", "355", "38", "9", "12,930", "928", "464"):
        assert f" {number} " in text
    lung = COHORTS["lung_pet_ct_dx"]
    chosen = idc.select(rows, lung, "type-b")
    assert len(chosen) == lung.patients
    gigabytes = sum(one.megabytes for found in chosen for one in found.all) / 1000
    assert gigabytes == pytest.approx(lung.size_gb, abs=0.05)
    assert {one.license for found in chosen for one in found.all} == {lung.license}


def test_an_unknown_collection_is_told(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts = {
        name: ["x"] for name in idc.COLUMNS if name not in ("instanceCount", "series_size_MB", "SeriesDescription")
    }
    rows = texts | {
        "collection_id": ["one"],
        "instanceCount": [1],
        "series_size_MB": [1.5],
        "SeriesDescription": [None],
    }
    rows["SeriesDescription"] = pyarrow.array([None], pyarrow.string())
    parquet.write_table(pyarrow.table(rows), tmp_path / "index.parquet")
    assert idc.read_index("one", tmp_path / "index.parquet")[0].description == ""
    with pytest.raises(InputError, match="no such collection"):
        idc.read_index("two", tmp_path / "index.parquet")


def test_a_missing_index_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "idc_index_data", None)
    with pytest.raises(InputError, match=r"medsynth\[public\]"):
        idc.read_index("lung_pet_ct_dx")


# Whole patients over the network


def published(
    archive: Archive, tmp_path: Path, patient: str, modality: str, frame: str, **tags: object
) -> idc.IdcSeries:
    """A series of the factory in the bucket, and its row of the index."""
    rng = np.random.default_rng(len(archive.files))
    stored = rng.integers(0, 60, (PLANES, 48, 40)).astype(np.int16)
    stored[:, 8:40, 8:32] += 1040 if modality == "CT" else 900
    entry = row(patient, modality, description=tags.pop("SeriesDescription", ""))
    made = dicom_factory.make_series(
        modality, stored, SeriesInstanceUID=entry.series, FrameOfReferenceUID=frame, PatientID=patient, **tags
    )
    folder = dicom_factory.save(made, tmp_path / "published" / entry.series)
    for path in folder.iterdir():
        archive.files[f"/{BUCKET}/{entry.series}/{path.name}"] = path.read_bytes()
    return entry


@pytest.fixture
def bucket(tmp_path):
    """Two patients with PET and CT, and their rows."""
    with serving(Archive()) as archive:
        rows = []
        for patient in ("S-1", "S-2"):
            frame = generate_uid()
            rows += [published(archive, tmp_path, patient, kind, frame) for kind in ("CT", "PT")]
        shutil.rmtree(tmp_path / "published")
        yield archive, rows


def planned(archive: Archive, rows: list[idc.IdcSeries], name: str = "soft_tissue_sarcoma", **more: object):
    plan = obtain.plan(COHORTS[name], server=archive.url, **more)
    plan.__dict__.update(series=rows, source="idc-index-data 0 (test)")  # what cached_property would ask the index
    return plan


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


PLACED = ["S-1/CT.nii.gz", "S-1/PET.nii.gz", "S-2/CT.nii.gz", "S-2/PET.nii.gz", "cohort.json", PROVENANCE]


def test_from_the_bucket_to_a_cohort(bucket, tmp_path):
    archive, rows = bucket
    out = obtain.obtain(planned(archive, rows), tmp_path / "cohort")
    assert tree(out) == PLACED
    assert [path.name for path in tmp_path.iterdir() if "download" in path.name] == []
    assert [pair.patient for pair in discover(out).pairs("PET", "CT")] == ["S-1", "S-2"]
    assert read_cohort_json(out / "cohort.json")["license"] == "CC BY 3.0"
    for patient in ("S-1", "S-2"):
        hu = read_nifti(out / patient / "CT.nii.gz", "CT").array
        assert (hu[10:30, 10:38] >= 40).all()
        assert read_nifti(out / patient / "PET.nii.gz", "PET").array.max() > 0


def test_the_provenance_says_where_each_image_is_from(bucket, tmp_path):
    archive, rows = bucket
    out = obtain.obtain(planned(archive, rows), tmp_path / "cohort")
    written = json.loads((out / PROVENANCE).read_text())
    assert {"source", "doi", "license", "citation", "date", "made_with", "terms"} <= set(written)
    uids = {one.series for one in rows if one.patient == "S-1"}
    said = written["patients"]["S-1"]
    assert {one["series"] for one in said["images"].values()} == uids
    assert {one["series"] for one in said["origin"]["series"]} == uids
    assert [one["checked"] for one in said["origin"]["series"]] == [PLANES, PLANES]
    for image in said["images"].values():
        assert image["checksum"] == download.sha256(out / "S-1" / image["file"])
    assert "Secret" not in (out / PROVENANCE).read_text()
    assert "19500607" not in (out / PROVENANCE).read_text()


def test_the_dicom_layout_is_the_files_as_they_are(bucket, tmp_path):
    archive, rows = bucket
    out = obtain.obtain(planned(archive, rows), tmp_path / "cohort", "dicom")
    contents = sorted(path.read_bytes() for path in out.rglob("*.dcm"))
    assert contents == sorted(archive.files.values())
    pairs = discover(out).pairs("PET", "CT")
    assert sorted(pair.patient for pair in pairs) == sorted(read_cohort_json(out / "cohort.json")["patients"])
    assert count_pairs(out, "CT", "PET", 0.2) == dict.fromkeys([pair.patient for pair in pairs], PLANES)
    assert f"2 patients: {2 * PLANES} pairs, {4 * PLANES} images; 001: 464" in pairs_text(
        out, COHORTS["lung_pet_ct_dx"]
    )


def test_a_contrast_series_is_told_apart_without_a_tag(tmp_path):
    """Both phases say CT and name no contrast agent: the selection knows which is which."""
    with serving(Archive()) as archive:
        frame = generate_uid()
        rows = [
            published(archive, tmp_path, "K-1", "CT", frame, SeriesDescription=word)
            for word in ("noncontrast", "arterial")
        ]
        out = obtain.obtain(planned(archive, rows, "contrast_ct"), tmp_path / "cohort")
        said = json.loads((out / PROVENANCE).read_text())["patients"]["K-1"]["images"]
        assert {word: one["series"] for word, one in said.items()} == {"CT": rows[0].series, "CECT": rows[1].series}
        assert len(discover(out).pairs("CECT", "CT")) == 1
        with pytest.raises(InputError, match="no DICOM layout"):
            obtain.obtain(planned(archive, rows, "contrast_ct"), tmp_path / "other", "dicom")


def test_a_second_run_fetches_nothing_and_a_larger_one_only_the_rest(bucket, tmp_path):
    archive, rows = bucket
    obtain.obtain(planned(archive, rows, patients=1), tmp_path / "cohort")
    assert tree(tmp_path / "cohort") == [PLACED[0], PLACED[1], "cohort.json", PROVENANCE]
    first = len(archive.asked)
    obtain.obtain(planned(archive, rows, patients=1), tmp_path / "cohort")
    assert len(archive.asked) == first
    obtain.obtain(planned(archive, rows), tmp_path / "cohort")
    assert tree(tmp_path / "cohort") == PLACED
    assert len(archive.asked) == 2 * first
    obtain.obtain(planned(archive, rows), tmp_path / "cohort")
    assert len(archive.asked) == 2 * first


def broken(archive: Archive, rows: list[idc.IdcSeries], kind: str) -> tuple[type[MedSynthError], str]:
    """Something wrong with one file, or the listing, of the second patient; the one message it makes."""
    series = rows[3]
    file = sorted(path for path in archive.files if series.series in path)[2]
    if kind == "cut":
        archive.cut[file] = [500] * download.ATTEMPTS
        return InputError, "the connection ended before the file did"
    if kind == "corrupt":
        archive.altered[file] = bytes(len(archive.files[file]))
        return InputError, "not the one that was published"
    if kind == "gone":
        archive.status[file] = 404
        return InputError, "HTTP 404"
    if kind == "page":
        archive.pages[file] = HTML
        return InputError, "something else than the file"
    if kind == "listing is a page":
        archive.pages[f"/{BUCKET}"] = HTML
        return InputError, "no listing of files"
    if kind == "one too few":
        rows[3] = row("S-2", "PT", series=series.series, address=series.address, instances=PLANES + 1)
        return InputError, "another number of files than its index says"
    archive.files[f"/{BUCKET}/{series.series}/../evil"] = b"evil"
    return InputError, "no plain name"


def cured(archive: Archive, rows: list[idc.IdcSeries], whole: list[idc.IdcSeries]) -> None:
    for one in (archive.cut, archive.altered, archive.status, archive.pages):
        one.clear()
    archive.files = {path: content for path, content in archive.files.items() if ".." not in path}
    rows[:] = whole


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        *(
            (kind, "nifti")
            for kind in ("cut", "corrupt", "gone", "page", "listing is a page", "one too few", "traversal")
        ),
        *(("cut", "dicom"), ("corrupt", "dicom")),
    ],
)
def test_whatever_breaks_the_cohort_holds_whole_patients_and_the_next_run_goes_on(bucket, tmp_path, kind, layout):
    archive, rows = bucket
    whole, out = list(rows), tmp_path / "cohort"
    if kind == "listing is a page":  # of the second patient only, whose listings come later
        obtain.obtain(planned(archive, rows, patients=1), out, layout)
    error, words = broken(archive, rows, kind)
    with pytest.raises(error, match=words):
        obtain.obtain(planned(archive, rows), out, layout)
    assert {path.partition("/")[0] for path in tree(out)} == {"S-1", "cohort.json", PROVENANCE}
    assert len(discover(out).pairs("PET", "CT")) == 1
    assert not (tmp_path / "evil").exists()
    cured(archive, rows, whole)
    archive.asked.clear()
    obtain.obtain(planned(archive, rows), out, layout)
    assert len(discover(out).pairs("PET", "CT")) == 2
    assert not [path for path, _ in archive.asked if rows[0].series in path]
    assert not list(tmp_path.glob(".*download*"))


def test_a_full_disk_leaves_whole_patients(bucket, tmp_path):
    archive, rows = bucket
    out, told = tmp_path / "cohort", tmp_path / "told"
    largest = max(map(len, archive.files.values())) - 500
    assert public_worker.starved(planned(archive, rows), out, largest, told).startswith("StorageError: could not write")
    assert not out.exists()
    obtain.obtain(planned(archive, rows), out)
    assert tree(out) == PLACED


def test_no_room_is_told_before_anything_is_asked(bucket, tmp_path, monkeypatch):
    archive, rows = bucket
    monkeypatch.setattr(download, "SPARE_BYTES", 10**18)
    with pytest.raises(StorageError, match="no room"):
        obtain.obtain(planned(archive, rows), tmp_path / "cohort")
    assert not archive.asked
    assert not (tmp_path / "cohort").exists()


def test_a_patient_that_cannot_be_used_is_passed_over_with_the_reason(bucket, tmp_path):
    archive, rows = bucket
    frames = [generate_uid(), generate_uid()]
    rows += [published(archive, tmp_path, "S-0", kind, frame) for kind, frame in zip(("CT", "PT"), frames, strict=True)]
    lines = []
    out = obtain.obtain(planned(archive, rows), tmp_path / "cohort", report=lines.append)
    assert tree(out) == PLACED
    assert "frame of reference" in json.loads((out / PROVENANCE).read_text())["skipped"]["S-0"]
    assert lines[0].startswith("S-0: passed over")


def test_what_is_already_there_is_left_alone(bucket, tmp_path):
    archive, rows = bucket
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        obtain.obtain(planned(archive, rows), tmp_path / "cohort")
    obtain.obtain(planned(archive, rows, patients=1), tmp_path / "other")
    with pytest.raises(InputError, match="holds something else"):
        obtain.obtain(planned(archive, rows, patients=1), tmp_path / "other", "dicom")


def test_a_multipart_upload_has_no_md5_and_says_so(bucket, tmp_path):
    archive, rows = bucket
    (files,) = [[path for path in sorted(archive.files) if rows[0].series in path]]
    archive.etags[files[0]] = f"{'0' * 32}-2"
    out = obtain.obtain(planned(archive, rows, patients=1), tmp_path / "cohort")
    origin = json.loads((out / PROVENANCE).read_text())["patients"]["S-1"]["origin"]["series"]
    assert sorted(one["checked"] for one in origin) == [PLANES - 1, PLANES]


def test_the_archives_own_client_takes_the_loopback_server_for_one(bucket, tmp_path):
    """s5cmd, as idc-index calls it: the listing and the files that our code is tested against are those it reads."""
    pytest.importorskip("idc_index")
    client = Path(sysconfig.get_path("scripts")) / "s5cmd"
    assert client.exists()
    archive, rows = bucket
    command = [client, "--no-sign-request", "--endpoint-url", archive.url, "cp", rows[0].address, tmp_path / "got/"]
    (tmp_path / "got").mkdir()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()}
    idc.download(rows[0], tmp_path / "ours", server=archive.url)
    assert theirs == {path.name: path.read_bytes() for path in (tmp_path / "ours").iterdir()}
    assert len(theirs) == PLANES


# The commands


def test_every_cohort_says_what_a_user_must_know(capsys):
    assert cli.main(["cohorts", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scripts = {path.stem for path in (Path(__file__).parents[2] / "data_scripts").glob("*.py")}
    assert set(found) <= scripts
    assert len(found) == 5
    for one in found.values():
        assert all(
            one[word] for word in ("license", "terms", "citation", "doi", "source", "target", "lesson", "patients")
        )
    assert cli.main(["cohorts"]) == 0
    assert "synthrad2023" in capsys.readouterr().out


def test_nothing_is_fetched_before_the_terms_are_accepted(bucket, tmp_path, monkeypatch, capsys):
    archive, rows = bucket
    plan = planned(archive, rows)
    monkeypatch.setattr(obtain, "plan", lambda *_: plan)
    arguments = ["fetch", "soft_tissue_sarcoma", "--out", str(tmp_path / "cohort")]
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert "CC BY 3.0" in said.out
    assert "the terms were not accepted" in said.err
    assert not archive.asked
    assert cli.main([*arguments, "--accept-terms", "--count-pairs"]) == 0
    assert f"2 patients: {2 * PLANES} pairs" in capsys.readouterr().out
    assert tree(tmp_path / "cohort") == PLACED


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("YES ", 0), ("no", 2), ("", 2)])
def test_somebody_at_the_terminal_is_asked(monkeypatch, answer, code, capsys):
    asked = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda words: asked.append(words) or answer)
    monkeypatch.setattr(obtain, "plan", lambda *_: SimpleNamespace(text=lambda: "the plan"))
    monkeypatch.setattr(obtain, "obtain", lambda *_, **__: None)
    assert cli.main(["fetch", "autopet", "--out", "cohort"]) == code
    assert len(asked) == 1
    assert ("medsynth prepare" in capsys.readouterr().out) == (code == 0)


def test_a_dry_run_asks_nothing_and_needs_no_place(bucket, monkeypatch, capsys):
    archive, rows = bucket
    plan = planned(archive, rows)
    monkeypatch.setattr(obtain, "plan", lambda *_: plan)
    assert cli.main(["fetch", "soft_tissue_sarcoma", "--dry-run"]) == 0
    assert "2 patients, 4 series, 24 images" in capsys.readouterr().out
    assert not archive.asked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nobody"], "unknown public cohort"),
        (["autopet", "--subset", "x"], "unknown subset"),
        (["autopet", "--patients", "0"], "how many"),
    ],
)
def test_a_mistake_is_one_message(options, words, capsys):
    assert cli.main(["fetch", *options]) == 2
    assert words in capsys.readouterr().err
