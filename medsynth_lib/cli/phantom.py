"""``medsynth phantom`` and ``medsynth phantom report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from medsynth_lib.cli.app import app
from medsynth_lib.errors import MedSynthError


@app.command
def phantom(
    action: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[report COHORT]")] = (),
    out: Path | None = None,
    patients: int = 8,
    region: Literal["torso", "head"] = "torso",
    size: int = 256,
    seed: int = 0,
    format: Literal["nifti", "dicom"] = "nifti",
    pairing: Literal["exact", "breathing", "unpaired"] = "exact",
    slices: int | None = None,
    spacing_mm: float = 5.0,
    lesions: int = 0,
    workers: int = 1,
    real: Path | None = None,
) -> None:
    """Make virtual patients with CT, contrast CT, PET, MR and labels; or report on a phantom cohort made before.

    medsynth phantom --out DIR makes a cohort. medsynth phantom report DIR draws its contact sheet and, with --real,
    writes a table of its figures beside those of real scans.

    Args:
        action: Nothing to make a cohort; report and a cohort's folder to report on it.
        out: The new cohort's folder; with report, where the report goes (default: inside the cohort).
        patients: How many virtual patients; in an unpaired cohort, how many for each modality.
        region: torso: neck to upper thigh. head: skull and brain.
        size: Pixels along a side; PET has half as many.
        seed: The same seed gives the same bytes.
        format: NIfTI files, or DICOM series marked as synthetic.
        pairing: exact: all images of one breath. breathing: each in its own. unpaired: each of another patient.
        slices: That many, spread evenly over the region; by default one every --spacing-mm.
        spacing_mm: Distance of the slices.
        lesions: How many each patient has; kind, place and size are listed in cohort.json.
        workers: How many patients are made at the same time.
        real: With report: a folder of real scans to compare with.
    """
    if not action and out is not None:
        from medsynth_lib.phantom.cohort import make_cohort

        print(
            make_cohort(
                out, patients, region, size, seed, format, pairing, slices, spacing_mm, lesions=lesions, workers=workers
            )
        )
    elif len(action) == 2 and action[0] == "report":
        from medsynth_lib.phantom.report import report

        print(report(action[1], out, real))
    else:
        raise MedSynthError(
            "phantom makes a cohort, or reports on one",
            rule="medsynth phantom --out DIR, or medsynth phantom report DIR",
            seen=" ".join(action) or "no --out",
        )
