"""A whole batch: what is missing goes to Dask, what comes back goes into one report."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from medsynth_lib.course import sandbox
from medsynth_lib.course.batch.cluster import ClusterOptions, Connection, connect
from medsynth_lib.course.batch.plan import Run
from medsynth_lib.course.batch.summary import placed_result, write_summary
from medsynth_lib.course.batch.work import RESULT, TOPIC, Settings, execute, read_result, stop_batch
from medsynth_lib.course.expected import faults_of, read_expected
from medsynth_lib.course.places import bands_file
from medsynth_lib.course.runner import available_cores
from medsynth_lib.errors import MedSynthError

#: How often lost workers are asked for again.
KEEP_SIZE_S = 15
#: How long a scheduler that somebody else started may be without any worker.
NO_WORKER_S = 300


@dataclass
class Progress:
    """What the table shows: results by name, and for each run that is on: since when, where, which attempt."""

    runs: list[Run]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: dict[str, tuple[float, str]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    workers: int = 0

    def started(self, event: dict[str, Any]) -> None:
        name = event["name"]
        if name not in self.results:
            self.running[name] = (time.monotonic(), f"{event['host']} {event['worker']}")
            self.attempts[name] = self.attempts.get(name, 0) + 1

    def ended(self, name: str, result: dict[str, Any]) -> None:
        self.running.pop(name, None)
        self.results[name] = {**result, "attempts": self.attempts.get(name, 1)}


def run_batch(
    runs: list[Run],
    out: str | Path,
    cluster: ClusterOptions,
    *,
    threads: int | None = None,
    unsafe: bool = False,
    retry_failed: bool = False,
    show: Callable[[Progress, dict[str, Any] | None], None] = lambda progress, result: None,
) -> list[dict[str, Any]]:
    """Execute what of ``runs`` has no result in ``out`` yet, and write the report of all.

    ``out/runs/<name>/`` is a run's folder; ``out/index.html``, ``batch.json`` and ``batch.csv`` tell of all. The same
    call again runs only what is missing, or whose notebook, parameters or data have changed; with ``retry_failed`` also
    what failed. ``show`` is called as each result comes, and with ``None`` a few times a second. A lesson on its own
    data with a result outside the bands of ``expected/expected.json`` is ``outside_band``, as in ``run_lessons``.

    Raises:
        MedSynthError: another batch writes to ``out``, too little memory, no cluster, no sandbox for students, or bands
            that cannot be read.
    """
    out = Path(out).absolute()
    _check_machine(runs, cluster, unsafe)
    judged = _judge(runs)
    progress = Progress(runs)
    with _only_batch(out):
        for run in runs:
            result = read_result(out / "runs" / run.name, _key(run))
            result = result and judged(run.name, result)
            if result and (result["status"] == "ok" or not retry_failed):
                progress.results[run.name] = result
            else:  # of an older notebook, or to be retried: nobody may take it for the result of this one
                shutil.rmtree(out / "runs" / run.name, ignore_errors=True)
        progress.kept = len(progress.results)
        missing = [run for run in runs if run.name not in progress.results]
        if threads is None and cluster.kind == "local" and not cluster.scheduler:
            threads = max(1, available_cores() // min(cluster.jobs, max(1, len(missing))))
        settings = Settings(uuid.uuid4().hex, out / "runs", threads, unsafe)
        try:
            if missing:
                with connect(cluster) as connection:
                    for name, result in _results(connection, missing, settings, cluster, progress, show):
                        progress.ended(name, judged(name, result))
                        show(progress, placed_result(progress.results[name]))
        finally:  # also after Ctrl-C: the report tells what is there
            results = [progress.results.get(run.name) or _without_result(run, "waiting") for run in runs]
            write_summary(results, out)
    return results


def _judge(runs: list[Run]) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """(name of a run, its result) → the result, ``outside_band`` where a number of a lesson is not in its band."""
    own = {run.name: run for run in runs if not (run.student or run.data)}
    courses = {folder: read_expected(bands_file(folder)) for folder in {run.notebook.parent for run in own.values()}}

    def judged(name: str, result: dict[str, Any]) -> dict[str, Any]:
        if name not in own or result["status"] != "ok":
            return result
        notebook, parameters = own[name].notebook, own[name].parameters
        profile = parameters.get("PROFILE", "lesson")  # the lessons' own default
        faults = faults_of(result["record"], courses[notebook.parent], notebook.stem, profile, parameters)
        return {**result, "status": "outside_band", "error": "\n".join(faults)} if faults else result

    return judged


def _key(run: Run) -> str:
    try:
        return run.key()
    except OSError as error:
        raise MedSynthError("a notebook that cannot be read", where=run.notebook, seen=error.strerror) from error


def _results(
    connection: Connection,
    runs: list[Run],
    settings: Settings,
    cluster: ClusterOptions,
    progress: Progress,
    show: Callable[[Progress, None], None],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each run's name and result as it ends; on the way out, what still runs is killed."""
    from distributed import as_completed

    client = connection.client
    client.subscribe_topic(TOPIC, lambda event: progress.started(event[1]))
    futures = _submit(client, runs, settings, cluster.retries)
    ended = as_completed(list(futures), loop=client.loop)
    try:
        watch = _Watch(connection, cluster, progress)
        while not ended.is_empty():
            for future in ended.next_batch(block=False) if ended.has_ready() else ():
                yield futures[future].name, _outcome(future, futures[future], settings)
            watch.look()
            show(progress, None)
            time.sleep(0.2)
    finally:
        if not ended.is_empty():
            with contextlib.suppress(Exception):  # the cluster may be gone
                client.cancel(list(futures), force=True)
                client.run(stop_batch, settings.batch)


