"""What happened in an executed notebook, read from what the run left behind; a pure look at files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from medsynth_lib.course.process_tree import MAX_OUTPUT_MIB, Finished
from medsynth_lib.course.widget_guard import hidden_errors, noted_errors

if TYPE_CHECKING:
    from medsynth_lib.course.runner import Limits

#: Every status a run can end in, and what it says to a reader.
STATUSES = {
    "ok": "every cell ran",
    "cell_error": "a cell raised an exception",
    "cell_timeout": "a cell took longer than its limit",
    "timeout": "the notebook took longer than its limit",
    "memory": "the notebook took more memory than its limit",
    "log": "the notebook printed more than its limit",
    "dead_kernel": "the kernel died (out of memory, crash or kill)",
    "widget_error": "a widget callback raised an exception, which Jupyter swallows",
    "network": "the notebook tried to reach another machine",
    "stopped_early": "the notebook ended before its last cell",
    "not_started": "papermill could not execute the notebook",
    "outside_band": "every cell ran, but a result lies outside the expected band",
    "refused": "not run: no notebook, or wrong parameters",
    "infrastructure": "not run: a worker, the disk or a kernel failed, not the notebook",
    "waiting": "not run yet: the batch was stopped; the same command goes on",
}


@dataclass(frozen=True)
class FailingCell:
    """``index`` counts the cells of the source notebook from 0, whatever papermill inserted."""

    id: str
    index: int
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    status: str
    error: str = ""
    cell: FailingCell | None = None


def judge(scratch: Path, finished: Finished, log: Path, limits: Limits) -> Verdict:
    """The verdict on the run in ``scratch`` (source.ipynb, executed.ipynb, network.log, widgets.log).

    The order is from cause to effect: time and death first, then what the notebook did, then what it hid. Never trust
    papermill's own cell status: after a kernel's death it says "completed" for every cell.
    """
    source = nbformat.read(scratch / "source.ipynb", as_version=4)
    words = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    notebook = _read(scratch / "executed.ipynb")
    if notebook is None:
        return _judge_limit(finished, limits, None) or Verdict("not_started", _last_line(words))
    place = _locate(source, _first_unfinished(notebook))
    if limit := _judge_limit(finished, limits, place):
        return limit
    if "DeadKernelError" in words:
        return Verdict("dead_kernel", "the kernel died", place)
    if "CellTimeoutError" in words or "Timeout waiting for" in words:
        return Verdict("cell_timeout", f"longer than {limits.cell_s} s", place)
    if finished.returncode != 0 and not _any_started(notebook):  # no kernel, no disk: nothing of the notebook ran
        return Verdict("not_started", _last_line(words))
    return _judge_finished(scratch, source, notebook, finished.returncode, words)


def _judge_limit(finished: Finished, limits: Limits, place: FailingCell | None) -> Verdict | None:
    """The verdict where a limit on the whole notebook ended it."""
    words = {
        "time": ("timeout", f"longer than {limits.notebook_s} s"),
        "memory": ("memory", f"{finished.peak_mib:.0f} MiB, more than {limits.memory_mib} MiB"),
        "log": ("log", f"more than {MAX_OUTPUT_MIB} MiB of messages"),
    }
    return Verdict(*words[finished.limit], place) if finished.limit else None


def _read(executed: Path) -> Any:
    """The executed notebook, or ``None`` where there is none, or half of one: its writer may have been killed."""
    try:
        return nbformat.read(executed, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        return None


def _any_started(notebook: Any) -> bool:
    return any("iopub.execute_input" in cell.metadata.get("execution", {}) for cell in notebook.cells)


def _judge_finished(scratch: Path, source: Any, notebook: Any, returncode: int, words: str) -> Verdict:
    """The verdict where papermill and the kernel lived to the end."""
    unfinished = _first_unfinished(notebook)
    failed = next((cell for cell in notebook.cells if cell.metadata.get("papermill", {}).get("exception")), None)
    hidden = [*noted_errors(scratch / "widgets.log"), *hidden_errors(notebook)]
    network = scratch / "network.log"
    if network.exists():
        reached = ", ".join(dict.fromkeys(network.read_text(encoding="utf-8").split("\n")[:-1]))
        return Verdict("network", f"refused: {reached}", _locate(source, failed))
    if failed is not None:
        error = _error_of(failed) or _last_line(words)
        status = "stopped_early" if error.startswith("SystemExit") else "cell_error"
        return Verdict(status, error, _locate(source, failed))
    if hidden:
        text, error = hidden[0]
        status = "stopped_early" if error.startswith("KeyboardInterrupt") else "widget_error"
        return Verdict(status, error, _locate(source, _with_source(notebook, text)))
    if unfinished is not None:
        return Verdict("stopped_early", "this cell was not executed", _locate(source, unfinished))
    if returncode != 0:
        return Verdict("not_started", _last_line(words))
    return Verdict("ok")


def _is_code(cell: Any) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _first_unfinished(notebook: Any) -> Any:
    """The first code cell that the kernel never answered: where it died, hung or was never asked."""
    answered = "shell.execute_reply"
    cells = (cell for cell in notebook.cells if _is_code(cell))
    return next((cell for cell in cells if answered not in cell.metadata.get("execution", {})), None)


def _with_source(notebook: Any, text: str | None) -> Any:
    return next((cell for cell in notebook.cells if cell.cell_type == "code" and cell.source == text), None)


def _locate(source: Any, cell: Any) -> FailingCell | None:
    if cell is None:
        return None
    index = next((index for index, one in enumerate(source.cells) if one.get("id") == cell.get("id")), -1)
    return FailingCell(cell.get("id", ""), index, list(cell.metadata.get("tags", [])))


def _error_of(cell: Any) -> str:
    errors = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
    return f"{errors[-1]['ename']}: {errors[-1]['evalue']}".strip() if errors else ""


def _last_line(words: str) -> str:
    lines = [line for line in words.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "papermill said nothing"
