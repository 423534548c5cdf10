"""Strict runner, nbval and browser: none replaces another, each finds a fault that the two others let pass.

That each finds its own: ``test_runner.py`` (network: swallowed), ``test_notebooks.py`` (a stored output no longer
true), ``test_planted.py`` (raises, ignores). Here, that it is blind to what the others find.
"""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_output

from medsynth_lib.course.runner import run_notebook
from tests.browser.lab import drive
from tests.browser.test_planted import FAULTS
from tests.course.notebook_factory import write_notebook
from tests.course.test_runner import SWALLOWED
from tests.notebooks.test_notebooks import nbval

#: The first is for nbval to find, the second for the strict runner, the third for the browser.
STALE, NETWORK, SLIDER = "# NBVAL_CHECK_OUTPUT\n(SEED, 4)", SWALLOWED, FAULTS["raises"][0]
pytestmark = pytest.mark.timeout(900)


def planted(path, *sources):
    """A notebook of ``sources``; with the output of ``STALE`` stored as it is not."""
    notebook = nbformat.read(write_notebook(path, *sources), as_version=4)
    for cell in notebook.cells:
        if cell.source == STALE:
            cell.outputs = [new_output("execute_result", data={"text/plain": "(4, 3)"}, execution_count=1)]
    nbformat.write(notebook, path)
    return path


def test_the_strict_runner_does_not_compare_outputs_nor_move_sliders(tmp_path):
    result = run_notebook(planted(tmp_path / "in" / "00_tiny.ipynb", STALE, SLIDER), tmp_path / "out")
    assert result.ok, result


def test_nbval_does_not_see_the_network_nor_move_sliders(tmp_path):
    done = nbval(planted(tmp_path / "in" / "00_tiny.ipynb", NETWORK, SLIDER), tmp_path, {})
    assert done.returncode == 0, done.stdout[:2000]


def test_the_browser_does_not_compare_outputs_nor_see_the_network(page, lab, pictures):
    planted(lab.folder / "blind.ipynb", STALE, NETWORK)
    assert drive(page, lab, "blind.ipynb", pictures).faults == []
