"""What to run: a YAML or CSV plan, or a folder of students' notebooks, as a list of runs with every rule checked.

YAML: ``runs`` is a list of entries; each is run for every notebook × combination of ``grid`` × data folder::

    defaults: {time_limit_s: 600}            # any key of an entry but notebooks and name
    runs:
      - notebooks: lessons/02_*.ipynb        # a path or a list of them, relative to the plan; * and ** allowed
        parameters: {PROFILE: lesson}        # one value each
        grid: {SEED: [0, 1, 2]}              # every combination
        data: [/data/hospital_a]             # each becomes DATA_ROOT
        time_limit_s: 1800

CSV: one run a row. The columns of ``CSV_COLUMNS`` mean what they mean in YAML; any other column is a parameter, an
empty field leaves it as the notebook has it.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medsynth_lib.course.runner import check_parameters
from medsynth_lib.errors import InputError, MedSynthError

#: Key of an entry -> (type, smallest value). Seconds, MiB, number of GPUs.
NUMBERS = {"time_limit_s": 1, "cell_limit_s": 1, "memory_limit_mib": 256, "gpus": 0}
KEYS = ("notebooks", "name", "parameters", "grid", "data", "readable", "student", *NUMBERS)
CSV_COLUMNS = ("notebook", "name", "data", "student", *NUMBERS)
#: ``memory_limit_mib`` is for a notebook and all it starts; torch alone takes 300 MiB.
DEFAULTS = {"time_limit_s": 3600, "cell_limit_s": 1800, "memory_limit_mib": 4096, "gpus": 0, "student": False}
MAX_NAME = 100
FIX_PATH = "correct the path; it is relative to the plan's folder"


@dataclass(frozen=True)
class Run:
    """One notebook with its parameters; ``name`` is the folder of its results, and what the report calls it."""

    name: str
    notebook: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    data: Path | None = None
    readable: tuple[Path, ...] = ()
    student: bool = False
    time_limit_s: int = 3600
    cell_limit_s: int = 1800
    memory_limit_mib: int = 4096
    gpus: int = 0

    def key(self) -> str:
        """What the result depends on: the notebook's bytes, parameters and data, not the limits."""
        inputs = [self.parameters, str(self.data or "")]
        content = self.notebook.read_bytes() + json.dumps(inputs, sort_keys=True, default=str).encode()
        return hashlib.sha256(content).hexdigest()[:32]


def load_plan(plan: str | Path, overrides: Mapping[str, Any] | None = None) -> list[Run]:
    """The runs of ``plan``: a ``.yaml``, ``.yml`` or ``.csv`` file, or a folder of students' notebooks.

    Args:
        overrides: keys of an entry that replace what the plan says (``parameters`` are merged).

    Raises:
        MedSynthError: the first mistake: which file and entry, the rule, the value seen, what to do.
    """
    plan = Path(plan)
    if plan.is_dir():
        entries = _folder_entries(plan)
    elif not plan.is_file():
        raise InputError("no such plan", where=plan, rule="a .yaml or .csv file, or a folder of notebooks")
    else:
        readers = {".yaml": _yaml_entries, ".yml": _yaml_entries, ".csv": _csv_entries}
        if plan.suffix.lower() not in readers:
            raise InputError(
                "not a plan", where=plan, rule="ends in .yaml, .yml or .csv", seen=plan.suffix or "no ending"
            )
        entries = readers[plan.suffix.lower()](plan)
    folder = plan if plan.is_dir() else plan.parent
    runs = [run for entry in entries for run in _expand(entry.overridden(overrides or {}), folder.absolute())]
    if not runs:
        raise InputError("nothing to run", where=plan, rule="at least one notebook (.ipynb)")
    return _with_names(runs, plan)


@dataclass(frozen=True)
class _Entry:
    """One entry of a plan as read, and where it stands: errors name it."""

    values: dict[str, Any]
    where: str

    def error(self, what: str, **more: object) -> MedSynthError:
        return MedSynthError(f"plan: {what}", where=self.where, **more)

    def overridden(self, overrides: Mapping[str, Any]) -> _Entry:
        values = {**self.values, **{key: value for key, value in overrides.items() if key != "parameters"}}
        own = values.get("parameters") or {}
        if isinstance(own, Mapping):
            values["parameters"] = {**own, **overrides.get("parameters", {})}
        return replace(self, values=values)


