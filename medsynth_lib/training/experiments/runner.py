"""Runs an experiment: stores once, cells beside each other in processes of their own, finished ones never again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from medsynth_lib.data.atomic import storage_errors
from medsynth_lib.data.cohort import discover
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import TrainingError
from medsynth_lib.phantom.cohort import default_cohort
from medsynth_lib.training.experiments.cell import FAILED
from medsynth_lib.training.experiments.grid import Cell, Evaluate, Experiment, Job, fingerprint, training_fingerprint
from medsynth_lib.training.profiles import Profile, profile

#: Seconds that cells may take to finish their step and save it when the runner is interrupted.
PATIENCE_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: the finished cells' ``cell.json``, and why others failed, by ``<key>-seed<k>``."""

    experiment: Experiment
    folder: Path
    results: tuple[dict, ...]
    failed: dict[str, str]


def run_experiment(
    experiment: Experiment,
    out: str | Path,
    profile_name: str = "lesson",
    *,
    data_root: str | Path | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    cells: Iterable[str] = (),
    steps: int | None = None,
    workers: int | None = None,
    threads: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train and score every cell with every seed; finished cells are read, not run again.

    Stores and training runs lie in ``OUT/stores`` and ``OUT/runs``, where other experiments with the same ``out`` find
    them; cells in ``OUT/<name>/cells/<key>-seed<k>/cell.json``. After an interruption the same call goes on from the
    last checkpoint of each run.

    Args:
        data_root: a cohort to use in place of the phantom.
        steps: in place of the profile's; the tables say so.
        workers: cells at the same time; by default one per processor core, or one on a GPU.
        threads: CPU threads of each cell. The figures depend on it in their last digits, so it is not the machine's.

    Raises:
        TrainingError: unknown cell or profile, no seed, or data needed and not given.
        InputError, StorageError: as ``prepare``.
    """
    if experiment.needs_data and data_root is None:
        raise TrainingError("this experiment runs on scans of yours", where=experiment.name, fix="give --data-root")
    if not seeds:
        raise TrainingError("an experiment needs a seed", where=experiment.name)
    out = Path(out).absolute()
    jobs = _jobs(experiment, experiment.only(cells), out, profile_name, data_root, seeds, steps)
    todo = [_unfinished(job) for job in jobs]
    todo = [job for job in todo if job.evaluations]
    done = sum(len(job.evaluations) for job in jobs) - sum(len(job.evaluations) for job in todo)
    report(f"{experiment.name}: {done} cells finished before, {sum(len(job.evaluations) for job in todo)} to do")
    workers = workers or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    failed = _run_all(todo, out / experiment.name / "logs", workers, threads, report)
    finished = [one for job in jobs for one in job.evaluations if one.folder.name not in failed]
    return Outcome(experiment, out / experiment.name, tuple(map(read_cell, finished)), failed)


def read_cell(one: Evaluate) -> dict | None:
    """What ``cell.json`` says if it was made with this configuration, else ``None``."""
    try:
        result = json.loads(one.result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and result.get("fingerprint") == one.fingerprint else None


def _unfinished(job: Job) -> Job:
    return replace(job, evaluations=tuple(one for one in job.evaluations if read_cell(one) is None))


def _jobs(
    experiment: Experiment,
    cells: Sequence[Cell],
    out: Path,
    profile_name: str,
    data_root: str | Path | None,
    seeds: Sequence[int],
    steps: int | None,
) -> list[Job]:
    """One job per training run: cells that differ only at inference share it."""
    jobs: dict[Path, Job] = {}
    stores: dict[tuple, SliceStore] = {}
    for seed in seeds:  # all cells of the first seed come first: an early look shows the whole table
        for cell in cells:
            chosen = cell.profile(profile_name, seed, steps)
            task = chosen.region, chosen.source, chosen.target, chosen.size, *sorted(chosen.windows.items())
            if task not in stores:
                stores[task] = _store(chosen, experiment, out, data_root, profile_name)
            store = stores[task]
            trained = training_fingerprint(cell.system, chosen, str(store.settings["fingerprint"]))
            run = out / "runs" / f"{cell.system}-{trained}-seed{seed}"
            one = Evaluate(
                folder=out / experiment.name / "cells" / f"{cell.key}-seed{seed}",
                key=cell.key,
                label=cell.label,
                inference=dict(cell.inference),
                fingerprint=fingerprint(trained, seed, dict(cell.inference), experiment.metrics, experiment.scores),
            )
            known = jobs.get(run)
            jobs[run] = Job(
                experiment=experiment.name,
                system=cell.system,
                profile_name=profile_name,
                profile=chosen,
                store=store.path,
                run=run,
                evaluations=(*(known.evaluations if known else ()), one),
                metrics=experiment.metrics,
                scores=experiment.scores,
                profile_steps=profile(cell.system, profile_name).training.steps,
            )
    return list(jobs.values())


def _store(
    chosen: Profile, experiment: Experiment, out: Path, data_root: str | Path | None, profile_name: str
) -> SliceStore:
    """The slice store of a task, prepared once for all cells and experiments under ``out``."""
    root = default_cohort(chosen.region, profile_name) if data_root is None else Path(data_root)
    pair = {"source": chosen.source, "target": chosen.target}
    windows, also = dict(chosen.windows), _also(experiment, chosen, root)
    config = PrepareConfig(**pair, size=chosen.size, windows=windows, also=also)
    where = fingerprint(str(root.resolve()), windows)[:6]
    return prepare(root, out / "stores" / "-".join([*config.modalities, str(config.size), where]), config)


def _also(experiment: Experiment, chosen: Profile, root: Path) -> tuple[str, ...]:
    """The experiment's further modalities, where every patient has them: no patient is left out for a score's sake."""
    cohort, pair = discover(root), (chosen.source, chosen.target)
    patients = {one.patient for one in cohort.pairs(*pair)}
    return tuple(
        word for word in experiment.also if word not in pair and patients.isdisjoint(cohort.unpaired(*pair, (word,)))
    )


def _run_all(jobs: list[Job], logs: Path, workers: int, threads: int, report: Callable[[str], None]) -> dict[str, str]:
    """Run the jobs, ``workers`` at a time; returns why cells failed. Interrupted, it lets the running ones save."""
    waiting, running, failed = list(jobs), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                running[_start(job, logs, threads)] = job
            time.sleep(_POLL_S)
            for process in [process for process in running if process.poll() is not None]:
                process.stdin.close()
                failed |= _ended(running.pop(process), process.returncode, logs, report)
    finally:
        _stop(list(running))
    return failed


def _start(job: Job, logs: Path, threads: int) -> subprocess.Popen:
    with storage_errors(logs):
        logs.mkdir(parents=True, exist_ok=True)
        job.write(logs / f"{job.run.name}.json")
        log = (logs / f"{job.run.name}.log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "medsynth_lib.training.experiments.cell", str(logs / f"{job.run.name}.json")],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C reaches the runner alone, which tells the cells once
        )


def _ended(job: Job, code: int, logs: Path, report: Callable[[str], None]) -> dict[str, str]:
    failed = {}
    for one in job.evaluations:
        result = read_cell(one)
        if result is None:
            failed[one.folder.name] = _reason(logs / f"{job.run.name}.log", code)
            report(f"{one.folder.name}: failed: {failed[one.folder.name]}")
        else:
            mine = result["summaries"][job.system]
            minutes = result["seconds"]["training"] / 60
            shown = f"PSNR {mine['psnr']['mean']:.2f} dB, SSIM {mine['ssim']['mean']:.3f}"
            report(f"{one.folder.name}: {shown}, trained in {minutes:.1f} min")
    return failed


def _reason(log: Path, code: int) -> str:
    if code < 0:
        return f"ended by signal {-code}"
    _, found, message = log.read_text(encoding="utf-8", errors="replace").rpartition(FAILED)
    return message.strip() if found else f"ended with exit code {code}; see {log}"


def _stop(processes: list[subprocess.Popen]) -> None:
    """Closing its standard input tells a cell to save and end; what does not in time is killed."""
    for process in processes:
        process.stdin.close()
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
