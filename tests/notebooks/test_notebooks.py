"""Every lesson really works: its structure, the strict runner and nbval, all on the smoke profile.

nbval compares the short outputs stored in a lesson; the strict runner finds what nbval misses (a limit for the
whole notebook, network access, swallowed errors whose output was cleared).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from medsynth_lib.course.lessons import NOTEBOOKS, find_lessons
from medsynth_lib.course.runner import Limits, kernel_environment, run_notebook
from medsynth_lib.course.structure import check_structure
from tests.course.notebook_factory import write_notebook

LESSONS = find_lessons() if NOTEBOOKS.is_dir() else {}
CELL_S = 300


@pytest.fixture
def smoke(tmp_path) -> dict:
    """Parameters of the smoke profile, on the patients that a lesson makes itself (the phantom)."""
    return {"PROFILE": "smoke", "OUT_DIR": str(tmp_path / "out")}


@pytest.mark.parametrize("stem", LESSONS)
def test_structure(stem):
    assert check_structure(nbformat.read(LESSONS[stem], as_version=4), NOTEBOOKS) == []


@pytest.mark.parametrize("stem", LESSONS)
def test_lesson_runs_strictly(stem, smoke, tmp_path):
    result = run_notebook(LESSONS[stem], tmp_path / "out", smoke, limits=Limits(CELL_S, 2 * CELL_S))
    assert result.ok, (result, Path(result.log).read_text()[-3000:])
    assert (tmp_path / "out" / "record.json").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("stem", LESSONS)
def test_lesson_runs_strictly_on_real_scans(stem, smoke, tmp_path, realdata):
    parameters = smoke | {"DATA_ROOT": str(realdata / "sts-nifti")}
    result = run_notebook(LESSONS[stem], tmp_path / "out", parameters, limits=Limits(2 * CELL_S, 4 * CELL_S))
    assert result.ok, (result, Path(result.log).read_text()[-3000:])


@pytest.mark.parametrize("stem", LESSONS)
def test_lesson_passes_nbval(stem, smoke, tmp_path):
    done = nbval(LESSONS[stem], tmp_path, smoke)
    assert done.returncode == 0, re.sub(r"\x1b\[[\d;]*m", "", done.stdout)[:4000]  # the first failure is the cause


def nbval(source: Path, folder: Path, parameters: dict) -> subprocess.CompletedProcess:
    """nbval on a copy of ``source`` with ``parameters`` in it; without the network, as in the strict runner."""
    notebook = nbformat.read(source, as_version=4)
    cell = next(one for one in notebook.cells if "parameters" in one.metadata.get("tags", []))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    nbformat.write(notebook, folder / source.name)
    (folder / "scratch").mkdir()
    env = kernel_environment(folder / "scratch", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        "-c",
        os.devnull,
    ]
    command += ["--nbval-lax", "--nbval-cell-timeout", str(CELL_S), "--nbval-current-env", source.name]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=3 * CELL_S)


@pytest.mark.parametrize(("stored", "code"), [("(3, 4)", 0), ("(4, 3)", 1)])
def test_nbval_sees_a_stored_output_that_is_no_longer_true_where_the_runner_does_not(tmp_path, stored, code):
    source = write_notebook(tmp_path / "in" / "00_tiny.ipynb", "# NBVAL_CHECK_OUTPUT\n(SEED, 4)")
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[1].outputs = [new_output("execute_result", data={"text/plain": stored}, execution_count=1)]
    notebook.cells[1].execution_count = 1
    nbformat.write(notebook, source)
    assert run_notebook(source, tmp_path / "out", {"SEED": 3}).ok
    assert nbval(source, tmp_path, {"SEED": 3}).returncode == code
