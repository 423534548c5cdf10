"""The ``medsynth`` command: each subcommand is one function, and its docstring is what ``--help`` shows.

To add one: write the function in the file of its kind (``data``, ``training``, …), decorate it with
``@app.command`` (the name is the function's), describe every argument in the docstring, import what it needs *inside*
it (``medsynth --help`` stays fast), and call one library function. ``report`` prints for a reader or a program.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

import tyro
from tyro.extras import SubcommandApp

from medsynth_lib import __version__
from medsynth_lib.cli import (  # noqa: F401, importing registers their subcommands
    assignments,
    authoring,
    batch,
    data,
    experiment,
    labels,
    lessons,
    pages,
    phantom,
    privacy,
    public,
    training,
)
from medsynth_lib.cli.app import app
from medsynth_lib.errors import MedSynthError


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
