"""Cohorts: which patients a folder holds, which images each has, and which image belongs to which.

Layouts: ``COHORT/<patient>/<modality>.nii.gz`` with an optional ``COHORT/cohort.json`` beside the patients; any tree of
NIfTI files with a folder per patient; any tree of DICOM series, found by their headers.

A patient's key ends up in figures, slice stores and checkpoints. For NIfTI it is the patient folder's own name. For
DICOM it is a pseudonym, ``P-`` and eight hexadecimal digits of SHA-256 of PatientID: the same in every export, and
nothing a reader could take for a name. Names, birth dates and PatientID itself are never kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.dicom_header import DicomSeries, scan_headers
from medsynth_lib.data.nifti import ENDINGS, NAME_WORDS, known_modality
from medsynth_lib.data.source import ImageSource, dicom_source, nifti_source
from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError

COHORT_FILE = "cohort.json"
#: Folders named by nothing but such words divide a patient's images, not the patients.
SUBFOLDER_WORDS = set().union(*NAME_WORDS.values()) | {"anat", "image", "images", "nifti", "dicom", "nii"}

#: Folders of one patient's visits: BIDS sessions, dates, "visit2". Two visits are one patient, or the split leaks.
VISIT = re.compile(r"(ses|visit|study|timepoint|tp)[-_]?\w*$|\d{4}[-_.]?\d{2}[-_.]?\d{2}$")


@dataclass(frozen=True)
class Patient:
    """One patient's images, in the order of their paths."""

    key: str
    images: tuple[ImageSource, ...]

    @property
    def modalities(self) -> dict[str, ImageSource]:
        """One readable image per modality; of several, the one that overlaps the patient's others most, then the
        one with most slices."""
        readable = [image for image in self.images if image.error is None]
        chosen = {}
        for modality in sorted({image.modality for image in readable}):
            others = [image for image in readable if image.modality != modality]
            candidates = [image for image in readable if image.modality == modality]
            chosen[modality] = max(candidates, key=lambda image: (_overlap(image, others), image.slices))
        return chosen


