"""The shared contract, over every system there is."""

from functools import partial

import pytest
import torch

from medsynth_lib.systems import SYSTEMS
from tests.systems import contract
from tests.systems.contract import TINY, make_system, make_trainer

pytestmark = pytest.mark.parametrize("name", SYSTEMS)


def test_every_system_has_a_tiny_config(name):
    assert isinstance(TINY[name], SYSTEMS[name][1])
    assert SYSTEMS[name][0].name == name


def test_every_parameter_has_one_owner(name):
    contract.check_every_parameter_has_one_owner(make_system(name))


def test_gradients_stay_in_their_phase(name):
    contract.check_gradients_stay_in_their_phase(make_system(name))


def test_each_phase_moves_its_own_part(name):
    contract.check_each_phase_moves_its_own_part(make_trainer(make_system(name)))


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_logged_terms_are_the_addends(name, amp):
    contract.check_logged_terms_are_the_addends(make_trainer(make_system(name), amp=amp))


def test_outputs_in_range(name):
    system = make_system(name)
    contract.check_outputs_in_range(system.train())
    contract.check_outputs_in_range(system.eval())


def test_amp_agrees_with_fp32(name):
    contract.check_amp_agrees_with_fp32(lambda amp: make_trainer(make_system(name), amp=amp))


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_resume_is_exact(name, amp, tmp_path):
    contract.check_resume_is_exact(lambda **given: make_trainer(make_system(name), **given), tmp_path, amp)


def test_overflow_skips_one_step(name):
    for part in SYSTEMS[name][0](TINY[name]).parts():
        contract.check_overflow_skips_one_step(make_trainer(make_system(name)), part)


def test_gradient_scaling_changes_no_weight(name):
    """A scale that is a power of two is undone exactly, so fp16's machinery alone moves nothing."""
    ends = []
    for scaler in (torch.amp.GradScaler("cpu", enabled=False), torch.amp.GradScaler("cpu", init_scale=2.0**10)):
        trainer = make_trainer(make_system(name))
        trainer.scaler = scaler
        trainer.train()
        ends.append([weight.detach() for weight in trainer.system.parameters()])
    assert contract.equal(*ends)


def test_same_seed_same_run_and_other_seed_other_run(name):
    ends = []
    for seed in (0, 0, 1):
        trainer = make_trainer(make_system(name), seed=seed, steps=2)
        trainer.train()
        ends.append([weight.detach() for weight in trainer.system.parameters()])
    assert contract.equal(ends[0], ends[1])
    # Here the seed draws neither weights nor slices: it matters to dropout, noise and pool, where there are any.
    drawn = not torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(1).get_state())
    assert contract.equal(ends[0], ends[2]) != drawn


def test_plain_values_rebuild_the_system(name):
    """What a checkpoint keeps of the config is enough to build the same networks again."""
    rebuilt = partial(SYSTEMS[name][1], **make_system(name).config_dict())()
    assert rebuilt == TINY[name]
