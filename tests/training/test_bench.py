"""The benchmark compares the same graph: both loops reach the same weights."""

import copy
from dataclasses import replace

import torch

from medsynth_lib.data.datasets import Augmentation, PairedSlices
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig
from medsynth_lib.training.bench import bench, noise_store, reference_step
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.trainer import Trainer

CONFIG = Pix2PixConfig(generator_channels=4, depth=5, discriminator_channels=4, discriminator_layers=1, dropout=0.0)


def test_both_loops_train_alike_without_amp(tmp_path):
    data = PairedSlices(noise_store(tmp_path, 32, slices=8), augmentation=Augmentation())
    torch.manual_seed(0)
    ours = Pix2Pix(CONFIG).double()  # Adam's first step is a sign: float32 rounding of a zero gradient would show
    plain = copy.deepcopy(ours)
    trainer = Trainer(ours, data, TrainConfig(amp="off", device="cpu", ema=0.0))
    batch = data.batch(0, 4)
    batch = replace(batch, source=batch.source.double(), target=batch.target.double())
    trainer.training_step(batch)
    reference_step(plain, batch, {name: plain.optimizer(name, fused=False) for name in plain.parts()})
    for mine, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-9)


def test_bench_reports_what_it_ran():
    found = bench(profile_name="smoke", size=64, batch_size=2, rounds=1)
    assert found["ratio"] > 0
    assert found["images_per_second"] > 0
    assert (found["profile"], found["size"], found["batch_size"]) == ("smoke", 64, 2)
