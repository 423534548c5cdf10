"""What the tests of checkpoints run in processes of their own, so that they can be killed or starved of disk."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

from medsynth_lib.data.datasets import Augmentation, PairedSlices
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import MedSynthError
from medsynth_lib.training.checkpoint import save_checkpoint
from medsynth_lib.training.trainer import Trainer
from tests.systems.contract import make_system, make_trainer

STEPS, EVERY = 14, 3


def make(store: Path, run: Path, amp: str, **more) -> Trainer:
    """Pix2pix on slices read from ``store``, augmented, with dropout and replay pool."""
    torch.set_num_threads(1)
    data = PairedSlices(SliceStore.open(store), augmentation=Augmentation())
    settings = {"steps": STEPS, "checkpoint_every": EVERY, "data": data, **more}
    return make_trainer(make_system("pix2pix"), run=run, amp=amp, **settings)


def train(store: Path, run: Path, amp: str) -> None:
    """Train to the end from wherever the run stands, telling the step in ``RUN/step``."""
    run.mkdir(parents=True, exist_ok=True)

    def tell(progress):
        (run / "step").write_text(str(progress.step))

    make(store, run, amp, callbacks=[tell]).train()


def train_on_a_disk_that_fills_up(store: Path, run: Path, told: Path) -> None:
    """From step 4 on no file can grow beyond 2 kB; what training raises goes to ``told``."""

    def fill(progress):
        if progress.step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))

    try:
        make(store, run, "off", callbacks=[fill]).train()
    except MedSynthError as error:
        told.write_text(f"{type(error).__name__}: {error}"[:2000])


def save_on_a_full_disk(run: Path, told: Path) -> None:
    """A second checkpoint larger than the disk allows, after a first that fitted."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    save_checkpoint(run, 1, {"step": 1}, {})
    try:
        save_checkpoint(run, 2, {"step": 2, "large": torch.zeros(100_000)}, {})
    except MedSynthError as error:
        told.write_text(f"{type(error).__name__}: {error}")