def _folder_entries(folder: Path) -> Iterator[_Entry]:
    """Every notebook under ``folder`` as a student's; its path names it: ``anna/hw1.ipynb`` is ``anna__hw1``."""
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not any(part.startswith(".") for part in parts):
            yield _Entry({"notebooks": str(path.absolute()), "name": "__".join(parts), "student": True}, str(path))


def _yaml_entries(plan: Path) -> Iterator[_Entry]:
    import yaml

    try:
        content = yaml.safe_load(plan.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("not a YAML file that can be read", where=plan, seen=" ".join(str(error).split())) from error
    top = _Entry(content if isinstance(content, dict) else {"": content}, str(plan))
    _refuse_unknown(top, ("defaults", "runs"))
    defaults, runs = top.values.get("defaults") or {}, top.values.get("runs")
    if not isinstance(defaults, dict):
        raise top.error("defaults is no mapping", rule="defaults: {key: value}", seen=repr(defaults))
    _refuse_unknown(_Entry(defaults, f"{plan}, defaults"), [key for key in KEYS if key not in ("notebooks", "name")])
    if not isinstance(runs, list) or not runs:
        raise top.error("no runs", rule="runs: a list of entries, each beginning with '- notebooks:'", seen=repr(runs))
    for number, values in enumerate(runs, 1):
        entry = _Entry(values if isinstance(values, dict) else {}, f"{plan}, entry {number} of runs")
        if not isinstance(values, dict):
            raise entry.error("an entry is no mapping", rule="notebooks: PATH and more keys", seen=repr(values))
        _refuse_unknown(entry, KEYS)
        yield replace(entry, values={**defaults, **values, "parameters": _merged(defaults, entry)})


def _merged(defaults: dict[str, Any], entry: _Entry) -> dict[str, Any]:
    both = [values.get("parameters") or {} for values in (defaults, entry.values)]
    for one in both:
        if not isinstance(one, dict):
            raise entry.error("parameters is no mapping", rule="parameters: {NAME: value}", seen=repr(one))
    return {**both[0], **both[1]}


def _csv_entries(plan: Path) -> Iterator[_Entry]:
    with open(plan, newline="", encoding="utf-8-sig") as file:  # -sig: spreadsheets put a byte order mark in front
        try:
            first = file.readline()
            file.seek(0)
            semicolons = ";" in first and "," not in first  # a spreadsheet where the comma is for decimals
            reader = csv.DictReader(file, strict=True, delimiter=";" if semicolons else ",")
            columns, rows = reader.fieldnames or [], list(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError("not a CSV file that can be read", where=plan, seen=error) from error
    if "notebook" not in columns:
        seen = ", ".join(columns) or "an empty file"
        raise InputError("no column notebook", where=plan, rule="the first line names the columns", seen=seen)
    for number, row in enumerate(rows, 2):
        entry = _Entry({}, f"{plan}, line {number}")
        if None in row or None in row.values():
            raise entry.error("another number of fields than the first line", rule=f"{len(columns)} fields")
        given = {name.strip(): value.strip() for name, value in row.items() if value.strip()}
        if semicolons:
            given = {name: re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", value) for name, value in given.items()}
        values = {key: _literal(given[key]) for key in CSV_COLUMNS if key in given and key not in ("notebook", "data")}
        values |= {"notebooks": given.get("notebook"), "data": given.get("data")}
        parameters = {name: _literal(value) for name, value in given.items() if name not in CSV_COLUMNS}
        yield _Entry({**values, "parameters": parameters}, entry.where)


def _literal(text: str) -> Any:
    """A Python literal where ``text`` is one (``3``, ``1e-4``, ``True``), else the text itself; yes and no as YAML."""
    if text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _refuse_unknown(entry: _Entry, known: Any) -> None:
    if unknown := [str(key) for key in entry.values if key not in known]:
        raise entry.error(
            f"unknown key {', '.join(unknown)}", rule=f"one of {', '.join(known)}", fix="correct or delete it"
        )


def _expand(entry: _Entry, folder: Path) -> Iterator[Run]:
    """Every notebook × combination × data folder of ``entry``."""
    values = {**DEFAULTS, **{key: value for key, value in entry.values.items() if value is not None}}
    settings = {key: _number(entry, key, values[key]) for key in NUMBERS}
    if not isinstance(values["student"], bool):
        raise entry.error("student is neither true nor false", seen=repr(values["student"]))
    readable = tuple(_existing(entry, "readable", one, folder) for one in _listed(values.get("readable")))
    fixed, grid = values.get("parameters", {}), values.get("grid") or {}
    _check_grid(entry, fixed, grid)
    data = [_existing(entry, "data", one, folder) for one in _listed(values.get("data"))] or [None]
    for notebook in _notebooks(entry, values.get("notebooks"), folder):
        _check(entry, notebook, {**fixed, **grid}, data != [None])
        for combination in itertools.product(*grid.values()):
            chosen = dict(zip(grid, combination, strict=True))
            for place in data:
                words = [str(values.get("name") or notebook.stem), *(f"{key}={value}" for key, value in chosen.items())]
                words += [f"data={place.name}"] if place and len(data) > 1 else []
                own = {**fixed, **chosen}
                yield Run("-".join(words), notebook, own, place, readable, values["student"], **settings)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _number(entry: _Entry, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < NUMBERS[key]:
        raise entry.error(f"{key} is out of range", rule=f"a whole number from {NUMBERS[key]}", seen=repr(value))
    return value


def _existing(entry: _Entry, key: str, value: Any, folder: Path) -> Path:
    path = folder / str(value)
    if not path.exists():
        raise entry.error(f"{key} is not there", seen=value, fix=FIX_PATH)
    return path


def _check_grid(entry: _Entry, fixed: Mapping[str, Any], grid: Any) -> None:
    if not isinstance(grid, dict) or not all(isinstance(one, list) and one for one in grid.values()):
        raise entry.error("grid is no mapping of lists", rule="grid: {NAME: [value, value]}", seen=repr(grid))
    if both := sorted(set(fixed) & set(grid)):
        raise entry.error(f"{', '.join(both)} is in parameters and in grid", fix="keep one of the two")


def _notebooks(entry: _Entry, patterns: Any, folder: Path) -> Iterator[Path]:
    if not (listed := _listed(patterns)):
        raise entry.error("no notebooks", rule="notebooks: a path or a list of paths")
    for pattern in listed:
        path = Path(str(pattern))
        base = Path(path.anchor) if path.is_absolute() else folder
        inside = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
        wild = re.search(r"[*?\[]", inside) and not (base / inside).exists()
        found = sorted(one for one in base.glob(inside) if one.is_file()) if wild else [base / inside]
        if not found or not found[0].is_file():
            raise entry.error("no such notebook", seen=pattern, fix=FIX_PATH)
        yield from found


def _check(entry: _Entry, notebook: Path, parameters: Mapping[str, Any], has_data: bool) -> None:
    """Refuse a parameter the notebook does not have; what is no notebook at all becomes a row of the report."""
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise entry.error("a parameter that is no plain value", rule="numbers, text, lists", seen=error) from error
    if not (parameters or has_data):
        return  # a folder of hundreds of notebooks is not read twice
    try:
        check_parameters(notebook, {**parameters, **({"DATA_ROOT": ""} if has_data else {})})
    except InputError:
        return
    except MedSynthError as error:
        raise entry.error(error.what, rule=f"{notebook.name}: {error.rule}", fix=error.fix) from error


def _with_names(runs: list[Run], plan: Path) -> list[Run]:
    """Names that are also folder names; refuse two alike, on file systems that do not tell cases apart too."""
    named = [replace(run, name=_folder_name(run.name)) for run in runs]
    seen: dict[str, Run] = {}
    for run in named:
        if other := seen.get(run.name.lower()):
            seen_twice = f"{run.name}: {other.notebook} and {run.notebook}"
            raise MedSynthError("plan: two runs of one name", where=plan, seen=seen_twice, fix="give each a name:")
        seen[run.name.lower()] = run
    return named


def _folder_name(words: str) -> str:
    name = re.sub(r"[^\w.=+-]+", "_", words).lstrip(".-") or "run"
    digest = hashlib.sha256(words.encode()).hexdigest()[:8]
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 9]}-{digest}"