@dataclass(frozen=True)
class Pair:
    """Two images of one patient in one coordinate system, and more where asked for; ``problems`` says what was chosen
    among several."""

    patient: str
    source: ImageSource
    target: ImageSource
    problems: tuple[str, ...] = ()
    also: tuple[ImageSource, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """The patients found under ``root``, and the files that were passed over with the reason."""

    root: Path
    patients: tuple[Patient, ...]
    skipped: tuple[tuple[Path, str], ...] = ()
    name: str = ""
    license: str = "unknown"
    synthetic: bool = False
    notes: str = ""
    problems: tuple[str, ...] = ()

    def pairs(self, source: str, target: str) -> list[Pair]:
        """One pair per patient that has both modalities in one coordinate system, overlapping.

        DICOM images must share their FrameOfReferenceUID; NIfTI images share a patient folder. Of several candidates
        the two that overlap most are taken, then those with most slices.

        Raises:
            InputError: no patient has such a pair; the message counts why.
        """
        found = self._paired(source, target)
        pairs = [pair for pair in found.values() if isinstance(pair, Pair)]
        if not pairs:
            reasons = sorted(set(self.unpaired(source, target).values())) or ["no patients"]
            raise InputError(f"no {source} and {target} that belong together", where=self.root, seen="; ".join(reasons))
        return pairs

    def unpaired(self, source: str, target: str) -> dict[str, str]:
        """Patient key -> why ``pairs`` has nothing for that patient."""
        return {key: reason for key, reason in self._paired(source, target).items() if isinstance(reason, str)}

    def _paired(self, source: str, target: str) -> dict[str, Pair | str]:
        words = known_modality(source), known_modality(target)
        return {patient.key: _best_pair(patient, *words) for patient in self.patients}


def discover(root: str | Path) -> Cohort:
    """Find every patient and image under ``root`` by reading headers only.

    An image that cannot be used is listed with its ``error``; it fails when read, not here.

    Raises:
        InputError: ``root`` does not exist, ``cohort.json`` is damaged, or nothing under ``root`` is an image.
    """
    root = Path(root)
    images, skipped = defaultdict(list), []
    others = []
    for path, reason in files_under(root):
        if reason:
            skipped.append((path, reason))
        elif path.name.lower().endswith(ENDINGS):
            images[_patient_key(root, path)].append(nifti_source(path))
        else:
            others.append(path)
    found, not_dicom = scan_headers(others)
    skipped = sorted(skipped + [one for one in not_dicom if one[0].name != COHORT_FILE])
    for path, series in _placed(found):
        images[series.patient].append(dicom_source(series, path))
    described = read_cohort_json(root / COHORT_FILE) if (root / COHORT_FILE).is_file() else {}
    return _assembled(root, images, skipped, described)


def write_cohort_json(
    root: str | Path,
    *,
    name: str,
    license: str,
    patients: Sequence[str],
    modalities: Sequence[str],
    synthetic: bool = False,
    notes: str = "",
) -> Path:
    """Describe the cohort at ``root`` in ``cohort.json``, atomically.

    Raises:
        InputError: a modality we do not know, or a patient key that is no plain folder name.
    """
    content = {
        "name": name,
        "license": license,
        "synthetic": synthetic,
        "modalities": [known_modality(word) for word in modalities],
        "patients": list(patients),
        "notes": notes,
    }
    path = Path(root) / COHORT_FILE
    _check_description(content, path)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def read_cohort_json(path: str | Path) -> dict:
    """The fields of a ``cohort.json`` (``name, license, synthetic, modalities, patients, notes``), checked.

    Raises:
        InputError: not JSON, or a field of the wrong kind.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError("cohort.json cannot be read", where=path, seen=error, fix="write it again") from error
    _check_description(content, path)
    return content


def _check_description(content: object, path: Path) -> None:
    kinds = {"name": str, "license": str, "synthetic": bool, "modalities": list, "patients": list, "notes": str}
    if not isinstance(content, dict) or not isinstance(content.get("patients"), list):
        raise InputError("cohort.json must list its patients", where=path, rule='{"patients": [...], ...}')
    for key, value in content.items():
        if key in kinds and not isinstance(value, kinds[key]):
            raise InputError(f"cohort.json: {key} must be a {kinds[key].__name__}", where=path, seen=value)
    for word in content.get("modalities", []):
        known_modality(str(word), path)
    for patient in content["patients"]:
        if not isinstance(patient, str) or not re.fullmatch(r"\w[\w.+-]*", patient):
            raise InputError("a patient must be a plain folder name", where=path, seen=repr(patient))


def _assembled(root: Path, images: dict[str, list[ImageSource]], skipped: list, described: dict) -> Cohort:
    listed = described.get("patients")
    wanted = sorted(images) if listed is None else [key for key in listed if key in images]
    if not wanted:
        raise InputError(
            "no image was found",
            where=root,
            rule=".nii, .nii.gz or DICOM files, in a folder per patient",
            seen=f"{len(skipped)} other files",
        )
    missing = [key for key in listed or [] if key not in images]
    problems = [f"cohort.json lists {len(missing)} patients without images: {', '.join(missing)}"] if missing else []
    for key in sorted(set(images) - set(wanted)):
        skipped += [(image.path, "its patient is not listed in cohort.json") for image in images[key]]
    about = {key: described[key] for key in ("name", "license", "synthetic", "notes") if key in described}
    patients = tuple(Patient(key, tuple(images[key])) for key in wanted)
    return Cohort(root, patients, tuple(skipped), problems=tuple(problems), **{"name": root.name, **about})


def _placed(found: list[DicomSeries]) -> list[tuple[Path, DicomSeries]]:
    """Each series with its folder, or with its first file where several series share the folder."""
    folders = Counter(series.folder for series in found)
    paths = [one.folder if folders[one.folder] == 1 else min(plane.path for plane in one.planes) for one in found]
    return sorted(zip(paths, found, strict=True), key=lambda item: item[0])


def _patient_key(root: Path, path: Path) -> str:
    """The folders between ``root`` and the file, less those that only name a modality."""
    parts = list(path.relative_to(root).parts[:-1]) if path != root else []
    while parts and _only_divides(parts[-1]):
        parts.pop()
    name = "-".join(parts) or (root if root.is_dir() else root.parent).resolve().name
    return re.sub(r"[^\w.+-]", "_", name) or "patient"


def _only_divides(folder: str) -> bool:
    words = set(re.split(r"[^a-z0-9]+", folder.lower()))
    return bool(VISIT.match(folder.lower())) or words <= SUBFOLDER_WORDS


def _best_pair(patient: Patient, source: str, target: str) -> Pair | str:
    sources = [image for image in patient.images if image.modality == source]
    targets = [image for image in patient.images if image.modality == target]
    for word, found in ((source, sources), (target, targets)):
        if not any(image.error is None for image in found):
            return f"no usable {word}: {found[0].error.what}" if found else f"no {word}"
    couples = [(a, b) for a, b in product(sources, targets) if a.shares_space_with(b) and a.overlap(b) > 0]
    if not couples:
        return f"{source} and {target} do not share a frame of reference, or do not overlap"
    best = max(couples, key=lambda couple: (round(couple[0].overlap(couple[1]), 3), couple[0].slices, couple[1].slices))
    problems = [
        f"{len(found)} {word} images: took the one that overlaps most ({image.slices} slices)"
        for word, found, image in ((source, sources, best[0]), (target, targets, best[1]))
        if len(found) > 1
    ]
    return Pair(patient.key, *best, tuple(problems))


def _overlap(image: ImageSource, others: Sequence[ImageSource]) -> float:
    return round(sum(image.overlap(other) for other in others if image.shares_space_with(other)), 3)
