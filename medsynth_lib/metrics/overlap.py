"""How well two label maps agree: Dice, intersection over union (IoU) per class, and their means.

All come from one confusion matrix ``(K, K)`` of pixel counts, rows the reference's class and columns the predicted one.
Matrices add up: the matrix of a patient is the sum over slices, that of a cohort the sum over patients, so "per
patient" and "over the cohort" differ only in what is summed before the division.

**Absent classes.** A class that neither map shows has no IoU: NaN, in no mean. A class that only the prediction shows
has an IoU of 0 per class, but is in no mean either: means are over the classes *present in the reference*, so that all
methods are averaged over the same classes. Its false pixels are not forgiven, they are missing from the classes that
should be there. Libraries differ on this (counting an absent class as 1 lifts every mean): name the convention.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from medsynth_lib.errors import InputError


def confusion_matrix(predicted: Tensor, reference: Tensor, classes: int, mask: Tensor | None = None) -> Tensor:
    """Counts n[r, p]: pixels whose class is r in ``reference`` and p in ``predicted``; ``(classes, classes)`` int64.

    :param predicted: integers from 0 to ``classes − 1``, any shape.
    :param reference: the same shape.
    :param mask: bool, the same shape: only pixels inside it count.
    :raises InputError: if shapes differ, or a number is no class.
    """
    shapes = {tuple(one.shape) for one in (predicted, reference, mask) if one is not None}
    if len(shapes) > 1:
        raise InputError("label maps of different shapes", rule="one shape for all", seen=sorted(shapes))
    for where, labels in (("predicted", predicted), ("reference", reference)):
        if labels.is_floating_point() or labels.is_complex():
            raise InputError("class numbers must be integers", where=where, seen=labels.dtype)
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            seen = f"{int(labels.min())} to {int(labels.max())}"
            raise InputError("numbers that are no class", where=where, rule=f"0 to {classes - 1}", seen=seen)
    pairs = reference.long() * classes + predicted.long()
    if mask is not None:
        pairs = pairs[mask]
    return torch.bincount(pairs.flatten(), minlength=classes**2).view(classes, classes)


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of every class, |P ∩ R| / |P ∪ R|: ``(..., K)`` float64 in [0, 1], NaN where absent.

    Jaccard 1901. A boundary one pixel off costs a small organ far more than a large one: compare sizes, not only means.
    """
    hits, predicted, reference = _areas(confusion)
    return hits / (predicted + reference - hits)


def dice(confusion: Tensor) -> Tensor:
    """Dice of every class, 2 |P ∩ R| / (|P| + |R|) = 2 IoU / (1 + IoU): ``(..., K)`` float64, NaN where absent."""
    hits, predicted, reference = _areas(confusion)
    return 2 * hits / (predicted + reference)


def mean_iou(confusion: Tensor, exclude: Collection[int] = ()) -> Tensor:
    """mIoU = (1/N) Σ IoU_i over the N classes present in the reference (003 eq. 4.4); ``(...)``, NaN if there is none.

    :param exclude: class numbers to leave out of the mean, as ``(0,)`` for the background, whose IoU is near 1.
    """
    return _mean_over_present(iou(confusion), confusion, exclude)


def mean_dice(confusion: Tensor, exclude: Collection[int] = ()) -> Tensor:
    """The mean Dice over the classes present in the reference, as ``mean_iou``."""
    return _mean_over_present(dice(confusion), confusion, exclude)


def _areas(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    confusion = confusion.double()
    return confusion.diagonal(dim1=-2, dim2=-1), confusion.sum(dim=-2), confusion.sum(dim=-1)


def _mean_over_present(scores: Tensor, confusion: Tensor, exclude: Collection[int]) -> Tensor:
    present = confusion.sum(dim=-1) > 0
    present[..., list(exclude)] = False
    return scores.where(present, 0).sum(dim=-1) / present.sum(dim=-1)
