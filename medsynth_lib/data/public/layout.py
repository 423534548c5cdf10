"""Fetched images into the one cohort layout: a patient is there whole or not at all, and their origin is recorded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from medsynth_lib import __version__
from medsynth_lib.data.atomic import atomic_path, storage_errors
from medsynth_lib.data.cohort import Cohort, Pair, Patient, discover, write_cohort_json
from medsynth_lib.data.dicom_header import DicomSeries, scan_headers
from medsynth_lib.data.download import sha256
from medsynth_lib.data.framing import pair_planes
from medsynth_lib.data.nifti import write_nifti
from medsynth_lib.data.public import PublicCohort
from medsynth_lib.data.source import ImageSource, dicom_source
from medsynth_lib.data.tags import text
from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError

PROVENANCE = "provenance.json"


@dataclass
class Provenance:
    """What ``provenance.json`` says: the source, and for each patient which series became which file.

    The only identifiers are those the archive has made public: pseudonymous patient identifiers and UIDs.
    """

    about: dict
    patients: dict[str, dict]
    skipped: dict[str, str]
    complete: int | str = 0  # for so many patients, or "all"

    @classmethod
    def begun(cls, cohort: PublicCohort, out: Path, subset: str, layout: str, source: str) -> Provenance:
        """That of an earlier, interrupted or smaller run at ``out``; a new one where there was none.

        Raises:
            InputError: ``out`` holds something else.
        """
        about = {
            "cohort": cohort.name,
            "archive": f"{cohort.archive}, {cohort.identifier}",
            "source": source,
            "doi": cohort.doi,
            "license": cohort.license,
            "terms": cohort.terms,
            "citation": cohort.citation,
            "subset": subset,
            "layout": layout,
            "made_with": f"medsynth {__version__}",
            "date": datetime.now(UTC).date().isoformat(),
        }
        if not out.exists() or not any(out.iterdir()):
            return cls(about, {}, {})
        before = _read(out / PROVENANCE)
        if any(before.get(key) != about[key] for key in ("cohort", "archive", "source", "subset", "layout")):
            raise InputError(
                "the output already holds something else",
                where=out,
                rule="a new folder, or one that the same command began",
                fix="choose another --out, or delete it",
            )
        return cls({**about, "date": before["date"]}, before["patients"], before["skipped"], before["complete"])

    def covers(self, patients: int | None) -> bool:
        """Whether an earlier run has finished with as many patients."""
        return self.complete == "all" or (patients is not None and patients <= self.complete)

    def done(self, out: Path, patient: str) -> bool:
        """Whether nothing is left to do for a patient."""
        return patient in self.skipped or (patient in self.patients and (out / patient).is_dir())

    def write(self, out: Path, cohort: PublicCohort) -> None:
        """``provenance.json`` and ``cohort.json``, each whole."""
        with atomic_path(out / PROVENANCE) as temporary:
            content = {**self.about, "complete": self.complete, "patients": self.patients, "skipped": self.skipped}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if self.patients:
            write_cohort_json(
                out,
                name=cohort.name,
                license=cohort.license,
                patients=[one["key"] for one in self.patients.values()],
                modalities=[cohort.source, cohort.target],
                notes=f"{cohort.title}. https://doi.org/{cohort.doi}. {cohort.terms} See {PROVENANCE}.",
            )


def place_nifti(out: Path, patient: str, images: Sequence[ImageSource], cohort: PublicCohort) -> dict:
    """``out/patient/<modality>.nii.gz`` for the pair among ``images`` that overlaps most; what was written.

    Raises:
        InputError: the patient has no usable pair; nothing is written.
        StorageError: the disk refused.
    """
    pair = _pair(patient, images, cohort)
    written = {}
    with atomic_path(out / patient, replace_folder=True) as folder:  # as in ``place_dicom``
        folder.mkdir()
        for image in (pair.source, pair.target):
            volume = replace(image.read(), modality=image.modality)
            problems = list(volume.problems)
            if volume.plane_offsets_mm is not None:
                volume = volume.to_even_planes()
                problems.append(f"interpolated onto {volume.shape[2]} evenly spaced planes")
            file = write_nifti(volume, folder / f"{image.modality}.nii.gz")
            written[image.modality] = {"file": file.name, "checksum": sha256(file), "problems": problems} | (
                {"series": series_uid(image.series)} if image.series else {}
            )
    return {"key": patient, "images": written, "problems": list(pair.problems)}


def place_dicom(out: Path, patient: str, arrived: Path, images: Sequence[ImageSource], cohort: PublicCohort) -> dict:
    """The folder ``arrived`` as ``out/patient``, if the patient has a usable pair in it; what was placed.

    Raises:
        InputError, StorageError: as ``place_nifti``.
    """
    pair = _pair(patient, images, cohort)
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(out / patient, ignore_errors=True)  # placed by a run that was killed before it could say so
        os.replace(arrived, out / patient)
    placed = {image.modality: {"series": series_uid(image.series)} for image in (pair.source, pair.target)}
    return {"key": pair.source.series.patient, "images": placed, "problems": list(pair.problems)}


def dicom_images(folder: Path, words: Mapping[str, str]) -> list[ImageSource]:
    """The series under ``folder`` whose UID is in ``words``, each as the modality ``words`` says it is."""
    found, _ = scan_headers(path for path, reason in files_under(folder) if reason is None)
    return [
        replace(dicom_source(series, series.folder), modality=words[series_uid(series)])
        for series in found
        if series_uid(series) in words
    ]


def series_uid(series: DicomSeries) -> str:
    """The SeriesInstanceUID that the planes share."""
    return text(series.planes[0].tags, "SeriesInstanceUID")


def count_pairs(root: Path, source: str, target: str, tolerance_mm: float) -> dict[str, int]:
    """Patient → pairs of planes at most ``tolerance_mm`` apart, as ``prepare`` pairs them by position (001 §4)."""
    counts = {}
    for pair in discover(root).pairs(source, target):
        try:
            counts[pair.patient] = len(pair_planes(pair.source.read(), pair.target.read(), tolerance_mm)[2])
        except InputError:
            counts[pair.patient] = 0
    return counts


def _pair(patient: str, images: Sequence[ImageSource], cohort: PublicCohort) -> Pair:
    return Cohort(Path(patient), (Patient(patient, tuple(images)),)).pairs(cohort.source, cohort.target)[0]


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and {"patients", "skipped", "date", "complete"} <= set(content):
            return content
    except (OSError, ValueError, RecursionError):
        pass
    return {}
