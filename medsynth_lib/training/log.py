"""Callbacks that keep a record of training: a progress bar, JSON-lines files of losses and scores, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from tqdm.auto import tqdm

from medsynth_lib.conventions import MODALITIES
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.metrics.report import METRICS
from medsynth_lib.systems.base import System
from medsynth_lib.training.evaluate import evaluate
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
        self.file = LineFile(path, first_step)

    def __call__(self, progress: Progress) -> None:
        self.file.append(
            {"step": progress.step, "losses": progress.losses, "images_per_second": progress.images_per_second}
        )


class MetricFile:
    """Scores of the system for inference while it trains, on some train and test slices: one line of JSON per look.

    001 §4 draws loss, SSIM, MS-SSIM, VIF, PSNR and MSE over epochs, train beside test (its figures 2 to 7): this keeps
    all but the loss, which ``LossFile`` has. A line is ``{"step", "unit", "train": {metric: mean over patients},
    "test": {…}}``, in physical units. Looking draws no random number and moves no weight: the run is bit for bit what
    it would have been. What the test curve says must choose nothing, no step and no setting: it is then no test any
    more.

    Args:
        store: the slices.
        path: the file; a run that is resumed from ``first_step`` drops the lines it repeats.
        every: steps between looks; taken at the first report from there on, and after the last step. An epoch is the
            number of training slices over the batch size.
        slices: about how many of each split are looked at, evenly spaced, at least one of each patient.
        splits, metrics: which; MS-SSIM and VIF take most of the time.
    """

    def __init__(
        self,
        store: SliceStore,
        path: str | Path,
        every: int,
        *,
        first_step: int = 0,
        slices: int = 24,
        splits: Sequence[str] = ("train", "test"),
        metrics: Collection[str] = METRICS,
    ):
        self.store, self.every, self.splits, self.metrics = store, every, tuple(splits), metrics
        counts = {split: sum(one.stop - one.start for one in store.split(split)) for split in self.splits}
        self.strides = {split: max(1, count // slices) for split, count in counts.items()}
        self.file, self.seen = LineFile(path, first_step), first_step

    def __call__(self, progress: Progress) -> None:
        due = progress.step // self.every > self.seen // self.every or progress.step == progress.steps
        self.seen = progress.step
        if due:
            system = progress.trainer.inference_system()
            scores = {split: self._score(system, split, progress.trainer.device) for split in self.splits}
            self.file.append({"step": progress.step, "unit": self._unit(), **scores})

    def _score(self, system: System, split: str, device: torch.device) -> dict[str, float]:
        found = evaluate(
            {system.name: system.translate},
            self.store,
            split,
            device,
            with_baselines=False,
            metrics=self.metrics,
            stride=self.strides[split],
            context=system.context,
        )
        return {name: one.mean for name, one in found.summaries[system.name].items()}

    def _unit(self) -> str:
        return MODALITIES[self.store.settings["target"]]


class LineFile:
    """Lines of JSON, each with a ``step``; begun anew, without the lines after ``first_step``, at the first append."""

    def __init__(self, path: str | Path, first_step: int = 0):
        self.path, self.first_step, self.opened = Path(path), first_step, False

    def append(self, line: dict[str, object]) -> None:
        if not self.opened:  # only now: a run that is refused keeps its history
            kept = [one for one in read_lines(self.path) if one["step"] <= self.first_step]
            with atomic_path(self.path) as temporary:
                temporary.write_text("".join(json.dumps(one) + "\n" for one in kept), encoding="utf-8")
            self.opened = True
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_lines(path: str | Path) -> list[dict]:
    """The lines of such a file; a last line cut by a crash is left out."""
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
        look = progress.step % self.images_every == 0 or progress.step == progress.steps
        if look and hasattr(progress.trainer.data, "in_order"):  # points are no picture
            self.writer.add_images("source, synthetic, real", self._strip(progress), progress.step)
        self.writer.flush()

    def _strip(self, progress: Progress) -> torch.Tensor:
        trainer = progress.trainer
        batch = next(trainer.data.in_order(self.slices))
        with torch.no_grad():
            fake = trainer.inference_system().translate(batch.source.to(trainer.device)).float().cpu()
        source = batch.source[:, batch.source.shape[1] // 2, None]  # the slice itself, without its neighbours
        return (torch.cat([source, fake, batch.target], dim=3).clamp(-1, 1) + 1) / 2
