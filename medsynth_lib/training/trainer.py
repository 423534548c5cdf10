"""The training loop: phases, mixed precision, averaging, checkpoints. Readable in one sitting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.errors import TrainingError
from medsynth_lib.systems.base import System
from medsynth_lib.training import distributed
from medsynth_lib.training.amp import autocast, choose_amp, choose_device
from medsynth_lib.training.checkpoint import MODEL, load_checkpoint, save_checkpoint, save_model
from medsynth_lib.training.clock import Timer, interrupt_between_steps
from medsynth_lib.training.config import TrainConfig, learning_rate_factor
from medsynth_lib.training.ema import InferenceCopy
from medsynth_lib.training.prefetch import prefetch
from medsynth_lib.training.state import local_state, restore, shared_state

#: Batches that batch-norm statistics of the averaged weights are measured on.
BATCH_NORM_BATCHES = 16


@dataclass(frozen=True)
class Progress:
    """What callbacks are told every ``log_every`` steps: mean loss terms since the last time, by ``phase/term``."""

    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float
    trainer: Trainer


class Trainer:
    """Trains a system on batches that are a pure function of the step.

    Args:
        system: what to train.
        data: gives ``batch(step, batch_size, rank=, world_size=)``.
        config: how.
        run: folder for checkpoints and the model; ``None`` keeps nothing. A run that holds a checkpoint is resumed.
        about: facts for whoever loads the model later (modalities, windows), stored with it.
        callbacks: called with a ``Progress`` on process 0.
    """

    def __init__(
        self,
        system: System,
        data: PairedSlices,
        config: TrainConfig | None = None,
        *,
        run: str | Path | None = None,
        about: dict[str, object] | None = None,
        callbacks: Sequence[Callable[[Progress], None]] = (),
    ):
        self.config = config or TrainConfig()
        self.device = distributed.join(choose_device(self.config.device))
        self.amp = choose_amp(self.config.amp, self.device)
        self.layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        self.system = system.to(self.device, memory_format=self.layout).train()
        self.inference = InferenceCopy(self.system, self.config.ema)
        self.networks = distributed.distribute(self.system, self.device)
        if self.config.compile:
            for network in self.networks.values():
                network.compile()
        self.optimizers = {name: system.optimizer(name, fused=self.config.fused) for name in system.parts()}
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == "fp16")
        self.data, self.about, self.callbacks = data, dict(about or {}), tuple(callbacks)
        self.run = None if run is None else Path(run)
        self.step = 0
        self._unread: list[_StepLosses] = []  # not yet looked at
        self._seen: list[_StepLosses] = []  # since the last report

    # --- one step ---------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch) -> LossTerms:
        """Every phase of one step: pull its losses under autocast, sum them outside, move its optimizer.

        Each phase has an autocast region of its own: autocast keeps half-precision copies of the weights until its
        region ends, and a copy made before an optimizer moved is stale after.
        """
        logged: LossTerms = {}
        stepped: set[str] = set()
        phases = self.system.phases(batch, self.step)
        while True:
            with autocast(self.amp, self.device):
                phase = next(phases, None)
            if phase is None:
                break
            name, terms = phase
            if name in stepped:  # a part with two phases: the scaler allows one step between two updates
                self.scaler.update()
            stepped.add(name)
            optimizer = self.optimizers[name]
            optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(sum(term.float() for term in terms.values())).backward()
            self.scaler.step(optimizer)
            logged |= {f"{name}/{term}": value.detach() for term, value in terms.items()}
        self.scaler.update()
        self.inference.update(self.step)
        return logged

    # --- the loop ---------------------------------------------------------------------------------------------------

    def train(self) -> System:
        """Train to ``config.steps``, from the newest checkpoint if the run has one; returns the system for inference.

        Raises:
            TrainingError: a loss is not finite.
            CheckpointError: the run belongs to another system, configuration or number of processes.
            StorageError: the disk refused a checkpoint; earlier ones are intact.
        """
        torch.manual_seed(self.config.seed + distributed.rank())
        self.resume()
        timer = Timer(self.device)
        with interrupt_between_steps() as interrupted:
            for batch in self._batches():
                self._set_learning_rate()
                losses = self.training_step(batch)
                self._unread.append(_StepLosses(self.step, batch.names, list(losses), _stack(losses)))
                self.step += 1
                timer.images += len(batch) * distributed.world_size()
                stop = distributed.anywhere(interrupted.is_set(), self.device) or self.step == self.config.steps
                save = stop or (self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0)
                log = save or self.step % self.config.log_every == 0
                if log or self.device.type == "cpu":
                    self._check_losses()
                if log:
                    self._report(timer.lap())
                if save:
                    self.save()
                if log or save:
                    timer.restart()  # training is timed, not callbacks and saving
                if stop:
                    break
        return self.inference_system()

    def _batches(self) -> Iterator[Batch]:
        """Batches from the current step on, the next one prepared while this one trains."""
        rank, world = distributed.rank(), distributed.world_size()

        def load(step: int) -> Batch:
            batch = self.data.batch(step, self.config.batch_size, rank=rank, world_size=world)
            return batch.pin_memory() if self.device.type == "cuda" else batch

        for batch in prefetch(load, range(self.step, self.config.steps)):
            yield batch.to(self.device, self.layout)

    def _set_learning_rate(self) -> None:
        factor = learning_rate_factor(self.step, self.config.steps, self.config.decay_from)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", float(group["lr"])) * factor

    # --- looking at the losses --------------------------------------------------------------------------------------

    def _check_losses(self) -> None:
        """Stop at the first loss that is not finite; on a GPU every ``log_every`` steps, since looking waits for it."""
        unread, self._unread = self._unread, []
        for one in unread:
            finite = torch.isfinite(one.values)
            if not finite.all():
                bad = int((~finite).nonzero()[0])
                raise TrainingError(
                    "a loss is no longer finite, training stopped",
                    where=f"step {one.step}, term {one.terms[bad]}, batch: {', '.join(one.names)}",
                    seen=float(one.values[bad]),
                    fix="look at these slices; try a lower learning rate or AMP off; the last checkpoint is intact",
                )
        self._seen += unread

    def _report(self, images_per_second: float) -> None:
        values = defaultdict(list)
        for one in self._seen:
            for term, value in zip(one.terms, one.values, strict=True):
                values[term].append(value)  # a lazy term is not there at every step
        losses = {term: float(torch.stack(found).mean()) for term, found in values.items()}
        self._seen = []
        if distributed.rank() == 0:
            for callback in self.callbacks:
                callback(Progress(self.step, self.config.steps, losses, images_per_second, self))

    def inference_system(self) -> System:
        """The averaged system, its batch-norm statistics measured on the first training batches; the other networks
        (discriminators) as they are now.

        Always the same batches and noise, and the random state is left alone: calling it changes nothing of the
        training.
        """

        def sources() -> Iterator[Tensor]:
            for step in range(BATCH_NORM_BATCHES):
                yield self.data.batch(step, self.config.batch_size).to(self.device, self.layout).source

        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), autocast(self.amp, self.device):
            torch.manual_seed(self.config.seed)
            self.inference.take_latest()
            self.inference.fit_spectral_norm()
            self.inference.fit_batch_norm(sources())
        return self.inference.system

    # --- keeping ----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint and the model for inference; nothing when the trainer has no run folder."""
        if self.run is None:
            return
        if not all(parameter.isfinite().all() for parameter in self.system.parameters()):
            raise TrainingError(
                "weights are no longer finite, training stopped",
                where=f"step {self.step}",
                fix="try a lower learning rate or AMP off; the last checkpoint is intact",
            )
        self.inference_system()
        if distributed.rank() == 0:  # before the checkpoint: a run killed between the two then writes its model again
            about = {**self.about, "system": self.system.name, "config": self.system.config_dict(), "step": self.step}
            save_model(self.run / MODEL, self.inference.networks(), about)
        save_checkpoint(self.run, self.step, shared_state(self), local_state(self))

    def resume(self) -> None:
        """Go back to the newest checkpoint of the run, if there is one."""
        state = None if self.run is None else load_checkpoint(self.run)
        if state is not None:
            restore(self, *state)


class _StepLosses(NamedTuple):
    step: int
    names: tuple[str, ...]
    terms: list[str]
    values: Tensor


def _stack(losses: LossTerms) -> Tensor:
    return torch.stack([value.float() for value in losses.values()])
