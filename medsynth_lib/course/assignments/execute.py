"""A restored submission run in a sandbox of its own; what comes back is a verdict on each cell, nothing else."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsynth_lib.course.assignments.handout import GIVEN_VARIABLE, SEED_VARIABLE
from medsynth_lib.course.assignments.kernel import JOB, VERDICTS
from medsynth_lib.course.process_tree import run_tree
from medsynth_lib.course.runner import kernel_environment
from medsynth_lib.course.sandbox import Sandbox
from medsynth_lib.errors import MedSynthError


@dataclass(frozen=True)
class GradingLimits:
    """Seconds for one test, for another cell, and for the whole submission; MiB for all its processes together."""

    test_s: float = 60
    cell_s: float = 180
    whole_s: float = 900
    memory_mib: float = 3000


DEFAULT_LIMITS = GradingLimits()


def execute(
    notebook: Any,
    *,
    seed: int,
    limits: GradingLimits = DEFAULT_LIMITS,
    given: Path | None = None,
    unsafe: bool = False,
    stop: threading.Event | None = None,
) -> list[dict[str, str]]:
    """A verdict on each cell of ``notebook``, in order; markdown counts as ``ok``.

    ``status`` is ``ok``; ``error``, with ``ename`` and ``evalue``; ``timeout``; ``died``; ``tampered`` (the kernel no
    longer runs what it is given); ``memory``; ``not_run``. ``given`` is a folder that it may read; ``unsafe`` runs it
    without a sandbox.

    Raises:
        MedSynthError: the kernel did not start, which no submission is to blame for.
    """
    with tempfile.TemporaryDirectory(prefix="medsynth-") as name:
        folder = Path(name)
        for part in ("inside", "connect"):
            (folder / part).mkdir()
        job = _job(notebook, folder, seed, limits, given, unsafe)
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        with open(folder / "log", "wb") as log:
            command = [sys.executable, "-m", "medsynth_lib.course.assignments.kernel", str(folder)]
            finished = run_tree(
                command,
                cwd=folder,
                env=dict(os.environ),
                output=log,
                timeout_s=limits.whole_s,
                memory_mib=limits.memory_mib,
                stop=stop or threading.Event(),
            )
        if not (folder / VERDICTS).exists() and not finished.limit:
            said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise MedSynthError("a kernel did not start", seen=said[-1][:200] if said else None)
        return _verdicts(folder, notebook, finished.limit)


def _job(
    notebook: Any, folder: Path, seed: int, limits: GradingLimits, given: Path | None, unsafe: bool
) -> dict[str, Any]:
    inside, connect = folder / "inside", folder / "connect"
    env = kernel_environment(inside, threads=1)
    command = [sys.executable, "-m", "ipykernel_launcher"]
    if not unsafe:
        cage = Sandbox(readable=(connect, given) if given else (connect,))
        (inside / "work").mkdir()
        command = cage.command(command, inside, inside / "work", shm_mib=256)
        env = cage.environment(env, inside)
    cells = [_cell(cell, limits) for cell in notebook.cells if cell.cell_type == "code"]
    env |= {SEED_VARIABLE: str(seed)} | ({GIVEN_VARIABLE: str(given.absolute())} if given else {})
    return {"inside": str(inside), "connect": str(connect), "command": command, "env": env, "cells": cells}


def _cell(cell: Any, limits: GradingLimits) -> dict[str, Any]:
    test = is_test(cell)
    return {"code": cell.source, "test": test, "seconds": limits.test_s if test else limits.cell_s}


def is_test(cell: Any) -> bool:
    """Whether points hang on the cell."""
    return cell.cell_type == "code" and bool(cell.metadata.get("nbgrader", {}).get("grade"))


def _verdicts(folder: Path, notebook: Any, limit: str) -> list[dict[str, str]]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = json.loads((folder / VERDICTS).read_text()) if (folder / VERDICTS).exists() else []
    found += [{"status": "not_run"}] * (len(code) - len(found))
    if limit:  # the cell that was on when the limit was met
        first = next((at for at, one in enumerate(found) if one["status"] == "not_run"), None)
        if first is not None:
            found[first] = {"status": {"time": "timeout"}.get(limit, limit)}
    rest = iter(found)
    return [next(rest) if cell.cell_type == "code" else {"status": "ok"} for cell in notebook.cells]
