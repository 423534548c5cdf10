"""What in a DICOM header tells who the patient is: looked for in outputs, and never told itself."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
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


def identifiers_of(tags: Dataset) -> dict[str, set[str]]:
    """Keyword → values by which the patient, persons or places could be known; nested and private tags included.

    Person names give their parts as well; dates are eight digits; free text counts as a whole from 12 letters on.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for element in elements(tags):
        found[element.keyword or "private tag"] |= set(_identifying(element))
    return {keyword: values for keyword, values in found.items() if values}


def folder_identifiers(folder: str | Path) -> dict[str, str]:
    """Value → keyword, of every DICOM file under ``folder``.

    Raises:
        InputError: no DICOM file is there.
    """
    found: dict[str, str] = {}
    files = 0
    for path, reason in files_under(folder):
        if reason is None and is_dicom(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tags = dcmread(path, stop_before_pixels=True)
            files += 1
            found |= {value: keyword for keyword, values in identifiers_of(tags).items() for value in values}
    if not files:
        raise InputError("no DICOM file is there", where=folder)
    return found


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


def _identifying(element: DataElement) -> Iterator[str]:
    private, kind = element.tag.is_private, element.VR
    if kind in ("SQ", "UI") or element.keyword == "PixelData":
        return
    for text in texts(element):
        if kind == "PN":
            yield from _name_parts(text)
        elif kind in ("DA", "DT"):
            day = re.match(r"\d{8}", text.replace(".", "")[:8])
            yield from [day[0]] if day and day[0] not in PLACEHOLDERS else []
        elif kind not in TEXTS - {"CS"} or (private and element.tag.is_private_creator):  # code words, makers
            continue
        elif len(text) >= _shortest(element):
            yield text


def _shortest(element: DataElement) -> float:
    """From which length on a text is an identifier: short where its tag names somebody, never where it names nobody."""
    if element.tag.is_private:
        return SHORTEST_PRIVATE
    if NAMING.search(element.keyword or ""):
        return SHORTEST_ID
    return SHORTEST_TEXT if element.VR in LONG_TEXTS else float("inf")


def _name_parts(text: str) -> Iterator[str]:
    parts = [part for part in re.split(r"[\^=\s,;]+", text) if len(part) >= SHORTEST_NAME]
    yield from parts
    if len(parts) > 1:
        yield text
