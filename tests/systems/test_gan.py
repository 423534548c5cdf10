"""The GANs' own equation, the game's value at its equilibrium, and points that are a function of the step."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from medsynth_lib import cli
from medsynth_lib.conventions import Batch
from medsynth_lib.data.toy import RingOfGaussians
from medsynth_lib.errors import CheckpointError, TrainingError
from medsynth_lib.losses.adversarial import AdversarialLoss
from medsynth_lib.metrics.divergence import game_value, jensen_shannon, optimal_logits
from medsynth_lib.networks.dcgan import side
from medsynth_lib.networks.perceptron import Perceptron
from medsynth_lib.systems.gan import DCGAN, DCGANConfig, ToyGAN, ToyGANConfig
from medsynth_lib.training.bench import noise_store
from medsynth_lib.training.checkpoint import MODEL
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.profiles import profile
from medsynth_lib.training.run import evaluate_run, load_system, make_trainer
from medsynth_lib.training.trainer import Trainer


def dcgan(**changes) -> DCGAN:
    torch.manual_seed(0)
    return DCGAN(DCGANConfig(**{"noise": 6, "generator_channels": 2, "discriminator_channels": 2, **changes}))


def toy(**changes) -> ToyGAN:
    torch.manual_seed(0)
    return ToyGAN(ToyGANConfig(**{"width": 16, **changes}))


# The equation


@pytest.mark.parametrize("adversarial", ["bce", "minimax"])
@pytest.mark.parametrize("make", [dcgan, toy])
def test_losses_are_the_equation(make, adversarial):
    system = make(adversarial=adversarial).double()
    target = torch.rand(3, *system.shapes(64)[1], dtype=torch.float64) * 2 - 1
    noise = torch.randn(3, system.config.noise, dtype=torch.float64)
    system.noise = lambda count: noise
    with torch.no_grad():
        fake = system.generator(noise)
        real_logits, fake_logits = system.discriminator(target).numpy(), system.discriminator(fake).numpy()
    said_real, said_fake = 1 / (1 + np.exp(-real_logits)), 1 / (1 + np.exp(-fake_logits))
    on_generator = {"bce": -np.log(said_fake).mean(), "minimax": np.log(1 - said_fake).mean()}[adversarial]
    expected = {
        "discriminator": {"real": -0.5 * np.log(said_real).mean(), "fake": -0.5 * np.log(1 - said_fake).mean()},
        "generator": {"adversarial": on_generator},
    }
    found = {
        name: {term: value.item() for term, value in terms.items()}
        for name, terms in system.phases(Batch(torch.zeros(3, 1, 1, 1), target), 0)
    }
    assert list(found) == ["discriminator", "generator"]
    for name, terms in expected.items():
        assert found[name] == pytest.approx(terms, rel=1e-9)


def test_saturating_gradient_is_the_other_times_the_share_of_belief():
    """d/dx log(1 − σ(x)) = −σ(x) and d/dx (−log σ(x)) = −(1 − σ(x)): where the discriminator is sure of a fake, σ → 0,
    the first vanishes and the second is at its largest."""
    logits = torch.tensor([-12.0, -3.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    slopes = {}
    for name in ("minimax", "bce"):
        (slopes[name],) = torch.autograd.grad(len(logits) * AdversarialLoss(name).generator(logits), logits)
    belief = torch.sigmoid(logits.detach())
    torch.testing.assert_close(slopes["minimax"], -belief)
    torch.testing.assert_close(slopes["bce"], belief - 1)
    assert abs(slopes["minimax"][0]) < 1e-5 < 0.99 < abs(slopes["bce"][0])


@pytest.mark.parametrize("make", [dcgan, toy])
def test_one_generator_forward_serves_both_phases(make):
    system, calls = make(), []
    system.generator.register_forward_hook(lambda *_: calls.append("generator"))
    system.discriminator.register_forward_hook(lambda *_: calls.append("discriminator"))
    for _ in system.phases(Batch(torch.zeros(3, 1, 1, 1), torch.zeros(3, *system.shapes(64)[1])), 0):
        calls.append("phase")
    assert calls == ["generator", "discriminator", "discriminator", "phase", "discriminator", "phase"]


# The equilibrium


def trained_discriminator(real, fake, steps: int = 400) -> Perceptron:
    """A perceptron trained with ``AdversarialLoss`` on two sources of numbers, ``real(count)`` and ``fake(count)``."""
    torch.manual_seed(0)
    discriminator, loss = Perceptron(1, 1, width=32, slope=0.2), AdversarialLoss()
    optimizer = torch.optim.Adam(discriminator.parameters(), 3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(loss.discriminator(*(discriminator(one(512)[:, None]) for one in (real, fake))).values()).backward()
        optimizer.step()
    return discriminator


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_a_trained_discriminator_reaches_the_value_of_the_game(shift):
    """p = N(0, 1), q = N(shift, 1): its value, by quadrature, is that of D* and its loss at p = q is log 4, halved."""
    discriminator = trained_discriminator(torch.randn, lambda count: torch.randn(count) + shift)
    x = np.arange(-8, 10, 0.01)
    p, q = norm.pdf(x), norm.pdf(x, shift)
    with torch.no_grad():
        logits = discriminator(torch.from_numpy(x).float()[:, None]).flatten().double().numpy()
    best = -np.log(4) + 2 * jensen_shannon(p, q, 0.01)
    assert game_value(p, q, optimal_logits(p, q), 0.01) == pytest.approx(best, abs=1e-9)
    assert best - 0.01 < game_value(p, q, logits, 0.01) <= best + 1e-9


def test_the_loss_of_an_undecided_discriminator_is_log_4_in_the_sum_convention():
    terms = AdversarialLoss().discriminator(torch.zeros(5), torch.zeros(5))
    assert 2 * float(terms["real"] + terms["fake"]) == pytest.approx(math.log(4))


def test_a_discriminator_that_is_far_ahead_starves_the_minimax_generator():
    """300 steps of the discriminator against an untrained generator: the generator's gradient has fallen to a fraction
    of the non-saturating one's, which has grown."""
    system, ring = toy(width=128), RingOfGaussians()

    def gradient(name: str) -> float:
        loss = AdversarialLoss(name).generator(system.discriminator(system.generate(256, seed=0)))
        gradients = torch.autograd.grad(loss, list(system.generator.parameters()))
        return math.sqrt(sum(float(one.square().sum()) for one in gradients))

    before = {name: gradient(name) for name in ("bce", "minimax")}
    optimizer = system.optimizer("discriminator")
    for step in range(300):
        _, terms = next(system.phases(ring.batch(step, 128), step))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    after = {name: gradient(name) for name in ("bce", "minimax")}
    assert before["bce"] == pytest.approx(before["minimax"], rel=0.2)  # D = 1/2: both slopes are 1/2
    assert after["minimax"] < 0.05 * after["bce"]
    assert after["bce"] > 10 * before["bce"]


