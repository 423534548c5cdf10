"""What two processes under ``torchrun`` do for ``test_distributed.py``; each leaves what it ended with in OUT."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from medsynth_lib.networks.patchgan import PatchGAN
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig
from medsynth_lib.training import distributed
from medsynth_lib.training.state import local_state, shared_state
from medsynth_lib.training.trainer import Trainer
from tests.systems.contract import Interrupted, make_system, make_trainer


class WithoutBatchNorm(Pix2Pix):
    """Pix2pix in which no image sees its neighbours in the batch: a large batch is exactly two small ones."""

    def __init__(self):
        super().__init__(Pix2PixConfig(l1_weight=10.0, ssim_weight=3.0))
        layers = [nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh()]
        self.generator = nn.Sequential(*layers)
        self.discriminator = PatchGAN(2, base_channels=4, layers=2, norm="instance")


def one_step(batch_size: int) -> dict[str, torch.Tensor]:
    """The gradients of the first step, by parameter name (that of the bare networks)."""
    torch.manual_seed(0)
    trainer = make_trainer(WithoutBatchNorm(), batch_size=batch_size, steps=1)
    trainer.train()
    return {
        f"{name}.{key}": parameter.grad
        for name, network in trainer.networks.items()
        for key, parameter in network.named_parameters()
    }


def state(trainer: Trainer) -> dict[str, object]:
    return {"shared": shared_state(trainer), "local": local_state(trainer)}


def interrupt_first_process(progress) -> None:
    if progress.step == 3:  # callbacks are called on process 0 alone
        signal.raise_signal(signal.SIGINT)


def crash_before_step_4(trainer: Trainer) -> None:
    step = trainer.training_step

    def crash(batch):
        if trainer.step == 4:
            raise Interrupted
        return step(batch)

    trainer.training_step = crash
    try:
        trainer.train()
    except Interrupted:
        torch.rand(distributed.rank() + 1)


def main(out: Path) -> None:
    torch.set_num_threads(1)
    found = {"gradients": one_step(batch_size=2)}

    whole = make_trainer(make_system("pix2pix"), run=out / "whole", checkpoint_every=3)
    whole.train()
    found["whole"] = state(whole)

    crash_before_step_4(make_trainer(make_system("pix2pix"), run=out / "crashed", checkpoint_every=3))
    resumed = make_trainer(make_system("pix2pix"), run=out / "crashed", checkpoint_every=3)
    resumed.train()
    found["resumed"] = state(resumed)

    stopped = make_trainer(make_system("pix2pix"), run=out / "stopped", callbacks=[interrupt_first_process])
    stopped.train()
    found["stopped at"] = stopped.step
    continued = make_trainer(make_system("pix2pix"), run=out / "stopped")
    continued.train()
    found["continued"] = state(continued)

    torch.save(found, out / f"{os.environ['RANK']}.pt")
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
