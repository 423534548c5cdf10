"""The cascade's own equation in numpy and float64, its optimizer by hand, and what leaves it."""

import numpy as np
import pytest
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.errors import MedSynthError
from medsynth_lib.systems.unet_cascade import UNetCascade, UNetCascadeConfig

SMALL = {"generator_channels": 4, "depth": 3, "output": "linear"}


def make(**changes) -> UNetCascade:
    torch.manual_seed(0)
    return UNetCascade(UNetCascadeConfig(**{**SMALL, **changes})).double()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*torch.rand(2, 3, 1, 16, 16, generator=generator, dtype=torch.float64).mul(2).sub(1))


def stages_by_hand(system: UNetCascade, source: torch.Tensor) -> list[np.ndarray]:
    """ŷ_1 = U_1(x), ŷ_k = U_k(x ‖ ŷ_{k-1}), one U-Net at a time."""
    made = []
    with torch.no_grad():
        for unet in system.generator.stages:
            seen = np.concatenate([source.numpy(), *made[-1:]], axis=1)
            made.append(unet(torch.from_numpy(seen)).numpy())
    return made


@pytest.mark.parametrize("output", ["linear", "clip"])
@pytest.mark.parametrize(
    ("stages", "weights", "expected"),
    [
        (1, (), {1: 1.0}),
        (3, (), {1: 1.0, 2: 1.0, 3: 1.0}),
        (3, (0.25, 0.0, 2.0), {1: 0.25, 3: 2.0}),
    ],
)
def test_losses_are_the_weighted_squared_errors_of_the_stages(batch, stages, weights, expected, output):
    system = make(stages=stages, stage_weights=weights, output=output)
    made = stages_by_hand(system, batch.source)
    ((name, terms),) = system.phases(batch, 0)
    assert name == "generator"
    assert {term: value.item() for term, value in terms.items()} == pytest.approx(
        {f"stage_{k}": w * np.mean((made[k - 1] - batch.target.numpy()) ** 2) for k, w in expected.items()}, rel=1e-12
    )


def test_translate_is_the_last_stage_clipped(batch):
    system = make(stages=3)
    source = 5 * batch.source  # far enough out that some pixels leave [-1, 1]
    by_hand = stages_by_hand(system, source)
    assert max(np.abs(one).max() for one in by_hand) > 1
    with torch.no_grad():
        stages = system.translate_stages(source)
        assert torch.equal(system.translate(source), stages[-1])
    for one, other in zip(stages, by_hand, strict=True):
        np.testing.assert_allclose(one.numpy(), np.clip(other, -1, 1), rtol=1e-12)


def test_clipping_never_adds_error(batch):
    """Its reason: the target lies in [-1, 1], a convex set, and a projection onto it moves no pixel away."""
    system, target = make(), batch.target
    with torch.no_grad():
        raw = system.generator(10 * batch.source)[-1]
        clipped = system.translate(10 * batch.source)
    before, after = (raw - target).abs(), (clipped - target).abs()
    assert bool((after <= before).all())
    assert after.sum() < before.sum()


def test_air_beyond_the_window_is_right_and_a_body_there_is_called_back(batch):
    """All outputs far below -1: of a clipped stage that is exactly air, and only what is not air has a gradient."""
    for output, target, expected in [
        ("clip", torch.full_like(batch.target, -1.0), 0.0),
        ("clip", torch.full_like(batch.target, 0.5), 2 * (-1 - 0.5)),
        ("linear", torch.full_like(batch.target, -1.0), 2 * (-50 + 1)),
    ]:
        system = make(output=output)
        head = system.generator.stages[0].head
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, -50.0)
        ((_, terms),) = system.phases(Batch(batch.source, target), 0)
        terms["stage_1"].backward()
        assert head.bias.grad.item() == pytest.approx(expected)
        assert bool((system.translate(batch.source) == -1).all())


def test_the_papers_recipe_comes_back_from_all_air():
    """No norm, rate 1e-3, weight decay: the first steps push every output below -1, where clipping is flat."""
    torch.manual_seed(0)
    system = UNetCascade(UNetCascadeConfig(generator_channels=8, depth=3))
    torch.nn.init.constant_(system.generator.stages[0].head.bias, -3.0)
    optimizer, target = system.optimizer("generator"), torch.full((1, 1, 16, 16), -1.0)
    target[..., 4:12, 4:12] = -0.5
    for _ in range(80):
        ((_, terms),) = system.phases(Batch(target, target), 0)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    with torch.no_grad():
        assert (system.translate(target)[..., 4:12, 4:12] > -1).float().mean() > 0.9


def test_the_first_step_is_adam_with_l2_regularisation_by_hand(batch):
    """θ ← θ − η g / (|g| + ε) with g = ∇loss + λθ: at the first step Adam's means are the gradient and its square."""
    system = make(weight_decay=1e-3)
    ((name, terms),) = system.phases(batch, 0)
    optimizer = system.optimizer(name, fused=False)
    before = [weight.detach().clone() for weight in system.parameters()]
    sum(terms.values()).backward()
    gradients = [weight.grad + 1e-3 * weight.detach() for weight in system.parameters()]
    optimizer.step()
    for weight, old, gradient in zip(system.parameters(), before, gradients, strict=True):
        expected = old - 1e-3 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-9, atol=1e-12)


def test_without_a_gradient_weights_decay_towards_zero_and_without_decay_stay():
    for weight_decay, shrinks in ((1e-3, True), (0.0, False)):
        system = make(weight_decay=weight_decay)
        optimizer = system.optimizer("generator", fused=False)
        for weight in system.parameters():
            weight.grad = torch.zeros_like(weight)
        before = sum(float(weight.detach().abs().sum()) for weight in system.parameters())
        optimizer.step()
        after = sum(float(weight.detach().abs().sum()) for weight in system.parameters())
        assert (after < before) == shrinks
        assert (after == before) != shrinks


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, float("nan"))])
def test_stage_weights_must_fit(weights):
    with pytest.raises(MedSynthError, match="stage weights"):
        make(stages=2, stage_weights=weights)


def test_the_default_is_about_fifty_million_parameters():
    with torch.device("meta"):
        system = UNetCascade()
    count = sum(parameter.numel() for parameter in system.parameters())
    # 48,484,563 with the paper's three channels (RGB copies of one grey image); one channel has this many less.
    assert count == 48_484_563 - 2 * 9 * 80 - (2 * 80 + 2)


def test_a_small_cascade_learns_what_intensity_alone_cannot_say():
    """The target is the source moved by two pixels: no look-up table helps, a neighbourhood does."""
    torch.manual_seed(0)
    system = UNetCascade(UNetCascadeConfig(generator_channels=8, depth=2, stages=2, weight_decay=0.0))
    optimizer = system.optimizer("generator")
    generator = torch.Generator().manual_seed(2)
    for _ in range(200):
        source = torch.rand(4, 1, 16, 16, generator=generator) * 2 - 1
        ((_, terms),) = system.phases(Batch(source, source.roll(2, dims=3)), 0)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    with torch.no_grad():
        error = (system.translate(source) - source.roll(2, dims=3))[..., 2:].square().mean()
    assert error < 0.1  # the variance of the target is 1/3, the best a look-up table can do
