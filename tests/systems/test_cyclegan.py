"""CycleGAN's own equation, composed by hand in float64, what each term is blind to, and what must be kept apart."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from medsynth_lib.conventions import Batch
from medsynth_lib.errors import TrainingError
from medsynth_lib.systems.cyclegan import CycleGAN, CycleGANConfig, cycle_sensitivity
from medsynth_lib.training.checkpoint import MODEL
from medsynth_lib.training.run import load_system
from tests.systems.contract import NoiseSlices, make_trainer

SMALL = {
    "generator_channels": 4,
    "blocks": 1,
    "discriminator_channels": 4,
    "discriminator_layers": 2,
    "pool_size": 0,
}
NETWORKS = ("to_target", "to_source", "target_discriminator", "source_discriminator")


def make(**changes) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(CycleGANConfig(**{**SMALL, **changes})).double()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*torch.rand(2, 3, 1, 32, 32, generator=generator, dtype=torch.float64).mul(2).sub(1))


def values(system: CycleGAN, batch: Batch) -> dict[str, dict[str, float]]:
    return {name: {term: one.item() for term, one in terms.items()} for name, terms in system.phases(batch, 0)}


def in_numpy(network: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: network(torch.from_numpy(image)).detach().numpy()


class Function(nn.Module):
    """Stands in for a network: a function of the image, with one weight to freeze."""

    def __init__(self, function):
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.ones(()))

    def forward(self, image):
        return self.function(image) * self.weight


def test_default_networks_are_the_papers():
    with torch.device("meta"):
        system = CycleGAN()
    counts = [sum(weight.numel() for weight in getattr(system, name).parameters()) for name in NETWORKS]
    assert counts == [11_365_633, 11_365_633, 2_762_689, 2_762_689]
    assert [pool.size for pool in system.pools().values()] == [50, 50]


@pytest.mark.parametrize(("cycle", "identity"), [(10.0, 0.5), (4.0, 0.25)])
def test_losses_are_the_equation(batch, cycle, identity):
    system = make(cycle_weight=cycle, identity_weight=identity)
    with torch.no_grad():
        networks = (getattr(system, name) for name in NETWORKS)
        to_target, to_source, judge_target, judge_source = map(in_numpy, networks)
        x, y = batch.source.numpy(), batch.target.numpy()
        fake_target, fake_source = to_target(x), to_source(y)
        expected = {
            "generators": {
                "target_adversarial": np.mean((judge_target(fake_target) - 1) ** 2),
                "source_adversarial": np.mean((judge_source(fake_source) - 1) ** 2),
                "source_cycle": cycle * np.abs(to_source(fake_target) - x).mean(),
                "target_cycle": cycle * np.abs(to_target(fake_source) - y).mean(),
                "target_identity": cycle * identity * np.abs(to_target(y) - y).mean(),
                "source_identity": cycle * identity * np.abs(to_source(x) - x).mean(),
            },
            "discriminators": {
                "target_real": 0.5 * np.mean((judge_target(y) - 1) ** 2),
                "target_fake": 0.5 * np.mean(judge_target(fake_target) ** 2),
                "source_real": 0.5 * np.mean((judge_source(x) - 1) ** 2),
                "source_fake": 0.5 * np.mean(judge_source(fake_source) ** 2),
            },
        }
    found = values(system, batch)
    assert list(found) == ["generators", "discriminators"]
    for name, terms in expected.items():
        assert found[name] == pytest.approx(terms, rel=1e-9)


def test_generators_that_undo_each_other_have_no_cycle_loss_and_yet_may_invert_everything(batch):
    """The cycle is blind to an inversion that its partner undoes; the identity term sees it."""
    system = make()
    system.to_target, system.to_source = Function(lambda x: -x), Function(lambda y: -y)
    terms = values(system, batch)["generators"]
    assert terms["source_cycle"] == terms["target_cycle"] == 0
    assert terms["target_identity"] == pytest.approx(5 * 2 * float(batch.target.abs().mean()))

    system.to_target, system.to_source = Function(lambda x: x**3), Function(lambda y: y.sign() * y.abs() ** (1 / 3))
    terms = values(system, batch)["generators"]
    assert [terms["source_cycle"], terms["target_cycle"]] == pytest.approx([0, 0], abs=1e-12)
    system.to_source = Function(lambda y: y)
    assert values(system, batch)["generators"]["source_cycle"] > 0.1


def test_generators_that_change_nothing_have_no_identity_and_no_cycle_loss(batch):
    system = make()
    system.to_target, system.to_source = Function(lambda x: x), Function(lambda y: y)
    terms = values(system, batch)["generators"]
    assert [term for term, value in terms.items() if value == 0] == [
        "source_cycle", "target_cycle", "target_identity", "source_identity",
    ]  # fmt: skip


def test_swapping_the_modalities_swaps_the_terms(batch):
    """Both directions are treated alike."""
    system = make()
    straight = values(system, batch)
    system.to_target, system.to_source = system.to_source, system.to_target
    system.target_discriminator, system.source_discriminator = system.source_discriminator, system.target_discriminator
    swapped = values(system, Batch(batch.target, batch.source))
    names = {"target": "source", "source": "target"}
    for phase, terms in straight.items():
        for term, value in terms.items():
            side, what = term.split("_")
            assert swapped[phase][f"{names[side]}_{what}"] == pytest.approx(value, rel=1e-12)


def test_each_term_teaches_the_generators_it_should(batch):
    system = make()
    _, terms = next(system.phases(batch, 0))
    both = {"to_target", "to_source"}
    reached = {
        "target_adversarial": {"to_target"},
        "source_adversarial": {"to_source"},
        "source_cycle": both,
        "target_cycle": both,
        "target_identity": {"to_target"},
        "source_identity": {"to_source"},
    }
    assert terms.keys() == reached.keys()
    for term, loss in terms.items():
        found = set()
        for name in NETWORKS:
            weights = [weight for weight in getattr(system, name).parameters() if weight.requires_grad]
            gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True) if weights else []
            found |= {name} if any(one is not None and one.any() for one in gradients) else set()
        assert found == reached[term], term


def test_each_discriminator_learns_from_its_own_modality_alone(batch):
    system = make()
    _, terms = list(system.phases(batch, 0))[1]
    for term, loss in terms.items():
        own = f"{term.split('_')[0]}_discriminator"
        for name in NETWORKS:
            weights = list(getattr(system, name).parameters())
            gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
            assert any(one is not None for one in gradients) == (name == own), (term, name)


def test_source_and_target_are_never_compared(batch):
    """Unpaired: shuffling the targets within the batch changes no loss, however large the batch."""
    shuffled = Batch(batch.source, batch.target.roll(1, dims=0))
    for name, terms in values(make(), batch).items():
        assert values(make(), shuffled)[name] == pytest.approx(terms, rel=1e-9)


def test_terms_of_weight_zero_are_left_out_and_cost_no_forward(batch):
    system, calls = make(identity_weight=0.0), []
    system.to_target.register_forward_hook(lambda *_: calls.append(1))
    assert list(next(system.phases(batch, 0))[1]) == [
        "target_adversarial", "source_adversarial", "source_cycle", "target_cycle",
    ]  # fmt: skip
    assert len(calls) == 2
    assert list(next(make(cycle_weight=0.0).phases(batch, 0))[1]) == ["target_adversarial", "source_adversarial"]


def test_identity_needs_equal_channels():
    with pytest.raises(TrainingError, match="identity"):
        CycleGANConfig(source_channels=1, target_channels=3)
    assert CycleGAN(CycleGANConfig(**{**SMALL, "source_channels": 3, "identity_weight": 0.0})).translate(
        torch.zeros(1, 3, 16, 16)
    ).shape == (1, 1, 16, 16)


def test_each_direction_has_a_pool_of_its_own_fakes():
    system, made, shown = make(pool_size=4), {"target": set(), "source": set()}, {"target": [], "source": []}
    torch.manual_seed(3)
    for side in made:
        generator, judge = getattr(system, f"to_{side}"), getattr(system, f"{side}_discriminator")
        generator.register_forward_hook(
            lambda _, inputs, fakes, side=side: made[side].update(fakes.detach().sum((1, 2, 3)).tolist())
        )
        judge.register_forward_pre_hook(lambda _, inputs, side=side: shown[side].append(inputs[0].detach()))
    old = 0
    for step in range(8):
        data = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        for images in shown.values():
            images.clear()
        phases = system.phases(Batch(*data), step)
        next(phases), next(phases)
        for side, (fresh, _, pooled) in shown.items():  # in the generators' phase, then the real ones, then the pool's
            assert set(pooled.sum((1, 2, 3)).tolist()) <= made[side]
            old += sum(not torch.equal(one, other) for one, other in zip(fresh, pooled, strict=True))
    assert old > 0
    assert [len(pool.images) for pool in system.pools().values()] == [4, 4]


def test_each_part_has_its_own_learning_rate():
    system = make(learning_rate=1e-3, discriminator_learning_rate=3e-3)
    rates = {name: system.optimizer(name).param_groups[0]["lr"] for name in system.parts()}
    assert rates == {"generators": 1e-3, "discriminators": 3e-3}


def test_a_step_that_fails_leaves_nothing_frozen(batch):
    system = make()
    phases = system.phases(batch, 0)
    next(phases)
    assert not any(weight.requires_grad for weight in system.target_discriminator.parameters())
    phases.close()  # what an exception in the trainer does
    assert all(weight.requires_grad for weight in system.parameters())


def test_both_generators_are_averaged_saved_and_loaded(tmp_path):
    system = CycleGAN(CycleGANConfig(**SMALL))
    trainer = make_trainer(system, run=tmp_path, ema=0.9, steps=3)
    trained = trainer.train()
    loaded, _ = load_system(tmp_path / MODEL)
    image = NoiseSlices().batch(0, 1).source
    for there in ("translate", "translate_back"):
        with torch.no_grad():
            found, expected, latest = (getattr(one, there)(image) for one in (loaded, trained, system))
        assert torch.allclose(found, expected, atol=1e-5)  # the trainer's weights lie in memory otherwise
        assert not torch.allclose(found, latest, atol=1e-3)  # an average, not the last step's weights
    assert not torch.equal(loaded.translate(image), loaded.translate_back(image))


def test_steganography_shows_as_a_way_back_that_noise_destroys():
    """A generator that hides the source a thousand times fainter than it draws has a perfect cycle, and a bad ratio."""
    source = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
    hiding, plain = make(), make()
    hiding.to_target, hiding.to_source = Function(lambda x: x / 1000), Function(lambda y: 1000 * y)
    plain.to_target, plain.to_source = Function(lambda x: x / 2), Function(lambda y: 2 * y + 0.1)
    noise_sd, found = 0.01, {}
    for name, system in {"hiding": hiding, "plain": plain}.items():
        found[name] = cycle_sensitivity(system, source, noise_sd, torch.Generator().manual_seed(0))
    # E|n| of N(0, σ) is σ √(2/π).
    assert found["hiding"].clean < 1e-6
    assert found["hiding"].noisy == pytest.approx(1000 * noise_sd * (2 / np.pi) ** 0.5, rel=0.05)
    assert found["plain"].clean == pytest.approx(0.1, rel=1e-4)
    assert found["plain"].ratio < 1.05
    assert cycle_sensitivity(plain, source, 0.0).ratio == 1
