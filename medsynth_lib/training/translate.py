"""Translate a whole volume with a trained system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from medsynth_lib.conventions import MODALITIES, axial_slice, volume_from_slices
from medsynth_lib.data.body import background, body_mask, clean_source
from medsynth_lib.data.framing import reference_grid
from medsynth_lib.data.inspect import single_image
from medsynth_lib.data.intensity import percentile_window
from medsynth_lib.data.nifti import ENDINGS, modality_from_name, write_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import CheckpointError, InputError
from medsynth_lib.systems.base import System
from medsynth_lib.training.amp import choose_device
from medsynth_lib.training.run import load_system, window_of

#: Planes translated at once: bounds the memory of the networks whatever the volume.
PLANES = 8


def translate_volume(
    model: str | Path,
    source: Volume,
    *,
    device: torch.device | str = "cpu",
    report: Callable[[str], None] = lambda line: None,
) -> Volume:
    """The synthetic target of ``source``, on the model's pixel grid around the body, in physical units.

    Raises:
        InputError: the volume is of another modality than the model was trained on.
        CheckpointError: the model cannot be loaded, or gives units that need the target volume (MR).
    """
    return _translated(*load_system(model, device), source, device, report)


def _translated(
    system: System, about: dict, source: Volume, device: torch.device | str, report: Callable[[str], None]
) -> Volume:
    if source.modality != about["source"]:
        raise InputError(
            "the model was trained on another modality", rule=about["source"], seen=source.modality, where="--input"
        )
    target_window = window_of(about, about["target"])
    if target_window is None:
        raise CheckpointError(
            f"the model's {about['target']} has no fixed unit",
            rule="a target whose window is the same for all patients",
            fix='prepare with a window, e.g. windows={"MR": (0, 1000)}',
        )
    source = source.to_even_planes()
    grid = reference_grid(source, body_mask(source), about["size"], about.get("fov_mm"))
    low, high = about["pixel_mm"]
    if not 0.8 * low <= grid.spacing_mm[0] <= 1.25 * high:
        report(f"pixels of {grid.spacing_mm[0]:.2f} mm; the model was trained on {low:.2f} to {high:.2f} mm")
    values = clean_source(source.resample_to(grid, fill=background(source.modality))).array
    # As in prepare, a volume's own window is measured on what the network is shown, not on all the air around it.
    encoded = (window_of(about, about["source"]) or percentile_window(values)).encode(values)
    planes = [axial_slice(encoded, z) for z in range(grid.shape[2])]
    fakes: list[np.ndarray] = []
    with torch.no_grad():
        for start in range(0, len(planes), PLANES):
            batch = torch.from_numpy(np.stack(planes[start : start + PLANES]))[:, None].float().to(device)
            fakes += list(system.translate(batch)[:, 0].float().cpu().numpy())
    return Volume(
        array=target_window.decode(volume_from_slices(fakes)).astype(np.float32),
        affine=grid.affine,
        modality=about["target"],
        unit=MODALITIES[about["target"]],
        provenance={"synthetic": True, "system": about["system"], "derived from": source.modality},
        problems=("synthetic image, not for diagnosis",),
    )


def translate_file(model: str | Path, source: str | Path, out: str | Path, device: str = "auto") -> dict[str, object]:
    """Translate the NIfTI file or DICOM series at ``source`` and write the result as NIfTI, marked as synthetic.

    Returns:
        Modality, unit, shape, spacing and notes of what was written.

    Raises:
        InputError: the input cannot be read, or is of another modality.
        CheckpointError: the model cannot be loaded.
    """
    notes: list[str] = []
    chosen = choose_device(device)
    system, about = load_system(model, chosen)
    image, passed_over = single_image(source, _modality(Path(source), about))
    volume = _translated(system, about, image.read(), chosen, notes.append)
    write_nifti(volume, out)
    return {
        "out": str(out),
        "modality": volume.modality,
        "unit": volume.unit,
        "shape": volume.shape,
        "spacing_mm": [round(mm, 4) for mm in volume.spacing_mm],
        "notes": [*volume.problems, *passed_over, *notes],
    }


def _modality(source: Path, about: dict) -> str | None:
    """The model's own, for a NIfTI file whose name does not tell; ``None`` leaves it to the name or the header."""
    if not source.name.lower().endswith(ENDINGS):
        return None
    try:
        return modality_from_name(source)
    except InputError:
        return about.get("source")
