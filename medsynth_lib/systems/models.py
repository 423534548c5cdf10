"""What each network costs at paper size, and which configurations reproduce a published count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medsynth_lib.conventions import Batch
from medsynth_lib.networks.oasis import OasisGenerator
from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.networks.resnet import ResNetGenerator
from medsynth_lib.networks.ronneberger import RonnebergerUNet
from medsynth_lib.networks.segmentator import Segmentator
from medsynth_lib.networks.unet import UNetGenerator
from medsynth_lib.networks.wavelet import WaveletGenerator
from medsynth_lib.networks.wavelet_discriminator import WaveletDiscriminator
from medsynth_lib.systems import SYSTEMS

#: What a network was called with: positional and named arguments.
Call = tuple[tuple[object, ...], dict[str, object]]


@dataclass(frozen=True)
class Reference:
    """A configuration whose parameter count is published, or was counted in public reference code.

    ``inputs``: the channels of each input image; noise is left to the network.
    """

    name: str
    source: str
    build: Callable[[], nn.Module]
    inputs: tuple[int, ...]
    parameters: int


_ISOLA, _ZHU = "Isola et al. 2017, authors' code", "Zhu et al. 2017, authors' code"
REFERENCES = (
    Reference("U-Net-256, 1→1 channels", _ISOLA, partial(UNetGenerator, 1, 1), (1,), 54_407_809),
    Reference("U-Net-256, 3→3 channels", _ISOLA, partial(UNetGenerator, 3, 3), (3,), 54_413_955),
    Reference("PatchGAN 70x70, 1+1 channels", _ISOLA, partial(PatchGAN, 2), (2,), 2_764_609),
    Reference("PatchGAN 70x70, 3+3 channels", _ISOLA, partial(PatchGAN, 6), (6,), 2_768_705),
    Reference("PatchGAN, instance norm, 1 channel", _ZHU, partial(PatchGAN, 1, norm="instance"), (1,), 2_762_689),
    Reference("PatchGAN, instance norm, 3 channels", _ZHU, partial(PatchGAN, 3, norm="instance"), (3,), 2_764_737),
    Reference("ResNet-9, 1 channel", _ZHU, partial(ResNetGenerator, 1, 1), (1,), 11_365_633),
    Reference("ResNet-9, 3 channels", _ZHU, partial(ResNetGenerator, 3, 3), (3,), 11_378_179),
    Reference(
        "U-Net, widths 64 to 1024, 3→3 channels",
        "Ronneberger et al. 2015, padded",
        partial(RonnebergerUNet, 3, 3),
        (3,),
        31_031_875,
    ),
    Reference(
        "U-Net, widths 80 to 1280, 3→3 channels",
        "001 §4: about 50 M, widths not given",
        partial(RonnebergerUNet, 3, 3, base_channels=80),
        (3,),
        48_484_563,
    ),
    Reference(
        "OASIS generator, 38 classes", "003 Table 3.1: 71.1 M", partial(OasisGenerator, 38, 3), (38,), 71_190_467
    ),
    Reference(
        "wavelet generator, 38 classes", "003 Table 3.1: 55.8 M", partial(WaveletGenerator, 38, 3), (38,), 55_803_884
    ),
    Reference("wavelet discriminator", "003 Table 3.1: 26.2 M", partial(WaveletDiscriminator, 3), (3,), 26_211_073),
    Reference("segmentator, 38 classes", "003 Table 3.1: 22.3 M", partial(Segmentator, 3, 38), (3,), 22_251_559),
)


def model_table(size: int = 256) -> list[dict[str, object]]:
    """One row per network of every system with its default (paper) config.

    ``gmac``: 10⁹ multiply-accumulates of one forward on one item: a ``size`` x ``size`` image, or what the system fixes
    (``input``: the shape of the network's first input). Computed on PyTorch's meta device: nothing is allocated or
    multiplied.
    """
    rows = []
    for name, (system_class, config_class) in SYSTEMS.items():
        with torch.device("meta"):
            system = system_class(config_class())
            batch = Batch(*(torch.empty(1, *shape) for shape in system.shapes(size)))
        for network, (inputs, named) in _network_calls(system, batch).items():
            child = system.get_submodule(network)
            row = {"system": name, "network": network, "input": "x".join(map(str, inputs[0].shape[1:]))}
            gmac = multiply_accumulates(child, *inputs, **named) / 1e9
            rows.append({**row, "parameters": parameter_count(child), "gmac": gmac})
    return rows


def reference_table(size: int = 256) -> list[dict[str, object]]:
    """Every ``REFERENCES`` configuration: the count ``expected``, ours, whether it ``matches``, and its ``gmac``."""
    rows = []
    for reference in REFERENCES:
        with torch.device("meta"):
            network = reference.build()
            inputs = [torch.empty(1, channels, size, size) for channels in reference.inputs]
            gmac = multiply_accumulates(network, *inputs) / 1e9
        parameters, expected = parameter_count(network), reference.parameters
        row = {"name": reference.name, "source": reference.source, "expected": expected}
        rows.append({**row, "parameters": parameters, "matches": parameters == expected, "gmac": gmac})
    return rows


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_accumulates(network: nn.Module, *inputs: object, **named: object) -> int:
    """Multiply-accumulates of one forward (a flop counter counts two for each)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(*inputs, **named)
    return counter.get_total_flops() // 2


def _network_calls(system: nn.Module, batch: Batch) -> dict[str, Call]:
    """How each network of the system is first called in one training step, with inputs of one item."""
    seen: dict[str, Call] = {}

    def remember(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple, named: dict) -> None:
            seen.setdefault(name, (tuple(map(_one_item, inputs)), {key: _one_item(one) for key, one in named.items()}))

        return hook

    networks = [(name, child) for name, child in system.named_children() if parameter_count(child)]
    hooks = [child.register_forward_pre_hook(remember(name), with_kwargs=True) for name, child in networks]
    with torch.device("meta"):
        for _, terms in system.phases(batch, 0):
            sum(terms.values())
    for hook in hooks:
        hook.remove()
    return {name: seen[name] for name, _ in networks if name in seen}


def _one_item(value: object) -> object:
    """A system may judge real and fake images in one batch: a row is for one."""
    return value[:1].detach() if isinstance(value, Tensor) else value
