"""Synthetic students: notebooks made from the released one, each with answers of its own."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import nbformat

from medsynth_lib.course.assignments.folder import ClassFolder, find_assignments
from medsynth_lib.course.assignments.release import release

STEM = "02_pix2pix_pet_to_ct"


def open_class(root: Path, stem: str = STEM) -> tuple[ClassFolder, nbformat.NotebookNode]:
    """A class that has the assignment, and the notebook that its students get."""
    course = ClassFolder(root / "class")
    released = release(stem, find_assignments((stem,))[stem], course)
    return course, nbformat.read(released, 4)


class Student:
    """Fills in a released notebook and hands it in under ``name``."""

    def __init__(self, name: str, released: nbformat.NotebookNode):
        self.name, self.notebook = name, copy.deepcopy(released)

    def answer(self, answers: dict[str, str]) -> Student:
        for cell in self.notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = answers.get(name, cell.source)
        return self

    def add(self, source: str, at: int = -1) -> Student:
        """A cell of the student's own before the cell ``at``; by default the last."""
        self.notebook.cells.insert(at, nbformat.v4.new_code_cell(source))
        return self

    def write(self, markdown: str) -> Student:
        """A text of the student's own at the end."""
        self.notebook.cells.append(nbformat.v4.new_markdown_cell(markdown))
        return self

    def hand_in(self, folder: Path) -> None:
        place = folder / self.name / "anything" / f"{STEM}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(self.notebook), encoding="utf-8")
