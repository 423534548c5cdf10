"""The seed of an assignment's random numbers: one for students, another one while grading."""

from __future__ import annotations

import os

#: Set by the grader only.
SEED_VARIABLE = "MEDSYNTH_ASSIGNMENT_SEED"


def seed() -> int:
    """0 for a student; while grading, the grader's number: an answer fitted to the student's numbers fails."""
    return int(os.environ.get(SEED_VARIABLE, "0"))
