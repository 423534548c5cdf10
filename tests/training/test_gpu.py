"""What only a CUDA GPU can show, and torch.compile. Skipped, saying so, where there is none."""

import copy
from dataclasses import replace

import pytest
import torch

from medsynth_lib.data.datasets import Augmentation, PairedSlices
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig
from medsynth_lib.training.bench import noise_store
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.evaluate import evaluate
from medsynth_lib.training.run import about_data, load_system
from medsynth_lib.training.trainer import Trainer
from tests.systems.contract import make_system, make_trainer

CONFIG = Pix2PixConfig(generator_channels=8, depth=5, discriminator_channels=8, discriminator_layers=2, pool_size=4)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")


@pytest.fixture
def data(tmp_path):
    return PairedSlices(noise_store(tmp_path, 64, slices=16), augmentation=Augmentation())


@needs_gpu
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_training_evaluation_and_resumption_on_a_gpu(data, tmp_path, amp):
    def trainer():
        torch.manual_seed(0)
        return Trainer(Pix2Pix(CONFIG), data, TrainConfig(steps=6, checkpoint_every=3, amp=amp), run=tmp_path / "run")

    first = trainer()
    first.train()
    again = trainer()
    again.resume()
    assert again.step == 6
    assert all(parameter.isfinite().all() for parameter in again.system.parameters())
    for mine, other in zip(first.system.parameters(), again.system.parameters(), strict=True):
        assert torch.equal(mine, other)
    found = evaluate({"pix2pix": first.inference_system().translate}, data.store, "train", metrics=("mae",))
    assert found.summaries["pix2pix"]["mae"].mean > 0


@needs_gpu
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_trains_on_a_gpu(name, amp):
    trainer = make_trainer(make_system(name), steps=3, device="cuda", amp=amp)
    assert all(parameter.isfinite().all() and parameter.is_cuda for parameter in trainer.train().parameters())


@needs_gpu
def test_a_model_is_loaded_to_where_it_is_scored(data, tmp_path):
    Trainer(Pix2Pix(CONFIG), data, TrainConfig(steps=1), run=tmp_path / "run", about=about_data(data.store)).train()
    system, _ = load_system(tmp_path / "run")
    evaluate({"pix2pix": system.translate}, data.store, "train", metrics=("mae",))


@pytest.mark.nightly
def test_compiled_networks_give_the_losses_of_eager_ones_and_keep_their_names(data):
    torch.manual_seed(0)
    eager = Pix2Pix(replace(CONFIG, dropout=0.0))
    losses, names = [], list(eager.state_dict())
    for system, compile in ((copy.deepcopy(eager), False), (copy.deepcopy(eager), True)):
        config = TrainConfig(steps=2, amp="off", device="cpu", compile=compile, batch_size=2)
        trainer = Trainer(system, data, config)
        losses.append([trainer.training_step(data.batch(step, 2)) for step in range(2)])
        assert list(system.state_dict()) == names
    for plain, compiled in zip(*losses, strict=True):
        for term, value in plain.items():
            torch.testing.assert_close(compiled[term], value, rtol=1e-2, atol=1e-4, msg=term)
