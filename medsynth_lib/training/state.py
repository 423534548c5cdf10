"""What a trainer's state is: everything that decides the weights of the steps to come."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from medsynth_lib.errors import CheckpointError
from medsynth_lib.training import distributed

if TYPE_CHECKING:
    from medsynth_lib.training.trainer import Trainer

#: Settings that decide the weights a step leads to: a run cannot change them on the way.
BINDING = ("steps", "batch_size", "decay_from", "ema", "amp", "seed")


def identity(trainer: Trainer) -> dict[str, object]:
    """What must be the same for a run to go on: system and config, data, binding settings, number of processes."""
    training = {**asdict(trainer.config), "amp": trainer.amp}
    return {
        "system": trainer.system.name,
        "config": trainer.system.config_dict(),
        "data": trainer.about,
        "training": {key: training[key] for key in BINDING},
        "world_size": distributed.world_size(),
    }


def shared_state(trainer: Trainer) -> dict[str, object]:
    """State that all processes share. The learning rate and the data are functions of ``step``."""
    return {
        **identity(trainer),
        "step": trainer.step,
        "networks": {name: network.state_dict() for name, network in trainer.networks.items()},
        "average": {name: network.state_dict() for name, network in trainer.inference.networks().items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in trainer.optimizers.items()},
        "scaler": trainer.scaler.state_dict(),
    }


def local_state(trainer: Trainer) -> dict[str, object]:
    """State of this process alone: its random generators and its replay pools."""
    state = {
        "rng": torch.get_rng_state(),
        "pools": {name: pool.state() for name, pool in trainer.system.pools().items()},
    }
    if trainer.device.type == "cuda":
        state["cuda_rng"] = torch.cuda.get_rng_state(trainer.device)
    return state


def restore(trainer: Trainer, shared: dict, local: dict) -> None:
    """Put both states back.

    Raises:
        CheckpointError: the checkpoint is of another system, configuration or number of processes.
    """
    check_same_run(trainer, shared)
    try:
        _load_state(trainer, shared, local)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            "the checkpoint does not fit this version's networks",
            where=trainer.run,
            seen=str(error).splitlines()[0][:120],
            fix="go on with the version of MedSynth that wrote it, or use another run folder to start anew",
        ) from error


def _load_state(trainer: Trainer, shared: dict, local: dict) -> None:
    for name, network in trainer.networks.items():
        network.load_state_dict(shared["networks"][name])
    for name, network in trainer.inference.networks().items():
        network.load_state_dict(shared["average"][name])
    for name, optimizer in trainer.optimizers.items():
        optimizer.load_state_dict(shared["optimizers"][name])
    trainer.scaler.load_state_dict(shared["scaler"])
    trainer.step = shared["step"]
    for name, pool in trainer.system.pools().items():
        pool.load(local["pools"][name], trainer.device)
    torch.set_rng_state(local["rng"])
    if trainer.device.type == "cuda" and "cuda_rng" in local:  # a run may move from a CPU to a GPU
        torch.cuda.set_rng_state(local["cuda_rng"], trainer.device)


def check_same_run(trainer: Trainer, shared: dict) -> None:
    """Refuse a checkpoint whose ``identity`` is not this trainer's, naming what differs."""
    for key, now in identity(trainer).items():
        if shared.get(key) != now:
            then, now = _difference(shared.get(key), now)
            raise CheckpointError(
                f"this run was made with another {key}",
                where=trainer.run,
                rule=f"{then} in the checkpoint",
                seen=now,
                fix="use the same settings to go on, or another run folder to start anew",
            )


def _difference(then: object, now: object) -> tuple[str, str]:
    """Only what differs, for a message."""
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return str(then), str(now)
    keys = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    return tuple(", ".join(f"{key}={one.get(key)}" for key in keys) for one in (then, now))
