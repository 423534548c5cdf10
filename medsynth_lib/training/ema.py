"""Averaged weights for inference, and batch-norm statistics that fit them."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from medsynth_lib.systems.base import System


class InferenceCopy:
    """The system as it is used after training: an exponential moving average of the weights, in eval mode.

    ``w̄ ← β_t w̄ + (1 - β_t) w`` with ``β_t = min(decay, (1 + t) / (10 + t))``, so early averages are not held back by
    the random start. ``decay=0`` copies the latest weights. A GAN's generator never settles, it circles: its average is
    steadier than any single moment (Yazıcı et al. 2019).

    Buffers are not averaged. Batch-norm statistics belong to the weights they were gathered under, and a running
    average over small, air-filled batches lags behind them; ``fit_batch_norm`` measures them anew for the averaged
    weights.

    What is not used for inference (discriminators, the segmentator) is not averaged: ``take_latest`` copies it.
    """

    def __init__(self, system: System, decay: float):
        self.system = copy.deepcopy(system).eval().requires_grad_(False)
        self.decay = decay
        others = [name for name in system.parts() if name not in system.averaged]
        self._others = [
            (copied, latest)
            for name in others
            for copied, latest in zip(self.system.parts()[name], system.parts()[name], strict=True)
        ]
        self._pairs = [
            (average, latest)
            for name in system.averaged
            for average, latest in zip(_parameters(self.system, name), _parameters(system, name), strict=True)
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the latest weights after training step ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, latest = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(averages, latest, 1 - decay)

    def take_latest(self) -> None:
        """Bring the networks that are not averaged up to date."""
        for copied, latest in self._others:
            copied.load_state_dict(latest.state_dict())

    def networks(self) -> dict[str, nn.Module]:
        """The networks used for inference, by attribute name."""
        owned = {id(network) for name in self.system.averaged for network in self.system.parts()[name]}
        return {name: child for name, child in self.system.named_children() if id(child) in owned}

    def fit_spectral_norm(self, iterations: int = 20) -> None:
        """Let spectral norm find the averaged weights' own singular vectors, which an average of vectors is not."""
        for network in self.networks().values():
            for module in network.modules():
                if parametrize.is_parametrized(module, "weight"):
                    module.parametrizations.train()
                    for _ in range(iterations):
                        _ = module.weight  # reading it in training mode is one power iteration
                    module.parametrizations.eval()

    def fit_batch_norm(self, sources: Iterable[Tensor]) -> None:
        """Measure every batch-norm mean and variance over ``sources`` with the averaged weights (Izmailov et al. 2018).

        Dropout stays off. Does nothing, and reads no source, for a system without batch norm.
        """
        norms = [
            module
            for network in self.networks().values()
            for module in network.modules()
            if isinstance(module, nn.BatchNorm2d)
        ]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average over all sources
            norm.train()
        with torch.no_grad():
            for source in sources:
                self.system.translate(source)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _parameters(system: System, name: str) -> list[Tensor]:
    return [parameter for network in system.parts()[name] for parameter in network.parameters()]
