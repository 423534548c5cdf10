"""The three sizes of every system, one file each: does it run, does it learn, the paper's recipe.

``smoke``: everything executes, in seconds. ``lesson``: it really learns on two CPU cores in minutes. ``paper``: full
width at 256x256, the paper's recipe, on a GPU.
"""

from __future__ import annotations

from dataclasses import replace

from medsynth_lib.errors import TrainingError
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.training.profiles import cyclegan, dcgan, medusis, pix2pix, residual_cyclegan, toy_gan, unet_cascade
from medsynth_lib.training.profiles.base import Profile

#: System → profile name → Profile.
PROFILES: dict[str, dict[str, Profile]] = {
    "cyclegan": cyclegan.PROFILES,
    "dcgan": dcgan.PROFILES,
    "medusis": medusis.PROFILES,
    "pix2pix": pix2pix.PROFILES,
    "residual_cyclegan": residual_cyclegan.PROFILES,
    "toy_gan": toy_gan.PROFILES,
    "unet_cascade": unet_cascade.PROFILES,
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
