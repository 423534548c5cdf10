"""What an experiment is: a grid of cells, each one change of a system, and the jobs they become."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.errors import TrainingError
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.training.config import TrainConfig, tuples
from medsynth_lib.training.profiles import Profile, profile

#: What a table shows where an experiment names nothing else.
METRICS = ("psnr", "ssim", "mae", "psnr_body", "ssim_body", "mae_body")
#: Goes up whenever the same cell would give other figures.
VERSION = 2
#: How often a run reports and saves changes no figure.
_NO_FIGURES = ("log_every", "checkpoint_every", "seed")


@dataclass(frozen=True)
class Cell:
    """One row of an experiment's table: a system's profile, and what is changed in it.

    Args:
        key: a short word for ``--cells`` and for folders.
        label: what the table calls it.
        system: the word for the system.
        changes: of the system's config, ``{"ssim_weight": 100.0}``, or a function from that config to them.
        training: of the ``TrainConfig``.
        task: of the ``Profile``: ``source``, ``target``, ``region``, ``paired``, ``size``.
        inference: of the system's config once it is trained. Cells that differ in this alone share one training.
        paper: metric → the number the paper printed for this row.
        paper_row: where it did, as ``Table 4.2, Exp-3``.
    """

    key: str
    label: str
    system: str
    changes: Mapping[str, object] | Callable[[object], Mapping[str, object]] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)
    task: Mapping[str, object] = field(default_factory=dict)
    inference: Mapping[str, object] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    paper_row: str = ""

    def profile(self, name: str, seed: int = 0, steps: int | None = None) -> Profile:
        """The profile ``name`` of this cell's system with the cell's changes; ``steps`` in place of the profile's."""
        chosen = profile(self.system, name, **{**self.training, "seed": seed})
        training = chosen.training if steps is None else replace(chosen.training, steps=steps)
        changes = self.changes(chosen.system) if callable(self.changes) else self.changes
        changed = replace(chosen, system=replace(chosen.system, **changes), training=training, **self.task)
        replace(changed.system, **self.inference)  # an unknown name shows before hours of training
        return changed


@dataclass(frozen=True)
class Experiment:
    """Cells that answer one question.

    Args:
        name: the word on the command line.
        title: what the table is called.
        question: what it asks, in a sentence.
        stands_beside: the published table, or "no published table".
        cells: the rows.
        paper_data: what the paper's figures were computed on, and how that differs from ours.
        metrics: columns, by ``Evaluation``'s names; PSNR, SSIM and MAE also get a margin over the best baseline.
        scores: further figures, by their names in ``SCORES``.
        also: modalities that scores may need beside source and target, where every patient has them. The same for all,
            so that experiments share their runs.
        needs_data: only on a cohort of the user's, never on the phantom.
    """

    name: str
    title: str
    question: str
    stands_beside: str
    cells: tuple[Cell, ...]
    paper_data: str = ""
    metrics: tuple[str, ...] = METRICS
    scores: tuple[str, ...] = ()
    also: tuple[str, ...] = ("LABELS",)
    needs_data: bool = False

    def __post_init__(self):
        keys = [cell.key for cell in self.cells]
        if not keys or len(set(keys)) < len(keys):
            raise TrainingError("an experiment's cells need keys of their own", where=self.name, seen=", ".join(keys))

    def only(self, keys: Iterable[str]) -> tuple[Cell, ...]:
        """The cells named, in the experiment's order; all of them where none is named.

        Raises:
            TrainingError: an unknown cell.
        """
        keys, known = list(keys), [cell.key for cell in self.cells]
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise TrainingError("unknown cell", where=self.name, rule=f"one of {', '.join(known)}", seen=unknown[0])
        return tuple(cell for cell in self.cells if not keys or cell.key in keys)


@dataclass(frozen=True)
class Evaluate:
    """One figure to take from a trained system: the cell it belongs to, and the folder for ``cell.json``."""

    folder: Path
    key: str
    label: str
    inference: Mapping[str, object]
    fingerprint: str

    @property
    def result(self) -> Path:
        return self.folder / "cell.json"


@dataclass(frozen=True)
class Job:
    """One training run and the evaluations of it: what one process does. It travels as JSON, never as a pickle."""

    experiment: str
    system: str
    profile_name: str
    profile: Profile
    store: Path
    run: Path
    evaluations: tuple[Evaluate, ...]
    metrics: tuple[str, ...]
    scores: tuple[str, ...]
    profile_steps: int

    @property
    def seed(self) -> int:
        return self.profile.training.seed

    def write(self, path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), default=str, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        content = json.loads(path.read_text(encoding="utf-8"))
        evaluations = tuple(Evaluate(**{**one, "folder": Path(one["folder"])}) for one in content["evaluations"])
        return cls(
            **{
                **content,
                "profile": _profile(content["system"], content["profile"]),
                "store": Path(content["store"]),
                "run": Path(content["run"]),
                "evaluations": evaluations,
                "metrics": tuple(content["metrics"]),
                "scores": tuple(content["scores"]),
            }
        )


def training_fingerprint(system: str, chosen: Profile, data: str) -> str:
    """A word for a training run but its seed: all settings that its weights depend on, and its data."""
    content = asdict(chosen)
    content["training"] = {key: value for key, value in content["training"].items() if key not in _NO_FIGURES}
    return fingerprint(VERSION, system, content, data)


def fingerprint(*content: object) -> str:
    """Twelve hexadecimal digits of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _profile(system: str, content: Mapping[str, object]) -> Profile:
    config_class = SYSTEMS[system][1]
    return Profile(
        **{
            **content,
            "system": config_class(**{key: tuples(value) for key, value in content["system"].items()}),
            "training": TrainConfig(**content["training"]),
            "augmentation": Augmentation(**content["augmentation"]),
            "windows": {word: tuples(window) for word, window in content["windows"].items()},
        }
    )
