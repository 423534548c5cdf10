"""The orthonormal two-dimensional Haar wavelet transform, and its inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from medsynth_lib.errors import MedSynthError


def haar(image: Tensor) -> Tensor:
    """Four half-size bands of every channel: average LL, and the details between rows LH, columns HL and diagonals HH.

    For each 2x2 cell ``(a b; c d)``: ``LL = (a+b+c+d)/2``, ``LH = (a+b-c-d)/2``, ``HL = (a-b+c-d)/2``,
    ``HH = (a-b-c+d)/2``. The matrix is orthonormal, so energy is kept, the inverse is the transpose, and the backward
    pass is `inverse_haar`. Equals ``pywt.dwt2(image, "haar")`` with ``(cA, (cH, cV, cD))`` in the order LL, LH, HL, HH.

    Source: Gal et al. 2021 (SWAGAN), section 3; 003 sections 2.3 and 3.1.

    Args:
        image: ``(B, C, H, W)`` with even H and W.

    Returns:
        ``(B, 4C, H/2, W/2)``: all LL channels, then all LH, all HL, all HH.

    Raises:
        MedSynthError: H or W is odd.
    """
    if image.shape[-2] % 2 or image.shape[-1] % 2:
        raise MedSynthError("a Haar transform needs even image sides", seen=tuple(image.shape[-2:]))
    return _Haar.apply(image)


def inverse_haar(bands: Tensor) -> Tensor:
    """The image whose `haar` transform is ``bands``.

    Args:
        bands: ``(B, 4C, h, w)``: LL, LH, HL, HH, each of C channels.

    Returns:
        ``(B, C, 2h, 2w)``.

    Raises:
        MedSynthError: the channels are no multiple of four.
    """
    if bands.shape[1] % 4:
        raise MedSynthError("an inverse Haar transform needs four bands", where="channels", seen=bands.shape[1])
    return _InverseHaar.apply(bands)


class _Haar(torch.autograd.Function):
    """Autograd would scatter each strided slice into a full-size zero image; the transpose is one more transform."""

    @staticmethod
    def forward(ctx, image: Tensor) -> Tensor:
        top, bottom = image[..., ::2, :], image[..., 1::2, :]
        rows = torch.cat([top + bottom, top - bottom], dim=1)
        left, right = rows[..., ::2], rows[..., 1::2]
        return torch.cat([left + right, left - right], dim=1).mul_(0.5)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _InverseHaar.apply(gradient)


class _InverseHaar(torch.autograd.Function):
    @staticmethod
    def forward(ctx, bands: Tensor) -> Tensor:
        batch, channels, height, width = bands.shape
        channels_last = bands.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        shape = (batch, channels // 4, 2 * height, 2 * width)
        image = torch.empty(shape, dtype=bands.dtype, device=bands.device, memory_format=layout)
        half = 0.5 * bands
        average, difference = half.chunk(2, dim=1)  # LL and LH, then HL and HH
        for column, rows in enumerate((average + difference, average - difference)):
            low, high = rows.chunk(2, dim=1)
            image[..., ::2, column::2], image[..., 1::2, column::2] = low + high, low - high
        return image

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Haar.apply(gradient)
