"""What a discriminator and a generator minimise against each other, as functions of the discriminator's logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.conventions import LossTerms
from medsynth_lib.errors import TrainingError
from medsynth_lib.precision import full_precision


class Form(NamedTuple):
    """One adversarial game: three functions of a logit, and the factor on the discriminator's two halves."""

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    discriminator_weight: float


# softplus(−x) = −log σ(x) and softplus(x) = −log(1 − σ(x)), exact at any logit: no log of a rounded probability, and
# legal under CUDA autocast, where BCELoss on probabilities is not.
FORMS = {
    "bce": Form(lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x), 0.5),
    "logistic": Form(lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x), 1.0),
    "minimax": Form(lambda x: F.softplus(-x), F.softplus, lambda x: -F.softplus(x), 0.5),
    "lsgan": Form(lambda x: (x - 1) ** 2, lambda x: x**2, lambda x: (x - 1) ** 2, 0.5),
    "hinge": Form(lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), lambda x: -x, 1.0),
}


@dataclass(frozen=True)
class AdversarialLoss:
    """The adversarial game called ``name``; x is the discriminator's logit, averaged over patches and batch.

    ============ ============================================== ============================ =========================
    ``name``     discriminator minimises                        generator minimises          from
    ============ ============================================== ============================ =========================
    ``bce``      ½·E[−log σ(x_real)] + ½·E[−log(1 − σ(x_fake))] E[−log σ(x_fake)]            Goodfellow 2014, §3
    ``logistic`` the same without the ½                         the same                     Karras 2020 (StyleGAN2)
    ``minimax``  as ``bce``                                     E[log(1 − σ(x_fake))]        Goodfellow 2014, eq. 1
    ``lsgan``    ½·E[(x_real − 1)²] + ½·E[x_fake²]              E[(x_fake − 1)²]             Mao 2017, eq. 9
    ``hinge``    E[max(0, 1 − x_real)] + E[max(0, 1 + x_fake)]  −E[x_fake]                   Lim & Ye 2017; Miyato 2018
    ============ ============================================== ============================ =========================

    Where we depart from the papers: the ½ of ``bce`` and ``minimax`` is that of pix2pix (Isola 2017, §3.3), which slows
    the discriminator; so at equilibrium (σ = ½) the discriminator's loss is log 2, and Goodfellow's value is −2 times
    it, −log 4. ``lsgan`` leaves out Mao's ½ on the generator, as CycleGAN's recipe does. ``hinge`` is not halved.

    Half-precision logits are computed in float32.

    :raises TrainingError: if ``name`` is none of these.
    """

    name: str = "bce"

    def __post_init__(self) -> None:
        if self.name not in FORMS:
            raise TrainingError(
                "There is no adversarial loss of that name", rule=f"one of {', '.join(FORMS)}", seen=repr(self.name)
            )

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> LossTerms:
        """The discriminator's two terms, ``{"real": …, "fake": …}``, already weighted: it minimises their sum.

        :param real_logits: logits of real images, any shape.
        :param fake_logits: logits of *detached* generated images, any shape.
        """
        form = FORMS[self.name]
        return {
            "real": form.discriminator_weight * form.real(full_precision(real_logits)).mean(),
            "fake": form.discriminator_weight * form.fake(full_precision(fake_logits)).mean(),
        }

    def generator(self, fake_logits: Tensor) -> Tensor:
        """What the generator minimises: a scalar, from the logits of its images (not detached), any shape."""
        return FORMS[self.name].generator(full_precision(fake_logits)).mean()
