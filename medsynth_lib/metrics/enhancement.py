"""Where contrast agent shows, and how well a synthetic CT or CECT does there and everywhere else.

Whole-slice scores hide it: vessels are a few per cent of a slice, and an image that leaves them out altogether scores
well. All images are ``(B, 1, H, W)`` in HU, computed in float64; masks are ``(B, 1, H, W)`` bool.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.errors import InputError
from medsynth_lib.metrics.fidelity import mae
from medsynth_lib.ssim import BORDER, SIGMA, WINDOW_SIZE, check_pair, gaussian_window, windowed_mean

#: Above what muscle and fat take up (some 20 HU), below liver in the portal phase (some 50 HU).
THRESHOLD_HU = 25.0


def enhanced(one: Tensor, other: Tensor, *, threshold_hu: float = THRESHOLD_HU) -> Tensor:
    """Where the true pair differs by contrast agent: |g ∗ (one − other)| > ``threshold_hu``, ``(B, 1, H, W)`` bool.

    g is a Gaussian of sd 1.5 pixels, which divides white noise by 5: single noisy pixels do not count, nor does a
    vessel of one pixel unless it takes up five times the threshold. Beyond the border the edge pixel repeats.

    :param one, other: CT and CECT of the same slice, in either order.
    :param threshold_hu: > 0.
    :raises InputError: if the shapes differ, or the threshold is not positive.
    """
    check_pair(one, other)
    if not threshold_hu > 0:
        raise InputError("The threshold of enhancement is not positive", where="threshold_hu", seen=threshold_hu)
    difference = F.pad(one.double() - other.double(), (BORDER,) * 4, mode="replicate")
    return windowed_mean(difference, gaussian_window(WINDOW_SIZE, SIGMA)).abs() > threshold_hu


def mean_error(fake: Tensor, target: Tensor, *, mask: Tensor) -> Tensor:
    """Mean signed error E(fake − target) over the mask, ``(B,)``, NaN where the mask is empty.

    Positive where the fake is brighter. Noise averages out of it, so it says whether contrast agent is there at all.

    :raises InputError: if the shapes differ.
    """
    check_pair(fake, target)
    inside = mask.double()
    return ((fake.double() - target.double()) * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3))


def enhancement_scores(
    fake: Tensor, source: Tensor, target: Tensor, body: Tensor, vessels: Tensor | None = None
) -> dict[str, Tensor]:
    """Errors of ``fake`` in HU where contrast agent shows, and where it does not.

    "Enhanced" is told twice, as the two need not agree: by the true pair (``enhanced``; organs too, and vessels only as
    far as they take up agent), and by the labelled ``vessels`` (whether or not agent reached them).

    :param fake, source, target: the synthetic target, the image it was made from, and the truth.
    :param body: the patient.
    :param vessels: the pixels labelled as vessels, if known.
    :returns: name → ``(B,)``: ``outside_mae_hu`` in the body where the pair is not enhanced; ``enhanced_mae_hu`` and
        ``enhanced_error_hu`` (signed mean) where it is; the same two for ``vessels``. NaN where no pixel is.
    :raises InputError: if shapes differ.
    """
    where = enhanced(source, target)
    scores = {"outside_mae_hu": mae(fake, target, mask=body & ~where)}
    regions = {"enhanced": body & where} | ({} if vessels is None else {"vessels": vessels})
    for name, mask in regions.items():
        scores[f"{name}_mae_hu"] = mae(fake, target, mask=mask)
        scores[f"{name}_error_hu"] = mean_error(fake, target, mask=mask)
    return scores
