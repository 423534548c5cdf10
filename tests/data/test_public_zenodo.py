"""SynthRAD2023 over a loopback Zenodo: a record asked, one archive fetched, patients unpacked one by one."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from medsynth_lib import cli
from medsynth_lib.data import download
from medsynth_lib.data.cohort import discover
from medsynth_lib.data.nifti import read_nifti, write_nifti
from medsynth_lib.data.public import COHORTS, obtain, zenodo
from medsynth_lib.data.public.layout import PROVENANCE
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from tests.data import public_worker
from tests.data.archive_server import HTML, Archive, serving

RECORD = COHORTS["synthrad2023"].identifier
ZIP = f"/records/{RECORD}/Task1.zip"
PATIENTS = ("brain/1BA001", "brain/1BA002", "pelvis/1PA001")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_S", 0.0)


def image(modality: str, seed: int) -> Volume:
    values = np.random.default_rng(seed).integers(0, 50, (24, 20, 8)).astype(np.float32)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    values[4:20, 4:16] += 300 if modality == "MR" else 1020
    return Volume(values if modality == "MR" else values - 1000, affine, modality, "a.u." if modality == "MR" else "HU")


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> bytes:
    """The archive as it is laid out: three patients, a mask for each, an overview."""
    folder, stream = tmp_path_factory.mktemp("images"), io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("Task1/brain/overview/1BA001_train.png", b"png")
        for seed, patient in enumerate(PATIENTS):
            for modality in ("MR", "CT"):
                path = write_nifti(image(modality, seed), folder / f"{modality}.nii.gz")
                archive.write(path, f"Task1/{patient}/{modality.lower()}.nii.gz")
            archive.writestr(f"Task1/{patient}/mask.nii.gz", b"mask")
    return stream.getvalue()


@pytest.fixture
def archive(packed):
    with serving(Archive({ZIP: packed, f"/records/{RECORD}/Task2.zip": b"another"})) as archive:
        yield archive


def planned(archive: Archive, **more: object):
    return obtain.plan(COHORTS["synthrad2023"], server=archive.url, **more)


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


BRAIN = [*(f"{patient}/{word}.nii.gz" for patient in ("1BA001", "1BA002") for word in ("CT", "MR")), "cohort.json"]


def test_from_the_record_to_a_cohort(archive, packed, tmp_path):
    out = obtain.obtain(planned(archive), tmp_path / "cohort")
    assert tree(out) == [*BRAIN, PROVENANCE]
    assert not list(tmp_path.glob(".*download*"))
    assert [pair.patient for pair in discover(out).pairs("MR", "CT")] == ["1BA001", "1BA002"]
    for seed, patient in enumerate(("1BA001", "1BA002")):
        for modality in ("MR", "CT"):
            found = read_nifti(out / patient / f"{modality}.nii.gz", modality).array
            np.testing.assert_array_equal(found, image(modality, seed).array)
    origin = json.loads((out / PROVENANCE).read_text())["patients"]["1BA002"]["origin"]
    assert origin["checksum"] == f"md5:{hashlib.md5(packed).hexdigest()}"
    assert origin["files"] == ["Task1/brain/1BA002/ct.nii.gz", "Task1/brain/1BA002/mr.nii.gz"]
    assert f"/records/{RECORD}/Task2.zip" not in dict(archive.asked)


@pytest.mark.parametrize(("subset", "count"), [("pelvis", 1), ("all", 3)])
def test_a_subset_is_a_region(archive, tmp_path, subset, count):
    out = obtain.obtain(planned(archive, subset=subset), tmp_path / "cohort")
    assert len(discover(out).patients) == count


def test_of_some_patients_the_archive_is_kept_for_the_others(archive, tmp_path):
    obtain.obtain(planned(archive, patients=1), tmp_path / "cohort")
    assert [pair.patient for pair in discover(tmp_path / "cohort").pairs("MR", "CT")] == ["1BA001"]
    archive.asked.clear()
    obtain.obtain(planned(archive), tmp_path / "cohort")
    assert tree(tmp_path / "cohort") == [*BRAIN, PROVENANCE]
    assert ZIP not in dict(archive.asked)
    assert not list(tmp_path.glob(".*download*"))


def test_a_broken_download_goes_on(archive, packed, tmp_path):
    archive.cut[ZIP] = [len(packed) // 2] + [0] * (download.ATTEMPTS - 1)
    with pytest.raises(InputError, match="the connection ended before the file did"):
        obtain.obtain(planned(archive), tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
    archive.cut.clear()
    archive.asked.clear()
    out = obtain.obtain(planned(archive), tmp_path / "cohort")
    assert tree(out) == [*BRAIN, PROVENANCE]
    (asked,) = archive.ranges_asked(ZIP)
    assert asked is None or 0 < int(asked.removeprefix("bytes=").rstrip("-")) <= len(packed) // 2


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ({"status": {ZIP: 404}}, "HTTP 404"),
        ({"status": {f"/api/records/{RECORD}": 404}}, "HTTP 404"),
        ({"pages": {ZIP: HTML}}, "something else than the file"),
        ({"pages": {f"/api/records/{RECORD}": HTML}}, "does not describe the record"),
        ({"pages": {f"/api/records/{RECORD}": b'{"files": [{"key": "../evil"}]}'}}, "does not describe the record"),
        ({"pages": {f"/api/records/{RECORD}": b"[1]"}}, "does not describe the record"),
        ({"pages": {f"/api/records/{RECORD}": b'{"files": []}'}}, "no such file"),
        ({"etags": {ZIP: "0" * 32}}, "not the one that was published"),
    ],
)
def test_whatever_the_server_gives_it_is_one_message_and_no_cohort(archive, tmp_path, behave, words):
    for name, value in behave.items():
        setattr(archive, name, value)
    with pytest.raises(InputError, match=words):
        obtain.obtain(planned(archive), tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
    assert tree(tmp_path) == []


def rewritten(packed: bytes, name: str | None = None, link: bool = False) -> bytes:
    """The archive with one more member, under a name or as a link that leads outside."""
    stream = io.BytesIO(packed)
    with zipfile.ZipFile(stream, "a") as archive:
        member = zipfile.ZipInfo(name or "Task1/brain/1BA003/mr.nii.gz")
        if link:
            member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return stream.getvalue()


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "C:\\evil", None])
def test_an_archive_that_writes_elsewhere_is_refused_whole(archive, packed, tmp_path, name):
    archive.files[ZIP] = rewritten(packed, name, link=name is None)
    with pytest.raises(InputError, match="wants to write outside its folder"):
        obtain.obtain(planned(archive), tmp_path / "cohort")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["Task1.zip"]


def test_a_damaged_archive_with_the_right_checksum_is_told(archive, packed, tmp_path):
    archive.files[ZIP] = packed[: len(packed) // 2]
    with pytest.raises(InputError, match="archive is damaged"):
        obtain.obtain(planned(archive), tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_a_full_disk_leaves_no_cohort(archive, packed, tmp_path):
    plan = planned(archive)
    said = public_worker.starved(plan, tmp_path / "cohort", len(packed) // 2, tmp_path / "told")
    assert said.startswith("StorageError: could not write")
    assert not (tmp_path / "cohort").exists()
    assert tree(obtain.obtain(plan, tmp_path / "cohort")) == [*BRAIN, PROVENANCE]


def test_a_damaged_image_is_passed_over(archive, packed, tmp_path):
    archive.files[ZIP] = rewritten(rewritten(packed), "Task1/brain/1BA003/ct.nii.gz")
    out = obtain.obtain(planned(archive), tmp_path / "cohort")
    assert tree(out) == [*BRAIN, PROVENANCE]
    assert "1BA003" in json.loads((out / PROVENANCE).read_text())["skipped"]


def test_a_patient_needs_both_images():
    names = [
        PurePosixPath(f"Task1/brain/{name}") for name in ("1BA001/mr.nii.gz", "1BA002/mr.nii.gz", "1BA002/ct.nii.gz")
    ]
    assert list(zenodo.synthrad_patients(names, "brain", None)) == ["1BA002"]
    with pytest.raises(InputError, match="another layout"):
        zenodo.synthrad_patients(names[:1], "brain", None)


def test_the_dry_run_shows_what_zenodo_says(archive, packed, monkeypatch, capsys):
    monkeypatch.setattr(zenodo, "SERVER", archive.url)
    assert cli.main(["fetch", "synthrad2023", "--dry-run", "--patients", "2"]) == 0
    said = capsys.readouterr().out
    assert hashlib.md5(packed).hexdigest() in said
    assert "cc-by-nc-4.0" in said
    assert "the first 2 patients of subset brain" in said
    assert ZIP not in dict(archive.asked)
