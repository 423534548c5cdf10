"""A folder of submissions, as a learning-management system gives it, into the class: one notebook for each student."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from medsynth_lib.course.assignments.folder import STUDENT, ClassFolder
from medsynth_lib.data.archive import unpack
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError

#: Moodle's folder or file of a student, ``Eva Müller_123_assignsubmission_file_…``: 123 is the participant's number.
MOODLE = re.compile(r".*_(\d+)_assignsubmission_file_.*")
#: No assignment is as big, outputs included.
MAX_BYTES = 30 * 2**20


def collect(assignment: str, submissions: Path, course: ClassFolder) -> dict[str, str]:
    """Take each student's notebook in ``submissions``: ``ID/…/*.ipynb``, ``ID.zip`` or ``ID.ipynb``.

    Of a folder from Moodle the ID is the participant's number alone: the person's name stays out of the class.

    Returns:
        student → ``""``, or why there is no notebook of theirs. The empty submission of such a student is graded 0.

    Raises:
        MedSynthError: the class does not have the assignment, no folder, or nothing in it.
    """
    course.check_released(assignment)
    if not submissions.is_dir():
        raise MedSynthError("no folder of submissions", where=submissions)
    entries = sorted(path for path in submissions.iterdir() if not path.name.startswith("."))
    notes: dict[str, str] = {}
    for path in filter(_is_submission, entries):
        student = _student(path)
        notes[student] = "handed in twice: the first was taken" if student in notes else _take(path, assignment, course)
    if not notes:
        raise MedSynthError(
            "nothing was handed in", where=submissions, rule="ID/NOTEBOOK.ipynb, ID.zip or ID.ipynb for each student"
        )
    return notes


def _is_submission(path: Path) -> bool:
    text_only = "_assignsubmission_onlinetext_" in path.name
    return not text_only and (path.is_dir() or path.suffix.lower() in (".zip", ".ipynb"))


def _student(path: Path) -> str:
    name = path.name if path.is_dir() else path.stem
    moodle = MOODLE.fullmatch(name)
    return moodle[1] if moodle else name


def _take(path: Path, assignment: str, course: ClassFolder) -> str:
    """Copy the one notebook found at ``path``; what is wrong, if it cannot be."""
    student = _student(path)
    if not STUDENT.fullmatch(student):
        return "left out: a student's name may have letters, digits, dot, dash and underscore"
    target = course.notebook("submitted", assignment, student)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of an earlier hand-in
    with tempfile.TemporaryDirectory(prefix="medsynth-collect-") as folder:
        try:
            if path.suffix.lower() == ".zip" and not path.is_dir():
                path = unpack(path, Path(folder, "unpacked"), lambda member: member.suffix.lower() == ".ipynb")
            found = _only_notebook(path, assignment)
        except MedSynthError as error:
            return str(error).splitlines()[0]
        with atomic_path(target) as temporary:
            shutil.copyfile(found, temporary)
    return ""


def _only_notebook(path: Path, assignment: str) -> Path:
    found = [path] if path.is_file() else sorted(path.rglob("*.ipynb"))
    found = [one for one in found if one.is_file() and ".ipynb_checkpoints" not in one.parts]
    if any(part.is_symlink() for one in found for part in (one, *one.parents) if part.is_relative_to(path)):
        raise MedSynthError("a link: submissions are plain files")
    found = [one for one in found if one.stem == assignment] or found
    if len(found) != 1:
        raise MedSynthError(f"{len(found)} notebooks: one called {assignment}.ipynb is needed")
    if found[0].stat().st_size > MAX_BYTES:
        raise MedSynthError(f"a notebook of more than {MAX_BYTES // 2**20} MiB")
    return found[0]
