"""Exercises of lesson 01: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.exercises.loss_checks import expect_only_discriminator_learns, expect_value

Discriminator = Callable[[Tensor], Tensor]


# --- E1: the best discriminator -------------------------------------------------------------------------------------


def best_discriminator(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D*(x) = p(x) / (p(x) + q(x)), the probability that x is real (Goodfellow et al. 2014, proposition 1)."""
    return p / (p + q)


def check_best_discriminator(attempt: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Four points where p and q are known."""
    p, q = np.array([0.4, 0.2, 0.1, 0.3]), np.array([0.1, 0.2, 0.3, 0.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.asarray(attempt(p, q), dtype=float)
        known = {
            "That is the probability of being generated: D says how likely x is real, so p goes on top.": q / (p + q),
            "p/q is the ratio of the densities, not a probability: it passes 1. Divide by the sum of both.": p / q,
            "log(p/q) is the logit of D*, what a network puts out before its sigmoid. Here D* itself is asked for.": (
                np.log(p / q)
            ),
            "A density is no probability of being real: where q is large too, x is in doubt.": p,
            "The mixture of both sources has the density (p + q)/2; the real half of it is p/2, not p.": (
                2 * p / (p + q)
            ),
            "Do not normalise over x: D judges each x on its own, and its values need not add up to 1.": (
                p / (p + q) / (p / (p + q)).sum()
            ),
        }
    for hint, value in known.items():
        if found.shape == value.shape and np.allclose(found, value, equal_nan=True):
            raise Misconception(hint)
    expected = best_discriminator(p, q)
    assert found.shape == expected.shape, f"One value for each of the {len(p)} points, not {found.shape}."
    assert np.allclose(found, expected), (
        f"For p = {p.tolist()} and q = {q.tolist()}, D* should be {expected.tolist()}, not {found.tolist()}."
    )


# --- E2: the discriminator's loss -----------------------------------------------------------------------------------


def discriminator_loss(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """½ [−log σ(D(x)) − log(1 − σ(D(G(z))))], with no gradient into the generator."""
    real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
    on_real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    on_fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return 0.5 * (on_real + on_fake)


def check_discriminator_loss(attempt: Callable[..., Tensor]) -> None:
    """A discriminator with known weights; value first, then where its gradients go."""
    judge, real, fake = _players()
    loss = attempt(judge, real, fake)
    _check_number(loss)
    with torch.no_grad():
        right = discriminator_loss(judge, real, fake)
        real_logits, fake_logits = judge(real), judge(fake)
        known = {
            "Labels swapped: real is labelled 1, generated 0.": discriminator_loss(judge, fake, real),
            "Twice too large: half the sum, so that the value at equilibrium is log 2 and lesson 02 agrees.": 2 * right,
            "A sigmoid too many: binary_cross_entropy_with_logits takes the logits as they are.": 0.5
            * (F.softplus(-real_logits.sigmoid()).mean() + F.softplus(fake_logits.sigmoid()).mean()),
            "Only real images are judged: a discriminator must also learn what is fake.": F.softplus(
                -real_logits
            ).mean(),
            "The sign: V is what the discriminator makes large; a loss is made small, so it is −V.": -right,
        }
    expect_value(loss, right, known, "points")
    expect_only_discriminator_learns(loss, judge, fake, "logits")


# --- E3: the generator's loss ---------------------------------------------------------------------------------------


def generator_loss(discriminator: Discriminator, fake: Tensor) -> Tensor:
    """−log σ(D(G(z))), the non-saturating loss, with its gradient into the generator."""
    logits = discriminator(fake)
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def check_generator_loss(attempt: Callable[..., Tensor]) -> None:
    """The same discriminator; value first, then whether the gradient reaches the generator."""
    judge, _, fake = _players()
    loss = attempt(judge, fake)
    _check_number(loss)
    with torch.no_grad():
        right, logits = generator_loss(judge, fake), judge(fake)
        known = {
            "That is the saturating loss log(1 − σ): its slope is σ, nearly 0 while the discriminator is sure. Make "
            "−log σ small instead.": -F.softplus(logits).mean(),
            "Label swapped: with label 0 the generator learns to be caught. It wants its images called real.": (
                F.softplus(logits).mean()
            ),
            "A sigmoid too many: binary_cross_entropy_with_logits takes the logits as they are.": F.softplus(
                -logits.sigmoid()
            ).mean(),
            "The sign: you made log σ small, which is to be caught. Put a minus before it.": -right,
            "Half too small: only the discriminator's loss is halved.": 0.5 * right,
        }
    expect_value(loss, right, known, "points")
    if loss.requires_grad:
        loss.backward()
    if fake.grad is None or fake.grad.abs().sum() == 0:
        raise Misconception(
            "The value is right, but no gradient reaches the generator: here the fake must not be detached, for it is "
            "the generator that learns."
        )


# --- E4: counting modes ---------------------------------------------------------------------------------------------


def count_modes(samples: Tensor, centres: Tensor, std: float) -> tuple[int, float]:
    """(modes with a sample within 3 std, share of samples within 3 std of any mode) (VEEGAN, §5.1)."""
    distances = torch.cdist(samples, centres)
    nearest, modes = distances.min(dim=1)
    good = nearest <= 3 * std
    return len(modes[good].unique()), float(good.float().mean())


def check_count_modes(attempt: Callable[[Tensor, Tensor, float], tuple[int, float]]) -> None:
    """Four modes at the corners of a square: two are reached, a third only from afar, the last not at all."""
    centres, std = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]), 0.1
    near = [(0, 0.0, 0.0), (0, 0.15, 0.0), (0, 0.0, -0.28), (1, 0.05, 0.05)]
    far = [(0, 0.25, 0.25), (0, 0.4, 0.0), (2, 0.7, 0.0)]
    samples = torch.stack([centres[mode] + torch.tensor([x, y]) for mode, x, y in near + far])
    covered, share = attempt(samples, centres, std)
    covered, share = int(covered), float(share)
    known = {
        (3, 1.0): "You count every sample to its nearest mode, however far it lies: only those within 3 std belong.",
        (2, 5 / 7): "Distance along each axis makes a square: a corner of it is 4.2 std away. Use the distance itself.",
        (2, 6 / 7): "You compare a squared distance with 3 · std: take the square root first.",
        (2, 2 / 7): "Within 3 std, not within 1: 61 % of a mode's own samples in the plane lie further than one std.",
        (4, 4 / 7): "You counted the modes there are, not the modes that samples reach.",
        (4, 4.0): "You counted samples, not modes: four samples lie near a mode, near two different modes.",
    }
    for (modes, part), hint in known.items():
        if covered == modes and abs(share - part) < 1e-6:
            raise Misconception(hint)
    assert covered == 2, f"Samples reach 2 of the modes here, not {covered}: count each mode once."
    if abs(share - 4) < 1e-6:
        raise Misconception("The share is of all samples: divide the good ones by how many samples there are.")
    assert abs(share - 4 / 7) < 1e-6, (
        f"4 of the 7 samples lie within 3 std of a mode, a share of 0.571, not {share:.3f}."
    )


# --- what the checks of both losses share ---------------------------------------------------------------------------


def _players() -> tuple[nn.Module, Tensor, Tensor]:
    """A discriminator with known weights, real points and fakes whose gradient can be looked at."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(4, 2, generator=generator) * 2 - 1 for _ in range(2))
    judge = nn.Linear(2, 1)
    nn.init.constant_(judge.weight, 0.7)
    nn.init.constant_(judge.bias, 0.3)
    return judge, real, fake.requires_grad_(True)


def _check_number(loss: Tensor) -> None:
    assert loss.ndim == 0, f"A loss is one number: take the mean over the batch (yours is {tuple(loss.shape)})."
