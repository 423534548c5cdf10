"""What the fast paths buy: our training step beside a plain fp32 loop of the same networks, interleaved."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.data.intensity import DEFAULT_WINDOWS, IntensityWindow
from medsynth_lib.data.slices import BODY, SliceStore, storage_dtype, write_index
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.systems.base import System
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.machine import device_name
from medsynth_lib.training.profiles import PROFILES, Profile, profile
from medsynth_lib.training.run import build_system, make_trainer

#: Systems of images, which is what the fast paths are for: two perceptrons of points have nothing to speed up.
IMAGE_SYSTEMS = tuple(name for name, sizes in PROFILES.items() if sizes["smoke"].points is None)
#: Slices per step where none are asked for: as many as two CPU cores take in seconds; elsewhere ``_BATCH_SIZE``.
BATCH_SIZES = {"cyclegan": 1, "dcgan": 16, "medusis": 1, "unet_cascade": 2}
_BATCH_SIZE = 4


def noise_store(
    folder: Path, size: int, slices: int = 64, *, source: str = "PET", target: str = "CT", patients: int = 1
) -> SliceStore:
    """A slice store of noise: costs what a real one costs to read, window and augment."""
    generator = np.random.default_rng(0)
    windows = {word: DEFAULT_WINDOWS.get(word, IntensityWindow(0.0, 1.0, "a.u.")) for word in (source, target)}
    for word, window in windows.items():
        values, dtype = generator.uniform(window.low, window.high, (slices, size, size)), storage_dtype(word)
        np.save(folder / f"{word}.npy", (np.rint(values) if dtype.kind in "iu" else values).astype(dtype))
    np.save(folder / f"{BODY}.npy", np.ones((slices, size, size), bool))
    described = {word: window.to_dict() for word, window in windows.items()}
    entries = [
        {
            **{"key": f"noise {start}", "split": "train", "start": start, "stop": start + slices // patients},
            **{"spacing_mm": [1.0, 1.0, 1.0], "z_mm": list(range(slices // patients)), "windows": described},
            "problems": [],
        }
        for start in range(0, slices, slices // patients)
    ]
    settings = {"source": source, "target": target}
    write_index(folder, entries, modalities=list(windows), size=size, settings=settings, skipped=[], synthetic=True)
    return SliceStore.open(folder)


def reference_step(system: System, batch: Batch, optimizers: dict[str, torch.optim.Optimizer], step: int = 0) -> None:
    """The loop of a textbook: fp32, eager, default memory layout, plain Adam."""
    for name, terms in system.phases(batch, step):
        optimizers[name].zero_grad()
        sum(terms.values()).backward()
        optimizers[name].step()


def bench(
    system: str = "pix2pix",
    *,
    profile_name: str = "paper",
    size: int = 256,
    batch_size: int | None = None,
    rounds: int = 5,
    amp: str = "auto",
    device: str = "auto",
) -> dict[str, object]:
    """Images per second of both loops on the same graph, round by round, and the share of time data takes.

    Rounds alternate between the two, so that a noisy machine slows both; the ratio is the median of the rounds' ratios.
    The warm-up is step 0 and the rounds are the steps after it, so a term that a system computes only now and then
    (R1) counts where it falls. A system that fixes its image size keeps it.
    """
    chosen = profile(system, profile_name)
    settings = TrainConfig(
        batch_size=batch_size or BATCH_SIZES.get(system, _BATCH_SIZE), amp=amp, device=device, ema=0.0
    )
    # What the profile says about speed stays; the rest of a recipe costs no time.
    settings = replace(settings, channels_last=chosen.training.channels_last, fused=chosen.training.fused)
    with torch.device("meta"):
        size = SYSTEMS[system][0](chosen.system).shapes(size)[1][-1]
    chosen = replace(chosen, training=settings)
    with tempfile.TemporaryDirectory() as folder:
        store = noise_store(Path(folder), size, source=chosen.source, target=chosen.target, patients=2)
        return _compare(system, chosen, store, rounds) | {"profile": profile_name, "size": size}


def _compare(system: str, chosen: Profile, store: SliceStore, rounds: int) -> dict[str, object]:
    batch_size = chosen.training.batch_size
    trainer = make_trainer(system, store, chosen)
    plain = build_system(system, chosen.system).to(trainer.device).train()
    optimizers = {name: plain.optimizer(name, fused=False) for name in plain.parts()}
    batch = trainer.data.batch(0, batch_size)
    ours_batch, plain_batch = batch.to(trainer.device, trainer.layout), batch.to(trainer.device)
    seconds: dict[str, list[float]] = {"ours": [], "reference": [], "data": []}
    for index in range(rounds + 1):  # the first round warms up
        trainer.step = index
        timed = {
            "reference": _seconds(
                lambda step=index: reference_step(plain, plain_batch, optimizers, step), trainer.device
            ),
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


def bench_table(results: Sequence[dict[str, object]]) -> str:
    """A Markdown table of several ``bench`` results, with what they ran on below it."""
    lines = [
        "| system | size | batch | AMP | ours, images/s | plain, images/s | ratio (range) | data, part of a step |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['system']} | {one['size']}² | {one['batch_size']} | {one['amp']} | {one['images_per_second']:.2f} "
        f"| {one['reference_images_per_second']:.2f} | {one['ratio']:.2f} ({min(one['ratios']):.2f} to "
        f"{max(one['ratios']):.2f}) | {one['data_share']:.1%} |"
        for one in results
    ]
    about = dict.fromkeys(f"{one['device']}, torch {one['torch']}, profile {one['profile']}" for one in results)
    return "\n".join([*lines, "", *about])


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
