"""One process or many: plain DistributedDataParallel under ``torchrun``."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from medsynth_lib.systems.base import System
from medsynth_lib.training.amp import choose_device


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


def anywhere(flag: bool, device: torch.device) -> bool:
    """True in every process as soon as ``flag`` is true in one, so that all stop after the same step."""
    if not dist.is_initialized():
        return flag
    raised = torch.tensor(int(flag), device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def join(device: torch.device) -> torch.device:
    """Join the process group that ``torchrun`` describes, if it does; returns this process' device."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return device
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    """Leave the process group, if any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def distribute(system: System, device: torch.device) -> dict[str, nn.Module]:
    """Wrap each trainable network of ``system`` so that gradients are averaged over processes.

    Returns the bare networks by name: their state is what a checkpoint holds. Buffers are not broadcast: that would
    overwrite batch-norm statistics between a discriminator's two forwards, which autograd refuses.
    """
    networks = {name: child for name, child in system.named_children() if any(True for _ in child.parameters())}
    if world_size() > 1:
        for name, network in networks.items():
            ids = [device.index] if device.type == "cuda" else None
            setattr(system, name, DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False))
    return networks
