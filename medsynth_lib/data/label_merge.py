"""Label maps of other tools, merged into the course's classes (``classes.HEAD_CLASSES``; 0 to 30: 003, table A.3)."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from medsynth_lib.data.body import body_mask
from medsynth_lib.data.classes import HEAD_CLASSES, class_number
from medsynth_lib.data.framing import on_grid
from medsynth_lib.data.inspect import single_image
from medsynth_lib.data.label_schemes import SCHEMES, Scheme
from medsynth_lib.data.nifti import read_nifti, write_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

#: Fat on CT: Aubrey et al., Measurement of skeletal muscle radiation attenuation, Acta Physiol. 2014.
FAT_HU = (-190.0, -30.0)
#: The CT a map was made from shows all of it; rounding at the rim is no other CT.
SHOWN = 0.95
UNKNOWN = "not a number of this scheme (another version of the tool?)"


def merge_labels(labels: np.ndarray, scheme: str, other: str = "Background") -> tuple[np.ndarray, dict]:
    """``labels`` with each number replaced by its class's, and what was found.

    Args:
        labels: whole numbers of any shape, 0 for nothing.
        scheme: a key of ``SCHEMES``.
        other: the class of numbers that belong to none.

    Returns:
        uint8 of the same shape; ``scheme``, ``voxels`` (class → count, without the background) and ``unmapped``: for
        each number without a class its ``structure``, ``voxels`` and ``reason``.

    Raises:
        InputError: an unknown scheme or class, or nothing in the map, or nothing that belongs to the scheme.
    """
    chosen = _scheme(scheme)
    if other not in HEAD_CLASSES:
        raise InputError("unknown class", rule=", ".join(HEAD_CLASSES), seen=other)
    table = {number: class_number(name) for name, numbers in chosen.classes.items() for number in numbers}
    found, places = np.unique(labels, return_inverse=True)
    counts = np.bincount(places.ravel(), minlength=len(found))
    classes = np.array([table.get(int(one), class_number(other) if one else 0) for one in found], np.uint8)
    merged = classes[places].reshape(labels.shape)
    if not found.any():
        raise InputError(
            "the label map is empty", rule="numbers other than 0", seen="0 everywhere", fix="segment the image again"
        )
    strange = [
        (int(one), int(count)) for one, count in zip(found, counts, strict=True) if one and int(one) not in table
    ]
    if len(strange) == np.count_nonzero(found):
        raise InputError(
            "no number of this label map belongs to the scheme",
            rule=chosen.title,
            seen=", ".join(str(int(one)) for one in found[:10]),
            fix=f"choose another --scheme: {', '.join(SCHEMES)}",
        )
    unmapped = {number: _unmapped(chosen, number, count) for number, count in strange}
    return merged, {"scheme": chosen.title, "voxels": count_classes(merged), "other": other, "unmapped": unmapped}


def count_classes(labels: np.ndarray) -> dict[str, int]:
    """Class → voxels, of the classes present, without the background."""
    return {HEAD_CLASSES[one]: int(count) for one, count in zip(*np.unique(labels, return_counts=True), strict=True)
            if one}  # fmt: skip


def fill_from_ct(labels: Volume, ct: Volume) -> Volume:
    """``labels`` with unlabelled voxels inside the body told by their HU: fat within ``FAT_HU``, muscle above.

    TotalSegmentator's free task names organs, bones and some muscles, not the tissue between them, which a system from
    labels to images would have to draw from nothing. Needs the merged map and the CT it was made from.

    Raises:
        InputError: the CT lies elsewhere than what is labelled.
    """
    placed, seen = on_grid(ct, labels.grid)
    values, shown = placed.array, seen[labels.array > 0].mean() if labels.array.any() else 1.0
    if shown < SHOWN:
        raise InputError(
            "the CT does not show what is labelled",
            rule=f"at least {SHOWN:.0%} of the labelled voxels within the CT",
            seen=f"{shown:.0%}",
            fix="name the CT that the label map was made from",
        )
    free = (labels.array == 0) & body_mask(replace(ct, array=values, affine=labels.affine))
    array = labels.array.copy()
    array[free & (values >= FAT_HU[0]) & (values <= FAT_HU[1])] = class_number("Fat")
    array[free & (values > FAT_HU[1])] = class_number("Skeletal Muscle")
    return replace(labels, array=array)


def merge_file(
    source: str | Path, out: str | Path, scheme: str, *, other: str = "Background", ct: str | Path | None = None
) -> dict:
    """Merge the NIfTI label map at ``source`` into ``out``; with ``ct``, also ``fill_from_ct``. Returns the report.

    Raises:
        InputError: not a label map, of another scheme, or a CT that is none.
        StorageError: the disk refused.
    """
    labels = read_nifti(source, "LABELS")
    array, report = merge_labels(labels.array, scheme, other)
    merged = replace(labels, array=array)
    if ct is not None:
        merged = fill_from_ct(merged, _read_ct(ct))
        report["voxels"] = count_classes(merged.array)
    write_nifti(merged, out)
    return {**report, "out": str(out)}


def segment_ct(ct: str | Path, out: str | Path, *, fast: bool = False, device: str = "gpu") -> dict:
    """Label a CT with TotalSegmentator (an optional extra) and merge its structures; the report of ``merge_file``.

    Raises:
        InputError: TotalSegmentator is not installed, or ``ct`` is no CT.
    """
    try:
        from totalsegmentator.python_api import totalsegmentator
    except ImportError as error:
        raise InputError(
            "TotalSegmentator is not installed",
            rule="an optional extra: 2 GB of packages, its own licence, weights fetched on first use",
            fix="pip install 'medsynth[segment]', or merge a label map you have: medsynth labels merge",
        ) from error
    with tempfile.TemporaryDirectory(prefix="medsynth-") as folder:
        plain, labels = Path(folder, "CT.nii.gz"), Path(folder, "LABELS.nii.gz")
        write_nifti(_read_ct(ct).to_even_planes(), plain)
        totalsegmentator(plain, labels, ml=True, task="total", fast=fast, device=device, quiet=True)
        return merge_file(labels, out, "totalsegmentator", ct=plain)


def format_merge(report: dict) -> str:
    """A report as text: classes with voxels, then what has no class."""
    lines = [f"{report['scheme']}: {len(report['voxels'])} classes"]
    lines += [f"  {name:<18} {count:>10,} voxels" for name, count in report["voxels"].items()]
    lines += [
        f"  {number} {one['structure']}: {one['voxels']:,} voxels became {report['other']}: {one['reason']}"
        for number, one in report["unmapped"].items()
    ]
    return "\n".join(lines)


def _read_ct(path: str | Path) -> Volume:
    """The CT at ``path``, whatever a NIfTI file is called."""
    image, _ = single_image(path, "CT")
    if image.modality not in ("CT", "CECT"):
        raise InputError("labels are told by HU on a CT only", where=path, seen=image.modality)
    return image.read()


def _scheme(name: str) -> Scheme:
    if name not in SCHEMES:
        raise InputError("unknown label scheme", rule=", ".join(SCHEMES), seen=name)
    return SCHEMES[name]


def _unmapped(scheme: Scheme, number: int, voxels: int) -> dict:
    structure = scheme.names.get(number, "structure")
    return {"structure": structure, "voxels": voxels, "reason": scheme.unmapped.get(number, UNKNOWN)}
