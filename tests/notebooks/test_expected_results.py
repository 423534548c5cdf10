"""What comes with the lessons: bands that can be read, small models that load; nightly, that runs agree with both."""

from __future__ import annotations

import nbformat
import pytest

from medsynth_lib.course.expected import read_expected
from medsynth_lib.course.lessons import find_lessons, run_lessons
from medsynth_lib.course.objectives_table import duration, fill, memory
from medsynth_lib.course.places import EXPECTED, MODEL, NOTEBOOKS, bands_file, expected_folder
from medsynth_lib.training.checkpoint import load_model
from medsynth_lib.training.profiles import profile
from medsynth_lib.training.run import load_system

LESSONS = find_lessons() if NOTEBOOKS.is_dir() else {}
COURSE = read_expected(bands_file()) if LESSONS else {}
MODELS = [stem for stem in LESSONS if (expected_folder(stem) / MODEL).is_dir()]
JUDGED = [stem for stem in COURSE if "lesson" in COURSE[stem]]
MAX_BYTES = 20_000_000


def test_all_that_comes_with_the_lessons_is_small():
    files = [path for path in (NOTEBOOKS / EXPECTED).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES


@pytest.mark.parametrize("stem", COURSE)
def test_bands_are_of_a_lesson_and_its_table_says_the_same(stem):
    assert stem in LESSONS
    cells = [cell for cell in nbformat.read(LESSONS[stem], 4).cells if cell.id.split("-")[0] == "objectives"]
    for name, one in COURSE[stem].items():
        assert one.metrics
        words = f"{duration(one.seconds)} on {one.hardware}", memory(one.peak_mib)
        assert cells[0].source == fill(cells[0].source, name, *words), "run `medsynth lessons expected`"


@pytest.mark.parametrize("stem", MODELS)
def test_the_model_of_a_lesson_loads_and_is_of_its_lesson_profile(stem):
    system, about = load_system(expected_folder(stem) / MODEL)
    assert about["weight_bits"] == 8
    assert about["synthetic_data"]
    assert system.config == profile(system.name, "lesson").system
    assert all(tensor.isfinite().all() for tensor in load_model(expected_folder(stem) / MODEL)[0].values())
    code = "".join(cell.source for cell in nbformat.read(LESSONS[stem], 4).cells if cell.cell_type == "code")
    assert "lesson.checkpoint(CHECKPOINT)" in code


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stem", MODELS)
def test_without_training_a_lesson_gives_what_is_expected(stem, tmp_path):
    (run,) = run_lessons([stem], "lesson", out=tmp_path, parameters={"CHECKPOINT": "course"})
    assert run.result.ok, run.result


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("stem", JUDGED)
def test_a_lesson_gives_what_is_expected(stem, tmp_path):
    (run,) = run_lessons([stem], "lesson", out=tmp_path)
    assert run.result.ok, run.result
