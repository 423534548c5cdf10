"""LPIPS: how different two images look to a network trained on photographs, and weighted by people's judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.weights import PublishedWeights, load_published
from medsynth_lib.ssim import check_pair, check_size

_TINY = 1e-10
#: Mean and spread of photographs in [-1, 1], per channel, by which the authors' code shifts its input.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class _Backbone:
    """A network's convolutions as (width, size, stride, padding) or "pool", the ReLUs read, the published files."""

    layers: tuple[tuple[int, int, int, int] | str, ...]
    pool_size: int
    read: tuple[int, ...]
    network: PublishedWeights
    linear: PublishedWeights
    smallest: int


def _plain(width: int, count: int) -> tuple[tuple[int, int, int, int], ...]:
    return ((width, 3, 1, 1),) * count


_PACKAGE = "github.com/richzhang/PerceptualSimilarity, weights v0.1 (7 kB; also inside the Python package `lpips`)"
#: Simonyan and Zisserman 2015, configuration D; Krizhevsky 2014. ``read`` counts ReLUs from 0.
BACKBONES = {
    "vgg": _Backbone(
        layers=(
            *_plain(64, 2), "pool", *_plain(128, 2), "pool", *_plain(256, 3), "pool", *_plain(512, 3), "pool",
            *_plain(512, 3),
        ),
        pool_size=2,
        read=(1, 3, 6, 9, 12),
        network=PublishedWeights("vgg16-397923af.pth", "397923af", "download.pytorch.org/models (528 MB)"),
        linear=PublishedWeights("vgg.pth of LPIPS v0.1", "a78928a0", _PACKAGE),
        smallest=16,
    ),
    "alex": _Backbone(
        layers=((64, 11, 4, 2), "pool", (192, 5, 1, 2), "pool", (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)),
        pool_size=3,
        read=(0, 1, 2, 3, 4),
        network=PublishedWeights("alexnet-owt-7be5be79.pth", "7be5be79", "download.pytorch.org/models (233 MB)"),
        linear=PublishedWeights("alex.pth of LPIPS v0.1", "df73285e", _PACKAGE),
        smallest=31,
    ),
}  # fmt: skip


def perceptual_distance(fake: Sequence[Tensor], target: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """How far apart two images' features are: d = Σ_l mean_hw Σ_c w_lc (f̂_lchw − t̂_lchw)².

    f̂ is f divided by its norm over channels, w the learned weights, l a layer. Zhang et al. 2018, eq. 1, in the form
    of the authors' code: w multiplies the squared difference. This is LPIPS only with the published network and
    weights; ``LPIPS`` sees to that.

    :param fake: one ``(B, C_l, H_l, W_l)`` per layer.
    :param target: the same shapes.
    :param weights: one ``(C_l,)`` per layer, ≥ 0.
    :returns: ``(B,)``, 0 for identical features, at most 2 Σ_l max w_l for features ≥ 0.
    """
    total = 0.0
    for one, other, weight in zip(fake, target, weights, strict=True):
        apart = (_unit(one) - _unit(other)).square() * weight[:, None, None]
        total = total + apart.sum(dim=1).mean(dim=(1, 2))
    return total


class LPIPS(nn.Module):
    """LPIPS v0.1 from the published weights, which the user supplies; grey slices are shown as RGB.

    Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric". The judgement it
    imitates is of photographs: no one has asked radiologists. It does not resize: 64x64 slices give deep layers of 4x4.

    Args:
        backbone: ``"vgg"`` (003 §4.2.3) or ``"alex"`` (the authors' recommendation); two different measures.
        network: the backbone's file, see ``BACKBONES``.
        linear: the file of learned weights; by default the one inside the package ``lpips``, if that is installed.

    Raises:
        InputError: an unknown backbone; a file is missing, or is not the published one.
    """

    def __init__(self, backbone: str = "vgg", *, network: str | Path | None, linear: str | Path | None = None):
        super().__init__()
        if backbone not in BACKBONES:
            raise InputError("unknown LPIPS network", rule=f"one of {', '.join(BACKBONES)}", seen=backbone)
        self.name, self.about = f"LPIPS ({backbone})", BACKBONES[backbone]
        tensors = load_published(network, self.about.network)
        weights = load_published(linear or _packaged(backbone), self.about.linear)
        self.features = _layers(self.about)
        try:
            wanted = {key: one for key, one in tensors.items() if key.startswith("features.")}
            self.features.load_state_dict({key.removeprefix("features."): one for key, one in wanted.items()})
            found = [weights[f"lin{layer}.model.1.weight"].flatten() for layer in range(len(self.about.read))]
        except (RuntimeError, KeyError) as error:
            raise InputError("the weights do not fit LPIPS", where=self.name, seen=str(error)[:200]) from error
        self.weights = nn.ParameterList(found)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """``(B, 1 or 3, H, W)`` in [-1, 1], both → ``(B,)``, lower is more alike; each image of ``fake`` to its own.

        Raises:
            InputError: shapes differ, or images are too small for the network.
        """
        check_pair(fake, target)
        check_size(fake, self.about.smallest, self.name)
        return perceptual_distance(self._read(fake), self._read(target), list(self.weights))

    def _read(self, images: Tensor) -> list[Tensor]:
        image, found = (images.float().expand(-1, 3, -1, -1) - self.shift) / self.scale, []
        for layer in self.features:
            image = layer(image)
            if isinstance(layer, nn.ReLU):
                found.append(image)
        return [found[index] for index in self.about.read]


def _layers(about: _Backbone) -> nn.Sequential:
    """The convolutions up to the last ReLU read, numbered as in the published file."""
    layers, entering = [], 3
    for layer in about.layers:
        if layer == "pool":
            layers.append(nn.MaxPool2d(about.pool_size, 2))
            continue
        width, size, stride, padding = layer
        layers += [nn.Conv2d(entering, width, size, stride, padding), nn.ReLU()]
        entering = width
    return nn.Sequential(*layers)


def _packaged(backbone: str) -> Path | None:
    """The learned weights inside the package ``lpips``, found without running it."""
    package = find_spec("lpips")
    return None if package is None else Path(package.origin).parent / "weights" / "v0.1" / f"{backbone}.pth"


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + _TINY)
