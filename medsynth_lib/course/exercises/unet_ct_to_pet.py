"""Exercises of lesson 03: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.exercises.loss_checks import expect_value

# --- E1: what squared and absolute error ask for --------------------------------------------------------------------


def best_guesses(values: Sequence[float], chances: Sequence[float]) -> tuple[float, float]:
    """(mean, median) of a value with these ``chances``: the guesses with the least mean squared and absolute error."""
    order = np.argsort(values)
    values, chances = np.asarray(values, float)[order], np.asarray(chances, float)[order]
    return float((values * chances).sum()), float(values[np.searchsorted(np.cumsum(chances), 0.5)])


def check_best_guesses(attempt: Callable[[Sequence[float], Sequence[float]], tuple[float, float]]) -> None:
    """Four values, not sorted, whose mean, median and most likely value all differ."""
    values, chances = [8.0, 1.0, 3.0, 2.0], [0.41, 0.39, 0.15, 0.05]
    squared, absolute = (float(one) for one in attempt(values, chances))
    mean, median = best_guesses(values, chances)
    if math.isclose(squared, median) and math.isclose(absolute, mean):
        raise Misconception("The other way round: the squared error wants the mean, the absolute error the median.")
    if 8.0 in (squared, absolute):
        raise Misconception("You took the most likely value. Which single number is *on average* nearest?")
    if math.isclose(squared, np.mean(values)):
        raise Misconception("The plain mean forgets the chances: weigh each value by how often it happens.")
    if math.isclose(absolute, np.median(values)):
        raise Misconception("The plain median forgets the chances: half of the *probability* lies on each side.")
    if math.isclose(absolute, 1.0):
        raise Misconception("Sort the values first: the cumulated chances mean something only in order of value.")
    assert math.isclose(squared, mean), f"Least squared error is at {mean:.2f} for {values}, {chances}; not {squared}."
    assert math.isclose(absolute, median), f"Least absolute error is at {median:.2f}, not {absolute}."


# --- E2: the joint of a skip connection -----------------------------------------------------------------------------


def join(skip: Tensor, up: Tensor) -> Tensor:
    """The middle of ``skip`` in the size of ``up``, then ``up``, as channels: ``(B, C_skip + C_up, H_up, W_up)``."""
    top, left = ((skip.shape[axis] - up.shape[axis]) // 2 for axis in (-2, -1))
    middle = skip[..., top : top + up.shape[-2], left : left + up.shape[-1]]
    return torch.cat([middle, up], dim=1)


def check_join(attempt: Callable[[Tensor, Tensor], Tensor]) -> None:
    """An 8 x 12 skip and a 4 x 6 up, both of three channels."""
    generator = torch.Generator().manual_seed(0)
    skip, up = torch.rand(2, 3, 8, 12, generator=generator), torch.rand(2, 3, 4, 6, generator=generator)
    try:
        found = attempt(skip, up)
    except RuntimeError as error:
        if "Sizes of tensors must match" in str(error) or "size of tensor" in str(error):
            raise Misconception(
                "The skip is larger than the up: crop its middle to the up's height and width."
            ) from error
        raise
    middle = skip[..., 2:6, 3:9]
    known = {
        "Added, not joined: the decoder must tell the two apart, so put them side by side as channels.": middle + up,
        "That is the corner of the skip: its middle shows what the up shows.": torch.cat([skip[..., :4, :6], up], 1),
        "Right pieces, wrong order: the skip's channels come first, as in the library.": (torch.cat([up, middle], 1)),
        "Shrinking the skip throws its detail away, the very thing it carries: crop it.": torch.cat(
            [F.interpolate(skip, size=up.shape[-2:], mode="nearest"), up], 1
        ),
        "Joined along the batch: dim 0 counts images, dim 1 channels.": torch.cat([middle, up], 0),
    }
    for hint, wrong in known.items():
        if found.shape == wrong.shape and torch.allclose(found, wrong):
            raise Misconception(hint)
    assert found.shape == (2, 6, 4, 6), f"Expected the shape (2, 6, 4, 6), not {tuple(found.shape)}."
    assert torch.allclose(found[:, 3:], up), "The last three channels should be the up as it is."
    assert torch.allclose(found[:, :3], middle), "The first three channels should be the skip's middle, 2:6 and 3:9."
    same = torch.rand(1, 2, 5, 5, generator=generator)
    assert torch.allclose(attempt(same, same), torch.cat([same, same], 1)), "Equal sizes need no cropping at all."


# --- E3: a loss on every stage --------------------------------------------------------------------------------------


def cascade_loss(images: Sequence[Tensor], target: Tensor, weights: Sequence[float]) -> Tensor:
    """Σ_k w_k E(ŷ_k − y)²: every stage's squared error, with its weight."""
    return sum(weight * ((image - target) ** 2).mean() for weight, image in zip(weights, images, strict=True))


