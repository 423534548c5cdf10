"""Spectral normalisation, where a network is asked for it."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def spectral(layer: nn.Module, enabled: bool = True) -> nn.Module:
    """``layer`` with its weight W divided by its largest singular value: ``W / σ(W)``, or as it is.

    σ is followed by one step of power iteration per training forward; its vectors are buffers and not parameters.
    Source: Miyato et al. 2018, equation 8 and algorithm 1.
    """
    return spectral_norm(layer) if enabled else layer
