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

    Source values are cut into ``LUT_BINS`` bins of equal count (fewer where values repeat); the table is piecewise
    linear between bin centres. It minimises the squared error among all functions of a single pixel's value.
    """

    name = "look-up table"

    def __init__(self, batches: Iterable[Batch], pixels: int = 4_000_000):
        sources, targets = [], []
        for batch in batches:
            sources.append(batch.source.flatten())
            targets.append(batch.target.flatten())
        if not sources:
            raise InputError("the look-up table needs at least one training slice", seen=0)
        source, target = torch.cat(sources).numpy(), torch.cat(targets).numpy()
        every = max(1, source.size // pixels)
        self.centres, self.values = _conditional_mean(source[::every], target[::every])

    def translate(self, source: Tensor) -> Tensor:
        mapped = np.interp(source.float().cpu().numpy(), self.centres, self.values)
        return torch.from_numpy(mapped).to(source)


def _conditional_mean(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bin centres (mean source) and mean target of each bin."""
    edges = np.unique(np.quantile(source, np.linspace(0, 1, LUT_BINS + 1)))
    bins = np.clip(np.searchsorted(edges, source, side="right") - 1, 0, max(0, len(edges) - 2))
    count = np.bincount(bins)
    used = count > 0
    centres = np.bincount(bins, source)[used] / count[used]
    return centres, np.bincount(bins, target)[used] / count[used]
