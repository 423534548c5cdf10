"""DCGAN on CT slices (Radford et al. 2016)."""

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.systems.gan import DCGANConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles.base import Profile

PROFILES = {
    "smoke": Profile(
        64,
        DCGANConfig(generator_channels=8, discriminator_channels=8, kernel=4),
        TrainConfig(steps=30, batch_size=4, log_every=5),
        Augmentation(),
    ),
    # At the paper's rate of 2e-4 the first 500 of 2000 steps teach the generator next to nothing.
    "lesson": Profile(
        64,
        DCGANConfig(generator_channels=32, discriminator_channels=32, kernel=4, learning_rate=5e-4),
        TrainConfig(steps=2000, batch_size=16, checkpoint_every=500),
        Augmentation(rotation_deg=5.0),
    ),
    # The paper's networks, batch and rate at its 64x64; depth 5 and slices of 128 for the size it does not show.
    "paper": Profile(
        64,
        DCGANConfig(),
        TrainConfig(steps=20_000, batch_size=128, decay_from=1.0, checkpoint_every=1000, log_every=50, ema=0.999),
        Augmentation(rotation_deg=5.0),
    ),
}
