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
from medsynth_lib.errors import MedSynthError

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
    """Grade what was collected; write ``autograded/``, the gradebook and ``grades-<assignment>.csv``.

    ``seed`` (default: drawn) is the same for the whole class, and other than the students'.

    Returns:
        A row of ``COLUMNS`` for each student. ``status``: ``graded``; ``review``, a human should look (it pries into
        the grader, its kernel no longer ran what it was given, or some cells were not run); ``missing`` or
        ``unreadable``, both 0 points; ``failed``, this machine could not run it.

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
    rows, given = {}, source.parent / GIVEN
    given = given if given.is_dir() else None
    for student in sorted(prepared.keys() - ready.keys()):
        rows[student] = _row(student, assignment, 0.0, _most(source), status[student])
        show(rows[student])
    for student, verdicts in _executed(ready, jobs, seed=seed, limits=limits, given=given, unsafe=unsafe):
        if verdicts is None:
            rows[student] = _row(student, assignment, 0.0, _most(source), "failed")
        else:
            rows[student] = _save(ready[student], verdicts, student, assignment, course, status[student])
        show(rows[student])
    return write_grades(assignment, course, rows)


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


def write_grades(assignment: str, course: ClassFolder, rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Put ``rows`` (student → row) into the table for a learning-management system; other students' stay."""
    path = course.root / f"grades-{assignment}.csv"
    before = {}
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            before = {row["student"]: row for row in csv.DictReader(file)}
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row for _, row in sorted((before | rows).items()))
    return [row for _, row in sorted(rows.items())]


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
) -> dict[str, Any]:
    """Write verdicts into the notebook as nbgrader reads them, and the scores into the gradebook."""
    import nbformat
    from nbgrader.api import Gradebook
    from nbgrader.preprocessors import SaveAutoGrades

    for cell, verdict in zip(notebook.cells, verdicts, strict=True):
        cell.metadata[VERDICT] = verdict
        if cell.cell_type == "code":
            cell.outputs = [] if verdict["status"] == "ok" else [_error(verdict)]
    if any(verdict["status"] in ("tampered", "not_run") for verdict in verdicts):
        status = "review"
    with nbgrader_log():
        with Gradebook(course.db_url) as book:
            book.update_or_create_student(student)
            book.update_or_create_submission(assignment, student)
        SaveAutoGrades().preprocess(notebook, course.resources(assignment, student))
        with Gradebook(course.db_url) as book:
            found = book.find_submission(assignment, student)
            points, most = found.score, found.max_score
    path = course.notebook("autograded", assignment, student)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)
    return _row(student, assignment, points, most, status)


def _error(verdict: dict[str, str]) -> Any:
    from nbformat.v4 import new_output

    name = verdict.get("ename") or verdict["status"]
    return new_output("error", ename=name, evalue=verdict.get("evalue", ""), traceback=[])


def _most(source: Path) -> float:
    return float(sum(cell.metadata.nbgrader.points for cell in read_submission(source).cells if is_test(cell)))


def _row(student: str, assignment: str, points: float, most: float, status: str) -> dict[str, Any]:
    return dict(zip(COLUMNS, (student, assignment, points, most, status), strict=True))
