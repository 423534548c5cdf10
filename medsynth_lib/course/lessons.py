"""Find the lessons, execute them one after the other or side by side, and tell what became of each."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medsynth_lib.course.expected import HARMLESS, Course, faults_of, read_expected
from medsynth_lib.course.places import NOTEBOOKS, bands_file
from medsynth_lib.course.report import index_page
from medsynth_lib.course.runner import DEFAULT_LIMITS, Limits, RunResult, available_cores, run_notebook
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import InputError, MedSynthError

PROFILES = ("smoke", "lesson", "paper")


@dataclass(frozen=True)
class LessonRun:
    """One executed lesson: the runner's result, and what the lesson itself wrote through ``Lesson.record``."""

    result: RunResult
    record: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {**self.result.as_dict(), "record": self.record}


def find_lessons(notebooks: str | Path | None = None) -> dict[str, Path]:
    """Stem -> path of every ``NN_*.ipynb`` in ``notebooks`` (default: the course's own), in order.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(notebooks or NOTEBOOKS)
    if not folder.is_dir():
        raise InputError(
            "no folder of lessons", where=folder, fix="run from a checkout of the course, or name it with --notebooks"
        )
    return {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}


def select_lessons(wanted: Iterable[str], notebooks: str | Path | None = None) -> dict[str, Path]:
    """The lessons named in ``wanted`` (a stem or its number, ``02``); all of them where ``wanted`` is empty.

    Raises:
        MedSynthError: no such lesson, or none at all.
    """
    found = find_lessons(notebooks)
    chosen = {}
    for name in wanted:
        matches = {stem: path for stem, path in found.items() if name in (stem, stem[:2])}
        if not matches:
            raise MedSynthError(f"no lesson {name}", rule=f"one of {', '.join(found) or '(none there)'}")
        chosen.update(matches)
    if not (chosen or found):
        raise MedSynthError("no lessons there", where=notebooks or NOTEBOOKS, rule="files named NN_stem.ipynb")
    return chosen or found


def run_lessons(
    stems: Iterable[str] = (),
    profile: str = "smoke",
    data_root: str | Path | None = None,
    out: str | Path = "runs/lessons",
    parameters: Mapping[str, Any] | None = None,
    jobs: int = 1,
    *,
    notebooks: str | Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[RunResult], None] = lambda result: None,
) -> list[LessonRun]:
    """Execute the lessons ``stems`` (empty: all) and write ``lessons.json`` and ``index.html`` into ``out``.

    Every lesson gets ``PROFILE``, ``OUT_DIR`` (``out/<stem>``), ``DATA_ROOT`` where ``data_root`` is given, and all of
    ``parameters``. ``jobs`` lessons run at a time and share the cores. ``progress`` is called as each one ends. A
    lesson on its own data whose results lie outside the bands of ``expected/expected.json`` has failed.

    Raises:
        MedSynthError: an unknown lesson or profile, a data folder that is not there, or bands that cannot be read.
    """
    out = Path(out).absolute()
    lessons = select_lessons(stems, notebooks)
    shared = {**_shared_parameters(profile, data_root), **(parameters or {})}
    course = read_expected(bands_file(Path(notebooks or NOTEBOOKS)))
    jobs = max(1, min(jobs, len(lessons)))
    threads, stop = max(1, available_cores() // jobs), threading.Event()

    def run(path: Path) -> LessonRun:
        one = _run_one(path, out / path.stem, shared, limits=limits, threads=threads, stop=stop)
        one = judged(one, course, profile, shared)
        progress(one.result)
        return one

    with ThreadPoolExecutor(jobs) as pool:
        try:
            runs = list(pool.map(run, lessons.values()))
        except BaseException:  # Ctrl-C above all: leave no kernel behind
            stop.set()
            raise
    write_summary(runs, out, profile, [name for name, value in shared.items() if name not in HARMLESS and value])
    return runs


def judged(run: LessonRun, course: Course, profile: str, parameters: Mapping[str, Any]) -> LessonRun:
    """``run``, with the status ``outside_band`` where it ended well but a result is not in its band."""
    faults = run.result.ok and faults_of(run.record, course, run.result.stem, profile, parameters)
    if not faults:
        return run
    return replace(run, result=replace(run.result, status="outside_band", error="\n".join(faults)))


def write_summary(runs: list[LessonRun], out: Path, profile: str, changed: Sequence[str] = ()) -> None:
    """Write ``lessons.json`` and ``index.html`` for ``runs`` into ``out``, each whole or not at all.

    ``changed`` names the parameters that made the lessons another experiment than the course's own.
    """
    summary = {"profile": profile, "parameters": list(changed), "lessons": [run.as_dict() for run in runs]}
    with atomic_path(out / "lessons.json") as path:
        path.write_text(json.dumps(summary, indent=1))
    with atomic_path(out / "index.html") as path:
        path.write_text(index_page([run.as_dict() for run in runs], out, f"Profile {profile}."), encoding="utf-8")


def _shared_parameters(profile: str, data_root: str | Path | None) -> dict[str, Any]:
    if profile not in PROFILES:
        raise MedSynthError(f"unknown profile {profile!r}", rule=f"one of {', '.join(PROFILES)}")
    shared: dict[str, Any] = {"PROFILE": profile}
    if data_root is not None:
        if not Path(data_root).is_dir():
            raise InputError("no such data folder", where=data_root, fix="correct --data-root")
        shared["DATA_ROOT"] = str(Path(data_root).absolute())  # the kernel works in a folder of its own
    return shared


def _run_one(path: Path, folder: Path, shared: dict[str, Any], **how: Any) -> LessonRun:
    record = folder / "record.json"
    record.unlink(missing_ok=True)  # never show the last run's numbers for this one
    try:
        result = run_notebook(path, folder, {"OUT_DIR": str(folder), **shared}, **how)
    except MedSynthError as error:
        return LessonRun(RunResult(path.stem, "refused", str(error)), {})
    return LessonRun(result, json.loads(record.read_text()) if record.exists() else {})
