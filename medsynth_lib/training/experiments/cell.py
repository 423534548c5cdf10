"""The work of one process of an experiment: train one run to its end, score it for each of its cells.

``python -m medsynth_lib.training.experiments.cell JOB.json`` is what the runner starts.
"""

from __future__ import annotations

import _thread
import json
import math
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import torch

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.slices import SPLITS, SliceStore
from medsynth_lib.errors import MedSynthError
from medsynth_lib.systems.base import System
from medsynth_lib.training.checkpoint import last_step
from medsynth_lib.training.evaluate import evaluate
from medsynth_lib.training.experiments.alone import alone
from medsynth_lib.training.experiments.grid import Evaluate, Job
from medsynth_lib.training.experiments.scores import SCORES
from medsynth_lib.training.log import LossFile, read_lines
from medsynth_lib.training.machine import device_name, peak_memory_mib, versions
from medsynth_lib.training.run import load_system, make_trainer
from medsynth_lib.training.trainer import Trainer

LOSSES = "losses.jsonl"
#: The line of a log after which the reason of a failure stands.
FAILED = "FAILED: "
#: Always computed: margins need them. The slow ones (MS-SSIM, VIF) only where an experiment reports them.
_BASIC = ("psnr", "ssim", "mae")


def run_job(job: Job) -> bool:
    """Train the job's run, or go on where it stopped, and write ``cell.json`` for each of its evaluations.

    Returns whether it came to its end; an interruption between two steps leaves a checkpoint and no ``cell.json``.

    Raises:
        MedSynthError: as ``Trainer.train`` and ``evaluate``.
    """
    store = SliceStore.open(job.store)
    with alone(job.run):
        losses = LossFile(job.run / LOSSES, last_step(job.run))
        trainer = make_trainer(job.system, store, job.profile, job.run, (losses,))
        trainer.train()
    if trainer.step < trainer.config.steps:
        return False
    for one in job.evaluations:
        write_cell(one.result, cell_result(job, one, trainer, store))
    return True


def cell_result(job: Job, one: Evaluate, trainer: Trainer, store: SliceStore) -> dict[str, object]:
    """Everything a table may say of a cell: figures, what they were computed on, how, and with what."""
    started = time.monotonic()
    system = inference_system(job, one, trainer.device)
    torch.manual_seed(job.seed)  # a system may draw noise for every image
    evaluation = evaluate({job.system: system.translate}, store, device=trainer.device, metrics=_metrics(job.metrics))
    scores = {key: value for name in job.scores for key, value in SCORES[name](system.cpu(), store).items()}
    return {
        **{"experiment": job.experiment, "key": one.key, "label": one.label, "system": job.system},
        **{"profile": job.profile_name, "seed": job.seed, "fingerprint": one.fingerprint},
        **{"config": asdict(system.config), "inference": dict(one.inference)},
        **{"training": asdict(job.profile.training), "augmentation": asdict(job.profile.augmentation)},
        **{"paired": job.profile.paired, "profile_steps": job.profile_steps},
        "data": {**evaluation.about, "splits": _splits(store)},
        "unit": evaluation.unit,
        "metrics": list(job.metrics),
        "summaries": evaluation.to_dict()["summaries"],
        "margins": evaluation.margins(job.system),
        "scores": scores,
        "seconds": {"training": training_seconds(job), "evaluation": round(time.monotonic() - started, 2)},
        "peak_mib": round(peak_memory_mib(), 1),
        **{"device": device_name(trainer.device), "amp": trainer.amp, "threads": torch.get_num_threads()},
        "versions": versions(),
    }


def inference_system(job: Job, one: Evaluate, device: torch.device) -> System:
    """The run's system as anyone would load it, with the evaluation's changes of its config."""
    system, _ = load_system(job.run, device)
    system.config = replace(system.config, **one.inference)
    return system


def training_seconds(job: Job) -> float:
    """Seconds spent in training steps, those of interrupted sessions included, from the run's record of its speed."""
    seconds, last = 0.0, 0
    for line in read_lines(job.run / LOSSES):
        images = (line["step"] - last) * job.profile.training.batch_size
        seconds, last = seconds + images / line["images_per_second"], line["step"]
    return round(seconds, 2)


def write_cell(path: Path, result: dict[str, object]) -> None:
    """``cell.json``, whole or not at all; what is not finite becomes ``null``."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(_finite(result), indent=1, allow_nan=False), encoding="utf-8")


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _metrics(wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_BASIC, *(name.removesuffix("_body") for name in wanted)]))


def _splits(store: SliceStore) -> dict[str, dict[str, int]]:
    found = {name: store.split(name) for name in SPLITS}
    return {
        name: {"patients": len(patients), "slices": sum(one.stop - one.start for one in patients)}
        for name, patients in found.items()
        if patients
    }


def _stop_with_the_runner() -> None:
    """When the runner ends, even killed, its end of our standard input closes: stop as on Ctrl-C."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin: its lock, held by a waiting thread, aborts Python's exit
        _thread.interrupt_main()

    threading.Thread(target=wait, daemon=True).start()


def main(path: str) -> int:
    _stop_with_the_runner()
    try:
        return 0 if run_job(Job.read(Path(path))) else 130
    except KeyboardInterrupt:
        return 130
    except MedSynthError as error:
        print(f"{FAILED}{error}", flush=True)
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        print(f"{FAILED}{type(error).__name__}: {error}", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
