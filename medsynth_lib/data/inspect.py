"""What is in this folder, and what is wrong with it: what ``medsynth inspect`` and ``medsynth convert`` report."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from medsynth_lib.data.cohort import Cohort, discover
from medsynth_lib.data.dicom_header import ORDINARY_FILE, scan_headers
from medsynth_lib.data.nifti import ENDINGS, write_nifti
from medsynth_lib.data.source import ImageSource, dicom_source, nifti_source
from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError, MedSynthError, shown_path

#: Images read at once: each may take gigabytes.
READ_AT_ONCE = 2


def inspect(root: str | Path, *, read_voxels: bool = True, show_paths: bool = False) -> dict:
    """Every patient and image under ``root`` as plain data, ready for JSON.

    Args:
        root: any folder (or one file).
        read_voxels: also read the voxels, which finds padding, NaN, truncated pixels and values that are not HU or SUV.
        show_paths: tell all names of files and folders, not only of NIfTI, which may be a patient's
            (``errors.shown_path``).

    Returns:
        ``patients`` (count), ``images``: one dict each with ``patient, modality, format, path`` (relative to ``root``),
        ``shape, spacing_mm, unit, readable, problems``; ``skipped``: ``path`` and ``reason`` of every other file;
        ``problems`` of the cohort as a whole.

    Raises:
        InputError: there is nothing at ``root``, or no image under it.
    """
    root = Path(root)
    relative = partial(_relative, root, show_paths)
    packed = [path for path, reason in files_under(root) if not reason and path.suffix.lower() == ".npz"]
    cohort = _discover_beside(root, packed)
    own = {patient.key for patient in cohort.patients}  # names told anyway: of a folder of NIfTI
    numpy = {path: _numpy_entries(partial(_relative, root, show_paths or path.parent.name in own), path)
             for path in packed}  # fmt: skip
    arrays = [entry for found in numpy.values() for entry in found]
    sources = [(patient.key, image) for patient in cohort.patients for image in patient.images]
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        images = list(pool.map(lambda item: _entry(relative, *item, read_voxels), sources))
    skipped = [(path, reason) for path, reason in cohort.skipped if not numpy.get(path)]
    return {
        "patients": len({entry["patient"] for entry in images + arrays}),
        "images": images + arrays,
        "skipped": [{"path": relative(path), "reason": reason} for path, reason in skipped],
        "problems": list(cohort.problems),
    }


def convert(path: str | Path, out: str | Path, *, modality: str | None = None) -> dict:
    """Write one image, a NIfTI file or a DICOM series, as RAS+ NIfTI in HU, SUVbw or the unit it has.

    Unevenly spaced planes, which NIfTI cannot store, are interpolated onto even ones, and the report says so.

    Args:
        path: a NIfTI file, the folder of a series, or any file of it where a folder holds several.
        out: where to write, ending in .nii or .nii.gz.
        modality: for a NIfTI file whose name does not tell.

    Returns:
        ``modality, unit, shape, spacing_mm, problems`` of what was written, and ``out``.

    Raises:
        InputError: no image or several at ``path``, or one that breaks a rule, or ``out`` is that image itself. Nothing
            is written then.
        StorageError: the disk refused.
    """
    image, passed_over = single_image(path, modality)
    check_not_input(image, Path(out))
    volume = image.read()
    problems = [*volume.problems, *passed_over]
    if volume.plane_offsets_mm is not None:
        volume = volume.to_even_planes()
        problems.append(f"interpolated onto {volume.shape[2]} evenly spaced planes")
    written = write_nifti(volume, out)
    return {**_described(volume.modality, volume.unit, volume.shape, volume.spacing_mm, problems), "out": str(written)}


def check_not_input(image: ImageSource, out: Path) -> None:
    """Refuse to write over the file that ``image`` is read from, by whatever name or link.

    Raises:
        InputError: ``out`` is that file.
    """
    if out.exists() and out.samefile(image.path):
        raise InputError(
            "the output is the input", where=out, rule="originals are never written to", fix="choose another name"
        )


def format_report(report: dict) -> str:
    """``inspect``'s report as text for a terminal: a block per patient, then what was skipped."""
    lines = []
    for patient in dict.fromkeys(entry["patient"] for entry in report["images"]):
        lines.append(patient)
        for entry in report["images"]:
            if entry["patient"] == patient:
                lines += _entry_lines(entry)
    counts = Counter(one["reason"] for one in report["skipped"])
    for reason, count in counts.most_common():
        example = next(one["path"] for one in report["skipped"] if one["reason"] == reason)
        lines.append(f"skipped {count} × {reason} ({example}{', ...' if count > 1 else ''})")
    lines += [f"note: {problem}" for problem in report["problems"]]
    flawed = sum(not entry["readable"] for entry in report["images"])
    lines.append(f"{report['patients']} patients, {len(report['images'])} images, {flawed} of them not usable")
    return "\n".join(lines)


