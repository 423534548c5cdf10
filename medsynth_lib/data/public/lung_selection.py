"""The patients of 001 as a query on the index, beside the numbers the paper gives (001 §4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medsynth_lib.data.public import COHORTS, PublicCohort
from medsynth_lib.data.public.idc import IdcSeries, select
from medsynth_lib.data.public.layout import count_pairs

PAIRS, TOLERANCE_MM = 464, 0.2


@dataclass(frozen=True)
class Comparison:
    """A number of the paper, what the index gives for it (``None``: it cannot tell), and over which series."""

    what: str
    paper: int
    found: int | None
    over: str

    @property
    def verdict(self) -> str:
        return "not in the index" if self.found is None else "holds" if self.found == self.paper else "DIFFERS"


def compare(series: Sequence[IdcSeries]) -> list[Comparison]:
    """Each number of 001 §4 beside that of the index; CT and PET of all visits, no reports and no segmentations.

    Type B (small cell carcinoma) is the letter after the hyphen of the identifier; "both" are CT and PET in any study.
    """
    images = [one for one in series if one.modality in ("CT", "PT")]
    small_cell = [one for one in images if "-B" in one.patient]
    patients = {one.patient for one in small_cell}
    both = patients & {one.patient for one in small_cell if one.modality == "PT"}
    both &= {one.patient for one in small_cell if one.modality == "CT"}
    theirs = [one for one in small_cell if one.patient in both]
    of = f"{len(theirs)} CT and PET series in {_studies(theirs)} studies of these {len(both)} patients"
    return [
        Comparison("images in all", 251_135, _images(images), f"CT and PET series, {_studies(images)} studies"),
        Comparison("patients", 355, len({one.patient for one in images}), f"CT and PET, {_studies(images)} studies"),
        Comparison("type B patients", 38, len(patients), f"{_studies(small_cell)} studies, -B in the identifier"),
        Comparison(
            "type B with CT and PET", 9, len(both), f"any study; the other {len(patients - both)} have one alone"
        ),
        Comparison("their images", 12_930, _images(theirs), of),
        Comparison(f"pairs at most {TOLERANCE_MM} mm apart", PAIRS, None, "needs slice positions: --count-pairs"),
        Comparison("images in these pairs", 2 * PAIRS, None, "twice the pairs"),
    ]


def comparison_text(series: Sequence[IdcSeries]) -> str:
    """``compare`` as a table, and what of it a download takes."""
    lines = [f"{'001, section 4':<27} {'paper':>8} {'index':>8}  {'':<17} over"]
    for one in compare(series):
        found = "-" if one.found is None else f"{one.found:,}"
        lines.append(f"{one.what:<27} {one.paper:>8,} {found:>8}  {one.verdict:<17} {one.over}")
    chosen = [one for selection in select(series, COHORTS["lung_pet_ct_dx"], "type-b") for one in selection.all]
    lines.append(
        f"Of the 9 patients, only the PET/CT studies are fetched ({_images(chosen):,} images in {_studies(chosen)} "
        "studies): a CT of another study has, as a rule, another frame of reference and is never paired here."
    )
    return "\n".join(lines)


def pairs_text(root: Path, cohort: PublicCohort, tolerance_mm: float = TOLERANCE_MM) -> str:
    """Pairs of slices by position in a fetched cohort, a line per patient, beside 001's where it is that cohort."""
    counts = count_pairs(root, cohort.source, cohort.target, tolerance_mm)
    lines = [f"{patient}: {count} pairs at most {tolerance_mm} mm apart" for patient, count in counts.items()]
    beside = f"; 001: {PAIRS} pairs, {2 * PAIRS} images" if cohort.name == "lung_pet_ct_dx" else ""
    total = sum(counts.values())
    return "\n".join([*lines, f"{len(counts)} patients: {total} pairs, {2 * total} images{beside}"])


def _images(series: Sequence[IdcSeries]) -> int:
    return sum(one.instances for one in series)


def _studies(series: Sequence[IdcSeries]) -> int:
    return len({one.study for one in series})