class _Watch:
    """Counts workers now and then; asks for lost ones where the cluster is ours, and gives up where nobody comes."""

    def __init__(self, connection: Connection, cluster: ClusterOptions, progress: Progress):
        self.connection, self.cluster, self.progress = connection, cluster, progress
        self._seen = self._looked = self._asked = time.monotonic()

    def look(self) -> None:
        now = time.monotonic()
        if now - self._looked < 2:
            return
        self._looked = now
        try:
            self.progress.workers = len(self.connection.client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, TimeoutError) as error:
            fix = "the same command goes on where this one stopped"
            raise MedSynthError("lost the Dask scheduler", seen=type(error).__name__, fix=fix) from error
        self._seen = now if self.progress.workers else self._seen
        if not self.connection.is_ours and now - self._seen > NO_WORKER_S:
            fix = "start one: dask worker ADDRESS --nthreads 1; then again"
            raise MedSynthError("no worker left", where=self.cluster.scheduler, fix=fix)
        if now - self._asked > KEEP_SIZE_S:
            self.connection.keep_size()
            self._asked = now


def _submit(client: Any, runs: list[Run], settings: Settings, retries: int) -> dict[Any, Run]:
    """Future -> run; Dask gives a GPU to those that ask for one."""
    futures = {}
    for gpus in sorted({run.gpus for run in runs}, reverse=True):
        chosen = [run for run in runs if run.gpus == gpus]
        keys = [f"{run.name}-{settings.batch}" for run in chosen]
        resources = {"GPU": gpus} if gpus else None
        how = {"retries": retries, "resources": resources, "pure": False}
        mapped = client.map(execute, chosen, key=keys, settings=settings, **how)
        futures |= dict(zip(mapped, chosen, strict=True))
    return futures


def _outcome(future: Any, run: Run, settings: Settings) -> dict[str, Any]:
    """What a future holds, or what became of it where Dask gave up."""
    if future.status == "finished":
        if not (settings.results / run.name / RESULT).exists():
            words = f"the worker's {settings.results} is not this machine's: put --out on a shared disk"
            return _without_result(run, "infrastructure", words)
        return future.result()
    error = future.exception() if future.status == "error" else None
    words = f"{type(error).__name__}: {error}" if error else "Dask lost this run"
    if type(error).__name__ == "KilledWorker":
        words = f"every worker that tried it died, the last at {error.last_worker.address}"
    return _without_result(run, "infrastructure", words)


def _without_result(run: Run, status: str, error: str = "") -> dict[str, Any]:
    nothing = {"cell": None, "seconds": 0.0, "peak_mib": 0.0, "notebook": "", "log": "", "record": {}, "attempts": 0}
    about = {"source": str(run.notebook), "parameters": run.parameters, "data": str(run.data or "")}
    return {"stem": run.name, "status": status, "error": error, **nothing, **about, "host": "", "sandbox": ""}


def _check_machine(runs: list[Run], cluster: ClusterOptions, unsafe: bool) -> None:
    """On this machine: memory for all jobs at a time, and a sandbox for students' notebooks."""
    if cluster.scheduler or cluster.kind != "local":
        return
    largest = sorted((run.memory_limit_mib for run in runs), reverse=True)[: cluster.jobs]
    total = psutil.virtual_memory().total / 2**20
    if sum(largest) > total:
        seen = f"{len(largest)} jobs with up to {largest[0]} MiB each, {total:.0f} MiB in this machine"
        raise MedSynthError("too little memory for so many jobs", seen=seen, fix="fewer --jobs or a lower --memory-mib")
    if any(run.gpus for run in runs) and not cluster.gpus:
        raise MedSynthError(
            "the plan asks for a GPU, and no worker has one", fix="--gpus N: the number in this machine"
        )
    if any(run.student for run in runs):
        sandbox.check_available("students' notebooks", unsafe)


@contextlib.contextmanager
def _only_batch(out: Path) -> Iterator[None]:
    """One batch at a time writes to ``out``; half-made folders, of workers that were killed, are cleared away."""
    import fcntl

    (out / "runs").mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MedSynthError(
                "another batch writes there", where=out, fix="wait for it, or choose another --out"
            ) from error
        _clear_attempts(out)
        try:
            yield
        finally:
            _clear_attempts(out)


def _clear_attempts(out: Path) -> None:
    for rest in (out / "runs").glob(".*.part"):
        shutil.rmtree(rest, ignore_errors=True)
