"""Every widget of every lesson works in JupyterLab: each control is moved, and the picture must change.

By default all widgets are in one notebook and one kernel, each with no more of its lesson than it needs, trained for
one step: a minute. Nightly, each lesson's widgets alone, and one lesson from its first cell to its last.
"""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_notebook

from medsynth_lib.course.lessons import NOTEBOOKS, find_lessons
from tests.browser.lab import Findings, drive
from tests.browser.widget_slice import sliced, widget_cells
from tests.course.notebook_factory import KERNEL

LESSONS = find_lessons() if NOTEBOOKS.is_dir() else {}
WHOLE = "02_pix2pix_pet_to_ct"
pytestmark = pytest.mark.timeout(1800)  # alone on two cores a minute; beside other work it may take long


@pytest.mark.parametrize("stem", LESSONS)
def test_lesson_has_a_widget(stem):
    assert widget_cells(nbformat.read(LESSONS[stem], as_version=4)), "no cell widget-… that calls explorer"


@pytest.fixture(scope="module")
def cells() -> list:
    """(lesson, cell id, is it a widget) of every cell of the notebook ``all``, in order."""
    return []


@pytest.fixture(scope="module")
def found(browser, lab, cells, tmp_path_factory, pictures) -> Findings:
    """What moving all controls of all lessons showed."""
    notebook = new_notebook(metadata=KERNEL)
    for stem, path in LESSONS.items():
        parameters = {"PROFILE": "smoke", "STEPS": 1, "OUT_DIR": str(tmp_path_factory.mktemp(stem))}
        shown, needed = sliced(path, **parameters)
        for cell in needed:
            cells.append((stem, cell.id, cell.id in shown))
            cell.id = f"{stem}-{cell.id}"
            cell.metadata["tags"] = ["raises-exception"]  # one lesson's fault must not stop the others
        notebook.cells += needed
    nbformat.write(notebook, lab.folder / "all.ipynb")
    page = browser.new_page()
    try:
        return drive(page, lab, "all.ipynb", pictures)
    finally:
        page.close()


@pytest.mark.parametrize("stem", LESSONS)
def test_every_control_of_every_widget_works(stem, found, cells):
    own = {number: id for number, (lesson, id, _) in enumerate(cells) if lesson == stem}
    faults = [f"{own[number]}: {words}" for number, words in found.faults if number in own]
    assert faults == []
    shown = [number for number, (lesson, _, is_widget) in enumerate(cells) if lesson == stem and is_widget]
    assert all(found.moved.get(number, 0) > 0 for number in shown), found.moved


def test_the_page_itself_has_no_fault(found):
    assert [words for number, words in found.faults if number is None] == []


@pytest.mark.nightly
@pytest.mark.parametrize("stem", LESSONS)
def test_widgets_of_one_lesson_alone(stem, page, lab, tmp_path, pictures):
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
