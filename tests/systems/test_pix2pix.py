"""Pix2pix's own equation, composed by hand in float64 from the discriminator's logits, and what a step may cost."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from medsynth_lib.conventions import Batch
from medsynth_lib.systems.base import frozen
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig

SMALL = {"generator_channels": 4, "depth": 5, "discriminator_channels": 4, "discriminator_layers": 2, "dropout": 0.0}


def make(**changes) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(Pix2PixConfig(**{**SMALL, **changes})).double()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*torch.rand(2, 3, 1, 32, 32, generator=generator, dtype=torch.float64).mul(2).sub(1))


def arrays(system: Pix2Pix, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of (x, y), logits of (x, G(x)) and G(x)."""
    with torch.no_grad():
        fake = system.generator(batch.source)
        real_logits = system.discriminator(torch.cat([batch.source, batch.target], dim=1))
        fake_logits = system.discriminator(torch.cat([batch.source, fake], dim=1))
    return real_logits.numpy(), fake_logits.numpy(), fake.numpy()


def log_sigmoid(logit: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -logit)


#: name → (discriminator on real, on fake, generator) as the papers write them.
EQUATIONS = {
    "bce": (
        lambda real: -0.5 * log_sigmoid(real).mean(),
        lambda fake: -0.5 * np.log1p(-1 / (1 + np.exp(-fake))).mean(),
        lambda fake: -log_sigmoid(fake).mean(),
    ),
    "lsgan": (
        lambda real: 0.5 * ((real - 1) ** 2).mean(),
        lambda fake: 0.5 * (fake**2).mean(),
        lambda fake: ((fake - 1) ** 2).mean(),
    ),
}


@pytest.mark.parametrize("adversarial", EQUATIONS)
def test_losses_are_the_equation(batch, adversarial):
    weights = {"adversarial_weight": 0.7, "l1_weight": 90.0, "ssim_weight": 30.0, "gradient_weight": 4.0}
    system = make(adversarial=adversarial, **weights)
    real, fake_logits, fake = arrays(system, batch)
    on_real, on_fake, on_generator = EQUATIONS[adversarial]
    target = batch.target.numpy()
    similarity = [
        structural_similarity(
            one, other, data_range=2.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )[1][5:-5, 5:-5].mean()
        for one, other in zip(target[:, 0], fake[:, 0], strict=True)
    ]
    edges = [np.abs(np.abs(np.diff(target, axis=axis)) - np.abs(np.diff(fake, axis=axis))).mean() for axis in (2, 3)]
    expected = {
        "discriminator": {"real": on_real(real), "fake": on_fake(fake_logits)},
        "generator": {
            "adversarial": 0.7 * on_generator(fake_logits),
            "l1": 90.0 * np.abs(target - fake).mean(),
            "ssim": 30.0 * (1 - np.mean(similarity)),
            "gradient": 4.0 * sum(edges),
        },
    }
    found = {name: {term: value.item() for term, value in terms.items()} for name, terms in system.phases(batch, 0)}
    assert list(found) == ["discriminator", "generator"]
    for name, terms in expected.items():
        assert found[name] == pytest.approx(terms, rel=1e-9)


def test_one_generator_forward_serves_both_phases(batch):
    system, calls = make(), []
    system.generator.register_forward_hook(lambda *_: calls.append("generator"))
    system.discriminator.register_forward_hook(lambda *_: calls.append("discriminator"))
    for _ in system.phases(batch, 0):
        calls.append("phase")
    assert calls == ["generator", "discriminator", "discriminator", "phase", "discriminator", "phase"]


def test_terms_of_weight_zero_are_left_out(batch):
    terms = dict(make(l1_weight=0.0).phases(batch, 0))
    assert {name: list(found) for name, found in terms.items()} == {
        "discriminator": ["real", "fake"],
        "generator": ["adversarial"],
    }


def test_without_the_adversarial_term_there_is_no_discriminator_phase(batch):
    system, calls = make(adversarial_weight=0.0), []
    system.discriminator.register_forward_hook(lambda *_: calls.append(1))
    assert {name: list(terms) for name, terms in system.phases(batch, 0)} == {"generator": ["l1"]}
    assert calls == []


def test_discriminator_weights_can_learn_again_after_the_step(batch):
    system = make()
    for name, _ in system.phases(batch, 0):
        fixed = [not weight.requires_grad for weight in system.discriminator.parameters()]
        assert all(fixed) if name == "generator" else not any(fixed)
    assert all(weight.requires_grad for weight in system.discriminator.parameters())


def test_what_was_frozen_before_stays_frozen():
    """A student who keeps layers of a judge fixed does not lose that after the first phase."""
    first, second = torch.nn.Linear(2, 2).requires_grad_(False), torch.nn.Linear(2, 2)
    with frozen(torch.nn.Sequential(first, second)):
        assert not second.weight.requires_grad
    assert second.weight.requires_grad
    assert not first.weight.requires_grad


def test_a_step_that_fails_leaves_nothing_frozen(batch):
    system = make()
    phases = system.phases(batch, 0)
    next(phases), next(phases)
    phases.close()  # what an exception in the trainer does
    assert all(weight.requires_grad for weight in system.discriminator.parameters())


def test_the_pool_keeps_each_fake_with_its_own_source():
    """The discriminator judges pairs: an old fake beside a new source would be told apart by the pairing alone."""
    system, made, shown = make(pool_size=4), set(), []
    torch.manual_seed(3)

    def keep(module, inputs, fake):
        pairs = zip(inputs[0], fake.detach(), strict=True)
        made.update((float(source.sum()), float(one.sum())) for source, one in pairs)

    system.generator.register_forward_hook(keep)
    system.discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0].detach()))
    for step in range(8):
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(2, 2, 1, 32, 32, generator=generator, dtype=torch.float64)
        shown.clear()
        next(system.phases(Batch(*images), step))
        for pair in shown[1]:  # real pairs first, then the fakes
            assert (float(pair[0].sum()), float(pair[1].sum())) in made