def check_cascade_loss(attempt: Callable[[Sequence[Tensor], Tensor, Sequence[float]], Tensor]) -> None:
    """Three stages with weights of their own; the value first, then who learns from it."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 1, 4, 4, generator=generator).requires_grad_(True) for _ in range(3)]
    target, weights = torch.rand(2, 1, 4, 4, generator=generator), (0.5, 1.0, 2.0)
    found = attempt(images, target, weights)
    right, errors = cascade_loss(images, target, weights), [((image - target) ** 2).mean() for image in images]
    known = {
        "Only the last stage is scored: the first ones learn through all the others, if at all.": 2.0 * errors[-1],
        "The weights are not used.": sum(errors),
        "The weighted sum, not its mean over stages: w_k says how much a stage counts.": right / 3,
        "That is the absolute error; 001 takes the squared one.": cascade_loss(
            [target + (image - target).abs().sqrt() for image in images], target, weights
        ),
        "Square each pixel's difference, then take the mean; the root belongs to the report, not to the loss.": sum(
            weight * error.sqrt() for weight, error in zip(weights, errors, strict=True)
        ),
        "The mean over pixels, not the sum: λ and learning rate should mean the same at any image size.": 32 * right,
        "Every stage is compared with the true image, not with the stage before it.": cascade_loss(
            images[1:], images[0], weights[1:]
        ),
    }
    assert found.ndim == 0, f"A loss is one number (yours has the shape {tuple(found.shape)})."
    expect_value(found, right, known)
    if found.grad_fn is None:
        raise Misconception("The value is right, but no stage can learn from it: do not detach the images.")
    found.backward()
    silent = [str(number) for number, image in enumerate(images, start=1) if image.grad is None]
    if silent:
        raise Misconception(f"The value is right, but stage {', '.join(silent)} gets no gradient: do not detach.")


# --- E4: how many hot lesions are still there -----------------------------------------------------------------------


def lesion_recall(
    real_max: np.ndarray, fake_max: np.ndarray, real_contrast: np.ndarray, fake_contrast: np.ndarray
) -> float:
    """Part of the lesions hot in the real PET (SUVmax ≥ 2.5) that the fake shows: ≥ 2.5, and 41 % of the contrast."""
    visible = real_max >= 2.5
    found = visible & (fake_max >= 2.5) & (fake_contrast >= 0.41 * real_contrast)
    return float(found.sum() / visible.sum()) if visible.any() else math.nan


#: (real SUVmax, fake SUVmax, real contrast, fake contrast) and how often: found; warm, twice; faint; not hot at all.
_LESIONS = np.array([[8, 5, 7, 4], [6, 2.9, 3.8, 0.6], [8, 2.6, 5.8, 0.3], [4, 2, 3.5, 1.8], [2, 2.6, 1.2, 1.4]])
_TIMES = (4, 2, 1, 5, 1)


def check_lesion_recall(attempt: Callable[..., float]) -> None:
    """Thirteen lesions of five kinds, so that each wrong rule gives a number of its own; then no hot lesion at all."""
    lesions = real_max, fake_max, real_contrast, fake_contrast = np.repeat(_LESIONS, _TIMES, axis=0).T
    found, right, visible = float(attempt(*lesions)), lesion_recall(*lesions), real_max >= 2.5
    hot, contrast = fake_max >= 2.5, fake_contrast >= 0.41 * real_contrast
    absent = "One lesion is not hot in the real PET either: what is not there can be neither found nor lost."
    known = [
        (absent, (hot & contrast).mean()),
        (absent, (hot & contrast).sum() / visible.sum()),
        ("Warm is not found: some lie in a liver of SUV 2.3. Ask for 41 % of the contrast too.", (visible & hot).sum()),
        ("Contrast is not enough: some stay below SUV 2.5, nobody would call them hot.", (visible & contrast).sum()),
        ("41 % of the *contrast*, what a lesion has above its surroundings, not of SUVmax.",
         (visible & hot & (fake_max >= 0.41 * real_max)).sum()),
        ("That is the erased part; recall is what was found.", (1 - right) * visible.sum()),
        ("A count; recall is a part of the visible lesions.", (visible & hot & contrast).sum() * visible.sum()),
    ]  # fmt: skip
    for hint, value in known:
        part = value if hint is absent else value / visible.sum()
        if math.isclose(found, float(part)):
            raise Misconception(hint)
    assert math.isclose(found, right), f"Four of twelve hot lesions are found: {right:.3f}, not {found:.3f}."
    _check_nothing_hot(attempt)


def _check_nothing_hot(attempt: Callable[..., float]) -> None:
    try:
        nothing = float(attempt(*_LESIONS[-1:].T))
    except ZeroDivisionError:
        nothing = 0.0
    if not math.isnan(nothing):
        raise Misconception("Where no lesion is hot there is nothing to find: neither 0 nor 1 but math.nan.")
