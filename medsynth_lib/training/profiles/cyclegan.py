"""CycleGAN, MR→CT of the head without pairs (004)."""

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.systems.cyclegan import CycleGANConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles.base import Profile

TASK = {"source": "MR", "target": "CT", "region": "head", "paired": False}

PROFILES = {
    "smoke": Profile(
        64,
        CycleGANConfig(generator_channels=8, blocks=2, discriminator_channels=8, discriminator_layers=2, pool_size=8),
        TrainConfig(steps=20, batch_size=2, log_every=5),
        Augmentation(),
        **TASK,
    ),
    "lesson": Profile(
        64,
        # Without a norm the discriminators see HU and not only contrast; at twice the default rate they leave chance
        # within a few hundred steps. No identity term: it asks the generators to leave what is bright bright, and what
        # is bright in MR is fat, in CT bone (docs/results.md).
        CycleGANConfig(
            generator_channels=16,
            blocks=4,
            discriminator_channels=32,
            discriminator_norm="none",
            cycle_weight=5.0,
            identity_weight=0.0,
            learning_rate=4e-4,
            discriminator_learning_rate=4e-4,
        ),
        TrainConfig(steps=3000, batch_size=2, ema=0.99, checkpoint_every=500, channels_last=False),
        Augmentation(),
        **TASK,
    ),
    # Zhu et al. 2017: 100 epochs + 100 of decay at batch size 1, here of 400 slices; scale `steps` with the cohort.
    "paper": Profile(
        256,
        CycleGANConfig(),
        TrainConfig(steps=80_000, batch_size=1, checkpoint_every=2000, log_every=100, ema=0.999),
        Augmentation(),
        **TASK,
    ),
}
