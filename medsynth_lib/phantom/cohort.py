"""Cohorts of virtual patients, in the one cohort layout."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.data.cohort import COHORT_FILE
from medsynth_lib.data.dicom import find_series
from medsynth_lib.data.dicom_segmentation import write_segmentation
from medsynth_lib.data.dicom_writer import Protocol, Subject, write_series
from medsynth_lib.data.nifti import write_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from medsynth_lib.phantom.anatomy import Torso
from medsynth_lib.phantom.head import Head
from medsynth_lib.phantom.imaging import Imaging

#: Goes up whenever the phantom's images change: part of the cache's key.
VERSION = 5
#: Profile -> what ``default_cohort`` makes. Planes are spread over the region, so that few patients show all of it.
PROFILES = {
    "smoke": {"patients": 4, "slices": 8, "size": 64},
    "lesson": {"patients": 12, "slices": 24, "size": 256},
    "paper": {"patients": 60, "slices": 96, "size": 256},
}
ANATOMIES = {"torso": Torso, "head": Head}
FORMATS = ("nifti", "dicom")
PAIRINGS = ("exact", "breathing", "unpaired")
ALL = ("CT", "CECT", "PET", "MR", "LABELS")
LICENSE = "CC0-1.0"
#: Depth of breath, as parts of ``breath_mm``, in each image when pairing is "breathing": CT and its labels breathed in,
#: MR a little out; PET averages over quiet breathing whatever the pairing.
BREATHS = {"CT": 1.0, "CECT": 1.3, "LABELS": 1.0, "MR": -0.3}


def make_cohort(
    out: str | Path,
    patients: int = 8,
    region: str = "torso",
    size: int = 256,
    seed: int = 0,
    format: str = "nifti",
    pairing: str = "exact",
    slices: int | None = None,
    spacing_mm: float = 5.0,
    modalities: Sequence[str] = ALL,
    lesions: int = 0,
    workers: int = 1,
    breath_mm: float = 14.0,
) -> Path:
    """Make virtual patients and write them to ``out``: ``cohort.json`` and ``<patient>/<modality>.nii.gz``.

    Args:
        out: a folder that does not exist yet or is empty.
        patients: how many; in an unpaired cohort, how many for each modality.
        region: ``torso`` (neck to upper thigh, 500 mm field of view).
        size: pixels along a side; PET has half as many.
        seed: the same seed gives the same bytes.
        pairing: ``exact``: one anatomy, one breath; ``breathing``: each image in its own breath (``BREATHS``);
            ``unpaired``: every image is of another patient, on another scanner.
        slices: that many, spread evenly over the region; by default every ``spacing_mm``.
        modalities: which images to make.
        breath_mm: how far the dome of the CT lies below that of the PET when pairing is ``breathing``.
        workers: processes that make patients at the same time.
        lesions: how many each patient has; their kind, place and size are listed in ``cohort.json``.

    Raises:
        InputError: an argument outside its range, or ``out`` holds something already.
    """
    out = Path(out)
    _check(
        out, patients, region, size, seed, format, pairing, slices, spacing_mm, modalities, lesions, workers, breath_mm
    )
    with atomic_path(out) as folder:
        folder.mkdir()
        breath = breath_mm if pairing == "breathing" else 0.0
        jobs = [
            _Job(folder / key, region, person_seed, words, size, slices, spacing_mm, format, lesions, breath)
            for key, person_seed, words in _people(patients, seed, pairing, modalities)
        ]
        if workers == 1:
            people = dict(map(_make_one, jobs))
        else:
            with ProcessPoolExecutor(workers, get_context("forkserver")) as pool:
                people = dict(pool.map(_make_one, jobs))
        _describe(folder, region, pairing, seed, modalities, people)
    return out


@dataclass(frozen=True)
class _Job:
    folder: Path
    region: str
    seed: int
    modalities: tuple[str, ...]
    size: int
    slices: int | None
    spacing_mm: float
    format: str
    lesions: int
    breath_mm: float


def _make_one(job: _Job) -> tuple[str, dict]:
    """Make and write one person; the name the cohort knows them by, and the truth about them."""
    anatomy = ANATOMIES[job.region](job.seed, job.lesions)
    person = _person(anatomy, job.size, job.slices, job.spacing_mm, job.breath_mm)
    _write(person, person.volumes(job.modalities), job.folder, job.format)
    # A DICOM cohort knows its patients by the pseudonyms of their identifiers.
    name = job.folder.name if job.format == "nifti" else find_series(job.folder)[0].patient
    return name, asdict(anatomy.patient) | {"lesions": [asdict(lesion) for lesion in anatomy.lesions]}


def default_cohort(region: str = "torso", profile: str = "lesson", pairing: str = "exact") -> Path:
    """The phantom cohort a lesson uses when no data is given: made once, then kept in the user's cache folder.

    The folder is ``MEDSYNTH_CACHE``, by default ``~/.cache/medsynth``; its name carries all that the images depend on.
    A profile of ``PROFILES`` says how much is made: a lesson's takes about 40 s the first time.

    Raises:
        InputError: an unknown region, profile or pairing.
        StorageError: the cache cannot be written.
    """
    if profile not in PROFILES:
        raise InputError("unknown profile", rule=f"one of {', '.join(PROFILES)}", seen=profile)
    settings = PROFILES[profile]
    cache = Path(os.environ.get("MEDSYNTH_CACHE") or Path.home() / ".cache" / "medsynth")
    words = [f"{value}{key}" for key, value in settings.items()]
    out = cache / "-".join(["phantom", region, pairing, *words, f"v{VERSION}"])
    if not (out / COHORT_FILE).is_file():
        make_cohort(out, region=region, pairing=pairing, **settings)
    return out


def _people(patients: int, seed: int, pairing: str, modalities: Sequence[str]):
    """``(folder, seed, modalities)`` of every person."""
    if pairing != "unpaired":
        return [(f"P{index:03d}", seed * 10_000 + index, tuple(modalities)) for index in range(patients)]
    images = [word for word in modalities if word != "LABELS"]
    labels = ("LABELS",) if "LABELS" in modalities else ()
    return [
        (f"{word}{index:03d}", seed * 10_000 + kind * 1000 + index, (word, *labels))
        for kind, word in enumerate(images, start=1)
        for index in range(patients)
    ]


def _person(anatomy: Torso, size: int, slices: int | None, spacing_mm: float, breath_mm: float) -> Imaging:
    low, high = anatomy.extent_mm()
    count = slices or int((high - low) // spacing_mm)
    gap = min((high - low) / count, 50.0) if slices else spacing_mm
    spare = high - low - gap * (count - 1)
    start = low + spare * np.random.default_rng([anatomy.patient.seed, 10]).uniform(0.2, 0.8)
    sinks = {word: part * breath_mm for word, part in BREATHS.items()}
    return Imaging(anatomy, size, start + gap * np.arange(count), min(spacing_mm, gap), sinks)


def _write(person: Imaging, volumes: dict[str, Volume], folder: Path, format: str) -> None:
    if format == "nifti":
        for word, volume in volumes.items():
            write_nifti(volume, folder / f"{word}.nii.gz")
        return
    patient, scanner = person.anatomy.patient, person.scanners.mr
    subject = Subject(f"{folder.name}-{patient.seed}", patient.sex, patient.weight_kg, patient.height * 1.75)
    for word, volume in volumes.items():
        if word == "LABELS":
            write_segmentation(volume, folder / "LABELS.dcm", subject, HEAD_CLASSES, person.thickness_mm)
            continue
        protocol = Protocol(
            person.thickness_mm, contrast=f"Iodine, {person.scanners.phase}", te_ms=scanner.te_ms, tr_ms=scanner.tr_ms,
            flip_deg=scanner.flip_deg,
        )  # fmt: skip
        write_series(volume, folder / word, subject, protocol)


def _describe(folder: Path, region: str, pairing: str, seed: int, modalities: Sequence[str], people: dict) -> None:
    content = {
        "name": f"MedSynth phantom, {region}", "license": LICENSE, "synthetic": True, "modalities": list(modalities),
        "patients": list(people), "notes": f"Simulated; {pairing} pairing; not for clinical use.",
        "phantom": {"version": VERSION, "region": region, "pairing": pairing, "seed": seed, "truth": people},
    }  # fmt: skip
    with atomic_path(folder / COHORT_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _check(
    out, patients, region, size, seed, format, pairing, slices, spacing_mm, modalities, lesions, workers, breath_mm
) -> None:
    for what, value, allowed in (
        ("region", region, ANATOMIES), ("format", format, FORMATS), ("pairing", pairing, PAIRINGS)
    ):  # fmt: skip
        if value not in allowed:
            raise InputError(f"unknown {what}", rule=f"one of {', '.join(allowed)}", seen=value)
    for what, value, low, high in (
        ("patients", patients, 1, 1000), ("size", size, 32, 1024), ("seed", seed, 0, 2**31),
        ("lesions", lesions, 0, 20), ("workers", workers, 1, 64),
        ("slices", 1 if slices is None else slices, 1, 2000), ("spacing_mm", spacing_mm, 0.5, 100),
    ):  # fmt: skip
        if not low <= value <= high:
            raise InputError(f"{what} is out of range", rule=f"{low} to {high}", seen=value)
    if region == "head" and pairing == "breathing":
        raise InputError("a head does not breathe", rule="pairing exact or unpaired for the head", seen=pairing)
    if size % 4:
        raise InputError("size must be a multiple of 4", seen=size)
    unknown = [word for word in modalities if word not in MODALITIES]
    if unknown or not modalities:
        raise InputError("unknown modality", rule=f"any of {', '.join(ALL)}", seen=", ".join(unknown) or "none")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("the output folder is not empty", where=out, fix="choose another folder, or empty this one")
