"""Device and number format: what ``auto`` chooses, what is refused, and that weights stay in float32."""

import pytest
import torch

from medsynth_lib.errors import TrainingError
from medsynth_lib.training import amp
from tests.systems.contract import make_system, make_trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bf16"), (False, "fp16")])
def test_auto_on_a_gpu_is_bf16_where_its_hardware_has_it(monkeypatch, supported, chosen):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert amp.choose_amp("auto", CUDA) == chosen


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bf16"), (False, "off")])
def test_auto_on_a_cpu_is_bf16_only_where_its_hardware_has_it(monkeypatch, supported, chosen):
    monkeypatch.setattr(amp, "cpu_has_bf16", lambda: supported)
    assert amp.choose_amp("auto", CPU) == chosen


@pytest.mark.parametrize(("name", "message"), [("half", "unknown AMP format"), ("fp16", "fp16 is for GPUs")])
def test_formats_that_are_refused(name, message):
    with pytest.raises(TrainingError, match=message):
        amp.choose_amp(name, CPU)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert amp.choose_device("auto") == CPU
    with pytest.raises(TrainingError, match="no such CUDA GPU"):
        amp.choose_device("cuda:1")
    with pytest.raises(TrainingError, match="unknown device"):
        amp.choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert amp.choose_device("auto") == CUDA


def test_a_region_multiplies_in_its_format_and_off_is_no_region():
    images, weights = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 3, 3)
    for name, dtype in (("off", torch.float32), ("bf16", torch.bfloat16)):
        with amp.autocast(name, CPU):
            assert torch.conv2d(images, weights).dtype == dtype


def test_weights_averages_and_optimizer_state_stay_in_float32():
    trainer = make_trainer(make_system("pix2pix"), amp="bf16", steps=2)
    trainer.train()
    moments = [
        value
        for optimizer in trainer.optimizers.values()
        for state in optimizer.state.values()
        for value in state.values()
    ]
    kept = [*trainer.system.parameters(), *trainer.inference.system.parameters(), *moments]
    assert {one.dtype for one in kept} == {torch.float32}


def test_scaling_is_on_for_fp16_alone():
    assert not make_trainer(make_system("pix2pix"), amp="bf16").scaler.is_enabled()
    assert not make_trainer(make_system("pix2pix"), amp="off").scaler.is_enabled()
