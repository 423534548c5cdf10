"""Callbacks that keep a record of training: a progress bar, a JSON-lines file, TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tqdm.auto import tqdm

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.training.trainer import Progress


class ProgressBar:
    """A tqdm bar with the summed loss of each phase and images per second."""

    def __init__(self):
        self.bar = None

    def __call__(self, progress: Progress) -> None:
        if self.bar is None:
            self.bar = tqdm(total=progress.steps, unit="step", leave=True)
        self.bar.update(progress.step - self.bar.n)
        sums: dict[str, float] = {}
        for name, value in progress.losses.items():
            phase = name.split("/")[0]
            sums[phase] = sums.get(phase, 0.0) + value
        shown = {phase: f"{value:.2f}" for phase, value in sums.items()}
        self.bar.set_postfix({**shown, "images/s": f"{progress.images_per_second:.0f}"})
        if progress.step == progress.steps:
            self.bar.close()


class LossFile:
    """One line of JSON per report: step, losses, images per second. A resumed run drops the lines it repeats."""

    def __init__(self, path: str | Path, first_step: int = 0):
        self.path, self.first_step, self.opened = Path(path), first_step, False

    def _open(self) -> None:
        kept = [line for line in read_losses(self.path) if line["step"] <= self.first_step]
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self.opened = True

    def __call__(self, progress: Progress) -> None:
        if not self.opened:  # only now: a run that is refused keeps its history
            self._open()
        line = {
            "step": progress.step,
            "losses": progress.losses,
            "images_per_second": progress.images_per_second,
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_losses(path: str | Path) -> list[dict]:
    """The lines of a loss file; a last line cut by a crash is left out."""
    lines = []
    if Path(path).is_file():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
    return lines


class TensorBoard:
    """Scalars at every report, and every ``images_every`` steps a strip of source, synthetic and real slices."""

    def __init__(self, folder: str | Path, first_step: int = 0, images_every: int = 250, slices: int = 4):
        from torch.utils.tensorboard import SummaryWriter  # slow to import: only for those who use it

        self.writer = SummaryWriter(str(folder), purge_step=first_step + 1 if first_step else None)
        self.images_every, self.slices = images_every, slices

    def __call__(self, progress: Progress) -> None:
        for name, value in progress.losses.items():
            self.writer.add_scalar(name, value, progress.step)
        self.writer.add_scalar("images per second", progress.images_per_second, progress.step)
        if progress.step % self.images_every == 0 or progress.step == progress.steps:
            self.writer.add_images("source, synthetic, real", self._strip(progress), progress.step)
        self.writer.flush()

    def _strip(self, progress: Progress) -> torch.Tensor:
        trainer = progress.trainer
        batch = next(trainer.data.in_order(self.slices))
        with torch.no_grad():
            fake = trainer.inference_system().translate(batch.source.to(trainer.device)).float().cpu()
        return (torch.cat([batch.source, fake, batch.target], dim=3).clamp(-1, 1) + 1) / 2
