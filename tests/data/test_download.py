"""One file over a loopback server: whole, or one clear message and nothing where the file should be."""

from __future__ import annotations

import hashlib
import multiprocessing
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from medsynth_lib.data import download
from medsynth_lib.data.download import RemoteFile, check_room, fetch, get, sha256
from medsynth_lib.errors import InputError, StorageError
from tests.data import download_worker
from tests.data.archive_server import HTML, Archive, serving

CONTENT = bytes(range(256)) * 2000  # 512 kB
PATH = "/bucket/one.bin"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(download, "CHUNK", 4096)


@pytest.fixture
def archive():
    with serving(Archive({PATH: CONTENT})) as archive:
        yield archive


def remote(archive: Archive, **changed: object) -> RemoteFile:
    stated = {"size": len(CONTENT), "checksum": f"md5:{hashlib.md5(CONTENT).hexdigest()}"} | changed
    return RemoteFile(f"{archive.url}{PATH}", "one.bin", **stated)


def refused(archive: Archive, folder: Path, words: str, **changed: object) -> InputError:
    """The one message; the file is not there, under no name that could be taken for it."""
    with pytest.raises(InputError, match=words) as caught:
        fetch(remote(archive, **changed), folder)
    assert not [path for path in folder.iterdir() if path.name != "one.bin.part"]
    return caught.value


def test_a_file_arrives_whole_and_is_not_fetched_twice(archive, tmp_path):
    told = []
    assert fetch(remote(archive), tmp_path / "new", told.append).read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)
    assert fetch(remote(archive), tmp_path / "new", told.append).read_bytes() == CONTENT
    assert sum(told) == 2 * len(CONTENT)
    assert archive.ranges_asked(PATH) == [None]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.bin"]


def test_a_broken_connection_is_taken_up_where_it_broke(archive, tmp_path):
    archive.cut[PATH] = [200_000, 100_000]
    told = []
    assert fetch(remote(archive), tmp_path, told.append).read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)
    first, *later = archive.ranges_asked(PATH)
    starts = [int(one.removeprefix("bytes=").rstrip("-")) for one in later]
    assert first is None
    assert len(starts) == 2
    assert 0 < starts[0] <= 200_000
    assert starts[0] < starts[1] <= 300_000


def test_a_later_run_goes_on_with_what_arrived(archive, tmp_path):
    archive.cut[PATH] = [50_000] * download.ATTEMPTS
    error = refused(archive, tmp_path, "the connection ended before the file did")
    assert "run the same command again" in str(error)
    have = (tmp_path / "one.bin.part").stat().st_size
    assert 0 < have <= download.ATTEMPTS * 50_000
    archive.asked.clear()
    assert fetch(remote(archive), tmp_path).read_bytes() == CONTENT
    assert archive.ranges_asked(PATH) == [f"bytes={have}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["one.bin"]


def test_a_server_that_cannot_resume_sends_it_all_again(archive, tmp_path):
    archive.ranges, archive.cut[PATH] = False, [300_000]
    told = []
    assert fetch(remote(archive), tmp_path, told.append).read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)
    assert len(archive.asked) == 2


def test_another_content_of_the_same_size_is_thrown_away(archive, tmp_path):
    archive.altered[PATH] = CONTENT[:-1] + b"x"
    refused(archive, tmp_path, "not the one that was published")
    assert not list(tmp_path.iterdir())
    archive.altered.clear()
    assert fetch(remote(archive), tmp_path).read_bytes() == CONTENT


def test_a_beginning_of_another_file_does_not_survive_its_checksum(archive, tmp_path):
    (tmp_path / "one.bin.part").write_bytes(b"x" * 1000)
    refused(archive, tmp_path, "not the one that was published")
    assert fetch(remote(archive), tmp_path).read_bytes() == CONTENT


def test_a_found_file_is_checked_too(archive, tmp_path):
    for wrong in (b"short", CONTENT[:-1] + b"x"):
        (tmp_path / "one.bin").write_bytes(wrong)
        assert fetch(remote(archive), tmp_path).read_bytes() == CONTENT


def test_without_a_checksum_the_size_counts(archive, tmp_path):
    assert fetch(remote(archive, checksum=None), tmp_path).read_bytes() == CONTENT
    (tmp_path / "one.bin").write_bytes(b"short")
    assert fetch(remote(archive, checksum=None), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("code", [403, 404, 416])
def test_a_refusal_is_named(archive, tmp_path, code):
    archive.status[PATH] = code
    error = refused(archive, tmp_path, "the server does not give the file")
    assert f"HTTP {code}" in str(error)
    assert not list(tmp_path.iterdir())


def test_a_troubled_server_is_asked_again(archive, tmp_path):
    archive.status[PATH] = 503
    error = refused(archive, tmp_path, "the server does not answer")
    assert "HTTP 503" in str(error)
    assert len(archive.asked) == download.ATTEMPTS


def test_a_login_page_is_no_file(archive, tmp_path):
    archive.pages[PATH] = HTML
    refused(archive, tmp_path, "something else than the file")
    archive.pages[PATH] = HTML.ljust(len(CONTENT))  # even of the very same size
    refused(archive, tmp_path, "something else than the file", checksum=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_is_told_before_it_is_fetched(archive, tmp_path, size):
    refused(archive, tmp_path, "something else than the file", size=size)
    assert not list(tmp_path.iterdir())


def test_no_server_is_named(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    nowhere = Archive({PATH: CONTENT}, url=f"http://127.0.0.1:{port}")
    refused(nowhere, tmp_path, "the server does not answer")
    with pytest.raises(InputError, match="the server does not answer"):
        get(nowhere.url)


def test_a_full_disk_is_one_message_and_the_rest_arrives_when_there_is_room(archive, tmp_path):
    process = multiprocessing.get_context("forkserver").Process(
        target=download_worker.fill_the_disk, args=(remote(archive), tmp_path / "data", 100_000, tmp_path / "told")
    )
    process.start()
    process.join(60)
    assert (tmp_path / "told").read_text().startswith("StorageError: could not write: File too large")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["one.bin.part"]
    have = (tmp_path / "data" / "one.bin.part").stat().st_size
    assert 0 < have <= 100_000
    assert fetch(remote(archive), tmp_path / "data").read_bytes() == CONTENT
    assert archive.ranges_asked(PATH)[-1] == f"bytes={have}-"


def test_no_room_is_told_before_anything_is_fetched(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**8))
    with pytest.raises(StorageError, match="no room for the download"):
        fetch(remote(archive), tmp_path)
    assert not archive.asked
    with pytest.raises(StorageError, match="no room"):
        check_room(tmp_path / "not" / "yet" / "there", 1)


def test_sha256_is_that_of_hashlib(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert sha256(tmp_path / "file") == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
