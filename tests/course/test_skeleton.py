"""A new lesson keeps every rule and runs before a word of it was changed."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from medsynth_lib.cli import main
from medsynth_lib.course.runner import run_notebook
from medsynth_lib.course.skeleton import write_skeleton
from medsynth_lib.course.structure import check_structure
from medsynth_lib.errors import MedSynthError


def test_skeleton_keeps_every_rule_runs_strictly_and_passes_the_linter(tmp_path, capsys):
    assert main(["lessons", "new", "08_low_dose_pet", "--notebooks", str(tmp_path)]) == 0
    path = tmp_path / "08_low_dose_pet.ipynb"
    assert str(path) in capsys.readouterr().out
    notebook = nbformat.read(path, as_version=4)
    assert check_structure(notebook, tmp_path) == []
    assert "Lesson 08 · Low dose pet" in notebook.cells[0].source
    lint = [sys.executable, "-m", "ruff", "check", "--config", str(Path(__file__).parents[2] / "pyproject.toml")]
    checked = subprocess.run([*lint, str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    results = tmp_path / "results"
    result = run_notebook(path, tmp_path / "out", {"PROFILE": "smoke", "OUT_DIR": str(results)}, threads=1)
    assert result.ok, (result, Path(result.log).read_text())
    record = json.loads((results / "record.json").read_text())
    assert record["metrics"]["mae"] < record["metrics"]["mae_mean_image"]
    assert record["exercises"] == {"E1": "unfinished"}


@pytest.mark.parametrize("stem", ["low_dose", "8_low_dose", "08_Low", "08", "../08_x", "08_low-dose"])
def test_stem_that_is_none_is_refused(tmp_path, stem):
    with pytest.raises(MedSynthError, match="not the stem"):
        write_skeleton(stem, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lesson_that_is_there_is_never_overwritten(tmp_path):
    write_skeleton("08_a", tmp_path)
    with pytest.raises(MedSynthError, match="of this number"):
        write_skeleton("08_b", tmp_path)
