"""``medsynth labels …``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.extras import SubcommandApp

from medsynth_lib.cli.app import app, report

labels = SubcommandApp()
app.command(labels, name="labels", help="Bring label maps of other tools into the course's classes.")


@labels.command(name="merge")
def labels_merge(
    map: Annotated[Path, tyro.conf.Positional],
    out: Path,
    scheme: Literal["totalsegmentator", "totalsegmentator-mr", "freesurfer", "synthseg"],
    ct: Path | None = None,
    other: str = "Background",
    json: bool = False,
) -> None:
    """Merge a label map into the course's classes and list every number that has none.

    Args:
        map: The label map, NIfTI.
        out: Where to write, as COHORT/PATIENT/LABELS.nii.gz.
        scheme: Whose numbers these are; TotalSegmentator numbers CT and MR differently.
        ct: The CT it was made from: unlabelled tissue inside the body becomes fat or muscle by its HU.
        other: The class of numbers that have none.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.label_merge import format_merge, merge_file

    found = merge_file(map, out, scheme, other=other, ct=ct)
    report(found, json, lambda: f"{format_merge(found)}\n{out}")


@labels.command(name="segment")
def labels_segment(
    ct: Annotated[Path, tyro.conf.Positional], out: Path, fast: bool = False, device: str = "gpu", json: bool = False
) -> None:
    """Label a CT with TotalSegmentator, where it is installed, in the course's classes.

    Args:
        ct: A NIfTI file or the folder of a DICOM series.
        out: Where to write, as COHORT/PATIENT/LABELS.nii.gz.
        fast: Its 3 mm model.
        device: gpu or cpu, as TotalSegmentator calls them.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.label_merge import format_merge, segment_ct

    found = segment_ct(ct, out, fast=fast, device=device)
    report(found, json, lambda: f"{format_merge(found)}\n{out}")
