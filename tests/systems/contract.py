"""What every system and trainer must keep, as plain checks that raise ``AssertionError``, on networks small enough for
seconds. ``test_contract.py`` runs them on all systems; ``test_contract_catches.py`` shows that each can fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from medsynth_lib.conventions import Batch, LossTerms
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.systems.base import System
from medsynth_lib.systems.cyclegan import CycleGANConfig
from medsynth_lib.systems.gan import DCGANConfig, ToyGANConfig
from medsynth_lib.systems.medusis import MedUSISConfig
from medsynth_lib.systems.pix2pix import Pix2PixConfig
from medsynth_lib.systems.residual_cyclegan import ResidualCycleGANConfig
from medsynth_lib.systems.unet_cascade import UNetCascadeConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.state import local_state, shared_state
from medsynth_lib.training.trainer import Trainer

SIZE = 64
#: One config per system: every loss term on, dropout and replay pool on, so that all state there is takes part.
TINY = {
    "cyclegan": CycleGANConfig(
        generator_channels=4,
        blocks=2,
        discriminator_channels=8,
        discriminator_layers=2,
        pool_size=3,
        learning_rate=2e-3,
    ),
    "dcgan": DCGANConfig(noise=8, generator_channels=8, discriminator_channels=8, learning_rate=5e-4),
    "medusis": MedUSISConfig(
        size=SIZE,
        generator_channels=2,
        blocks=3,
        hidden_channels=8,
        noise_channels=4,
        segmentator_channels=4,
        segmentator_depth=3,
        discriminator_multiplier=0.05,
        discriminator_channels=8,
        r1_interval=2,
        learning_rate=1e-3,
    ),
    "pix2pix": Pix2PixConfig(
        generator_channels=4,
        depth=6,
        discriminator_channels=8,
        discriminator_layers=2,
        ssim_weight=10.0,
        gradient_weight=5.0,
        pool_size=3,
        learning_rate=2e-3,
    ),
    "residual_cyclegan": ResidualCycleGANConfig(
        generator_channels=4,
        depth=4,
        discriminator_channels=8,
        discriminator_layers=2,
        pair_weight=10.0,
        pool_size=3,
        learning_rate=2e-3,
    ),
    "toy_gan": ToyGANConfig(noise=4, width=16),
    "unet_cascade": UNetCascadeConfig(generator_channels=4, depth=4, norm="batch", stages=2, stage_weights=(0.5, 1.0)),
}
#: bf16 keeps 8 bits, 0.4 % of a number; a loss term, averaged over pixels, comes out this close to float32.
AMP_TOLERANCE = 0.01


class NoiseSlices:
    """Stands in for ``PairedSlices``: smooth noise, the target the source's negative where both have one shape; a pure
    function of the step. ``system`` says what shapes it learns from; without one, they are slices of one channel."""

    def __init__(self, system: System | None = None):
        self.shapes = system.shapes(SIZE) if system else ((1, SIZE, SIZE), (1, SIZE, SIZE))

    def batch(self, step: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        generator = torch.Generator().manual_seed(step)
        mine = slice(rank * batch_size, (rank + 1) * batch_size)
        source, target = (self._smooth(batch_size * world_size, shape, generator)[mine] for shape in self.shapes)
        if source.shape == target.shape:
            target = -source
        return Batch(source, target, names=tuple(f"slice {step}.{index}" for index in range(batch_size)))

    def _smooth(self, count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        noise = torch.rand(count, *shape, generator=generator) * 2 - 1
        return nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)


def make_system(name: str, config: object | None = None) -> System:
    torch.manual_seed(0)
    return SYSTEMS[name][0](config or TINY[name])


def make_trainer(system: System, *, run: Path | None = None, kind: type[Trainer] = Trainer, **settings) -> Trainer:
    settings = {"steps": 6, "batch_size": 2, "amp": "off", "device": "cpu", "log_every": 1, **settings}
    data = settings.pop("data", NoiseSlices(system))
    callbacks = settings.pop("callbacks", ())
    return kind(system, data, TrainConfig(**settings), run=run, callbacks=callbacks)


def equal(one: object, other: object) -> bool:
    """Bit for bit, through dicts and sequences."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def parameters_of(system: System, name: str) -> list[Tensor]:
    return [parameter for network in system.parts()[name] for parameter in network.parameters()]


def check_every_parameter_has_one_owner(system: System) -> None:
    groups = [system.optimizer(name).param_groups for name in system.parts()]
    owned = Counter(id(parameter) for group in groups for one in group for parameter in one["params"])
    for name, parameter in system.named_parameters():
        assert owned[id(parameter)] == 1, f"{name} is owned by {owned[id(parameter)]} optimizers"
    assert len(owned) == len(list(system.parameters())), "an optimizer owns parameters that are not the system's"


def check_gradients_stay_in_their_phase(system: System) -> None:
    """No phase's loss reaches another part's weights: fakes are detached, judges frozen."""
    for name, terms in system.phases(NoiseSlices(system).batch(0, 2), 0):
        others = [other for other in system.parts() if other != name]
        for other in others:
            weights = [weight for weight in parameters_of(system, other) if weight.requires_grad]
            if not weights:  # frozen
                continue
            gradients = torch.autograd.grad(sum(terms.values()), weights, retain_graph=True, allow_unused=True)
            reached = [gradient for gradient in gradients if gradient is not None]
            assert not reached, f"the {name} phase sends gradients into {len(reached)} weights of the {other}"


