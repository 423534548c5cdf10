"""The replay pool: the discriminator also sees fakes from earlier steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medsynth_lib.errors import CheckpointError


class ReplayPool(nn.Module):
    """Keeps ``size`` generated images; each query returns, with probability 1/2, an old image in place of the new one.

    While the pool fills, images pass through and are kept. Afterwards each image either passes through untouched or is
    swapped with a random kept one. ``size=0`` is no pool. Random choices come from torch's CPU generator, and both the
    images and that generator belong in a checkpoint.

    Source: Shrivastava et al. 2017, §2.3; Zhu et al. 2017 (CycleGAN), §4, with 50 images.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        """``images`` ``(B, C, H, W)``, detached → as many images of the same shape, some of them from earlier."""
        if self.size == 0:
            return images
        return torch.stack([self._swap(image) for image in images.detach()])

    def _swap(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if torch.rand(()) < 0.5:
            return image
        slot = int(torch.randint(self.size, ()))
        kept, self.images[slot] = self.images[slot], image.clone()
        return kept

    def state(self) -> list[Tensor]:
        """The kept images, for a checkpoint."""
        return [image.cpu() for image in self.images]

    def load(self, images: list[Tensor], device: torch.device | str = "cpu") -> None:
        """Put back what ``state`` gave."""
        if len(images) > self.size:
            raise CheckpointError(
                "the checkpoint's replay pool does not fit this one", rule=f"at most {self.size}", seen=len(images)
            )
        self.images = [image.to(device) for image in images]
