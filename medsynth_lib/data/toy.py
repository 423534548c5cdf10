"""Points in the plane whose distribution is known, for GANs that can be watched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medsynth_lib.conventions import Batch


@dataclass(frozen=True)
class RingOfGaussians:
    """``modes`` equal Gaussians of standard deviation ``std``, their centres on a circle of ``radius`` around 0.

    A batch is a pure function of (seed, step), as those of ``PairedSlices`` are. Points travel as images of one pixel:
    ``target`` is ``(B, 2, 1, 1)`` in [-1, 1]; ``source`` is zeros, for a GAN starts from noise.
    Source: Metz et al. 2017, §3.1 (8 modes, radius 2, std 0.02); here the ring must lie within [-1, 1].
    """

    modes: int = 8
    radius: float = 0.7
    std: float = 0.02
    seed: int = 0

    @property
    def centres(self) -> Tensor:
        """``(modes, 2)``: the middle of every mode."""
        angles = torch.arange(self.modes) * (2 * torch.pi / self.modes)
        return self.radius * torch.stack([angles.cos(), angles.sin()], dim=1)

    def batch(self, step: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        """Training batch ``step``: ``batch_size`` points for process ``rank`` of ``world_size``."""
        generator = np.random.default_rng([self.seed, step])
        count = batch_size * world_size
        modes = torch.from_numpy(generator.integers(self.modes, size=count))
        offsets = torch.from_numpy(generator.normal(0, self.std, (count, 2)).astype(np.float32))
        mine = slice(rank * batch_size, (rank + 1) * batch_size)
        points = (self.centres[modes] + offsets).clamp(-1, 1)[mine]
        return Batch(torch.zeros(batch_size, 1, 1, 1), points[:, :, None, None])
