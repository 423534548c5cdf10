"""What each network costs at paper size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medsynth_lib.conventions import Batch
from medsynth_lib.systems import SYSTEMS


def model_table(size: int = 256) -> list[dict[str, object]]:
    """One row per network of every system with its default (paper) config.

    ``gmac``: 10⁹ multiply-accumulates of one forward on one ``size`` x ``size`` image. Computed on PyTorch's meta
    device: nothing is allocated or multiplied.
    """
    rows = []
    for name, (system_class, config_class) in SYSTEMS.items():
        with torch.device("meta"):
            system = system_class(config_class())
            source, target = (torch.empty(1, *shape) for shape in system.shapes(size))
        inputs = _network_inputs(system, Batch(source, target))
        for network, child in system.named_children():
            if network in inputs:
                parameters = sum(parameter.numel() for parameter in child.parameters())
                gmac = multiply_accumulates(child, inputs[network]) / 1e9
                rows.append({"system": name, "network": network, "parameters": parameters, "gmac": gmac})
    return rows


def multiply_accumulates(network: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of one forward (a flop counter counts two for each)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image)
    return counter.get_total_flops() // 2


def _network_inputs(system: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The first input each network gets in one training step."""
    seen: dict[str, Tensor] = {}
    hooks = [
        child.register_forward_pre_hook(lambda _, inputs, name=name: seen.setdefault(name, inputs[0]) is None or None)
        for name, child in system.named_children()
    ]
    for _ in system.phases(batch, 0):
        pass
    for hook in hooks:
        hook.remove()
    return seen
