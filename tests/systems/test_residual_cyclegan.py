"""Residual CycleGAN: its equations composed by hand in numpy, what the residual promises, and what D_C is shown."""

import numpy as np
import pytest
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.errors import TrainingError
from medsynth_lib.systems.residual_cyclegan import Residual, ResidualCycleGAN, ResidualCycleGANConfig

SMALL = {
    "generator_channels": 4,
    "depth": 4,
    "discriminator_channels": 4,
    "discriminator_layers": 2,
    "pool_size": 0,
}


def make(**changes) -> ResidualCycleGAN:
    torch.manual_seed(0)
    return ResidualCycleGAN(ResidualCycleGANConfig(**{**SMALL, **changes})).double()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*torch.rand(2, 3, 1, 32, 32, generator=generator, dtype=torch.float64).mul(2).sub(1))


def terms_of(system: ResidualCycleGAN, batch: Batch) -> dict[str, dict[str, float]]:
    return {name: {term: value.item() for term, value in found.items()} for name, found in system.phases(batch, 0)}


@pytest.mark.parametrize("residual", [True, False])
def test_losses_are_the_equation(batch, residual):
    """Networks are black boxes here; everything between them is numpy, from the lecture's formulas."""
    system = make(residual=residual, cycle_weight=7.0, identity_weight=3.0, pair_weight=20.0)
    x, y = batch.source.numpy(), batch.target.numpy()

    def run(network, *images):
        with torch.no_grad():
            return network(torch.from_numpy(np.concatenate(images, axis=1))).numpy()

    def G(image):
        return image + run(system.to_target.change, image) if residual else run(system.to_target, image)

    def F(image):
        return image + run(system.to_source.change, image) if residual else run(system.to_source, image)

    def D_x(image):
        return run(system.source_discriminator, image)

    def D_y(image):
        return run(system.target_discriminator, image)

    def D_C(source, target):
        return run(system.pair_discriminator, source, target)

    expected = {
        "generators": {
            "target_adversarial": ((D_y(G(x)) - 1) ** 2).mean(),
            "source_adversarial": ((D_x(F(y)) - 1) ** 2).mean(),
            "target_pair": ((D_C(x, G(x)) - 1) ** 2).mean(),
            "source_pair": ((D_C(F(y), y) - 1) ** 2).mean(),
            "source_cycle": 7.0 * np.abs(F(G(x)) - x).mean(),
            "target_cycle": 7.0 * np.abs(G(F(y)) - y).mean(),
            "target_identity": 3.0 * np.abs(G(y) - y).mean(),
            "source_identity": 3.0 * np.abs(F(x) - x).mean(),
            "target_l2": 20.0 * ((G(x) - y) ** 2).mean(),
            "source_l2": 20.0 * ((F(y) - x) ** 2).mean(),
        },
        "discriminators": {
            "target_real": 0.5 * ((D_y(y) - 1) ** 2).mean(),
            "target_fake": 0.5 * (D_y(G(x)) ** 2).mean(),
            "source_real": 0.5 * ((D_x(x) - 1) ** 2).mean(),
            "source_fake": 0.5 * (D_x(F(y)) ** 2).mean(),
            "pair_real": 0.5 * ((D_C(x, y) - 1) ** 2).mean(),
            "pair_fake": 0.25 * (D_C(x, G(x)) ** 2).mean() + 0.25 * (D_C(F(y), y) ** 2).mean(),
        },
    }
    found = terms_of(system, batch)
    assert list(found) == ["generators", "discriminators"]
    for name, terms in expected.items():
        assert found[name] == pytest.approx(terms, rel=1e-9)


def test_without_the_pair_discriminator_nothing_sees_pairs(batch):
    """The rest of the loss is that of unpaired data: shuffling the targets changes no term."""
    system = make(pair_discriminator=False)
    assert len(system.parts()["discriminators"]) == 2
    found = terms_of(system, batch)
    assert not [term for terms in found.values() for term in terms if "pair" in term]
    shuffled = Batch(batch.source, batch.target.roll(1, dims=0))
    for name, terms in terms_of(system, shuffled).items():
        assert terms == pytest.approx(found[name], rel=1e-9)


