"""Batches for training and evaluation, from a slice store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.conventions import Batch
from medsynth_lib.data.slices import BODY, SliceStore, StoredPatient
from medsynth_lib.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Random flip, rotation and zoom, the same for every image of a pair (000 §3.3: flips and rotations).

    Args:
        flip: probability of a left-right mirror.
        rotation_deg: angle uniform in [-rotation_deg, rotation_deg].
        zoom: scale uniform in [1 - zoom, 1 + zoom].
        source_gain: the source's distance from background times a number uniform in [1 - gain, 1 + gain]: the same
            tissue's SUV differs that much between patients and scanners. The target is never scaled.
    """

    flip: float = 0.5
    rotation_deg: float = 10.0
    zoom: float = 0.1
    source_gain: float = 0.0

    def matrices(self, count: int, generator: np.random.Generator) -> Tensor:
        """``count`` affine matrices ``(count, 2, 3)`` for ``torch.nn.functional.affine_grid``."""
        mirror = np.where(generator.random(count) < self.flip, -1.0, 1.0)
        angle = np.deg2rad(generator.uniform(-1, 1, count) * self.rotation_deg)
        scale = 1.0 + generator.uniform(-1, 1, count) * self.zoom
        zero = np.zeros(count)
        rows = [
            [scale * mirror * np.cos(angle), -scale * np.sin(angle), zero],
            [scale * mirror * np.sin(angle), scale * np.cos(angle), zero],
        ]
        return torch.from_numpy(np.array(rows).transpose(2, 0, 1).astype(np.float32))

    def gains(self, count: int, generator: np.random.Generator) -> Tensor:
        """``count`` factors ``(count, 1, 1, 1)`` for the source's distance from background."""
        return torch.from_numpy(1.0 + generator.uniform(-1, 1, (count, 1, 1, 1)) * self.source_gain).float()


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Images ``(B, C, H, W)`` in [-1, 1] seen through ``matrices``; what comes from outside is -1 (background)."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1


class PairedSlices:
    """Source and target slices of one split, in [-1, 1].

    A training batch is a pure function of (seed, step): slices are shuffled anew each epoch by a generator seeded with
    (seed, epoch), and augmented by one seeded with (seed, step). So a resumed run sees the data it would have seen,
    with nothing to restore. Under several processes each takes its own part of the same global batch.
    """

    def __init__(
        self,
        store: SliceStore,
        split: str = "train",
        *,
        source: str | None = None,
        target: str | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ):
        self.store, self.split = store, split
        self.source = source or store.settings["source"]
        self.target = target or store.settings["target"]
        self.augmentation, self.seed = augmentation, seed
        self.patients = store.split(split)
        ranges = [np.arange(patient.start, patient.stop) for patient in self.patients]
        if not ranges:
            raise InputError(f"the {split} split has no patients", where=store.path, fix="prepare with another split")
        self.indices = np.concatenate(ranges)
        self._order = -1, self.indices  # (epoch, its order): the last one used

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, step: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        """Training batch ``step``: ``batch_size`` slices for process ``rank`` of ``world_size``."""
        positions = step * batch_size * world_size + np.arange(batch_size * world_size)
        chosen = np.array([self._shuffled(p // len(self))[p % len(self)] for p in positions])
        mine = slice(rank * batch_size, (rank + 1) * batch_size)
        source, target = self._images(chosen[mine])
        if self.augmentation is not None:
            generator = np.random.default_rng([self.seed, 1, step])
            matrices = self.augmentation.matrices(len(chosen), generator)[mine]
            gains = self.augmentation.gains(len(chosen), generator)[mine]
            source, target = warp(torch.cat([source, target], dim=1), matrices).chunk(2, dim=1)
            source = ((source + 1) * gains - 1).clamp(-1, 1)
        return Batch(source, target, names=tuple(self.name(index) for index in chosen[mine]))

    def in_order(self, batch_size: int = 16, patient: StoredPatient | None = None) -> Iterator[Batch]:
        """All slices once, of the split or of one patient, in order, not augmented, with the body mask."""
        indices = self.indices if patient is None else np.arange(patient.start, patient.stop)
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            source, target = self._images(chosen)
            body = torch.from_numpy(self.store[BODY][chosen])[:, None]
            yield Batch(source, target, body=body, names=tuple(self.name(index) for index in chosen))

    def name(self, index: int) -> str:
        """How a message calls slice ``index`` of the store."""
        patient = self.store.patient_of(index)
        return f"{patient.key} z={patient.z_mm[index - patient.start]:g} mm"

    def _shuffled(self, epoch: int) -> np.ndarray:
        known, order = self._order  # read and written as one: two threads may be preparing batches of different epochs
        if known != epoch:
            order = self.indices[np.random.default_rng([self.seed, 0, epoch]).permutation(len(self))]
            self._order = epoch, order
        return order

    def _images(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        return self._encoded(self.source, indices), self._encoded(self.target, indices)

    def _encoded(self, modality: str, indices: np.ndarray) -> Tensor:
        windows = [self.store.patient_of(index).windows[modality] for index in indices]
        values = self.store[modality][indices].astype(np.float32)
        encoded = [window.encode(one) for window, one in zip(windows, values, strict=True)]
        return torch.from_numpy(np.stack(encoded).astype(np.float32))[:, None]
