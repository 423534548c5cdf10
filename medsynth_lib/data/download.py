"""Fetch a file: resumed where it broke off, checked against its checksum, there only when it is whole."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from medsynth_lib.data.atomic import storage_errors
from medsynth_lib.errors import InputError, StorageError

#: Seconds to wait for a connection, and for the next bytes.
TIMEOUT_S = (20.0, 60.0)
#: A connection that breaks is taken up again so often, after so long a pause.
ATTEMPTS, PAUSE_S = 4, 1.0
#: What has arrived of a piece is lost when the connection breaks.
CHUNK = 2**16
#: Left free on the disk, whatever is fetched.
SPARE_BYTES = 2**28

pooch.get_logger().setLevel(logging.WARNING)  # a line per file is no help with ten thousand files
_of_thread = threading.local()


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server: its size, and its checksum (``md5:…`` or ``sha256:…``) where the archive states one."""

    url: str
    name: str
    size: int
    checksum: str | None


def fetch(file: RemoteFile, folder: str | Path, report: Callable[[int], None] = lambda size: None) -> Path:
    """``folder/name``: downloaded, or found there with the right checksum. ``report`` is told the bytes of each piece.

    What has arrived of an interrupted download stays in ``name.part`` and is gone on with. Without a checksum, the size
    alone is compared.

    Raises:
        InputError: the server has no such file, or ends the connection, or the content has another size or checksum.
        StorageError: the disk has no room for it.
    """
    folder = Path(folder)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    whole, part = folder / file.name, folder / f"{file.name}.part"
    if whole.exists() and _size(whole) != file.size:
        whole.unlink()
    if whole.exists():
        report(file.size)
    else:
        check_room(folder, file.size - _size(part))
    try:
        with storage_errors(part):
            pooch.retrieve(file.url, file.checksum, file.name, folder, downloader=_Resuming(file, part, report))
    except ValueError as error:  # pooch: the checksum differs
        raise InputError(
            "the file that arrived is not the one that was published",
            where=file.url,
            rule=f"checksum {file.checksum}",
            seen="another one; what arrived was thrown away",
            fix="run the same command again; if it stays so, the archive has changed the file",
        ) from error
    return whole


def get(url: str, parameters: dict[str, str] | None = None) -> requests.Response:
    """A short answer (a listing, a record), read whole.

    Raises:
        InputError: the server cannot be reached or refuses.
    """
    try:
        answer = _session().get(url, params=parameters, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise _silent(url, error) from error
    _check_status(answer, url)
    return answer


def check_room(folder: Path, size: int) -> None:
    """Raise ``StorageError`` unless ``size`` more bytes fit under ``folder``, with ``SPARE_BYTES`` left."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        raise StorageError(
            "there is no room for the download",
            where=folder,
            rule=f"{(size + SPARE_BYTES) / 1e9:.2f} GB free",
            seen=f"{free / 1e9:.2f} GB",
            fix="free some space, choose another --out, or fewer --patients",
        )


def sha256(path: Path) -> str:
    """``sha256:`` and the hexadecimal digest of a file."""
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


class _Resuming:
    """What ``pooch.retrieve`` downloads with: appends to ``part`` whatever it lacks, then moves it into place."""

    def __init__(self, file: RemoteFile, part: Path, report: Callable[[int], None]):
        self.file, self.part, self.report = file, part, report

    def __call__(self, url: str, output_file: str, pooch_object: object) -> None:
        if _size(self.part) > self.file.size:
            self.part.unlink()
        self.report(_size(self.part))
        lost: Exception | None = None
        for attempt in range(ATTEMPTS):
            if self.part.exists() and _size(self.part) == self.file.size:
                break
            time.sleep(PAUSE_S * min(attempt, 1))
            lost = self._append(url)
        if _size(self.part) == 0 < self.file.size and not isinstance(lost, requests.exceptions.ChunkedEncodingError):
            raise _silent(url, lost)
        if _size(self.part) != self.file.size:
            raise InputError(
                "the connection ended before the file did",
                where=url,
                rule=f"{self.file.size:,} bytes",
                seen=f"{_size(self.part):,} bytes, after {ATTEMPTS} attempts",
                fix="run the same command again: it goes on from there",
            )
        shutil.move(self.part, output_file)

    def _append(self, url: str) -> Exception | None:
        """Add to ``part`` what the server gives; the error that ended the connection too early, if one did."""
        have = _size(self.part)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with _session().get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
                if answer.status_code >= 500:
                    return requests.HTTPError(f"HTTP {answer.status_code}")
                _check_status(answer, url)
                resumed = answer.status_code == requests.codes.partial_content
                if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                    self.part.unlink(missing_ok=True)  # another range than was asked for: from the start, then
                    return requests.HTTPError("the wrong range")
                self._check_is_the_file(answer, have if resumed else 0)
                with open(self.part, "ab" if resumed else "wb") as out:
                    self.report(0 if resumed else -have)
                    for piece in answer.iter_content(CHUNK):
                        out.write(piece)
                        self.report(len(piece))
                        if out.tell() > self.file.size:
                            break
        except requests.RequestException as error:
            return error
        if _size(self.part) > self.file.size:
            self.part.unlink()
            raise self._another(f"more than {self.file.size:,} bytes")
        return None

    def _check_is_the_file(self, answer: requests.Response, start: int) -> None:
        """The announced size and kind, before anything is written: a page that says "please log in" is no image."""
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        length = answer.headers.get("Content-Length")
        if kind == "text/html" or (length is not None and int(length) != self.file.size - start):
            raise self._another(f"{length or 'unknown number of'} bytes of {kind or 'unknown kind'}")

    def _another(self, seen: str) -> InputError:
        return InputError(
            "the server gives something else than the file",
            where=self.file.url,
            rule=f"{self.file.size:,} bytes, no web page",
            seen=seen,
            fix="check that no proxy or login page is in between; the archive may have changed the file",
        )


def _session() -> requests.Session:
    """One per thread: connections are kept open, and a session is not made to be shared."""
    if not hasattr(_of_thread, "session"):
        _of_thread.session = requests.Session()
    return _of_thread.session


def _silent(url: str, error: Exception | None) -> InputError:
    return InputError(
        "the server does not answer",
        where=url,
        seen=error if isinstance(error, requests.HTTPError) else type(error).__name__,
        fix="check the network (and proxy), then run the same command again",
    )


def _check_status(answer: requests.Response, url: str) -> None:
    if not answer.ok:
        raise InputError(
            "the server does not give the file",
            where=url,
            rule="HTTP 200 or 206",
            seen=f"HTTP {answer.status_code} {answer.reason}",
            fix="it may have moved: see the cohort's page; or try later",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
