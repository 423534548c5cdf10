"""R1: a discriminator must be flat on real images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, weight: float = 10.0) -> Tensor:
    """R1 = γ/2 · E‖∇_x D(x)‖², over real images x, in float32 whatever autocast is on.

    Mescheder, Geiger, Nowozin, "Which training methods for GANs do actually converge?", ICML 2018, eq. 9. The squared
    norm sums over an image's pixels; the mean is over the batch. Its own gradient differentiates D twice, which
    half precision does not survive (a squared gradient below 6e-8 is 0 in float16) and which ``torch.compile`` cannot
    do: D runs uncompiled here.

    :param discriminator: gives logits of any shape for ``(B, C, H, W)``; those of one image are summed.
    :param real: ``(B, C, H, W)``, in [-1, 1].
    :param weight: γ; 10 in the paper.
    :returns: a scalar that can be differentiated by the discriminator's weights.
    """
    with _plain(real.device.type):
        real = real.detach().to(torch.promote_types(real.dtype, torch.float32)).requires_grad_()
        total = discriminator(real).sum()
        (gradient,) = torch.autograd.grad(total, real, create_graph=True)
        # Nothing depends on the last bias, but processes that train together wait for every weight's gradient: a zero.
        return weight / 2 * gradient.square().flatten(1).sum(dim=1).mean() + 0 * total


@contextlib.contextmanager
def _plain(device_type: str) -> Iterator[None]:
    """Neither autocast nor compiled networks."""
    with torch.compiler.set_stance("force_eager"):
        if not torch.amp.is_autocast_available(device_type):  # meta
            yield
            return
        with torch.autocast(device_type, enabled=False):
            yield
