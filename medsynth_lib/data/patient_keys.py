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
from medsynth_lib.data.nifti import NAME_WORDS
from medsynth_lib.data.tags import text

MODALITY_WORDS = set().union(*NAME_WORDS.values())
#: Folders named by nothing but such words divide a patient's images, not the patients.
SUBFOLDER_WORDS = MODALITY_WORDS | {"anat", "image", "images", "nifti", "dicom", "nii"}
#: Visits of one patient, below its folder: BIDS sessions, dates, "visit2". Two visits are one patient, or the split
#: leaks. At the top of a cohort the same names are patients: "study_001".
VISIT = re.compile(r"(ses|visit|study|timepoint|tp)[-_]?\w*$|\d{4}[-_.]?\d{2}[-_.]?\d{2}$")
#: What stands in PatientID where someone took the patient's own out.
NOBODY = re.compile(r"(anon[a-z]*|de-?identified|unknown|removed|none|null|no ?(id|name)|n/?a|test|patient|[x0*-]+)$")


def nifti_patients(root: Path, paths: Sequence[Path]) -> dict[Path, tuple[str, str]]:
    """Each file's patient key and visit (``""`` where it has none).

    The key is the path of the patient's folder below ``root``. Files without a folder are told apart by what stands
    before the modality in their names, if that differs, and are ``root``'s own patient otherwise. Folders that come to
    one key once their names are fit to be keys are told apart by a hash.
    """
    placed = {path: _folders(root, path) for path in paths}
    loose = {path: _before_the_modality(path) for path, (folders, _) in placed.items() if not folders}
    if len({folders for folders, _ in loose.values()}) > 1:
        placed |= loose
    keys = _keys((root if root.is_dir() else root.parent).resolve().name, {folders for folders, _ in placed.values()})
    return {path: (keys[folders], visit) for path, (folders, visit) in placed.items()}


def dicom_people(found: Sequence[DicomSeries]) -> list[DicomSeries]:
    """``found`` with a ``patient`` each of its own where PatientID is a placeholder such as ANONYMOUS.

    It is nobody's, so its series are one person's only where a study or a frame of reference links them.
    """
    groups: list[set[str]] = []
    for series in found:
        if _is_nobody(series):
            linked = [group for group in groups if group & _links(series)]
            groups = [group for group in groups if group not in linked] + [_links(series).union(*linked)]
    people = {link: "P-" + _digest(min(group)) for group in groups for link in group}
    return [replace(one, patient=people[min(_links(one))]) if _is_nobody(one) else one for one in found]


def is_placeholder(patient_id: str) -> bool:
    """Whether a PatientID is what someone wrote in place of the patient's own."""
    return bool(NOBODY.match(patient_id.strip().lower()))


def _is_nobody(series: DicomSeries) -> bool:
    return is_placeholder(text(series.planes[0].tags, "PatientID"))


def _links(series: DicomSeries) -> set[str]:
    tags = series.planes[0].tags
    study = text(tags, "StudyInstanceUID") or text(tags, "SeriesInstanceUID")
    return {study, series.frame_of_reference} - {None}


def _folders(root: Path, path: Path) -> tuple[tuple[str, ...], str]:
    """The folders that name the patient, and the visit below them."""
    parts, visit = list(path.relative_to(root).parts[:-1]) if path != root else [], []
    while parts:
        if _names_images(parts[-1]):
            parts.pop()
        elif VISIT.match(parts[-1].lower()) and not all(map(_names_images, parts[:-1])):
            visit.append(parts.pop())
        else:
            break
    return tuple(parts), "/".join(visit)


def _names_images(folder: str) -> bool:
    return set(re.split(r"[^a-z0-9]+", folder.lower())) <= SUBFOLDER_WORDS


def _before_the_modality(path: Path) -> tuple[tuple[str, ...], str]:
    """What ``sub-01_ses-2_T1w.nii.gz`` says before the modality: ``("sub-01",)`` and ``"ses-2"``."""
    words = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.I).split("_")
    modal = [bool(set(re.split(r"[^a-z0-9]+", word.lower())) & MODALITY_WORDS) for word in words]
    first = words[: modal.index(True)] if True in modal else words
    visits = [word for word in first[1:] if VISIT.match(word.lower())]
    name = "_".join(word for word in first if word not in visits)
    return (name,) if name else (), "_".join(visits)


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
