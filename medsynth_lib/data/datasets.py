"""Batches for training and evaluation, from a slice store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.conventions import Batch
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.slices import BODY, SliceStore, StoredPatient
from medsynth_lib.errors import InputError

LABELS = "LABELS"


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


def warp(images: Tensor, matrices: Tensor, mode: str = "bilinear") -> Tensor:
    """Images ``(B, C, H, W)`` in [-1, 1] seen through ``matrices``; what comes from outside is -1 (background).

    ``mode="nearest"`` for label maps: a mean of two class numbers is a third class.
    """
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, mode, align_corners=False) - 1


class PairedSlices:
    """Source and target slices of one split, in [-1, 1].

    A training batch is a pure function of (seed, step): slices are shuffled anew each epoch by a generator seeded with
    (seed, epoch), and augmented by one seeded with (seed, step). So a resumed run sees the data it would have seen,
    with nothing to restore. Under several processes each takes its own part of the same global batch. Where the store
    keeps LABELS, a batch has them as ``labels``.

    Args:
        context: source planes in a sample, an odd number: the slice and its neighbours in the patient, feet first, as
            channels; beyond the first and last slice that slice again. Targets are single slices always.
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
        context: int = 1,
    ):
        self.store, self.split = store, split
        self.context = check_context(context)
        self.source = source or store.settings["source"]
        self.target = target or store.settings["target"]
        self.augmentation, self.seed = augmentation, seed
        self.patients = store.split(split)
        if not self.patients:
            raise InputError(f"the {split} split has no patients", where=store.path, fix="prepare with another split")
        self.indices = _slices_of(self.patients)

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, step: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        """Training batch ``step``: ``batch_size`` slices for process ``rank`` of ``world_size``."""
        chosen = _shuffled(self.indices, step, batch_size * world_size, self.seed, 0)
        mine = slice(rank * batch_size, (rank + 1) * batch_size)
        words = self._words()
        images = self._augmented(words, chosen, mine, [self.seed, 1, step])
        return self._batch(words, images, chosen[mine])

    def in_order(self, batch_size: int = 16, patient: StoredPatient | None = None, stride: int = 1) -> Iterator[Batch]:
        """All slices once, or one in ``stride``, of the split or of one patient, in order, not augmented, with the
        body mask."""
        indices = (self.indices if patient is None else _slices_of([patient]))[::stride]
        words = self._words()
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            images = self._images(words, chosen)
            body = torch.from_numpy(self.store[BODY][chosen])[:, None]
            yield replace(self._batch(words, images, chosen), body=body)

    def name(self, index: int) -> str:
        """How a message calls slice ``index`` of the store."""
        patient = self.store.patient_of(index)
        return f"{patient.key} z={patient.z_mm[index - patient.start]:g} mm"

    def _words(self) -> tuple[str, ...]:
        """The modalities of a batch: source, target, and LABELS where they are kept beside these."""
        pair = (self.source, self.target)
        return (*pair, LABELS) if LABELS in self.store.modalities and LABELS not in pair else pair

    def _augmented(self, words: Sequence[str], chosen: np.ndarray, mine: slice, seed: list[int]) -> list[Tensor]:
        """The slices ``chosen[mine]`` of each modality, all seen through the same random matrices."""
        images = self._images(words, chosen[mine])
        if self.augmentation is None:
            return images
        generator = np.random.default_rng(seed)
        matrices = self.augmentation.matrices(len(chosen), generator)[mine]
        gains = self.augmentation.gains(len(chosen), generator)[mine]
        images = _warp_all(words, images, matrices)
        return [
            ((image + 1) * gains - 1).clamp(-1, 1) if word == self.source and word != LABELS else image
            for word, image in zip(words, images, strict=True)
        ]

    def _batch(self, words: Sequence[str], images: list[Tensor], indices: np.ndarray) -> Batch:
        source, target, *labels = images
        classes = [class_numbers(one) for one in labels]
        return Batch(source, target, labels=classes[0] if classes else None, names=tuple(map(self.name, indices)))

    def _images(self, words: Sequence[str], chosen: np.ndarray) -> list[Tensor]:
        """The slices ``chosen`` of each modality, those of the source with their neighbours as channels."""
        return [
            self._with_neighbours(word, chosen) if word == self.source else self._encoded(word, chosen)
            for word in words
        ]

    def _with_neighbours(self, modality: str, chosen: np.ndarray) -> Tensor:
        owners = [self.store.patient_of(index) for index in chosen]
        first, last = (np.array(ends) for ends in zip(*((one.start, one.stop - 1) for one in owners), strict=True))
        planes = [np.clip(chosen + offset, first, last) for offset in context_offsets(self.context)]
        return torch.cat([self._encoded(modality, one) for one in planes], dim=1)

    def _encoded(self, modality: str, indices: np.ndarray) -> Tensor:
        windows = [self.store.patient_of(index).windows[modality] for index in indices]
        values = self.store[modality][indices].astype(np.float32)
        encoded = [window.encode(one) for window, one in zip(windows, values, strict=True)]
        return torch.from_numpy(np.stack(encoded).astype(np.float32))[:, None]


