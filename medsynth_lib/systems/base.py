"""What a system is: networks, who owns them, and the losses of each phase of a training step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import ClassVar

import torch
from torch import Tensor, nn

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.systems.replay_pool import ReplayPool


class System(nn.Module):
    """One way of synthesising images: a file that reads like its paper's algorithm box.

    A subclass builds its networks in ``__init__`` from a frozen config dataclass and says four things:

    * ``parts()``: optimizer name → the networks it owns (every parameter once);
    * ``optimizer(name)``: how those networks are optimised;
    * ``phases(batch, step)``: yields ``(optimizer name, {term: weighted loss})`` in update order. The trainer pulls one
      phase inside its own autocast region and steps that optimizer before pulling the next, so the code after a
      ``yield`` sees updated weights;
    * ``translate(source)``: the synthetic target, ``(B, C, H, W)`` in [-1, 1].
    """

    #: The word for this system on the command line and in checkpoints.
    name: ClassVar[str]
    #: Optimizers whose networks ``translate`` uses; their weights are averaged (EMA) for inference.
    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    #: Whether ``translate`` looks at its source; a GAN that starts from noise does not.
    conditional: ClassVar[bool] = True

    def __init__(self, config: object):
        super().__init__()
        self.config = config

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        raise NotImplementedError

    def optimizer(self, name: str, *, fused: bool = True) -> torch.optim.Optimizer:
        """Adam with the config's ``betas`` over the networks of ``parts()[name]``.

        At the config's ``<part>_learning_rate`` where it has one (``discriminator_learning_rate``, for a part
        ``discriminator`` or ``discriminators``), else its ``learning_rate``.
        """
        parameters = [parameter for network in self.parts()[name] for parameter in network.parameters()]
        rate = getattr(self.config, f"{name.removesuffix('s')}_learning_rate", self.config.learning_rate)
        return torch.optim.Adam(parameters, rate, self.config.betas, fused=fused)

    def phases(self, batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        raise NotImplementedError

    def translate(self, source: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def context(self) -> int:
        """How many neighbouring planes of the source it is shown as channels (``data.datasets.PairedSlices``)."""
        return getattr(self.config, "source_channels", 1)

    def shapes(self, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """``(C, H, W)`` of a source and of a target, for images of ``size`` x ``size``; some systems fix the size."""
        return (self.config.source_channels, size, size), (self.config.target_channels, size, size)

    def pools(self) -> dict[str, ReplayPool]:
        """Replay pools by attribute name: state beyond the weights, which a checkpoint must keep."""
        return {name: child for name, child in self.named_children() if isinstance(child, ReplayPool)}

    def config_dict(self) -> dict[str, object]:
        """The config as plain values, as a checkpoint stores it."""
        return asdict(self.config)


@contextlib.contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Let gradients flow through ``networks`` but not into their weights, while another network learns from them.

    Weights that were frozen before stay frozen after.
    """
    learning = [one for network in networks for one in network.parameters() if one.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