def test_with_the_pair_discriminator_pairing_matters(batch):
    system = make()
    found = terms_of(system, batch)
    shuffled = terms_of(system, Batch(batch.source, batch.target.roll(1, dims=0)))
    assert shuffled["discriminators"]["pair_real"] != pytest.approx(found["discriminators"]["pair_real"], rel=1e-6)
    assert shuffled["generators"]["target_pair"] == pytest.approx(found["generators"]["target_pair"], rel=1e-9)


def last_layer(network: torch.nn.Module) -> torch.nn.Module:
    return getattr(network, "change", network).head


def zero_last_layer(network: torch.nn.Module) -> None:
    with torch.no_grad():
        last_layer(network).weight.zero_()
        last_layer(network).bias.zero_()


def test_a_network_that_says_nothing_changes_nothing(batch):
    system = make()
    for network in (system.to_target, system.to_source):
        zero_last_layer(network)
    assert torch.equal(system.translate(batch.source), batch.source)
    assert torch.equal(system.translate_back(batch.target), batch.target)
    generators = terms_of(system, batch)["generators"]
    silent = [term for term in generators if term.endswith(("cycle", "identity"))]
    assert len(silent) == 4
    assert all(generators[term] == 0 for term in silent)


def test_without_the_residual_the_same_network_draws_nothing(batch):
    system = make(residual=False)
    zero_last_layer(system.to_target)
    assert torch.equal(system.translate(batch.source), torch.zeros_like(batch.source))


def test_training_is_not_clipped_and_translating_is(batch):
    """Beyond the window a clipped pixel has no gradient; in training it must have one, to come back."""
    system = make()
    with torch.no_grad():
        last_layer(system.to_target).bias.fill_(5.0)
    source = batch.source.clone().requires_grad_()
    fake = system.to_target(source)
    beyond = fake > 1
    assert beyond.float().mean() > 0.3
    (gradient,) = torch.autograd.grad(fake[beyond].sum(), source)
    assert (gradient[beyond] != 0).all()
    assert system.translate(batch.source).max() == 1


def test_pools_keep_pairs_together():
    """An old fake beside an image it was not made from would be told apart by that alone."""
    system, made, shown = make(pool_size=4), set(), []
    torch.manual_seed(3)

    def keep_target(module, inputs, fake):
        made.update((float(s.sum()), float(f.sum())) for s, f in zip(inputs[0].detach(), fake.detach(), strict=True))

    def keep_source(module, inputs, fake):
        made.update((float(f.sum()), float(t.sum())) for t, f in zip(inputs[0].detach(), fake.detach(), strict=True))

    system.to_target.register_forward_hook(keep_target)
    system.to_source.register_forward_hook(keep_source)
    system.pair_discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0].detach()))
    for step in range(8):
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(2, 2, 1, 32, 32, generator=generator, dtype=torch.float64)
        shown.clear()
        for _ in system.phases(Batch(*images), step):
            pass
        assert len(shown[-1]) == 4
        for pair in shown[-1]:  # the fakes come last
            assert (float(pair[0].sum()), float(pair[1].sum())) in made


@pytest.mark.parametrize("changes", [{"identity_weight": 0.0}, {"residual": False}])
def test_other_channel_numbers_need_both_switched_off(changes):
    with pytest.raises(TrainingError, match="added to the image"):
        ResidualCycleGANConfig(source_channels=3, **changes)
    ResidualCycleGANConfig(source_channels=3, residual=False, identity_weight=0.0)


def test_residual_adds():
    image = torch.tensor([0.25, -1.0])
    assert torch.equal(Residual(torch.nn.Tanh())(image), image + image.tanh())


def test_parameter_count_is_that_of_its_networks():
    """U-Nets of 3→3 channels less the weights of two channels at either end; PatchGANs of one channel and of two."""
    with torch.device("meta"):
        system = ResidualCycleGAN()
    counts = {name: sum(p.numel() for n in part for p in n.parameters()) for name, part in system.parts().items()}
    assert counts == {
        "generators": 2 * (31_031_875 - 2 * 9 * 64 - 2 * 65),
        "discriminators": 2 * 2_762_689 + 2_762_689 + 4 * 4 * 64,
    }
