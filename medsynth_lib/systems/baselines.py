"""What a network must beat before its numbers mean anything."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from medsynth_lib.conventions import Batch
from medsynth_lib.errors import InputError

LUT_BINS = 256


class Identity:
    """The source shown as if it were the target: ``G(x) = x`` in normalised intensities."""

    name = "identity"

    def translate(self, source: Tensor) -> Tensor:
        return source


class MeanImage:
    """The mean training target, whatever the source: ``G(x) = E[y]``, pixel by pixel."""

    name = "mean image"

    def __init__(self, batches: Iterable[Batch]):
        total, count = 0.0, 0
        for batch in batches:
            total, count = total + batch.target.double().sum(dim=0), count + len(batch)
        if count == 0:
            raise InputError("the mean image needs at least one training slice", seen=0)
        self.mean = (total / count).float()

    def translate(self, source: Tensor) -> Tensor:
        return self.mean.to(source).expand(len(source), *self.mean.shape)


class LookUpTable:
    """The best that intensity alone can do: ``G(x) = E[y | x]``, the mean target value per source value.

    Source values are cut into ``LUT_BINS`` bins of equal count; a value that repeats over a whole bin (background,
    saturation, a label) has one of its own. The table is piecewise linear between bin centres: up to the width of a
    bin, it minimises the squared error among all functions of a single pixel's value.
    """

    name = "look-up table"

    def __init__(self, batches: Iterable[Batch], pixels: int = 4_000_000):
        kept, every, random = [], 1, torch.Generator().manual_seed(0)
        for batch in batches:
            kept.append(_one_in(every, torch.stack([batch.source.flatten(), batch.target.flatten()]), random))
            while sum(pairs.shape[1] for pairs in kept) > 2 * pixels:  # memory stays the same however many slices
                kept, every = [_one_in(2, pairs, random) for pairs in kept], 2 * every
        if not kept:
            raise InputError("the look-up table needs at least one training slice", seen=0)
        self.centres, self.values = _conditional_mean(*torch.cat(kept, dim=1).numpy())

    def translate(self, source: Tensor) -> Tensor:
        mapped = np.interp(source.float().cpu().numpy(), self.centres, self.values)
        return torch.from_numpy(mapped).to(source)


def _one_in(every: int, pairs: Tensor, random: torch.Generator) -> Tensor:
    """About one pair in ``every``, by chance: at regular steps it would always be the same columns of the image."""
    return pairs if every == 1 else pairs[:, torch.rand(pairs.shape[1], generator=random) < 1 / every]


def _conditional_mean(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bin centres (mean source) and mean target of each bin."""
    edges = np.quantile(source.astype(float), np.linspace(0, 1, LUT_BINS + 1))
    repeated = edges[1:][np.diff(edges) == 0]
    edges = np.unique([*edges, *np.nextafter(repeated, np.inf)])
    bins = np.clip(np.searchsorted(edges, source, side="right") - 1, 0, max(0, len(edges) - 2))
    count = np.bincount(bins)
    used = count > 0
    centres = np.bincount(bins, source)[used] / count[used]
    return centres, np.bincount(bins, target)[used] / count[used]