# What comes out


def test_the_same_seed_gives_the_same_images_and_leaves_torchs_generator_alone():
    system = dcgan().eval()
    state = torch.get_rng_state()
    assert torch.equal(system.generate(3, seed=5), system.generate(3, seed=5))
    assert not torch.equal(system.generate(3, seed=5), system.generate(3, seed=6))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(system.generate(3), system.generate(3))


def test_translate_draws_one_image_per_source_and_looks_at_none():
    system = dcgan().eval()
    torch.manual_seed(1)
    one = system.translate(torch.zeros(4, 1, 64, 64))
    torch.manual_seed(1)
    assert torch.equal(system.translate(torch.full((4, 1, 64, 64), float("nan"))), one)
    assert len(one) == 4


def test_depth_5_makes_128_and_learns_from_it():
    system = dcgan(depth=5)
    assert system.generate(2).shape == (2, 1, 128, 128)
    batch = Batch(torch.zeros(2, 1, 128, 128), torch.zeros(2, 1, 128, 128))
    assert all(torch.isfinite(sum(terms.values())) for _, terms in system.phases(batch, 0))


# Points


def test_points_are_a_function_of_seed_and_step_and_shared_out_among_processes():
    ring = RingOfGaussians(seed=2)
    whole = ring.batch(7, 6).target
    parts = [ring.batch(7, 3, rank=rank, world_size=2).target for rank in range(2)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(ring.batch(8, 6).target, whole)
    assert not torch.equal(replace(ring, seed=3).batch(7, 6).target, whole)


def test_points_have_the_moments_of_the_ring():
    ring = RingOfGaussians(modes=6, radius=0.5, std=0.03)
    points = ring.batch(0, 60_000).target.flatten(1).double()
    offsets = points[:, None] - ring.centres.double()
    nearest = offsets.norm(dim=2).argmin(dim=1)
    shares = torch.bincount(nearest, minlength=6) / len(points)
    assert shares.numpy() == pytest.approx(np.full(6, 1 / 6), abs=0.01)
    own = offsets[torch.arange(len(points)), nearest]
    assert own.std(dim=0).numpy() == pytest.approx([0.03, 0.03], rel=0.02)
    assert torch.linalg.vector_norm(ring.centres, dim=1).numpy() == pytest.approx(np.full(6, 0.5))


def test_each_network_of_the_toy_has_its_own_rate():
    system = toy(learning_rate=1e-3, discriminator_learning_rate=4e-3)
    rates = {name: system.optimizer(name).param_groups[0]["lr"] for name in system.parts()}
    assert rates == {"generator": 1e-3, "discriminator": 4e-3}


# Runs


@pytest.mark.parametrize("name", ["smoke", "lesson", "paper"])
def test_a_profiles_slices_have_the_size_its_networks_make(name):
    chosen = profile("dcgan", name)
    assert chosen.size == side(chosen.system.depth)


def test_toy_gan_is_trained_by_the_command_without_data_and_read_back(tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["train", "toy_gan", "--out", str(run), "--profile", "smoke", "--device", "cpu"]) == 0
    system, about = load_system(run / MODEL)
    assert (about["system"], about["points"]["modes"]) == ("toy_gan", 8)
    assert system.generate(10, seed=0).shape == (10, 2, 1, 1)


def test_data_for_points_and_no_data_for_slices_are_refused(tmp_path):
    store = noise_store(tmp_path, 64, slices=4)
    with pytest.raises(TrainingError, match="draws its own points"):
        make_trainer("toy_gan", store, profile("toy_gan", "smoke"))
    with pytest.raises(TrainingError, match="learns from slices"):
        make_trainer("dcgan", None, profile("dcgan", "smoke"))


def test_a_model_that_starts_from_noise_is_not_scored_as_a_translation(tmp_path):
    (tmp_path / "store").mkdir()
    store = noise_store(tmp_path / "store", 64, slices=8)
    make_trainer("dcgan", store, profile("dcgan", "smoke", steps=2, device="cpu"), tmp_path / "run").train()
    with pytest.raises(CheckpointError, match="of no patient"):
        evaluate_run(tmp_path / "run", store.path)


def test_looking_at_the_average_draws_no_number_of_the_training():
    """``inference_system`` generates images to fit batch norm: the run goes on as if it had not."""
    plain = dcgan()
    watched = dcgan()
    data = type("Slices", (), {"batch": lambda self, step, size, **_: Batch(*[torch.full((size, 1, 64, 64), 0.1)] * 2)})
    config = TrainConfig(steps=3, batch_size=2, amp="off", device="cpu", log_every=1)
    Trainer(plain, data(), config).train()
    Trainer(watched, data(), config, callbacks=[lambda progress: progress.trainer.inference_system()]).train()
    for name, value in plain.state_dict().items():
        assert torch.equal(watched.state_dict()[name], value), name
