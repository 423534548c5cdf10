"""The Haar bands of an image, and what is left of it when some are thrown away."""

from __future__ import annotations

from collections.abc import Collection

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from medsynth_lib.errors import MedSynthError
from medsynth_lib.networks.haar import haar, inverse_haar
from medsynth_lib.visualize.slices import ERROR_CMAP

#: The bands in the order of ``networks.haar``: the average, and details between rows, between columns, diagonal.
BANDS = ("LL", "LH", "HL", "HH")


def keep_bands(image: np.ndarray, level: int, kept: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
    """The bands of ``image`` at ``level``, and the image made from those of them that are ``kept``.

    Level l splits the average of level l − 1. Details finer than ``level`` are not touched: what is thrown away is
    detail of one size.

    Args:
        image: ``(H, W)``, both multiples of ``2 ** level``.
        level: from 1 on.
        kept: some of ``BANDS``.

    Returns:
        ``(4, H / 2^level, W / 2^level)`` and ``(H, W)``.

    Raises:
        MedSynthError: a level below 1, another band, or sides that cannot be halved so often.
    """
    if level < 1 or not set(kept) <= set(BANDS):
        rule = f"a level from 1 on, bands among {', '.join(BANDS)}"
        raise MedSynthError("no such bands", rule=rule, seen=f"level {level}, {', '.join(kept)}")
    average, finer = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None], []
    for _ in range(level - 1):
        bands = haar(average)
        average, details = bands[:, :1], bands[:, 1:]
        finer.append(details)
    bands = haar(average)
    mask = torch.tensor([float(name in kept) for name in BANDS], dtype=bands.dtype)[:, None, None]
    rebuilt = inverse_haar(bands * mask)
    for details in reversed(finer):
        rebuilt = inverse_haar(torch.cat([rebuilt, details], dim=1))
    return bands[0].numpy(), rebuilt[0, 0].numpy()


def band_panel(image: np.ndarray, level: int = 1, kept: Collection[str] = BANDS) -> Figure:
    """An image in [-1, 1], its four bands at ``level`` with their share of the energy, and the image from those kept.

    A band that is thrown away is crossed out; the last picture is the difference to the image.
    """
    bands, rebuilt = keep_bands(image, level, kept)
    energy = (bands**2).sum(axis=(1, 2)) / max(float((bands**2).sum()), 1e-12)
    figure, axes = plt.subplots(1, 7, figsize=(12, 2.3), layout="constrained")
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(image, cmap="gray", vmin=-1, vmax=1)
    axes[0].set_title("image", fontsize=9)
    limit = max(float(np.abs(bands[1:]).max()), 1e-6)
    for axis, name, band, share in zip(axes[1:5], BANDS, bands, energy, strict=True):
        look = {"cmap": "gray"} if name == "LL" else {"cmap": ERROR_CMAP, "vmin": -limit, "vmax": limit}
        axis.imshow(band, interpolation="nearest", **look)
        axis.set_title(f"{name}, {share:.1%} of energy", fontsize=8)
        if name not in kept:
            axis.plot([0, 1], [0, 1], color="black", linewidth=2, transform=axis.transAxes)
    axes[5].imshow(rebuilt, cmap="gray", vmin=-1, vmax=1)
    axes[5].set_title("from the bands kept", fontsize=9)
    axes[6].imshow(rebuilt - image, cmap=ERROR_CMAP, vmin=-0.5, vmax=0.5)
    axes[6].set_title(f"difference, RMS {np.sqrt(np.mean((rebuilt - image) ** 2)):.3f}", fontsize=8)
    return figure
