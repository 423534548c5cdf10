"""Exercises of lesson 05: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.exercises.loss_checks import expect_value

Network = Callable[[Tensor], Tensor]


# --- E1: a change in HU ---------------------------------------------------------------------------------------------


def change_in_hu(change: Tensor, low: float, high: float) -> Tensor:
    """Difference of two images in [-1, 1] → HU, on the window [low, high]: ``change · (high - low) / 2``."""
    return change * (high - low) / 2


def check_change_in_hu(attempt: Callable[[Tensor, float, float], Tensor]) -> None:
    """No change, both signs and the largest change, on two windows."""
    change = torch.tensor([-2.0, -0.2, 0.0, 0.2, 2.0])
    found, wide = attempt(change, -200.0, 300.0), attempt(change, -1000.0, 1000.0)
    if found[2] != 0:
        raise Misconception(
            f"No change became {found[2]:g} HU: you decoded an image. In a difference of two images the window's "
            "offset has cancelled; only its width is left."
        )
    if torch.allclose(found, 500 * change):
        raise Misconception("Twice too large: [-1, 1] is itself 2 wide, so a change of 1 is half of the window.")
    if torch.allclose(found, wide):
        raise Misconception("You wrote one window into the function: use `low` and `high`.")
    if torch.allclose(found, 250 * change.abs()):
        raise Misconception("The sign is gone: agent taken out is negative, agent put in is positive.")
    if torch.allclose(found, 250 * change.clamp(-1, 1)):
        raise Misconception("Do not clip to [-1, 1]: from one end of the window to the other is a change of 2.")
    assert torch.allclose(found, 250 * change), (
        f"On the window [-200, 300], changes of {change.tolist()} should be {(250 * change).tolist()} HU, "
        f"not {found.tolist()}."
    )


# --- E2: cycle and identity -----------------------------------------------------------------------------------------


def cycle_and_identity(
    to_target: Network,
    to_source: Network,
    source: Tensor,
    target: Tensor,
    cycle_weight: float,
    identity_weight: float,
) -> Tensor:
    """λ1 (|F(G(x)) − x| + |G(F(y)) − y|) + λ2 (|F(x) − x| + |G(y) − y|), means over pixels."""
    cycle = (to_source(to_target(source)) - source).abs().mean() + (to_target(to_source(target)) - target).abs().mean()
    identity = (to_source(source) - source).abs().mean() + (to_target(target) - target).abs().mean()
    return cycle_weight * cycle + identity_weight * identity


def check_cycle_and_identity(attempt: Callable[..., Tensor]) -> None:
    """Two generators that are known straight lines; value first, then whether both learn from the cycle."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.rand(2, 1, 4, 4, generator=generator) * 2 - 1 for _ in range(2))
    to_target, to_source = _line(0.8, -0.3), _line(1.1, 0.2)
    loss = attempt(to_target, to_source, source, target, 10.0, 3.0)
    assert loss.ndim == 0, f"A loss is one number: take means over pixels (yours is {tuple(loss.shape)})."
    _check_faithful_value(loss, to_target, to_source, source, target)
    cycle_only = attempt(to_target, to_source, source, target, 1.0, 0.0)
    right = cycle_and_identity(to_target, to_source, source, target, 1.0, 0.0)
    for network in (to_target, to_source):
        expected = torch.autograd.grad(right, network.weight, retain_graph=True)[0]
        (found,) = torch.autograd.grad(cycle_only, network.weight, retain_graph=True, allow_unused=True)
        if found is None or not torch.allclose(found, expected, rtol=1e-4):
            raise Misconception(
                "The value is right, but part of the gradient is cut off: on the way there and back *both* generators "
                "learn. Nothing is detached here."
            )


