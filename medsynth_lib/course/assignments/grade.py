"""Every submission of an assignment graded, a few at a time; the gradebook is nbgrader's."""

from __future__ import annotations

import csv
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from medsynth_lib.course import sandbox
from medsynth_lib.course.assignments.execute import DEFAULT_LIMITS, GradingLimits, execute, is_test
from medsynth_lib.course.assignments.folder import ClassFolder, nbgrader_log, need_nbgrader
from medsynth_lib.course.assignments.handout import GIVEN
from medsynth_lib.course.assignments.restore import pries, read_submission, restore
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import InputError, MedSynthError

COLUMNS = ("student", "assignment", "points", "max", "status")
#: In the notebook's metadata: what feedback may say about each cell.
VERDICT = "medsynth"


def grade(
    assignment: str,
    course: ClassFolder,
    *,
    students: tuple[str, ...] = (),
    jobs: int = 2,
    seed: int | None = None,
    limits: GradingLimits = DEFAULT_LIMITS,
    unsafe: bool = False,
    show: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """Grade what was collected; write ``autograded/``, the gradebook and, as rows come, ``grades-<assignment>.csv``.

    ``seed`` (default: drawn) is the same for the whole class, and other than the students'.

    Returns:
        A row for each student: ``COLUMNS``, then the points of each test. ``status``: ``graded``; ``review``, a human
        should look (it pries into the grader, its kernel no longer ran what it was given, some cells were not run, or
        a cell of the teacher's own failed); ``missing`` or ``unreadable``, both 0 points; ``failed``, this machine
        could not run it.

    Raises:
        MedSynthError: not released, nothing collected, or no sandbox and not ``unsafe``.
    """
    need_nbgrader()
    course.check_released(assignment)
    collected = course.students("submitted", assignment)
    chosen = [one for one in collected if not students or one in students]
    if not chosen:
        fix = f"medsynth assignments collect {assignment} FOLDER --course {course.root}"
        raise MedSynthError(f"no submission of {assignment} to grade", where=course.root, fix=fix)
    sandbox.check_available("submissions", unsafe)
    seed, source = secrets.randbelow(10**6) + 1 if seed is None else seed, course.notebook("source", assignment)
    prepared = {one: _prepare(one, assignment, course, read_submission(source)) for one in chosen}
    ready = {one: notebook for one, (notebook, _) in prepared.items() if notebook is not None}
    status = {one: said for one, (_, said) in prepared.items()}
    given, most = source.parent / GIVEN, _most(source)
    given = given if given.is_dir() else None

    def rows() -> Iterator[dict[str, Any]]:
        for student in sorted(prepared.keys() - ready.keys()):
            yield _row(student, assignment, dict.fromkeys(most, 0.0), most, status[student])
        for student, verdicts in _executed(ready, jobs, seed=seed, limits=limits, given=given, unsafe=unsafe):
            if verdicts is None:
                yield _row(student, assignment, None, most, "failed")
            else:
                points, said = _save(ready[student], verdicts, student, assignment, course, status[student])
                yield _row(student, assignment, points, most, said)

    read_grades(course.root / f"grades-{assignment}.csv")  # better now than after the first student
    done = {}
    for row in rows():
        done[row["student"]] = row
        write_grade(row, course)
        show(row)
    return [row for _, row in sorted(done.items())]


def _executed(ready: dict[str, Any], jobs: int, **options: Any) -> Iterator[tuple[str, list[dict[str, str]] | None]]:
    """Each student's verdicts as they come, ``None`` where the machine failed; on the way out, all is stopped."""
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(execute, notebook, stop=stop, **options): one for one, notebook in ready.items()}
        try:
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except (MedSynthError, OSError):
                    yield futures[future], None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def write_grade(row: dict[str, Any], course: ClassFolder) -> None:
    """Put ``row`` into the table for a learning-management system; other students' rows, and other columns, stay.

    Raises:
        InputError: the table that is there is not one of ours.
    """
    path = course.root / f"grades-{row['assignment']}.csv"
    table = read_grades(path) | {row["student"]: row}
    columns = dict.fromkeys(name for one in [row, *table.values()] for name in one)
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(one for _, one in sorted(table.items()))


