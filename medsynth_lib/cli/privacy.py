"""``medsynth deidentify`` and ``privacy-check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from medsynth_lib.cli.app import app, report


@app.command
def deidentify(
    folder: Annotated[Path, tyro.conf.Positional],
    out: Path,
    key_file: Path | None = None,
    keep_burned_in: bool = False,
    json: bool = False,
) -> None:
    """Write the CT, PET and MR images of a DICOM folder anew without names, dates, numbers and private tags.

    Series that lie in one frame of reference still do, and SUV stays what it was. Voxels are not changed.

    Args:
        folder: DICOM files in any tree; never written to.
        out: A new folder: OUT/P-1a2b3c4d/PT-1/00001.dcm, and a report of counts.
        key_file: A secret file that gives the same patients the same aliases in another run; none keeps no way back.
        keep_burned_in: Keep screenshots and images that say text is burnt into their pixels.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.aliases import read_key
    from medsynth_lib.data.deidentify import deidentify as deidentify_folder

    key = None if key_file is None else read_key(key_file)
    found = deidentify_folder(folder, out, key=key, keep_burned_in=keep_burned_in)
    report(found.to_dict(), json, found.text)


@app.command(name="privacy-check")
def privacy_check(
    path: Annotated[Path, tyro.conf.Positional],
    identifiers: Path | None = None,
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    json: bool = False,
) -> int:
    """Search everything under a path for identifiers: names, contents, packed contents, metadata. Ends with 1 if any.

    Looks into text, DICOM, NIfTI, PNG, notebooks, pages, checkpoints and archives. It cannot read text drawn as pixels.

    Args:
        path: A file or folder: a run, a slice store, lessons, figures.
        identifiers: A text file with one identifier per line.
        source: A folder of DICOM: names, numbers, dates, places and free texts in its headers are looked for.
        json: Print JSON for another program.
    """
    from medsynth_lib.data.identifiers import folder_identifiers
    from medsynth_lib.data.privacy import findings_dict, format_findings, read_identifiers, search
    from medsynth_lib.errors import InputError

    if identifiers is None and source is None:
        raise InputError("what to look for?", rule="--identifiers FILE or --from DICOM_FOLDER, or both")
    wanted, short = ({}, {}) if source is None else folder_identifiers(source)
    wanted |= {} if identifiers is None else read_identifiers(identifiers)
    findings, files = search(path, wanted)
    found = findings, files, len(wanted), short
    report(findings_dict(*found), json, lambda: format_findings(*found))
    return 1 if findings else 0
