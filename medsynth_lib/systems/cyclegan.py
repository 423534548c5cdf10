"""CycleGAN: image translation without pairs (MR→CT in the course)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.errors import TrainingError
from medsynth_lib.losses.adversarial import AdversarialLoss
from medsynth_lib.losses.reconstruction import l1
from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.networks.resnet import ResNetGenerator
from medsynth_lib.systems.base import System, frozen
from medsynth_lib.systems.replay_pool import ReplayPool


@dataclass(frozen=True)
class CycleGANConfig:
    """CycleGAN as in Zhu et al. 2017, for grey images; the defaults are the paper's networks at 256x256.

    ``identity_weight`` is relative to ``cycle_weight``, as in the authors' code; 0 leaves the term out, and its two
    forwards with it. ``learning_rate`` is the generators'.
    """

    source_channels: int = 1
    target_channels: int = 1
    generator_channels: int = 64
    blocks: int = 9
    discriminator_channels: int = 64
    discriminator_layers: int = 3
    discriminator_norm: str = "instance"
    adversarial: str = "lsgan"
    cycle_weight: float = 10.0
    identity_weight: float = 0.5
    pool_size: int = 50
    learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    def __post_init__(self):
        if self.identity_weight and self.source_channels != self.target_channels:
            raise TrainingError(
                "the identity term shows each generator an image of its own output's modality",
                rule="as many source as target channels, or identity_weight 0",
                seen=f"{self.source_channels} and {self.target_channels}",
            )


class CycleGAN(System):
    """Two generators that undo each other, each before a PatchGAN that knows real images of its modality.

    With x = ``batch.source`` and y = ``batch.target``, which need not show the same patient, G = ``to_target``,
    F = ``to_source``, and ℓ of ``config.adversarial`` (LSGAN: (D − 1)² for real, D² for fake):

    Generators: ℓ(D_y(G(x)), real) + ℓ(D_x(F(y)), real)
    + λ [|F(G(x)) − x| + |G(F(y)) − y|] + λ·λ_id [|G(y) − y| + |F(x) − x|].
    Discriminators: ½ [ℓ(D_y(y), real) + ℓ(D_y(G(x)), fake)] + ½ [ℓ(D_x(x), real) + ℓ(D_x(F(y)), fake)], the fakes
    from a replay pool per direction. One optimizer moves both generators, then another both discriminators.

    Source: 004 §IV eq. 1–2 and full objective, which are those of Zhu et al. 2017, §3; LSGAN, replay pool and λ = 10
    from its §4; identity term from its §5.2. 004 writes the log form of the adversarial loss; the paper's training, and
    so ours, uses least squares.
    """

    name = "cyclegan"
    averaged = ("generators",)

    def __init__(self, config: CycleGANConfig | None = None):
        config = config or CycleGANConfig()
        super().__init__(config)
        source, target = config.source_channels, config.target_channels
        shape = {"base_channels": config.generator_channels, "blocks": config.blocks}
        judge = {
            "base_channels": config.discriminator_channels,
            "layers": config.discriminator_layers,
            "norm": config.discriminator_norm,
        }
        self.to_target = ResNetGenerator(source, target, **shape)
        self.to_source = ResNetGenerator(target, source, **shape)
        self.target_discriminator = PatchGAN(target, **judge)
        self.source_discriminator = PatchGAN(source, **judge)
        self.adversarial = AdversarialLoss(config.adversarial)
        self.target_pool, self.source_pool = ReplayPool(config.pool_size), ReplayPool(config.pool_size)

    def parts(self) -> dict[str, tuple[torch.nn.Module, ...]]:
        return {
            "generators": (self.to_target, self.to_source),
            "discriminators": (self.target_discriminator, self.source_discriminator),
        }

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        source, target = batch.source, batch.target
        with frozen(self.target_discriminator, self.source_discriminator):
            fake_target, fake_source = self.to_target(source), self.to_source(target)
            yield "generators", self._generator_terms(source, target, fake_target, fake_source)

        shown_target = self.target_pool.query(fake_target.detach())
        shown_source = self.source_pool.query(fake_source.detach())
        on_target = self._judged(self.target_discriminator, target, shown_target)
        on_source = self._judged(self.source_discriminator, source, shown_source)
        yield (
            "discriminators",
            {f"target_{term}": loss for term, loss in on_target.items()}
            | {f"source_{term}": loss for term, loss in on_source.items()},
        )

    def _generator_terms(self, source: Tensor, target: Tensor, fake_target: Tensor, fake_source: Tensor) -> LossTerms:
        cycle, identity = self.config.cycle_weight, self.config.cycle_weight * self.config.identity_weight
        terms = {
            "target_adversarial": self.adversarial.generator(self.target_discriminator(fake_target)),
            "source_adversarial": self.adversarial.generator(self.source_discriminator(fake_source)),
        }
        if cycle:
            terms["source_cycle"] = cycle * l1(self.to_source(fake_target), source)
            terms["target_cycle"] = cycle * l1(self.to_target(fake_source), target)
        if identity:
            terms["target_identity"] = identity * l1(self.to_target(target), target)
            terms["source_identity"] = identity * l1(self.to_source(source), source)
        return terms

    def _judged(self, discriminator: PatchGAN, real: Tensor, fake: Tensor) -> LossTerms:
        return self.adversarial.discriminator(discriminator(real), discriminator(fake))

    def translate(self, source: Tensor) -> Tensor:
        return self.to_target(source)

    def translate_back(self, target: Tensor) -> Tensor:
        """The synthetic source of a (real or fake) target, ``(B, C, H, W)`` in [-1, 1]."""
        return self.to_source(target)


class CycleSensitivity(NamedTuple):
    """Mean |F(G(x)) − x| as it is, and with noise on G(x): what ``cycle_sensitivity`` measures, in [-1, 1] units."""

    clean: float
    noisy: float

    @property
    def ratio(self) -> float:
        """How many times worse the way back becomes: 1 for a system that hides nothing."""
        return self.noisy / self.clean


@torch.no_grad()
def cycle_sensitivity(
    system: CycleGAN, source: Tensor, noise_sd: float, generator: torch.Generator | None = None
) -> CycleSensitivity:
    """How much of the way back hangs on details of the fake too faint to see (steganography).

    ``clean = E|F(G(x)) − x|`` and ``noisy = E|F(clip(G(x) + σ n)) − x|`` with n ~ N(0, 1), σ = ``noise_sd``: a cycle
    loss is also satisfied by hiding the source's own grain in the fake at low amplitude, and a little noise then
    destroys what was hidden, while it hardly changes what a reader sees. Compare σ with the modality's own noise: 0.01
    is 10 HU in a window 2000 HU wide.

    Source: Chu, Zhmoginov, Sandler 2017, "CycleGAN, a master of steganography", §4.

    Args:
        system: one with ``translate`` and ``translate_back``, in eval mode.
        source: real sources ``(B, C, H, W)`` in [-1, 1].
        noise_sd: sd of the noise, in the same unit.
        generator: of the noise; torch's own where none is given.
    """
    fake_target = system.translate(source)
    noise = torch.randn(fake_target.shape, generator=generator).to(fake_target)
    noisy = (fake_target + noise_sd * noise).clamp(-1, 1)
    ways_back = (float(l1(system.translate_back(fake), source)) for fake in (fake_target, noisy))
    return CycleSensitivity(*ways_back)
