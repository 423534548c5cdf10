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
        dict(_name_and_value(one) for one in parameter),
        jobs,
        notebooks=notebooks,
        limits=Limits(cell_timeout, timeout),
        progress=lambda result: None if json else print(summary_line(result.as_dict()), flush=True),
    )
    failed = sum(not run.result.ok for run in runs)
    report([run.as_dict() for run in runs], json, lambda: f"{len(runs) - failed} ok, {failed} failed: {out}/index.html")
    return 1 if failed else 0


def _name_and_value(text: str) -> tuple[str, Any]:
    """``SEED=3`` as ``("SEED", 3)``: a Python literal where it is one, else text."""
    import ast

    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise MedSynthError("a parameter that cannot be read", rule="NAME=VALUE, as SEED=3", seen=text)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
