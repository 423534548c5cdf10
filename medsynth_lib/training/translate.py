"""Translate a whole volume with a trained system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medsynth_lib import __version__
from medsynth_lib.conventions import MODALITIES, axial_slice, volume_from_slices
from medsynth_lib.data.atomic import check_no_folder
from medsynth_lib.data.body import body_mask, clean_source
from medsynth_lib.data.datasets import context_offsets
from medsynth_lib.data.dicom_derived import Maker, write_derived_series
from medsynth_lib.data.framing import on_grid, reference_grid
from medsynth_lib.data.inspect import check_not_input, single_image
from medsynth_lib.data.intensity import IntensityWindow, percentile_window
from medsynth_lib.data.nifti import ENDINGS, modality_from_name, write_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from medsynth_lib.systems.base import System
from medsynth_lib.training.checkpoint import model_digest
from medsynth_lib.training.run import load_translator, window_of

#: How a synthetic image without a unit of its own (MR) is written.
ARBITRARY = IntensityWindow(0.0, 1000.0, "a.u.")
#: Planes translated at once: bounds the memory of the networks whatever the volume.
PLANES = 8


def translate_volume(
    model: str | Path,
    source: Volume,
    *,
    device: torch.device | str = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> Volume:
    """The synthetic target of ``source``, on the model's pixel grid around the body, in physical units.

    Raises:
        InputError: the volume is of another modality than the model was trained on.
        CheckpointError: the model cannot be loaded.
    """
    return _translated(*load_translator(model, device), source, report)


def _translated(system: System, about: dict, source: Volume, report: Callable[[str], None]) -> Volume:
    if source.modality != about["source"]:
        raise InputError(
            "the model was trained on another modality", rule=about["source"], seen=source.modality, where="--input"
        )
    target_window = window_of(about, about["target"]) or ARBITRARY
    source, offsets_mm = _separate_planes(source)
    grid = reference_grid(source, body_mask(source), about["size"], about.get("fov_mm"))
    low, high = about["pixel_mm"]
    if not 0.8 * low <= grid.spacing_mm[0] <= 1.25 * high:
        report(f"pixels of {grid.spacing_mm[0]:.2f} mm; the model was trained on {low:.2f} to {high:.2f} mm")
    values = clean_source(on_grid(source, grid)[0]).array
    # As in prepare, a volume's own window is measured on what the network is shown, not on all the air around it.
    encoded = (window_of(about, about["source"]) or percentile_window(values)).encode(values)
    planes = [axial_slice(encoded, z) for z in range(grid.shape[2])]
    device = next(system.parameters()).device
    fakes: list[np.ndarray] = []
    with torch.no_grad():
        for start in range(0, len(planes), PLANES):
            middles = range(start, min(start + PLANES, len(planes)))
            batch = np.stack([_with_neighbours(planes, z, system.context) for z in middles])
            batch = torch.from_numpy(batch).float().to(device)
            fakes += list(system.translate(batch)[:, 0].float().cpu().numpy())
    return Volume(
        array=target_window.decode(volume_from_slices(fakes)).astype(np.float32),
        affine=grid.affine,
        plane_offsets_mm=offsets_mm,
        modality=about["target"],
        unit=MODALITIES[about["target"]],
        provenance={"synthetic": True, "system": about["system"], "derived from": source.modality},
        problems=("synthetic image, not for diagnosis",),
    )


def _with_neighbours(planes: list[np.ndarray], index: int, context: int) -> np.ndarray:
    """Plane ``index`` amid its neighbours, ``(context, H, W)``; at the ends of the volume the end plane again."""
    return np.stack([planes[min(max(index + offset, 0), len(planes) - 1)] for offset in context_offsets(context)])


def translate_file(model: str | Path, source: str | Path, out: str | Path, device: str = "auto") -> dict[str, object]:
    """Translate the NIfTI file or DICOM series at ``source`` and write the result, marked as synthetic.

    Where ``out`` ends in .nii or .nii.gz a NIfTI file is written; else a DICOM series in a new folder of that name,
    which only a DICOM source can be lined up with.

    Returns:
        Modality, unit, shape, spacing and notes of what was written.

    Raises:
        InputError: the input cannot be read, is of another modality, or is NIfTI where a DICOM series is wanted; or
            ``out`` is the input.
        CheckpointError: the model cannot be loaded.
        StorageError: the disk refused, or ``out`` is a folder that holds something.
    """
    notes: list[str] = []
    system, about = load_translator(model, device)
    image, passed_over = single_image(source, _modality(Path(source), about))
    as_nifti = str(out).lower().endswith(ENDINGS)
    if not as_nifti and image.series is None:
        raise InputError(
            "a DICOM series is made from a DICOM series only", where=out, fix="name a file ending in .nii.gz"
        )
    check_no_folder(out)
    check_not_input(image, Path(out))
    volume = _translated(system, about, image.read(), notes.append)
    if as_nifti:
        if volume.plane_offsets_mm is not None:
            volume = volume.to_even_planes()
            notes.append(f"interpolated onto {volume.shape[2]} evenly spaced planes")
        write_nifti(volume, out)
    else:
        maker = Maker(about["system"], __version__, model_digest(model))
        write_derived_series(volume, out, image.series, maker)
    return {
        "out": str(out),
        "modality": volume.modality,
        "unit": volume.unit,
        "shape": volume.shape,
        "spacing_mm": [round(mm, 4) for mm in volume.spacing_mm],
        "notes": [*volume.problems, *passed_over, *notes],
    }


def _separate_planes(source: Volume) -> tuple[Volume, np.ndarray | None]:
    """A volume whose planes are translated one by one, and their true offsets where these are uneven.

    Axial planes stay where they were measured. Planes stacked along another axis are made even first.
    """
    if source.plane_offsets_mm is None or source.plane_axis != 2:
        return source.to_even_planes(), None
    return replace(source, plane_offsets_mm=None), source.plane_offsets_mm


def _modality(source: Path, about: dict) -> str | None:
    """The model's own, for a NIfTI file whose name does not tell; ``None`` leaves it to the name or the header."""
    if not source.name.lower().endswith(ENDINGS):
        return None
    try:
        return modality_from_name(source)
    except InputError:
        return about.get("source")
