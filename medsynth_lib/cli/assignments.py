"""``medsynth assignments …``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from tyro.extras import SubcommandApp

from medsynth_lib.cli.app import app, report

assignments = SubcommandApp()
app.command(assignments, name="assignments", help="Hand out, collect and grade assignments, and give feedback.")

COURSE = Path("runs/class")


@assignments.command(name="release")
def assignments_release(
    assignment: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[ASSIGNMENT …]")] = (),
    course: Path = COURSE,
    json: bool = False,
) -> None:
    """Write the students' version of assignments, without solutions and hidden tests.

    Args:
        assignment: Which: a number (02) or a name; all of them by default.
        course: The folder of your class; made if it is not there.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.assignments.folder import ClassFolder, find_assignments
    from medsynth_lib.course.assignments.release import release

    found = find_assignments(assignment)
    released = {name: str(release(name, source, ClassFolder(course))) for name, source in found.items()}
    report(released, json, lambda: "\n".join(["hand these out:", *released.values()]))


@assignments.command(name="collect")
def assignments_collect(
    assignment: Annotated[str, tyro.conf.Positional],
    folder: Annotated[Path, tyro.conf.Positional],
    course: Path = COURSE,
    json: bool = False,
) -> int:
    """Take in what students handed in. Ends with 1 where a submission has no notebook that can be taken.

    Args:
        assignment: A number (02) or a name.
        folder: One folder, zip file or notebook for each student, called after the student.
        course: The folder of your class.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.assignments.collect import collect
    from medsynth_lib.course.assignments.folder import ClassFolder

    notes = collect(_name(assignment), folder, ClassFolder(course))
    wrong = [f"{student}: {note}" for student, note in notes.items() if note]
    report(notes, json, lambda: "\n".join([*wrong, f"{len(notes) - len(wrong)} collected, {len(wrong)} not"]))
    return 1 if wrong else 0


@assignments.command(name="grade")
def assignments_grade(
    assignment: Annotated[str, tyro.conf.Positional],
    student: tuple[str, ...] = (),
    course: Path = COURSE,
    jobs: int = 2,
    seed: int | None = None,
    test_timeout: int = 60,
    timeout: int = 900,
    memory_mib: int = 3000,
    unsafe: bool = False,
    json: bool = False,
) -> None:
    """Grade what was collected, each submission locked in; write COURSE/grades-ASSIGNMENT.csv.

    Args:
        assignment: A number (02) or a name.
        student: Only these; all by default.
        course: The folder of your class.
        jobs: How many submissions run at the same time.
        seed: Of the tests' random numbers; by default drawn, and the same for the whole class.
        test_timeout: Seconds that one test may take.
        timeout: Seconds that one submission may take.
        memory_mib: MiB that one submission and all it starts may take.
        unsafe: Grade although bubblewrap is not there to lock submissions in.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.assignments.execute import GradingLimits
    from medsynth_lib.course.assignments.folder import ClassFolder
    from medsynth_lib.course.assignments.grade import grade

    def show(row: dict) -> None:
        if not json:
            points = f"{row['points']:g}" if row["points"] != "" else "no points"
            print(f"{row['student']}: {points} of {row['max']:g} ({row['status']})", flush=True)

    limits = GradingLimits(test_s=test_timeout, whole_s=timeout, memory_mib=memory_mib)
    name, options = _name(assignment), {"students": student, "jobs": jobs, "seed": seed, "unsafe": unsafe}
    rows = grade(name, ClassFolder(course), limits=limits, show=show, **options)
    report(rows, json, lambda: f"{len(rows)} graded: {course}/grades-{name}.csv")


@assignments.command(name="feedback")
def assignments_feedback(
    assignment: Annotated[str, tyro.conf.Positional], course: Path = COURSE, json: bool = False
) -> None:
    """Write a page for each graded student: points and hints, no hidden test.

    Args:
        assignment: A number (02) or a name.
        course: The folder of your class.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.assignments.feedback import write_feedback
    from medsynth_lib.course.assignments.folder import ClassFolder

    pages = write_feedback(_name(assignment), ClassFolder(course))
    report([str(page) for page in pages], json, lambda: f"{len(pages)} pages in {course}/feedback")


def _name(assignment: str) -> str:
    """A number made a name; a name that is only in the class stays as it is."""
    from medsynth_lib.course.assignments.folder import find_assignments

    return next(iter(find_assignments((assignment,)))) if assignment.isdigit() else assignment
