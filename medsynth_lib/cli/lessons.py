"""``medsynth lessons …``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.extras import SubcommandApp

from medsynth_lib.cli.app import Profile, app, report
from medsynth_lib.errors import MedSynthError

lessons = SubcommandApp()
app.command(lessons, name="lessons", help="List or execute the lessons of the course.")


@lessons.command(name="list")
def lessons_list(notebooks: Path | None = None, json: bool = False) -> None:
    """List the lessons.

    Args:
        notebooks: The folder of lessons; the course's own by default.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.lessons import find_lessons

    found = find_lessons(notebooks)
    report({stem: str(path) for stem, path in found.items()}, json, lambda: "\n".join(found) or "no lessons there")


@lessons.command(name="run")
def lessons_run(
    lesson: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[LESSON …]")] = (),
    profile: Profile = "smoke",
    data_root: Path | None = None,
    out: Path = Path("runs/lessons"),
    parameter: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE …")] = (),
    jobs: int = 1,
    cell_timeout: int = 1800,
    timeout: int = 3600,
    notebooks: Path | None = None,
    json: bool = False,
) -> int:
    """Execute lessons from top to bottom, without the network, and show what became of each.

    Leaves OUT/index.html, OUT/lessons.json and, for each lesson, the executed notebook, its log and its results.
    Ends with 1 where any lesson failed.

    Args:
        lesson: Which lessons: a number (02) or a name (02_pix2pix_pet_to_ct); all of them by default.
        profile: smoke: only see that everything runs. lesson: really learn. paper: the full recipe, on a GPU.
        data_root: A folder of patients to use in place of the lessons' own data.
        out: Where everything is written.
        parameter: More values for the lessons' parameters cell, as SEED=3 STEPS=200.
        jobs: How many lessons run at the same time; they share the processor's cores.
        cell_timeout: Seconds that one cell may take.
        timeout: Seconds that one lesson may take.
        notebooks: The folder of lessons; the course's own by default.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.lessons import run_lessons
    from medsynth_lib.course.report import summary_line
    from medsynth_lib.course.runner import Limits

    runs = run_lessons(
        lesson,
        profile,
        data_root,
        out,
        dict(name_and_value(one) for one in parameter),
        jobs,
        notebooks=notebooks,
        limits=Limits(cell_timeout, timeout),
        progress=lambda result: None if json else print(summary_line(result.as_dict()), flush=True),
    )
    failed = sum(not run.result.ok for run in runs)
    report([run.as_dict() for run in runs], json, lambda: f"{len(runs) - failed} ok, {failed} failed: {out}/index.html")
    return 1 if failed else 0


@lessons.command(name="expected")
def lessons_expected(
    lesson: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[LESSON …]")] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
    profile: Profile = "lesson",
    from_: Annotated[tuple[Path, ...], tyro.conf.arg(name="from", metavar="FOLDER …")] = (),
    out: Path = Path("runs/expected"),
    timeout: int = 3600,
    notebooks: Path | None = None,
    json: bool = False,
) -> int:
    """Run lessons with several seeds and keep what they gave beside them; later runs are judged against it.

    Writes notebooks/expected/expected.json (for each number: mean, sd, range and band; time and memory), fills the
    table of time and memory in each lesson's objectives and, in the lesson profile, copies the reference figures and
    keeps the trained model of the first seed, for CHECKPOINT = "course". Ends with 1 where a lesson failed; nothing is
    kept then.

    Args:
        lesson: Which lessons: a number (02) or a name; all of them by default.
        seeds: One run for each. From a single seed there are no bands.
        profile: smoke, lesson or paper.
        from_: Take these finished runs (each the OUT of `medsynth lessons run`, one seed each) instead of running.
        out: Where the runs go, each in seed-N.
        timeout: Seconds that one lesson may take.
        notebooks: The folder of lessons; the course's own by default.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.expected import FINISHED
    from medsynth_lib.course.lessons import run_lessons
    from medsynth_lib.course.reference import keep_expected, summary_text
    from medsynth_lib.course.report import summary_line
    from medsynth_lib.course.runner import Limits

    def progress(result: Any) -> None:
        if not json:
            print(summary_line(result.as_dict()), flush=True)

    folders = list(from_)
    for seed in () if from_ else seeds:
        folders.append(out / f"seed-{seed}")
        limits = Limits(timeout, timeout)
        runs = run_lessons(
            lesson, profile, None, folders[-1], {"SEED": seed}, notebooks=notebooks, limits=limits, progress=progress
        )
        if not all(run.result.status in FINISHED for run in runs):
            return 1
    kept = keep_expected(folders, profile, lesson, notebooks)
    report(kept, json, lambda: summary_text(kept))
    return 0


def name_and_value(text: str) -> tuple[str, Any]:
    """``SEED=3`` as ``("SEED", 3)``: a Python literal where it is one, else text."""
    import ast

    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise MedSynthError("a parameter that cannot be read", rule="NAME=VALUE, as SEED=3", seen=text)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