def single_image(path: str | Path, modality: str | None = None) -> tuple[ImageSource, tuple[str, ...]]:
    """The one image at ``path``: a NIfTI file, a folder with one image, or any file of a DICOM series.

    Returns:
        The image, and a sentence for each kind of file beside it that looks like an image but is damaged.

    Raises:
        InputError: no image, or several; the message lists them.
    """
    path = Path(path)
    images, skipped = _images_at(path, modality)
    beside = Counter(reason for reason in skipped if reason != ORDINARY_FILE)
    passed_over = tuple(f"{count} files were passed over: {reason}" for reason, count in beside.most_common())
    if len(images) != 1:
        found = ", ".join(f"{image.modality} {image.shape} in {shown_path(image.path)}" for image in images[:8])
        raise InputError(
            "several images are there" if images else "no image is there",
            where=path,
            rule="one NIfTI file, or one CT, PET or MR series in DICOM",
            seen=found or "; ".join(passed_over) or None,
            fix="name the folder of one series, or one of its files" if images else "see what medsynth inspect lists",
        )
    return images[0], passed_over


def _images_at(path: Path, modality: str | None) -> tuple[list[ImageSource], list[str]]:
    """The images ``path`` may mean, and why the files beside them are none."""
    if path.is_file() and path.name.lower().endswith(ENDINGS):
        return [nifti_source(path, modality)], []
    whole = path.is_dir()
    found = list(files_under(path if whole or not path.exists() else path.parent))
    named = [file for file, reason in found if reason is None and file.name.lower().endswith(ENDINGS)]
    series, skipped = scan_headers(file for file, reason in found if reason is None and file not in named)
    images = [dicom_source(one, one.folder) for one in series if whole or path in {plane.path for plane in one.planes}]
    images += [nifti_source(file, modality) for file in named if whole]
    return images, [reason for _, reason in skipped]


def _discover_beside(root: Path, arrays: list[Path]) -> Cohort:
    """The cohort at ``root``; one without patients where NumPy arrays are all there is."""
    try:
        return discover(root)
    except InputError:
        if not arrays:
            raise
        return Cohort(root, ())


def _entry(relative: Callable[[Path], str], patient: str, image: ImageSource, read_voxels: bool) -> dict:
    problems, shape, spacing, error = list(image.problems), image.shape, image.spacing_mm, image.error
    if read_voxels and error is None:
        try:
            volume = image.read()
            problems, shape, spacing = list(volume.problems), volume.shape, volume.spacing_mm
        except MedSynthError as failure:
            error = failure
    if error is not None:
        problems.append("; ".join(str(part) for part in (error.what, error.seen) if part is not None))
    where = {"patient": patient, "format": image.format, "path": relative(image.path)}
    return {**where, **_described(image.modality, image.unit, shape, spacing, problems), "readable": error is None}


def _described(modality: str, unit: str, shape: tuple | None, spacing: tuple | None, problems: list[str]) -> dict:
    return {
        "modality": modality,
        "unit": unit,
        "shape": list(shape) if shape else None,
        "spacing_mm": [round(size, 4) for size in spacing] if spacing else None,
        "problems": problems,
    }


def _numpy_entries(relative: Callable[[Path], str], path: Path) -> list[dict]:
    """The arrays of a .npz file by their headers; they have no geometry, so they cannot be used as images."""
    patient = Path(relative(path.parent)).name
    where = {"patient": patient, "format": "NumPy", "path": relative(path), "readable": False}
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = {name.removesuffix(".npy"): _npy_shape(archive, name) for name in archive.namelist()}
    except Exception as error:  # a damaged archive makes the parsers fail in any way they like
        problem = f"damaged NumPy archive ({type(error).__name__})"
        return [{**where, **_described("unknown", "unknown", None, None, [problem])}]
    return [
        {**where, **_described("unknown", "unknown", shape, None, [f"array {name!r}: no geometry, no unit"])}
        for name, shape in shapes.items()
    ]


def _npy_shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(member)[0]


def _entry_lines(entry: dict) -> list[str]:
    shape = "×".join(str(size) for size in entry["shape"]) if entry["shape"] else "no shape"
    spacing = " × ".join(f"{size:.3g}" for size in entry["spacing_mm"]) + " mm" if entry["spacing_mm"] else "no spacing"
    head = f"  {entry['modality']:<7} {shape:<13} {spacing:<22} {entry['unit']:<7} {entry['format']:<6} {entry['path']}"
    return [head, *(f"          {'!' if entry['readable'] else '✗'} {problem}" for problem in entry["problems"])]


def _relative(root: Path, show: bool, path: Path) -> str:
    told = path if show else Path(shown_path(path))
    below = len(path.relative_to(root).parts) if path.is_relative_to(root) and path != root else 1
    return str(Path(*told.parts[-below:]))