class UnpairedSlices(PairedSlices):
    """Source slices of one half of the patients and target slices of the other half: no pair exists to be learnt from.

    Shuffling the slices of the same patients would leave every pair in the data, only harder to find. Each half is
    shuffled and augmented on its own. ``names`` say which source and which target; ``labels`` are the target's.
    ``in_order`` gives pairs, for scoring.
    """

    def __init__(self, store: SliceStore, split: str = "train", **options: object):
        super().__init__(store, split, **options)
        if len(self.patients) < 2:
            raise InputError(
                "unpaired data needs two patients", where=store.path, rule="one for source, another for target", seen=1
            )
        order = np.random.default_rng([self.seed, 3]).permutation(len(self.patients))
        half = (len(order) + 1) // 2
        self.source_patients = tuple(self.patients[index] for index in sorted(order[:half]))
        self.target_patients = tuple(self.patients[index] for index in sorted(order[half:]))

    def batch(self, step: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        """Training batch ``step``: ``batch_size`` source slices, and as many target slices of other patients."""
        mine = slice(rank * batch_size, (rank + 1) * batch_size)
        words, count = self._words(), batch_size * world_size
        sources = _shuffled(_slices_of(self.source_patients), step, count, self.seed, 0)
        targets = _shuffled(_slices_of(self.target_patients), step, count, self.seed, 2)
        (source,) = self._augmented(words[:1], sources, mine, [self.seed, 1, step])
        images = self._augmented(words[1:], targets, mine, [self.seed, 4, step])
        names = map("{} / {}".format, map(self.name, sources[mine]), map(self.name, targets[mine]))
        return replace(self._batch(words, [source, *images], targets[mine]), names=tuple(names))


def check_context(context: int) -> int:
    """``context`` where it is a number of planes with one in the middle.

    Raises:
        InputError: it is even, or less than 1.
    """
    if context < 1 or context % 2 == 0:
        raise InputError("a slice and its neighbours", where="context", rule="an odd number: 1, 3, 5 …", seen=context)
    return context


def context_offsets(context: int) -> range:
    """Where the planes of a sample lie beside its slice: -1, 0, 1 for three."""
    return range(-(context // 2), context // 2 + 1)


def class_numbers(encoded: Tensor) -> Tensor:
    """Label maps as a store encodes them, ``(B, 1, H, W)`` in [-1, 1] → class numbers, ``uint8``."""
    return DEFAULT_WINDOWS[LABELS].decode(encoded).round().to(torch.uint8)


def _slices_of(patients: Sequence[StoredPatient]) -> np.ndarray:
    return np.concatenate([np.arange(patient.start, patient.stop) for patient in patients])


def _shuffled(indices: np.ndarray, step: int, count: int, seed: int, stream: int) -> np.ndarray:
    """The ``count`` indices of step ``step`` when every epoch has an order of its own."""
    positions = step * count + np.arange(count)
    epochs = {epoch: _epoch_order(len(indices), seed, stream, epoch) for epoch in np.unique(positions // len(indices))}
    return np.array([indices[epochs[place // len(indices)][place % len(indices)]] for place in positions])


@lru_cache(maxsize=8)
def _epoch_order(length: int, seed: int, stream: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, stream, epoch]).permutation(length)


def _warp_all(words: Sequence[str], images: list[Tensor], matrices: Tensor) -> list[Tensor]:
    """Label maps by nearest neighbour, all else bilinear and in one go."""
    found = dict(zip(words, images, strict=True))
    warped = {word: warp(image, matrices, "nearest") for word, image in found.items() if word == LABELS}
    others = [word for word in words if word != LABELS]
    if others:
        stacked = warp(torch.cat([found[word] for word in others], dim=1), matrices)
        channels = [found[word].shape[1] for word in others]
        warped |= dict(zip(others, stacked.split(channels, dim=1), strict=True))
    return [warped[word] for word in words]
