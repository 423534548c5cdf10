"""The benchmark compares the same graph: both loops reach the same weights, on the task of every system."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from medsynth_lib.cli import main
from medsynth_lib.data.datasets import Augmentation, PairedSlices
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig
from medsynth_lib.training.bench import IMAGE_SYSTEMS, bench, bench_table, noise_store, reference_step
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles import profile
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


@pytest.mark.parametrize("system", IMAGE_SYSTEMS)
def test_every_system_of_images_is_timed_on_its_own_task(system):
    found = bench(system, profile_name="smoke", size=64, batch_size=2, rounds=1)
    assert found["ratio"] > 0
    assert found["images_per_second"] > 0
    assert (found["system"], found["profile"], found["batch_size"]) == (system, "smoke", 2)
    assert found["size"] == 64
    assert len(found["ratios"]) == 1


def test_only_a_system_of_points_is_not_timed():
    assert set(SYSTEMS) - set(IMAGE_SYSTEMS) == {"toy_gan"}


@pytest.mark.parametrize(("source", "target"), [("LABELS", "MR"), ("MR", "CT"), ("CECT", "CT"), ("CT", "PET")])
def test_noise_fills_the_windows_of_any_task(tmp_path, source, target):
    store = noise_store(tmp_path, 32, slices=8, source=source, target=target, patients=2)
    assert len(store.split("train")) == 2
    for word in (source, target):
        encoded = store.patients[0].windows[word].encode(store[word].astype(float))
        assert encoded.min() < -0.95
        assert encoded.max() > 0.95
    if source == "LABELS":
        assert set(np.unique(store["LABELS"])) == set(range(int(DEFAULT_WINDOWS["LABELS"].high) + 1))


def test_command_prints_a_table_or_json(monkeypatch, capsys):
    found = bench(profile_name="smoke", size=64, batch_size=2, rounds=2)
    asked = []
    monkeypatch.setattr("medsynth_lib.training.bench.bench", lambda name, **options: asked.append(name) or found)
    assert main(["bench", "--system", "all"]) == 0
    assert capsys.readouterr().out.count("| pix2pix | 64² | 2 |") == len(IMAGE_SYSTEMS)
    assert tuple(asked) == IMAGE_SYSTEMS
    assert main(["bench", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["ratio"] == found["ratio"]
    assert f"{found['ratio']:.2f} ({min(found['ratios']):.2f} to {max(found['ratios']):.2f})" in bench_table([found])


def test_a_term_computed_now_and_then_falls_where_it_does_in_training(monkeypatch):
    steps, phases = [], Pix2Pix.phases
    monkeypatch.setattr(Pix2Pix, "phases", lambda self, batch, step: steps.append(step) or phases(self, batch, step))
    bench(profile_name="smoke", size=64, batch_size=2, rounds=2)
    assert steps == [0, 0, 1, 1, 2, 2]  # plain and ours; the first is the warm-up


def test_a_profile_keeps_its_own_layout(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "medsynth_lib.training.bench._compare", lambda system, chosen, store, rounds: seen.append(chosen.training) or {}
    )
    bench("cyclegan", profile_name="lesson", size=64)
    assert seen[0].channels_last == profile("cyclegan", "lesson").training.channels_last
