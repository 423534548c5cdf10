"""``medsynth cohorts`` and ``medsynth fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from medsynth_lib.cli.app import app, report


@app.command
def cohorts(json: bool = False) -> None:
    """List the public cohorts: size, licence, terms, citation, pair of modalities, and the lesson each serves.

    Args:
        json: Print JSON for another program.
    """
    from medsynth_lib.data.public import COHORTS, table

    found = {name: cohort.summary() for name, cohort in COHORTS.items()}
    report(found, json, table)


@app.command
def fetch(
    cohort: Annotated[str, tyro.conf.Positional],
    out: Path | None = None,
    subset: str | None = None,
    patients: int | None = None,
    layout: Literal["nifti", "dicom"] = "nifti",
    dry_run: bool = False,
    accept_terms: bool = False,
    count_pairs: bool = False,
) -> None:
    """Fetch a public cohort into the layout that all other commands read. Shows what it is before it fetches anything.

    Goes on where it stopped when run again. Beside the patients, provenance.json says where each image is from.

    Args:
        cohort: Which; `medsynth cohorts` lists them.
        out: The cohort's new folder.
        subset: A part of it; `medsynth cohorts` lists them, the first is the default.
        patients: At most so many patients, in the order of their identifiers.
        layout: nifti: CT in HU, PET in SUV, one file each. dicom: the files as the archive has them.
        dry_run: Only show what would be fetched. Cohorts of the Imaging Data Commons need no network for it.
        accept_terms: Say yes to licence and terms here, not when asked.
        count_pairs: In the end, count the pairs of slices at most 0.2 mm apart, as 001 paired them.
    """
    from medsynth_lib.data.public import public_cohort
    from medsynth_lib.data.public.obtain import obtain, plan
    from medsynth_lib.errors import InputError

    about = public_cohort(cohort)
    wanted = plan(about, subset, patients)
    print(about.described(), flush=True)
    print(wanted.text(), flush=True)
    if dry_run:
        return
    if out is None:
        raise InputError("no place for the cohort", fix="name a new folder: --out COHORT")
    _agree(accept_terms)
    obtain(wanted, out, layout, report=lambda line: print(line, flush=True))
    print(f"{out}: see medsynth inspect {out}, then medsynth prepare")
    if count_pairs:
        from medsynth_lib.data.public.lung_selection import pairs_text

        print(pairs_text(out, about))


def _agree(accepted: bool) -> None:
    """Ask, where there is somebody to ask.

    Raises:
        InputError: licence and terms were not accepted.
    """
    import sys

    from medsynth_lib.errors import InputError

    if not accepted and sys.stdin is not None and sys.stdin.isatty():
        accepted = input("Do you accept the licence and the terms above? Type yes: ").strip().lower() == "yes"
    if not accepted:
        raise InputError(
            "the terms were not accepted; nothing was fetched",
            fix="read them above, then run again with --accept-terms",
        )
