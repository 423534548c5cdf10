"""Cross-entropy of a label map in which a class of ten pixels weighs as much as one of ten thousand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.errors import InputError
from medsynth_lib.precision import full_precision


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """How many pixels of the integer map ``labels`` (any shape, 0 … classes − 1) each class has: ``(classes,)``.

    The sum over pixels of the indicator 1[m_c,i,j], 003 eq. 3.5.
    """
    # Not bincount, for whose length a GPU is waited for.
    numbers = torch.arange(classes, device=labels.device)
    return (labels.reshape(-1, 1) == numbers).sum(dim=0)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Inverse class frequencies α_c = H·W / Σ_ij E_m[1[m_c,i,j]], the expectation taken over the batch.

    So α_c = B·H·W / count_c; a class that the batch does not show gets 0. Thesis 003, eq. 3.4–3.5.

    :param labels: ``(B, H, W)`` integers from 0 to ``classes − 1``.
    :returns: ``(classes,)`` float32, without unit.
    """
    counts = class_counts(labels, classes)
    return torch.where(counts > 0, labels.numel() / counts.clamp_min(1), 0.0)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """L_seg = −(1/P) E_m Σ_c α_c Σ_ij m_c,i,j log softmax(logits)_c,i,j: the mean over classes of each one's own mean.

    Thesis 003, eq. 3.3 and 3.4. Where we depart from it: the thesis writes a sum (P = 1) over pixels and classes; here
    P = H·W · (number of classes that the batch shows), so that λ_seg = 1 means the same at any size and class count.
    That makes the weight of a pixel B·H·W / (n_present · count_c), whose mean over the batch is 1.

    :param logits: ``(B, K, H, W)`` of any float type, computed in float32; K may exceed the labels in use (the class
        C + 1 of OASIS and 003 §3.1.3, which takes part in the softmax and is never the answer here).
    :param labels: ``(B, H, W)`` integers below K.
    :returns: a scalar in nats; log K for a network that knows nothing.
    :raises InputError: if the shapes do not fit.
    """
    batch, classes, *size = logits.shape
    if labels.shape != (batch, *size):
        raise InputError("logits and labels do not fit", rule=f"labels {(batch, *size)}", seen=tuple(labels.shape))
    weights = class_weights(labels, classes)
    present = (weights > 0).sum()
    total = F.cross_entropy(full_precision(logits), labels.long(), weights.to(full_precision(logits)), reduction="sum")
    return total / (labels.numel() * present)
