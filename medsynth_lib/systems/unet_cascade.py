"""U-Net regression in one or more stages: paired image translation without a GAN (CT→PET in the course)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.errors import MedSynthError
from medsynth_lib.losses.reconstruction import l2
from medsynth_lib.networks.ronneberger import RonnebergerCascade
from medsynth_lib.systems.base import System


@dataclass(frozen=True)
class UNetCascadeConfig:
    """The CT→PET U-Net of 001: one stage of "approximately 50 million" parameters, MSE, Adam with L2 regularisation.

    ``stages`` is 1 to 6 in 001; ``norm`` and ``output`` are those of ``RonnebergerUNet``. ``stage_weights`` are
    w_1 … w_K, one for each stage; empty means 1 for all. A weight of 0 leaves a stage's own loss out; it still learns
    through the stages after it, so the last one's must not be 0.
    """

    source_channels: int = 1
    target_channels: int = 1
    stages: int = 1
    generator_channels: int = 80
    depth: int = 5
    norm: str = "none"
    output: str = "clip"
    stage_weights: tuple[float, ...] = ()
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-3


class UNetCascade(System):
    """U-Nets in a row, each corrected by its own squared error: ŷ_k = U_k(x ‖ ŷ_{k-1}).

    Generator: Σ_k w_k E(ŷ_k − y)², with x = ``batch.source``, y = ``batch.target``, w = ``config.stage_weights``.
    Optimizer: Adam on that plus ½ λ |θ|², λ = ``config.weight_decay``.
    Source: 001 §3–4 (one stage, MSE, Adam 1e-3, weight decay 1e-3). A loss on every stage is ours: 001 says nothing of
    it, and without one the early stages of a deep cascade learn through all later ones (Lee et al. 2015, deep
    supervision).

    001 names no output activation. Every stage clips to [-1, 1] (``output="clip"``): the window's lower end is air,
    most of every slice, and a clipped output is exactly -1 there. A linear one (``output="linear"``, clipped by
    ``translate`` alone) keeps noise of its own in the air; a tanh, which we tried and left out, reaches -1 only at
    infinity. The gradient passes as if nothing were clipped (``Clip``): no pixel is lost beyond the window.
    """

    name = "unet_cascade"

    def __init__(self, config: UNetCascadeConfig | None = None):
        config = config or UNetCascadeConfig()
        super().__init__(config)
        self.generator = RonnebergerCascade(
            config.source_channels,
            config.target_channels,
            stages=config.stages,
            base_channels=config.generator_channels,
            depth=config.depth,
            norm=config.norm,
            output=config.output,
        )
        self.stage_weights = config.stage_weights or (1.0,) * config.stages
        if len(self.stage_weights) != config.stages or not self.stage_weights[-1] > 0 or min(self.stage_weights) < 0:
            raise MedSynthError(
                "the stage weights do not fit the stages",
                where="stage_weights",
                rule=f"{config.stages} weights, none negative, the last above 0",
                seen=self.stage_weights,
            )

    def parts(self) -> dict[str, tuple[torch.nn.Module, ...]]:
        return {"generator": (self.generator,)}

    def optimizer(self, name: str, *, fused: bool = True) -> torch.optim.Optimizer:
        """Adam with L2 regularisation: λθ joins the gradient, before Adam divides it by its size (not AdamW)."""
        config = self.config
        return torch.optim.Adam(
            self.generator.parameters(),
            config.learning_rate,
            config.betas,
            weight_decay=config.weight_decay,
            fused=fused,
        )

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        stages = enumerate(zip(self.stage_weights, self.generator(batch.source), strict=True), start=1)
        yield (
            "generator",
            {f"stage_{number}": weight * l2(fake, batch.target) for number, (weight, fake) in stages if weight},
        )

    def translate(self, source: Tensor) -> Tensor:
        return self.translate_stages(source)[-1]

    def translate_stages(self, source: Tensor) -> list[Tensor]:
        """What every stage makes of ``source``, first to last, each ``(B, C, H, W)`` in [-1, 1]."""
        return [fake.clamp(-1, 1) for fake in self.generator(source)]
