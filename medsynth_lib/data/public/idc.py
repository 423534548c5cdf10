"""The Imaging Data Commons: selections on the index that ``idc-index`` brings, offline; then plain S3.

The index is read with pyarrow straight from the package, only the rows and columns wanted: ``IDCClient()`` loads all of
it into memory, twice. Files are fetched as its downloader (s5cmd) does, with ListObjectsV2 and GET on the public
buckets, but by ``data.download``: s5cmd goes on with whole files only, compares no checksum, and its failures reach a
Python caller as log lines. S3 gives a file's MD5 as its ETag if it was uploaded in one part; of others the size is
compared, and reading the DICOM says the rest.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from medsynth_lib.data.download import RemoteFile, fetch, get
from medsynth_lib.data.public import PublicCohort, Role
from medsynth_lib.errors import InputError

SERVER = "https://s3.amazonaws.com"
#: Files of a series fetched at once.
CONNECTIONS = 8
COLUMNS = {
    "PatientID": "patient",
    "StudyInstanceUID": "study",
    "StudyDate": "date",
    "SeriesInstanceUID": "series",
    "Modality": "modality",
    "SeriesDescription": "description",
    "instanceCount": "instances",
    "series_size_MB": "megabytes",
    "license_short_name": "license",
    "aws_bucket": "bucket",
    "series_aws_url": "address",
}


@dataclass(frozen=True)
class IdcSeries:
    """One row of the index. ``patient`` is the archive's public pseudonym; ``date`` has been shifted by the archive."""

    patient: str
    study: str
    date: str
    series: str
    modality: str
    description: str
    instances: int
    megabytes: float
    license: str
    bucket: str
    address: str

    @property
    def prefix(self) -> str:
        """The folder in ``bucket`` that holds the series' files."""
        return self.address.removeprefix(f"s3://{self.bucket}/").rstrip("*")


@dataclass(frozen=True)
class Selection:
    """A patient's series in one examination: modality word → those that may be it."""

    patient: str
    series: Mapping[str, Sequence[IdcSeries]]

    @property
    def all(self) -> list[IdcSeries]:
        return [one for found in self.series.values() for one in found]


def read_index(collection: str, path: Path | None = None) -> list[IdcSeries]:
    """Every series of a collection in the index, in no particular order.

    Args:
        path: another index than that of the installed package.

    Raises:
        InputError: the package is missing, or the index has no such collection.
    """
    try:
        from pyarrow import parquet

        if path is None:
            from idc_index_data import IDC_INDEX_PARQUET_FILEPATH as path
    except ImportError as error:
        raise InputError(
            "the index of the Imaging Data Commons is not installed", fix="pip install 'medsynth[public]'"
        ) from error
    rows = parquet.read_table(path, columns=list(COLUMNS), filters=[("collection_id", "==", collection)])
    if not rows.num_rows:
        raise InputError("the index has no such collection", where=path, seen=collection)
    return [
        IdcSeries(**{COLUMNS[key]: "" if value is None else value for key, value in row.items()})
        for row in rows.to_pylist()
    ]


def index_version() -> str:
    """The index that is installed, as ``idc-index-data 25.0.5 (IDC v25)``."""
    version = metadata.version("idc-index-data")
    return f"idc-index-data {version} (IDC v{version.partition('.')[0]})"


def select(
    series: Sequence[IdcSeries], cohort: PublicCohort, subset: str, patients: int | None = None
) -> list[Selection]:
    """The first ``patients`` patients of a subset who have both modalities in one study, and that study's series.

    Of several such studies it is the first: two visits of a patient are one patient, and one pair is enough.

    Raises:
        InputError: a patient identifier that cannot be the name of a folder.
    """
    studies: dict[str, dict[tuple[str, str], dict[str, list[IdcSeries]]]] = defaultdict(dict)
    for one in sorted(series, key=lambda one: (one.patient, one.date, one.study, one.series)):
        for word in (word for word, role in cohort.roles.items() if _plays(one, role)):
            if re.search(cohort.subsets[subset], one.patient):
                study = studies[one.patient].setdefault((one.date, one.study), {})
                study.setdefault(word, []).append(one)
    found = []
    for patient, visits in studies.items():
        whole = [visit for visit in visits.values() if set(visit) == set(cohort.roles)]
        found += [Selection(patient, whole[0])] if whole else []
        if not re.fullmatch(r"\w[\w.+-]*", patient):
            raise InputError(
                "a patient of the index has no plain name", where=cohort.identifier, seen=repr(patient)[:80]
            )
    return found[:patients]


def listed(series: IdcSeries, server: str | None = None) -> list[RemoteFile]:
    """The files of a series, as the bucket lists them (ListObjectsV2, page by page).

    Raises:
        InputError: no answer, no listing, a name that is no plain name, or not as many files as the index says.
    """
    url = f"{server or SERVER}/{series.bucket}"
    files, page = [], {"list-type": "2", "prefix": series.prefix}
    while page:
        answer = _parsed(get(url, page).content, url)
        files += [_remote(entry, series, url) for entry in answer.iter("Contents")]
        after = answer.findtext("NextContinuationToken")
        page = {**page, "continuation-token": after} if after else None
    if len(files) != series.instances:
        raise InputError(
            "the archive has another number of files than its index says",
            where=f"{url}/{series.prefix}",
            rule=f"{series.instances} files",
            seen=len(files),
            fix="a newer idc-index may know the series' new version",
        )
    return files


def download(
    series: IdcSeries, folder: Path, report: Callable[[int], None] = lambda size: None, server: str | None = None
) -> list[tuple[str, str | None]]:
    """All files of a series in ``folder``; each file's name and the checksum it was compared with.

    Raises:
        InputError, StorageError: as ``listed`` and ``data.download.fetch``.
    """
    files, lock = listed(series, server), threading.Lock()

    def tell(size: int) -> None:
        with lock:
            report(size)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        waiting = [pool.submit(fetch, file, folder, tell) for file in files]
        try:
            for one in waiting:
                one.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return sorted((file.name, file.checksum) for file in files)


def _plays(series: IdcSeries, role: Role) -> bool:
    modality, pattern = role
    return series.modality == modality and re.search(pattern, series.description, re.IGNORECASE) is not None


def _parsed(content: bytes, url: str) -> ElementTree.Element:
    """The answer's XML without its name space."""
    text = re.sub(rb'\sxmlns="[^"]*"', b"", content)
    try:
        if b"<!DOCTYPE" in content or b"<!doctype" in content:  # a web page, or entities that S3 never sends
            raise ElementTree.ParseError("a document type")
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        root, cause = ElementTree.Element("none"), error
    else:
        cause = None
    if root.tag != "ListBucketResult":
        raise InputError(
            "the server's answer is no listing of files",
            where=url,
            seen=f"{len(content):,} bytes that begin with {content[:30]!r}",
            fix="check that no proxy or login page is in between",
        ) from cause
    return root


def _remote(entry: ElementTree.Element, series: IdcSeries, url: str) -> RemoteFile:
    key, tag = entry.findtext("Key", ""), entry.findtext("ETag", "").strip('"').lower()
    name = key.removeprefix(series.prefix)
    if not re.fullmatch(r"[\w-][\w.-]*", name) or not entry.findtext("Size", "").isdigit():
        raise InputError("a file of the archive has no plain name", where=url, seen=repr(key)[:120])
    checksum = f"md5:{tag}" if re.fullmatch(r"[0-9a-f]{32}", tag) else None
    return RemoteFile(f"{url}/{quote(key)}", name, int(entry.findtext("Size")), checksum)
