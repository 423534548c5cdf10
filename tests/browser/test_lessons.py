"""Every widget of every lesson works in JupyterLab: each control is moved, and the picture must change.

Each lesson's widgets stand in a notebook with no more of the lesson than they need, trained for one step. By default
one lesson's are driven; nightly all, and one lesson from its first cell to its last.
"""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_notebook

from medsynth_lib.course.lessons import NOTEBOOKS, find_lessons
from tests.browser.lab import drive
from tests.browser.widget_slice import sliced, widget_cells
from tests.course.notebook_factory import KERNEL

LESSONS = find_lessons() if NOTEBOOKS.is_dir() else {}
BY_DEFAULT, WHOLE = "00_imaging_data", "02_pix2pix_pet_to_ct"
pytestmark = pytest.mark.timeout(1800)  # alone on two cores half a minute; beside other work it may take long


@pytest.mark.parametrize("stem", LESSONS)
def test_lesson_has_a_widget(stem):
    assert widget_cells(nbformat.read(LESSONS[stem], as_version=4)), "no cell widget-… that calls explorer"


@pytest.mark.parametrize(
    "stem", [pytest.param(stem, marks=() if stem == BY_DEFAULT else pytest.mark.nightly) for stem in LESSONS]
)
def test_every_control_of_every_widget_works(stem, page, lab, tmp_path, pictures):
    shown, needed = sliced(LESSONS[stem], PROFILE="smoke", STEPS=1, OUT_DIR=str(tmp_path))
    nbformat.write(new_notebook(cells=needed, metadata=KERNEL), lab.folder / f"{stem}.ipynb")
    found = drive(page, lab, f"{stem}.ipynb", pictures)
    assert found.faults == []
    assert len(found.moved) == len(shown)


@pytest.mark.nightly
def test_a_whole_lesson(page, lab, tmp_path, pictures):
    notebook = nbformat.read(LESSONS[WHOLE], as_version=4)
    cell = next(one for one in notebook.cells if "parameters" in one.metadata.get("tags", []))
    cell.source += f'\nPROFILE, OUT_DIR = "smoke", {str(tmp_path)!r}'
    nbformat.write(notebook, lab.folder / "whole.ipynb")
    found = drive(page, lab, "whole.ipynb", pictures)
    assert found.faults == []
    assert len(found.moved) >= len(widget_cells(notebook))
