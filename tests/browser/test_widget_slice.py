"""The slice of a lesson has what its widgets need, in order, and nothing that only others need."""

from __future__ import annotations

import contextlib
import math

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.widget_slice import needed, sliced, widget_cells

CELLS = {
    "set-up": "start = 1",
    "imports-only": "import os\nfrom math import sin, cos\nfrom medsynth_lib.visualize.widgets import explorer",
    "data": "values = [start, 2]\nother = [0]",
    "data-unused": "for number in range(3):\n    unused = number",
    "data-add": "values.append(3)",
    "data-item": "other[0] = values[0]",
    "build": "def scale(number, values):\n    total = sum(values)\n    return sin(number) * factor",
    "build-factor": "factor = 2",
    "print": "print(values, factor)",
    "widget-render": "def render(x):\n    return scale(x, values)",
    "widget": "explorer(render, 'A curve', x=None)",
    "widget-film-strip": "other_picture = render(1)",
    "later": "values = []",
}


def notebook_of(cells):
    made = [new_code_cell("SEED = 0", id="parameters", metadata={"tags": ["parameters"]})]
    return new_notebook(cells=made + [new_code_cell(source, id=id) for id, source in cells.items()])


def test_slice_is_what_the_widget_needs():
    notebook = notebook_of(CELLS)
    assert widget_cells(notebook) == ["widget"]
    chosen = [cell.id for cell in needed(notebook, ["widget"])]
    assert chosen == ["parameters", "set-up", "data", "data-add", "build", "build-factor", "widget-render", "widget"]


@pytest.mark.parametrize("lost", ["set-up", "data", "data-add", "build", "build-factor", "widget-render"])
def test_each_cell_of_the_slice_is_needed(lost):
    """Without it the code fails, or gives something else: checked by running it."""

    def run(ids):
        found = {}
        space = {"sin": math.sin, "explorer": lambda render, alt, x: found.update(value=render(1))}
        for id in ids:
            source = CELLS.get(id, "").replace("sum(values)", "sum(values)\n    globals()['seen'] = total")
            exec(source, space)  # noqa: S102, the test's own text
        return found["value"], space["seen"]

    ids = [cell.id for cell in needed(notebook_of(CELLS), ["widget"])]
    whole = run(ids)
    with contextlib.suppress(NameError):
        assert run([id for id in ids if id != lost]) != whole


def test_parameters_are_replaced(tmp_path):
    nbformat.write(notebook_of(CELLS), tmp_path / "lesson.ipynb")
    shown, cells = sliced(tmp_path / "lesson.ipynb", SEED=3)
    assert shown == ["widget"]
    assert (
        cells[0].source == "import os\nfrom math import sin, cos\nfrom medsynth_lib.visualize.widgets import explorer"
    )
    assert cells[1].source.endswith("\nSEED = 3")
