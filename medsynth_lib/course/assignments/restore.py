"""A submission made gradeable: tests as the teacher wrote them, every cell once, ids that are unique."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

from medsynth_lib.course.assignments.folder import ClassFolder, nbgrader_log
from medsynth_lib.errors import InputError

#: What no solution needs, and what looks into the grader: a human should read such a submission.
_PRYING = re.compile(
    r"_getframe|\binspect\b|\bgc\b|get_ipython|ctypes|__main__|currentframe|tb_frame|medsynth_lib\.course\.exercises"
    r"|medsynth_lib\.course import exercises|ast_transformers|\bptrace\b|/proc/|sys\.settrace|sys\.setprofile"
)


def read_submission(path: Path) -> Any:
    """The notebook at ``path``.

    Raises:
        InputError: not a notebook.
    """
    import nbformat

    try:
        text = path.read_text(encoding="utf-8")
        with nbgrader_log():  # nbformat warns of ids that are there twice, and mends them
            return nbformat.convert(nbformat.reads(text, as_version=nbformat.NO_CONVERT), 4)
    except Exception as error:  # whatever a broken file makes the reader raise
        raise InputError("not a notebook that can be read", seen=type(error).__name__) from error


def restore(submitted: Any, source: Any, course: ClassFolder, assignment: str, student: str) -> Any:
    """``submitted`` with the hidden tests of ``source`` (the teacher's notebook) in place.

    Students' answers and own cells stay where they are. nbgrader's own metadata in them are worth nothing: they are
    taken from the source by ``grade_id``. Of several cells with one id the last counts, as nbgrader has it.
    """
    from nbgrader.preprocessors import ClearOutput, DeduplicateIds, OverwriteCells, OverwriteKernelspec

    truth = {cell.metadata.nbgrader.grade_id: cell for cell in source.cells if "nbgrader" in cell.metadata}
    for cell in submitted.cells:
        name = _grade_id(cell)
        cell.metadata.clear()
        if name in truth:
            cell.metadata.nbgrader = _copy(truth[name].metadata.nbgrader)
    resources = course.resources(assignment, student)
    with nbgrader_log():
        submitted, _ = DeduplicateIds().preprocess(submitted, resources)
        _add_missing(submitted, truth)
        for step in (ClearOutput(), OverwriteKernelspec(), OverwriteCells()):
            submitted, _ = step.preprocess(submitted, resources)
    _make_ids_unique(submitted)
    return submitted


def pries(submitted: Any) -> bool:
    """Whether an answer names things that look into the grader rather than at the task."""
    return any(_PRYING.search(cell.source) for cell in submitted.cells if not _is_locked(cell))


def _is_locked(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("locked"))


def _grade_id(cell: Any) -> str:
    found = cell.metadata.get("nbgrader", {})
    return str(found.get("grade_id", "")) if isinstance(found, dict) else ""


def _copy(metadata: Any) -> Any:
    from nbformat import from_dict

    return from_dict(dict(metadata))


def _add_missing(submitted: Any, truth: dict[str, Any]) -> None:
    """Put deleted cells back behind the one that comes before them in the source."""
    import copy

    place = 0
    for name, cell in truth.items():
        at = [index for index, one in enumerate(submitted.cells) if _grade_id(one) == name]
        if at:
            place = at[0] + 1
            continue
        added = copy.deepcopy(cell)
        if not _is_locked(added):
            added.source = "# This cell was not in the submission."  # never the teacher's solution
        submitted.cells.insert(place, added)
        place += 1


def _make_ids_unique(notebook: Any) -> None:
    notebook.nbformat, notebook.nbformat_minor, seen = 4, 5, set()
    for cell in notebook.cells:
        cell.id = cell.get("id") or uuid.uuid4().hex[:8]
        if cell.id in seen or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(cell.id)):
            cell.id = uuid.uuid4().hex[:8]
        seen.add(cell.id)
