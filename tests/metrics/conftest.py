"""Images with structure at every scale: noise blurred at several widths, with an edge, a flat background and a body."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter


def structured_image(size: int | tuple[int, int], seed: int) -> np.ndarray:
    """A float64 ``(H, W)`` image in [0, 1]: an ellipse of multi-scale texture on a background of exactly 0."""
    height, width = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(seed)
    texture = sum(width_px * gaussian_filter(rng.standard_normal((height, width)), width_px) for width_px in (1, 3, 9))
    texture = (texture - texture.min()) / np.ptp(texture)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.where((x / 0.9) ** 2 + (y / 0.8) ** 2 < 1, 0.2 + 0.8 * texture, 0.0)


@pytest.fixture(scope="session")
def image():
    """``image(size, seed)`` in [0, 1], see ``structured_image``."""
    return structured_image


@pytest.fixture(scope="session")
def degraded():
    """``degraded(image, seed)``: blurred and noisy, clipped to [0, 1]."""

    def degrade(image: np.ndarray, seed: int) -> np.ndarray:
        noise = 0.03 * np.random.default_rng(seed).standard_normal(image.shape)
        return np.clip(gaussian_filter(image, 1.2) + noise, 0, 1)

    return degrade


@pytest.fixture(scope="session")
def tensor():
    """``tensor(image, …)``: numpy ``(H, W)`` images as one ``(B, 1, H, W)`` float64 batch."""
    return lambda *images: torch.from_numpy(np.stack(images))[:, None]
