"""Notices exceptions that ipywidgets swallows: papermill calls such a notebook a success.

Two independent looks. In the kernel, ``watch`` notes every traceback that IPython shows although the cell itself did
not fail (``interact``, ``Output``, ``Button.on_click`` and ``on_msg`` all end there), even when the output is cleared
afterwards. Afterwards, ``hidden_errors`` scans the executed notebook's cell outputs and stored widget states.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Names the file to which ``watch`` adds one JSON line for each swallowed exception.
LOG_VARIABLE = "MEDSYNTH_WIDGET_LOG"
#: What the runner puts into the kernel's IPython start-up folder.
STARTUP = "from medsynth_lib.course.widget_guard import watch as _watch; _watch(get_ipython()); del _watch\n"
_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


def watch(shell: Any) -> None:
    """Note every swallowed exception that ``shell`` (an IPython shell) is asked to show."""
    show, running = shell.showtraceback, {"cell": None}

    def starting(info) -> None:
        running["cell"] = info.raw_cell  # not its number: IPython counts on before the cell is over

    def noting(exc_tuple=None, *args, running_compiled_code=False, **kwargs):
        if not running_compiled_code:
            kind, error, _ = exc_tuple or sys.exc_info()
            note = {"cell": running["cell"], "error": f"{getattr(kind, '__name__', kind)}: {error}"}
            with open(os.environ[LOG_VARIABLE], "a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")
        return show(exc_tuple, *args, running_compiled_code=running_compiled_code, **kwargs)

    shell.events.register("pre_run_cell", starting)
    shell.showtraceback = noting


def noted_errors(log: Path) -> Iterator[tuple[str | None, str]]:
    """What ``watch`` wrote: (source of the cell, ``Type: message``)."""
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            note = json.loads(line)
            yield note["cell"], note["error"]


def hidden_errors(notebook: Any) -> Iterator[tuple[str | None, str]]:
    """Errors in cell outputs and in ``Output`` widgets of an executed notebook, in the form of ``noted_errors``."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                yield cell.source, f"{output['ename']}: {output['evalue']}"
    states = notebook.metadata.get("widgets", {}).get(_WIDGET_STATE, {}).get("state", {})
    for widget in states.values():
        for output in widget["state"].get("outputs", ()):
            if output.get("output_type") == "error":
                yield None, f"{output['ename']}: {output['evalue']}"
