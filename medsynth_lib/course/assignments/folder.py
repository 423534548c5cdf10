"""The folder of a class, in nbgrader's layout: ``source``, ``release``, ``submitted``, ``autograded``, ``feedback``."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth_lib.course.places import NOTEBOOKS
from medsynth_lib.errors import MedSynthError

if TYPE_CHECKING:
    from traitlets.config import Config

#: Where assignments are written, with solutions and hidden tests; no sandbox ever sees it.
ASSIGNMENTS = NOTEBOOKS / "assignments"
#: What a student may be called: it becomes the name of a folder.
STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ClassFolder:
    """One class: everything nbgrader keeps about it lies under ``root``."""

    root: Path

    def notebook(self, step: str, assignment: str, student: str = ".") -> Path:
        """The notebook of a ``step`` (``source``, ``release``, ``submitted``, ``autograded``)."""
        return self.root / step / student / assignment / f"{assignment}.ipynb"

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.root.absolute() / 'gradebook.db'}"

    def students(self, step: str, assignment: str) -> list[str]:
        """Who has something of ``assignment`` at this ``step``."""
        return sorted(path.parent.name for path in (self.root / step).glob(f"*/{assignment}") if path.is_dir())

    def resources(self, assignment: str, student: str) -> dict[str, Any]:
        """What nbgrader's preprocessors ask for."""
        names = {"assignment": assignment, "notebook": assignment, "student": student, "db_url": self.db_url}
        return {"nbgrader": names, "metadata": {}}

    def config(self, assignment: str, student: str = "*") -> Config:
        """nbgrader's configuration for its own converters."""
        from traitlets.config import Config

        config = Config()
        config.CourseDirectory.root = str(self.root.absolute())
        config.CourseDirectory.db_url = self.db_url
        config.CourseDirectory.assignment_id = assignment
        config.CourseDirectory.student_id = student
        return config

    def check_released(self, assignment: str) -> None:
        """Refuse an assignment that this class does not have.

        Raises:
            MedSynthError: not released here; the message lists those that are.
        """
        if not self.notebook("source", assignment).is_file() or not (self.root / "gradebook.db").is_file():
            known = sorted(path.name for path in (self.root / "source").glob("*") if path.is_dir())
            raise MedSynthError(
                f"no assignment {assignment} in this class",
                where=self.root,
                rule=f"released before: {', '.join(known) or 'none'}",
                fix=f"medsynth assignments release {assignment} --course {self.root}",
            )


def find_assignments(wanted: tuple[str, ...] = (), folder: Path = ASSIGNMENTS) -> dict[str, Path]:
    """Assignment → its notebook with solutions; ``wanted`` are numbers (02) or names, all by default.

    Raises:
        MedSynthError: there is none of that name.
    """
    found = {path.parent.name: path for path in sorted(folder.glob("*/*.ipynb")) if path.stem == path.parent.name}
    chosen = {name: path for name, path in found.items() if not wanted or {name, name[:2]} & set(wanted)}
    for one in wanted:
        if not any(one in (name, name[:2]) for name in found):
            raise MedSynthError(f"no assignment {one}", where=folder, rule=f"one of {', '.join(found) or 'none'}")
    return chosen


def need_nbgrader() -> None:
    """Refuse where nbgrader is not installed; where it is, let it find the programs that came with it.

    Raises:
        MedSynthError: with the command that installs it.
    """
    try:
        import nbgrader  # noqa: F401
    except ImportError as error:
        raise MedSynthError("assignments need nbgrader", fix="pip install 'medsynth[grading]'") from error
    # Its gradebook calls alembic, which is on PATH only in an active environment.
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ["PATH"]])


@contextlib.contextmanager
def nbgrader_log() -> Iterator[io.StringIO]:
    """What nbgrader says, kept for a message instead of printed; SQLAlchemy's warnings about it, left out."""
    text, logger = io.StringIO(), logging.getLogger("traitlets")
    handler, before = logging.StreamHandler(text), (logger.level, logger.propagate, logger.handlers)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield text
    finally:
        logger.level, logger.propagate, logger.handlers = before