def check_each_phase_moves_its_own_part(trainer: Trainer) -> None:
    """What moved between pulling one phase and the next is what the phase is named after, and all parts have phases."""
    system, phases, order = trainer.system, trainer.system.phases, []

    def watched(batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        for name, terms in phases(batch, step):
            before = {part: [w.detach().clone() for w in parameters_of(system, part)] for part in system.parts()}
            yield name, terms
            for part, weights in before.items():
                moved = not equal(weights, parameters_of(system, part))
                assert moved == (part == name), f"{part} {'moved' if moved else 'stood still'} in the {name} phase"
            order.extend(f"{name}/{term}" for term in terms)

    system.phases = watched
    try:
        trainer.training_step(trainer.data.batch(0, 2))
    finally:
        del system.phases
    named = {term.split("/")[0] for term in order}
    assert named == set(system.parts()), f"phases {sorted(named)} for the parts {list(system.parts())}"
    assert len(set(order)) == len(order), f"a term is minimised twice: {order}"  # a part may have two phases


def check_logged_terms_are_the_addends(trainer: Trainer) -> None:
    """The logged terms of a phase add up, in float32 and in order, to exactly what is minimised."""
    minimised, scale, phases = [], trainer.scaler.scale, _phases_watched(trainer.system)
    trainer.scaler.scale = lambda loss: minimised.append(loss.detach().clone()) or scale(loss)
    try:
        logged = trainer.training_step(trainer.data.batch(0, 2))
    finally:
        trainer.scaler.scale = scale
        del trainer.system.phases
    assert list(logged) == [term for phase in phases for term in phase], (
        f"logged {list(logged)}, in the phases {phases}"
    )
    sums = [sum(logged[term].float() for term in phase) for phase in phases]
    assert equal(sums, minimised), f"logged {sums}, minimised {minimised}"


def _phases_watched(system: System) -> list[list[str]]:
    """The terms of each phase, as the trainer names them, once it has run; ``del system.phases`` stops watching."""
    phases, seen = system.phases, []

    def watched(batch: Batch, step: int) -> Iterator[tuple[str, LossTerms]]:
        for name, terms in phases(batch, step):
            seen.append([f"{name}/{term}" for term in terms])
            yield name, terms

    system.phases = watched
    return seen


def check_outputs_in_range(system: System) -> None:
    source, target = system.shapes(SIZE)
    with torch.no_grad():
        fake = system.translate(10 * torch.randn(2, *source))
    assert fake.shape == (2, *target)
    assert bool((fake.abs() <= 1).all()), f"values from {float(fake.min())} to {float(fake.max())}"


def check_amp_agrees_with_fp32(make: Callable[[str], Trainer]) -> dict[str, float]:
    """Every loss term of one step in bf16 is within ``AMP_TOLERANCE`` of float32; returns the relative differences."""
    terms = {}
    for amp in ("off", "bf16"):
        trainer = make(amp)
        torch.manual_seed(0)
        terms[amp] = trainer.training_step(trainer.data.batch(0, 2))
    apart = {term: abs(float(terms["bf16"][term] / terms["off"][term]) - 1) for term in terms["off"]}
    assert max(apart.values()) <= AMP_TOLERANCE, f"bf16 apart from float32 by {apart}"
    return apart


class Interrupted(Exception):
    """A crash between two checkpoints."""


def check_resume_is_exact(make: Callable[..., Trainer], folder: Path, amp: str) -> None:
    """A run that crashes after four steps, three of them kept, and goes on in a fresh trainer ends bit for bit where
    the uninterrupted run does: weights, averages, optimizers, random state and pools."""
    whole = make(run=folder / "whole", amp=amp, checkpoint_every=3)
    whole.train()

    def crash(progress):
        if progress.step == 4:
            raise Interrupted

    try:
        make(run=folder / "parts", amp=amp, checkpoint_every=3, callbacks=(crash,)).train()
    except Interrupted:
        torch.manual_seed(12345)  # another process would not have this one's random state
        torch.rand(7)
    resumed = make(run=folder / "parts", amp=amp, checkpoint_every=3)
    started = []
    step = resumed.training_step
    resumed.training_step = lambda batch: started.append(resumed.step) or step(batch)
    resumed.train()
    assert started == [3, 4, 5], f"steps after the crash: {started}"
    for what, state in (("shared", shared_state), ("local", local_state)):
        one, other = state(whole), state(resumed)
        differing = [key for key in one if not equal(one[key], other[key])]
        assert not differing, f"{what} state differs after resuming: {', '.join(differing)}"


def check_overflow_skips_one_step(trainer: Trainer, part: str) -> None:
    """With gradient scaling on, an infinite gradient in ``part`` leaves it as it was, halves the scale (once for each
    of its phases), and lets every other part move."""
    trainer.scaler = torch.amp.GradScaler(trainer.device.type, init_scale=1024.0)
    names = trainer.system.parts()
    before = {name: [w.detach().clone() for w in parameters_of(trainer.system, name)] for name in names}
    planted = parameters_of(trainer.system, part)[0].register_hook(lambda gradient: gradient * torch.inf)
    phases = _phases_watched(trainer.system)
    trainer.training_step(trainer.data.batch(0, 2))
    planted.remove()
    del trainer.system.phases
    for name, weights in before.items():
        moved = not equal(weights, parameters_of(trainer.system, name))
        assert moved == (name != part), f"{name} {'moved' if moved else 'stood still'}"
    skipped = sum(phase[0].split("/")[0] == part for phase in phases)
    assert trainer.scaler.get_scale() == 1024.0 / 2**skipped, f"scale {trainer.scaler.get_scale()}"
