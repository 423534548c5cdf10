"""Where half precision stops: losses and metrics are computed in float32 or wider, whatever autocast produced."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """``tensor`` in float32, or as it is where it is already float64; gradients flow back in the original type.

    A sum of 65,536 bfloat16 pixels keeps 8 bits, and a variance as E[x²] − E[x]² keeps none: what averages or subtracts
    close numbers starts with this.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
