"""Pix2pix: paired image translation with a conditional GAN (PET→CT in the course)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.losses.adversarial import AdversarialLoss
from medsynth_lib.losses.reconstruction import gradient_difference, l1, ssim_loss
from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.networks.unet import UNetGenerator
from medsynth_lib.systems.base import System, frozen
from medsynth_lib.systems.replay_pool import ReplayPool


@dataclass(frozen=True)
class Pix2PixConfig:
    """Pix2pix as in Isola et al. 2017, with the SSIM term of PET→CT report 000 §4.1.

    The defaults are the paper's networks at 256x256. A weight of 0 leaves a term out.
    """

    source_channels: int = 1
    target_channels: int = 1
    generator_channels: int = 64
    depth: int = 8
    dropout: float = 0.5
    discriminator_channels: int = 64
    discriminator_layers: int = 3
    adversarial: str = "bce"
    adversarial_weight: float = 1.0
    l1_weight: float = 100.0
    ssim_weight: float = 0.0
    gradient_weight: float = 0.0
    pool_size: int = 0
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class Pix2Pix(System):
    """A U-Net generator that must fool a PatchGAN shown (source, target) pairs, and stay close to the target.

    Discriminator: ½ [ℓ(D(x, y), real) + ℓ(D(x, G(x)), fake)].
    Generator: w_adv ℓ(D(x, G(x)), real) + λ_L1 |y − G(x)| + λ_SSIM (1 − SSIM(y, G(x))) + λ_GD GD(y, G(x)),
    with x = ``batch.source``, y = ``batch.target``; ℓ is ``config.adversarial``. One generator forward serves both.
    Source: Isola et al. 2017, eq. 1–4; 000 §4.1–4.2 for the SSIM term.
    """

    name = "pix2pix"

    def __init__(self, config: Pix2PixConfig | None = None):
        config = config or Pix2PixConfig()
        super().__init__(config)
        self.generator = UNetGenerator(
            config.source_channels,
            config.target_channels,
            base_channels=config.generator_channels,
            depth=config.depth,
            dropout=config.dropout,
        )
        self.discriminator = PatchGAN(
            config.source_channels + config.target_channels,
            base_channels=config.discriminator_channels,
            layers=config.discriminator_layers,
        )
        self.adversarial = AdversarialLoss(config.adversarial)
        self.pool = ReplayPool(config.pool_size)

    def parts(self) -> dict[str, tuple[torch.nn.Module, ...]]:
        return {"discriminator": (self.discriminator,), "generator": (self.generator,)}

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        source, target = batch.source, batch.target
        fake_target = self.generator(source)

        if self.config.adversarial_weight:
            shown = self.pool.query(torch.cat([source, fake_target.detach()], dim=1))
            real_logits = self.discriminator(torch.cat([source, target], dim=1))
            yield "discriminator", self.adversarial.discriminator(real_logits, self.discriminator(shown))

        with frozen(self.discriminator):
            yield "generator", self._generator_terms(source, target, fake_target)

    def _generator_terms(self, source: Tensor, target: Tensor, fake_target: Tensor) -> LossTerms:
        config, terms = self.config, {}
        if config.adversarial_weight:
            logits = self.discriminator(torch.cat([source, fake_target], dim=1))
            terms["adversarial"] = config.adversarial_weight * self.adversarial.generator(logits)
        if config.l1_weight:
            terms["l1"] = config.l1_weight * l1(fake_target, target)
        if config.ssim_weight:
            terms["ssim"] = config.ssim_weight * ssim_loss(fake_target, target)
        if config.gradient_weight:
            terms["gradient"] = config.gradient_weight * gradient_difference(fake_target, target)
        return terms

    def translate(self, source: Tensor) -> Tensor:
        return self.generator(source)
