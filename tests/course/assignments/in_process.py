"""An assignment graded in this process, without nbgrader or a kernel: fast enough for every wrong answer we know."""

from __future__ import annotations

import contextlib
import io
import os
import re
from unittest import mock

import nbformat

from medsynth_lib.course.assignments.execute import is_test
from medsynth_lib.course.assignments.feedback import hints
from medsynth_lib.course.assignments.folder import ASSIGNMENTS
from medsynth_lib.course.assignments.handout import GIVEN, GIVEN_VARIABLE, SEED_VARIABLE

SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)


def cells(stem: str) -> list:
    notebook = nbformat.read(ASSIGNMENTS / stem / f"{stem}.ipynb", 4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def points(stem: str) -> dict[str, int]:
    """Test → its points."""
    return {grade_id(cell): cell.metadata.nbgrader.points for cell in cells(stem) if is_test(cell)}


def grade_id(cell) -> str:
    return cell.metadata.nbgrader.grade_id


def lost(stem: str, answers: dict[str, str], seed: int = 7) -> dict[str, tuple[str, bool]]:
    """Test → (message, whether it is one of its hints) for each failed test, with ``answers`` in place of solutions."""
    space, failed = {}, {}
    variables = {SEED_VARIABLE: str(seed), GIVEN_VARIABLE: str(ASSIGNMENTS / stem / GIVEN)}
    with mock.patch.dict(os.environ, variables), contextlib.redirect_stdout(io.StringIO()):
        for cell in cells(stem):
            source = answers.get(grade_id(cell), cell.source)
            try:
                exec(compile(source, grade_id(cell), "exec"), space)  # noqa: S102, our own notebook
            except Exception as error:
                if not is_test(cell):
                    raise
                message = str(error) or type(error).__name__
                failed[grade_id(cell)] = message, message in hints(cell.source)
    return failed


def answer(stem: str, name: str) -> str:
    """The solution in the cell ``name``."""
    (cell,) = [one for one in cells(stem) if grade_id(one) == name]
    return cell.source


def stubs(stem: str) -> dict[str, str]:
    """Every solution as the student finds it."""
    solutions = [cell for cell in cells(stem) if cell.metadata.nbgrader.solution]
    return {grade_id(cell): SOLUTION.sub(r"\1raise NotImplementedError()", cell.source) for cell in solutions}


def changed(stem: str, name: str, *edits: tuple[str, str]) -> dict[str, str]:
    """The solution ``name`` with each text replaced by another: a wrong answer."""
    source = answer(stem, name)
    for old, new in edits:
        assert old in source, f"{name} has no {old!r}"
        source = source.replace(old, new)
    return {name: source}


def assert_loses_exactly(hints: dict[str, str], stem: str, name: str, edits: list[tuple[str, str]], seed: int) -> None:
    """The solution ``name`` with ``edits`` fails the tests in ``hints``, each with a message that has its words."""
    found = lost(stem, changed(stem, name, *edits), seed)
    assert found.keys() == hints.keys(), found
    for test, hint in hints.items():
        assert hint in found[test][0], found
