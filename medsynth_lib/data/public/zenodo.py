"""Zenodo: what a record holds, with sizes and checksums as it states them when asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from medsynth_lib.data.download import RemoteFile, get
from medsynth_lib.errors import InputError

SERVER = "https://zenodo.org"
#: ``Task1/brain/1BA001/mr.nii.gz`` of SynthRAD2023; the mask beside them is of the body, not of organs.
SYNTHRAD_FILE = re.compile(r"Task1/(?P<region>brain|pelvis)/(?P<patient>\w+)/(?P<image>mr|ct)\.nii\.gz")
SYNTHRAD_ARCHIVE = "Task1.zip"


@dataclass(frozen=True)
class Record:
    """A Zenodo record: its DOI and licence in Zenodo's words, and its files by name."""

    doi: str
    license: str
    files: dict[str, RemoteFile]

    def file(self, name: str) -> RemoteFile:
        """The file of that name.

        Raises:
            InputError: the record has none.
        """
        if name not in self.files:
            raise InputError("the record has no such file", rule=name, seen=", ".join(self.files))
        return self.files[name]


def read_record(identifier: str, server: str | None = None) -> Record:
    """Ask for a record: ``/api/records/<identifier>``.

    Raises:
        InputError: no answer, or one that does not describe files.
    """
    url = f"{server or SERVER}/api/records/{identifier}"
    try:
        answer = get(url).json()
        files = {one["key"]: _remote(one) for one in answer["files"]}
        about = answer.get("metadata") or {}
        return Record(str(answer.get("doi", "")), str((about.get("license") or {}).get("id", "")), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "the server's answer does not describe the record",
            where=url,
            seen=type(error).__name__,
            fix="check that no proxy or login page is in between",
        ) from error


def synthrad_patients(names: list[PurePosixPath], pattern: str, patients: int | None) -> dict[str, list[PurePosixPath]]:
    """Patient → the names of MR and CT in SynthRAD2023's archive, the first ``patients`` in regions like ``pattern``.

    Raises:
        InputError: nobody has both.
    """
    found: dict[str, list[PurePosixPath]] = {}
    for name in sorted(names):
        match = SYNTHRAD_FILE.fullmatch(str(name))
        if match and re.fullmatch(pattern, match["region"]):
            found.setdefault(match["patient"], []).append(name)
    whole = {patient: images for patient, images in found.items() if len(images) == 2}
    if not whole:
        raise InputError("the archive has another layout", rule="Task1/brain/1BA001/mr.nii.gz and ct.nii.gz")
    return dict(list(whole.items())[:patients])


def _remote(entry: dict) -> RemoteFile:
    name, checksum, url = entry["key"], entry["checksum"], entry["links"]["self"]
    if not re.fullmatch(r"\w[\w.+ -]*", name) or not re.fullmatch(r"(md5|sha256):[0-9a-f]+", checksum):
        raise ValueError(name)
    return RemoteFile(str(url), name, int(entry["size"]), checksum)
