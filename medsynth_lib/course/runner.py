"""Execute one notebook so strictly that "ok" means it.

papermill runs as a process of its own, under a time limit for the whole notebook. Refused or found where papermill
alone is silent: unknown parameters, network access, exceptions that widgets swallow, a dead kernel, an early exit.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from medsynth_lib.course import network_guard, widget_guard
from medsynth_lib.course.process_tree import Finished, run_tree
from medsynth_lib.course.sandbox import Sandbox, remove_specials
from medsynth_lib.course.verdict import FailingCell, Verdict, judge
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import InputError, MedSynthError

KERNEL = "python3"
#: Each library that computes in threads of its own has one.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """Seconds that one cell, and the whole notebook, may take; MiB that it and all it starts may hold in memory."""

    cell_s: int = 1800
    notebook_s: int = 3600
    memory_mib: float = math.inf


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class RunResult:
    """What became of one notebook; ``status`` is a key of ``verdict.STATUSES``."""

    stem: str
    status: str
    error: str = ""
    cell: FailingCell | None = None
    seconds: float = 0.0
    peak_mib: float = 0.0
    notebook: str = ""
    log: str = ""

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_parameters(source: str | Path, parameters: Mapping[str, Any]) -> None:
    """Refuse a file that is no notebook, and parameters that its ``parameters`` cell does not have.

    Raises:
        InputError: not a readable notebook.
        MedSynthError: an unknown parameter; the message lists the known ones.
    """
    known = known_parameters(Path(source))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise MedSynthError(
            f"unknown notebook parameter: {', '.join(unknown)}",
            where=Path(source).name,
            rule=f"one of {', '.join(known) or 'none: no cell is tagged parameters'}",
            fix="correct the name, or add it to the cell tagged 'parameters'",
        )


def run_notebook(
    source: str | Path,
    out_dir: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    threads: int | None = None,
    stop: threading.Event | None = None,
    sandbox: Sandbox | None = None,
    variables: Mapping[str, str] | None = None,
) -> RunResult:
    """Execute ``source`` with ``parameters``; leave ``<stem>.ipynb`` and ``stderr.log`` in ``out_dir``.

    The kernel works in ``out_dir/work``, without the network, with ``threads`` CPU threads (default: all cores); in a
    ``sandbox``, it sees little besides. ``variables`` go into its environment. Where another thread sets ``stop``,
    everything started is killed and ``KeyboardInterrupt`` raised.

    Raises:
        MedSynthError: see ``check_parameters``; once the notebook has started, nothing but the result tells.
    """
    source, out_dir, parameters = Path(source), Path(out_dir).absolute(), dict(parameters or {})
    check_parameters(source, parameters)
    (out_dir / "work").mkdir(parents=True, exist_ok=True)
    executed, log = out_dir / f"{source.stem}.ipynb", out_dir / "stderr.log"
    executed.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="medsynth-run-") as folder:
        scratch = Path(folder)
        _lay_out(source, scratch, parameters)
        env = kernel_environment(scratch, threads) | dict(variables or {})
        command = papermill_command(out_dir / "work", scratch, limits)
        if sandbox:
            command, env = _locked_in(sandbox, command, env, scratch, out_dir / "work", limits)
        with open(log, "wb") as output:
            finished = run_tree(
                command,
                cwd=scratch,
                env=env,
                output=output,
                timeout_s=limits.notebook_s,
                memory_mib=limits.memory_mib,
                stop=stop or threading.Event(),
            )
            for one in (scratch, out_dir) if sandbox else ():
                remove_specials(one)
            _append_cell_stderr(scratch, output)
        verdict = judge(scratch, finished, log, limits)
        _keep(scratch / "executed.ipynb", executed)
    return _result(source.stem, verdict, finished, executed, log)


def known_parameters(source: Path) -> list[str]:
    """The names in the notebook's ``parameters`` cell.

    Raises:
        InputError: not a readable notebook.
    """
    import nbformat
    import papermill

    try:
        notebook = nbformat.read(source, as_version=4)
        python = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.metadata.setdefault("kernelspec", python)  # papermill_command says so, too
        with tempfile.TemporaryDirectory() as scratch:  # papermill would format braces in the path
            copy = Path(scratch, "source.ipynb")
            nbformat.write(notebook, copy)
            return list(papermill.inspect_notebook(copy))
    except Exception as error:
        seen = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError("not a notebook that can be read", where=source.name, seen=seen) from error


def _lay_out(source: Path, scratch: Path, parameters: dict[str, Any]) -> None:
    import yaml

    shutil.copyfile(source, scratch / "source.ipynb")
    (scratch / "parameters.yaml").write_text(yaml.safe_dump(parameters), encoding="utf-8")


def papermill_command(work: Path, scratch: Path, limits: Limits) -> list[str]:
    """papermill on ``source.ipynb`` of ``scratch``; file names without a path, because it formats braces in them."""
    command = [
        sys.executable,
        "-m",
        "papermill",
        "source.ipynb",
        "executed.ipynb",
        "--kernel",
        KERNEL,
        "--language",
        "python",
    ]
    command += ["--parameters_file", "parameters.yaml", "--cwd", str(work), "--execution-timeout", str(limits.cell_s)]
    return [*command, "--stderr-file", str(scratch / "cells.log"), "--log-level", "WARNING", "--no-progress-bar"]


def _locked_in(
    sandbox: Sandbox, command: list[str], env: dict[str, str], scratch: Path, work: Path, limits: Limits
) -> tuple[list[str], dict[str, str]]:
    shm_mib = int(min(limits.memory_mib, 1024))  # memory that no process's resident size shows
    return sandbox.command(command, scratch, work, shm_mib), sandbox.environment(env, scratch)


def _append_cell_stderr(scratch: Path, output: IO[bytes]) -> None:
    if (scratch / "cells.log").exists():
        output.write(b"\n--- stderr of the cells ---\n" + (scratch / "cells.log").read_bytes())


def kernel_environment(scratch: Path, threads: int | None) -> dict[str, str]:
    """The environment of papermill and the kernel: both guards, threads, fixed hash seed."""
    guard, startup = scratch / "guard", scratch / "ipython" / "profile_default" / "startup"
    guard.mkdir()
    startup.mkdir(parents=True)
    shutil.copyfile(network_guard.__file__, guard / "sitecustomize.py")
    # jsonschema looks for this package and does without it; it would spend 1.5 s on a grammar in every run
    (guard / "rfc3987_syntax.py").write_text("raise ImportError('left out by the runner')\n", encoding="utf-8")
    (startup / "00-widget-guard.py").write_text(widget_guard.STARTUP, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if name.lower() not in ("mplbackend", "no_proxy")}
    dead_end = "http://{}:{}".format(*network_guard.DEAD_END)
    for name in network_guard.PROXY_VARIABLES:
        env[name] = env[name.upper()] = dead_end
    return env | {
        "PYTHONPATH": os.pathsep.join([str(guard), *filter(None, [env.get("PYTHONPATH")])]),
        "PYTHONHASHSEED": "0",
        "IPYTHONDIR": str(startup.parent.parent),
        "JUPYTER_PREFER_ENV_PATH": "1",
        **dict.fromkeys(THREAD_VARIABLES, str(threads or available_cores())),
        network_guard.LOG_VARIABLE: str(scratch / "network.log"),
        widget_guard.LOG_VARIABLE: str(scratch / "widgets.log"),
    }


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _keep(executed: Path, target: Path) -> None:
    if executed.exists():
        with atomic_path(target) as temporary:
            shutil.copyfile(executed, temporary)


def _result(stem: str, verdict: Verdict, finished: Finished, executed: Path, log: Path) -> RunResult:
    return RunResult(
        stem=stem,
        status=verdict.status,
        error=verdict.error,
        cell=verdict.cell,
        seconds=round(finished.seconds, 2),
        peak_mib=round(finished.peak_mib, 1),
        notebook=str(executed) if executed.exists() else "",
        log=str(log),
    )
