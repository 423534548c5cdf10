"""Toy GAN on a ring of Gaussians (Metz et al. 2017)."""

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.data.toy import RingOfGaussians
from medsynth_lib.systems.gan import ToyGANConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles.base import Profile

PROFILES = {
    "smoke": Profile(
        1,
        ToyGANConfig(width=32),
        TrainConfig(steps=30, batch_size=64, log_every=5, amp="off"),
        Augmentation(),
        points=RingOfGaussians(),
    ),
    # No mixed precision: bfloat16 rounds a coordinate of 0.7 by up to 0.002, a tenth of a mode's width.
    "lesson": Profile(
        1,
        ToyGANConfig(),
        TrainConfig(steps=1500, batch_size=256, log_every=50, checkpoint_every=0, amp="off"),
        Augmentation(),
        points=RingOfGaussians(),
    ),
}
