"""Is what a student built the same network as the library's?"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from medsynth_lib.errors import MedSynthError


@torch.no_grad()
def check_equivalent(mine: nn.Module, library: nn.Module, *inputs: Tensor) -> str:
    """Compare two networks: tensor shapes in order, parameter count, and outputs with the same weights.

    The library's weights are copied into a copy of ``mine``, in order; both run in eval mode. Names may differ.

    Returns:
        One line that says what agrees.

    Raises:
        MedSynthError: the first difference, and where to look.
    """
    mine, library = copy.deepcopy(mine).eval(), copy.deepcopy(library).eval()
    own, theirs = list(mine.state_dict().items()), list(library.state_dict().items())
    for index, ((name, tensor), (their_name, their_tensor)) in enumerate(zip(own, theirs, strict=False)):
        if tensor.shape != their_tensor.shape:
            raise MedSynthError(
                f"tensor {index} has another shape",
                where=name,
                rule=f"{tuple(their_tensor.shape)} as in {their_name}",
                seen=tuple(tensor.shape),
            )
    if len(own) != len(theirs):
        raise MedSynthError(
            "the number of tensors differs", rule=len(theirs), seen=len(own), fix="a layer is missing or too many"
        )
    mine.load_state_dict({name: tensor for (name, _), (_, tensor) in zip(own, theirs, strict=True)})
    difference = float((mine(*inputs) - library(*inputs)).abs().max())
    if not difference <= 1e-5:
        raise MedSynthError(
            "same weights, other output",
            rule="largest difference at most 1e-5",
            seen=f"{difference:.2g}",
            fix="the layers are right: look at the order, activations and skips in forward",
        )
    count = sum(parameter.numel() for parameter in mine.parameters())
    return f"equivalent: {len(own)} tensors, {count:,} parameters, largest output difference {difference:.0e}"
