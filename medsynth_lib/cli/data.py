"""``medsynth inspect``, ``convert`` and ``prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from medsynth_lib.cli.app import app, report


@app.command
def inspect(
    folder: Annotated[Path, tyro.conf.Positional], voxels: bool = True, paths: bool = False, json: bool = False
) -> None:
    """List every patient and image under a folder, with shape, spacing, unit and every problem found.

    DICOM series are found by their headers, whatever the files are called.

    Args:
        folder: Any folder of DICOM or NIfTI images, or one file.
        voxels: Also read the voxels, which finds padding, NaN and damaged pixels; --no-voxels is quicker.
        paths: Show all names of files and folders, which may be a patient's; hidden (~3f2a) by default but for NIfTI.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.inspect import format_report
    from medsynth_lib.data.inspect import inspect as inspect_folder

    found = inspect_folder(folder, read_voxels=voxels, show_paths=paths)
    report(found, json, lambda: format_report(found))


@app.command
def convert(
    series: Annotated[Path, tyro.conf.Positional], out: Path, modality: str | None = None, json: bool = False
) -> None:
    """Write one DICOM series or NIfTI file as NIfTI: CT in HU, PET in SUVbw, axes right-anterior-superior.

    Args:
        series: A NIfTI file, the folder of a series, or any file of it.
        out: Where to write, ending in .nii or .nii.gz.
        modality: CT, CECT, PET, MR or LABELS, for a NIfTI file whose name does not tell.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.inspect import convert as convert_image

    written = convert_image(series, out, modality=modality)

    def text() -> str:
        spacing = " x ".join(f"{mm:g}" for mm in written["spacing_mm"])
        lines = [f"{written['modality']} {written['shape']} voxels of {spacing} mm, {written['unit']}: {out}"]
        return "\n".join([*lines, *(f"  note: {problem}" for problem in written["problems"])])

    report(written, json, text)


@app.command
def prepare(
    cohort: Annotated[Path, tyro.conf.Positional],
    out: Path,
    source: str = "PET",
    target: str = "CT",
    also: tuple[str, ...] = (),
    size: int = 256,
    fov_mm: float | None = None,
    pairing: Literal["resample", "position"] = "resample",
    tolerance_mm: float = 0.2,
    test: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PART|PATIENT …")] = ("0.25",),
    validation: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PART|PATIENT …")] = ("0",),
    seed: int = 0,
    json: bool = False,
) -> None:
    """Turn a cohort into a slice store, once: body mask, one grid per patient, artefact removal, split by patient.

    Goes on where it stopped when run again; the store appears whole or not at all.

    Args:
        cohort: A folder of patients (DICOM or NIfTI).
        out: The slice store to write.
        source: The image given: CT, CECT, PET, MR or LABELS.
        target: The image wanted.
        also: Further images to keep on the same pixels, as LABELS.
        size: Slices are size x size pixels.
        fov_mm: Side of the square shown, in mm; fitted to each patient's body by default.
        pairing: resample: put the source on the target's planes. position: use planes as they are, in pairs.
        tolerance_mm: How far apart the planes of a pair may be, with --pairing position.
        test: Part of the patients kept for the test (0.25), or their names.
        validation: The same for validation.
        seed: Chooses the patients of each part.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.prepare import PrepareConfig
    from medsynth_lib.data.prepare import prepare as prepare_cohort

    config = PrepareConfig(
        source=source,
        target=target,
        also=also,
        size=size,
        fov_mm=fov_mm,
        pairing=pairing,
        tolerance_mm=tolerance_mm,
        test=_part_or_names(test),
        validation=_part_or_names(validation),
        seed=seed,
    )
    store = prepare_cohort(cohort, out, config, report=lambda line: None if json else print(line, flush=True))
    splits = {name: [one.key for one in store.split(name)] for name in ("train", "validation", "test")}
    found = {"store": str(out), "slices": len(store), "splits": splits, "skipped": dict(store.skipped)}
    counts = ", ".join(f"{len(patients)} {name}" for name, patients in splits.items() if patients)
    report(found, json, lambda: f"{len(store)} slices of {size} x {size}, patients: {counts}: {out}")


def _part_or_names(words: tuple[str, ...]) -> float | tuple[str, ...]:
    """``0.25`` and ``0`` as a number, ``P001 P002`` and ``12`` as names."""
    try:
        return words if len(words) != 1 or words[0].strip("0").isdigit() else float(words[0])
    except ValueError:
        return words
