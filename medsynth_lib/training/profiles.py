"""The three sizes of every lesson: does it run, does it learn, the paper's recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.errors import TrainingError
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.systems.pix2pix import Pix2PixConfig
from medsynth_lib.training.config import TrainConfig


@dataclass(frozen=True)
class Profile:
    """A system's config, how it is trained, and the slice size it is meant for."""

    size: int
    system: object
    training: TrainConfig
    augmentation: Augmentation


#: System → profile name → Profile. ``smoke``: everything executes, in seconds. ``lesson``: it really learns on two CPU
#: cores in minutes. ``paper``: full width at 256x256, the paper's recipe, on a GPU.
PROFILES: dict[str, dict[str, Profile]] = {
    "pix2pix": {
        "smoke": Profile(
            64,
            Pix2PixConfig(
                generator_channels=8, depth=5, discriminator_channels=8, discriminator_layers=2, ssim_weight=100.0
            ),
            TrainConfig(steps=30, batch_size=4, log_every=5),
            Augmentation(),
        ),
        "lesson": Profile(
            128,
            # No dropout and a higher rate than the paper's: in minutes a small network lacks steps, not restraint.
            Pix2PixConfig(
                generator_channels=32,
                depth=7,
                dropout=0.0,
                discriminator_channels=32,
                ssim_weight=100.0,
                learning_rate=5e-4,
            ),
            TrainConfig(steps=1500, batch_size=8, checkpoint_every=250),
            Augmentation(rotation_deg=15.0, zoom=0.15, source_gain=0.15),
        ),
        # 000: 100 epochs + 100 of decay. 200 epochs of 400 slices in batches of 8; scale `steps` with the cohort.
        "paper": Profile(
            256,
            Pix2PixConfig(ssim_weight=100.0),
            TrainConfig(steps=10_000, batch_size=8, checkpoint_every=1000, log_every=50, ema=0.999),
            Augmentation(rotation_deg=10.0, zoom=0.0),
        ),
    }
}


def profile(system: str, name: str, **training: object) -> Profile:
    """The profile ``name`` of ``system``, with training settings replaced where given (``None`` leaves one alone).

    Raises:
        TrainingError: there is no such system or profile.
    """
    if system not in SYSTEMS:
        raise TrainingError("unknown system", rule=f"one of {', '.join(SYSTEMS)}", seen=system)
    found = PROFILES[system].get(name)
    if found is None:
        raise TrainingError("unknown profile", rule=f"one of {', '.join(PROFILES[system])}", seen=name)
    changes = {key: value for key, value in training.items() if value is not None}
    return replace(found, training=replace(found.training, **changes))
