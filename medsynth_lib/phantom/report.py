"""``medsynth phantom report``: a contact sheet, and the realism table against real scans where they are given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medsynth_lib.conventions import axial_slice
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.classes import TORSO_CLASSES, TOTALSEGMENTATOR, class_number
from medsynth_lib.data.cohort import COHORT_FILE, Patient, discover
from medsynth_lib.data.dicom import find_series, read_series
from medsynth_lib.data.nifti import read_nifti
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError
from medsynth_lib.phantom import realism

#: How each image is shown: grey levels and colour map.
_SHOWN = {
    "CT": (-160, 240, "gray"), "CECT": (-160, 240, "gray"), "PET": (0, 6, "gray_r"), "MR": (0, 1400, "gray"),
    "LABELS": (0, 38, "nipy_spectral"),
}  # fmt: skip
_SOFT_HU = (-160, 160)
#: Centre (row, column) and radius in pixels, and plane from the feet, of what can be told in the enhanced scan of the
#: Colorectal-Liver-Metastases collection, whose segmentation is not with it.
CRLM_ROIS = {
    "Liver": (25, 250, 120, 18), "Spleen": (25, 290, 348, 12), "Vessels": (14, 241, 268, 6),
    "Kidney": (11, 282, 174, 7),
    "Autochthon": (14, 335, 200, 12), "Vertebrae": (14, 252, 250, 10), "Gallbladder": (11, 200, 182, 7),
}  # fmt: skip
#: name of a figure -> the values of the population (or of the real scans)
Figures = dict[str, list[float]]


def report(cohort: str | Path, out: str | Path | None = None, real: str | Path | None = None) -> Path:
    """Draw ``contact_sheet.png`` and, given ``real`` scans, write ``realism.md`` and ``.json`` into ``out``.

    Args:
        cohort: a phantom cohort with all five images.
        out: folder for the results; by default ``report`` inside the cohort.
        real: folder with ``totalseg-ct-mr-labels``, ``crlm1004-cect-dicom``, ``sts-nifti``, or some of them.

    Raises:
        InputError: ``cohort`` holds no phantom, or ``real`` none of those scans.
    """
    cohort = Path(cohort)
    out = Path(out) if out else cohort / "report"
    found = discover(cohort)
    if not found.synthetic:
        raise InputError("this cohort is not a phantom", where=cohort, fix="make one: medsynth phantom")
    contact_sheet(found.patients[:4], out / "contact_sheet.png")
    if real is not None:
        _check_complete(found.patients, cohort)
        phantom = measure_phantom(found.patients)
        phantom["PET lesion: maximum SUV"] = lesion_maxima(cohort, found.patients)
        rows = compare(phantom, measure_real(Path(real)))
        with atomic_path(out / "realism.json") as path:
            path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        with atomic_path(out / "realism.md") as path:
            path.write_text(table(rows), encoding="utf-8")
    return out


def _check_complete(patients: tuple[Patient, ...], cohort: Path) -> None:
    missing = sorted({word for word in _SHOWN for patient in patients if word not in patient.modalities})
    if missing:
        raise InputError(
            "the realism table needs all five images of every patient", where=cohort, seen=f"no {', '.join(missing)}",
            fix="make the cohort as NIfTI and paired: labels of a DICOM cohort are a segmentation, not read here",
        )  # fmt: skip


def contact_sheet(patients: tuple[Patient, ...], path: Path, levels: int = 6) -> None:
    """CT of each patient at ``levels`` heights, and below it the other images at the same heights."""
    from matplotlib.figure import Figure

    words = [word for word in _SHOWN if all(word in patient.modalities for patient in patients)]
    figure = Figure(figsize=(2 * levels, 2 * len(words) * len(patients)))
    axes = figure.subplots(len(words) * len(patients), levels, squeeze=False)
    for row, (patient, word) in enumerate((patient, word) for patient in patients for word in words):
        volume = patient.modalities[word].read()
        low, high, colours = _SHOWN[word]
        for axis, part in zip(axes[row], np.linspace(0.94, 0.06, levels), strict=True):
            image = axial_slice(volume.array, round(part * (volume.shape[2] - 1)))
            axis.imshow(image, cmap=colours, vmin=low, vmax=high)
            axis.set_axis_off()
        axes[row][0].set_title(f"{patient.key} {word}", fontsize=7, pad=1)
    figure.subplots_adjust(0, 0, 1, 0.99, 0.01, 0.05)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=70)


def measure_phantom(patients: tuple[Patient, ...]) -> Figures:
    """Every figure of the table for every patient of a phantom cohort."""
    figures: Figures = defaultdict(list)
    for patient in patients:
        images = {word: source.read() for word, source in patient.modalities.items()}
        labels = images["LABELS"].array
        present = {k: {TORSO_CLASSES[n] for n in np.unique(labels[..., k])} for k in range(labels.shape[2])}
        trunk = {"Vertebrae", "Sacrum", "Lung", "Hips"}
        thigh = [k for k, names in present.items() if "Femur" in names and not names & {"Vertebrae", "Sacrum"}]
        belly = [k for k, names in present.items() if names & {"Liver", "Kidney"} and names & trunk]
        _add_organs(figures, "CT", images["CT"], labels)
        _add_organs(figures, "CECT", images["CECT"], labels)
        _add_areas(figures, images["CT"], belly)
        _add_texture(figures, "belly", images["CECT"], belly)
        if thigh:
            _add_limb(figures, _around_thigh(images, thigh), list(range(len(thigh))))
    return figures


def lesion_maxima(cohort: Path, patients: tuple[Patient, ...]) -> list[float]:
    """Highest SUV in every lesion that a plane of its PET passes through, by the truth in ``cohort.json``."""
    truth = json.loads((cohort / COHORT_FILE).read_text(encoding="utf-8"))["phantom"]["truth"]
    found = []
    for patient in patients:
        pet = patient.modalities["PET"].read()
        place = np.meshgrid(*(np.arange(n) for n in pet.shape), indexing="ij")
        x, y, z = np.tensordot(pet.affine[:3, :3], place, 1) + pet.affine[:3, 3, None, None, None]
        for lesion in truth[patient.key]["lesions"]:
            cx, cy, cz = lesion["centre_mm"]
            ball = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < lesion["radius_mm"] ** 2
            if ball.any():
                found.append(float(pet.array[ball].max()))
    return found


def _around_thigh(images: dict[str, Volume], planes: list[int]) -> dict[str, Volume]:
    """The right thigh, cropped as tightly as the real scans around their tumours."""
    ct = images["CT"]
    femur = np.argwhere(images["LABELS"].array[ct.shape[0] // 2 :, :, planes] == class_number("Femur"))
    centre = (femur.mean(axis=0)[:2] + np.array([ct.shape[0] // 2, 0])) * ct.spacing_mm[0] + ct.affine[:2, 3]
    cropped = {}
    for word, volume in images.items():
        middle = (centre - volume.affine[:2, 3]) / volume.spacing_mm[0]
        low = np.maximum(0, np.rint(middle - 100 / volume.spacing_mm[0]).astype(int))
        high = np.rint(middle + 100 / volume.spacing_mm[0]).astype(int)
        affine = volume.affine.copy()
        affine[:3, 3] = (volume.affine @ [*low, planes[0], 1])[:3]
        array = volume.array[low[0] : high[0], low[1] : high[1], planes]
        cropped[word] = Volume(array, affine, volume.modality, volume.unit)
    return cropped


def measure_real(root: Path) -> Figures:
    """The same figures of the real scans under ``root``."""
    figures: Figures = defaultdict(list)
    for folder, measure in (
        ("totalseg-ct-mr-labels", _measure_totalseg), ("crlm1004-cect-dicom", _measure_crlm),
        ("sts-nifti", _measure_sts)
    ):  # fmt: skip
        if (root / folder).is_dir():
            measure(figures, root / folder)
    if not figures:
        raise InputError(
            "no real scans were found", where=root, rule="totalseg-ct-mr-labels, crlm1004-cect-dicom, sts-nifti"
        )
    return figures


def _measure_totalseg(figures: Figures, folder: Path) -> None:
    ct = read_nifti(folder / "example_ct_sm.nii.gz", "CT")
    numbers = read_nifti(folder / "example_seg.nii.gz", "LABELS").array
    labels = np.zeros(numbers.shape, dtype=np.uint8)
    for name, members in TOTALSEGMENTATOR.items():
        labels[np.isin(numbers, members)] = class_number(name)
    _add_organs(figures, "CT", ct, labels)
    _add_areas(figures, ct, range(ct.shape[2]))


def _measure_crlm(figures: Figures, folder: Path) -> None:
    ct = read_series(find_series(folder)[0])
    rows, columns = np.mgrid[: ct.shape[1], : ct.shape[0]]
    for name, (plane, row, column, radius) in CRLM_ROIS.items():
        values = axial_slice(ct.array, plane)[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2]
        figures[f"CECT {name}: mean HU"].append(float(values.mean()))
    coarse = realism.same_pixels(ct, realism.CT_PIXEL_MM)
    enhanced = Volume(coarse.array, coarse.affine, "CECT", "HU")
    _add_areas(figures, enhanced, range(0, 30, 3))
    _add_texture(figures, "belly", enhanced, range(0, 30, 3))


def _measure_sts(figures: Figures, folder: Path) -> None:
    for patient in sorted(path for path in folder.iterdir() if path.is_dir()):
        images = {word: read_nifti(patient / f"{name}_image.nii.gz", word) for word, name in
                  (("CT", "CT"), ("PET", "PET"), ("MR", "MR_T1"))}  # fmt: skip
        tumour = read_nifti(patient / "CT_mask.nii.gz", "LABELS").array > 0
        clear = [k for k in range(tumour.shape[2])][:: max(1, tumour.shape[2] // 12)]
        _add_limb(figures, images, clear, tumour)
        mask = read_nifti(patient / "PET_mask.nii.gz", "LABELS").array > 0
        figures["PET lesion: maximum SUV"].append(float(images["PET"].array[mask].max()))


def _add_organs(figures: Figures, word: str, ct: Volume, labels: np.ndarray) -> None:
    for name, (mean, sd) in realism.organ_hu(ct, labels).items():
        figures[f"{word} {name}: mean HU"].append(mean)
        figures[f"{word} {name}: sd HU"].append(sd)


def _add_areas(figures: Figures, ct: Volume, planes) -> None:
    for body, bone in realism.areas_cm2(ct, planes):
        figures["belly slice: body cm²"].append(body)
        figures["belly slice: bone cm²"].append(bone)


def _add_texture(figures: Figures, place: str, volume: Volume, planes, limits=_SOFT_HU) -> None:
    found = realism.texture(volume, planes, limits)
    word = f"{volume.modality} {place}"
    scale = 1.0
    if volume.unit != "HU":
        scale = [1 / max(level, 1e-6) for level in found["level"]]
    figures[f"{word}: noise sd" + ("" if volume.unit == "HU" else " / mean")] += list(
        np.multiply(found["noise"], scale)
    )
    figures[f"{word}: noise mean frequency 1/mm"] += found["frequency"]
    figures[f"{word}: slope of the power spectrum"] += found["slope"]


def _add_limb(figures: Figures, images: dict[str, Volume], planes: list[int], tumour: np.ndarray | None = None) -> None:
    ct, pet, mr = images["CT"], images["PET"], images["MR"]
    for name, value in realism.uptake(ct, pet, planes, tumour).items():
        figures[f"PET limb {name}: mean SUV"].append(value)
    ratio = realism.fat_to_muscle(mr, ct, planes)
    if ratio is not None:
        figures["MR limb: fat / muscle"].append(ratio)
    _add_texture(figures, "limb", realism.same_pixels(ct, realism.CT_PIXEL_MM), planes)
    for volume, pixel, part in ((pet, realism.PET_PIXEL_MM, 0.1), (mr, realism.CT_PIXEL_MM, 0.15)):
        small = realism.same_pixels(volume, pixel)
        top = float(np.percentile(small.array, 99.5))
        here = [k for k in planes if k < small.shape[2]]
        _add_texture(figures, "limb", small, here, (part * top, np.inf))


def compare(phantom: Figures, real: Figures) -> list[dict]:
    """A row per figure that both have: the real values' median, the phantom's 5th, 50th and 95th percentile, inside?"""
    rows = []
    for name in sorted(set(phantom) & set(real)):
        low, middle, high = (float(v) for v in np.percentile(phantom[name], [5, 50, 95]))
        value = float(np.median(real[name]))
        rows.append({
            "figure": name, "real": value, "real_n": len(real[name]), "p5": low, "median": middle, "p95": high,
            "phantom_n": len(phantom[name]), "inside": bool(low <= value <= high),
        })  # fmt: skip
    return rows


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    number: Callable[[float], str] = lambda v: f"{v:.3g}" if abs(v) < 100 else f"{v:.0f}"  # noqa: E731
    lines = ["| figure | real (median) | phantom 5 % | 50 % | 95 % | inside |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = [number(row[key]) for key in ("real", "p5", "median", "p95")]
        lines.append(f"| {row['figure']} | {' | '.join(cells)} | {'yes' if row['inside'] else 'no'} |")
    inside = sum(row["inside"] for row in rows)
    return (
        "\n".join([*lines, "", f"{inside} of {len(rows)} real values lie inside the phantom's 5 to 95 % range."]) + "\n"
    )
