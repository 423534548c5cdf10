"""What each lesson should give, measured over seeds and kept in ``notebooks/expected``; later runs are judged by it."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medsynth_lib.course.bands import RULE, Band, bands, outside
from medsynth_lib.course.report import flat_metrics
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import InputError, MedSynthError

FORMAT = 1
#: Parameters that leave a lesson's results what they are; any other makes them another experiment.
HARMLESS = {"PROFILE", "SEED", "OUT_DIR"}
COURSE_MODEL = {"CHECKPOINT": "course"}
#: What a record must say for its numbers to be kept.
NEEDED = {"seed", "metrics", "figures", "model", "hardware", "amp", "versions"}
FINISHED = ("ok", "outside_band")
_THREADS = re.compile(r", (\d+) threads?$")


@dataclass(frozen=True)
class Expected:
    """What one lesson gave in one profile; ``seconds`` and ``peak_mib`` are the most that a whole run took, kernel
    included (the most, as a run that was interrupted and went on takes less)."""

    seeds: list[int]
    date: str
    hardware: str
    amp: str
    seconds: float
    peak_mib: float
    versions: dict[str, str]
    metrics: dict[str, Band]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Expected:
        return cls(**{**found, "metrics": {name: Band(**one) for name, one in found["metrics"].items()}})


#: Lesson -> profile -> what it gave.
Course = dict[str, dict[str, Expected]]


def read_expected(path: Path) -> Course:
    """What ``write_expected`` wrote; empty where there is no such file.

    Raises:
        InputError: the file is damaged or of another format.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}")
        return {
            stem: {profile: Expected.from_dict(one) for profile, one in profiles.items()}
            for stem, profiles in found["lessons"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputError(
            "the expected results cannot be read",
            where=path,
            rule=f"format {FORMAT}, as `medsynth lessons expected` writes it",
            seen=f"{type(error).__name__}: {error}".splitlines()[0][:120],
            fix="restore the file from the repository, or measure again with `medsynth lessons expected`",
        ) from error


def write_expected(path: Path, course: Course) -> None:
    """Write ``course`` as JSON, sorted, whole or not at all."""
    lessons = {stem: {profile: one.to_dict() for profile, one in found.items()} for stem, found in course.items()}
    with atomic_path(path) as temporary:
        text = json.dumps({"format": FORMAT, "rule": RULE, "lessons": lessons}, indent=1, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def measure(runs: Sequence[Mapping[str, Any]], date: datetime.date) -> Expected:
    """What ``runs`` of one lesson in one profile gave (``LessonRun.as_dict``), in order of their seeds.

    They may differ in the number of CPU threads, as the machines of a class do: sums are then rounded otherwise, which
    the bands should allow for.

    Raises:
        MedSynthError: two of one seed, on different hardware, or with different versions.
    """
    records = [run["record"] for run in runs]
    machines = [{**record, "hardware": _THREADS.sub("", record["hardware"])} for record in records]
    for key in ("hardware", "amp", "versions"):
        if any(machine[key] != machines[0][key] for machine in machines):
            raise MedSynthError(
                f"runs that differ in {key}",
                where=records[0]["stem"],
                rule="all runs of a lesson on one machine, with the same versions",
                seen=[record[key] for record in records],
                fix="measure again on one machine",
            )
    seeds = [record["seed"] for record in records]
    if len(set(seeds)) < len(seeds):
        raise MedSynthError("a seed was run twice", where=records[0]["stem"], seen=seeds, fix="leave one out")
    return Expected(
        seeds=seeds,
        date=date.isoformat(),
        hardware=hardware_words([record["hardware"] for record in records]),
        amp=records[0]["amp"],
        seconds=round(max(run["seconds"] for run in runs), 1),
        peak_mib=round(max(run["peak_mib"] for run in runs), 1),
        versions=records[0]["versions"],
        metrics=bands([flat_metrics(record["metrics"]) for record in records]),
    )


def hardware_words(devices: Sequence[str]) -> str:
    """``1 or 2 CPU cores`` for ``x86_64 CPU, 1 thread`` and ``x86_64 CPU, 2 threads``; a GPU by its name."""
    threads = sorted({int(found[1]) for device in devices if (found := _THREADS.search(device))})
    return f"{' or '.join(map(str, threads))} CPU core{'s' * (threads != [1])}" if threads else devices[0]


def is_judged(parameters: Mapping[str, Any]) -> bool:
    """Whether a run with ``parameters`` must lie in the bands: on the lesson's own data and steps, trained or not."""
    given = {name: value for name, value in parameters.items() if name not in HARMLESS and value not in (None, "")}
    return given in ({}, COURSE_MODEL)


def faults_of(
    record: Mapping[str, Any], course: Course, stem: str, profile: str, parameters: Mapping[str, Any]
) -> list[str]:
    """Each number of ``record`` outside its band; none where the lesson has no bands for ``profile``."""
    expected = course.get(stem, {}).get(profile)
    if expected is None or not is_judged(parameters):
        return []
    trained = not parameters.get("CHECKPOINT")
    return outside(flat_metrics(record.get("metrics", {})), expected.metrics, all_there=trained)


def finished_runs(folders: Iterable[Path], profile: str) -> dict[str, list[dict[str, Any]]]:
    """Stem -> its finished runs in ``folders`` (each the OUT of a ``medsynth lessons run``), by seed.

    Every run has ``folder``, where its figures and its trained model are.

    Raises:
        InputError: not such a folder, another profile or version, or other data or steps than the lessons' own.
        MedSynthError: a lesson in it failed.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for out in folders:
        for run in _summary(Path(out), profile)["lessons"]:
            if run["status"] not in FINISHED or not run["record"]:
                raise MedSynthError("a lesson that failed has no results", where=run["stem"], seen=run["error"])
            if missing := NEEDED - run["record"].keys():
                raise InputError(
                    "a run of an older version",
                    where=run["stem"],
                    seen=f"no {', '.join(sorted(missing))}",
                    fix="run again",
                )
            runs.setdefault(run["stem"], []).append({**run, "folder": Path(out) / run["stem"]})
    return {stem: sorted(found, key=lambda run: run["record"]["seed"]) for stem, found in sorted(runs.items())}


def _summary(out: Path, profile: str) -> dict[str, Any]:
    try:
        found = json.loads((out / "lessons.json").read_text(encoding="utf-8"))
        seen, parameters = found["profile"], found["parameters"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "not a finished run of lessons", where=out, rule="the OUT folder of `medsynth lessons run`"
        ) from error
    if seen != profile:
        raise InputError("a run of another profile", where=out, rule=profile, seen=seen)
    if parameters:
        raise InputError(
            "a run with other data or steps than the lesson's own",
            where=out,
            rule=f"only {', '.join(sorted(HARMLESS))} given",
            seen=", ".join(parameters),
        )
    return found
