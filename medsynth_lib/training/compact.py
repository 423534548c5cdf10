"""A model file of a quarter of its size: weights as 8-bit whole numbers with one scale per row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

#: ``<name>:scale`` stands beside a tensor ``<name>`` stored as whole numbers.
SCALE = ":scale"
#: Smaller tensors, and vectors such as biases and running statistics, stay as they are.
SMALLEST = 1024


def compact(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` with every large matrix or kernel ``w`` replaced by ``q`` (int8) and a scale ``s`` per first index.

    ``w[i] ≈ s[i] · q[i]``, ``s[i] = max |w[i]| / 127``: no weight moves by more than half of ``s[i]``.
    """
    stored: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel() >= SMALLEST:
            rows = tensor.float().flatten(1)
            scale = rows.abs().amax(1).div(127).clamp_min(torch.finfo(torch.float32).tiny)
            stored[key] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
            stored[key + SCALE] = scale
        else:
            stored[key] = tensor
    return stored


def expand(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that ``compact`` was given, up to its rounding, as float32; others pass unchanged.

    Raises:
        KeyError: a scale without its tensor.
    """
    tensors = {key: tensor for key, tensor in stored.items() if not key.endswith(SCALE)}
    for key in stored.keys() - tensors.keys():
        name = key.removesuffix(SCALE)
        rows = tensors[name].float().flatten(1) * stored[key][:, None]
        tensors[name] = rows.view(tensors[name].shape)
    return tensors
