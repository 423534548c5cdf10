"""Exercises of lesson 06: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.exercises.loss_checks import expect_value

# --- E1: one channel per class --------------------------------------------------------------------------------------


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Class numbers ``(B, H, W)`` → ``(B, classes, H, W)`` of 0.0 and 1.0 (003 eq. 3.9)."""
    return (labels[:, None] == torch.arange(classes)[:, None, None]).float()


def check_one_hot(attempt: Callable[[Tensor, int], Tensor]) -> None:
    """Two maps that do not show the highest class."""
    labels = torch.tensor([[[0, 1, 1], [3, 0, 3]], [[1, 1, 1], [2, 2, 0]]])
    found, right = attempt(labels, 5), one_hot(labels, 5)
    shape = tuple(found.shape)
    if shape == (2, 2, 3, 5):
        raise Misconception("The classes are last, as F.one_hot leaves them; a convolution wants them second: permute.")
    if shape == (2, 4, 2, 3):
        raise Misconception(
            "One channel is missing. Either the background has none (it is a class too), or you counted the classes of "
            "this batch: the network's input has `classes` channels whatever a batch happens to show."
        )
    assert shape == (2, 5, 2, 3), f"(B, H, W) should become (B, classes, H, W), here (2, 5, 2, 3), not {shape}."
    if not found.is_floating_point():
        raise Misconception(f"Right places, but of type {found.dtype}: convolutions multiply floats.")
    if torch.equal(found, right * torch.arange(5.0)[:, None, None]):
        raise Misconception(
            "You left the class numbers in the channels. Only 0 and 1: a number says nothing about size."
        )
    if torch.equal(found[:, :4], right[:, 1:]):
        raise Misconception("Class k went to channel k − 1: the background, class 0, is channel 0.")
    if torch.equal(found, 1 - right):
        raise Misconception("Zeros and ones are swapped: 1 where the pixel belongs to the class.")
    assert torch.equal(found, right), "Pixel (i, j) must be 1 in the channel of its class, and 0 in all others."


# --- E2: class weights ----------------------------------------------------------------------------------------------


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """α_c = H·W / Σ_ij E_m[1[m_ij = c]] = B·H·W / count_c, 0 for a class the batch does not show (003 eq. 3.4–3.5)."""
    counts = torch.stack([(labels == c).sum() for c in range(classes)]).float()
    return torch.where(counts > 0, labels.numel() / counts.clamp(min=1), torch.zeros(classes))


def check_class_weights(attempt: Callable[[Tensor, int], Tensor]) -> None:
    """Two maps of 4 x 4 that share their pixels unevenly, and a class that neither shows."""
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    labels[0, 0], labels[1, :2], labels[1, 3, 3] = 1, 1, 2
    found = attempt(labels, 4).float()
    right = class_weights(labels, 4)
    assert found.shape == (4,), f"One weight for each class, shape (4,), not {tuple(found.shape)}."
    if not torch.isfinite(found[3]):
        raise Misconception("A class that the batch does not show has no pixels: give it weight 0, not 1/0.")
    if found[3] > 1 and torch.allclose(found[:3], right[:3]):
        raise Misconception("The class without pixels got a weight: 0, or it lifts whatever you average over classes.")
    counts = labels.numel() / right.clamp_min(1e-9)
    _raise_if_known(found[:3], right[:3], counts[:3], labels)
    assert torch.allclose(found, right, rtol=1e-4), (
        f"19, 12, 1 and 0 of 32 pixels belong to the classes: the weights are {_rounded(right)}, not {_rounded(found)}."
    )


def _raise_if_known(found: Tensor, right: Tensor, counts: Tensor, labels: Tensor) -> None:
    per_image = torch.stack([(labels == c).sum(dim=(1, 2)) for c in range(3)]).float()
    seen = torch.where(per_image > 0, 16 / per_image.clamp_min(1), 0.0)
    known = {
        "Upside down: that is how frequent a class is. A rare class must weigh more, not less.": [1 / right, counts],
        "Half of it: the batch has B·H·W pixels, or else average the counts over the batch as E_m does.": [right / 2],
        "You averaged H·W/count over the images. In eq. 3.4 the mean E_m is taken of the counts, before the division: "
        "an image that shows one pixel of a class must not dominate.": [seen.mean(dim=1), seen.sum(dim=1)],
        "You made the weights sum to 1 (or to the number of classes). Eq. 3.4 does not: α_c times the class's share of "
        "pixels is 1.": [right / right.sum(), 3 * right / right.sum(), 4 * right / right.sum()],
        "You divided by the number of classes as well; eq. 3.4 does not.": [right / 3, right / 4],
        "You took a root or a logarithm: gentler weights, but not those of eq. 3.4.": [right.sqrt(), right.log()],
    }
    for hint, values in known.items():
        if any(torch.allclose(found, value, rtol=1e-3) for value in values):
            raise Misconception(hint)


def _rounded(values: Tensor) -> list[float]:
    return [round(float(value), 3) for value in values]


# --- E3: the generator's loss ---------------------------------------------------------------------------------------


def generator_loss(
    fake_logits: Tensor, reading: Tensor, mask: Tensor, fake_mask: Tensor, seg_weight: float, mask_weight: float
) -> Tensor:
    """λ_seg L_seg + mean softplus(−D(G)) + λ_mask mean (E(m) − E(G))² (003 eq. 3.1, 3.7); ``reading`` is L_seg."""
    fooled = F.softplus(-fake_logits).mean()
    return seg_weight * reading + fooled + mask_weight * (mask - fake_mask).square().mean()


