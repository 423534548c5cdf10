"""Lesions of the phantom in synthetic PET: found or lost, and what was invented, for every method."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from medsynth_lib.data.cohort import COHORT_FILE
from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.slices import SliceStore, StoredPatient
from medsynth_lib.errors import InputError
from medsynth_lib.metrics.lesion import RESOLUTION_MM, LesionReport, compare_lesions
from medsynth_lib.metrics.report import PATIENT, Record, Summary, summarise, table
from medsynth_lib.training.amp import choose_device
from medsynth_lib.training.evaluate import Translate


@dataclass(frozen=True)
class LesionEvaluation:
    """Every method's lesions: ``reports`` maps a method to patient → ``LesionReport``."""

    reports: Mapping[str, Mapping[str, LesionReport]]

    @cached_property
    def records(self) -> dict[str, list[Record]]:
        """Method → one record per patient, with the entries of ``LesionReport.record``."""
        return {
            method: [{PATIENT: patient, **report.record()} for patient, report in reports.items()]
            for method, reports in self.reports.items()
        }

    @cached_property
    def summaries(self) -> dict[str, dict[str, Summary]]:
        """Method → entry → mean ± sd over patients."""
        return {method: summarise(records) for method, records in self.records.items()}

    def totals(self, method: str) -> dict[str, int]:
        """Lesions that the real PET shows, and how many the method erased and hallucinated, in all patients."""
        records = self.records[method]
        return {name: int(sum(one[name] for one in records)) for name in ("lesions", "erased", "hallucinated")}

    def table(self) -> str:
        """A Markdown table of all entries."""
        return table(self.summaries, unit="SUVbw", per_slice=False)


@torch.no_grad()
def evaluate_lesions(
    methods: Mapping[str, Translate],
    store: SliceStore,
    cohort: str | Path,
    split: str = "test",
    device: torch.device | str = "auto",
    *,
    context: int = 1,
) -> LesionEvaluation:
    """Compare every method's PET of ``split`` with the real one, at the lesions that ``cohort`` was made with.

    Args:
        methods: name → source ``(B, context, H, W)`` → synthetic PET, as ``evaluate`` takes them.
        store: made from ``cohort``, target PET, with a window that holds lesions: ``windows={"PET": (0, 20)}``.
        cohort: a phantom with lesions, its planes close: ``make_cohort(..., lesions=6, spacing_mm=5)``.
        context: source planes that the methods are shown (``System.context``).

    Raises:
        InputError: the target is not PET; the cohort is no phantom with lesions; planes too far apart to tell a lesion.
    """
    if store.settings["target"] != "PET":
        raise InputError("lesion metrics are for synthetic PET", where=store.path, seen=store.settings["target"])
    lesions, chosen = _true_lesions(Path(cohort)), choose_device(str(device))
    data = PairedSlices(store, split, context=context)
    reports: dict[str, dict[str, LesionReport]] = {method: {} for method in methods}
    for patient in data.patients:
        if patient.key not in lesions:
            raise InputError("the store has a patient that the cohort has not", where=store.path, rule=str(cohort))
        spacing_mm = _spacing_of_planes(patient)
        masks = [lesion_mask(patient, store.size, one) for one in lesions[patient.key]]
        batches, window = list(data.in_order(patient=patient)), patient.windows["PET"]
        real = window.decode(torch.cat([batch.target for batch in batches])[:, 0].numpy())
        for method, translate in methods.items():
            fakes = [translate(batch.source.to(chosen)).float().cpu().clamp(-1, 1) for batch in batches]
            fake = window.decode(torch.cat(fakes)[:, 0].numpy())
            reports[method][patient.key] = compare_lesions(fake, real, masks, spacing_mm)
    return LesionEvaluation(reports)


def lesion_mask(patient: StoredPatient, size: int, lesion: Mapping[str, object]) -> np.ndarray:
    """The pixels ``(slices, H, W)`` of a patient's slices that lie in a lesion of ``cohort.json`` (a ball, world mm).

    Raises:
        InputError: the store does not say where its slices lie.
    """
    if patient.centre_mm is None:
        raise InputError("this store does not say where its slices lie", fix="prepare it again into a new folder")
    x, y, z = lesion["centre_mm"]
    # Row 0 is the front (+y), column 0 the patient's right (+x): see conventions.
    offset = (size - 1) / 2 - np.arange(size)
    x_mm = patient.centre_mm[0] + offset[None, None, :] * patient.spacing_mm[0]
    y_mm = patient.centre_mm[1] + offset[None, :, None] * patient.spacing_mm[1]
    z_mm = np.asarray(patient.z_mm)[:, None, None]
    return (x_mm - x) ** 2 + (y_mm - y) ** 2 + (z_mm - z) ** 2 <= lesion["radius_mm"] ** 2


def _true_lesions(cohort: Path) -> dict[str, list[dict]]:
    try:
        truth = json.loads((cohort / COHORT_FILE).read_text(encoding="utf-8"))["phantom"]["truth"]
        found = {patient: one["lesions"] for patient, one in truth.items()}
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError("this cohort does not say where its lesions are", where=cohort, rule="a phantom") from error
    if not any(found.values()):
        raise InputError("this phantom has no lesions", where=cohort, fix="make it with `--lesions 6`")
    return found


def _spacing_of_planes(patient: StoredPatient) -> tuple[float, float, float]:
    """Of the axes of ``(slices, H, W)``."""
    x_mm, y_mm, z_mm = patient.spacing_mm
    if z_mm > 2 * RESOLUTION_MM:
        raise InputError(
            "planes are too far apart to see lesions",
            rule=f"at most {2 * RESOLUTION_MM:g} mm",
            seen=f"{z_mm:g} mm",
            fix="make the phantom with spacing_mm=5 and without `slices`",
        )
    return z_mm, y_mm, x_mm
