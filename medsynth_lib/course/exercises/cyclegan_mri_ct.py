"""Exercises of lesson 04: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.exercises.loss_checks import expect_only_discriminator_learns, expect_value

Network = Callable[[Tensor], Tensor]


# --- E1: the discriminator's loss, least squares --------------------------------------------------------------------


def discriminator_loss(discriminator: Network, real: Tensor, fake: Tensor) -> Tensor:
    """½ [E(D(y) − 1)² + E D(ŷ)²], with no gradient into the generator (002; Mao et al. 2017, eq. 9)."""
    on_real = ((discriminator(real) - 1) ** 2).mean()
    on_fake = (discriminator(fake.detach()) ** 2).mean()
    return 0.5 * (on_real + on_fake)


def check_discriminator_loss(attempt: Callable[..., Tensor]) -> None:
    """A discriminator with known weights; value first, then where its gradients go."""
    real, fake = _images(2)
    fake.requires_grad_(True)
    judge = _linear(0.7, 0.3)
    loss = attempt(judge, real, fake)
    _check_number(loss)
    with torch.no_grad():
        right, a, b = discriminator_loss(judge, real, fake), judge(real), judge(fake)
        known = {
            "Labels swapped: the verdict on real images should be 1, on synthetic ones 0.": discriminator_loss(
                judge, fake, real
            ),
            "Twice too large: take half the sum, so that D learns a little more slowly than G.": (2 * right),
            "That is the log form of lesson 01. Here the verdict is compared with 1 or 0 by a square.": 0.5
            * (F.softplus(-a) + F.softplus(b)).mean(),
            "A sigmoid too many: least squares takes the network's output as it is.": 0.5
            * ((a.sigmoid() - 1).square() + b.sigmoid().square()).mean(),
            "Only real images are judged: a discriminator must also learn what is fake.": 0.5 * (a - 1).square().mean(),
            "The verdict on fakes should be 0, not −1: square it as it is.": 0.5
            * ((a - 1).square() + (b + 1).square()).mean(),
            "Square first, then take the mean: the mean verdict may be right while every patch is wrong.": 0.5
            * ((a.mean() - 1).square() + b.mean().square()),
        }
    expect_value(loss, right, known)
    expect_only_discriminator_learns(loss, judge, fake, "verdicts")


# --- E2: there and back ---------------------------------------------------------------------------------------------


def cycle_loss(to_target: Network, to_source: Network, source: Tensor, target: Tensor) -> Tensor:
    """E|F(G(x)) − x| + E|G(F(y)) − y| (004 eq. 2), with gradients into both generators."""
    recovered_source = to_source(to_target(source))
    recovered_target = to_target(to_source(target))
    return (recovered_source - source).abs().mean() + (recovered_target - target).abs().mean()


def check_cycle_loss(attempt: Callable[..., Tensor]) -> None:
    """Two generators that can be told apart by every order in which they may be called."""
    source, target = _images(2)
    there, back = _linear(0.6, 0.1), _linear(1.4, -0.2)
    loss = attempt(there, back, source, target)
    _check_number(loss)
    with torch.no_grad():
        right = cycle_loss(there, back, source, target)
        known = {
            "You went there twice: F, `to_source`, must bring the fake back.": _both(
                there(there(source)), source, there(there(target)), target
            ),
            "You went there twice: each way starts with its own generator and ends with the other one.": _both(
                there(there(source)), source, back(back(target)), target
            ),
            "The wrong generator first: an MR slice x enters G, `to_target`; a CT slice y enters F.": cycle_loss(
                back, there, source, target
            ),
            "Only one way round: CT → MR → CT must close too, or F may forget what only CT shows.": _distance(
                back(there(source)), source
            ),
            "Only one way round: MR → CT → MR must close too.": _distance(there(back(target)), target),
            "|·|₁ is the absolute difference: squares forgive the small errors that blur an image.": (
                (back(there(source)) - source).square().mean() + (there(back(target)) - target).square().mean()
            ),
            "That compares the fake with its own source, and so asks G to change nothing. Bring it back first.": (
                _both(there(source), source, back(target), target)
            ),
            "Source and target are different patients here: compare each recovered image with its own beginning.": (
                _both(back(there(source)), target, there(back(target)), source)
            ),
            "Take means, not sums: else λ would depend on the size of the images.": (
                (back(there(source)) - source).abs().sum() + (there(back(target)) - target).abs().sum()
            ),
        }
    expect_value(loss, right, known)
    loss.backward()
    for network in (there, back):
        expected = torch.autograd.grad(cycle_loss(there, back, source, target), network.weight)[0]
        if network.weight.grad is None or not torch.allclose(network.weight.grad, expected, rtol=1e-3):
            raise Misconception(
                "The value is right, but part of its gradient is cut off: both generators learn from both ways round, "
                "so the fake in the middle must not be detached."
            )


# --- E3: the replay pool --------------------------------------------------------------------------------------------


def swap(kept: list[Tensor], image: Tensor, size: int) -> Tensor:
    """The image to show: ``image``, or with probability ½ one of ``kept``, whose place it takes.

    While fewer than ``size`` images are kept, the new one is kept and shown (Zhu et al. 2017, §4).
    """
    if len(kept) < size:
        kept.append(image)
        return image
    if torch.rand(()) < 0.5:
        return image
    slot = int(torch.randint(size, ()))
    old, kept[slot] = kept[slot], image
    return old


def check_swap(attempt: Callable[[list[Tensor], Tensor, int], Tensor]) -> None:
    """Two thousand numbered images through a pool of eight."""
    size, count = 8, 2000
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kept: list[Tensor] = []
        shown = []
        for number in range(count):
            found = attempt(kept, torch.full((1, 2, 2), float(number)), size)
            assert isinstance(found, Tensor), f"Return the image to show, not {type(found).__name__}."
            shown.append(int(found.flatten()[0]))
            if len(kept) > size:
                raise Misconception(f"The pool grew to {len(kept)} images: it keeps {size}, a new one takes a place.")
    if not kept:
        raise Misconception("Nothing is kept: while the pool is not full, append the image to `kept`.")
    if shown[:size] != list(range(size)):
        raise Misconception("While the pool fills, the new image itself is shown.")
    _check_ages(shown, {int(image.flatten()[0]) for image in kept}, size)


def _check_ages(shown: list[int], kept: set[int], size: int) -> None:
    old = [(number, one) for number, one in enumerate(shown) if one != number]
    share = len(old) / (len(shown) - size)
    if share == 0:
        raise Misconception("Always the newest image: the discriminator forgets what the generator drew earlier.")
    if share > 0.95:
        raise Misconception("Always an old image: half of the time the discriminator should see the newest.")
    if all(one < size for _, one in old):
        raise Misconception("The pool never changes: the image that is not shown takes the place of the one that is.")
    if len({one for _, one in old}) < len(old):
        raise Misconception("An image comes back again and again: the one that is shown leaves the pool.")
    if min(kept) < size:
        raise Misconception("Some places never change: draw the place anew each time, among all of them.")
    ones = [one for _, one in old]
    if ones == sorted(ones):
        raise Misconception("Always the oldest: draw a place at random.")
    assert 0.42 < share < 0.58, f"Half of the images shown should be old ones, not {share:.0%}."
    # Swapped with probability 1/2 into one of `size` places, an image stays for 2 · size more images on average.
    age = sum(number - one for number, one in old) / len(old)
    assert 0.7 < age / (2 * size) < 1.4, f"Old images should be {2 * size} steps old on average, not {age:.0f}."


# --- E4: the generators' objective ----------------------------------------------------------------------------------


def generator_loss(
    nets: SimpleNamespace,
    source: Tensor,
    target: Tensor,
    fake_target: Tensor,
    fake_source: Tensor,
    cycle_weight: float,
    identity_weight: float,
) -> Tensor:
    """E(D_Y(G(x)) − 1)² + E(D_X(F(y)) − 1)² + λ [cycle + λ_id · identity] (002's objective; Zhu et al. 2017, §3, §5.2).

    Args:
        nets: has ``to_target``, ``to_source``, ``target_discriminator`` and ``source_discriminator``.
        fake_target, fake_source: G(x) and F(y), drawn already.
    """
    fooled = ((nets.target_discriminator(fake_target) - 1) ** 2).mean()
    fooled = fooled + ((nets.source_discriminator(fake_source) - 1) ** 2).mean()
    cycle = (nets.to_source(fake_target) - source).abs().mean() + (nets.to_target(fake_source) - target).abs().mean()
    identity = (nets.to_target(target) - target).abs().mean() + (nets.to_source(source) - source).abs().mean()
    return fooled + cycle_weight * (cycle + identity_weight * identity)


def check_generator_loss(attempt: Callable[..., Tensor]) -> None:
    """Four networks with known weights; value first, then whether each generator learns to fool its judge."""
    source, target = _images(2)
    nets = SimpleNamespace(
        to_target=_linear(0.6, 0.1),
        to_source=_linear(1.4, -0.2),
        target_discriminator=_linear(0.7, 0.3),
        source_discriminator=_linear(-0.5, 0.2),
    )
    fake_target, fake_source = nets.to_target(source), nets.to_source(target)
    loss = attempt(nets, source, target, fake_target, fake_source, 10.0, 0.5)
    _check_number(loss)
    with torch.no_grad():
        right = generator_loss(nets, source, target, fake_target, fake_source, 10.0, 0.5)
        known = _wrong_objectives(nets, source, target, fake_target, fake_source)
    expect_value(loss, right, known)
    others = attempt(nets, source, target, fake_target, fake_source, 4.0, 0.25)
    expected = generator_loss(nets, source, target, fake_target, fake_source, 4.0, 0.25)
    if not torch.allclose(others, expected, rtol=1e-4):
        raise Misconception("You wrote the weights into the function: use `cycle_weight` and `identity_weight`.")
    alone = attempt(nets, source, target, nets.to_target(source), nets.to_source(target), 0.0, 0.0)
    weights = [nets.to_target.weight, nets.to_source.weight]
    found = torch.autograd.grad(alone, weights, allow_unused=True) if alone.requires_grad else [None]
    if any(one is None or one.abs().sum() == 0 for one in found):
        raise Misconception("A generator learns nothing from its judge: here, unlike in E1, fakes are not detached.")


def _wrong_objectives(
    nets: SimpleNamespace, source: Tensor, target: Tensor, fake_target: Tensor, fake_source: Tensor
) -> dict[str, Tensor]:
    """Hint → the value that this wrong idea gives, for λ = 10 and λ_id = 0.5."""
    there, back = nets.to_target, nets.to_source
    on_target, on_source = nets.target_discriminator(fake_target), nets.source_discriminator(fake_source)
    fooled = (on_target - 1).square().mean() + (on_source - 1).square().mean()
    crossed = nets.target_discriminator(fake_source), nets.source_discriminator(fake_target)
    crossed_fooled = (crossed[0] - 1).square().mean() + (crossed[1] - 1).square().mean()
    cycle = cycle_loss(there, back, source, target)
    identity = _both(there(target), target, back(source), source)
    unmoved = _both(fake_target, source, fake_source, target)
    rest = 10 * (cycle + 0.5 * identity)
    return {
        "The identity term is missing: a CT needs no change, and G should leave it alone.": fooled + 10 * cycle,
        "Identity of the wrong modality: G(x) must differ from x. Show each generator an image of what it draws: "
        "G(y) − y and F(x) − x.": fooled + 10 * (cycle + 0.5 * unmoved),
        "The identity weight is relative to the cycle's: λ · λ_id, as in the formula.": (
            fooled + 10 * cycle + 0.5 * identity
        ),
        "The cycle term is missing.": fooled + 10 * 0.5 * identity,
        "Nobody judges the fakes: without the adversarial terms, doing nothing at all is optimal.": rest,
        "Label swapped: with 0 the generators learn to be caught. They want a verdict of 1.": (
            on_target.square().mean() + on_source.square().mean() + rest
        ),
        "Judges crossed: D_Y, `target_discriminator`, judges G(x), `fake_target`; D_X judges F(y).": (
            crossed_fooled + rest
        ),
        "Only G meets its judge: F must fool D_X too.": (on_target - 1).square().mean() + rest,
        "Half too small: only the discriminators' loss is halved.": 0.5 * fooled + rest,
        "Identity and cycle have changed places: λ weighs both, λ_id the identity alone.": (
            fooled + 10 * (identity + 0.5 * cycle)
        ),
    }


# --- what the checks share ------------------------------------------------------------------------------------------


def _images(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 1, 8, 8, generator=generator) * 2 - 1 for _ in range(count)]


def _linear(weight: float, bias: float) -> nn.Conv2d:
    """A network small enough to be known: weight · image + bias."""
    network = nn.Conv2d(1, 1, 1)
    nn.init.constant_(network.weight, weight)
    nn.init.constant_(network.bias, bias)
    return network


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().mean()


def _both(one: Tensor, as_one: Tensor, other: Tensor, as_other: Tensor) -> Tensor:
    return _distance(one, as_one) + _distance(other, as_other)


def _check_number(loss: Tensor) -> None:
    assert isinstance(loss, Tensor), f"A loss is a tensor that gradients can flow from, not {type(loss).__name__}."
    assert loss.ndim == 0, f"A loss is one number: take the mean over pixels and batch (yours is {tuple(loss.shape)})."
