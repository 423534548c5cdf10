"""Residual CycleGAN: contrast agent taken out and put in (CECT ↔ CT), with a third discriminator that judges pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.errors import TrainingError
from medsynth_lib.losses.adversarial import AdversarialLoss
from medsynth_lib.losses.reconstruction import l1, l2
from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.networks.ronneberger import RonnebergerUNet
from medsynth_lib.systems.base import System, frozen
from medsynth_lib.systems.replay_pool import ReplayPool


@dataclass(frozen=True)
class ResidualCycleGANConfig:
    """The residual CycleGAN of lecture 002: U-Nets that predict a change, three discriminators, LSGAN.

    ``residual=False`` lets the U-Nets draw the whole image. ``pair_discriminator=False`` leaves out D_C, and with it
    the only term that needs pairs. ``pair_weight`` λ3 adds (G(x) − y)² + (F(y) − x)², which is not the lecture's:
    where pairs are at hand it teaches sooner than D_C does. It is off by default. The lecture names λ1 and λ2
    (``cycle_weight`` and ``identity_weight``, each on its own scale) without values, and gives no widths, rates,
    norm or replay pool: these are CycleGAN's (Zhu et al. 2017) with the original U-Net (Ronneberger et al. 2015).
    """

    source_channels: int = 1
    target_channels: int = 1
    generator_channels: int = 64
    depth: int = 5
    discriminator_channels: int = 64
    discriminator_layers: int = 3
    discriminator_norm: str = "instance"
    residual: bool = True
    pair_discriminator: bool = True
    adversarial: str = "lsgan"
    cycle_weight: float = 10.0
    identity_weight: float = 5.0
    pair_weight: float = 0.0
    pool_size: int = 50
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    def __post_init__(self):
        if (self.residual or self.identity_weight) and self.source_channels != self.target_channels:
            raise TrainingError(
                "a change is added to the image, and the identity term shows each generator its own output's modality",
                rule="as many source as target channels, or residual=False and identity_weight 0",
                seen=f"{self.source_channels} and {self.target_channels}",
            )


class Residual(nn.Module):
    """``x + f(x)``: the network says what changes, and what it says nothing about stays. Not clipped."""

    def __init__(self, change: nn.Module):
        super().__init__()
        self.change = change

    def forward(self, image: Tensor) -> Tensor:
        return image + self.change(image)


class ResidualCycleGAN(System):
    """Two generators that change as little as they can, between two judges of images and one of pairs.

    With x = ``batch.source`` (CECT), y = ``batch.target`` (CT), the generators G(x) = x + g(x) (fake CT) and
    F(y) = y + f(y) (fake CECT) as ``to_target`` and ``to_source``, and ``config.adversarial`` LSGAN:

    * generators: [D_y(G(x)) − 1]² + [D_x(F(y)) − 1]² + [D_C(x, G(x)) − 1]² + [D_C(F(y), y) − 1]²
      + λ1 (|F(G(x)) − x| + |G(F(y)) − y|) + λ2 (|F(x) − x| + |G(y) − y|) + λ3 E[(G(x) − y)² + (F(y) − x)²];
    * D_x and D_y: ½ [D(real) − 1]² + ½ D(fake)² each;
    * D_C: ½ [D_C(x, y) − 1]² + ½ · ½ [D_C(x, G(x))² + D_C(F(y), y)²].

    D_C is shown real pairs, so with ``config.pair_discriminator`` source and target must show the same slice; no other
    term needs that. Fakes come to the discriminators through a replay pool each.

    x + g(x) may leave [-1, 1]. Only ``translate`` clips it: clipped in training, a pixel beyond the
    window's end would get no gradient and never come back. Unclipped, the discriminators, to which no real image shows
    such a value, push it back.

    Source: 002, "Training networks by solving the optimization problem". Its A is our source, B our target; its D_A,
    which it trains against G_AB, is our D_y. It gives no formula for L_GAN'(G_AB, G_BA, D_C): ours is its LSGAN on
    pairs, both kinds of fake pair together weighing as much as the real ones.
    """

    name = "residual_cyclegan"
    averaged = ("generators",)

    def __init__(self, config: ResidualCycleGANConfig | None = None):
        config = config or ResidualCycleGANConfig()
        super().__init__(config)
        source, target = config.source_channels, config.target_channels
        shape = {"base_channels": config.generator_channels, "depth": config.depth, "norm": "instance"}
        judge = {
            "base_channels": config.discriminator_channels,
            "layers": config.discriminator_layers,
            "norm": config.discriminator_norm,
        }
        self.to_target = RonnebergerUNet(source, target, **shape)
        self.to_source = RonnebergerUNet(target, source, **shape)
        if config.residual:
            for network in (self.to_target, self.to_source):
                network.head.weight.data.mul_(0.1)  # starts near the identity: little has to be unlearnt
            self.to_target, self.to_source = Residual(self.to_target), Residual(self.to_source)
        self.target_discriminator = PatchGAN(target, **judge)
        self.source_discriminator = PatchGAN(source, **judge)
        self.pair_discriminator = None
        if config.pair_discriminator:
            self.pair_discriminator = PatchGAN(source + target, **judge)
        self.adversarial = AdversarialLoss(config.adversarial)
        self.target_pool, self.source_pool = ReplayPool(config.pool_size), ReplayPool(config.pool_size)
        self.pair_pool = ReplayPool(config.pool_size)

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        judges = (self.target_discriminator, self.source_discriminator, self.pair_discriminator)
        return {
            "generators": (self.to_target, self.to_source),
            "discriminators": tuple(judge for judge in judges if judge is not None),
        }

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        source, target = batch.source, batch.target
        with frozen(*self.parts()["discriminators"]):
            fake_target, fake_source = self.to_target(source), self.to_source(target)
            yield "generators", self._generator_terms(source, target, fake_target, fake_source)

        yield "discriminators", self._discriminator_terms(source, target, fake_target.detach(), fake_source.detach())

    def _generator_terms(self, source: Tensor, target: Tensor, fake_target: Tensor, fake_source: Tensor) -> LossTerms:
        cycle, identity, fool = self.config.cycle_weight, self.config.identity_weight, self.adversarial.generator
        terms = {
            "target_adversarial": fool(self.target_discriminator(fake_target)),
            "source_adversarial": fool(self.source_discriminator(fake_source)),
        }
        if self.config.pair_weight:
            terms["target_l2"] = self.config.pair_weight * l2(fake_target, target)
            terms["source_l2"] = self.config.pair_weight * l2(fake_source, source)
        if self.pair_discriminator is not None:
            terms["target_pair"] = fool(self.pair_discriminator(_pairs(source, fake_target)))
            terms["source_pair"] = fool(self.pair_discriminator(_pairs(fake_source, target)))
        if cycle:
            terms["source_cycle"] = cycle * l1(self.to_source(fake_target), source)
            terms["target_cycle"] = cycle * l1(self.to_target(fake_source), target)
        if identity:
            terms["target_identity"] = identity * l1(self.to_target(target), target)
            terms["source_identity"] = identity * l1(self.to_source(source), source)
        return terms

    def _discriminator_terms(
        self, source: Tensor, target: Tensor, fake_target: Tensor, fake_source: Tensor
    ) -> LossTerms:
        shown = {
            "target": (self.target_discriminator, target, self.target_pool.query(fake_target)),
            "source": (self.source_discriminator, source, self.source_pool.query(fake_source)),
        }
        if self.pair_discriminator is not None:
            fakes = torch.cat([_pairs(source, fake_target), _pairs(fake_source, target)])
            shown["pair"] = self.pair_discriminator, _pairs(source, target), self.pair_pool.query(fakes)
        terms = {}
        for name, (judge, real, fake) in shown.items():
            found = self.adversarial.discriminator(judge(real), judge(fake))
            terms |= {f"{name}_{term}": loss for term, loss in found.items()}
        return terms

    def translate(self, source: Tensor) -> Tensor:
        return self.to_target(source).clamp(-1, 1)

    def translate_back(self, target: Tensor) -> Tensor:
        """The synthetic source of a (real or fake) target, ``(B, C, H, W)`` in [-1, 1]."""
        return self.to_source(target).clamp(-1, 1)


def _pairs(source: Tensor, target: Tensor) -> Tensor:
    """(source, target) as one image of their channels, as D_C sees it."""
    return torch.cat([source, target], dim=1)
