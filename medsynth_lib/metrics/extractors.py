"""From images to features: what a Fréchet or kernel distance is computed on, and the name it may carry.

FID's own features need a network trained on 1.2 million photographs (``metrics.inception``), whose weights are not
part of this course. Without them there are features of the course's own. They tell sets of images apart as well, but
on another scale: nothing here lends such a number the name FID.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.errors import InputError

#: Images a network sees at once.
_BATCH = 32


class FeatureExtractor(Protocol):
    """Images ``(B, C, H, W)`` in [-1, 1] → features ``(B, D)``.

    ``frechet_name`` is what the Fréchet distance of these features may be called.
    """

    frechet_name: str

    def __call__(self, images: Tensor) -> Tensor: ...


def course_name(features: str) -> str:
    """The name of a Fréchet distance of features that are not the published ones."""
    return f"Fréchet distance (course features: {features})"


@torch.no_grad()
def extract(extractor: FeatureExtractor, images: Tensor) -> Tensor:
    """Features ``(N, D)`` of all ``images``, float64, a few images at a time.

    Raises:
        InputError: no images, or not ``(N, C, H, W)`` in [-1, 1].
    """
    if images.ndim != 4 or len(images) == 0:
        raise InputError("features need images", rule="(N, C, H, W), N at least 1", seen=tuple(images.shape))
    if not bool((images.abs() <= 1 + 1e-4).all()):  # also NaN
        raise InputError("images must be in [-1, 1]", seen=f"{float(images.min())} to {float(images.max())}")
    return torch.cat([extractor(part.float()).double() for part in images.split(_BATCH)])


class RandomConvolutions(nn.Module):
    """Features of a network that has learnt nothing: fixed random convolutions, the same on every machine.

    Three levels of conv 3x3 → ReLU → mean of 2x2, of 4, 8 and 16 channels. Random filters respond to contrast, edges
    and texture, though not to anatomy (Saxe et al. 2011). Use it to compare methods on the same slices, beside the
    distance of real images to other real images: only differences larger than that one mean something.

    Args:
        seed: of the filters.
    """

    _WIDTHS = (4, 8, 16)

    def __init__(self, seed: int = 0):
        super().__init__()
        self.frechet_name = course_name(f"random convolutions, seed {seed}")
        generator = torch.Generator().manual_seed(seed)
        entering, self.levels = 1, nn.ParameterList()
        for width in self._WIDTHS:
            weight = torch.randn(width, entering, 3, 3, generator=generator)
            # A filter without mean answers to contrast alone; of norm √2, ReLU keeps the variance level (He 2015).
            weight = weight - weight.mean(dim=(1, 2, 3), keepdim=True)
            weight = weight / weight.flatten(1).norm(dim=1)[:, None, None, None] * 2**0.5
            self.levels.append(nn.Parameter(weight, requires_grad=False))
            entering = width

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 1, H, W)`` → ``(B, 57)``: mean grey value, then mean and standard deviation of every channel."""
        features, image = [images.mean(dim=(1, 2, 3))[:, None]], images.mean(dim=1, keepdim=True)
        for weight in self.levels:
            image = F.relu(F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), weight))
            features += [image.mean(dim=(2, 3)), image.std(dim=(2, 3), correction=0)]
            image = F.avg_pool2d(image, 2)
        return torch.cat(features, dim=1)
