"""The features of FID: Inception-v3 as it was when FID was defined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.weights import PublishedWeights, load_published

#: TensorFlow's network of 2015-12-05, with which Heusel et al. 2017 defined FID, ported to PyTorch.
FID_WEIGHTS = PublishedWeights(
    "pt_inception-2015-12-05-6726825d.pth",
    "6726825d",
    "the release `fid_weights` of github.com/mseitzer/pytorch-fid (91 MB)",
)
_SIDE = 299


class InceptionFeatures(nn.Module):
    """FID's features: the 2048 channels before the classifier of Inception-v3, averaged over space.

    Slices are shown as grey RGB images, resized bilinearly to 299x299. Published figures were computed on photographs,
    most on 50,000 of them: with a cohort of a few hundred slices FID is dominated by its bias, whatever the weights.

    Args:
        path: the file ``FID_WEIGHTS`` describes; see ``weights.load_published``.

    Raises:
        InputError: the file is missing, or is not the published one.
    """

    frechet_name = "FID"

    def __init__(self, path: str | Path | None):
        super().__init__()
        tensors = load_published(path, FID_WEIGHTS)
        self.network = InceptionV3()
        # The classifier follows the features, the counters served training only.
        needed = {key: one for key, one in tensors.items() if key.split(".")[0] != "fc"}
        try:
            self.network.load_state_dict(needed)
        except RuntimeError as error:
            raise InputError("the weights do not fit Inception-v3", where=path, seen=str(error)[:200]) from error
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 1 or 3, H, W)`` in [-1, 1] → ``(B, 2048)``."""
        images = F.interpolate(images.expand(-1, 3, -1, -1), (_SIDE, _SIDE), mode="bilinear", align_corners=False)
        return self.network(images)


class InceptionV3(nn.Module):
    """Inception-v3 up to its last pooling, with the poolings of the network of 2015-12-05.

    Source: Szegedy et al. 2016, §6 and figures 5–7. 21,785,568 parameters. Two things differ from later versions: mean
    pooling leaves padding out of the mean, and the last block pools by maximum. Modules carry the names in the file.

    Shape: ``(B, 3, H, W)`` in [-1, 1] → ``(B, 2048)``.
    """

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _BlockA(192, 32), _BlockA(256, 64), _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b, self.Mixed_6c = _BlockC(768, 128), _BlockC(768, 160)
        self.Mixed_6d, self.Mixed_6e = _BlockC(768, 160), _BlockC(768, 192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b, self.Mixed_7c = _BlockE(1280, _mean_pool), _BlockE(2048, _max_pool)

    def forward(self, image: Tensor) -> Tensor:
        for name, block in self.named_children():
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                image = F.max_pool2d(image, 3, 2)
            image = block(image)
        return image.mean(dim=(2, 3))


class _Conv(nn.Module):
    def __init__(self, entering: int, leaving: int, size: int | tuple[int, int], **options: object):
        super().__init__()
        self.conv = nn.Conv2d(entering, leaving, size, bias=False, **options)
        self.bn = nn.BatchNorm2d(leaving, eps=0.001)

    def forward(self, image: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(image)))


def _mean_pool(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)


def _max_pool(image: Tensor) -> Tensor:
    return F.max_pool2d(image, 3, 1, 1)


def _chain(start: Tensor, *layers: nn.Module) -> Tensor:
    for layer in layers:
        start = layer(start)
    return start


class _BlockA(nn.Module):
    """35x35: 1x1, 5x5, two 3x3, and pooling, side by side (figure 5)."""

    def __init__(self, entering: int, pooled: int):
        super().__init__()
        self.branch1x1 = _Conv(entering, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(entering, 48, 1), _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(entering, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(entering, pooled, 1)

    def forward(self, image: Tensor) -> Tensor:
        wide = _chain(image, self.branch5x5_1, self.branch5x5_2)
        double = _chain(image, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3)
        return torch.cat([self.branch1x1(image), wide, double, self.branch_pool(_mean_pool(image))], dim=1)


class _BlockB(nn.Module):
    """35x35 to 17x17."""

    def __init__(self, entering: int):
        super().__init__()
        self.branch3x3 = _Conv(entering, 384, 3, stride=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(entering, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        double = _chain(image, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3)
        return torch.cat([self.branch3x3(image), double, F.max_pool2d(image, 3, 2)], dim=1)


class _BlockC(nn.Module):
    """17x17: 7x7 as 1x7 and 7x1, once and twice (figure 6)."""

    def __init__(self, entering: int, inner: int):
        super().__init__()
        across, down = {"padding": (0, 3)}, {"padding": (3, 0)}
        self.branch1x1 = _Conv(entering, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(entering, inner, 1), _Conv(inner, inner, (1, 7), **across)
        self.branch7x7_3 = _Conv(inner, 192, (7, 1), **down)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(entering, inner, 1), _Conv(inner, inner, (7, 1), **down)
        self.branch7x7dbl_3 = _Conv(inner, inner, (1, 7), **across)
        self.branch7x7dbl_4 = _Conv(inner, inner, (7, 1), **down)
        self.branch7x7dbl_5 = _Conv(inner, 192, (1, 7), **across)
        self.branch_pool = _Conv(entering, 192, 1)

    def forward(self, image: Tensor) -> Tensor:
        once = _chain(image, self.branch7x7_1, self.branch7x7_2, self.branch7x7_3)
        double = (self.branch7x7dbl_1, self.branch7x7dbl_2, self.branch7x7dbl_3, self.branch7x7dbl_4)
        twice = _chain(image, *double, self.branch7x7dbl_5)
        return torch.cat([self.branch1x1(image), once, twice, self.branch_pool(_mean_pool(image))], dim=1)


class _BlockD(nn.Module):
    """17x17 to 8x8."""

    def __init__(self, entering: int):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(entering, 192, 1), _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(entering, 192, 1), _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        small = _chain(image, self.branch3x3_1, self.branch3x3_2)
        wide = _chain(image, self.branch7x7x3_1, self.branch7x7x3_2, self.branch7x7x3_3, self.branch7x7x3_4)
        return torch.cat([small, wide, F.max_pool2d(image, 3, 2)], dim=1)


class _BlockE(nn.Module):
    """8x8: branches that end in a 1x3 beside a 3x1 (figure 7)."""

    def __init__(self, entering: int, pool: Callable[[Tensor], Tensor]):
        super().__init__()
        across, down = ((1, 3), {"padding": (0, 1)}), ((3, 1), {"padding": (1, 0)})
        self.pool = pool
        self.branch1x1 = _Conv(entering, 320, 1)
        self.branch3x3_1 = _Conv(entering, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = (_Conv(384, 384, size, **pad) for size, pad in (across, down))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(entering, 448, 1), _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = (_Conv(384, 384, size, **pad) for size, pad in (across, down))
        self.branch_pool = _Conv(entering, 192, 1)

    def forward(self, image: Tensor) -> Tensor:
        single = self.branch3x3_1(image)
        double = _chain(image, self.branch3x3dbl_1, self.branch3x3dbl_2)
        branches = [
            self.branch1x1(image),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(image)),
        ]
        return torch.cat(branches, dim=1)
