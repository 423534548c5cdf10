"""Whose image a file is: the patient's key and the visit, from folders and names (NIfTI) or headers (DICOM).

Two people under one key are paired with each other, one person under two keys is trained and tested on: where names do
not tell, people are kept apart.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from medsynth_lib.data.dicom_header import DicomSeries
from medsynth_lib.data.nifti import NAME_WORDS, modality_from_name
from medsynth_lib.data.tags import study_of, text
from medsynth_lib.errors import InputError

MODALITY_WORDS = set().union(*NAME_WORDS.values())
#: Folders named by nothing but such words divide a patient's images, not the patients.
SUBFOLDER_WORDS = MODALITY_WORDS | {"anat", "image", "images", "nifti", "dicom", "nii"}
SUBFOLDER_WORDS |= {"imagestr", "imagests", "labelstr", "labelsts"}  # nnU-Net
#: Folders of patients, of whom none is called so.
GROUPS = {"train", "training", "val", "valid", "validation", "test", "testing", "data", "cohort", "raw", "sourcedata"}
#: Visits of one patient, below its folder: BIDS sessions, dates, "visit2". Two visits are one patient, or the split
#: leaks. At the top of a cohort the same names are patients: "study_001".
VISIT = re.compile(
    r"ses-\w+$|(ses|session|visit|study|timepoint|tp)[-_]?\d\w*$"
    r"|(19|20)\d\d[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])$"
    r"|(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])-(19|20)\d\d\b"  # TCIA: 03-23-2003-NA-PET-CT
)
#: What stands in PatientID where someone took the patient's own out.
NOBODY = re.compile(r"(|anon[a-z]*|de-?identified|unknown|removed|none|null|no ?(id|name)|n/?a|test|patient|[x0*-]+)$")


def nifti_patients(root: Path, paths: Sequence[Path]) -> dict[Path, tuple[str, str]]:
    """Each file's patient key and visit (``""`` where it has none).

    The key is the path of the patient's folder below ``root``. Files without a folder are told apart by what their
    names say beside the modality (``_loose``), and are ``root``'s own patient otherwise. Folders that come to one key
    once their names are fit to be keys are told apart by a hash.
    """
    placed = {path: _folders(root, path) for path in paths}
    placed |= _loose([path for path, (folders, _) in placed.items() if not folders])
    keys = _keys((root if root.is_dir() else root.parent).resolve().name, {folders for folders, _ in placed.values()})
    return {path: (keys[folders], visit) for path, (folders, visit) in placed.items()}


def dicom_people(found: Sequence[DicomSeries]) -> list[DicomSeries]:
    """``found`` with a ``patient`` each of its own where PatientID is empty or a placeholder such as ANONYMOUS.

    It is nobody's, so its series are one person's only where a study or a frame of reference links them.
    """
    groups: list[set[str]] = []
    for series in found:
        if is_nobodys(series):
            linked = [group for group in groups if group & _links(series)]
            groups = [group for group in groups if group not in linked] + [_links(series).union(*linked)]
    people = {link: "P-" + _digest(min(group)) for group in groups for link in group}
    return [replace(one, patient=people[min(_links(one))]) if is_nobodys(one) else one for one in found]


def is_placeholder(patient_id: str) -> bool:
    """Whether a PatientID is empty, or what someone wrote in place of the patient's own."""
    return bool(NOBODY.match(patient_id.strip().lower()))


def is_nobodys(series: DicomSeries) -> bool:
    """Whether its PatientID does not tell whose it is."""
    return is_placeholder(text(series.planes[0].tags, "PatientID"))


def _links(series: DicomSeries) -> set[str]:
    return {study_of(series.planes[0].tags), series.frame_of_reference} - {None}


def _folders(root: Path, path: Path) -> tuple[tuple[str, ...], str]:
    """The folders that name the patient, and the visit below them."""
    parts, visit = list(path.relative_to(root).parts[:-1]) if path != root else [], []
    while parts:
        if _names_images(parts[-1]):
            parts.pop()
        elif VISIT.match(parts[-1].lower()) and not all(map(_names_no_patient, parts[:-1])):
            visit.append(parts.pop())
        else:
            break
    return tuple(parts), "/".join(visit)


def _names_images(folder: str) -> bool:
    return set(re.split(r"[^a-z0-9]+", folder.lower())) <= SUBFOLDER_WORDS


def _names_no_patient(folder: str) -> bool:
    return _names_images(folder) or folder.lower() in GROUPS


def _loose(paths: Sequence[Path]) -> dict[Path, tuple[tuple[str, ...], str]]:
    """Patient and visit of files without a folder, by the words of their names less modality and visit.

    Images make patients. A label map, or what is no image, belongs to the patient whose words its own begin with:
    ``P1_tumor_seg`` to ``P1_CT``. Where an image is called by its modality alone, all are of one patient.
    """
    said = {path: _words(path) for path in paths}
    people = {words for words, _, is_image in said.values() if is_image}
    if () in people:
        return {path: ((), visit) for path, (_, visit, _) in said.items()}
    found = {}
    for path, (words, visit, is_image) in said.items():
        owners = [words] if is_image else [one for one in people if words[: len(one)] == one]
        name = "-".join(max(owners, key=len, default=words))
        found[path] = ((name,) if name else (), visit)
    return found


def _words(path: Path) -> tuple[tuple[str, ...], str, bool]:
    """Of ``sub-01_ses-2_T1w.nii.gz`` ``("sub", "01")``, ``"ses-2"``, and whether its name is an image's."""
    parts = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.I).split("_")
    visits = [part for part in parts[1:] if VISIT.match(part.lower())]
    words = re.findall(r"[^\W_]+", " ".join(part for part in parts if part not in visits))
    try:
        is_image = modality_from_name(path) != "LABELS"
    except InputError:
        is_image = False
    return tuple(word for word in words if word.lower() not in MODALITY_WORDS), "_".join(visits), is_image


def _keys(root_name: str, patients: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A key of its own for each patient's folders; where several come to the same, the folder of that name keeps it."""
    keys = {folders: re.sub(r"[^\w.+-]", "_", "-".join(folders) or root_name) or "patient" for folders in patients}
    same = defaultdict(list)
    for folders, key in keys.items():
        same[key].append(folders)
    for key, several in same.items():
        if len(several) > 1:
            keys |= {folders: f"{key}-{_digest('/'.join(folders))}" for folders in several if folders != (key,)}
    return keys


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode(errors="replace")).hexdigest()[:8]
