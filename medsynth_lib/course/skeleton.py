"""A new lesson with the anatomy of one already: every section, a way from data to record, words to replace."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError

STEM = re.compile(r"\d\d(_[a-z0-9]+)+")
#: It keeps every rule of ``structure`` and runs as it is; ``STEM``, ``NUMBER`` and ``TITLE`` are filled in.
TEMPLATE = Path(__file__).with_name("skeleton.ipynb")


def write_skeleton(stem: str, folder: str | Path) -> Path:
    """Write the new lesson ``folder/stem.ipynb``.

    Raises:
        MedSynthError: a stem that is none (``08_my_topic``), or a lesson of that number is there already.
    """
    folder = Path(folder)
    if not STEM.fullmatch(stem):
        rule = "two digits, then words in small letters joined by _: 08_low_dose_pet"
        raise MedSynthError("not the stem of a lesson", rule=rule, seen=stem)
    if taken := sorted(folder.glob(f"{stem[:2]}_*.ipynb")):
        raise MedSynthError("there is a lesson of this number", where=taken[0], fix="choose another number")
    names = {"STEM": stem, "NUMBER": stem[:2], "TITLE": stem[3:].replace("_", " ").capitalize()}
    notebook = nbformat.read(TEMPLATE, as_version=4)
    for cell in notebook.cells:
        cell.source = re.sub(r"\b(STEM|NUMBER|TITLE)\b", lambda found: names[found[1]], cell.source)
    with atomic_path(folder / f"{stem}.ipynb") as path:
        nbformat.write(notebook, path)
    return folder / f"{stem}.ipynb"
