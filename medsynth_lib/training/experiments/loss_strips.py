"""The same few slices under different losses: real, short trainings that lesson 02 lays side by side.

``python -m medsynth_lib.training.experiments.loss_strips`` makes the lesson's file: one training for each of ``TERMS``
on the phantom, at 64 x 64 a minute each; ``--size 128`` for larger pictures.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import InputError
from medsynth_lib.phantom.cohort import default_cohort
from medsynth_lib.systems.base import System
from medsynth_lib.training.evaluate import evaluate
from medsynth_lib.training.log import ProgressBar
from medsynth_lib.training.profiles import Profile, profile
from medsynth_lib.training.run import make_trainer

#: What the lesson compares: label → weights of pix2pix' loss.
TERMS = {
    "adversarial only": {"adversarial_weight": 1.0, "l1_weight": 0.0, "ssim_weight": 0.0},
    "L1 only": {"adversarial_weight": 0.0, "l1_weight": 100.0, "ssim_weight": 0.0},
    "adversarial + 100 L1": {"adversarial_weight": 1.0, "l1_weight": 100.0, "ssim_weight": 0.0},
}
STEPS, SIZE, SLICES = 600, 64, 4
_COMMAND = "python -m medsynth_lib.training.experiments.loss_strips"


@dataclass(frozen=True)
class LossStrips:
    """Test slices ``(N, H, W)`` in physical units, each method's version of them, and scores over all test slices.

    ``scores`` maps a method to ``mae``, ``psnr``, ``ssim`` (``evaluate``, mean over patients) and ``edges``
    (``edge_ratio``). ``about`` says what was trained, on what.
    """

    source: np.ndarray
    target: np.ndarray
    fakes: Mapping[str, np.ndarray]
    scores: Mapping[str, Mapping[str, float]]
    about: Mapping[str, object]

    def save(self, path: str | Path) -> None:
        """One compressed ``.npz``: PET to 0.01 SUV, CT to 4 HU, for a small file."""
        words = json.dumps({"labels": list(self.fakes), "scores": self.scores, "about": self.about})
        fakes = np.stack([_coarse(fake) for fake in self.fakes.values()])
        source = np.round(100 * self.source).astype(np.int16)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary, source=source, target=_coarse(self.target), fakes=fakes, words=np.array(words)
            )

    @classmethod
    def load(cls, path: str | Path) -> LossStrips:
        """What ``save`` wrote.

        Raises:
            InputError: no such file, or another one.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                words = json.loads(str(file["words"]))
                fakes = dict(zip(words["labels"], _fine(file["fakes"]), strict=True))
                source, target = file["source"].astype(np.float32) / 100, _fine(file["target"])
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
            raise InputError("no strips can be read", where=path, fix=f"make them: {_COMMAND}") from error
        return cls(source, target, fakes, words["scores"], words["about"])


def make_strips(
    work: str | Path, steps: int = STEPS, size: int = SIZE, seed: int = 0, *, cohort: str | Path | None = None
) -> LossStrips:
    """Train pix2pix PET→CT on a phantom once for each of ``TERMS``, and keep some test slices.

    Args:
        cohort: by default that of the lessons.
        work: folder for the slice store and the runs; a run that was interrupted goes on there.
        steps: of each training.
        size: side of the slices, a power of 2; the generator halves it down to 1x1.
    """
    work, base = Path(work), _profile(steps, size, seed)
    config = PrepareConfig(source="PET", target="CT", size=size)
    store = prepare(cohort or default_cohort(), work / f"store-{size}", config)
    fakes, scores = {}, {}
    for label, weights in TERMS.items():
        run = work / "-".join(["run", *label.split(), str(size), str(steps), str(seed)])
        chosen = replace(base, system=replace(base.system, **weights))
        trainer = make_trainer("pix2pix", store, chosen, run, callbacks=[ProgressBar()])
        system = trainer.train()
        fakes[label], scores[label] = _shown(system, store), score(system, store)
    slices, patients = _indices(store), len(store.split("test"))
    about = {"data": "phantom", "patients": patients, "size": size, "steps": steps, "seed": seed, "amp": trainer.amp}
    return LossStrips(store["PET"][slices], store["CT"][slices].astype(np.float32), fakes, scores, about)


def _profile(steps: int, size: int, seed: int) -> Profile:
    """The lesson profile, narrower: it need not be good, only the same for every loss."""
    found = profile("pix2pix", "lesson", steps=steps, seed=seed, batch_size=4)
    narrow = {"generator_channels": 16, "discriminator_channels": 16, "discriminator_layers": 2}
    return replace(found, size=size, system=replace(found.system, depth=int(math.log2(size)), **narrow))


@torch.no_grad()
def score(system: System, store: SliceStore) -> dict[str, float]:
    """``mae``, ``psnr``, ``ssim`` over the test patients, in HU, and ``edges``."""
    found = evaluate({"it": system.translate}, store, with_baselines=False, metrics=("mae", "psnr", "ssim"))
    ratios = []
    for batch in PairedSlices(store, "test").in_order():
        fake = system.translate(batch.source.to(next(system.parameters()).device)).float().cpu()
        ratios.append(edge_ratio(fake, batch.target, batch.body))
    scores = {name: found.summaries["it"][name].mean for name in ("mae", "psnr", "ssim")}
    return {**scores, "edges": float(np.mean(ratios))}


def edge_ratio(fake: Tensor, target: Tensor, body: Tensor) -> float:
    """How strong the edges of ``fake`` are, relative to those of ``target``: Σ|∇ŷ| / Σ|∇y| over the body.

    ∇ is the difference of neighbouring pixels, down and to the right. 1: as sharp, or as grainy, as the real image;
    below 1: blurred. It does not ask whether an edge is in its place. Shapes ``(B, 1, H, W)``.
    """
    inside = body[..., 1:, 1:]

    def strength(image: Tensor) -> Tensor:
        down, right = image.diff(dim=-2)[..., 1:], image.diff(dim=-1)[..., 1:, :]
        return (down.abs() + right.abs())[inside].sum()

    return float(strength(fake) / strength(target))


@torch.no_grad()
def _shown(system: System, store: SliceStore) -> np.ndarray:
    data = PairedSlices(store, "test")
    batches = torch.cat([batch.source for batch in data.in_order()])
    chosen = batches[[int(np.flatnonzero(data.indices == index)[0]) for index in _indices(store)]]
    fake = system.translate(chosen.to(next(system.parameters()).device)).float().cpu().clamp(-1, 1)
    return store.window("CT").decode(fake)[:, 0].numpy()


def _indices(store: SliceStore) -> np.ndarray:
    """Evenly spaced slices of the first test patient, without the ends."""
    patient = store.split("test")[0]
    return np.linspace(patient.start, patient.stop - 1, SLICES + 2).astype(int)[1:-1]


def _coarse(hu: np.ndarray) -> np.ndarray:
    return np.round(hu / 4).astype(np.int16)


def _fine(stored: np.ndarray) -> np.ndarray:
    return stored.astype(np.float32) * 4


def main() -> None:
    """Make the file of lesson 02."""
    parser = argparse.ArgumentParser(description="Train pix2pix with different losses and keep some test slices.")
    parser.add_argument("--out", type=Path, default=Path("notebooks/expected/02_pix2pix_pet_to_ct/loss_terms.npz"))
    parser.add_argument("--work", type=Path, default=Path("runs/loss_strips"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--size", type=int, default=SIZE)
    chosen = parser.parse_args()
    make_strips(chosen.work, chosen.steps, chosen.size).save(chosen.out)


if __name__ == "__main__":
    main()
