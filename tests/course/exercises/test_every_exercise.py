"""Every exercise of every lesson: the reference passes, so does the solution folded into the notebook, the stub waits.

What each realistic wrong answer gets is tested lesson by lesson, in the files beside this one.
"""

import importlib

import pytest

from medsynth_lib.course.exercise import judge_attempt
from tests.course.exercises.lesson_source import NOTEBOOKS, solution, stub


def every_exercise():
    """(lesson, its module of exercises, the name of a check in it) of every exercise."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        module = importlib.import_module(f"medsynth_lib.course.exercises.{path.stem.partition('_')[2]}")
        yield from ((path.stem, module, check) for check in dir(module) if check.startswith("check_"))


EXERCISES = list(every_exercise())


@pytest.mark.parametrize("source", ["reference", "solution", "stub"])
@pytest.mark.parametrize(("stem", "exercises", "check"), EXERCISES, ids=[f"{one[0]}-{one[2]}" for one in EXERCISES])
def test_reference_and_solution_pass_and_the_stub_waits(stem, exercises, check, source):
    name = check.removeprefix("check_")
    attempt = {"reference": lambda: getattr(exercises, name), "solution": lambda: solution(stem, name)}
    attempt["stub"] = lambda: stub(stem, name)
    expected = "unfinished" if source == "stub" else "solved"
    assert judge_attempt(attempt[source](), getattr(exercises, check)).status == expected
