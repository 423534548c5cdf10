"""Cohorts: which patients a folder holds, which images each has, and which image belongs to which.

Layouts: ``COHORT/<patient>/<modality>.nii.gz`` with an optional ``COHORT/cohort.json`` beside the patients; any tree of
NIfTI files with a folder per patient; any tree of DICOM series, found by their headers.

A patient's key ends up in figures, slice stores and checkpoints. For NIfTI it is the patient folder's own name. For
DICOM it is a pseudonym, ``P-`` and eight hexadecimal digits of SHA-256 of PatientID: the same in every export, and
nothing a reader could take for a name. Names, birth dates and PatientID itself are never kept (``patient_keys``).
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.dicom_header import DicomSeries, scan_headers
from medsynth_lib.data.nifti import ENDINGS, known_modality
from medsynth_lib.data.patient_keys import dicom_people, is_nobodys, nifti_patients
from medsynth_lib.data.source import ImageSource, dicom_source, nifti_source
from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError

COHORT_FILE = "cohort.json"


@dataclass(frozen=True)
class Patient:
    """One patient's images, in the order of their paths."""

    key: str
    images: tuple[ImageSource, ...]

    @property
    def modalities(self) -> dict[str, ImageSource]:
        """One readable image per modality; of several, the one that overlaps the patient's others most, then one as it
        was taken, not reformatted, then the one with most slices."""
        readable = [image for image in self.images if image.error is None]
        chosen = {}
        for modality in sorted({image.modality for image in readable}):
            others = [image for image in readable if image.modality != modality]
            candidates = [image for image in readable if image.modality == modality]
            chosen[modality] = max(candidates, key=lambda image: (_overlap(image, others), *_merit(image)))
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

    def pairs(self, source: str, target: str, also: Sequence[str] = ()) -> list[Pair]:
        """One pair per patient that has both modalities, and those of ``also``, in one coordinate system, overlapping.

        DICOM images must share their FrameOfReferenceUID, or their study where they have none; NIfTI images share a
        patient folder. Of several candidates two of one visit are taken, then the two that overlap most, then images
        as they were taken before reformatted ones, then those with most slices; ``also`` are of the same visit.

        Raises:
            InputError: no patient has such a pair; the message counts why.
        """
        found = self._paired(source, target, also)
        pairs = [pair for pair in found.values() if isinstance(pair, Pair)]
        if not pairs:
            reasons = sorted({reason for reason in found.values() if isinstance(reason, str)}) or ["no patients"]
            words = " and ".join((source, target, *also))
            raise InputError(f"no {words} that belong together", where=self.root, seen="; ".join(reasons))
        return pairs

    def unpaired(self, source: str, target: str, also: Sequence[str] = ()) -> dict[str, str]:
        """Patient key -> why ``pairs`` has nothing for that patient."""
        return {key: why for key, why in self._paired(source, target, also).items() if isinstance(why, str)}

    def _paired(self, source: str, target: str, also: Sequence[str]) -> dict[str, Pair | str]:
        words = [known_modality(word) for word in (source, target, *also)]
        return {patient.key: _best_pair(patient, *words[:2], words[2:]) for patient in self.patients}


def discover(root: str | Path) -> Cohort:
    """Find every patient and image under ``root`` by reading headers only.

    An image that cannot be used is listed with its ``error``; it fails when read, not here.

    Raises:
        InputError: ``root`` does not exist, ``cohort.json`` is damaged, or nothing under ``root`` is an image.
    """
    root = Path(root)
    images, skipped, niftis, others = defaultdict(list), [], [], []
    for path, reason in files_under(root):
        if reason:
            skipped.append((path, reason))
        else:
            (niftis if path.name.lower().endswith(ENDINGS) else others).append(path)
    for path, (key, visit) in nifti_patients(root, niftis).items():
        images[key].append(nifti_source(path, visit=visit))
    found, not_dicom = scan_headers(others)
    skipped = sorted(skipped + [one for one in not_dicom if one[0].name != COHORT_FILE])
    people = dicom_people(found)
    for path, series in _placed(people):
        images[series.patient].append(dicom_source(series, path))
    several = len({one.patient for one in people if is_nobodys(one)}) > 1
    notes = ["no PatientID, or one like ANONYMOUS, stands for several people: told apart by study"] if several else []
    described = read_cohort_json(root / COHORT_FILE) if (root / COHORT_FILE).is_file() else {}
    return _assembled(root, images, skipped, described, notes)


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


def _assembled(
    root: Path, images: dict[str, list[ImageSource]], skipped: list, described: dict, notes: list[str]
) -> Cohort:
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
    problems = [*notes]
    if missing:
        problems.append(f"cohort.json lists {len(missing)} patients without images: {', '.join(missing)}")
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


def _best_pair(patient: Patient, source: str, target: str, also: Sequence[str]) -> Pair | str:
    images = {word: [one for one in patient.images if one.modality == word] for word in (source, target, *also)}
    for word in (source, target):
        if not any(image.error is None for image in images[word]):
            return f"no usable {word}: {images[word][0].error.what}" if images[word] else f"no {word}"
    couples = [couple for couple in product(images[source], images[target]) if _together(*couple)]
    if not couples:
        return f"{source} and {target} do not share a frame of reference, or do not overlap"
    for couple in sorted(couples, key=_rank, reverse=True):
        beside = [_beside(couple, images[word]) for word in also]
        if None not in beside:
            return Pair(patient.key, *couple, _told(images, (*couple, *beside)), tuple(beside))
    missing = next(word for word in also if all(_beside(couple, images[word]) is None for couple in couples))
    return f"no {missing} that belongs to the {source}"


def _together(one: ImageSource, other: ImageSource) -> bool:
    return one.shares_space_with(other) and one.overlap(other) > 0


def _rank(couple: tuple[ImageSource, ImageSource]) -> tuple:
    """Better couples compare as larger."""
    (one, other), merits = couple, zip(*map(_merit, couple), strict=True)
    return (one.same_visit(other), round(one.overlap(other), 3), *merits)


def _merit(image: ImageSource) -> tuple[bool, bool, int]:
    """Measured planes first: CT and PET are measured across the body, MR in any direction; NIfTI does not tell."""
    measured = image.axial or image.modality == "MR" or image.series is None
    return not image.derived, measured, image.slices


def _beside(couple: tuple[ImageSource, ImageSource], images: Iterable[ImageSource]) -> ImageSource | None:
    """The image of the couple's visit, or of one of its visits, that lies best on the source."""
    source = couple[0]
    needed = all if source.same_visit(couple[1]) else any
    belonging = [one for one in images if _together(source, one) and needed(one.same_visit(other) for other in couple)]
    return max(belonging, key=lambda image: _rank((source, image)), default=None)


def _told(images: dict[str, list[ImageSource]], chosen: Sequence[ImageSource]) -> tuple[str, ...]:
    """What a reader should know of the choice among several images."""
    source, target = chosen[:2]
    notes = [
        f"{len(images[one.modality])} {one.modality} images: took the one that overlaps most ({one.slices} slices)"
        for one in chosen
        if len(images[one.modality]) > 1
    ]
    apart = [] if source.same_visit(target) else [f"{source.modality} and {target.modality} are of different visits"]
    return (*notes, *apart)


def _overlap(image: ImageSource, others: Sequence[ImageSource]) -> float:
    return round(sum(image.overlap(other) for other in others if image.shares_space_with(other)), 3)
