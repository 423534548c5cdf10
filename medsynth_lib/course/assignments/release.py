"""From the notebook that teachers write to the one that students get: no solution, no hidden test."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from medsynth_lib.course.assignments.execute import is_test
from medsynth_lib.course.assignments.folder import ClassFolder, nbgrader_log, need_nbgrader
from medsynth_lib.course.assignments.handout import GIVEN
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError

HIDDEN = re.compile(r"^[ \t]*#+ BEGIN HIDDEN TESTS.*?^[ \t]*#+ END HIDDEN TESTS[^\n]*\n?", re.DOTALL | re.MULTILINE)
_MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS")


def release(assignment: str, source: Path, course: ClassFolder) -> Path:
    """Keep ``source`` with the class and write the students' version of it; return that.

    Grading takes the copy kept here, so later changes to the assignment do not touch a class that has it.

    Raises:
        MedSynthError: nbgrader refused the notebook, it would give something away, or submissions exist already.
    """
    need_nbgrader()
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory

    if course.students("submitted", assignment):
        raise MedSynthError(
            f"students have handed in {assignment} already",
            where=course.root,
            fix="release a changed assignment to a new --course folder",
        )
    kept, config = course.notebook("source", assignment), course.config(assignment)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _label(source, kept)
    if (source.parent / GIVEN).is_dir():
        shutil.copytree(source.parent / GIVEN, kept.parent / GIVEN, dirs_exist_ok=True)
    config.GenerateAssignment.force = True
    with nbgrader_log() as said:
        try:
            GenerateAssignment(coursedir=CourseDirectory(config=config), config=config).start()
        except Exception as error:  # nbgrader's own, or what went wrong inside
            seen = said.getvalue().strip().splitlines()[-1:] or [str(error)]
            raise MedSynthError(
                "nbgrader cannot make the students' version", where=source.name, seen=seen[0]
            ) from error
    released = course.notebook("release", assignment)
    _check_nothing_given_away(kept, released)
    return released


def _label(source: Path, kept: Path) -> None:
    """Copy ``source``; before each hidden test a line that students see: its name and points, not an empty cell."""
    import nbformat

    notebook = nbformat.read(source, 4)
    for cell in notebook.cells:
        if is_test(cell):
            name, points = cell.metadata.nbgrader.grade_id.removeprefix("test-"), cell.metadata.nbgrader.points
            line = f"# Hidden test: {name}, {points} point{'s' * (points != 1)}"
            cell.source = re.sub(r"^(?=[ \t]*#+ BEGIN HIDDEN TESTS)", f"{line}\n", cell.source, flags=re.MULTILINE)
    with atomic_path(kept) as path:
        nbformat.write(notebook, path)


def hidden_lines(notebook: Path) -> set[str]:
    """Lines that only the hidden tests of a notebook with solutions have, long enough to tell something."""
    sources = _sources(notebook)
    lines = {line.strip() for one in sources for region in HIDDEN.findall(one) for line in region.splitlines()}
    visible = "\n".join(HIDDEN.sub("", one) for one in sources)
    return {line for line in lines if len(line) > 12 and line not in visible and not _is_mark(line)}


def _is_mark(line: str) -> bool:
    return any(mark in line for mark in _MARKS)


def _check_nothing_given_away(source: Path, released: Path) -> None:
    text = "\n".join(_sources(released))
    leaked = [line for line in hidden_lines(source) if line in text]
    if leaked or _is_mark(text):
        released.unlink()
        raise MedSynthError("the students' version would give solutions or hidden tests away", where=source.name)


def _sources(notebook: Path) -> list[str]:
    import nbformat

    return [cell.source for cell in nbformat.read(notebook, 4).cells]
