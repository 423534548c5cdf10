"""Pix2pix, PET→CT (000)."""

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.systems.pix2pix import Pix2PixConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles.base import Profile

PROFILES = {
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
