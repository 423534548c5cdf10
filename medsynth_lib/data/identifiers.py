"""What in a DICOM header tells who the patient is: looked for in outputs, and never told itself."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError

#: Texts that name a person, a place or a device, by the end of their keyword.
NAMING = re.compile(
    r"(ID|IDs|AccessionNumber|SerialNumber|OrderNumber\w*|Address|TelephoneNumbers?|StationName|Institution\w*|AETitle|"
    r"ApplicationEntityTitle|Residence|Location|Occupation|MilitaryRank|EthnicGroup|Preference|Physician\w*|Operator\w*)$"
)
TEXTS = {"LO", "SH", "AE", "ST", "LT", "UT", "UC", "UR", "CS", "UN", "OB"}
LONG_TEXTS = {"ST", "LT", "UT", "UC"}
#: Dates that stand for "unknown".
PLACEHOLDERS = {"19000101", "19000102", "00000000", "99991231"}
#: Shorter ones would be found in any file.
SHORTEST_NAME, SHORTEST_ID, SHORTEST_PRIVATE, SHORTEST_TEXT = 3, 4, 6, 12
#: Chinese, Japanese and Korean writing begins here (U+2E80).
IDEOGRAPHS = "\u2e80"


def identifiers_of(tags: Dataset) -> dict[str, set[str]]:
    """Keyword → values by which the patient, persons or places could be known; nested and private tags included.

    Person names give their parts as well; dates are eight digits; free text counts as a whole from 12 letters on.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for keyword, value, long_enough in _identifying(tags):
        found[keyword] |= {value} if long_enough else set()
    return {keyword: values for keyword, values in found.items() if values}


def folder_identifiers(folder: str | Path) -> tuple[dict[str, str], dict[str, int]]:
    """Of every DICOM file under ``folder``: value → keyword, and keyword → how many are too short to be looked for.

    Raises:
        InputError: no DICOM file is there.
    """
    found: dict[str, str] = {}
    short: set[tuple[str, str]] = set()
    files = 0
    for path, reason in files_under(folder):
        if reason is None and is_dicom(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tags = dcmread(path, stop_before_pixels=True)
            files += 1
            for keyword, value, long_enough in _identifying(tags):
                if long_enough:
                    found[value] = keyword
                else:
                    short.add((keyword, value))
    if not files:
        raise InputError("no DICOM file is there", where=folder)
    return found, dict(Counter(keyword for keyword, _ in sorted(short)))


def is_long_enough(name: str) -> bool:
    """Whether a name would not be found in any file; two Chinese characters or Korean syllables tell enough."""
    return len(name) >= SHORTEST_NAME or (len(name) == 2 and min(name) >= IDEOGRAPHS)


def is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def elements(tags: Dataset) -> Iterator[DataElement]:
    """Every element of a dataset and of the datasets in it; damaged ones are passed over."""
    for tag in list(tags.keys()):
        try:
            element = tags[tag]
            items = list(element.value) if element.VR == "SQ" else []
        except Exception:  # a damaged value makes the parser fail in any way it likes
            continue
        yield element
        for item in items:
            yield from elements(item)


def texts(element: DataElement) -> list[str]:
    """The values of an element as text, of bytes too where they are printable."""
    values = element.value if element.VM > 1 and not isinstance(element.value, bytes) else [element.value]
    found = []
    for value in values:
        text = value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value).strip()
        found += [text] if text.isprintable() or not isinstance(value, bytes) else []
    return found


def mentions(element: DataElement, identifiers: Mapping[str, set[str]]) -> bool:
    """Whether the text of an element holds one of the names or numbers in ``identifiers``."""
    if element.VR not in TEXTS | {"PN"} or element.keyword == "PixelData":
        return False
    held = " ".join(texts(element)).lower()
    return any(
        re.search(rf"(?<![^\W_]){re.escape(value.lower())}(?![^\W_])", held)
        for values in identifiers.values()
        for value in values
    )


def _identifying(tags: Dataset) -> Iterator[tuple[str, str, bool]]:
    """Keyword, value, and whether it is long enough to be looked for."""
    for element in elements(tags):
        yield from ((element.keyword or "private tag", *found) for found in _values(element))


def _values(element: DataElement) -> Iterator[tuple[str, bool]]:
    private, kind = element.tag.is_private, element.VR
    if kind in ("SQ", "UI") or element.keyword == "PixelData":
        return
    for text in texts(element):
        if kind == "PN":
            yield from ((part, is_long_enough(part)) for part in _name_parts(text))
        elif kind in ("DA", "DT"):
            day = re.match(r"\d{8}", text.replace(".", "")[:8])
            yield from [(day[0], True)] if day and day[0] not in PLACEHOLDERS else []
        elif kind not in TEXTS - {"CS"} or (private and element.tag.is_private_creator):  # code words, makers
            continue
        elif text and (len(text) >= _shortest(element) or _shortest(element) == SHORTEST_ID):
            yield text, len(text) >= _shortest(element)


def _shortest(element: DataElement) -> float:
    """From which length on a text is an identifier: short where its tag names somebody, never where it names nobody."""
    if element.tag.is_private:
        return SHORTEST_PRIVATE
    if NAMING.search(element.keyword or ""):
        return SHORTEST_ID
    return SHORTEST_TEXT if element.VR in LONG_TEXTS else float("inf")


def _name_parts(text: str) -> Iterator[str]:
    """The parts of a name, and as a whole each way it is written: of ``Li^Wu=李^伟`` no part says much."""
    for written in text.split("="):
        parts = [part for part in re.split(r"[\^\s,;]+", written) if part]
        yield from parts
        if len(parts) > 1:
            yield written