def read_grades(path: Path) -> dict[str, dict[str, Any]]:
    """Student → row of the table at ``path``, empty where there is none.

    Raises:
        InputError: it is not a table as ``write_grade`` leaves it.
    """
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8-sig") as file:  # -sig: a spreadsheet may have saved it
        reader = csv.DictReader(file)
        if "student" not in (reader.fieldnames or ()):
            fix = "save it with commas, or move it away; grading writes it anew"
            raise InputError("not a table of grades", where=path, rule="a column student, commas between", fix=fix)
        return {row["student"]: row for row in reader}


def _prepare(student: str, assignment: str, course: ClassFolder, source: Any) -> tuple[Any, str]:
    """The restored notebook and a status; no notebook where there is none to run."""
    path = course.notebook("submitted", assignment, student)
    if not path.is_file():
        return None, "missing"
    try:
        submitted = restore(read_submission(path), source, course, assignment, student)
    except (MedSynthError, AttributeError, KeyError, TypeError, ValueError):  # a notebook may hold anything
        return None, "unreadable"
    return submitted, "review" if pries(submitted) else "graded"


def _save(
    notebook: Any, verdicts: list[dict[str, str]], student: str, assignment: str, course: ClassFolder, status: str
) -> tuple[dict[str, float], str]:
    """Write verdicts into the notebook as nbgrader reads them, and the scores into the gradebook: these, and status."""
    import nbformat
    from nbgrader.api import Gradebook
    from nbgrader.preprocessors import SaveAutoGrades

    for cell, verdict in zip(notebook.cells, verdicts, strict=True):
        cell.metadata[VERDICT] = verdict
        if cell.cell_type == "code":
            cell.outputs = [] if verdict["status"] == "ok" else [_error(verdict)]
    if any(map(_is_suspect, notebook.cells, verdicts)):
        status = "review"
    with nbgrader_log():
        with Gradebook(course.db_url) as book:
            book.update_or_create_student(student)
            book.update_or_create_submission(assignment, student)
        SaveAutoGrades().preprocess(notebook, course.resources(assignment, student))
        with Gradebook(course.db_url) as book:
            (found,) = book.find_submission(assignment, student).notebooks
            points = {grade.name: grade.score for grade in found.grades}
    path = course.notebook("autograded", assignment, student)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)
    return points, status


def _is_suspect(cell: Any, verdict: dict[str, str]) -> bool:
    """Whether points may be wrong: a cell was not run, or one of the teacher's that is no test, as imports, failed."""
    teachers = cell.metadata.get("nbgrader", {}).get("locked", False) and not is_test(cell)
    return verdict["status"] in ("tampered", "not_run") or (teachers and verdict["status"] != "ok")


def _error(verdict: dict[str, str]) -> Any:
    from nbformat.v4 import new_output

    name = verdict.get("ename") or verdict["status"]
    return new_output("error", ename=name, evalue=verdict.get("evalue", ""), traceback=[])


def _most(source: Path) -> dict[str, float]:
    """Whatever has points, tests above all → these."""
    cells = [cell.metadata.get("nbgrader", {}) for cell in read_submission(source).cells]
    return {cell.grade_id: float(cell.points) for cell in cells if cell.get("grade") or cell.get("task")}


def _row(
    student: str, assignment: str, points: dict[str, float] | None, most: dict[str, float], status: str
) -> dict[str, Any]:
    """``points=None``: none are known, which is not 0."""
    values = (student, assignment, sum(points.values()) if points else "", sum(most.values()), status)
    return dict(zip(COLUMNS, values, strict=True)) | {name: points.get(name, 0.0) if points else "" for name in most}
