"""What an assignment's notebook may ask for: a seed, other while grading, and the folder of files that came with it."""

from __future__ import annotations

import os
from pathlib import Path

#: Set by the grader only.
SEED_VARIABLE, GIVEN_VARIABLE = "MEDSYNTH_ASSIGNMENT_SEED", "MEDSYNTH_ASSIGNMENT_GIVEN"
#: Of files beside an assignment, as a trained model: students get it, and while grading it can be read.
GIVEN = "given"


def seed() -> int:
    """0 for a student; while grading, the grader's number: an answer fitted to the student's numbers fails."""
    return int(os.environ.get(SEED_VARIABLE, "0"))


def given() -> Path:
    """The folder of files that came with the assignment: beside the notebook, or where the grader has put it."""
    return Path(os.environ.get(GIVEN_VARIABLE, GIVEN))
