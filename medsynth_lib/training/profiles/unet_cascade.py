"""U-Net regression, CT→PET (001)."""

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.systems.unet_cascade import UNetCascadeConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles.base import Profile

PROFILES = {
    "smoke": Profile(
        64,
        UNetCascadeConfig(stages=2, generator_channels=8, depth=4),
        TrainConfig(steps=30, batch_size=4, log_every=5),
        Augmentation(),
        source="CT",
        target="PET",
    ),
    "lesson": Profile(
        128,
        # Batch norm, a higher rate and no weight decay: in minutes a small network lacks steps, not restraint.
        UNetCascadeConfig(generator_channels=16, norm="batch", learning_rate=2e-3, weight_decay=0.0),
        TrainConfig(steps=1000, batch_size=4, checkpoint_every=250),
        Augmentation(rotation_deg=15.0, zoom=0.15),
        source="CT",
        target="PET",
    ),
    # 001: 200 epochs of 400 slices at a constant rate, no augmentation; 001 does not state its batch size. Scale
    # `steps` with the cohort.
    "paper": Profile(
        256,
        UNetCascadeConfig(),
        TrainConfig(steps=10_000, batch_size=8, decay_from=1.0, ema=0.0, checkpoint_every=1000, log_every=50),
        Augmentation(flip=0.0, rotation_deg=0.0, zoom=0.0),
        source="CT",
        target="PET",
    ),
}
