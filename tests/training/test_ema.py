"""Averaged weights: the average in closed form, and batch-norm statistics equal to those computed directly."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medsynth_lib.systems.base import System
from medsynth_lib.training.ema import InferenceCopy


@dataclass(frozen=True)
class Plain:
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)


class Toy(System):
    """A judge beside whatever generator it is given."""

    name = "toy"

    def __init__(self, generator: nn.Module):
        super().__init__(Plain())
        self.generator, self.discriminator = generator, nn.Linear(2, 1)

    def parts(self):
        return {"discriminator": (self.discriminator,), "generator": (self.generator,)}

    def translate(self, source):
        return self.generator(source)


def set_weights(network: nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def averaged(decay: float, ratio: float, steps: int) -> float:
    """The average after ``steps`` steps of gradient descent on a parabola, whose weight is ``ratio ** t``."""
    system = Toy(nn.Linear(2, 2).double())
    set_weights(system.generator, 1.0)
    copy = InferenceCopy(system, decay)
    for step in range(steps):
        set_weights(system.generator, ratio ** (step + 1))
        copy.update(step)
    values = {float(value) for parameter in copy.system.generator.parameters() for value in parameter.flatten()}
    assert max(values) - min(values) < 1e-12
    return values.pop()


def test_what_is_not_averaged_is_brought_up_to_date():
    system = Toy(nn.Linear(2, 2))
    copy = InferenceCopy(system, 0.9)
    set_weights(system.discriminator, 0.7)
    copy.take_latest()
    assert all((one == 0.7).all() for one in copy.system.discriminator.parameters())


@pytest.mark.parametrize("steps", [1, 2, 10, 40])
def test_average_of_a_geometric_descent_in_closed_form(steps):
    """β^T + (1 − β) Σ β^(T−1−t) r^(t+1) = β^T + (1 − β) r (r^T − β^T) / (r − β), where β is below its warm-up."""
    beta, ratio = 0.08, 0.9
    expected = beta**steps + (1 - beta) * ratio * (ratio**steps - beta**steps) / (ratio - beta)
    assert averaged(beta, ratio, steps) == pytest.approx(expected, rel=1e-12)


def test_the_random_start_is_forgotten_early():
    """Weights that jump from 1 to 0: what is left of the start is the product of the β_t, (1+t)/(10+t) at first."""
    left = np.prod([min(0.999, (1 + t) / (10 + t)) for t in range(20)])
    assert averaged(0.999, 0.0, 20) == pytest.approx(left, rel=1e-12)
    assert left < 1e-6 < 0.98 < 0.999**20  # plain averaging would still be the random start


def test_without_decay_the_copy_is_the_latest():
    assert averaged(0.0, 0.7, 3) == pytest.approx(0.7**3, rel=1e-12)


def test_only_the_networks_of_translation_are_averaged_and_training_does_not_notice():
    system = Toy(nn.Linear(2, 2))
    copy = InferenceCopy(system, 0.05)
    judge = [one.clone() for one in copy.system.discriminator.parameters()]
    set_weights(system, 3.0)
    copy.update(0)
    assert all(map(torch.equal, judge, copy.system.discriminator.parameters()))
    assert list(copy.networks()) == ["generator"]
    assert all(one.eq(3).all() for one in system.parameters())
    assert not any(one.requires_grad for one in copy.system.parameters())
    assert all(one.requires_grad for one in system.parameters())
    assert not copy.system.training


def test_batch_norm_statistics_are_those_of_the_sources():
    """Mean over batches of each batch's mean and unbiased variance, the second norm behind the first in batch mode."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 3)
    layers = [first, nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.9), second, nn.BatchNorm2d(2)]
    system = Toy(nn.Sequential(*layers).double())
    nn.init.uniform_(layers[1].weight, 0.5, 2)
    sources = [torch.randn(4, 1, 12, 12, dtype=torch.float64) * scale + scale for scale in (1.0, 2.0, 5.0)]
    copy = InferenceCopy(system, 0.9)
    copy.system.generator[1].running_mean.fill_(77.0)  # from training: must not matter
    copy.fit_batch_norm(sources)

    seen = {1: [], 5: []}
    with torch.no_grad():
        for source in sources:
            features = F.conv2d(source, first.weight, first.bias)
            seen[1].append(features)
            mean, var = (one[:, None, None] for one in moments(features, unbiased=False))
            features = (features - mean) / (var + 1e-5).sqrt() * layers[1].weight[:, None, None]
            seen[5].append(F.conv2d((features + layers[1].bias[:, None, None]).relu(), second.weight, second.bias))
    for index, features in seen.items():
        mean, var = (torch.stack(one).mean(dim=0) for one in zip(*map(moments, features), strict=True))
        norm = copy.system.generator[index]
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, var)
        assert (norm.momentum, norm.training) == (0.1, False)


def moments(features: torch.Tensor, unbiased: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    return features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3), unbiased=unbiased)


def test_fitting_draws_no_random_number_and_leaves_the_trained_system_alone():
    system = Toy(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)))
    copy, rng = InferenceCopy(system, 0.9), torch.get_rng_state()
    before = [one.clone() for one in system.state_dict().values()]
    copy.fit_batch_norm([torch.zeros(2, 1, 8, 8)])
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(map(torch.equal, before, system.state_dict().values()))


def test_a_system_without_batch_norm_reads_no_source():
    def sources():
        raise AssertionError("read")
        yield

    InferenceCopy(Toy(nn.Linear(2, 2)), 0.9).fit_batch_norm(sources())


def test_spectral_norm_of_the_average_is_its_own():
    """Latest weights that turn leave their average with other singular vectors than either end had."""
    torch.manual_seed(0)
    system = Toy(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6, bias=False)))
    copy = InferenceCopy(system, decay=0.5)
    for step in range(3):
        with torch.no_grad():
            system.generator.parametrizations.weight.original.copy_(torch.randn(6, 6) @ torch.diag(torch.arange(6.0)))
        copy.update(step)
    stale = torch.linalg.matrix_norm(copy.system.generator.weight, 2)
    copy.fit_spectral_norm(iterations=200)
    assert abs(stale - 1) > 0.02
    assert torch.linalg.matrix_norm(copy.system.generator.weight, 2) == pytest.approx(1, abs=1e-4)
    kept = copy.system.generator.weight.clone()
    assert torch.equal(copy.system.generator.weight, kept)  # reading it again moves nothing
