"""Med-USIS, label maps→MR of the head without pairs (003).

003 works on the pelves and brains of SynthRAD2023. The head is chosen: of the torso's 31 classes half are a handful of
pixels at 64x64, which no segmenter finds even in real images; the head's 13 can be told apart.
"""

from medsynth_lib.data.datasets import Augmentation
from medsynth_lib.systems.medusis import MedUSISConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles.base import Profile

TASK = {"source": "LABELS", "target": "MR", "region": "head", "paired": False}

PROFILES = {
    "smoke": Profile(
        64,
        MedUSISConfig(
            size=64,
            generator_channels=2,
            blocks=3,
            hidden_channels=16,
            noise_channels=8,
            segmentator_channels=8,
            segmentator_depth=3,
            discriminator_multiplier=0.1,
            discriminator_channels=16,
        ),
        TrainConfig(steps=20, batch_size=4, log_every=5),
        Augmentation(rotation_deg=0.0, zoom=0.0),
        **TASK,
    ),
    "lesson": Profile(
        64,
        MedUSISConfig(
            size=64,
            generator_channels=4,
            blocks=4,
            hidden_channels=32,
            noise_channels=16,
            segmentator_channels=16,
            segmentator_depth=4,
            discriminator_multiplier=0.25,
            discriminator_channels=64,
            # With StyleGAN2's blur before every stride a discriminator of 64x64 images hardly learns in 160 steps to
            # tell fixed fakes, and without it does (docs/results.md).
            antialias=False,
            # At 1 from the start (003), generator and segmentator may agree early on a code of their own, wrong tissue
            # in the right place; one seed of three never left it. The discriminator has the first word.
            segmentation_weight=0.2,
            segmentation_warmup=2200,
            # The right R1 grows with the number of pixels (StyleGAN2-ADA, Karras et al. 2020b: γ = 0.0002 · pixels /
            # batch, 0.2 here); 10 is one for larger images.
            r1_weight=0.3,
            # As in the public code the discriminator learns fastest.
            learning_rate=1e-3,
            segmentator_learning_rate=1e-3,
            discriminator_learning_rate=4e-3,
        ),
        TrainConfig(steps=2200, batch_size=4, decay_from=0.6, checkpoint_every=200),
        # With the flips of 003 alone the discriminator learns few patients by heart: its loss falls, images get worse.
        Augmentation(),
        **TASK,
    ),
    # Thesis 003, §4.3: batch 4, one rate for all, horizontal flips; it names no number of steps.
    "paper": Profile(
        256,
        MedUSISConfig(),
        TrainConfig(steps=200_000, batch_size=4, decay_from=1.0, checkpoint_every=5000, log_every=100, ema=0.9999),
        Augmentation(rotation_deg=0.0, zoom=0.0),
        **TASK,
    ),
}
