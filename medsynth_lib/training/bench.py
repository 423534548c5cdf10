"""What the fast paths buy: our training step beside a plain fp32 loop of the same networks, interleaved."""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.slices import BODY, SliceStore, storage_dtype, write_index
from medsynth_lib.systems.base import System
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles import Profile, profile
from medsynth_lib.training.run import build_system
from medsynth_lib.training.trainer import Trainer


def noise_store(folder: Path, size: int, slices: int = 64) -> SliceStore:
    """A slice store of noise: costs what a real one costs to read, window and augment."""
    generator = np.random.default_rng(0)
    images = {
        "PET": generator.uniform(0, 10, (slices, size, size)).astype(storage_dtype("PET")),
        "CT": generator.integers(-1000, 1000, (slices, size, size)).astype(storage_dtype("CT")),
        BODY: np.ones((slices, size, size), bool),
    }
    for modality, array in images.items():
        np.save(folder / f"{modality}.npy", array)
    patient = {
        "key": "noise",
        "split": "train",
        "start": 0,
        "stop": slices,
        "spacing_mm": [1.0, 1.0, 1.0],
        "z_mm": list(range(slices)),
        "windows": {modality: DEFAULT_WINDOWS[modality].to_dict() for modality in ("PET", "CT")},
        "problems": [],
    }
    settings = {"source": "PET", "target": "CT"}
    write_index(folder, [patient], modalities=["PET", "CT"], size=size, settings=settings, skipped=[], synthetic=True)
    return SliceStore.open(folder)


def reference_step(system: System, batch: Batch, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """The loop of a textbook: fp32, eager, default memory layout, plain Adam."""
    for name, terms in system.phases(batch, 0):
        optimizers[name].zero_grad()
        sum(terms.values()).backward()
        optimizers[name].step()


def bench(
    system: str = "pix2pix",
    *,
    profile_name: str = "paper",
    size: int = 256,
    batch_size: int = 4,
    rounds: int = 5,
    amp: str = "auto",
    device: str = "auto",
) -> dict[str, object]:
    """Images per second of both loops on the same graph, round by round, and the share of time data takes.

    Rounds alternate between the two, so that a noisy machine slows both; the ratio is the median of the rounds' ratios.
    """
    settings = TrainConfig(batch_size=batch_size, amp=amp, device=device, ema=0.0)
    chosen = replace(profile(system, profile_name), training=settings)
    with tempfile.TemporaryDirectory() as folder:
        data = PairedSlices(noise_store(Path(folder), size), augmentation=chosen.augmentation)
        return _compare(system, chosen, data, rounds) | {"profile": profile_name, "size": size}


def _compare(system: str, chosen: Profile, data: PairedSlices, rounds: int) -> dict[str, object]:
    batch_size = chosen.training.batch_size
    trainer = Trainer(build_system(system, chosen.system), data, chosen.training)
    plain = build_system(system, chosen.system).to(trainer.device).train()
    optimizers = {name: plain.optimizer(name, fused=False) for name in plain.parts()}
    batch = trainer.data.batch(0, batch_size)
    ours_batch, plain_batch = batch.to(trainer.device, trainer.layout), batch.to(trainer.device)
    seconds: dict[str, list[float]] = {"ours": [], "reference": [], "data": []}
    for index in range(rounds + 1):  # the first round warms up
        timed = {
            "reference": _seconds(lambda: reference_step(plain, plain_batch, optimizers), trainer.device),
            "ours": _seconds(lambda: trainer.training_step(ours_batch), trainer.device),
            "data": _seconds(lambda step=index: trainer.data.batch(step, batch_size), torch.device("cpu")),
        }
        for name, value in timed.items():
            if index:
                seconds[name].append(value)
    ratios = [slow / fast for slow, fast in zip(seconds["reference"], seconds["ours"], strict=True)]
    return {
        "system": system,
        "batch_size": batch_size,
        "amp": trainer.amp,
        "device": device_name(trainer.device),
        "torch": torch.__version__,
        "images_per_second": batch_size / statistics.median(seconds["ours"]),
        "reference_images_per_second": batch_size / statistics.median(seconds["reference"]),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "data_share": statistics.median(seconds["data"]) / statistics.median(seconds["ours"]),
        "config": asdict(chosen.system),
    }


def device_name(device: torch.device) -> str:
    """What it ran on, for a table: the GPU's name, or the CPU's architecture and thread count."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
