"""The ``medsynth`` command: each subcommand is one function here, and its docstring is what ``--help`` shows.

To add one: write the function under its fellows, decorate it with ``@app.command`` (the name is the function's),
describe every argument in the docstring, import what it needs *inside* it (``medsynth --help`` stays fast), and call
one library function. ``json`` prints a result for another program.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.extras import SubcommandApp

from medsynth_lib import __version__
from medsynth_lib.errors import MedSynthError

Profile = Literal["smoke", "lesson", "paper"]

app = SubcommandApp()
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
    _report({stem: str(path) for stem, path in found.items()}, json, lambda: "\n".join(found) or "no lessons there")


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
    _report(
        [run.as_dict() for run in runs], json, lambda: f"{len(runs) - failed} ok, {failed} failed: {out}/index.html"
    )
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


def _report(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print ``result`` as JSON, or as ``text()`` for a reader."""
    import json

    print(json.dumps(result, indent=1) if as_json else text())


def command_names() -> set[str]:
    """Every subcommand, a nested one with its group: ``{"lessons", "lessons run", …}``."""
    return _names(app, "")


def _names(group: SubcommandApp, prefix: str) -> set[str]:
    found = set()
    for name, spec in group._subcommands.items():
        found |= {prefix + name}
        found |= _names(spec.target, f"{prefix}{name} ") if isinstance(spec.target, SubcommandApp) else set()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run ``medsynth`` with ``arguments`` (default: the command line's) and return its exit code.

    0: done. 1: something failed. 2: a mistake the user can mend. 130: interrupted. ``--debug`` shows tracebacks.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [one for one in arguments if one != "--debug"]
    if arguments == ["--version"]:
        print(f"medsynth {__version__}")
        return 0
    try:
        options = {"description": DESCRIPTION, "config": (tyro.conf.FlagCreatePairsOff,)}
        with _termination_interrupts():
            return app.cli(prog="medsynth", args=arguments or ["--help"], **options) or 0
    except SystemExit as exit:  # tyro's: 0 after --help, 2 after a wrong option, whose message it has printed
        return exit.code if isinstance(exit.code, int) else 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if debug:
            raise
        if isinstance(error, MedSynthError):
            print(error, file=sys.stderr)
            return 2
        first = (str(error).splitlines() or [""])[0]
        print(f"{type(error).__name__}: {first} (run again with --debug for details)", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM (a cluster's time limit, CI) ends us as Ctrl-C does: tidily, with no process left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


DESCRIPTION = (
    "Synthesise one medical image from another, and judge the result honestly. Synthetic images, not for diagnosis. "
    "Every subcommand explains itself: medsynth SUBCOMMAND --help. --debug shows the traceback of an error; "
    "--version the version."
)
