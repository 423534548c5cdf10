"""What a profile is: a system's config, its task, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.data.toy import RingOfGaussians
from medsynth_lib.training.config import TrainConfig


@dataclass(frozen=True)
class Profile:
    """Everything a run needs but the patients.

    Args:
        size: slices are ``size`` x ``size``.
        system: the system's config.
        training: how long and how to train.
        augmentation: what is done to training slices.
        source, target: the task's modalities, as ``prepare`` takes them.
        region: of the phantom that stands in for a cohort: ``torso`` or ``head``.
        points: what a system of points is trained on in place of slices; it needs no slice store.
        windows: modality → (low, high) in physical units, where the default window is not wanted.
        paired: train on pairs (``PairedSlices``), or on source and target of different patients (``UnpairedSlices``).
    """

    size: int
    system: object
    training: TrainConfig
    augmentation: Augmentation
    source: str = "PET"
    target: str = "CT"
    region: str = "torso"
    paired: bool = True
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    points: RingOfGaussians | None = None