def check_generator_loss(attempt: Callable[..., Tensor]) -> None:
    """Known numbers for every term; then whether a gradient reaches all three."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([[0.4], [-1.3]], requires_grad=True)
    reading = torch.tensor(1.7, requires_grad=True)
    mask = torch.rand(2, 1, 4, 4, generator=generator).round()
    fake_mask = torch.rand(2, 1, 4, 4, generator=generator).requires_grad_()
    weights = (0.7, 0.3)
    loss = attempt(logits, reading, mask, fake_mask, *weights)
    assert loss.ndim == 0, "A loss is one number: take means over batch and pixels."
    _check_generator_value(loss.detach(), logits.detach(), reading.detach(), mask, fake_mask.detach(), weights)
    if not loss.requires_grad:
        raise Misconception("The value is right, but nothing can learn from it: do not detach, and no torch.no_grad().")
    loss.backward()
    terms = {"adversarial": logits, "segmentation": reading, "mask": fake_mask}
    cut = [name for name, tensor in terms.items() if tensor.grad is None or tensor.grad.abs().sum() == 0]
    if cut:
        raise Misconception(
            f"The value is right, but no gradient passes through the {' and the '.join(cut)} term: the generator, "
            "unlike the other networks here, must learn from its images. Do not detach or round them."
        )


def _check_generator_value(
    loss: Tensor, logits: Tensor, reading: Tensor, mask: Tensor, fake_mask: Tensor, weights: tuple[float, float]
) -> None:
    seg, shape = weights
    fooled, caught = F.softplus(-logits).mean(), F.softplus(logits).mean()
    square = (mask - fake_mask).square()
    rest = seg * reading + shape * square.mean()
    right = fooled + rest
    known = {
        "That is the discriminator's wish: softplus(D) is small when D says fake. The generator wants D(G) large: "
        "softplus(−D).": caught + rest,
        "The saturating form: −softplus(D) hardly teaches while the discriminator is winning (lesson 01).": rest
        - caught,
        "D's output is a logit: softplus takes it as it is, without a sigmoid.": F.softplus(-logits.sigmoid()).mean()
        + rest,
        "The segmentator's loss has the wrong sign. It is no adversary: both want the label map to be readable.": fooled
        - seg * reading
        + shape * square.mean(),
        "The mask term is a sum over pixels: with the mean, λ_mask means the same at any image size.": fooled
        + seg * reading
        + shape * square.sum(),
        "The mask term is the absolute difference; eq. 3.7 has the square.": fooled
        + seg * reading
        + shape * (mask - fake_mask).abs().mean(),
        "Both weights are missing: λ_seg and λ_mask.": fooled + reading + square.mean(),
        "The mask term is missing.": fooled + seg * reading,
        "The segmentation term is missing.": fooled + shape * square.mean(),
    }
    expect_value(loss, right, known, "numbers")


# --- E4: noise from an interval -------------------------------------------------------------------------------------


def truncated_noise(uniform: Tensor, limit: float) -> Tensor:
    """z = Φ⁻¹(Φ(−a) + u (Φ(a) − Φ(−a))): N(0, 1) cut to [−a, a], from u ~ U(0, 1) (003 §4.4.3)."""
    below = 0.5 * (1 + math.erf(-limit / math.sqrt(2)))
    return torch.special.ndtri(below + uniform * (1 - 2 * below))


def check_truncated_noise(attempt: Callable[[Tensor, float], Tensor]) -> None:
    """The quantiles from 0.02 to 0.98 for two intervals."""
    uniform = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)
    normal = torch.special.ndtri(uniform)
    for limit in (0.5, 2.0):
        found, right = attempt(uniform, limit).double(), truncated_noise(uniform, limit)
        assert found.shape == uniform.shape, f"One number for each u, shape {tuple(uniform.shape)}."
        upper = torch.special.ndtri(uniform * torch.special.ndtr(torch.tensor(limit, dtype=torch.float64)))
        known = {
            "All of N(0, 1): `limit` is not used.": normal,
            "Clipped: every draw beyond a now sits exactly at a, so a third of them for a = 1. A truncated normal is "
            "drawn again, with no heap at its ends.": normal.clamp(-limit, limit),
            "Scaled: a · z has a wider or narrower bell, but still tails without end.": limit * normal,
            "A uniform distribution on [−a, a]: in the middle of the interval the bell is higher.": (2 * uniform - 1)
            * limit,
            "Cut on the right only: the left tail needs Φ(−a) as well.": upper,
            "You stopped at the probability: Φ⁻¹ turns it back into a number z.": torch.special.ndtr(right),
        }
        for hint, value in known.items():
            if torch.allclose(found, value, atol=1e-4):
                raise Misconception(hint)
        if found.abs().max() > limit + 1e-6:
            raise Misconception(f"For a = {limit:g} some numbers lie outside [−a, a].")
        assert torch.allclose(found, right, atol=1e-4), (
            f"For a = {limit:g}, u = 0.1 should become {truncated_noise(torch.tensor(0.1), limit):.3f}, "
            f"not {float(attempt(torch.tensor([0.1], dtype=torch.float64), limit)[0]):.3f}."
        )