def _check_faithful_value(loss: Tensor, to_target: Network, to_source: Network, x: Tensor, y: Tensor) -> None:
    def off(one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().mean()

    G, F_ = to_target, to_source
    with torch.no_grad():
        cycle, identity = off(F_(G(x)), x) + off(G(F_(y)), y), off(F_(x), x) + off(G(y), y)
        forbids = off(G(x), x) + off(F_(y), y)
        squares = (F_(G(x)) - x).square().mean() + (G(F_(y)) - y).square().mean()
        squares = 10 * squares + 3 * ((F_(x) - x).square().mean() + (G(y) - y).square().mean())
        right = 10 * cycle + 3 * identity
        known = {
            "|G(x) − x| asks G to leave the agent in. The identity term shows each generator what it should *put out*: "
            "G(y) ≈ y and F(x) ≈ x.": 10 * cycle + 3 * forbids,
            "The weights are swapped: λ1 belongs to the cycle, λ2 to the identity.": 3 * cycle + 10 * identity,
            "Here λ2 stands on its own. That it is a part of λ1 is the convention of lesson 04.": 10 * cycle
            + 30 * identity,
            "The lecture takes ‖·‖₁, absolute differences, not squares.": squares,
            "The way back starts at the fake: compare F(G(x)) with x, the image it began with.": 10
            * (off(F_(G(x)), y) + off(G(F_(y)), x))
            + 3 * identity,
            "Only one direction: target → source → target must come back, too.": 10 * off(F_(G(x)), x) + 3 * identity,
            "Only one identity: both generators have an image to leave alone.": 10 * cycle + 3 * off(G(y), y),
            "The first generator runs twice: after G comes F.": 10 * (off(G(G(x)), x) + off(F_(F_(y)), y))
            + 3 * identity,
            "The identity is missing.": 10 * cycle,
            "Halved: each of the four terms counts whole.": 0.5 * right,
        }
    expect_value(loss, right, known)


# --- E3: the discriminator of pairs ---------------------------------------------------------------------------------


def pair_discriminator_loss(
    judge: Network, source: Tensor, target: Tensor, fake_target: Tensor, fake_source: Tensor
) -> Tensor:
    """½ [D_C(x, y) − 1]² + ¼ D_C(x, G(x))² + ¼ D_C(F(y), y)², means over patches, no gradient into the generators."""
    real = judge(torch.cat([source, target], dim=1))
    with_fake_target = judge(torch.cat([source, fake_target.detach()], dim=1))
    with_fake_source = judge(torch.cat([fake_source.detach(), target], dim=1))
    fake = with_fake_target.square().mean() + with_fake_source.square().mean()
    return 0.5 * (real - 1).square().mean() + 0.25 * fake


def check_pair_discriminator_loss(attempt: Callable[..., Tensor]) -> None:
    """A judge with one known convolution that treats its channels differently; value first, then its gradients."""
    generator = torch.Generator().manual_seed(0)
    source, target, fake_target, fake_source = (torch.rand(2, 1, 8, 8, generator=generator) * 2 - 1 for _ in range(4))
    for fake in (fake_target, fake_source):
        fake.requires_grad_(True)
    judge = _line(0.7, 0.3, channels=2)
    judge.weight.data[0, 1] = -0.4
    try:
        loss = attempt(judge, source, target, fake_target, fake_source)
    except RuntimeError as error:
        if "channels" in str(error):
            raise Misconception(
                "D_C judges a CECT together with a CT: torch.cat([source, target], dim=1), two channels."
            ) from error
        raise
    assert loss.ndim == 0, f"A loss is one number: take means over patches (yours is {tuple(loss.shape)})."
    _check_pair_value(loss, judge, source, target, fake_target.detach(), fake_source.detach())
    loss.backward()
    if any(fake.grad is not None and fake.grad.abs().sum() > 0 for fake in (fake_target, fake_source)):
        raise Misconception(
            "The value is right, but its gradient reaches the generators, which would learn to be caught. Detach both "
            "fakes before you show them."
        )
    if judge.weight.grad is None or judge.weight.grad.abs().sum() == 0:
        raise Misconception("No gradient reaches the judge: compute its logits with gradients on.")


def _check_pair_value(loss: Tensor, judge: Network, x: Tensor, y: Tensor, fake_y: Tensor, fake_x: Tensor) -> None:
    def off(one: Tensor, other: Tensor, label: float) -> Tensor:
        return (judge(torch.cat([one, other], dim=1)) - label).square().mean()

    def cross_entropy(one: Tensor, other: Tensor, label: float) -> Tensor:
        logits = judge(torch.cat([one, other], dim=1))
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    with torch.no_grad():
        real, fake = off(x, y, 1), off(x, fake_y, 0) + off(fake_x, y, 0)
        turned = off(fake_y, x, 0) + off(y, fake_x, 0)
        right = 0.5 * real + 0.25 * fake
        known = {
            "A pair has an order: source first, then target, in real and fake pairs alike. Shown the fakes the other "
            "way round, the judge learns the order and nothing else.": 0.5 * real + 0.25 * turned,
            "Source first, then target: your pairs are all the other way round. The trainer's judge would not fit.": 0.5
            * off(y, x, 1)
            + 0.25 * turned,
            "Labels swapped: real pairs 1, fake pairs 0.": 0.5 * off(x, y, 0)
            + 0.25 * (off(x, fake_y, 1) + off(fake_x, y, 1)),
            "There are two kinds of fake pair and one of real: each fake counts a quarter, or the judge is paid for "
            "always saying fake.": 0.5 * real + 0.5 * fake,
            "Twice too large: ½ for real pairs, ¼ for each kind of fake pair.": 2 * right,
            "Every pair has one real image. (F(y), G(x)) are two fakes of two different wishes.": 0.5 * real
            + 0.5 * off(fake_x, fake_y, 0),
            "Only one kind of fake pair: the generator of the other direction is never judged.": 0.5 * real
            + 0.5 * off(x, fake_y, 0),
            "Each real image stands beside its *own* fake: x with G(x), y with F(y).": 0.5 * real
            + 0.25 * (off(fake_x, x, 0) + off(y, fake_y, 0)),
            "This is the cross-entropy. The lecture's loss is least squares: (D − 1)² and D².": 0.5
            * cross_entropy(x, y, 1.0)
            + 0.25 * (cross_entropy(x, fake_y, 0.0) + cross_entropy(fake_x, y, 0.0)),
            "Only real pairs are judged: D_C must also learn what is fake.": 0.5 * real,
        }
    expect_value(loss, right, known)


# --- E4: inside the agent, and outside it ---------------------------------------------------------------------------


def agent_scores(fake: np.ndarray, target: np.ndarray, agent: np.ndarray, body: np.ndarray) -> tuple[float, float]:
    """(mean signed error where agent shows, mean absolute error in the rest of the body) of one slice, in HU."""
    error = fake - target
    return float(error[agent].mean()), float(np.abs(error[body & ~agent]).mean())


def check_agent_scores(attempt: Callable[..., tuple[float, float]]) -> None:
    """A slice of which a quarter is body: most of the agent taken out of a few pixels, and noise of either sign."""
    rng = np.random.default_rng(0)
    body, agent = np.zeros((2, 16, 16), bool)
    body[4:12, 4:12] = True
    agent[6:8, 6:9] = True
    target = np.where(body, 40.0, -200.0)
    fake = target + np.where(body, rng.normal(3, 10, body.shape), 0) + 6.0 * agent + np.where(body, 0, 1.0)
    inside, outside = map(float, attempt(fake, target, agent, body))
    error, rest = fake - target, body & ~agent
    right = agent_scores(fake, target, agent, body)
    _check_inside(inside, outside, error, agent, body, right)
    for hint, value in {
        "Outside agent you took the whole slice: air is easy, and makes any method look good. Stay in the "
        "body.": np.abs(error[~agent]).mean(),
        "Outside agent, positive and negative errors cancelled: take absolute values *there*.": error[rest].mean(),
        "The rest of the body is without the agent's pixels: body & ~agent.": np.abs(error[body]).mean(),
        "You divided by all pixels of the slice, not by those of the region: index with the mask, then take the "
        "mean.": np.abs(error * rest).mean(),
    }.items():
        if np.isclose(outside, value):
            raise Misconception(hint)
    assert np.isclose(outside, right[1]), f"Outside agent expected {right[1]:.2f} HU, got {outside:.2f}."


def _check_inside(
    inside: float, outside: float, error: np.ndarray, agent: np.ndarray, body: np.ndarray, right: tuple[float, float]
) -> None:
    slips = {
        "The sign is turned: positive means that the fake is too bright, that agent was left in.": -right[0],
        "Where agent shows you took the mean over the whole body: the few pixels that matter drown.": error[
            body
        ].mean(),
        "You divided by all pixels of the slice, not by those of the agent: index with the mask, then take the mean.": (
            error * agent
        ).mean(),
        "You took the median: half of the vessels may still be bright when the median is 0.": np.median(error[agent]),
    }
    if np.allclose((inside, outside), right[::-1]):
        raise Misconception("The two numbers are the other way round: first where agent shows.")
    if np.isclose(inside, np.abs(error[agent]).mean()):
        raise Misconception(
            "Where agent shows, keep the sign: it says whether agent is left (+) or too much was taken out (−), and "
            "noise, of either sign, averages out. An absolute error mixes both with the noise."
        )
    for hint, value in slips.items():
        if np.isclose(inside, value):
            raise Misconception(hint)
    assert np.isclose(inside, right[0]), f"Where agent shows expected {right[0]:.2f} HU, got {inside:.2f}."


def _line(slope: float, offset: float, channels: int = 1) -> nn.Conv2d:
    """A convolution of one pixel: slope times each channel, plus an offset."""
    layer = nn.Conv2d(channels, 1, 1)
    nn.init.constant_(layer.weight, slope)
    nn.init.constant_(layer.bias, offset)
    return layer
