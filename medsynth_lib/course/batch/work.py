"""One run of a plan, as a Dask worker does it: in a sandbox and a folder of its own, its result whole or not there.

A run's folder appears, by one rename, only when all is over; so a worker killed half-way leaves no result, and
whoever finds ``result.json`` may trust it. papermill's own metadata are never asked: after a kernel's death they say
"completed".
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsynth_lib.course import sandbox
from medsynth_lib.course.batch.plan import Run
from medsynth_lib.course.runner import Limits, RunResult, available_cores, known_parameters, run_notebook
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError, StorageError

RESULT = "result.json"
#: Dask's event topic on which workers tell what they begin.
TOPIC = "medsynth-batch"
#: Bigger than any lesson's record; what a student's notebook writes there may be anything.
MAX_RECORD_BYTES = 2**20
#: With less left on the disk, a run that failed did not fail by its own fault.
DISK_RESERVE_BYTES = 200 * 2**20
#: Batch (``Settings.batch``) -> set to stop its run on this worker.
_stops: dict[str, threading.Event] = {}


class InfrastructureError(MedSynthError):
    """Not the notebook's fault: Dask tries the run again, perhaps on another worker."""


@dataclass(frozen=True)
class Settings:
    """The same for all runs of one call of ``medsynth batch``, which ``batch`` names.

    ``results`` holds a folder for each run; ``threads`` is CPU threads for each (``None``: all that the worker has).
    """

    batch: str
    results: Path
    threads: int | None = None
    unsafe: bool = False


def execute(run: Run, settings: Settings) -> dict[str, Any]:
    """Run it and leave ``results/<name>/`` with the executed notebook, log, results and ``result.json``; return that.

    Raises:
        InfrastructureError: the kernel could not start, the disk failed, or the batch was stopped.
    """
    _tell_started(run.name)
    folder = settings.results / run.name
    if finished := read_result(folder, run.key()):
        return finished  # by a worker that Dask had given up for lost
    try:
        with atomic_path(folder, replace_folder=True) as attempt:  # an earlier attempt, or other settings
            attempt.mkdir()
            summary = _attempt(run, settings, attempt)
            (attempt / RESULT).write_text(json.dumps(summary, indent=1, default=str), encoding="utf-8")
    except (StorageError, OSError) as error:
        raise InfrastructureError(f"disk or system: {error}", where=socket.gethostname()) from error
    except KeyboardInterrupt as stop:
        raise InfrastructureError("the batch was stopped") from stop
    return summary


def stop_batch(batch: str) -> None:
    """Kill what this worker process runs of ``batch``, and start none of it any more."""
    _stop_of(batch).set()


def _stop_of(batch: str) -> threading.Event:
    return _stops.setdefault(batch, threading.Event())


def read_result(folder: Path, key: str) -> dict[str, Any] | None:
    """The finished result in ``folder``, if it is of the run with this ``key`` (``Run.key``)."""
    try:
        summary = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and summary.get("key") == key else None


def _attempt(run: Run, settings: Settings, attempt: Path) -> dict[str, Any]:
    locked_in = sandbox.is_available()
    if run.student and not (locked_in or settings.unsafe):
        words = "a student's notebook, and no bubblewrap here to lock it in; see --unsafe"
        result = RunResult(run.name, "refused", words)
    else:
        result = _run_checked(run, settings, attempt, locked_in)
    if result.status == "not_started" or (not result.ok and _disk_is_full(attempt)):
        raise InfrastructureError(f"{result.status}: {result.error}", where=socket.gethostname())
    record = _read_record(attempt / "results")
    return {
        **result.as_dict(),
        "stem": run.name,
        "notebook": Path(result.notebook).name,  # relative: the folder is about to be renamed
        "log": Path(result.log).name,
        "key": run.key(),
        "source": str(run.notebook),
        "parameters": run.parameters,
        "data": str(run.data or ""),
        "student": run.student,
        "sandbox": "bubblewrap" if locked_in else "none",
        "host": socket.gethostname(),
        "record": record,
    }


def _run_checked(run: Run, settings: Settings, attempt: Path, locked_in: bool) -> RunResult:
    results = attempt / "results"
    results.mkdir()
    own = tuple(path for path in (run.data, *run.readable) if path)
    cage = sandbox.Sandbox(own, (results,), gpu=run.gpus > 0) if locked_in else None
    try:
        known = known_parameters(run.notebook)
        values = {"OUT_DIR": str(results), **run.parameters, **({"DATA_ROOT": str(run.data)} if run.data else {})}
        return run_notebook(
            run.notebook,
            attempt,
            {name: value for name, value in values.items() if name in known or name != "OUT_DIR"},
            limits=Limits(run.cell_limit_s, run.time_limit_s, run.memory_limit_mib),
            threads=settings.threads or _own_threads(),
            stop=_stop_of(settings.batch),
            sandbox=cage,
            variables={} if run.gpus else {"CUDA_VISIBLE_DEVICES": ""},
        )
    except StorageError:
        raise
    except MedSynthError as error:
        return RunResult(run.name, "refused", str(error))


def _own_threads() -> int:
    """CPU threads of a worker that a cluster gave its cores: as many as these."""
    return int(os.environ.get("SLURM_CPUS_PER_TASK") or available_cores())


def _disk_is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < DISK_RESERVE_BYTES


def _read_record(results: Path) -> dict[str, Any]:
    """What ``Lesson.record`` wrote, reduced to what the report shows; a student may have written anything there."""
    path = results / "record.json"
    try:
        if path.is_symlink() or path.stat().st_size > MAX_RECORD_BYTES:
            return {}
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=str)
    except (OSError, ValueError, RecursionError):
        return {}
    parts = {name: record.get(name) for name in ("metrics", "figures", "exercises")} if isinstance(record, dict) else {}
    kept = {name: part for name, part in parts.items() if isinstance(part, Mapping)}
    figures = {name: alt for name, alt in kept.get("figures", {}).items() if _is_figure(results, name)}
    return {**kept, "figures": figures}


def _is_figure(results: Path, name: str) -> bool:
    path = results / name
    return Path(name).name == name and name.endswith(".png") and path.is_file() and not path.is_symlink()


def _tell_started(name: str) -> None:
    """One line on the batch's table; outside a worker, as in a test, nobody listens."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return
    worker.log_event(TOPIC, {"name": name, "host": socket.gethostname(), "worker": str(worker.name)})
