"""Archives as they come, and as somebody may have prepared them."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from medsynth_lib.data import download
from medsynth_lib.data.archive import members, unpack
from medsynth_lib.errors import InputError, StorageError

FILES = {"Task1/brain/1BA001/mr.nii.gz": b"mr", "Task1/brain/1BA001/ct.nii.gz": b"ct" * 5000, "readme.txt": b"read"}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def linked(path: Path, target: str) -> Path:
    """A link beside a file that would be written through it."""
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, target)
        archive.writestr("link/mr.nii.gz", b"x")
    return path


def test_an_archive_unpacks_byte_for_byte(tmp_path):
    out = unpack(zipped(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.*")} == FILES
    assert sorted(map(str, members(tmp_path / "a.zip"))) == sorted(FILES)


def test_only_what_is_wanted_is_unpacked(tmp_path):
    out = unpack(zipped(tmp_path / "a.zip", FILES), tmp_path / "out", lambda path: path.name == "mr.nii.gz")
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["mr.nii.gz"]
    with pytest.raises(InputError, match="nothing that is wanted"):
        unpack(tmp_path / "a.zip", tmp_path / "none", lambda path: False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "Task1/../../evil", "/etc/evil", "//server/evil", "C:/evil", "C:evil", "..\\evil", "\\evil"),
        *("C:\\evil", "Task1\\..\\..\\evil", "file:stream"),
    ],
)
def test_a_name_that_leads_outside_is_refused_before_anything_is_written(tmp_path, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = zipped(inside / "a.zip", {"good": b"good", name: b"evil"})
    for read in (members, lambda path: unpack(path, inside / "out")):
        with pytest.raises(InputError, match="wants to write outside its folder"):
            read(archive)
    assert [path for path in tmp_path.rglob("*") if path != archive and path != inside] == []


@pytest.mark.parametrize("target", ["/etc", "..", "elsewhere"])
def test_a_link_is_refused(tmp_path, target):
    with pytest.raises(InputError, match="a link"):
        unpack(linked(tmp_path / "a.zip", target), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def damaged(path: Path, kind: str) -> Path:
    zipped(path, FILES)
    content = bytearray(path.read_bytes())
    if kind == "cut":
        content = content[: len(content) // 2]
    elif kind == "no zip":
        content = bytearray(b"<html>Please log in</html>")
    else:  # the packed bytes of ct.nii.gz, or its checksum in the directory
        at = content.index(b"ct.nii.gz") + 12 if kind == "bits" else content.rindex(b"ct.nii.gz") - 49
        content[at] ^= 0xFF
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["cut", "no zip", "bits", "directory"])
def test_a_damaged_archive_leaves_nothing(tmp_path, kind):
    with pytest.raises(InputError, match="damaged"):
        unpack(damaged(tmp_path / "a.zip", kind), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_missing_archive_is_told(tmp_path):
    with pytest.raises(InputError, match="damaged, or no zip file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def test_an_archive_larger_than_the_disk_is_refused_before_it_fills_it(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"zeros": bytes(5_000_000)})  # 5 kB, packed
    assert archive.stat().st_size < 10_000
    free = SimpleNamespace(free=download.SPARE_BYTES + 4_000_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(StorageError, match="no room"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_member_gives_no_more_than_it_announced(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"zeros": bytes(100_000)})
    announced = (100_000).to_bytes(4, "little")
    content = archive.read_bytes()
    assert content.count(announced) == 2
    archive.write_bytes(content.replace(announced, (10).to_bytes(4, "little")))
    with pytest.raises(InputError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
