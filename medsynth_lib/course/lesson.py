"""What a lesson's notebook talks to: its figures, exercises, quiz and the record of its results."""

from __future__ import annotations

import json
import math
import platform
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psutil
import torch
from IPython.display import HTML, display

from medsynth_lib import __version__
from medsynth_lib.course.exercise import call_out_html, judge_attempt, quiz_html
from medsynth_lib.course.places import MODEL, NOTEBOOKS, expected_folder
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError
from medsynth_lib.training.amp import choose_amp, choose_device
from medsynth_lib.training.checkpoint import MODEL as MODEL_FILE
from medsynth_lib.training.machine import device_name, peak_memory_mib, versions
from medsynth_lib.visualize.html import figure_html, figure_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Attempt = TypeVar("Attempt")
#: ``CHECKPOINT`` for the model that comes with a lesson.
COURSE = "course"


class Lesson:
    """One run of the lesson ``stem``: seeds Python, NumPy and torch, starts the clock, and owns ``out_dir``.

    Args:
        stem: the notebook's name without ending, as ``02_pix2pix_pet_to_ct``.
        profile: ``smoke``, ``lesson`` or ``paper``.
        seed: of every random generator.
        out_dir: where figures and ``record.json`` go; default ``runs/<stem>``.
        amp: ``off``, ``bf16``, ``fp16`` or ``auto``, as the training of this lesson uses (``training.amp``).
    """

    def __init__(
        self,
        stem: str,
        *,
        profile: str = "lesson",
        seed: int = 0,
        out_dir: str | Path | None = None,
        amp: str = "auto",
    ):
        self.stem, self.profile, self.seed = stem, profile, seed
        self.out_dir = Path(out_dir or Path("runs", stem))
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self.device = choose_device()
        self.amp = choose_amp(amp, self.device)
        self.attempts: dict[str, str] = {}
        self.figures: dict[str, str] = {}
        self._started = time.monotonic()
        random.seed(seed)
        np.random.seed(seed)  # libraries still draw from it
        torch.manual_seed(seed)

    def environment(self) -> str:
        """Two lines on what this lesson runs with: device, memory, AMP type, profile and versions."""
        if self.device.type == "cuda":
            device = f"GPU {torch.cuda.get_device_name()}"
        else:
            device = f"CPU, {torch.get_num_threads()} threads"
        memory = psutil.virtual_memory().total / 2**30
        return (
            f"{device}, {memory:.0f} GiB memory · AMP {self.amp} · profile {self.profile} · seed {self.seed}\n"
            f"Python {platform.python_version()} · torch {torch.__version__} · MedSynth {__version__}"
        )

    def checkpoint(self, wanted: str | Path | None) -> Path | None:
        """What the parameter ``CHECKPOINT`` means: ``None`` to train, else the folder or file of a trained model.

        ``"course"`` is the model that comes with the lesson, trained on the phantom in the ``lesson`` profile
        (``medsynth lessons expected`` makes it): for a look at results without training.

        Raises:
            MedSynthError: ``"course"`` where the lesson has no such model, or in another profile.
        """
        if not wanted:
            return None
        if wanted != COURSE:
            return Path(wanted)
        model = expected_folder(self.stem, NOTEBOOKS) / MODEL
        if self.profile != "lesson" or not model.is_dir():
            raise MedSynthError(
                f'CHECKPOINT = "{COURSE}" means a model that is not there',
                where=self.stem,
                rule='PROFILE = "lesson", in a checkout of the course, in a lesson that comes with a model',
                seen=f'PROFILE = "{self.profile}", {"a" if model.is_dir() else "no"} model',
                fix='set CHECKPOINT = "" to train one yourself',
            )
        return model

    def figure(self, figure: Figure, name: str, alt: str) -> None:
        """Save ``figure`` as ``out_dir/<name>.png``, show it with the text ``alt`` for who cannot see it, and close it.

        Raises:
            MedSynthError: no alt text.
        """
        if len(alt.split()) < 3:
            raise MedSynthError(
                f"figure {name} has no description", seen=repr(alt), fix="say in a sentence what it shows: alt='…'"
            )
        from matplotlib import pyplot

        png = figure_png(figure)
        pyplot.close(figure)
        with atomic_path(self.out_dir / f"{name}.png") as path:
            path.write_bytes(png)
        self.figures[f"{name}.png"] = alt
        display(HTML(figure_html(png, alt)))

    def exercise(self, id: str, attempt: Attempt, check: Callable[[Attempt], object], reference: Attempt) -> Attempt:
        """Judge ``attempt``, show a call-out, and return it where it passes, else ``reference``.

        Never raises and never shows a traceback, so the cells below always run. See ``judge_attempt``.
        """
        judgement = judge_attempt(attempt, check)
        self.attempts[id] = judgement.status
        display(HTML(call_out_html(id, judgement)))
        return attempt if judgement.status == "solved" else reference

    def quiz(self, question: str, options: list[str], answer: int, explanation: str) -> None:
        """Show a question whose answer (``answer`` counts ``options`` from 0) unfolds on a click, with no kernel."""
        display(HTML(quiz_html(question, options, answer, explanation)))

    def record(self, metrics: Mapping[str, Any], model: str | Path | None = None) -> dict[str, Any]:
        """Write ``metrics`` and what they were made with to ``out_dir/record.json``; call it in the last code cell.

        Args:
            metrics: name -> number, text, list, or another such mapping; the unit belongs in the name (``mae_hu``).
            model: the run inside ``out_dir`` whose trained model the lesson's results are of; from it
                ``medsynth lessons expected`` makes the model that comes with the lesson. Left out, or a folder without
                a model: none.

        Raises:
            MedSynthError: a value that is not finite or not plain data.
        """
        record = {
            "stem": self.stem,
            "profile": self.profile,
            "seed": self.seed,
            "metrics": plain(metrics),
            "exercises": self.attempts,
            "figures": self.figures,
            "model": self._inside(model),
            "hardware": device_name(self.device),
            "device": self.device.type,
            "amp": self.amp,
            "seconds": round(time.monotonic() - self._started, 2),
            "peak_mib": round(peak_memory_mib(), 1),
            "peak_gpu_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch.cuda.is_initialized() else 0.0,
            "versions": versions(),
        }
        with atomic_path(self.out_dir / "record.json") as path:
            path.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
        return record

    def _inside(self, model: str | Path | None) -> str | None:
        """``model`` relative to ``out_dir``, where it is a folder with a model in it."""
        if model is None or not (Path(model) / MODEL_FILE).is_file():
            return None
        return Path(model).absolute().relative_to(self.out_dir.absolute()).as_posix()


def plain(value: Any, name: str = "metrics") -> Any:
    """``value`` as what JSON can hold; numpy and torch scalars become numbers.

    Raises:
        MedSynthError: NaN, infinity, or an object of another kind; the message names its place.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, f"{name}[{index}]") for index, one in enumerate(value)]
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return plain(value.tolist(), name)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        raise MedSynthError(
            "a result that cannot be recorded",
            where=name,
            rule="a finite number, text, list or mapping",
            seen=repr(value),
        )
    return value
