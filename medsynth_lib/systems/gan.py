"""Generative adversarial networks that start from noise: points in the plane (toy GAN) and CT slices (DCGAN)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.losses.adversarial import AdversarialLoss
from medsynth_lib.networks.dcgan import DCGANDiscriminator, DCGANGenerator, side
from medsynth_lib.networks.perceptron import Perceptron
from medsynth_lib.systems.base import System, frozen


class GAN(System):
    """A generator of noise that must fool a discriminator which is shown real and generated items.

    min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 − D(G(z)))], with x = ``batch.target`` and z ~ N(0, 1).
    Discriminator: ½ [ℓ(D(x), real) + ℓ(D(G(z)), fake)]. Generator: ℓ(D(G(z)), real), or −ℓ(D(G(z)), fake) for
    ``adversarial="minimax"``. With p the density of x and q that of G(z), the best discriminator is p / (p + q), and
    against it V = −log 4 + 2 JSD(p ‖ q): at q = p our discriminator's loss, −V/2, is log 2
    (``medsynth_lib.metrics.divergence``).
    Source: Goodfellow et al. 2014, algorithm 1 with k = 1, proposition 1 and theorem 1. Where we depart from it: one
    draw of noise serves both phases of a step, as in most code since.

    A subclass builds ``generator`` and ``discriminator``; its config has ``noise``, ``adversarial``, ``learning_rate``
    and ``betas``. ``batch.source`` is never looked at.
    """

    conditional: ClassVar[bool] = False
    generator: nn.Module
    discriminator: nn.Module

    def __init__(self, config: ToyGANConfig | DCGANConfig):
        super().__init__(config)
        self.adversarial = AdversarialLoss(config.adversarial)

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        return {"discriminator": (self.discriminator,), "generator": (self.generator,)}

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        real = batch.target
        fake = self.generator(self.noise(len(real)))

        yield (
            "discriminator",
            self.adversarial.discriminator(self.discriminator(real), self.discriminator(fake.detach())),
        )

        with frozen(self.discriminator):
            yield "generator", {"adversarial": self.adversarial.generator(self.discriminator(fake))}

    def noise(self, count: int, seed: int | None = None) -> Tensor:
        """``(count, noise)`` numbers ~ N(0, 1); with a ``seed``, the same on every device and at every call.

        Without one they come from torch's own generator, whose state a checkpoint keeps.
        """
        device, shape = next(self.generator.parameters()).device, (count, self.config.noise)
        if seed is None:
            return torch.randn(shape, device=device)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)

    def generate(self, count: int, seed: int | None = None) -> Tensor:
        """``count`` new items in [-1, 1], shaped as ``batch.target``; the same ones for the same ``seed``."""
        return self.generator(self.noise(count, seed))

    def translate(self, source: Tensor) -> Tensor:
        """One new item for each item of ``source``, which has no say in how it looks."""
        return self.generate(len(source))


@dataclass(frozen=True)
class ToyGANConfig:
    """Two perceptrons for points in the plane; ``adversarial`` is ``bce`` (non-saturating) or ``minimax``.

    The discriminator learns faster, so that it stays near the best one, which the theory is about: with equal rates the
    generator runs ahead of it, and can jump with all its points from mode to mode.
    """

    noise: int = 2
    width: int = 128
    layers: int = 2
    adversarial: str = "bce"
    learning_rate: float = 1e-3
    discriminator_learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.5, 0.999)


class ToyGAN(GAN):
    """A GAN of points ``(B, 2, 1, 1)``, on which mode collapse and vanishing gradients can be watched.

    Source: the ring of Gaussians of Metz et al. 2017 (unrolled GAN), §3.1.
    """

    name = "toy_gan"

    def __init__(self, config: ToyGANConfig | None = None):
        config = config or ToyGANConfig()
        super().__init__(config)
        size = {"width": config.width, "layers": config.layers}
        self.generator = Perceptron(config.noise, 2, bounded=True, **size)
        self.discriminator = Perceptron(2, 1, slope=0.2, **size)

    def shapes(self, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (1, 1, 1), (2, 1, 1)


@dataclass(frozen=True)
class DCGANConfig:
    """DCGAN as in Radford et al. 2016, at 64x64; ``depth=5`` makes it 128x128."""

    target_channels: int = 1
    noise: int = 100
    generator_channels: int = 128
    discriminator_channels: int = 128
    depth: int = 4
    kernel: int = 5
    adversarial: str = "bce"
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class DCGAN(GAN):
    """A convolutional GAN of whole images: those of ``batch.target``.

    Source: Radford, Metz, Chintala 2016. Where we depart from it: noise is normal, theirs uniform in [-1, 1].
    """

    name = "dcgan"

    def __init__(self, config: DCGANConfig | None = None):
        config = config or DCGANConfig()
        super().__init__(config)
        size = {"depth": config.depth, "kernel": config.kernel}
        self.generator = DCGANGenerator(
            config.target_channels, noise=config.noise, base_channels=config.generator_channels, **size
        )
        self.discriminator = DCGANDiscriminator(
            config.target_channels, base_channels=config.discriminator_channels, **size
        )

    def shapes(self, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape = (self.config.target_channels, side(self.config.depth), side(self.config.depth))
        return shape, shape
