"""What a submission does to its kernel costs itself, cell by cell, and nobody else."""

import nbformat
import pytest

from medsynth_lib.course import sandbox
from medsynth_lib.course.assignments import execute as executing
from medsynth_lib.course.assignments.execute import GradingLimits, execute
from medsynth_lib.errors import MedSynthError

needs_bubblewrap = pytest.mark.skipif(
    not sandbox.is_available(), reason="bubblewrap is not installed or not allowed here"
)


def notebook(*cells: str):
    """Cells that begin with ``# test`` carry points."""
    made = [nbformat.v4.new_code_cell(one) for one in cells]
    for cell in made:
        cell.metadata.nbgrader = {"grade": cell.source.startswith("# test")}
    return nbformat.v4.new_notebook(cells=made)


def statuses(*cells: str, **limits) -> list[str]:
    return [one["status"] for one in execute(notebook(*cells), seed=3, limits=GradingLimits(**limits))]


@needs_bubblewrap
def test_after_a_death_or_a_time_out_the_other_tests_have_their_chance():
    found = statuses(
        "import os, time\ndef die():\n    os._exit(0)\ndef wait():\n    time.sleep(999)\ndef right():\n    return 4",
        "# test\nassert right() == 4",
        "# test\ndie()",
        "# test\nassert right() == 5",
        "# test\nwait()",
        "# test\nassert right() == 4",
        test_s=10,
    )
    assert found == ["ok", "ok", "died", "error", "timeout", "ok"]


@needs_bubblewrap
def test_nothing_passes_that_did_not_reach_its_end():
    found = statuses(
        "def leave():\n    raise SystemExit",
        "# test\nleave()",
        "# test\n%%capture\nassert False",
        "# test\ndef broken(:",
        "assert = 3",
        "# test\nassert True",
    )
    assert found == ["ok", "error", "error", "error", "error", "ok"]


@needs_bubblewrap
def test_memory_and_time_of_the_whole_are_limited_and_what_was_earned_stays():
    hungry = "# test\nheld = []\nwhile True:\n    held.append(bytearray(b'x' * 2**24))"
    assert statuses("# test\nassert True", hungry, "# test\nassert True", memory_mib=500) == ["ok", "memory", "not_run"]


@needs_bubblewrap
def test_the_grader_knows_another_seed_than_the_student():
    cell = "# test\nfrom medsynth_lib.course.assignments.handout import seed\nassert seed() == 3"
    assert statuses(cell) == ["ok"]


def test_a_kernel_that_does_not_start_is_nobodys_zero(monkeypatch):
    monkeypatch.setattr(executing.sys, "executable", "/bin/false")
    with pytest.raises(MedSynthError, match="did not start"):
        execute(notebook("# test\nassert True"), seed=1, unsafe=True)
