"""What a generator draws from one label map when its noise is kept within [-a, a]."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from medsynth_lib.errors import MedSynthError
from medsynth_lib.visualize.palette import label_panel


def truncated_noise(uniform: Tensor, limit: float) -> Tensor:
    """Numbers ~ N(0, 1) cut to [-a, a], from numbers ~ U(0, 1): z = Φ⁻¹(Φ(−a) + u (Φ(a) − Φ(−a))).

    Φ is the standard normal distribution function. The same ``uniform`` under another ``limit`` is the same draw moved
    inwards or outwards, so pictures change smoothly with a. In float64, where u near 1 does not round to infinity.

    Args:
        uniform: any shape, in (0, 1).
        limit: a > 0; ``math.inf`` for all of N(0, 1).

    Raises:
        MedSynthError: a limit that is not above 0.
    """
    if not limit > 0:
        raise MedSynthError("the interval [-a, a] needs a width", rule="a above 0", seen=limit)
    below = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
    noise = torch.special.ndtri(below + uniform.double() * (1 - 2 * below))
    return noise.clamp(-limit, limit).to(uniform.dtype)


def spread(images: np.ndarray) -> float:
    """How much images of one label map differ: RMS over pixels of the standard deviation over ``(N, H, W)`` images."""
    return float(np.sqrt(images.var(axis=0, ddof=1).mean()))


def truncation_panel(
    draw: Callable[[Tensor], np.ndarray], labels: np.ndarray, uniform: Tensor, limit: float, shown: int = 4
) -> Figure:
    """A label map, some of the images drawn from it with noise in [-limit, limit], and where they all differ.

    Args:
        draw: noise ``(N, noise)`` → images ``(N, H, W)`` in [0, 1], all of the one label map.
        labels: class numbers ``(H, W)``.
        uniform: ``(N, noise)`` in (0, 1), N ≥ 2: the draws that ``limit`` moves.
        limit: a of [-a, a].
        shown: how many of the N images are shown; the standard deviation is over all.
    """
    images = draw(truncated_noise(uniform, limit))
    shown = min(shown, len(images))
    figure, axes = plt.subplots(1, shown + 2, figsize=(1.9 * (shown + 2), 2.2), layout="constrained")
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    label_panel(axes[0], labels, "label map")
    for number, (axis, image) in enumerate(zip(axes[1:-1], images, strict=False), start=1):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"noise {number}", fontsize=9)
        axis.set_axis_off()
    deviation = axes[-1].imshow(images.std(axis=0, ddof=1), cmap="cividis", vmin=0, vmax=0.05)
    axes[-1].set_title(f"sd over {len(images)} draws\nRMS {spread(images):.3f}", fontsize=9)
    axes[-1].set_axis_off()
    figure.colorbar(deviation, ax=axes[-1], shrink=0.8)
    figure.suptitle("all of N(0, 1)" if np.isinf(limit) else f"noise in [−{limit:g}, {limit:g}]", fontsize=10)
    return figure
