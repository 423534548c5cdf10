"""The systems of the course: one file each, and ``SYSTEMS``, which maps a name to its class and config."""

from medsynth_lib.systems.cyclegan import CycleGAN, CycleGANConfig
from medsynth_lib.systems.gan import DCGAN, DCGANConfig, ToyGAN, ToyGANConfig
from medsynth_lib.systems.medusis import MedUSIS, MedUSISConfig
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig
from medsynth_lib.systems.residual_cyclegan import ResidualCycleGAN, ResidualCycleGANConfig
from medsynth_lib.systems.unet_cascade import UNetCascade, UNetCascadeConfig

#: Name → (system class, its config class). A new system is one file, one test of its own equation, one line here.
SYSTEMS = {
    CycleGAN.name: (CycleGAN, CycleGANConfig),
    DCGAN.name: (DCGAN, DCGANConfig),
    MedUSIS.name: (MedUSIS, MedUSISConfig),
    Pix2Pix.name: (Pix2Pix, Pix2PixConfig),
    ResidualCycleGAN.name: (ResidualCycleGAN, ResidualCycleGANConfig),
    ToyGAN.name: (ToyGAN, ToyGANConfig),
    UNetCascade.name: (UNetCascade, UNetCascadeConfig),
}
