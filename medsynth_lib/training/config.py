"""How long and how to train, and the learning rate at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medsynth_lib.errors import TrainingError


@dataclass(frozen=True)
class TrainConfig:
    """How long and how to train; what is trained is the system's own config.

    Args:
        steps: optimizer steps in all.
        batch_size: slices per step and process.
        decay_from: part of the steps after which the learning rate falls linearly to 0 (pix2pix: 0.5).
        ema: decay of the averaged weights; 0 switches averaging off.
        amp: ``auto``, ``off``, ``bf16`` or ``fp16``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        channels_last, fused, compile: memory layout, fused Adam, ``torch.compile`` (slow to start, then faster).
        log_every, checkpoint_every: in steps; 0 writes a checkpoint only at the end.
        seed: of noise and dropout while training; `make_trainer` also draws the weights, the data order and the
            augmentation from it.
    """

    steps: int = 1000
    batch_size: int = 8
    decay_from: float = 0.5
    ema: float = 0.995
    amp: str = "auto"
    device: str = "auto"
    channels_last: bool = True
    fused: bool = True
    compile: bool = False
    log_every: int = 20
    checkpoint_every: int = 500
    seed: int = 0

    def __post_init__(self):
        rules = {
            "steps": (self.steps >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "decay_from": (0 <= self.decay_from <= 1, "from 0 to 1"),
            "ema": (0 <= self.ema < 1, "from 0 up to, not including, 1"),
            "log_every": (self.log_every >= 1, "at least 1"),
            "checkpoint_every": (self.checkpoint_every >= 0, "0 or more"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise TrainingError("impossible training setting", where=name, rule=rule, seen=getattr(self, name))


def learning_rate_factor(step: int, steps: int, decay_from: float) -> float:
    """1 until ``n = decay_from · steps``, then linear to 0: ``1 - max(0, step + 1 - n) / (steps - n + 1)``.

    The pix2pix schedule (100 epochs + 100 of decay) with steps for epochs.
    """
    constant = math.floor(decay_from * steps)
    return 1 - max(0, step + 1 - constant) / (steps - constant + 1)


def tuples(value: object) -> object:
    """JSON's lists as the tuples that configs hold."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value
